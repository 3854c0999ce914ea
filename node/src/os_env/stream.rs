//! A TCP connection whose bytes are counted, and the counts.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What went through the sockets of this process. Nothing is decided by it, so that the counts need
/// not agree with each other at any moment.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    sent: AtomicU64,
    received: AtomicU64,
    accepted: AtomicU64,
}

impl Traffic {
    pub(super) fn sent(&self, len: usize) {
        self.sent.fetch_add(len as u64, Ordering::Relaxed);
    }

    pub(super) fn received(&self, len: usize) {
        self.received.fetch_add(len as u64, Ordering::Relaxed);
    }

    /// Bytes sent, bytes received, and connections that were accepted and are open.
    pub(super) fn counts(&self) -> (u64, u64, u64) {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (of(&self.sent), of(&self.received), of(&self.accepted))
    }
}

/// A TCP connection of the operating system.
#[derive(Debug)]
pub struct OsStream {
    stream: TcpStream,
    traffic: Arc<Traffic>,
    accepted: bool,
}

impl OsStream {
    /// One that somebody else has opened.
    pub(super) fn accepted(stream: TcpStream, traffic: Arc<Traffic>) -> Self {
        traffic.accepted.fetch_add(1, Ordering::Relaxed);
        Self {
            stream,
            traffic,
            accepted: true,
        }
    }

    /// One that this process has opened.
    pub(super) const fn dialled(stream: TcpStream, traffic: Arc<Traffic>) -> Self {
        Self {
            stream,
            traffic,
            accepted: false,
        }
    }

    fn wrote(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(len)) = &written {
            self.traffic.sent(*len);
        }
        written
    }
}

impl Drop for OsStream {
    fn drop(&mut self) {
        if self.accepted {
            self.traffic.accepted.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl AsyncRead for OsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.traffic.received(buffer.filled().len() - before);
        read
    }
}

impl AsyncWrite for OsStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
