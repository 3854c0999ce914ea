//! A machine's directory on a real file system.
//!
//! One thread for each lane does what a [`DiskBatch`] says, with the system calls its names stand
//! for; files of a home are read by the I/O workers; a few more threads, started when there is work
//! for them, read and append beside the lanes, so that a volume that hangs holds up no other. Files
//! are opened relative to the directory's descriptor, so that renaming the directory, or
//! putting another in its place, does not lead a running process astray.

mod lock;
mod ops;
mod pool;
mod sealed;

use std::io;
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{Mode, OFlags};
use tokio::sync::{mpsc, oneshot};
use vaquita_core::disk::{DiskBatch, DiskFault, DiskFaultKind, FileName, Lane};

#[cfg(test)]
pub(super) use ops::kind_of_errno;
pub use sealed::Sealed;

use super::io_pool::IoPool;
use super::threads::spawn;
use crate::env::{Disk, Listing, OpenDiskError, ReadFiles, Space};
use lock::Lock;
use ops::Files;
use pool::Pool;

/// Name of the file that is locked for the life of a process. No [`FileName`] can spell it.
const LOCK: &str = "LOCK";

/// A locked directory of the operating system.
#[derive(Clone, Debug)]
pub struct OsDisk {
    directory: Arc<Directory>,
    files: Arc<Files>,
    io: IoPool,
    pool: Arc<Pool>,
    foreground: mpsc::Sender<Task>,
    background: mpsc::Sender<Task>,
}

/// A batch and the way back to who waits for it.
type Task = (DiskBatch, oneshot::Sender<Result<(), DiskFault>>);

/// The open directory. The threads share it, so that the lock outlives every write.
#[derive(Debug)]
struct Directory {
    path: PathBuf,
    fd: OwnedFd,
    _lock: Lock,
}

impl OsDisk {
    /// Creates the directory if need be (mode 0700), locks it, opens it and starts its lanes.
    pub(super) fn open(path: &Path, io: IoPool) -> Result<Self, OpenDiskError> {
        let directory = Arc::new(Directory::take(path)?);
        let path = directory.path.clone();
        let files = Arc::new(Files::default());
        let refused = |action: &'static str, at: &Path, source: io::Error| OpenDiskError::Refused {
            action,
            path: at.display().to_string(),
            directory: path.display().to_string(),
            source,
        };
        let lane = |name| {
            let (sender, tasks) = mpsc::channel(1);
            let directory = Arc::clone(&directory);
            let files = Arc::clone(&files);
            spawn(name, move || work(&directory, &files, tasks))
                .map_err(|error| refused("start a thread for", &path, error))?;
            Ok(sender)
        };
        let foreground = lane("vaquita-disk")?;
        let background = lane("vaquita-disk-bg")?;
        Ok(Self {
            directory,
            files,
            io,
            pool: Arc::new(Pool::new()),
            foreground,
            background,
        })
    }
}

/// Creates a directory and its missing parents, for this user alone. One that exists is left as it
/// is.
pub(super) fn create_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;

    if path.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)?;
    // The name is durable only when the parent is; else a power cut could take the whole home.
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        std::fs::File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// The life of a lane's thread.
fn work(directory: &Directory, files: &Files, mut tasks: mpsc::Receiver<Task>) {
    while let Some((batch, done)) = tasks.blocking_recv() {
        let result = files.apply(directory, &batch);
        // Whoever waited may be gone; the work is done all the same.
        let _ = done.send(result);
    }
}

impl Disk for OsDisk {
    type Sealed = Sealed;

    async fn apply(&self, batch: DiskBatch) -> Result<(), DiskFault> {
        let lane = match batch.lane {
            Lane::Foreground => &self.foreground,
            Lane::Background => &self.background,
        };
        let (done, outcome) = oneshot::channel();
        // Both fail only when the thread is gone, which is only when it panicked.
        let lost = || DiskFault {
            kind: DiskFaultKind::Io,
            failed_op: 0,
            op: format!("work on {}", self.directory.path.display()),
            message: "the thread that writes there ended by a bug in this program".to_owned(),
        };
        lane.send((batch, done)).await.map_err(|_| lost())?;
        outcome.await.unwrap_or_else(|_| Err(lost()))
    }

    async fn list(&self) -> io::Result<Listing> {
        let directory = Arc::clone(&self.directory);
        self.io.run(move || directory.list()).await?
    }

    async fn read(&self, file: &FileName) -> io::Result<Vec<u8>> {
        let directory = Arc::clone(&self.directory);
        let file = file.clone();
        self.io.run(move || directory.read(&file)).await?
    }

    async fn open_sealed(&self, file: &FileName) -> io::Result<Sealed> {
        let directory = Arc::clone(&self.directory);
        let file = file.clone();
        self.io
            .run(move || Sealed::map(&directory.open(&file)?))
            .await?
    }

