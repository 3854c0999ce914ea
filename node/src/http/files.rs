//! The contents of files: what this interface needs of whoever carries chunks to and fro.
//!
//! Names, directories and states are asked of the machine like everything else. Bytes are not: a
//! machine never sees them. They pass between a connection and a [`Files`], in both directions
//! piece by piece.

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use thiserror::Error;
use tokio::time::timeout;
use vaquita_core::admin::{Caller, Refusal};
use vaquita_core::dfs::ask::{Committed, Entry, Expect};
use vaquita_core::dfs::ids::OpId;
use vaquita_core::dfs::path::DfsPath;

/// Reads and writes the contents of files, on a data node.
///
/// Callers have been admitted: they may read or write files. Dropping a future gives up what it
/// does; a write that is dropped before it is committed is aborted.
pub trait Files: Clone + Send + Sync + 'static {
    /// A file that can be read.
    type File: OpenFile;

    /// Looks a path up. A directory is opened too, for its entry alone.
    fn open(
        &self,
        caller: Caller,
        path: DfsPath,
    ) -> impl Future<Output = Result<Self::File, Refusal>> + Send;

    /// Writes a file, and returns once the write is committed.
    ///
    /// The body is not touched before the write is known to be worth it (the controller has given
    /// places for its first chunk): the first look at it tells a waiting client to send. A write
    /// whose operation was carried out before is answered as it was then, without its body being
    /// read.
    fn put(
        &self,
        put: Put,
        body: Upload,
    ) -> impl Future<Output = Result<Committed, PutError>> + Send;
}

/// What is to be written, beside the bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Put {
    /// Who writes.
    pub caller: Caller,
    /// By which a repetition is recognised.
    pub op: OpId,
    /// The file.
    pub path: DfsPath,
    /// What has to be there now.
    pub expect: Expect,
    /// How many bytes will come, where the client has said so.
    pub len: Option<u64>,
}

/// A content of a file, pinned: whatever becomes of its name, this is what is read.
pub trait OpenFile: Send + 'static {
    /// Its bytes on their way.
    type Bytes: FileBytes;

    /// What is at the path.
    fn entry(&self) -> &Entry;

    /// Length of each of the file's chunks but the last, in bytes: the digest of a file of several
    /// chunks is made of theirs. 0 for a directory and for an empty file.
    fn chunk_bytes(&self) -> u64;

    /// What has happened to the file that its readers should know, in words.
    fn remark(&self) -> Option<&str>;

    /// Reads a part of it. The range lies within the file.
    fn read(self, range: Range<u64>) -> Self::Bytes;
}

/// Bytes of a file on their way to a client.
pub trait FileBytes: Send + 'static {
    /// The next piece, verified, neither empty nor larger than a MiB; `None` at the end. After a
    /// refusal nothing more is asked, and the client sees its connection break off.
    fn next(&mut self) -> impl Future<Output = Option<Result<Bytes, Refusal>>> + Send;
}

/// Why a file was not written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PutError {
    /// The cluster does not do it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The bytes did not come.
    #[error(transparent)]
    Upload(#[from] UploadError),
}

/// Why the bytes of a write did not come.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UploadError {
    /// None came for too long.
    #[error("no byte of the body came for {} s after the first {received}", waited.as_secs())]
    Stalled {
        /// Bytes that had come.
        received: u64,
        /// How long was waited.
        waited: Duration,
    },
    /// The connection ended, or what came is no body.
    #[error("the body broke off after {received} bytes: {reason}")]
    Broken {
        /// Bytes that had come.
        received: u64,
        /// In the words of the HTTP library.
        reason: String,
    },
}

/// The bytes that a client sends, as they come. There is no limit to how many: space is what limits
/// a file.
pub struct Upload {
    body: Body,
    patience: Duration,
    received: u64,
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

impl Upload {
    pub(super) const fn new(body: Body, patience: Duration) -> Self {
        Self {
            body,
            patience,
            received: 0,
        }
    }

    /// The next piece, as it came from the connection; `None` at the end.
    ///
    /// # Errors
    /// If none comes in time, or the connection breaks. There is nothing more to be had then.
    pub async fn next(&mut self) -> Option<Result<Bytes, UploadError>> {
        loop {
            let frame = match timeout(self.patience, self.body.frame()).await {
                Ok(frame) => frame?,
                Err(_) => {
                    return Some(Err(UploadError::Stalled {
                        received: self.received,
                        waited: self.patience,
                    }));
                }
            };
            match frame {
                Ok(frame) => {
                    // What is no data is a trailer, and nobody asked for one.
                    let Ok(bytes) = frame.into_data() else {
                        continue;
                    };
                    if !bytes.is_empty() {
                        self.received += bytes.len() as u64;
                        return Some(Ok(bytes));
                    }
                }
                Err(error) => {
                    return Some(Err(UploadError::Broken {
                        received: self.received,
                        reason: error.to_string(),
                    }));
                }
            }
        }
    }
}

/// Of a process that has no files: there is no value of it.
#[derive(Clone, Copy, Debug)]
pub enum NoFiles {}

impl Files for NoFiles {
    type File = Self;

    async fn open(&self, _: Caller, _: DfsPath) -> Result<Self, Refusal> {
        match *self {}
    }

    async fn put(&self, _: Put, _: Upload) -> Result<Committed, PutError> {
        match *self {}
    }
}

impl OpenFile for NoFiles {
    type Bytes = Self;

    fn entry(&self) -> &Entry {
        match *self {}
    }

    fn chunk_bytes(&self) -> u64 {
        match *self {}
    }

    fn remark(&self) -> Option<&str> {
        match *self {}
    }

    fn read(self, _: Range<u64>) -> Self {
        match self {}
    }
}

impl FileBytes for NoFiles {
    async fn next(&mut self) -> Option<Result<Bytes, Refusal>> {
        match *self {}
    }
}
