//! The thread that writes lines, and the queue before it.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use jiff::tz::TimeZone;
use tracing::Level;

use super::file::Appender;
use super::layer::LogLayer;
use super::{LogSettings, LogStartError, Target, format};
use crate::os_env::{threads, unix_micros};

/// Lines that may wait for the disk.
const QUEUE: usize = 8192;
/// Bytes written at once, at most.
const BATCH_BYTES: usize = 256 * 1024;
/// How often it is looked whether the file is still the one of its name.
const CHECK_PERIOD_MICROS: i64 = 1_000_000;
/// How long the end of a process waits for its last lines to be written.
const LAST_LINES_PATIENCE: Duration = Duration::from_secs(2);

/// What goes through the queue.
enum Entry {
    Line(String),
    /// Answered when everything before it has been written, or lost.
    Flush(SyncSender<()>),
}

/// The way of lines to the writing thread.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    entries: SyncSender<Entry>,
    lost: Arc<AtomicU64>,
}

impl Queue {
    /// Queues a line, or counts it as lost.
    pub(super) fn push(&self, line: String) {
        if let Err(TrySendError::Full(_)) = self.entries.try_send(Entry::Line(line)) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The running log. Dropping it waits shortly for the last lines.
#[derive(Debug)]
pub struct LogHandle {
    queue: Queue,
    level: Arc<AtomicU8>,
}

impl LogHandle {
    /// Waits until every line logged before is written, for two seconds at most.
    pub fn flush(&self) {
        let (done, written) = sync_channel(1);
        // A full queue means that the disk hangs, and then nothing is to be waited for.
        if self.queue.entries.try_send(Entry::Flush(done)).is_ok() {
            let _ = written.recv_timeout(LAST_LINES_PATIENCE);
        }
    }

    /// Lines that could not be written and of which the log does not tell yet.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.queue.lost.load(Ordering::Relaxed)
    }

    /// Changes which lines are written, from now on.
    pub fn set_level(&self, level: Level) {
        self.level.store(rank(level), Ordering::Relaxed);
        tracing::callsite::rebuild_interest_cache();
    }
}

impl Drop for LogHandle {
    fn drop(&mut self) {
        self.flush();
    }
}

/// The level as a number, the more the more talkative.
pub(super) const fn rank(level: Level) -> u8 {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

/// Opens the log and starts the thread that writes it. The layer belongs into a subscriber.
///
/// # Errors
/// If the file cannot be opened now. Later failures are survived.
pub fn start(settings: &LogSettings) -> Result<(LogLayer, LogHandle), LogStartError> {
    let zone = TimeZone::system();
    let appender = if settings.target.to_file() {
        let opened = Appender::open(settings, zone.clone(), unix_micros());
        Some(opened.map_err(|source| LogStartError::File {
            file: settings.file.display().to_string(),
            source,
        })?)
    } else {
        None
    };
    let (entries, receiver) = sync_channel(QUEUE);
    let lost = Arc::new(AtomicU64::new(0));
    let mut writer = Writer {
        appender,
        target: settings.target,
        zone: zone.clone(),
        lost: Arc::clone(&lost),
        trouble: None,
        last_check: 0,
    };
    threads::spawn("vaquita-log", move || writer.run(&receiver)).map_err(LogStartError::Thread)?;
    let queue = Queue { entries, lost };
    let level = Arc::new(AtomicU8::new(rank(settings.level)));
    let layer = LogLayer::new(queue.clone(), zone, Arc::clone(&level));
    Ok((layer, LogHandle { queue, level }))
}

/// Logs from now on everything that this process reports.
///
/// A level word in the variable `RUST_LOG` overrides the settings' level; it is for developers, and
/// an agent hands it on to the nodes it starts.
///
/// # Errors
/// As [`start`].
pub fn install(settings: &LogSettings) -> Result<LogHandle, LogStartError> {
    use tracing_subscriber::layer::SubscriberExt;

    let wanted = std::env::var("RUST_LOG").ok();
    let level = wanted.and_then(|word| word.parse().ok());
    let settings = LogSettings {
        level: level.unwrap_or(settings.level),
        ..settings.clone()
    };
    let (layer, handle) = start(&settings)?;
    let subscriber = tracing_subscriber::registry().with(layer);
    // Only a second call finds a subscriber in place, and then the first log goes on.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(handle)
}

/// The writing side.
struct Writer {
    appender: Option<Appender>,
    target: Target,
    zone: TimeZone,
    lost: Arc<AtomicU64>,
    /// The words of the failure since which nothing could be written.
    trouble: Option<String>,
    last_check: i64,
}

impl Writer {
    fn run(&mut self, entries: &Receiver<Entry>) {
        let mut batch = String::new();
        loop {
            let Ok(first) = entries.recv() else {
                return;
            };
            let mut flushes = Vec::new();
            let mut next = Some(first);
            let mut count = 0;
            while let Some(entry) = next {
                match entry {
                    Entry::Line(line) => {
                        batch.push_str(&line);
                        count += 1;
                    }
                    Entry::Flush(done) => flushes.push(done),
                }
                next = if batch.len() < BATCH_BYTES {
                    entries.try_recv().ok()
                } else {
                    None
                };
            }
            self.write(&batch, count);
            batch.clear();
            for done in flushes {
                // Whoever waited may have given up.
                let _ = done.try_send(());
            }
        }
    }

    /// Writes lines to wherever they go.
    fn write(&mut self, lines: &str, count: u64) {
        if lines.is_empty() {
            return;
        }
        if self.target.to_stdout() {
            // Nobody can be told when nobody reads standard output.
            let mut stdout = io::stdout().lock();
            let _ = stdout
                .write_all(lines.as_bytes())
                .and_then(|()| stdout.flush());
        }
        let now = unix_micros();
        if let Err(error) = self.write_file(lines, now) {
            self.lost.fetch_add(count, Ordering::Relaxed);
            self.trouble = Some(error.to_string());
        }
    }

    fn write_file(&mut self, lines: &str, now: i64) -> io::Result<()> {
        let Some(appender) = &mut self.appender else {
            return Ok(());
        };
        if self.trouble.is_some() {
            appender.reopen()?;
        } else if (now - self.last_check).abs() >= CHECK_PERIOD_MICROS {
            self.last_check = now;
            appender.reopen_if_replaced()?;
        }
        let lost = self.lost.load(Ordering::Relaxed);
        if lost > 0 || self.trouble.is_some() {
            let why = self
                .trouble
                .as_deref()
                .unwrap_or("they came faster than the disk takes them");
            let text = format!("{lost} lines of this log were lost: {why}");
            let line = format::line(now, &self.zone, Level::WARN, &text);
            appender.append(line.as_bytes(), now)?;
            self.lost.fetch_sub(lost, Ordering::Relaxed);
            self.trouble = None;
        }
        appender.append(lines.as_bytes(), now)
    }
}
