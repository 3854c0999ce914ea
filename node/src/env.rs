//! The only door through which a node reaches the outside world.
//!
//! The driver is generic over [`Env`]: the binary gives it the operating system
//! ([`OsEnv`](crate::os_env::OsEnv)), a simulation gives it hosts that do not exist. Nothing else
//! in this crate opens a socket or a file of the machine's directory, starts a process or a thread,
//! reads a clock or draws entropy. Time-outs are taken from [`tokio::time`] directly, which both
//! worlds govern.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use vaquita_core::disk::{DiskBatch, DiskFault, FileName};
use vaquita_core::ids::{Alias, Endpoint};
use vaquita_core::io::CloseReason;
use vaquita_core::prng::Seed;
use vaquita_core::process::{ProcessEvent, ProcessOrder};
use vaquita_core::time::Timestamp;

/// Everything outside of the process.
///
/// Cloned freely; all clones are the same world. An implementation that simulates may ignore the
/// host part of an address to bind (its hosts have one address each).
pub trait Env: Clone + Send + Sync + 'static {
    /// A bound UDP socket.
    type Udp: Udp;
    /// A listening TCP socket.
    type Listener: Listener<Stream = Self::Stream>;
    /// A TCP connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// A machine's directory.
    type Disk: Disk;
    /// The processes of this host.
    type Processes: Processes;

    /// Monotonic time since this process started. In step with [`tokio::time`].
    fn now(&self) -> Timestamp;

    /// The date, in milliseconds since 1970: for people and for the expiry of tokens. May jump.
    fn unix_ms(&self) -> u64;

    /// Entropy nobody can guess, new at each call.
    fn seed(&self) -> Seed;

    /// What this process and its host use at this moment, as far as the host tells; what is counted is
    /// counted from the start of the process. Takes microseconds, and never waits for a disk.
    fn usage(&self) -> Usage;

    /// Binds a UDP socket.
    fn bind_udp(&self, at: &Endpoint) -> impl Future<Output = io::Result<Self::Udp>> + Send;

    /// Listens for TCP connections. Port 0 lets the host choose.
    fn listen(&self, at: &Endpoint) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// Which process has that port, in words (`pid 4711 (nginx)`), where the host tells.
    fn port_holder(&self, at: &Endpoint) -> impl Future<Output = Option<String>> + Send;

    /// Opens a TCP connection, trying each address of the host. The caller sets the time-out.
    fn connect(
        &self,
        to: &Endpoint,
    ) -> impl Future<Output = Result<(Self::Stream, SocketAddr), CloseReason>> + Send;

    /// Looks up a host name for sending datagrams. The caller sets the time-out.
    fn resolve(
        &self,
        to: &Endpoint,
    ) -> impl Future<Output = Result<SocketAddr, CloseReason>> + Send;

    /// Creates a directory if need be, locks it for the life of this process and opens it.
    fn open_disk(
        &self,
        directory: &Path,
    ) -> impl Future<Output = Result<Self::Disk, OpenDiskError>> + Send;

    /// Takes charge of the data nodes of this host.
    ///
    /// # Errors
    /// If the host does not let this process start others.
    fn processes(&self, folders: HostFolders) -> io::Result<Self::Processes>;

    /// Runs something that takes milliseconds or more where it delays nobody.
    ///
    /// `None` if too much of its [`Effort`] is waiting already: the caller should say so to whoever
    /// asked, not queue.
    fn compute<T: Send + 'static>(
        &self,
        effort: Effort,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Option<T>> + Send;
}

/// What a process and its host use. What the host does not tell is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Memory of the process that is in use (resident set), in bytes.
    pub memory_bytes: u64,
    /// Processor time of all its threads, counted, in microseconds.
    pub cpu_us: u64,
    /// Load average of the host over one minute, in thousandths.
    pub load_milli: u64,
    /// Threads of the process.
    pub threads: u64,
    /// Bytes that the process has had read from disks, counted.
    pub disk_read_bytes: u64,
    /// Bytes that the process has had written to disks, counted.
    pub disk_written_bytes: u64,
    /// Bytes that it has sent on sockets of this door, datagrams too, counted.
    pub sent_bytes: u64,
    /// Bytes that it has received on them, counted.
    pub received_bytes: u64,
    /// Connections that were accepted and are open.
    pub connections: u64,
}

/// What a computation costs, and so how many of them may run and wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Hashing a password: tens of milliseconds and of megabytes. Two at a time, eight waiting.
    Password,
    /// Replaying a log: seconds. One at a time, one waiting.
    Replay,
    /// Reading, checking and writing the configuration files: milliseconds. One at a time, sixteen waiting.
    Config,
}

impl Effort {
    /// How many run at a time.
    #[must_use]
    pub const fn at_a_time(self) -> usize {
        match self {
            Self::Password => 2,
            Self::Replay | Self::Config => 1,
        }
    }

    /// How many may wait beside those that run.
    #[must_use]
    pub const fn waiting(self) -> usize {
        match self {
            Self::Password => 8,
            Self::Replay => 1,
            Self::Config => 16,
        }
    }
}

/// A bound UDP socket.
pub trait Udp: Send + Sync + 'static {
    /// The next datagram: its length and its sender. Longer ones are cut to `buffer`. Dropping the
    /// future loses nothing.
    fn recv_from(
        &self,
        buffer: &mut [u8],
    ) -> impl Future<Output = io::Result<(usize, SocketAddr)>> + Send;

    /// Sends a datagram at once, or fails with [`io::ErrorKind::WouldBlock`].
    ///
    /// # Errors
    /// As the network tells. A datagram may be lost all the same.
    fn try_send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<()>;

    /// How many datagrams the operating system has dropped on this socket since it was bound,
    /// because they came faster than they were read.
    fn dropped(&self) -> u64;
}

