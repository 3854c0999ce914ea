//! A whole cluster on this machine, from its first start to its last process.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::program::Place;

/// Longer than anything here takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// `vaquita local` while it runs.
struct Running {
    directory: PathBuf,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    said: Vec<String>,
}

impl Running {
    fn start(place: &Place, line: &str) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the program under test")]
        let mut command = Command::new(env!("CARGO_BIN_EXE_vaquita"));
        let mut child = command
            .args(line.split_whitespace())
            .current_dir(place.path("."))
            .env_clear()
            .env("HOME", place.path("home"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(place.path("stderr.txt")).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            directory: place.path("."),
            child,
            lines,
            said: Vec::new(),
        }
    }

    /// Reads until a line with this text.
    async fn until(&mut self, text: &str) {
        let reading = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                let found = line.contains(text);
                self.said.push(line);
                if found {
                    return true;
                }
            }
            false
        };
        let found = timeout(PATIENCE, reading).await;
        assert!(found == Ok(true), "never said {text:?}: {:#?}", self.said);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().unwrap().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the end; returns the exit status.
    async fn ended(&mut self) -> Option<i32> {
        let status = timeout(PATIENCE, self.child.wait()).await;
        status.expect("it does not end").unwrap().code()
    }
}

/// No process outlives its test, however that ends.
impl Drop for Running {
    fn drop(&mut self) {
        for (pid, _) in processes_under(&self.directory) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Addresses that no other test run of this machine has at the moment, most likely.
fn subnet(nth: u32) -> String {
    let number = std::process::id() * 4 + nth;
    format!("127.{}.{}", 64 + number / 256 % 128, number % 256)
}

/// Processes whose command lines name something in a directory.
fn processes_under(directory: &Path) -> Vec<(Pid, String)> {
    let directory = directory.canonicalize().unwrap();
    let directory = directory.to_str().unwrap();
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let line = fs::read_to_string(entry.path().join("cmdline")).ok()?;
            line.contains(directory)
                .then_some((Pid::from_raw(pid)?, line))
        })
        .collect()
}

fn processes_of(place: &Place) -> Vec<(Pid, String)> {
    processes_under(&place.path("."))
}

async fn states(place: &Place) -> Vec<(String, String)> {
    let rows: Vec<Value> = serde_json::from_str(&place.run("node list --json").await.ok()).unwrap();
    let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
    rows.iter()
        .filter(|row| row["mode"] == "datanode")
        .map(|row| (text(row, "alias"), text(row, "state")))
        .collect()
}

fn all(state: &str) -> Vec<(String, String)> {
    ["P1-NODE1", "P2-NODE1"]
        .map(|alias| (alias.to_owned(), state.to_owned()))
        .to_vec()
}

#[tokio::test]
async fn a_cluster_starts_serves_stops_on_a_signal_and_goes_on() {
    let place = Place::new();
    let line = format!("local --dir c --hosts 2 --subnet {}", subnet(0));
    let mut local = Running::start(&place, &line);
    local.until("all green after").await;
    local.until("log in").await;
    let password = place.read("c/admin.password");
    assert!(
        local.said.last().unwrap().contains(password.trim()),
        "told once"
    );
    local.until("goes on with the same data").await;

    // The commands of this user are logged in, at the right address.
    assert_eq!(states(&place).await, all("online"));
    place
        .run_with("user add alice --password-stdin", "a fine password\n")
        .await
        .ok();
    place.run("user grant alice dfs-read").await.ok();
    let mode = |name: &str| fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777;
    for secret in [
        "c/admin.password",
        "c/cluster.secret",
        "c/P2/cluster.secret",
    ] {
        assert_eq!(mode(secret), 0o600, "{secret}");
    }
    assert_eq!(place.run("check c --strict").await.status, 0);

    assert!(
        !place.path("c/data/bootstrap").exists(),
        "taken by the controller"
    );

    // Another one on the same directory is refused.
    let err = place.run("local --dir c").await.failed(73);
    assert!(err.contains("runs already"), "{err}");

    local.signal(Signal::TERM);
    local.until("everything has stopped").await;
    assert_eq!(local.ended().await, Some(0));
    assert_eq!(processes_of(&place), []);

    // Started again it has the same users, and needs no login for it: the kept password does.
    fs::remove_dir_all(place.path("home")).unwrap();
    let mut again = Running::start(&place, "local --dir c");
    again.until("going on with the cluster").await;
    again.until("all green after").await;
    assert!(
        place
            .run("user list")
            .await
            .ok()
            .contains("alice  viewer  dfs-read")
    );
    again.signal(Signal::INT);
    assert_eq!(again.ended().await, Some(0));
    assert_eq!(processes_of(&place), []);
}

