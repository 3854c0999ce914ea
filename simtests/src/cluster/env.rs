//! The outside world of a process, on turmoil: the drivers that run in production run on it
//! unchanged.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use turmoil::net::{TcpListener, TcpStream, UdpSocket};
use vaquita_core::ids::Endpoint;
use vaquita_core::io::CloseReason;
use vaquita_core::prng::{Seed, mix};
use vaquita_core::process::{ProcessEvent, ProcessOrder};
use vaquita_core::time::Timestamp;
use vaquita_node::env::{Effort, Env, HostFolders, OpenDiskError, Processes, Usage};

use super::disk::TurmoilDisk;
use super::shared::Shared;
use super::sockets::{TurmoilListener, TurmoilUdp};

/// The first moment of every simulation: 2026-01-01.
pub(super) const EPOCH_UNIX_MS: u64 = 1_767_225_600_000;
/// How long a computation takes that the product keeps off its loop.
const COMPUTATION: Duration = Duration::from_millis(5);
/// How often an agent's host looks whether a process has ended.
const LOOK_PERIOD: Duration = Duration::from_millis(10);

/// One process's view of the simulation.
#[derive(Clone, Debug)]
pub struct TurmoilEnv {
    /// The simulated host it runs on.
    host: Arc<str>,
    pid: u32,
    shared: Shared,
    started: Duration,
    seeds: Arc<AtomicU64>,
}

/// The time of the simulation.
pub(super) fn elapsed() -> Duration {
    turmoil::sim_elapsed().unwrap_or_default()
}

impl TurmoilEnv {
    /// To be called within the simulated host, when its process starts.
    pub(super) fn new(host: &str, pid: u32, shared: Shared) -> Self {
        let seeds = Arc::new(AtomicU64::new(shared.draw()));
        Self {
            host: host.into(),
            pid,
            shared,
            started: elapsed(),
            seeds,
        }
    }
}

impl Env for TurmoilEnv {
    type Udp = TurmoilUdp;
    type Listener = TurmoilListener;
    type Stream = TcpStream;
    type Disk = TurmoilDisk;
    type Processes = TurmoilProcesses;

    fn now(&self) -> Timestamp {
        Timestamp::ZERO.after(elapsed().saturating_sub(self.started))
    }

    fn unix_ms(&self) -> u64 {
        EPOCH_UNIX_MS + u64::try_from(elapsed().as_millis()).unwrap_or(0)
    }

    /// The same for the same moment: what is shown of it can be told before.
    fn usage(&self) -> Usage {
        let ran = elapsed().saturating_sub(self.started);
        let millis = u64::try_from(ran.as_millis()).unwrap_or(u64::MAX);
        Usage {
            memory_bytes: 64 << 20,
            cpu_us: millis * 6,
            load_milli: 500,
            threads: 3,
            disk_read_bytes: millis * 10,
            disk_written_bytes: millis * 20,
            sent_bytes: millis * 2,
            received_bytes: millis * 3,
            connections: 1,
        }
    }

    fn seed(&self) -> Seed {
        Seed::from_number(mix(self.seeds.fetch_add(1, Ordering::Relaxed)))
    }

    async fn bind_udp(&self, at: &Endpoint) -> io::Result<TurmoilUdp> {
        let socket = UdpSocket::bind(("0.0.0.0", at.port)).await?;
        Ok(TurmoilUdp {
            socket,
            shared: self.shared.clone(),
        })
    }

    async fn listen(&self, at: &Endpoint) -> io::Result<TurmoilListener> {
        if let Some(holder) = self.port_holder(at).await {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, holder));
        }
        Ok(TurmoilListener(
            TcpListener::bind(("0.0.0.0", at.port)).await?,
        ))
    }

    async fn port_holder(&self, at: &Endpoint) -> Option<String> {
        let key = (self.host.to_string(), at.port);
        self.shared.state().held.get(&key).cloned()
    }

    async fn connect(&self, to: &Endpoint) -> Result<(TcpStream, SocketAddr), CloseReason> {
        // turmoil refuses what gets lost, and a one-way cut does not keep it from connecting. In a
        // network that loses them, a handshake just never ends.
        if self.shared.is_cut(&self.host, &to.host) {
            return pending().await;
        }
        let stream = match TcpStream::connect((to.host.as_str(), to.port)).await {
            Ok(stream) => stream,
            Err(_) if self.shared.is_cut(&self.host, &to.host) => return pending().await,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                return Err(CloseReason::Refused);
            }
            Err(error) => return Err(CloseReason::Broken(error.to_string())),
        };
        let peer = stream
            .peer_addr()
            .map_err(|error| CloseReason::Broken(error.to_string()))?;
        Ok((stream, peer))
    }

    async fn resolve(&self, to: &Endpoint) -> Result<SocketAddr, CloseReason> {
        let known = self.shared.state().hosts.contains_key(&to.host);
        if known {
            Ok(SocketAddr::new(turmoil::lookup(to.host.as_str()), to.port))
        } else {
            Err(CloseReason::UnknownHost)
        }
    }

    async fn open_disk(&self, directory: &Path) -> Result<TurmoilDisk, OpenDiskError> {
        let name = directory.display().to_string();
        TurmoilDisk::open(self.shared.store(&name), name)
    }

    fn processes(&self, _: HostFolders) -> io::Result<TurmoilProcesses> {
        Ok(TurmoilProcesses {
            agent: self.pid,
            shared: self.shared.clone(),
        })
    }

    async fn compute<T: Send + 'static>(
        &self,
        _: Effort,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        // In place: a thread would be outside of the simulation.
        tokio::time::sleep(COMPUTATION).await;
        Some(work())
    }
}

/// The processes of an agent's host: simulated hosts that the harness starts and ends.
#[derive(Debug)]
pub struct TurmoilProcesses {
    agent: u32,
    shared: Shared,
}

impl Processes for TurmoilProcesses {
    async fn run(
        self,
        mut orders: mpsc::Receiver<ProcessOrder>,
        events: mpsc::Sender<ProcessEvent>,
    ) {
        loop {
            let order = tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(order) => Some(order),
                    None => return,
                },
                () = tokio::time::sleep(LOOK_PERIOD) => None,
            };
            let out = match order {
                Some(order) => self.shared.order(self.agent, order).into_iter().collect(),
                None => self.shared.take_exits(self.agent),
            };
            for event in out {
                if events.send(event).await.is_err() {
                    return;
                }
            }
        }
    }
}
