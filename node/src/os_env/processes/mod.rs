//! The data nodes of this host: started, found again, signalled and watched.
//!
//! 1. The only program that is ever started is the one that runs already, with arguments that
//!    follow from the node's alias.
//! 2. A signal goes through a pidfd to a process that was proven, while the pidfd was held, to be
//!    the one that is meant. A pidfd names one process for ever, so that an id given out again
//!    cannot lead it astray.
//! 3. An end is reported on the word of the kernel alone: the pidfd, the absent id, another start
//!    time or another boot.
//! 4. Processes outlive this one.

mod identity;
pub(super) mod launch;
mod watch;

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Signal, pidfd_send_signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::error;
use vaquita_core::admin::LogPiece;
use vaquita_core::ids::{Alias, Endpoint};
use vaquita_core::process::{
    Inspection, PortState, ProcessEvent, ProcessIdentity, ProcessOrder, StopSignal,
};

use super::io_pool::IoPool;
use super::threads::blocking;
use super::{Program, proc_net, sockets};
use crate::env::{HostFolders, Processes};
use crate::logging::LogFile;
use identity::Found;
use launch::Launcher;

/// The last lines of a log that travel with the news of a process's end.
const TAIL_LINES: usize = 50;

/// The data nodes of this host.
#[derive(Debug)]
pub struct OsProcesses {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    program: Arc<Program>,
    folders: HostFolders,
    launcher: Launcher,
    io: IoPool,
    /// Process ids with start times that have a watcher already.
    watched: Mutex<BTreeSet<(u32, u64)>>,
}

impl OsProcesses {
    pub(super) fn new(program: Arc<Program>, folders: HostFolders, io: IoPool) -> io::Result<Self> {
        // A node works in its home, where a relative path would mean something else.
        let folders = HostFolders {
            home: std::path::absolute(folders.home)?,
            logs: std::path::absolute(folders.logs)?,
            own_log: folders.own_log,
        };
        let launcher = Launcher::start(Arc::clone(&program), folders.clone())?;
        Ok(Self::with(program, folders, launcher, io))
    }

    pub(super) fn with(
        program: Arc<Program>,
        folders: HostFolders,
        launcher: Launcher,
        io: IoPool,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                program,
                folders,
                launcher,
                io,
                watched: Mutex::default(),
            }),
        }
    }
}

impl Processes for OsProcesses {
    async fn run(
        self,
        mut orders: mpsc::Receiver<ProcessOrder>,
        events: mpsc::Sender<ProcessEvent>,
    ) {
        let mut tasks = JoinSet::new();
        loop {
            let order = tokio::select! {
                biased;
                Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                    if let Err(failure) = ended {
                        error!("an order about a process ended by a bug in this program: {failure}");
                    }
                    continue;
                }
                order = orders.recv() => order,
            };
            let Some(order) = order else {
                return;
            };
            tasks.spawn(Arc::clone(&self.shared).carry_out(order, events.clone()));
        }
    }
}

impl Shared {
    /// Carries out one order and stays with the process that it is about, if it is to be watched.
    async fn carry_out(self: Arc<Self>, order: ProcessOrder, events: mpsc::Sender<ProcessEvent>) {
        // A send fails when the driver is gone: then nobody is left to tell, and to serve.
        match order {
            ProcessOrder::ProbePort { alias, endpoint } => {
                let state = probe(&endpoint).await;
                let _ = events.send(ProcessEvent::PortProbed { alias, state }).await;
            }
            ProcessOrder::Launch { alias, node_cfg } => {
                let launched = self.launcher.launch(alias.clone(), node_cfg).await;
                let (result, running) = match launched {
                    Ok((identity, pidfd)) => (Ok(identity.clone()), Some((identity, pidfd))),
                    Err(reason) => (Err(reason), None),
                };
                let event = ProcessEvent::Launched {
                    alias: alias.clone(),
                    result,
                };
                if events.send(event).await.is_ok()
                    && let Some((identity, pidfd)) = running
                {
                    self.watch(alias, identity, pidfd, &events).await;
                }
            }
            ProcessOrder::Inspect { alias, identity } => {
                let (inspection, pidfd) = self.inspect(&identity).await;
                let event = ProcessEvent::Inspected {
                    alias: alias.clone(),
                    identity: identity.clone(),
                    inspection,
                };
                if events.send(event).await.is_ok()
                    && let Some(pidfd) = pidfd
                {
                    self.watch(alias, identity, pidfd, &events).await;
                }
            }
            ProcessOrder::Signal {
                alias,
                identity,
                signal,
            } => {
                // When the process cannot be signalled, the agent learns why in the words of an
                // inspection, and goes by that.
                if let Some(inspection) = self.signal(&identity, signal).await {
                    let event = ProcessEvent::Inspected {
                        alias,
                        identity,
                        inspection,
                    };
                    let _ = events.send(event).await;
                }
            }
            ProcessOrder::ReadLog {
                id,
                alias,
                generation,
                range,
            } => {
                let log = self.log_file(&alias);
                let read = self.io.run(move || log.read_piece(generation, range)).await;
                let result = match read {
                    Ok(Ok(piece)) => Ok::<LogPiece, _>(piece),
                    Ok(Err(reason)) => Err(reason.to_string()),
                    Err(failure) => Err(failure.to_string()),
                };
                let _ = events.send(ProcessEvent::LogRead { id, result }).await;
            }
        }
    }

