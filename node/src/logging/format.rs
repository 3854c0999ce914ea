//! What a line looks like.

use std::fmt::Write;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tracing::Level;

/// The longest text of a line, in bytes. Much of what is logged was sent by somebody, and must not
/// fill the disk at their will.
pub const LINE_MAX: usize = 4096;

/// A line, with its end.
pub(super) fn line(unix_micros: i64, zone: &TimeZone, level: Level, text: &str) -> String {
    let mut line = String::with_capacity(text.len() + 48);
    time(&mut line, unix_micros, zone);
    // Writing to a string cannot fail.
    let _ = write!(line, " <{}> :", word(level));
    escape(&mut line, text);
    line.push('\n');
    line
}

/// The level's word.
const fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        Level::DEBUG | Level::TRACE => "DEBUG",
    }
}

/// Appends local time with microseconds.
fn time(line: &mut String, unix_micros: i64, zone: &TimeZone) {
    let local = local(unix_micros, zone);
    let _ = write!(
        line,
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}",
        local.year(),
        local.month(),
        local.day(),
        local.hour(),
        local.minute(),
        local.second(),
        local.subsec_nanosecond() / 1000,
    );
}

/// A date as the clock on the wall shows it. One outside of the calendar (a clock that was never
/// set) is shown as the beginning of 1970.
pub(super) fn local(unix_micros: i64, zone: &TimeZone) -> jiff::civil::DateTime {
    let moment = Timestamp::from_microsecond(unix_micros).unwrap_or(Timestamp::UNIX_EPOCH);
    zone.to_datetime(moment)
}

/// Appends `text` with everything escaped that a terminal or a reader of lines could take for
/// something else, cut at [`LINE_MAX`] bytes.
pub fn escape(line: &mut String, text: &str) {
    let end = if text.len() <= LINE_MAX {
        text.len()
    } else {
        text.floor_char_boundary(LINE_MAX)
    };
    for character in text[..end].chars() {
        match character {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            _ if misleading(character) => {
                let _ = write!(line, "\\u{{{:x}}}", u32::from(character));
            }
            _ => line.push(character),
        }
    }
    if end < text.len() {
        let _ = write!(line, "… ({} bytes more)", text.len() - end);
    }
}

/// Control characters, the line and paragraph separators, and what reorders the text around it.
fn misleading(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}
