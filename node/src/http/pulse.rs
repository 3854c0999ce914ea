//! Whether something has changed that open pages show.
//!
//! All of them ask here, and the machine is asked once a second at most, however many there are; and not at
//! all while there is none.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;
use vaquita_core::admin::StatusReport;

use super::app::App;
use super::front::Front;

/// How often is looked.
pub(super) const PERIOD: Duration = Duration::from_secs(1);
/// Streams of events that may be open at a time.
const STREAMS_MAX: usize = 64;

/// What was seen last.
pub(super) struct Pulse {
    seen: Mutex<Option<Seen>>,
    /// One permit for each stream.
    pub(super) streams: Arc<Semaphore>,
}

struct Seen {
    at: Instant,
    what: Arc<str>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            seen: Mutex::new(None),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
        }
    }
}

impl<F: Front> App<F> {
    /// What open pages show, as a text to compare; `None` if that cannot be told at present.
    pub(super) async fn pulse(&self) -> Option<Arc<str>> {
        let mut seen = self.pulse.seen.lock().await;
        if let Some(seen) = &*seen
            && seen.at.elapsed() < PERIOD
        {
            return Some(seen.what.clone());
        }
        let status = self.own_status().await?;
        let what: Arc<str> = fingerprint(&status).into();
        *seen = Some(Seen {
            at: Instant::now(),
            what: what.clone(),
        });
        Some(what)
    }
}

/// All of a report but what changes by itself from one moment to the next.
fn fingerprint(status: &StatusReport) -> String {
    let mut text = format!("{:?}{:?}", status.summary, status.alarms);
    for row in &status.nodes {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "{}{:?}{:?}{:?}{:?}{:?}{:?}{:?}",
            row.alias,
            row.state,
            row.reason,
            row.admin,
            row.admin_reason,
            row.conditions,
            row.pid,
            row.epoch,
        );
    }
    for copy in &status.log_copies {
        let _ = write!(text, "{}{:?}{:?}", copy.alias, copy.complete, copy.state);
    }
    text
}
