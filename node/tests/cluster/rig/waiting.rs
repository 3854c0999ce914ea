//! Waiting for what a cluster does by itself.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long anything is waited for. What takes milliseconds may take seconds on a busy machine, and
/// never this.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause between two looks, so that looking does not slow down what is looked at.
const PAUSE: Duration = Duration::from_millis(10);

/// A wait that has a last moment.
pub(crate) struct Waiting {
    since: Instant,
}

impl Waiting {
    pub(crate) fn begin() -> Self {
        Self {
            since: Instant::now(),
        }
    }

    /// Pauses before the next look; `false` if there was time enough.
    pub(crate) async fn goes_on(&self) -> bool {
        sleep(PAUSE).await;
        self.since.elapsed() < PATIENCE
    }
}

/// Looks until there is something to see.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let waiting = Waiting::begin();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(
            waiting.goes_on().await,
            "{what}: not after {} s",
            PATIENCE.as_secs()
        );
    }
}
