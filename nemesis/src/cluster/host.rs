//! A host: its directory, its place in the network, and the processes on it.

use std::fs::{self, OpenOptions};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::deployment::HostFiles;
use super::process::{self, Handle};
use crate::ground::Place;

/// A host with the server that it is there for: the controller, or an agent.
#[derive(Debug)]
pub(super) struct Host {
    program: PathBuf,
    files: HostFiles,
    place: Place,
    /// The library that shows the server another time.
    clock: Option<PathBuf>,
    server: Option<Child>,
    /// Whether it was asked to end.
    ends: bool,
}

/// A server that has ended though nobody ended it.
#[derive(Debug)]
pub(crate) struct Unexpected {
    /// The host's name.
    pub(crate) host: String,
    /// How it ended.
    pub(crate) how: String,
}

const PERIOD: Duration = Duration::from_millis(10);
/// How long a server may take to end that was asked to.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

impl Host {
    pub(super) fn new(
        program: &std::path::Path,
        files: HostFiles,
        place: Place,
        clock: Option<PathBuf>,
    ) -> Self {
        Self {
            program: program.to_owned(),
            files,
            place,
            clock,
            server: None,
            ends: false,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.files.name
    }

    fn arguments(&self) -> Vec<String> {
        let path = |name: &str| self.files.directory.join(name).display().to_string();
        let mut words = vec!["-console".to_owned(), "0".to_owned()];
        let mut flag = |name: &str, value: String| words.extend([format!("-{name}"), value]);
        if self.files.name == "C" {
            flag("mode", "controller".to_owned());
            flag("home", path("data"));
            flag("config", path("config/controller.cfg"));
            flag("clusterConfig", path("config/cluster.cfg"));
            flag("nodesFile", path("config/cluster.nodes"));
            flag("logFile", path("log/controller.log"));
        } else {
            flag("mode", "agent".to_owned());
            flag("home", path("data"));
            flag("config", path("config/agent.cfg"));
            flag("logFile", path("log/agent.log"));
        }
        words
    }

    /// The file from which the server takes how far its clock is off.
    fn clock_file(&self) -> PathBuf {
        self.files.directory.join("clock")
    }

    /// Starts the server, if it does not run.
    ///
    /// # Errors
    /// Why it does not start, or how badly it had ended before; it is started then too.
    pub(super) fn start(&mut self) -> Result<(), String> {
        let ended = if self.ends {
            self.ended(PATIENCE)
        } else {
            Ok(())
        };
        if self.server.is_none() {
            self.spawn()?;
        }
        ended
    }

    fn spawn(&mut self) -> Result<(), String> {
        let name = self.files.name.clone();
        let failed = move |error: std::io::Error| format!("{name} cannot be started: {error}");
        let output = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.files.directory.join("log/server.out"))
            .map_err(&failed)?;
        let mut command = Command::new(&self.program);
        command
            .args(self.arguments())
            .current_dir(&self.files.directory)
            .env_remove("VAQUITA_SERVER")
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(&failed)?)
            .stderr(output)
            // Ctrl-C at the terminal goes to this program alone, which ends the cluster in order.
            .process_group(0);
        if let Some(library) = &self.clock {
            if !self.clock_file().exists() {
                self.set_clock(0)?;
            }
            // The wall clock alone, looked up each time.
            command
                .env("LD_PRELOAD", library)
                .env("FAKETIME_TIMESTAMP_FILE", self.clock_file())
                .env("FAKETIME_NO_CACHE", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
                .env("DONT_FAKE_MONOTONIC", "1")
                .env("NO_FAKE_STAT", "1");
        }
        let child = self.place.run(move || command.spawn());
        self.server = Some(child.map_err(failed)?);
        Ok(())
    }

    pub(super) fn set_clock(&self, by: i64) -> Result<(), String> {
        // Whole at once: it is read at any moment.
        let (path, new) = (self.clock_file(), self.files.directory.join("clock.new"));
        let written = fs::write(&new, format!("{by:+}s\n")).and_then(|()| fs::rename(&new, &path));
        written.map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Sends a signal to the server; one that ends it has it waited for, so that it can be started again.
    pub(super) fn signal_server(&mut self, signal: Signal) -> Result<(), String> {
        let Some(child) = &mut self.server else {
            return Ok(());
        };
        if child.try_wait().is_ok_and(|ended| ended.is_some()) {
            // Told of when it is looked for.
            return Ok(());
        }
        // It was not waited for yet, so that its id is its own still.
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let sent = pid.map_or(Ok(()), |pid| kill_process(pid, signal));
        sent.map_err(|errno| format!("{}: {errno}", self.files.name))?;
        self.ends |= signal == Signal::TERM;
        if signal == Signal::KILL {
            self.ends = false;
            self.server.take().map(|mut child| child.wait());
        }
        Ok(())
    }

    /// Waits until the server has ended that was asked to.
    ///
    /// # Errors
    /// If it does not end, and is killed, or ends otherwise than well.
    pub(super) fn ended(&mut self, patience: Duration) -> Result<(), String> {
        self.ends = false;
        let Some(mut child) = self.server.take() else {
            return Ok(());
        };
        let name = &self.files.name;
        let begun = Instant::now();
        while begun.elapsed() < patience {
            if let Ok(Some(status)) = child.try_wait() {
                return if status.success() {
                    Ok(())
                } else {
                    Err(format!(
                        "the server of {name} ended badly: {}",
                        told(status)
                    ))
                };
            }
            thread::sleep(PERIOD);
        }
        let _ = child.kill().and_then(|()| child.wait());
        let secs = patience.as_secs();
        Err(format!("the server of {name} did not end within {secs} s"))
    }

    /// The server, if it has ended though nobody ended it; it can be started again.
    pub(super) fn unexpected(&mut self) -> Option<Unexpected> {
        let status = self.server.as_mut()?.try_wait().ok()??;
        self.server = None;
        if std::mem::take(&mut self.ends) && status.success() {
            return None;
        }
        Some(Unexpected {
            host: self.files.name.clone(),
            how: told(status),
        })
    }

    /// Data nodes that run here.
    pub(super) fn nodes(&self) -> Vec<Handle> {
        process::running("datanode", &self.files.directory)
    }

    /// The process of one of them, where it runs.
    pub(super) fn node(&self, alias: &str) -> Vec<Handle> {
        let home = self.files.directory.join("data").join(alias);
        process::running("datanode", &home)
    }
}

/// Sends a signal to data nodes.
pub(super) fn signal_all(nodes: &[Handle], signal: Signal) -> Result<(), String> {
    nodes.iter().try_for_each(|it| it.signal(signal))
}

fn told(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("with status {code}"),
        (None, Some(signal)) => format!("by signal {signal}"),
        (None, None) => "in an unknown way".to_owned(),
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Again and again until nothing is left: an agent that is killed last may have started one more.
        for _ in 0..1000 {
            let _ = self.signal_server(Signal::KILL);
            let left = self.nodes();
            if left.is_empty() {
                return;
            }
            for node in left {
                let _ = node.signal(Signal::KILL);
            }
            thread::sleep(PERIOD);
        }
    }
}
