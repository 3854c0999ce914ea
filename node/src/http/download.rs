//! Bytes of a file as the body of an answer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use vaquita_core::admin::Refusal;

use super::files::FileBytes;

type Next<B> = Pin<Box<dyn Future<Output = (B, Option<Result<Bytes, Refusal>>)> + Send>>;

/// The body of an answer, of a length that is known beforehand.
///
/// An answer has begun when reading fails, and says already that all is well: the connection breaks
/// off short of the length that was announced, which no client takes for the whole.
pub(super) struct Download<B> {
    first: Option<Bytes>,
    /// `None` once nothing more comes.
    next: Option<Next<B>>,
    left: u64,
}

impl<B: FileBytes> Download<B> {
    /// Has the first piece in hand before there is an answer, so that a file of which nothing can be
    /// read is refused in words.
    pub(super) async fn begin(mut bytes: B, len: u64) -> Result<Self, Refusal> {
        if len == 0 {
            return Ok(Self {
                first: None,
                next: None,
                left: 0,
            });
        }
        match bytes.next().await {
            Some(Ok(first)) if first.len() as u64 <= len => Ok(Self {
                next: (len > first.len() as u64).then(|| next(bytes)),
                first: Some(first),
                left: len,
            }),
            Some(Err(refusal)) => Err(refusal),
            Some(Ok(_)) | None => Err(another_length()),
        }
    }
}

fn another_length() -> Refusal {
    let reason =
        "a file gave another number of bytes than were asked of it; this is a bug".to_owned();
    tracing::error!("{reason}");
    Refusal::Unavailable { reason }
}

fn next<B: FileBytes>(mut bytes: B) -> Next<B> {
    Box::pin(async move {
        let piece = bytes.next().await;
        (bytes, piece)
    })
}

impl<B: FileBytes> Body for Download<B> {
    type Data = Bytes;
    type Error = Refusal;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Refusal>>> {
        if let Some(first) = self.first.take() {
            self.left -= first.len() as u64;
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let Some(waiting) = &mut self.next else {
            return Poll::Ready(None);
        };
        let (bytes, piece) = ready!(waiting.as_mut().poll(cx));
        self.next = None;
        let piece = match piece {
            Some(Ok(piece)) if piece.len() as u64 <= self.left => piece,
            Some(Err(refusal)) => {
                tracing::warn!(
                    "a file breaks off {} bytes before its end: {refusal}",
                    self.left
                );
                return Poll::Ready(Some(Err(refusal)));
            }
            Some(Ok(_)) | None => return Poll::Ready(Some(Err(another_length()))),
        };
        self.left -= piece.len() as u64;
        if self.left > 0 {
            self.next = Some(next(bytes));
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
