//! Threads, and work that may block, away from the tasks.

use std::io;

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
