//! Starting the processes of a local cluster, watching them, and stopping them in order.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use vaquita_config::Mode;

use super::files;
use super::layout::Layout;
use super::processes::{Handle, Stopped, running_under};
use crate::cli::client::{Api, NodeView};
use crate::cli::commands::status::duration;
use crate::cli::exit::{Failure, Outcome, Status};
use crate::cli::terminal::{Terminal, harmless};

/// How often the API is asked while something is awaited: a start takes less than a second.
const PERIOD: Duration = Duration::from_millis(20);
/// How long the start may take as a whole. A machine under heavy load needs seconds, never this.
const START: Duration = Duration::from_secs(60);
/// How long a process may take to end before it is killed: its own limit for running requests and
/// something on top.
const STOP: Duration = Duration::from_secs(15);
/// Lines of a log that are shown when its process died.
const TAIL_LINES: usize = 15;
const TAIL_BYTES: u64 = 16 * 1024;

/// A server process that this program started.
#[derive(Debug)]
struct Role {
    alias: String,
    handle: Handle,
    log: PathBuf,
    output: PathBuf,
}

/// A process that ended.
#[derive(Debug)]
struct Ended {
    alias: String,
    status: io::Result<ExitStatus>,
}

/// The cluster while it runs.
#[derive(Debug)]
pub(super) struct Cluster {
    layout: Layout,
    program: PathBuf,
    started: Instant,
    /// How long the start took, in words.
    green_after: String,
    controller: Option<Role>,
    agents: Vec<Role>,
    ends_sender: mpsc::UnboundedSender<Ended>,
    ends: mpsc::UnboundedReceiver<Ended>,
}

impl Cluster {
    /// A cluster of which nothing runs yet. `program` is what every role is a process of.
    pub(super) fn new(layout: Layout, program: PathBuf) -> Self {
        // As many messages as processes are started: a handful.
        let (ends_sender, ends) = mpsc::unbounded_channel();
        Self {
            layout,
            program,
            started: Instant::now(),
            green_after: String::new(),
            controller: None,
            agents: Vec::new(),
            ends_sender,
            ends,
        }
    }

