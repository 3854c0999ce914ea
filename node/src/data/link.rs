//! One data connection: a session whose frames stand between runs of raw bytes.

use std::io::{self, IoSlice};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::timeout;
use vaquita_core::dfs::transfer::KIND_WORKING;
use vaquita_core::wire::session::{Introduction, Session, SessionEvent, SessionFault};

use super::limits::DataLimits;

/// Bytes read at once where nothing says how many come.
const READ: usize = 64 * 1024;
/// Bytes that wait at most to be sent together with what follows: a system call, and waking up the
/// other side, cost more than copying them.
pub(crate) const TOGETHER: usize = 16 * 1024;

/// Why a connection is over.
#[derive(Debug, Error)]
pub(crate) enum LinkFault {
    #[error("the other side ended it")]
    Ended,
    #[error("nothing moved for {} s", .0.as_secs())]
    Slow(Duration),
    #[error("{0}")]
    Broken(io::Error),
    #[error(transparent)]
    Session(#[from] SessionFault),
    #[error("{0}")]
    Protocol(String),
}

/// A connection, on either side.
pub(crate) struct Link<S> {
    pub(crate) inbound: Inbound<S>,
    pub(crate) outbound: Outbound<S>,
    pub(crate) session: Session,
}

/// The receiving direction.
pub(crate) struct Inbound<S> {
    reader: ReadHalf<S>,
    /// Bytes that were read and belong to nothing yet.
    buffer: BytesMut,
    limits: DataLimits,
    /// Longest time without progress within a run of raw bytes.
    idle: Duration,
}

/// The sending direction.
pub(crate) struct Outbound<S> {
    writer: WriteHalf<S>,
    /// What waits to be sent together with what follows.
    waiting: Vec<u8>,
    limits: DataLimits,
    /// Longest time without progress.
    idle: Duration,
}

impl<S: AsyncRead + AsyncWrite> Link<S> {
    /// `idle` is the longest time that the other side may make no progress.
    pub(crate) fn new(stream: S, session: Session, limits: &DataLimits, idle: Duration) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self {
            inbound: Inbound {
                reader,
                buffer: BytesMut::new(),
                limits: limits.clone(),
                idle,
            },
            outbound: Outbound {
                writer,
                waiting: Vec::new(),
                limits: limits.clone(),
                idle,
            },
            session,
        }
    }

    /// Carries the handshake out; returns who the other side is.
    pub(crate) async fn introduce(&mut self) -> Result<Introduction, LinkFault> {
        let patience = self.inbound.limits.handshake_timeout;
        let handshake = async {
            loop {
                self.flush().await?;
                match self.inbound.event(&mut self.session).await {
                    Ok(SessionEvent::Established { peer }) => {
                        self.flush().await?;
                        return Ok(peer);
                    }
                    Ok(SessionEvent::Frame { kind, .. }) => {
                        let text = format!("a frame of kind {kind:#06x} before a proof");
                        return Err(LinkFault::Protocol(text));
                    }
                    Err(Step::Taken) => {}
                    Err(Step::Fault(fault)) => {
                        // The other side is to hear why.
                        let _ = self.flush().await;
                        return Err(fault);
                    }
                }
            }
        };
        timeout(patience, handshake)
            .await
            .unwrap_or(Err(LinkFault::Slow(patience)))
    }

    /// Sends what the session has to say.
    async fn flush(&mut self) -> Result<(), LinkFault> {
        while let Some(bytes) = self.session.poll_output() {
            self.outbound.write(&bytes).await?;
        }
        self.outbound.flush().await
    }

    /// Sends a frame.
    pub(crate) async fn send(&mut self, kind: u16, body: &[u8]) -> Result<(), LinkFault> {
        self.put(kind, body).await?;
        self.outbound.flush().await
    }

    /// Sends a frame, at the latest with the next flush.
    pub(crate) async fn put(&mut self, kind: u16, body: &[u8]) -> Result<(), LinkFault> {
        self.outbound.put(&mut self.session, kind, body).await
    }

    /// The next frame, if it comes within `patience`.
    pub(crate) async fn frame(&mut self, patience: Duration) -> Result<(u16, Vec<u8>), LinkFault> {
        let frame = self.inbound.frame(&mut self.session);
        timeout(patience, frame)
            .await
            .unwrap_or(Err(LinkFault::Slow(patience)))
    }

    /// Whether the other side has neither ended the connection nor said anything unasked.
    pub(crate) async fn is_quiet(&mut self) -> bool {
        let Inbound { reader, buffer, .. } = &mut self.inbound;
        buffer.is_empty()
            && tokio::select! {
                biased;
                _ = reader.read_buf(buffer) => false,
                () = std::future::ready(()) => true,
            }
    }
}