    async fn read_at(&self, file: &FileName, offset: u64, len: usize) -> io::Result<Bytes> {
        let directory = Arc::clone(&self.directory);
        let file = file.clone();
        let read = move || ReadFiles::read_at(&*directory, &file, offset, len);
        self.pool.run(read).await?.map(Bytes::from)
    }

    async fn forget_cached(&self, file: &FileName, offset: u64, len: u64) -> io::Result<()> {
        let directory = Arc::clone(&self.directory);
        let file = file.clone();
        let forget = move || {
            let file = directory.open(&file)?;
            // What the kernel keeps in one piece, which may be up to a huge page, is forgotten as a
            // whole or not at all.
            const FOLIO_MAX: u64 = 2 * 1024 * 1024;
            let begin = offset - offset % FOLIO_MAX;
            let end = offset.saturating_add(len).next_multiple_of(FOLIO_MAX);
            let len = NonZeroU64::new(end - begin);
            rustix::fs::fadvise(&file, begin, len, rustix::fs::Advice::DontNeed)?;
            Ok(())
        };
        self.pool.run(forget).await?
    }

    async fn append(&self, file: &FileName, offset: u64, bytes: Bytes) -> Result<(), DiskFault> {
        let directory = Arc::clone(&self.directory);
        let files = Arc::clone(&self.files);
        let name = file.clone();
        let append = move || files.append(&directory, &name, offset, &bytes);
        let result = self.pool.run(append).await;
        result.unwrap_or_else(|error| {
            Err(DiskFault {
                kind: DiskFaultKind::Io,
                failed_op: 0,
                op: format!(
                    "write to {}",
                    self.directory.path.join(file.as_str()).display()
                ),
                message: error.to_string(),
            })
        })
    }

    async fn space(&self) -> io::Result<Space> {
        let directory = Arc::clone(&self.directory);
        self.pool.run(move || directory.space()).await?
    }

    async fn inspect<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn ReadFiles) -> T + Send + 'static,
    ) -> io::Result<T> {
        let directory = Arc::clone(&self.directory);
        self.pool.run(move || work(&*directory)).await
    }
}

impl ReadFiles for Directory {
    fn list(&self) -> io::Result<Listing> {
        let mut listing = Listing::default();
        for entry in rustix::fs::Dir::read_from(&self.fd)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy();
            if matches!(&*name, "." | ".." | LOCK) {
                continue;
            }
            let status = rustix::fs::statat(
                &self.fd,
                entry.file_name(),
                rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
            )?;
            let regular = rustix::fs::FileType::from_raw_mode(status.st_mode).is_file();
            match FileName::new(&name).filter(|_| regular) {
                Some(file) => {
                    let len = u64::try_from(status.st_size).unwrap_or(0);
                    listing.files.insert(file, len);
                }
                None => listing.foreign.push(name.into_owned()),
            }
        }
        listing.foreign.sort();
        Ok(listing)
    }

    fn read_at(&self, file: &FileName, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let file = self.open(file)?;
        // What is beyond the end is not there to be kept room for.
        let there = file.metadata()?.len().saturating_sub(offset);
        let mut bytes = vec![0; usize::try_from(there).unwrap_or(len).min(len)];
        let mut filled = 0;
        while filled < bytes.len() {
            let at = offset.saturating_add(filled as u64);
            match file.read_at(&mut bytes[filled..], at) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}

impl Directory {
    /// Creates the directory if need be (mode 0700), locks it and opens it.
    fn take(path: &Path) -> Result<Self, OpenDiskError> {
        let refused = |action: &'static str, at: &Path, source: io::Error| OpenDiskError::Refused {
            action,
            path: at.display().to_string(),
            directory: path.display().to_string(),
            source,
        };
        create_private(path).map_err(|error| refused("create the directory", path, error))?;
        // From here on the real place counts, whatever a later change of directory does.
        let path = std::fs::canonicalize(path)
            .map_err(|error| refused("find the directory", path, error))?;
        let fd = rustix::fs::open(
            &path,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|error| refused("open the directory", &path, error.into()))?;
        let lock = Lock::take(&fd, &path)?;
        Ok(Self {
            path,
            fd,
            _lock: lock,
        })
    }

    fn space(&self) -> io::Result<Space> {
        let status = rustix::fs::fstatvfs(&self.fd)?;
        Ok(Space {
            capacity: status.f_blocks.saturating_mul(status.f_frsize),
            free: status.f_bavail.saturating_mul(status.f_frsize),
        })
    }

    fn read(&self, file: &FileName) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut self.open(file)?, &mut bytes)?;
        Ok(bytes)
    }

    /// Opens a file of the directory for reading; a symbolic link is refused.
    fn open(&self, file: &FileName) -> io::Result<std::fs::File> {
        let fd = rustix::fs::openat(
            &self.fd,
            file.as_str(),
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        Ok(fd.into())
    }
}
