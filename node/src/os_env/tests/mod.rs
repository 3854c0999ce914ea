#![expect(
    clippy::disallowed_methods,
    reason = "tests stand outside and look at the real thing"
)]

mod disk;
mod full_disk;
mod io_pool;
mod proc_files;
mod processes;
mod signals;
mod sockets;
mod stdio;
mod work;

use std::time::Duration;

use tokio::time::timeout;

/// Long enough for a machine that is busy with other things; nobody waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something that has to happen.
async fn soon<T>(event: impl Future<Output = T>) -> T {
    timeout(PATIENCE, event)
        .await
        .expect("what has to happen happens within a minute")
}
