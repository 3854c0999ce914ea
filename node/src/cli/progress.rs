//! How far long work is: one line on a person's terminal, rewritten in place.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::commands::status::duration;
use super::size::human;
use super::terminal::{Terminal, harmless};

/// How often the line is rewritten.
pub(super) const PERIOD: Duration = Duration::from_millis(200);
/// Work that is done sooner shows nothing.
const FIRST_AFTER: Duration = Duration::from_millis(500);

/// What the parts of the work have done, counted by all of them.
#[derive(Debug, Default)]
pub(super) struct Tally {
    bytes: AtomicU64,
    notes: Mutex<Vec<String>>,
}

impl Tally {
    /// Counts bytes.
    pub(super) fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes bytes back that have to be carried once more.
    pub(super) fn take_back(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Leaves a sentence for whoever wants to know everything.
    pub(super) fn note(&self, note: String) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.push(note);
    }

    /// The sentences since the last call.
    pub(super) fn notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The line.
#[derive(Debug)]
pub(super) struct Progress {
    shown: bool,
    /// Whether there is something on the terminal's line.
    drawn: bool,
    verb: &'static str,
    files: usize,
    bytes: Option<u64>,
    started: Instant,
}

impl Progress {
    /// For work on so many files, of so many bytes where that is known. Shows nothing where no
    /// person looks, or not to be disturbed.
    pub(super) fn new(
        terminal: &Terminal,
        quiet: bool,
        verb: &'static str,
        files: usize,
        bytes: Option<u64>,
    ) -> Self {
        Self {
            shown: terminal.err_is_terminal && !quiet,
            drawn: false,
            verb,
            files,
            bytes,
            started: Instant::now(),
        }
    }

    /// Since the work began.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Rewrites the line. A terminal that is gone is no reason to stop working.
    pub(super) fn draw(&mut self, terminal: &mut Terminal, files_done: usize, bytes_done: u64) {
        if !self.shown || self.elapsed() < FIRST_AFTER {
            return;
        }
        let line = line(
            self.verb,
            (files_done, self.files),
            (bytes_done, self.bytes),
            self.elapsed(),
        );
        let _ = write!(terminal.err, "\r{line}\x1b[K");
        let _ = terminal.err.flush();
        self.drawn = true;
    }

    /// Takes the line away, so that something else can be written there.
    pub(super) fn clear(&mut self, terminal: &mut Terminal) {
        if std::mem::take(&mut self.drawn) {
            let _ = write!(terminal.err, "\r\x1b[K");
            let _ = terminal.err.flush();
        }
    }

    /// Writes a line that stays, above the one that is rewritten.
    pub(super) fn note(&mut self, terminal: &mut Terminal, note: &str) {
        self.clear(terminal);
        let _ = terminal.note(harmless(note));
    }
}

/// `put 3 of 12 files, 1.2 GiB of 3.4 GiB, 35 %, 210 MiB/s, 12 s left`.
fn line(
    verb: &str,
    (files_done, files): (usize, usize),
    (bytes_done, bytes): (u64, Option<u64>),
    elapsed: Duration,
) -> String {
    let mut parts = Vec::new();
    if files > 1 {
        parts.push(format!("{files_done} of {files} files"));
    }
    let ms = u64::try_from(elapsed.as_millis())
        .unwrap_or(u64::MAX)
        .max(1);
    let speed = bytes_done.saturating_mul(1000) / ms;
    match bytes {
        Some(bytes) => {
            let percent = (bytes_done.min(bytes) * 100)
                .checked_div(bytes)
                .unwrap_or(100);
            parts.push(format!("{} of {}", human(bytes_done), human(bytes)));
            parts.push(format!("{percent} %"));
        }
        None => parts.push(human(bytes_done)),
    }
    parts.push(format!("{}/s", human(speed)));
    if let Some(left) = bytes.and_then(|bytes| bytes.checked_sub(bytes_done))
        && let Some(seconds) = left.checked_div(speed)
        && left > 0
    {
        parts.push(format!("{} left", remaining(seconds.max(1))));
    }
    format!("{verb} {}", parts.join(", "))
}

/// A span of time that is an estimate: no fractions.
fn remaining(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        more => duration(more.saturating_mul(1000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_line_says_how_far_it_is_and_how_long_it_takes() {
        let ten = Duration::from_secs(10);
        assert_eq!(
            line("put", (3, 12), (100 * MIB, Some(400 * MIB)), ten),
            "put 3 of 12 files, 100 MiB of 400 MiB, 25 %, 10 MiB/s, 30 s left"
        );
        assert_eq!(
            line("put", (0, 1), (100 * MIB, Some(150 * MIB)), ten),
            "put 100 MiB of 150 MiB, 66 %, 10 MiB/s, 5 s left"
        );
        assert_eq!(
            line("get", (0, 1), (100 * MIB, Some(100 * MIB)), ten),
            "get 100 MiB of 100 MiB, 100 %, 10 MiB/s"
        );
        assert_eq!(line("put", (0, 1), (0, None), ten), "put 0 B, 0 B/s");
        assert_eq!(
            line("put", (0, 2), (0, Some(0)), ten),
            "put 0 of 2 files, 0 B of 0 B, 100 %, 0 B/s"
        );
    }

    #[test]
    fn nothing_is_drawn_where_nobody_looks() {
        let (mut terminal, _, err) = crate::cli::terminal::testing::captured();
        let mut progress = Progress::new(&terminal, false, "put", 1, None);
        progress.draw(&mut terminal, 0, 0);
        progress.clear(&mut terminal);
        assert_eq!(err.text(), "");
    }
}
