//! A wish to end, so that a run that is interrupted puts everything right too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether everything is to end.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    wanted: Arc<AtomicBool>,
}

impl Stop {
    /// Has everything end.
    pub fn stop(&self) {
        self.wanted.store(true, Ordering::SeqCst);
    }

    /// Whether everything is to end.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::SeqCst)
    }
}