/// A listening TCP socket.
pub trait Listener: Send + 'static {
    /// What it accepts.
    type Stream;

    /// The next connection and where it comes from. Dropping the future loses nothing.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// Where it listens, with the port that was chosen.
    ///
    /// # Errors
    /// As the operating system tells.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// A directory that belongs to one machine and, while this value or a clone of it lives, to one
/// process.
pub trait Disk: Clone + Send + Sync + 'static {
    /// The bytes of a file that changes no more.
    type Sealed: AsRef<[u8]> + Send + Sync + 'static;

    /// Carries out a batch. The caller has no second batch of the same lane under way.
    fn apply(&self, batch: DiskBatch) -> impl Future<Output = Result<(), DiskFault>> + Send;

    /// What lies in the directory.
    fn list(&self) -> impl Future<Output = io::Result<Listing>> + Send;

    /// A whole file.
    fn read(&self, file: &FileName) -> impl Future<Output = io::Result<Vec<u8>>> + Send;

    /// A file to which nothing is ever written again, such as a sealed log segment. Its bytes may
    /// be read from the disk only when they are looked at, so look at them where that may take
    /// time ([`Env::compute`]).
    fn open_sealed(&self, file: &FileName)
    -> impl Future<Output = io::Result<Self::Sealed>> + Send;

    /// Bytes of a file from `offset` on: `len` of them, or fewer where the file ends. Waits for no
    /// lane.
    ///
    /// A read that hangs holds a thread of this directory alone, as [`Disk::append`] and
    /// [`Disk::inspect`] do; the caller bounds how many run at a time.
    fn read_at(
        &self,
        file: &FileName,
        offset: u64,
        len: usize,
    ) -> impl Future<Output = io::Result<Bytes>> + Send;

    /// Has the next read of these bytes come from the disk, as far as that can be had: what the
    /// operating system remembers of them says nothing of the disk.
    fn forget_cached(
        &self,
        file: &FileName,
        offset: u64,
        len: u64,
    ) -> impl Future<Output = io::Result<()>> + Send;

    /// Writes all of `bytes` at `offset`, which is the file's present length, beside the lanes: for
    /// a long file that one writer fills, and a batch later syncs.
    ///
    /// The caller waits for each write to a file before the next one to it.
    fn append(
        &self,
        file: &FileName,
        offset: u64,
        bytes: Bytes,
    ) -> impl Future<Output = Result<(), DiskFault>> + Send;

    /// How much room there is on the file system of the directory.
    fn space(&self) -> impl Future<Output = io::Result<Space>> + Send;

    /// Runs work that reads much of the directory where it may block.
    fn inspect<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn ReadFiles) -> T + Send + 'static,
    ) -> impl Future<Output = io::Result<T>> + Send;
}

/// Room on a file system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// Bytes in all.
    pub capacity: u64,
    /// Bytes free for this user.
    pub free: u64,
}

/// A directory as [`Disk::inspect`] shows it: each call may block for as long as the disk does.
pub trait ReadFiles {
    /// As [`Disk::list`].
    ///
    /// # Errors
    /// As the operating system tells.
    fn list(&self) -> io::Result<Listing>;

    /// As [`Disk::read_at`].
    ///
    /// # Errors
    /// As the operating system tells.
    fn read_at(&self, file: &FileName, offset: u64, len: usize) -> io::Result<Vec<u8>>;
}

/// What lies in a machine's directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Files that a machine may have made, with their lengths.
    pub files: BTreeMap<FileName, u64>,
    /// Everything else by name, sorted: not ours, left alone.
    pub foreign: Vec<String>,
}

/// Why a machine's directory cannot be had.
#[derive(Debug, Error)]
pub enum OpenDiskError {
    /// Another process has locked it. Nothing was changed.
    #[error(
        "{directory} is in use by {}: only one process may work on it. Stop that one first, or \
         start this one with another home",
        holder.as_deref().unwrap_or("another process")
    )]
    InUse {
        /// The directory.
        directory: String,
        /// That process in words (`pid 4711 (vaquita)`), where it can be told.
        holder: Option<String>,
    },
    /// The operating system refused.
    #[error("cannot {action} {path}: {source}; the user of this process has to own {directory}")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: String,
        /// The directory asked for.
        directory: String,
        /// The operating system's words.
        source: io::Error,
    },
}

/// Where the data nodes of an agent live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFolders {
    /// The agent's home; a node's home is the folder of its alias in it.
    pub home: PathBuf,
    /// The folder of the agent's log file; a node's log is `<alias>.log` in it.
    pub logs: PathBuf,
    /// The process's own alias and log file, which is called otherwise.
    pub own_log: Option<(Alias, PathBuf)>,
}

/// The processes of a host.
pub trait Processes: Send + 'static {
    /// Carries out orders until their channel is closed, and reports until nobody listens.
    ///
    /// Orders about different nodes do not wait for each other. Processes that were started live
    /// on when this future is dropped.
    fn run(
        self,
        orders: mpsc::Receiver<ProcessOrder>,
        events: mpsc::Sender<ProcessEvent>,
    ) -> impl Future<Output = ()> + Send;
}
