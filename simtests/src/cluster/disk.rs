//! Directories that forget at a power cut what was not synced.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use vaquita_core::disk::{DiskBatch, DiskFault, DiskFaultKind, DiskOp, FileName};
use vaquita_node::env::{Disk, Listing, OpenDiskError, ReadFiles, Space};

use super::shared::lock;

/// How long a sync takes.
const SYNC: Duration = Duration::from_millis(1);
/// How long reading or writing a piece of a file takes.
const PIECE: Duration = Duration::from_micros(100);
/// Bytes of each directory's file system.
const CAPACITY: u64 = 1 << 30;

/// A directory: what the cache has, and what the platters have.
#[derive(Debug, Default)]
pub(super) struct Store {
    files: BTreeMap<FileName, usize>,
    durable_files: BTreeMap<FileName, usize>,
    inodes: Vec<Inode>,
    /// Lives as long as a process has the directory open.
    holder: Weak<()>,
}

#[derive(Debug, Default)]
struct Inode {
    bytes: Vec<u8>,
    synced: Vec<u8>,
}

impl Store {
    /// Takes away what was never synced: contents without `Sync`, names without `SyncDir`.
    pub(super) fn power_cut(&mut self) {
        self.files = self.durable_files.clone();
        for inode in &mut self.inodes {
            inode.bytes = inode.synced.clone();
        }
    }

    fn inode(&mut self, file: &FileName) -> Result<&mut Inode, String> {
        let index = *self
            .files
            .get(file)
            .ok_or_else(|| format!("{file}: no such file"))?;
        Ok(&mut self.inodes[index])
    }

    fn list(&self) -> Listing {
        let files = self
            .files
            .iter()
            .map(|(name, &index)| (name.clone(), self.inodes[index].bytes.len() as u64))
            .collect();
        Listing {
            files,
            foreign: Vec::new(),
        }
    }

    fn read_at(&mut self, file: &FileName, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let missing = |message| io::Error::new(io::ErrorKind::NotFound, message);
        let inode = self.inode(file).map_err(missing)?;
        let there = usize::try_from(offset).ok();
        let rest = there.and_then(|offset| inode.bytes.get(offset..));
        let rest = rest.unwrap_or_default();
        Ok(rest[..len.min(rest.len())].to_vec())
    }

    fn carry_out(&mut self, op: &DiskOp) -> Result<(), String> {
        match op {
            DiskOp::CreateNew { file } if self.files.contains_key(file) => {
                return Err(format!("{file}: exists"));
            }
            DiskOp::CreateNew { file } | DiskOp::CreateOrEmpty { file } => {
                self.inodes.push(Inode::default());
                self.files.insert(file.clone(), self.inodes.len() - 1);
            }
            DiskOp::Append {
                file,
                offset,
                bytes,
            } => {
                let inode = self.inode(file)?;
                let len = inode.bytes.len() as u64;
                if len != *offset {
                    return Err(format!(
                        "{file} is {len} bytes long and was to be written at {offset}"
                    ));
                }
                inode.bytes.extend_from_slice(bytes);
            }
            DiskOp::Truncate { file, len } => {
                let len = usize::try_from(*len).map_err(|error| error.to_string())?;
                self.inode(file)?.bytes.truncate(len);
            }
            // These disks are never full: space is set aside by the name alone.
            DiskOp::Reserve { file, .. } => {
                if !self.files.contains_key(file) {
                    self.inodes.push(Inode::default());
                    self.files.insert(file.clone(), self.inodes.len() - 1);
                }
            }
            DiskOp::Sync { file } => {
                let inode = self.inode(file)?;
                inode.synced = inode.bytes.clone();
            }
            DiskOp::Rename { from, to } => {
                let index = self
                    .files
                    .remove(from)
                    .ok_or_else(|| format!("{from}: no such file"))?;
                self.files.insert(to.clone(), index);
            }
            DiskOp::Remove { file } => {
                self.files.remove(file);
            }
            DiskOp::SyncDir => self.durable_files = self.files.clone(),
        }
        Ok(())
    }
}

/// A machine's directory, locked for as long as this value or a clone of it lives.
#[derive(Clone, Debug)]
pub struct TurmoilDisk {
    store: Arc<Mutex<Store>>,
    _hold: Arc<()>,
}

impl TurmoilDisk {
    /// Opens a directory, unless another process has it.
    pub(super) fn open(store: Arc<Mutex<Store>>, name: String) -> Result<Self, OpenDiskError> {
        let hold = Arc::new(());
        let mut guard = lock(&store);
        if guard.holder.strong_count() > 0 {
            return Err(OpenDiskError::InUse {
                directory: name,
                holder: None,
            });
        }
        guard.holder = Arc::downgrade(&hold);
        drop(guard);
        Ok(Self { store, _hold: hold })
    }
}

impl Disk for TurmoilDisk {
    async fn forget_cached(&self, _: &FileName, _: u64, _: u64) -> io::Result<()> {
        // Nothing is remembered beside the disk.
        Ok(())
    }

    type Sealed = Vec<u8>;

    async fn apply(&self, batch: DiskBatch) -> Result<(), DiskFault> {
        for (index, op) in batch.ops.iter().enumerate() {
            if matches!(op, DiskOp::Sync { .. } | DiskOp::SyncDir) {
                tokio::time::sleep(SYNC).await;
            }
            lock(&self.store)
                .carry_out(op)
                .map_err(|message| fault(index, format!("{op:?}"), message))?;
        }
        Ok(())
    }

    async fn list(&self) -> io::Result<Listing> {
        Ok(lock(&self.store).list())
    }

    async fn read(&self, file: &FileName) -> io::Result<Vec<u8>> {
        let mut store = lock(&self.store);
        store
            .inode(file)
            .map(|inode| inode.bytes.clone())
            .map_err(io::Error::other)
    }

    async fn open_sealed(&self, file: &FileName) -> io::Result<Vec<u8>> {
        self.read(file).await
    }

    async fn read_at(&self, file: &FileName, offset: u64, len: usize) -> io::Result<Bytes> {
        tokio::time::sleep(PIECE).await;
        lock(&self.store)
            .read_at(file, offset, len)
            .map(Bytes::from)
    }

    async fn append(&self, file: &FileName, offset: u64, bytes: Bytes) -> Result<(), DiskFault> {
        tokio::time::sleep(PIECE).await;
        let op = DiskOp::Append {
            file: file.clone(),
            offset,
            bytes: bytes.into(),
        };
        lock(&self.store).carry_out(&op).map_err(|message| {
            let op = format!("write to {file} at {offset}");
            fault(0, op, message)
        })
    }

    async fn space(&self) -> io::Result<Space> {
        let used = lock(&self.store).list().files.into_values().sum();
        Ok(Space {
            capacity: CAPACITY,
            free: CAPACITY.saturating_sub(used),
        })
    }

    async fn inspect<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn ReadFiles) -> T + Send + 'static,
    ) -> io::Result<T> {
        // In place: a thread would be outside of the simulation.
        tokio::time::sleep(PIECE).await;
        Ok(work(&Inspected(&self.store)))
    }
}

/// A directory that is read much of at once.
struct Inspected<'a>(&'a Mutex<Store>);

impl ReadFiles for Inspected<'_> {
    fn list(&self) -> io::Result<Listing> {
        Ok(lock(self.0).list())
    }

    fn read_at(&self, file: &FileName, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        lock(self.0).read_at(file, offset, len)
    }
}

fn fault(failed_op: usize, op: String, message: String) -> DiskFault {
    DiskFault {
        kind: DiskFaultKind::Io,
        failed_op,
        op,
        message,
    }
}
