//! What a command sends: a local file, or what comes in at standard input.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead as _, AsyncReadExt as _, ReadBuf, Stdin};
use tokio::sync::oneshot;
use vaquita_core::dfs::digest::{Digest, Summing};

use crate::cli::exit::{Failure, Status};
use crate::cli::progress::Tally;

/// How much is read at a time.
const PIECE: usize = 256 * 1024;
/// As much of standard input is kept, so that it can be sent once more.
const KEPT: usize = 8 * 1024 * 1024;

/// What standard input still has to give.
#[derive(Clone)]
pub(in crate::cli) struct Rest {
    stdin: Arc<Mutex<Stdin>>,
    /// Whether some of it was taken, so that it cannot be sent from its beginning any more.
    begun: Arc<AtomicBool>,
}

/// Where the bytes of a write come from.
pub(in crate::cli) enum Source {
    /// A local file: the bytes that it has when it is opened.
    File(PathBuf),
    /// All that standard input had to give.
    Memory(Bytes),
    /// The beginning of standard input, and the rest of it. It can be sent once.
    Stream {
        /// What was read already.
        head: Bytes,
        /// What is still to come.
        rest: Rest,
    },
}

impl Source {
    /// Standard input.
    pub(in crate::cli) async fn stdin() -> Result<Self, Failure> {
        let mut stdin = tokio::io::stdin();
        let mut head = Vec::new();
        (&mut stdin)
            .take(KEPT as u64)
            .read_to_end(&mut head)
            .await
            .map_err(|error| {
                Failure::new(
                    Status::Unreadable,
                    format!("standard input cannot be read: {error}"),
                )
            })?;
        let all = head.len() < KEPT;
        let head = Bytes::from(head);
        Ok(if all {
            Self::Memory(head)
        } else {
            Self::Stream {
                head,
                rest: Rest {
                    stdin: Arc::new(Mutex::new(stdin)),
                    begun: Arc::default(),
                },
            }
        })
    }

    /// Whether it can be sent from its beginning, now.
    pub(super) fn is_whole(&self) -> bool {
        match self {
            Self::Stream { rest, .. } => !rest.begun.load(Ordering::Acquire),
            _ => true,
        }
    }

    /// Its bytes from the beginning.
    pub(super) fn open(&self) -> Result<Reader, Failure> {
        match self {
            Self::File(path) => {
                let unreadable = |error| {
                    Failure::new(
                        Status::Unreadable,
                        format!("{} cannot be read: {error}", path.display()),
                    )
                };
                let file = File::open(path).map_err(unreadable)?;
                // It may have grown since it was looked at, or be another file by now.
                let left = file.metadata().map_err(unreadable)?.len();
                Ok(Reader::File {
                    file,
                    name: path.display().to_string(),
                    left,
                })
            }
            Self::Memory(bytes) => Ok(Reader::Memory(bytes.clone())),
            Self::Stream { head, rest } => Ok(Reader::Stream {
                head: head.clone(),
                rest: rest.clone(),
            }),
        }
    }
}

/// Bytes of a source on their way.
pub(super) enum Reader {
    File { file: File, name: String, left: u64 },
    Memory(Bytes),
    Stream { head: Bytes, rest: Rest },
}

impl Reader {
    /// The next piece, empty at the end.
    ///
    /// A local file is read on the spot: a command has nothing better to do.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        match self {
            Self::File { file, name, left } => {
                let most = usize::try_from(*left).unwrap_or(PIECE).min(PIECE);
                let mut piece = vec![0; most];
                let read = file
                    .read(&mut piece)
                    .map_err(|error| io::Error::other(format!("{name} cannot be read: {error}")))?;
                if read == 0 && *left > 0 {
                    return Poll::Ready(Err(io::Error::other(format!(
                        "{name} became shorter while it was read; put it once more"
                    ))));
                }
                piece.truncate(read);
                *left -= read as u64;
                Poll::Ready(Ok(Bytes::from(piece)))
            }
            Self::Memory(bytes) => Poll::Ready(Ok(bytes.split_to(bytes.len().min(PIECE)))),
            Self::Stream { head, .. } if !head.is_empty() => {
                Poll::Ready(Ok(head.split_to(head.len().min(PIECE))))
            }
            Self::Stream { rest, .. } => {
                let mut piece = vec![0; PIECE];
                let mut buffer = ReadBuf::new(&mut piece);
                rest.begun.store(true, Ordering::Release);
                let mut stdin = rest.stdin.lock().unwrap_or_else(PoisonError::into_inner);
                ready!(Pin::new(&mut *stdin).poll_read(cx, &mut buffer)).map_err(|error| {
                    io::Error::other(format!("standard input cannot be read: {error}"))
                })?;
                let read = buffer.filled().len();
                piece.truncate(read);
                Poll::Ready(Ok(Bytes::from(piece)))
            }
        }
    }

    fn left(&self) -> Option<u64> {
        match self {
            Self::File { left, .. } => Some(*left),
            Self::Memory(bytes) => Some(bytes.len() as u64),
            Self::Stream { .. } => None,
        }
    }
}

