//! Two networks joined by one cable, in which a test may drop packets as a firewall does.
//!
//! They are the kernel's own: namespaces, one with the controller's host and one with the others,
//! joined by a pair of virtual interfaces. A packet is dropped by a routing rule on its arrival,
//! without an answer to its sender. A user namespace around both lets anybody make them where the
//! kernel allows it; the namespaces are gone with the processes in them.

use std::ffi::OsString;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// The two networks.
pub(crate) struct TwoNetworks {
    /// Holds the controller's network; ends when its standard input does.
    near: Child,
    /// Holds the network of the agents' hosts.
    far: Child,
}

/// Says that it is there and waits for the end of its standard input.
const HOLD: &str = "ip link set lo up && echo ready && exec cat";

impl TwoNetworks {
    /// Makes them, with the addresses of the example.
    ///
    /// # Errors
    /// Why the host does not let a test have networks.
    pub(crate) async fn join(addresses: &[u8]) -> Result<Self, String> {
        let near = hold(&["unshare", "--user", "--map-root-user", "--net"]).await?;
        let inside = enter(near.id());
        let mut words: Vec<&str> = inside.iter().map(|word| word.to_str().unwrap()).collect();
        words.extend(["unshare", "--net"]);
        let far = hold(&words).await?;
        let networks = Self { near, far };
        let peer = networks.far.id().unwrap();
        networks
            .near(&format!(
                "ip link add cable type veth peer name cable netns {peer}"
            ))
            .await?;
        networks.near("ip link set cable up").await?;
        networks.far("ip link set cable up").await?;
        networks.near("ip addr add 10.1.1.7/24 dev cable").await?;
        for last in addresses {
            let line = format!("ip addr add 10.1.1.{last}/24 dev cable");
            networks.far(&line).await?;
        }
        // The rule for this host's own addresses comes first by default; room is made before it.
        for side in [enter(networks.near.id()), enter(networks.far.id())] {
            run(&side, "ip rule add pref 100 lookup local").await?;
            run(&side, "ip rule del pref 0").await?;
        }
        Ok(networks)
    }

    /// What runs a program on the controller's host.
    pub(crate) fn near_launcher(&self) -> Vec<OsString> {
        enter(self.near.id())
    }

    /// What runs a program on the other hosts.
    pub(crate) fn far_launcher(&self) -> Vec<OsString> {
        enter(self.far.id())
    }

    /// Has the controller's host drop what arrives and is of this kind, as `ip rule` has it.
    pub(crate) async fn drop_at_controller(&self, kind: &str) {
        let line = format!("ip rule add pref 50 iif cable {kind} blackhole");
        self.near(&line).await.unwrap();
    }

    /// Lets everything pass again.
    pub(crate) async fn pass_at_controller(&self) {
        self.near("ip rule del pref 50").await.unwrap();
    }

    async fn near(&self, line: &str) -> Result<(), String> {
        run(&self.near_launcher(), line).await
    }

    async fn far(&self, line: &str) -> Result<(), String> {
        run(&self.far_launcher(), line).await
    }
}

/// The words that run a program in the namespaces of a process.
fn enter(holder: Option<u32>) -> Vec<OsString> {
    let holder = holder.unwrap();
    let line = format!("nsenter --target {holder} --user --net --preserve-credentials");
    line.split(' ').map(OsString::from).collect()
}

async fn run(launcher: &[OsString], line: &str) -> Result<(), String> {
    let words = launcher
        .iter()
        .map(|word| word.to_str().unwrap())
        .chain(line.split(' '));
    let output = command(words).output().await;
    let output = output.map_err(|error| format!("`{line}`: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("`{line}`: {}", said.trim()))
    }
}

/// Starts what holds a namespace.
async fn hold(launcher: &[&str]) -> Result<Child, String> {
    let words = launcher.iter().copied().chain(["sh", "-c", HOLD]);
    let mut child = command(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("`{}`: {error}", launcher.join(" ")))?;
    let mut line = String::new();
    let out: &mut (dyn AsyncRead + Unpin + Send) = child.stdout.as_mut().unwrap();
    let _ = BufReader::new(out).read_line(&mut line).await;
    if line == "ready\n" {
        return Ok(child);
    }
    let mut said = String::new();
    let _ = child.stderr.unwrap().read_to_string(&mut said).await;
    Err(format!("`{}`: {}", launcher.join(" "), said.trim()))
}

fn command<'a>(mut words: impl Iterator<Item = &'a str>) -> Command {
    #[expect(clippy::disallowed_methods, reason = "tools that make networks")]
    let mut command = Command::new(words.next().unwrap());
    command.args(words).stdin(Stdio::null()).kill_on_drop(true);
    command
}
