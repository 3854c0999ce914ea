//! A host that does not exist: connections through memory, disks that hang and rot on order.

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rustix::io::Errno;
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::Instant;
use vaquita_core::disk::{DiskBatch, DiskFault, DiskFaultKind, DiskOp, FileName};
use vaquita_core::ids::Endpoint;
use vaquita_core::io::CloseReason;
use vaquita_core::prng::{SecretPrng, Seed};
use vaquita_core::process::{ProcessEvent, ProcessOrder};
use vaquita_core::time::Timestamp;

use crate::env::{
    Disk, Effort, Env, HostFolders, Listener, Listing, OpenDiskError, Processes, ReadFiles, Space,
    Udp, Usage,
};

/// Bytes under way in one direction of a connection.
const UNDER_WAY: usize = 256 * 1024;

/// The outside world of all nodes of a test.
#[derive(Clone)]
pub(super) struct MemoryEnv {
    world: Arc<World>,
    started: Instant,
}

#[derive(Default)]
struct World {
    listeners: Mutex<BTreeMap<u16, mpsc::UnboundedSender<(DuplexStream, SocketAddr)>>>,
    disks: Mutex<BTreeMap<String, MemoryDisk>>,
    seeds: AtomicU64,
    dialled: AtomicU64,
    /// Where connections seem to come from.
    from: Mutex<Option<IpAddr>>,
}

impl MemoryEnv {
    pub(super) fn new() -> Self {
        Self {
            world: Arc::default(),
            started: Instant::now(),
        }
    }

    /// The disk that is, or will be, at this path.
    pub(super) fn disk(&self, path: &str) -> MemoryDisk {
        let mut disks = self.world.disks.lock().unwrap();
        disks.entry(path.to_owned()).or_default().clone()
    }

    /// Connections opened so far.
    pub(super) fn dialled(&self) -> u64 {
        self.world.dialled.load(Ordering::Relaxed)
    }

    /// 32 bytes that were never used before.
    pub(super) fn seed_bytes(&self) -> [u8; 32] {
        SecretPrng::new(self.seed()).next_32()
    }

    pub(super) fn come_from(&self, address: IpAddr) {
        *self.world.from.lock().unwrap() = Some(address);
    }
}

pub(super) fn endpoint(port: u16) -> Endpoint {
    Endpoint {
        host: "memory".to_owned(),
        port,
    }
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

impl Env for MemoryEnv {
    type Udp = Deaf;
    type Listener = MemoryListener;
    type Stream = DuplexStream;
    type Disk = MemoryDisk;
    type Processes = Deaf;

    fn now(&self) -> Timestamp {
        Timestamp::ZERO.after(self.started.elapsed())
    }

    fn unix_ms(&self) -> u64 {
        0
    }

    fn usage(&self) -> Usage {
        Usage::default()
    }

    fn seed(&self) -> Seed {
        Seed::from_number(self.world.seeds.fetch_add(1, Ordering::Relaxed))
    }

    async fn bind_udp(&self, _: &Endpoint) -> io::Result<Deaf> {
        Ok(Deaf)
    }

    async fn listen(&self, at: &Endpoint) -> io::Result<MemoryListener> {
        let (sender, accepted) = mpsc::unbounded_channel();
        self.world.listeners.lock().unwrap().insert(at.port, sender);
        let port = at.port;
        Ok(MemoryListener { accepted, port })
    }

    async fn port_holder(&self, _: &Endpoint) -> Option<String> {
        None
    }

    async fn connect(&self, to: &Endpoint) -> Result<(DuplexStream, SocketAddr), CloseReason> {
        let (near, far) = duplex(UNDER_WAY);
        let from = self
            .world
            .from
            .lock()
            .unwrap()
            .map_or(address(1), |ip| SocketAddr::new(ip, 1));
        let listeners = self.world.listeners.lock().unwrap();
        let listener = listeners.get(&to.port).ok_or(CloseReason::Refused)?;
        listener
            .send((far, from))
            .map_err(|_| CloseReason::Refused)?;
        self.world.dialled.fetch_add(1, Ordering::Relaxed);
        Ok((near, address(to.port)))
    }

    async fn resolve(&self, to: &Endpoint) -> Result<SocketAddr, CloseReason> {
        Ok(address(to.port))
    }

    async fn open_disk(&self, directory: &Path) -> Result<MemoryDisk, OpenDiskError> {
        let disk = self.disk(&directory.display().to_string());
        disk.hang().await;
        if disk.with(|directory| directory.in_use) {
            return Err(OpenDiskError::InUse {
                directory: directory.display().to_string(),
                holder: None,
            });
        }
        Ok(disk)
    }

    fn processes(&self, _: HostFolders) -> io::Result<Deaf> {
        Ok(Deaf)
    }

    async fn compute<T: Send + 'static>(
        &self,
        _: Effort,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        Some(work())
    }
}