/// What one read of a session came to, where no event did.
enum Step {
    /// Something was heard that may have to be answered.
    Taken,
    Fault(LinkFault),
}

impl From<LinkFault> for Step {
    fn from(fault: LinkFault) -> Self {
        Self::Fault(fault)
    }
}

impl<S: AsyncRead> Inbound<S> {
    /// The next frame. Dropping the future loses nothing.
    pub(crate) async fn frame(
        &mut self,
        session: &mut Session,
    ) -> Result<(u16, Vec<u8>), LinkFault> {
        loop {
            match self.event(session).await {
                Ok(SessionEvent::Frame { kind, body }) => return Ok((kind, body)),
                Ok(SessionEvent::Established { .. }) | Err(Step::Taken) => {}
                Err(Step::Fault(fault)) => return Err(fault),
            }
        }
    }

    /// The answer to a write of which all bytes were sent: the other side says now and then that it is
    /// at work on them.
    pub(crate) async fn outcome(
        &mut self,
        session: &mut Session,
    ) -> Result<(u16, Vec<u8>), LinkFault> {
        let (silence, patience) = (self.limits.silence_timeout, self.limits.prepare_timeout);
        let outcome = async {
            loop {
                let frame = timeout(silence, self.frame(session)).await;
                let frame = frame.unwrap_or(Err(LinkFault::Slow(silence)))?;
                if frame.0 != KIND_WORKING {
                    return Ok(frame);
                }
            }
        };
        timeout(patience, outcome)
            .await
            .unwrap_or(Err(LinkFault::Slow(patience)))
    }

    /// The session's next event, or that it has taken a step.
    async fn event(&mut self, session: &mut Session) -> Result<SessionEvent, Step> {
        if let Some(event) = session.poll_event() {
            return Ok(event);
        }
        if self.buffer.is_empty() {
            self.fill(READ).await?;
        }
        let taken = session.receive_one(&self.buffer);
        match taken {
            Ok(taken) => self.buffer.advance(taken),
            Err(fault) => return Err(Step::Fault(fault.into())),
        }
        session.poll_event().ok_or(Step::Taken)
    }

    async fn fill(&mut self, room: usize) -> Result<(), LinkFault> {
        self.buffer.reserve(room);
        match self.reader.read_buf(&mut self.buffer).await {
            Ok(0) => Err(LinkFault::Ended),
            Ok(_) => Ok(()),
            Err(error) => Err(LinkFault::Broken(error)),
        }
    }

    /// Exactly `len` raw bytes, which the caller has held to a bound.
    async fn raw(&mut self, len: usize) -> Result<Bytes, LinkFault> {
        let idle = self.idle;
        let longest = self.limits.piece_timeout.max(idle);
        let reading = async {
            while self.buffer.len() < len {
                let missing = len - self.buffer.len();
                timeout(idle, self.fill(missing))
                    .await
                    .unwrap_or(Err(LinkFault::Slow(idle)))?;
            }
            Ok(())
        };
        timeout(longest, reading)
            .await
            .unwrap_or(Err(LinkFault::Slow(longest)))?;
        Ok(self.buffer.split_to(len).freeze())
    }

    /// The next piece of raw bytes; `None` for the empty one that ends them.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, LinkFault> {
        let header = self.raw(4).await?;
        let len = header.as_ref().get_u32();
        let max = self.limits.piece_max;
        match usize::try_from(len) {
            Ok(0) => Ok(None),
            Ok(len) if len <= max => self.raw(len).await.map(Some),
            Ok(_) | Err(_) => Err(LinkFault::Protocol(format!(
                "it announces a piece of {len} bytes, and {max} is the most"
            ))),
        }
    }

    /// Reads and drops what still comes, for a moment.
    pub(crate) async fn linger(&mut self) {
        let patience = self.limits.linger;
        let draining = async {
            loop {
                self.buffer.clear();
                if self.fill(READ).await.is_err() {
                    return;
                }
            }
        };
        let _ = timeout(patience, draining).await;
    }
}

impl<S: AsyncWrite> Outbound<S> {
    /// Sends a frame, at the latest with the next flush.
    pub(crate) async fn put(
        &mut self,
        session: &mut Session,
        kind: u16,
        body: &[u8],
    ) -> Result<(), LinkFault> {
        let bytes = session
            .try_seal(kind, body)
            .map_err(|too_long| LinkFault::Protocol(too_long.to_string()))?;
        self.write(&bytes).await
    }

