//! A connection's place as its requests come and go: kept from the first line of one until the last byte of
//! its answer has left this process.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use crate::driver::Place;

/// A place, and whether an answer is on its way out.
#[derive(Debug)]
pub(super) struct Seat {
    place: Place,
    /// An answer is complete, and may still wait in a buffer for a client that reads slowly.
    answered: AtomicBool,
}

impl Seat {
    /// The seat of a connection that waits for its first request.
    pub(super) fn new(place: Place) -> Arc<Self> {
        place.waits();
        Arc::new(Self {
            place,
            answered: AtomicBool::new(false),
        })
    }

    /// A request has begun.
    pub(super) fn begin(self: &Arc<Self>) -> UnderWay {
        self.answered.store(false, Ordering::Relaxed);
        self.place.works();
        UnderWay(Arc::clone(self))
    }

    /// All that was written has left.
    pub(super) fn flushed(&self) {
        if self.answered.swap(false, Ordering::Relaxed) {
            self.place.waits();
        }
    }

    /// The connection ends by itself, once its client has had a moment to read the last answer.
    pub(super) fn leaves(&self) {
        self.answered.store(false, Ordering::Relaxed);
        self.place.works();
    }

    /// Completes when the connection has to go for another one.
    pub(super) async fn given_away(&self) {
        self.place.given_away().await;
    }
}

/// A request, until its answer is complete.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Seat>);

impl UnderWay {
    /// The answer, with whose body the request ends.
    pub(super) fn until_the_end_of(self, response: Response) -> Response {
        response.map(|body| {
            Body::new(Held {
                body,
                _under_way: self,
            })
        })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.answered.store(true, Ordering::Relaxed);
    }
}

/// A body that keeps its request under way. A mapped one would not tell how long it is.
struct Held {
    body: Body,
    _under_way: UnderWay,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