/// A socket, or a supervisor, to which nothing ever happens.
pub(super) struct Deaf;

impl Udp for Deaf {
    async fn recv_from(&self, _: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        pending().await
    }

    fn try_send_to(&self, _: &[u8], _: SocketAddr) -> io::Result<()> {
        Ok(())
    }

    fn dropped(&self) -> u64 {
        0
    }
}

impl Processes for Deaf {
    async fn run(self, _: mpsc::Receiver<ProcessOrder>, _: mpsc::Sender<ProcessEvent>) {
        pending().await
    }
}

pub(super) struct MemoryListener {
    accepted: mpsc::UnboundedReceiver<(DuplexStream, SocketAddr)>,
    port: u16,
}

impl Listener for MemoryListener {
    type Stream = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, SocketAddr)> {
        match self.accepted.recv().await {
            Some(accepted) => Ok(accepted),
            None => pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(address(self.port))
    }
}

/// A directory in memory. All clones are the same.
#[derive(Clone, Default)]
pub(super) struct MemoryDisk(Arc<Mutex<Directory>>);

#[derive(Default)]
struct Directory {
    files: BTreeMap<FileName, Vec<u8>>,
    hangs: bool,
    fault: Option<DiskFaultKind>,
    read_fault: Option<Errno>,
    in_use: bool,
}

impl MemoryDisk {
    fn with<T>(&self, look: impl FnOnce(&mut Directory) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    /// From now on nothing is answered any more.
    pub(super) fn begin_to_hang(&self) {
        self.with(|directory| directory.hangs = true);
    }

    /// From now on every write meets this fault.
    pub(super) fn begin_to_fail(&self, kind: DiskFaultKind) {
        self.with(|directory| directory.fault = Some(kind));
    }

    /// From now on every reading of a part of a file ends like this.
    pub(super) fn fail_reads(&self, errno: Option<Errno>) {
        self.with(|directory| directory.read_fault = errno);
    }

    /// Whether somebody has it locked from now on.
    pub(super) fn lock(&self, in_use: bool) {
        self.with(|directory| directory.in_use = in_use);
    }

    /// Turns a bit of a file over.
    pub(super) fn rot(&self, file: &FileName, at: usize) {
        self.with(|directory| directory.files.get_mut(file).unwrap()[at] ^= 4);
    }

    /// The files with their lengths.
    pub(super) fn files(&self) -> BTreeMap<FileName, usize> {
        self.with(|directory| {
            let lens = directory
                .files
                .iter()
                .map(|(name, it)| (name.clone(), it.len()));
            lens.collect()
        })
    }

    /// Puts an empty file there.
    pub(super) fn touch(&self, name: &'static str) {
        self.with(|directory| directory.files.insert(FileName::fixed(name), Vec::new()));
    }

    pub(super) fn move_file(&self, from: &FileName, to: &FileName) {
        self.with(|directory| {
            let bytes = directory.files.remove(from).unwrap();
            directory.files.insert(to.clone(), bytes);
        });
    }

    async fn hang(&self) {
        if self.with(|directory| directory.hangs) {
            pending::<()>().await;
        }
        tokio::task::yield_now().await;
    }

    fn write(&self, op: &DiskOp) -> Result<(), (DiskFaultKind, String)> {
        self.with(|directory| {
            if let Some(kind) = directory.fault {
                return Err((kind, "as ordered".to_owned()));
            }
            let missing = || (DiskFaultKind::Io, "no such file".to_owned());
            match op {
                DiskOp::CreateNew { file } | DiskOp::CreateOrEmpty { file } => {
                    directory.files.insert(file.clone(), Vec::new());
                }
                DiskOp::Append {
                    file,
                    offset,
                    bytes,
                } => {
                    let present = directory.files.get_mut(file).ok_or_else(missing)?;
                    if present.len() as u64 != *offset {
                        let text = format!("{file} has {} bytes, not {offset}", present.len());
                        return Err((DiskFaultKind::Io, text));
                    }
                    present.extend_from_slice(bytes);
                }
                DiskOp::Rename { from, to } => {
                    let bytes = directory.files.remove(from).ok_or_else(missing)?;
                    directory.files.insert(to.clone(), bytes);
                }
                DiskOp::Remove { file } => {
                    directory.files.remove(file);
                }
                DiskOp::Truncate { .. }
                | DiskOp::Reserve { .. }
                | DiskOp::Sync { .. }
                | DiskOp::SyncDir => {}
            }
            Ok(())
        })
    }
}

impl Disk for MemoryDisk {
    async fn forget_cached(&self, _: &FileName, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }

