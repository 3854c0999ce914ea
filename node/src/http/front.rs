//! The way from an HTTP handler to the machine that answers.

use std::future::Future;

use vaquita_core::admin::{Reply, Request};

use crate::driver;

/// Asks the process that this HTTP interface belongs to.
///
/// The driver's own [`Front`](driver::Front) implements it with a bounded queue; the tests with a
/// script. An implementation never waits without end: what takes too long comes back as
/// [`Refusal::Unavailable`](vaquita_core::admin::Refusal::Unavailable).
pub trait Front: Clone + Send + Sync + 'static {
    /// The answer to `request`.
    fn ask(&self, request: Request) -> impl Future<Output = Reply> + Send;
}

impl Front for driver::Front {
    async fn ask(&self, request: Request) -> Reply {
        Self::ask(self, request).await
    }
}