    fn elapsed(&self) -> String {
        duration(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Starts everything and waits until every member is online.
    pub(super) async fn start(&mut self, api: &mut Api, terminal: &mut Terminal) -> Outcome {
        self.started = Instant::now();
        let Layout {
            controller, hosts, ..
        } = self.layout.clone();
        let arguments = self.layout.controller_arguments();
        let role = self.spawn(&controller.alias, &arguments, self.layout.controller_log())?;
        told_start(&role, terminal)?;
        self.controller = Some(role);
        // The agents look for the controller by themselves, so nothing is gained by waiting.
        for host in hosts {
            let role = self.spawn(&host.agent.alias, &host.agent_arguments(), host.log())?;
            told_start(&role, terminal)?;
            self.agents.push(role);
        }
        let work = async {
            self.until_answering(api).await?;
            terminal.say(format!("the controller answers ({})", self.elapsed()))?;
            self.until_ordered(api).await?;
            self.until_green(api, terminal).await
        };
        let outcome = timeout(START, work).await.unwrap_or_else(|_| {
            Err(Failure::new(
                Status::Unavailable,
                format!(
                    "not everything is online after {} s; the logs are in {} and in the hosts' \
                     directories beside it",
                    START.as_secs(),
                    self.layout.directory.join("log").display()
                ),
            ))
        });
        self.green_after = self.elapsed();
        outcome
    }

    /// Waits until the controller answers, and logs in anew if the token is void.
    async fn until_answering(&mut self, api: &mut Api) -> Outcome {
        loop {
            self.nobody_died()?;
            match api.me().await {
                Ok(_) => return Ok(()),
                Err(error) if error.is_unauthenticated() => {
                    let Some(password) = files::read_password(&self.layout) else {
                        return Err(self.no_login());
                    };
                    match api.login("admin", &password, None).await {
                        Ok(_) => return Ok(()),
                        Err(error) if error.may_pass() => {}
                        Err(error) if error.is_unauthenticated() => return Err(self.no_login()),
                        Err(error) => return Err(error.into()),
                    }
                }
                Err(error) if error.may_pass() => {}
                Err(error) => return Err(error.into()),
            }
            sleep(PERIOD).await;
        }
    }

    /// Has the data nodes started. A controller that answers may need a moment more to order.
    async fn until_ordered(&mut self, api: &mut Api) -> Outcome {
        loop {
            self.nobody_died()?;
            match api.order("start", &[]).await {
                Ok(_) => return Ok(()),
                Err(error) if error.may_pass() => sleep(PERIOD).await,
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn no_login(&self) -> Failure {
        Failure::new(
            Status::Denied,
            format!(
                "the controller runs, and knows neither the login of this user nor the password \
                 in {}; write the present password of `admin` there, or log in with `vaquita login \
                 --server {}`",
                self.layout.password_file().display(),
                self.layout.named_server()
            ),
        )
    }

    /// Waits until every member is online, and tells each one that is.
    async fn until_green(&mut self, api: &mut Api, terminal: &mut Terminal) -> Outcome {
        let mut told: Vec<String> = Vec::new();
        loop {
            self.nobody_died()?;
            let nodes = match api.nodes().await {
                Ok(nodes) => nodes,
                Err(error) if error.may_pass() => {
                    sleep(PERIOD).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let nodes: Vec<NodeView> = nodes
                .into_iter()
                .filter(|node| node.mode != "controller")
                .collect();
            for node in &nodes {
                if node.state == "online" && !told.contains(&node.alias) {
                    let alias = harmless(&node.alias);
                    terminal.say(format!("{alias} is online ({})", self.elapsed()))?;
                    told.push(node.alias.clone());
                }
                if node.state == "failed" {
                    return Err(Failure::new(
                        Status::Unavailable,
                        harmless(&format!("{} failed: {}", node.alias, node.reason)),
                    ));
                }
            }
            let expected = self.layout.hosts.len() + self.layout.data_nodes.len();
            if told.len() >= expected && nodes.iter().all(|node| node.state == "online") {
                return Ok(());
            }
            sleep(PERIOD).await;
        }
    }

    /// How long everything took, once [`Cluster::start`] is done.
    pub(super) fn told_green(&self, terminal: &mut Terminal) -> Outcome {
        let (hosts, nodes) = (self.layout.hosts.len(), self.layout.data_nodes.len());
        Ok(terminal.say(format!(
            "all green after {}: 1 controller, {hosts} agents, {nodes} data nodes",
            self.green_after
        ))?)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a role is started here as a person would start it; only an agent starts nodes"
    )]
    fn spawn(&self, alias: &str, arguments: &[String], log: PathBuf) -> Result<Role, Failure> {
        let failed = |error: io::Error| {
            Failure::new(
                Status::Unavailable,
                format!("{alias} cannot be started: {error}"),
            )
        };
        let output = log.with_extension("out");
        if let Some(directory) = output.parent() {
            fs::create_dir_all(directory).map_err(failed)?;
        }
        let stream = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o640)
            .open(&output)
            .map_err(failed)?;
        let mut child = Command::new(&self.program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(stream.try_clone().map_err(failed)?)
            .stderr(stream)
            // Ctrl-C at the terminal goes to this program alone, which stops the others in order.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        // The child cannot be reaped, and its id not be given out again, before it is waited for.
        let handle = child
            .id()
            .map(Handle::open)
            .transpose()
            .map_err(failed)?
            .flatten()
            .ok_or_else(|| failed(io::Error::other("it was gone at once")))?;
        let ends = self.ends_sender.clone();
        let name = alias.to_owned();
        tokio::spawn(async move {
            let status = child.wait().await;
            let _ = ends.send(Ended {
                alias: name,
                status,
            });
        });
        Ok(Role {
            alias: alias.to_owned(),
            handle,
            log,
            output,
        })
    }

    /// An error with the last lines of its log if a process has ended.
    fn nobody_died(&mut self) -> Outcome {
        match self.ends.try_recv() {
            Ok(ended) => Err(Failure::new(Status::Unavailable, self.obituary(&ended))),
            Err(_) => Ok(()),
        }
    }

    /// The next process that ends although nobody stopped it, in words.
    pub(super) async fn next_end(&mut self) -> String {
        match self.ends.recv().await {
            Some(ended) => self.obituary(&ended),
            // The sender lives as long as `self`.
            None => std::future::pending().await,
        }
    }

    fn obituary(&self, ended: &Ended) -> String {
        let how = match &ended.status {
            Ok(status) => status.to_string(),
            Err(error) => format!("in an unknown way: {error}"),
        };
        let mut text = format!("{} ended ({how})", ended.alias);
        let mut roles = self.controller.iter().chain(&self.agents);
        if let Some(role) = roles.find(|role| role.alias == ended.alias) {
            for path in [&role.log, &role.output] {
                let tail = tail(path);
                if !tail.is_empty() {
                    text.push_str(&format!("; the last lines of {}:", path.display()));
                    for line in tail {
                        text.push_str("\n  ");
                        text.push_str(&line);
                    }
                    return text;
                }
            }
            text.push_str(&format!("; {} is empty", role.log.display()));
        }
        text
    }

    /// Stops the data nodes, then the agents, then the controller, and makes sure that nothing is
    /// left. `api` may have nobody to talk to any more.
    pub(super) async fn stop(&mut self, api: &mut Api, terminal: &mut Terminal) -> Outcome {
        if self.controller.is_some() && !self.agents.is_empty() {
            tell(terminal, "stopping the data nodes");
            if timeout(STOP, self.stop_data_nodes(api)).await.is_err() {
                terminal.warn("the data nodes do not stop by order; they are asked one by one, behind the agents");
            }
        }
        if !self.agents.is_empty() {
            tell(terminal, "stopping the agents");
        }
        let agents = std::mem::take(&mut self.agents);
        stop_roles(&agents, terminal).await?;
        // Whatever the API said, what counts is what runs.
        stop_running_under(&self.layout.directory, Keep::Controller, terminal).await?;
        if let Some(controller) = self.controller.take() {
            tell(terminal, "stopping the controller");
            stop_roles(std::slice::from_ref(&controller), terminal).await?;
        }
        stop_running_under(&self.layout.directory, Keep::Nothing, terminal).await?;
        let left = running_under(&self.layout.directory);
        if left.is_empty() {
            tell(terminal, "everything has stopped");
            return Ok(());
        }
        let pids: Vec<String> = left.iter().map(|it| it.pid.to_string()).collect();
        Err(Failure::new(
            Status::Unavailable,
            format!("still running after all: pid {}", pids.join(", ")),
        ))
    }

    async fn stop_data_nodes(&self, api: &mut Api) {
        if api.order("stop", &[]).await.is_err() {
            return;
        }
        while let Ok(nodes) = api.nodes().await {
            let mut data_nodes = nodes.iter().filter(|node| node.is_data_node());
            if data_nodes.all(|node| node.pid.is_none() || node.state == "stopped") {
                return;
            }
            sleep(PERIOD).await;
        }
    }

    /// Ends everything at once.
    pub(super) async fn kill(&mut self, terminal: &mut Terminal) -> Outcome {
        tell(terminal, "killing everything");
        for role in self.agents.drain(..).chain(self.controller.take()) {
            role.handle.kill().await?;
        }
        for running in running_under(&self.layout.directory) {
            if let Some(handle) = Handle::open(running.pid)? {
                handle.kill().await?;
            }
        }
        Ok(())
    }
}

/// Says what is being done. Stopping goes on if nobody can read it: the terminal may be gone.
fn tell(terminal: &mut Terminal, line: impl AsRef<str>) {
    let _ = terminal.say(line);
}

fn told_start(role: &Role, terminal: &mut Terminal) -> Outcome {
    let pid = role.handle.pid();
    Ok(terminal.say(format!("{} started (pid {pid})", role.alias))?)
}

async fn stop_roles(roles: &[Role], terminal: &mut Terminal) -> Outcome {
    // All are asked before the first is waited for.
    for role in roles {
        role.handle.ask_to_end()?;
    }
    for role in roles {
        if role.handle.stop(STOP).await? == Stopped::Killed {
            terminal.warn(&format!(
                "{} did not end within {} s and was killed",
                role.alias,
                STOP.as_secs()
            ));
        }
    }
    Ok(())
}

/// Which processes are not to be stopped yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    Controller,
    Nothing,
}

/// Stops the server processes with homes under `directory`, whoever started them, one kind after
/// the other.
pub(super) async fn stop_running_under(
    directory: &Path,
    keep: Keep,
    terminal: &mut Terminal,
) -> Outcome {
    for running in running_under(directory) {
        if keep == Keep::Controller && running.mode == Mode::Controller {
            continue;
        }
        let Some(handle) = Handle::open(running.pid)? else {
            continue;
        };
        // The id may have passed to another process between the two looks; now it is held.
        if !running_under(directory).contains(&running) {
            continue;
        }
        tell(
            terminal,
            format!(
                "stopping pid {} ({} in {})",
                running.pid,
                running.mode,
                running.home.display()
            ),
        );
        if handle.stop(STOP).await? == Stopped::Killed {
            terminal.warn(&format!("pid {} did not end and was killed", running.pid));
        }
    }
    Ok(())
}

/// The last lines of a file, without what could steer the terminal.
fn tail(path: &Path) -> Vec<String> {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let len = file.metadata()?.len();
        file.seek(SeekFrom::Start(len.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<String> = text.lines().map(harmless).collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].to_vec()
}
