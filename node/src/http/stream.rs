//! A connection whose first bytes were read already, and whose client may not stop reading.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::seat::Seat;

/// Puts `already_read` back in front of what `inner` still has to give, and breaks the connection
/// when the other side takes no byte for a while: a client that never reads would hold its place
/// for ever, since the server has no reason to hang up by itself.
///
/// Behind the last answer it reads on for a moment and throws away what comes. An answer may be
/// there before all of a body was read; a socket that is closed with unread bytes resets the
/// connection, and a reset takes the answer away from a client that is still sending.
/// It knows when all that was written has left, and tells the [`Seat`] of the connection.
#[derive(Debug)]
pub(super) struct Stream<S> {
    already_read: Bytes,
    inner: S,
    write_stall: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    /// Since the last answer: until when what comes is read and thrown away.
    lingering: Option<Pin<Box<Sleep>>>,
    seat: Option<Arc<Seat>>,
}

/// How long a client may take to see that it is answered and to stop sending.
const LINGER: Duration = Duration::from_secs(1);

impl<S> Stream<S> {
    pub(super) fn new(
        already_read: Bytes,
        inner: S,
        write_stall: Duration,
        seat: Option<Arc<Seat>>,
    ) -> Self {
        Self {
            already_read,
            inner,
            write_stall,
            stalled: None,
            lingering: None,
            seat,
        }
    }

    /// Turns a write that waits too long into an error; forgets the wait when it moved.
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stalled = None;
            return outcome;
        }
        let write_stall = self.write_stall;
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + write_stall)));
        ready!(stalled.as_mut().poll(cx));
        self.stalled = None;
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client stopped reading the answer",
        )))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.already_read.is_empty() && buffer.remaining() > 0 {
            let len = self.already_read.len().min(buffer.remaining());
            buffer.put_slice(&self.already_read[..len]);
            self.already_read.advance(len);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.watch(cx, outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_flush(cx);
        let outcome = self.watch(cx, outcome);
        if let (Poll::Ready(Ok(())), Some(seat)) = (&outcome, &self.seat) {
            seat.flushed();
        }
        outcome
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(seat) = &this.seat {
            seat.leaves();
        }
        if this.lingering.is_none() {
            let outcome = Pin::new(&mut this.inner).poll_shutdown(cx);
            ready!(this.watch(cx, outcome))?;
        }
        let lingering = this
            .lingering
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + LINGER)));
        let mut unwanted = [0; 4096];
        while lingering.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut unwanted);
            let read = ready!(Pin::new(&mut this.inner).poll_read(cx, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}
