//! Log lines that a stranger can cause, at most one in ten seconds a kind.

use std::time::Duration;

use vaquita_core::time::Timestamp;

/// The shortest time between two lines of a kind.
const PERIOD: Duration = Duration::from_secs(10);

/// Lets one line through in a period and counts the others.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    last: Option<Timestamp>,
    suppressed: u64,
}

impl Throttle {
    /// Whether a line may be written now; if so, what to append to it about the lines that were
    /// not.
    pub(super) fn admit(&mut self, now: Timestamp) -> Option<String> {
        let due = self.last.is_none_or(|last| now.since(last) >= PERIOD);
        if !due {
            self.suppressed += 1;
            return None;
        }
        self.last = Some(now);
        let suppressed = std::mem::take(&mut self.suppressed);
        Some(if suppressed == 0 {
            String::new()
        } else {
            format!(" (and {suppressed} more like it since the last such line)")
        })
    }
}
