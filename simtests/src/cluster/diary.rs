//! Everything that happened in a simulation, in order, and one number that stands for all of it.

use std::fmt;
use std::time::Duration;

use vaquita_core::event::{Event, Severity};
use vaquita_core::prng::mix;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When, by the clock of the simulation.
    pub at: Duration,
    /// On which simulated host; `harness` for what the scenario did.
    pub host: String,
    /// How much it should disturb an operator.
    pub severity: Severity,
    /// What kind of thing.
    pub name: &'static str,
    /// The sentence.
    pub message: String,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            at,
            host,
            name,
            message,
            ..
        } = self;
        write!(
            f,
            "{:>4}.{:03}  {host:<10} {name:<26} {message}",
            at.as_secs(),
            at.subsec_millis()
        )
    }
}

/// The entries of a simulation.
#[derive(Debug, Default)]
pub(super) struct Diary {
    entries: Vec<Entry>,
    hash: u64,
}

impl Diary {
    pub(super) fn note(&mut self, at: Duration, host: &str, event: &Event) {
        let entry = Entry {
            at,
            host: host.to_owned(),
            severity: event.severity,
            name: event.name,
            message: event.message.clone(),
        };
        let nanos = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
        self.hash = mix(self.hash ^ nanos);
        for text in [&entry.host, event.name, &entry.message] {
            for &byte in text.as_bytes() {
                self.hash = mix(self.hash ^ u64::from(byte));
            }
            // Where one text ends and the next begins is part of what happened.
            self.hash = mix(self.hash ^ 0x100);
        }
        self.entries.push(entry);
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Two runs with the same number did the same things at the same times.
    pub(super) const fn hash(&self) -> u64 {
        self.hash
    }
}