#[tokio::test]
async fn what_a_killed_run_left_behind_is_stopped_by_the_next() {
    let place = Place::new();
    let line = format!("local --dir c --hosts 2 --subnet {}", subnet(1));
    let mut local = Running::start(&place, &line);
    local.until("all green after").await;
    local.signal(Signal::KILL);
    assert_eq!(local.ended().await, None);
    assert_eq!(processes_of(&place).len(), 5, "they outlive it");
    let mut again = Running::start(&place, "local --dir c");
    again.until("left processes behind").await;
    again.until("all green after").await;
    assert_eq!(states(&place).await, all("online"));
    again.signal(Signal::TERM);
    assert_eq!(again.ended().await, Some(0));
    assert_eq!(processes_of(&place), []);
}

#[tokio::test]
async fn nothing_is_written_or_started_where_a_port_is_taken() {
    let place = Place::new();
    let subnet = subnet(2);
    #[expect(clippy::disallowed_methods, reason = "the port that is taken")]
    let _held = std::net::TcpListener::bind(format!("{subnet}.3:8961")).unwrap();
    let line = format!("local --dir c --hosts 2 --subnet {subnet}");
    let err = place.run(&line).await.failed(69);
    let pid = std::process::id();
    let expected = format!("{subnet}.3:8961, which P2-NODE1 needs, is held by pid {pid}");
    assert!(err.contains(&expected), "{err}");
    assert!(!place.path("c/controller.cfg").exists());
}

#[tokio::test]
async fn a_signal_during_the_start_stops_what_has_been_started() {
    let place = Place::new();
    let line = format!("local --dir c --hosts 2 --subnet {}", subnet(3));
    let mut local = Running::start(&place, &line);
    local.until("P1-agent started").await;
    local.signal(Signal::INT);
    local.until("everything has stopped").await;
    assert_eq!(local.ended().await, Some(0));
    assert_eq!(processes_of(&place), []);
    let mut again = Running::start(&place, "local --dir c");
    again.until("all green after").await;
    again.signal(Signal::TERM);
    assert_eq!(again.ended().await, Some(0));
}

#[tokio::test]
async fn an_old_directory_keeps_its_size_and_its_addresses() {
    let place = Place::with(&[("d/notes.txt", "x")]);
    let err = place.run("local --dir d").await.failed(73);
    assert!(err.contains("holds no cluster"), "{err}");
    let subnet = subnet(0);
    place.write(
        "c/controller.cfg",
        &format!("localSite={subnet}.1:8990:master\n"),
    );
    place.write(
        "c/cluster.nodes",
        &format!(
            "localSite,mode\n{subnet}.2:8960:P1-agent,agent\n{subnet}.2:8961:A,datanode\n\
         {subnet}.2:8962:B,datanode\n"
        ),
    );
    place.write(
        "c/P1/agent.cfg",
        &format!("localSite={subnet}.2:8960:P1-agent\ncontrollerSite={subnet}.1:8990:master\n"),
    );
    let err = place.run("local --dir c --hosts 5").await.failed(64);
    assert!(err.contains("has 2 hosts"), "{err}");
    let err = place.run("local --dir c --subnet 127.0.0").await.failed(64);
    assert!(err.contains("leave out --subnet"), "{err}");
    place.write("c/cluster.nodes", "localSite,mode\nnonsense\n");
    let err = place.run("local --dir c").await.failed(64);
    assert!(err.contains("cluster.nodes:2:"), "{err}");
}
