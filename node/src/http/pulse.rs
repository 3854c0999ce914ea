//! Whether something has changed that open pages show.
//!
//! All of them ask here, and the machine is asked once a second at most, however many there are; and not at
//! all while there is none.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;
use vaquita_core::admin::StatusReport;

use super::app::App;
use super::front::Front;

/// How often is looked.
pub(super) const PERIOD: Duration = Duration::from_secs(1);
/// Streams of events that may be open at a time, and of one session or token: a browser opens no more than
/// six connections to one host, and needs some of them for pages.
const STREAMS_MAX: usize = 64;
const STREAMS_OF_ONE_MAX: usize = 4;

/// What was seen last.
#[derive(Default)]
pub(super) struct Pulse {
    seen: AsyncMutex<Option<Seen>>,
    /// Whose streams are open, by a hash of the token.
    streams: Arc<Mutex<Vec<TokenHash>>>,
}

type TokenHash = [u8; 32];

/// A place for a stream of events, for as long as it is kept.
pub(super) struct Place {
    streams: Arc<Mutex<Vec<TokenHash>>>,
    of: TokenHash,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut streams = lock(&self.streams);
        if let Some(at) = streams.iter().position(|of| *of == self.of) {
            streams.swap_remove(at);
        }
    }
}

impl Pulse {
    /// A place for one more stream of this token, unless there are too many.
    pub(super) fn place(&self, token: &str) -> Option<Place> {
        let of: TokenHash = Sha256::digest(token).into();
        let mut streams = lock(&self.streams);
        let own = streams.iter().filter(|it| **it == of).count();
        if streams.len() >= STREAMS_MAX || own >= STREAMS_OF_ONE_MAX {
            return None;
        }
        streams.push(of);
        let streams = self.streams.clone();
        Some(Place { streams, of })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that holds it can panic half way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Seen {
    at: Instant,
    what: Arc<str>,
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