    type Sealed = Vec<u8>;

    async fn apply(&self, batch: DiskBatch) -> Result<(), DiskFault> {
        for (failed_op, op) in batch.ops.iter().enumerate() {
            self.hang().await;
            self.write(op).map_err(|(kind, message)| DiskFault {
                kind,
                failed_op,
                op: "an operation".to_owned(),
                message,
            })?;
        }
        Ok(())
    }

    async fn list(&self) -> io::Result<Listing> {
        self.hang().await;
        ReadFiles::list(self)
    }

    async fn read(&self, file: &FileName) -> io::Result<Vec<u8>> {
        self.hang().await;
        ReadFiles::read_at(self, file, 0, usize::MAX)
    }

    async fn open_sealed(&self, file: &FileName) -> io::Result<Vec<u8>> {
        self.read(file).await
    }

    async fn read_at(&self, file: &FileName, offset: u64, len: usize) -> io::Result<Bytes> {
        self.hang().await;
        ReadFiles::read_at(self, file, offset, len).map(Bytes::from)
    }

    async fn append(&self, file: &FileName, offset: u64, bytes: Bytes) -> Result<(), DiskFault> {
        self.hang().await;
        let op = DiskOp::Append {
            file: file.clone(),
            offset,
            bytes: bytes.into(),
        };
        self.write(&op).map_err(|(kind, message)| DiskFault {
            kind,
            failed_op: 0,
            op: "append".to_owned(),
            message,
        })
    }

    async fn space(&self) -> io::Result<Space> {
        self.hang().await;
        let used: usize = self.files().into_values().sum();
        Ok(Space {
            capacity: 1 << 30,
            free: (1 << 30) - used as u64,
        })
    }

    async fn inspect<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn ReadFiles) -> T + Send + 'static,
    ) -> io::Result<T> {
        self.hang().await;
        Ok(work(self))
    }
}

impl ReadFiles for MemoryDisk {
    fn list(&self) -> io::Result<Listing> {
        let files = self.files();
        Ok(Listing {
            files: files
                .into_iter()
                .map(|(name, len)| (name, len as u64))
                .collect(),
            foreign: Vec::new(),
        })
    }

    fn read_at(&self, file: &FileName, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.with(|directory| {
            if let Some(errno) = directory.read_fault {
                return Err(errno.into());
            }
            let bytes = directory.files.get(file).ok_or(io::ErrorKind::NotFound)?;
            let rest = bytes.get(offset as usize..).unwrap_or_default();
            Ok(rest[..len.min(rest.len())].to_vec())
        })
    }
}
