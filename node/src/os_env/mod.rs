//! The operating system behind [`Env`]: Linux.
//!
//! The only module that makes sockets, threads and processes, reads clocks and draws entropy.

mod disk;
mod io_pool;
mod own;
mod proc;
mod proc_net;
mod processes;
mod signals;
mod sockets;
mod stdio;
mod stream;
pub(crate) mod threads;
mod udp;
mod usage;
mod work;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::warn;
use vaquita_core::ids::Endpoint;
use vaquita_core::io::CloseReason;
use vaquita_core::prng::{SecretPrng, Seed};
use vaquita_core::time::Timestamp;

pub use disk::{OsDisk, Sealed};
pub use own::{cores, host_id, memory_bytes, raise_open_files};
pub use processes::OsProcesses;
pub use signals::{Hangup, watch_signals};
pub use sockets::OsListener;
pub use stdio::{stdin_lines, stdout_printer};
pub use stream::OsStream;
pub use udp::OsUdp;

use crate::env::{Effort, Env, HostFolders, OpenDiskError, Usage};
use io_pool::IoPool;
use stream::Traffic;
use threads::blocking;
use work::Pool;

/// The operating system.
#[derive(Clone, Debug)]
pub struct OsEnv {
    host: Arc<Host>,
}

#[derive(Debug)]
struct Host {
    started: Instant,
    entropy: Mutex<SecretPrng>,
    passwords: Pool,
    replays: Pool,
    configs: Pool,
    io: IoPool,
    program: Arc<Program>,
    traffic: Arc<Traffic>,
}

/// The program that this process runs, open since it started, so that a file put in its place later
/// is never started by mistake.
#[derive(Debug)]
struct Program {
    file: File,
    /// Device and inode.
    id: (u64, u64),
    /// The kernel's id of this boot.
    boot_id: String,
}

impl OsEnv {
    /// Opens the door. Call once, at the very start of a server process: files that it creates from
    /// now on are for its own user alone (umask 077), which its children inherit.
    ///
    /// # Errors
    /// If the kernel gives no entropy or `/proc` is not mounted; the error says which.
    pub fn new() -> io::Result<Self> {
        Self::with_io_workers(1)
    }

    /// The same, with so many threads that read from disks, one at least.
    ///
    /// # Errors
    /// As [`OsEnv::new`], and if the kernel gives no threads.
    pub fn with_io_workers(io_workers: usize) -> io::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)
            .map_err(|error| io::Error::other(format!("the kernel gives no entropy: {error}")))?;
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
        Ok(Self {
            host: Arc::new(Host {
                started: Instant::now(),
                entropy: Mutex::new(SecretPrng::new(Seed::new(seed))),
                passwords: Pool::new(Effort::Password),
                replays: Pool::new(Effort::Replay),
                configs: Pool::new(Effort::Config),
                io: IoPool::start(io_workers)?,
                program: Arc::new(Program::open(Path::new("/proc/self/exe"))?),
                traffic: Arc::default(),
            }),
        })
    }

    /// Gives this process a name for `ps` and for those who ask who holds a port.
    pub fn name_process(name: &str) {
        if let Err(error) = std::fs::write("/proc/self/comm", name) {
            warn!("cannot set the name of this process: {error}");
        }
    }
}

impl Program {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path).map_err(|error| {
            let path = path.display();
            io::Error::new(error.kind(), format!("cannot open {path}: {error}"))
        })?;
        let metadata = file.metadata()?;
        let boot_id = proc::boot_id().map_err(|error| {
            let text = format!("cannot read the id of this boot: {error}; is /proc mounted?");
            io::Error::new(error.kind(), text)
        })?;
        Ok(Self {
            id: (metadata.dev(), metadata.ino()),
            file,
            boot_id,
        })
    }
}

/// The date, in microseconds since 1970; negative before.
pub(crate) fn unix_micros() -> i64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the date is read"
    )]
    let now = SystemTime::now();
    match now.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
    }
}

impl Env for OsEnv {
    type Udp = OsUdp;
    type Listener = OsListener;
    type Stream = OsStream;
    type Disk = OsDisk;
    type Processes = OsProcesses;

    fn now(&self) -> Timestamp {
        let since = self.host.started.elapsed().as_nanos();
        Timestamp::from_nanos(u64::try_from(since).unwrap_or(u64::MAX))
    }

    fn unix_ms(&self) -> u64 {
        u64::try_from(unix_micros() / 1000).unwrap_or(0)
    }

    fn usage(&self) -> Usage {
        usage::of_this_process(&self.host.traffic)
    }

    fn seed(&self) -> Seed {
        let mut entropy = self
            .host
            .entropy
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Seed::new(entropy.next_32())
    }

    async fn bind_udp(&self, at: &Endpoint) -> io::Result<OsUdp> {
        let traffic = Arc::clone(&self.host.traffic);
        sockets::bind_udp(sockets::own_address(at).await?, traffic)
    }

    async fn listen(&self, at: &Endpoint) -> io::Result<OsListener> {
        let traffic = Arc::clone(&self.host.traffic);
        sockets::listen(sockets::own_address(at).await?, traffic)
    }

    async fn port_holder(&self, at: &Endpoint) -> Option<String> {
        let address = sockets::own_address(at).await.ok()?;
        blocking(move || proc_net::holder(address)).await.ok()?
    }

    async fn connect(&self, to: &Endpoint) -> Result<(OsStream, SocketAddr), CloseReason> {
        let (stream, peer) = sockets::connect(to).await?;
        let traffic = Arc::clone(&self.host.traffic);
        Ok((OsStream::dialled(stream, traffic), peer))
    }

    async fn resolve(&self, to: &Endpoint) -> Result<SocketAddr, CloseReason> {
        sockets::own_address(to)
            .await
            .map_err(|_| CloseReason::UnknownHost)
    }

    async fn open_disk(&self, directory: &Path) -> Result<OsDisk, OpenDiskError> {
        let directory = directory.to_owned();
        let shown = directory.display().to_string();
        let refused = |source| OpenDiskError::Refused {
            action: "open",
            path: shown.clone(),
            directory: shown.clone(),
            source,
        };
        // A thread of its own: a file system that hangs holds it for ever.
        let io = self.host.io.clone();
        let (done, opened) = oneshot::channel();
        threads::spawn("vaquita-open", move || {
            let _ = done.send(OsDisk::open(&directory, io));
        })
        .map_err(refused)?;
        let lost = |_| refused(io::Error::other("this program has a bug there"));
        opened.await.map_err(lost)?
    }

    fn processes(&self, folders: HostFolders) -> io::Result<OsProcesses> {
        OsProcesses::new(
            Arc::clone(&self.host.program),
            folders,
            self.host.io.clone(),
        )
    }

    async fn compute<T: Send + 'static>(
        &self,
        effort: Effort,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let pool = match effort {
            Effort::Password => &self.host.passwords,
            Effort::Replay => &self.host.replays,
            Effort::Config => &self.host.configs,
        };
        pool.run(work).await
    }
}
