//! One connection that speaks the node protocol: bytes from the machine to the network and back.
//!
//! A connection never makes the machine wait. What the machine sends is queued, and a peer that
//! lets the queue fill up is cut off; what the peer sends waits in the network until the machine
//! has room for it.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use vaquita_core::ids::ConnId;
use vaquita_core::io::CloseReason;

use super::DriverLimits;

/// What a connection's task tells the driver.
#[derive(Debug)]
pub(super) enum ConnEvent {
    /// Somebody connected and speaks the node protocol; `line` leads there.
    Accepted {
        conn: ConnId,
        from: SocketAddr,
        line: Line,
    },
    /// A connection that the machine asked for is open.
    Connected { conn: ConnId, peer: SocketAddr },
    /// Bytes arrived.
    Received { conn: ConnId, bytes: Vec<u8> },
    /// The connection is over, or was never opened.
    Ended { conn: ConnId, reason: CloseReason },
}

/// The driver's end of a connection. Dropping it ends the connection once all that was sent has
/// been written.
#[derive(Debug)]
pub(super) struct Line {
    pieces: mpsc::Sender<Vec<u8>>,
    queued: Arc<AtomicUsize>,
    cut: oneshot::Sender<()>,
}

/// The task's end of a connection.
#[derive(Debug)]
pub(super) struct Outbox {
    pieces: mpsc::Receiver<Vec<u8>>,
    queued: Arc<AtomicUsize>,
    cut: oneshot::Receiver<()>,
}

/// The peer does not read fast enough.
#[derive(Debug)]
pub(super) struct TooSlow {
    pub(super) queued: usize,
}

/// Makes the two ends of a connection.
pub(super) fn line(limits: &DriverLimits) -> (Line, Outbox) {
    let (sender, receiver) = mpsc::channel(limits.send_queue_pieces.max(1));
    let (cut, cut_off) = oneshot::channel();
    let queued = Arc::new(AtomicUsize::new(0));
    let line = Line {
        pieces: sender,
        queued: Arc::clone(&queued),
        cut,
    };
    let outbox = Outbox {
        pieces: receiver,
        queued,
        cut: cut_off,
    };
    (line, outbox)
}

impl Line {
    /// Queues bytes behind those queued before. Bytes for a connection that has just ended vanish;
    /// its end is on its way to the driver.
    pub(super) fn send(&self, bytes: Vec<u8>, limits: &DriverLimits) -> Result<(), TooSlow> {
        let len = bytes.len();
        let queued = self.queued.fetch_add(len, Ordering::Relaxed);
        // One piece may be longer than the bound, else it could never be sent.
        if queued > 0 && queued.saturating_add(len) > limits.send_queue_bytes {
            return Err(TooSlow { queued });
        }
        match self.pieces.try_send(bytes) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => Err(TooSlow { queued }),
        }
    }

    /// Ends the connection now, whatever is still queued.
    pub(super) fn cut(self) {
        let _ = self.cut.send(());
    }
}

/// Carries bytes both ways until one side ends the connection. `first` was read from the stream
/// already.
pub(super) async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    conn: ConnId,
    stream: S,
    first: Bytes,
    outbox: Outbox,
    events: &mpsc::Sender<ConnEvent>,
    limits: &DriverLimits,
) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let Outbox {
        pieces,
        queued,
        cut,
    } = outbox;
    let cut_off = async {
        // The sender is dropped when the machine closes the connection in good order: then the
        // writer is what ends it.
        if cut.await.is_err() {
            pending::<()>().await;
        }
    };
    let ended = tokio::select! {
        biased;
        () = cut_off => return,
        outcome = write_pieces(&mut writer, pieces, &queued, limits) => outcome.err(),
        reason = read_pieces(conn, &mut reader, first, events, limits) => Some(reason),
    };
    match ended {
        Some(reason) => {
            let _ = events.send(ConnEvent::Ended { conn, reason }).await;
        }
        None => {
            // Closing a socket that has unread bytes resets the connection, and a reset makes the
            // peer's system throw away what the peer has not read yet. So read on for a moment.
            let mut scratch = vec![0; limits.read_bytes.max(1)];
            let drain = async { while matches!(reader.read(&mut scratch).await, Ok(1..)) {} };
            let _ = timeout(limits.linger, drain).await;
        }
    }
}

/// Writes what is queued until the queue is closed and empty, then ends the sending direction.
async fn write_pieces<W: AsyncWrite + Unpin>(
    writer: &mut W,
    mut pieces: mpsc::Receiver<Vec<u8>>,
    queued: &AtomicUsize,
    limits: &DriverLimits,
) -> Result<(), CloseReason> {
    /// Pieces put together into one write: they are mostly small, and a system call is not.
    const PIECES_A_WRITE: usize = 64;
    let mut batch = Vec::new();
    while pieces.recv_many(&mut batch, PIECES_A_WRITE).await > 0 {
        let bytes = if batch.len() == 1 {
            batch.pop().unwrap_or_default()
        } else {
            let joined = batch.concat();
            batch.clear();
            joined
        };
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            // Each write has the time-out to itself: what counts is that the peer makes progress.
            let written = in_time(limits, writer.write(rest)).await?;
            if written == 0 {
                return Err(CloseReason::Ended);
            }
            rest = &rest[written..];
        }
        in_time(limits, writer.flush()).await?;
        queued.fetch_sub(bytes.len(), Ordering::Relaxed);
    }
    // The peer may have gone already; that is no news any more.
    let _ = in_time(limits, writer.shutdown()).await;
    Ok(())
}

async fn in_time<T>(
    limits: &DriverLimits,
    writing: impl Future<Output = io::Result<T>>,
) -> Result<T, CloseReason> {
    match timeout(limits.write_timeout, writing).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(close_reason(&error)),
        Err(_) => Err(CloseReason::Broken(format!(
            "the peer took no bytes for {} s",
            limits.write_timeout.as_secs()
        ))),
    }
}

/// Hands over what arrives until nothing more does.
async fn read_pieces<R: AsyncRead + Unpin>(
    conn: ConnId,
    reader: &mut R,
    first: Bytes,
    events: &mpsc::Sender<ConnEvent>,
    limits: &DriverLimits,
) -> CloseReason {
    let mut buffer = vec![0; limits.read_bytes.max(1)];
    let mut bytes = first.to_vec();
    loop {
        if !bytes.is_empty()
            && events
                .send(ConnEvent::Received { conn, bytes })
                .await
                .is_err()
        {
            // The driver is ending. What is queued may still be written.
            pending::<()>().await;
        }
        bytes = match reader.read(&mut buffer).await {
            Ok(0) => return CloseReason::Ended,
            Ok(len) => buffer[..len].to_vec(),
            Err(error) => return close_reason(&error),
        };
    }
}

/// The reason that stands for an error of the operating system.
pub(crate) fn close_reason(error: &io::Error) -> CloseReason {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => CloseReason::Refused,
        io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable => CloseReason::TimedOut,
        io::ErrorKind::UnexpectedEof => CloseReason::Ended,
        _ => CloseReason::Broken(error.to_string()),
    }
}
