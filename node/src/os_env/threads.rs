//! Threads, and work that may block, away from the tasks.

use std::io;
use std::thread::{Scope, ScopedJoinHandle};

/// Starts a named thread that lives as long as what it does.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where threads are started"
    )]
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map(drop)
}

/// Starts a named thread that may borrow, and ends within a scope.
pub(crate) fn scoped<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    body: impl FnOnce() -> T + Send + 'scope,
) -> io::Result<ScopedJoinHandle<'scope, T>> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where threads are started"
    )]
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn_scoped(scope, body)
}

/// Runs something that may block for the time of a few system calls.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the blocking pool is used"
    )]
    let task = tokio::task::spawn_blocking(work);
    task.await.map_err(io::Error::other)
}