    /// Sends bytes, at the latest with the next flush.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), LinkFault> {
        if self.waiting.len() + bytes.len() <= TOGETHER {
            self.waiting.extend_from_slice(bytes);
            return Ok(());
        }
        self.write_out(bytes).await
    }

    /// Writes what waits and `bytes` behind it.
    async fn write_out(&mut self, bytes: &[u8]) -> Result<(), LinkFault> {
        let patience = self.idle;
        let (mut waiting, mut rest) = (self.waiting.as_slice(), bytes);
        while !(waiting.is_empty() && rest.is_empty()) {
            let both = [IoSlice::new(waiting), IoSlice::new(rest)];
            // Each write has the time-out to itself: what counts is that the peer makes progress.
            match timeout(patience, self.writer.write_vectored(&both)).await {
                Ok(Ok(0)) => return Err(LinkFault::Ended),
                Ok(Ok(written)) => {
                    let of_waiting = written.min(waiting.len());
                    waiting = waiting.get(of_waiting..).unwrap_or_default();
                    rest = rest.get(written - of_waiting..).unwrap_or_default();
                }
                Ok(Err(error)) => return Err(LinkFault::Broken(error)),
                Err(_) => return Err(LinkFault::Slow(patience)),
            }
        }
        self.waiting.clear();
        Ok(())
    }

    /// Sends what waits.
    pub(crate) async fn flush(&mut self) -> Result<(), LinkFault> {
        self.write_out(&[]).await?;
        let patience = self.idle;
        match timeout(patience, self.writer.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(LinkFault::Broken(error)),
            Err(_) => Err(LinkFault::Slow(patience)),
        }
    }

    /// Sends bytes as they are.
    pub(crate) async fn raw(&mut self, bytes: &[u8]) -> Result<(), LinkFault> {
        self.write(bytes).await?;
        self.flush().await
    }

    /// Sends a piece of raw bytes, or with none the end of them, at the latest with the next flush.
    pub(crate) async fn piece(&mut self, piece: &[u8]) -> Result<(), LinkFault> {
        let len = u32::try_from(piece.len()).map_err(|_| {
            LinkFault::Protocol(format!("a piece of {} bytes is too long", piece.len()))
        })?;
        self.write(&len.to_be_bytes()).await?;
        self.write(piece).await
    }

    /// Ends the sending direction.
    pub(crate) async fn shutdown(&mut self) {
        let _ = timeout(self.limits.linger, self.writer.shutdown()).await;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::ReadBuf;
    use vaquita_core::ids::{Alias, Incarnation, Role};
    use vaquita_core::wire::keys::Keyring;

    use super::*;

    /// Keeps what is written, as it is written.
    #[derive(Default)]
    struct Record {
        writes: Vec<Vec<u8>>,
        /// Bytes that it takes at a time.
        most: usize,
    }

    impl AsyncRead for Record {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Record {
        fn poll_write(
            self: Pin<&mut Self>,
            context: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(context, &[IoSlice::new(bytes)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            parts: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all = parts.iter().flat_map(|part| part.iter().copied());
            let taken: Vec<u8> = all.take(self.most).collect();
            let len = taken.len();
            self.writes.push(taken);
            Poll::Ready(Ok(len))
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// What goes out for two small pieces, a large one and the end, with a flush behind the first two.
    async fn written(most: usize, large: &[u8]) -> Vec<Vec<u8>> {
        let record = Record {
            most,
            ..Record::default()
        };
        let limits = DataLimits::default();
        let mut link = Link::new(record, session(), &limits, limits.progress_timeout);
        let out = &mut link.outbound;
        out.piece(b"one").await.unwrap();
        out.piece(b"two").await.unwrap();
        out.flush().await.unwrap();
        out.piece(large).await.unwrap();
        out.piece(&[]).await.unwrap();
        out.flush().await.unwrap();
        link.inbound.reader.unsplit(link.outbound.writer).writes
    }

    fn session() -> Session {
        let me = Introduction {
            role: Role::DataNode,
            cluster: None,
            alias: Alias::new("P1-NODE1").unwrap(),
            incarnation: Incarnation::new([1; 16]),
            build: String::new(),
        };
        Session::dial(&Keyring::new(None), me, [0; 32])
    }

    #[tokio::test]
    async fn what_is_small_is_sent_together() {
        let large = vec![7; TOGETHER];
        let writes = written(usize::MAX, &large).await;
        let begin = b"\0\0\0\x03one\0\0\0\x03two".to_vec();
        let len = u32::try_from(large.len()).unwrap().to_be_bytes();
        let middle = [&len[..], &large].concat();
        assert_eq!(writes, [begin, middle, vec![0; 4]]);
    }

    #[tokio::test]
    async fn a_socket_that_takes_little_gets_all_in_order() {
        let large: Vec<u8> = (0..3 * TOGETHER).map(|at| at.to_le_bytes()[0]).collect();
        let whole = written(usize::MAX, &large).await.concat();
        for most in [1, 3, 5, 1000, TOGETHER] {
            assert_eq!(written(most, &large).await.concat(), whole, "{most}");
        }
    }
}