    /// Waits for a process to end and reports it, once however many watch it.
    async fn watch(
        &self,
        alias: Alias,
        identity: ProcessIdentity,
        pidfd: OwnedFd,
        events: &mpsc::Sender<ProcessEvent>,
    ) {
        let key = (identity.pid, identity.start_ticks);
        if !self.lock_watched().insert(key) {
            return;
        }
        let exit = tokio::select! {
            biased;
            exit = watch::exit(pidfd) => exit,
            () = events.closed() => return,
        };
        self.lock_watched().remove(&key);
        let log = self.log_file(&alias);
        let words = launch::output_file(&self.folders, &alias);
        let log_tail = blocking(move || {
            let mut lines = log.tail_lines(TAIL_LINES);
            lines.extend(launch::last_words(&words, TAIL_LINES));
            lines.drain(..lines.len().saturating_sub(TAIL_LINES));
            lines
        })
        .await
        .unwrap_or_default();
        let event = ProcessEvent::Exited {
            alias,
            identity,
            exit,
            log_tail,
        };
        let _ = events.send(event).await;
    }

    /// Whether a process is still the one that is meant; with the handle to it, if so.
    async fn inspect(&self, identity: &ProcessIdentity) -> (Inspection, Option<OwnedFd>) {
        let identity = identity.clone();
        let boot_id = self.program.boot_id.clone();
        let found = blocking(move || identity::find(&identity, &boot_id)).await;
        match found {
            Ok(Found::Running(pidfd)) => (Inspection::Running, Some(pidfd)),
            Ok(Found::Gone) => (Inspection::Gone, None),
            Ok(Found::Unproven(reason)) => (Inspection::Unproven { reason }, None),
            Err(failure) => {
                let reason = failure.to_string();
                (Inspection::Unproven { reason }, None)
            }
        }
    }

    /// Sends a signal to a process that is proven to be the one that is meant. Returns why not.
    async fn signal(&self, identity: &ProcessIdentity, signal: StopSignal) -> Option<Inspection> {
        let (inspection, pidfd) = self.inspect(identity).await;
        let Some(pidfd) = pidfd else {
            return Some(inspection);
        };
        let signal = match signal {
            StopSignal::Terminate => Signal::TERM,
            StopSignal::Kill => Signal::KILL,
        };
        match pidfd_send_signal(&pidfd, signal) {
            Ok(()) => None,
            Err(rustix::io::Errno::SRCH) => Some(Inspection::Gone),
            Err(error) => Some(Inspection::Unproven {
                reason: format!(
                    "{identity} takes no signal from this process: {}",
                    io::Error::from(error)
                ),
            }),
        }
    }

    fn log_file(&self, alias: &Alias) -> LogFile {
        if let Some((own, file)) = &self.folders.own_log
            && own == alias
        {
            return LogFile::new(file.clone());
        }
        LogFile::new(self.folders.logs.join(format!("{alias}.log")))
    }

    fn lock_watched(&self) -> std::sync::MutexGuard<'_, BTreeSet<(u32, u64)>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a port can be bound, and who has it if not.
async fn probe(endpoint: &Endpoint) -> PortState {
    let address = match sockets::own_address(endpoint).await {
        Ok(address) => address,
        Err(error) => {
            return PortState::Refused {
                reason: error.to_string(),
            };
        }
    };
    let probed = blocking(move || match sockets::probe(address) {
        Ok(()) => PortState::Free,
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => PortState::Held {
            holder: proc_net::holder(address),
        },
        Err(error) => PortState::Refused {
            reason: format!("cannot bind {address}: {error}"),
        },
    });
    probed.await.unwrap_or_else(|failure| PortState::Refused {
        reason: failure.to_string(),
    })
}