/// What is known of an upload from outside of it.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Bytes that were handed to the connection.
    pub(super) bytes: AtomicU64,
    /// Whether that were all of them.
    pub(super) all: AtomicBool,
    /// Their digest, once that were all.
    digest: Mutex<Option<Digest>>,
    /// Why they could not be read here.
    error: Mutex<Option<String>>,
}

impl Sent {
    /// The digest of the bytes, once all were sent.
    pub(super) fn digest(&self) -> Option<Digest> {
        *self.digest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the bytes could not be read here, if that is why they were not sent.
    pub(super) fn error(&self) -> Option<String> {
        let mut error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        error.take()
    }
}

/// The body of a request.
pub(super) enum Outgoing {
    /// Of one that carries nothing.
    Nothing,
    /// Bytes, once the server has said that it wants them.
    Bytes(Box<Bytewise>),
}

/// Bytes of a source as a body.
pub(super) struct Bytewise {
    reader: Reader,
    summing: Option<Summing>,
    wanted: Option<oneshot::Receiver<()>>,
    sent: Arc<Sent>,
    tally: Arc<Tally>,
}

impl Outgoing {
    /// Bytes, which are sent once `wanted` is told or dropped.
    pub(super) fn bytes(
        reader: Reader,
        wanted: oneshot::Receiver<()>,
        sent: Arc<Sent>,
        tally: Arc<Tally>,
    ) -> Self {
        let mut bytes = Bytewise {
            reader,
            summing: Some(Summing::default()),
            wanted: Some(wanted),
            sent,
            tally,
        };
        // Nobody asks for a piece of nothing.
        if bytes.reader.left() == Some(0) {
            bytes.finish();
        }
        Self::Bytes(Box::new(bytes))
    }
}

impl Bytewise {
    fn finish(&mut self) {
        if let Some(summing) = self.summing.take() {
            let digest = summing.finish().digest;
            let mut place = self
                .sent
                .digest
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *place = Some(digest);
            self.sent.all.store(true, Ordering::Release);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(wanted) = &mut self.wanted {
            // Dropped means that the answer is there already: what is sent now nobody reads, and it does not count.
            if ready!(Pin::new(wanted).poll(cx)).is_err() {
                self.summing = None;
            }
            self.wanted = None;
        }
        let piece = match ready!(self.reader.poll_next(cx)) {
            Ok(piece) => piece,
            Err(error) => {
                let mut place = self
                    .sent
                    .error
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                *place = Some(error.to_string());
                drop(place);
                return Poll::Ready(Some(Err(error)));
            }
        };
        if piece.is_empty() {
            self.finish();
            return Poll::Ready(None);
        }
        if let Some(summing) = &mut self.summing {
            summing.update(&piece);
        }
        let len = piece.len() as u64;
        self.sent.bytes.fetch_add(len, Ordering::Relaxed);
        self.tally.add(len);
        // The connection does not look for an end that it can count to.
        if self.reader.left() == Some(0) {
            self.finish();
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut *self {
            Self::Nothing => Poll::Ready(None),
            Self::Bytes(bytes) => bytes.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Bytes(bytes) => bytes.reader.left() == Some(0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Nothing => SizeHint::with_exact(0),
            Self::Bytes(bytes) => match bytes.reader.left() {
                Some(left) => SizeHint::with_exact(left),
                None => SizeHint::default(),
            },
        }
    }
}
