//! From events of `tracing` to lines.

use std::fmt::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use jiff::tz::TimeZone;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::format;
use super::writer::{Queue, rank};
use crate::os_env::unix_micros;

/// The field that carries an event's stable name. Programs read it; the line does without.
const NAME: &str = "name";
/// Where this program's own events come from.
const OWN: &str = "vaquita";

/// A layer that writes events to the log.
///
/// Of this program it takes what the log level says, of the libraries beneath only what is a
/// warning at least.
#[derive(Debug)]
pub struct LogLayer {
    queue: Queue,
    zone: TimeZone,
    level: Arc<AtomicU8>,
}

impl LogLayer {
    pub(super) const fn new(queue: Queue, zone: TimeZone, level: Arc<AtomicU8>) -> Self {
        Self { queue, zone, level }
    }

    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let wanted = self.level.load(Ordering::Relaxed);
        let wanted = if metadata.target().starts_with(OWN) {
            wanted
        } else {
            wanted.min(rank(tracing::Level::WARN))
        };
        rank(*metadata.level()) <= wanted
    }
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // The level can change while the process runs.
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.level.load(Ordering::Relaxed) {
            0 => LevelFilter::OFF,
            1 => LevelFilter::ERROR,
            2 => LevelFilter::WARN,
            3 => LevelFilter::INFO,
            4 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        })
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let text = text.finish();
        let level = *event.metadata().level();
        let line = format::line(unix_micros(), &self.zone, level, &text);
        self.queue.push(line);
    }
}

/// The text of an event: its message, then its other fields.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Text {
    fn finish(mut self) -> String {
        self.message.push_str(&self.fields);
        self.message
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            NAME => Ok(()),
            "message" => write!(self.message, "{value:?}"),
            other => write!(self.fields, " {other}={value:?}"),
        };
    }
}
