//! Numbers as people read them.

use jiff::Timestamp;

const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// Bytes: `512 B`, `1.4 GiB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    let mut unit = 0;
    // In tenths of a unit, so that no digit comes from a float.
    let mut tenths = u128::from(bytes) * 10;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths = (tenths + 512) / 1024;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    match (unit, tenths / 10, tenths % 10) {
        (0, whole, _) => format!("{whole} {name}"),
        (_, whole, _) if whole >= 100 => format!("{} {name}", (tenths + 5) / 10),
        (_, whole, tenth) => format!("{whole}.{tenth} {name}"),
    }
}

/// A number, in groups of three digits.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// A span of time given in milliseconds: `320 ms`, `12 s`, `3 min 5 s`, `2 h 10 min`, `4 d 3 h`.
#[must_use]
pub fn span(ms: u64) -> String {
    let s = ms / 1000;
    let two = |more: u64, of: &str, less: u64, and: &str| match less {
        0 => format!("{more} {of}"),
        _ => format!("{more} {of} {less} {and}"),
    };
    match s {
        0 => format!("{ms} ms"),
        1..60 => format!("{s} s"),
        60..3600 => two(s / 60, "min", s % 60, "s"),
        3600..86_400 => two(s / 3600, "h", s % 3600 / 60, "min"),
        _ => two(s / 86_400, "d", s % 86_400 / 3600, "h"),
    }
}

/// Bytes a second.
#[must_use]
pub fn rate(bytes_a_second: u64) -> String {
    format!("{}/s", bytes(bytes_a_second))
}

/// Thousandths, with two digits: `0.42`.
#[must_use]
pub fn thousandths(number: u64) -> String {
    format!("{}.{:02}", number / 1000, number % 1000 / 10)
}

/// Thousandths of one a second: `12.5/s`.
#[must_use]
pub fn per_second(thousandths: u64) -> String {
    match thousandths {
        100_000.. => format!("{}/s", count(thousandths / 1000)),
        _ => format!("{}.{}/s", thousandths / 1000, thousandths % 1000 / 100),
    }
}

/// Thousandths as percent: `6.3 %`.
#[must_use]
pub fn share(thousandths: u64) -> String {
    format!("{}.{} %", thousandths / 10, thousandths % 10)
}

/// A span given in nanoseconds: `85 µs`, `1.3 ms`, `2.1 s`.
#[must_use]
pub fn nanoseconds(ns: u64) -> String {
    let in_tenths = |ns: u64, unit: u64, name: &str| {
        let tenths = ns / (unit / 10);
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    };
    match ns {
        0..1_000_000 => format!("{} µs", ns / 1000),
        1_000_000..1_000_000_000 => in_tenths(ns, 1_000_000, "ms"),
        _ => in_tenths(ns, 1_000_000_000, "s"),
    }
}

/// A share of a whole in percent, rounded down; 0 of nothing.
#[must_use]
pub fn percent(part: u64, whole: u64) -> u64 {
    if whole == 0 {
        return 0;
    }
    let share = u128::from(part) * 100 / u128::from(whole);
    u64::try_from(share).unwrap_or(100).min(100)
}

/// A moment, for machines and for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// As in RFC 3339; a script turns it into the reader's own zone.
    pub machine: String,
    /// In UTC, which it says.
    pub human: String,
}

/// A date in milliseconds since 1970; `None` for one that nobody noted, or that no calendar has.
#[must_use]
pub fn moment(unix_ms: u64) -> Option<Moment> {
    let ms = i64::try_from(unix_ms).ok().filter(|ms| *ms > 0)?;
    let at = Timestamp::from_millisecond(ms).ok()?;
    Some(Moment {
        machine: at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        human: at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_two_or_three_digits() {
        for (number, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (10 * 1024, "10.0 KiB"),
            (150 * 1024 * 1024, "150 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }

    #[test]
    fn spans_have_two_units_at_most() {
        for (ms, text) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (12_000, "12 s"),
            (185_000, "3 min 5 s"),
            (7_800_000, "2 h 10 min"),
            (356_400_000, "4 d 3 h"),
        ] {
            assert_eq!(span(ms), text);
        }
    }

    #[test]
    fn what_is_measured_is_short() {
        assert_eq!(thousandths(420), "0.42");
        assert_eq!(thousandths(12_345), "12.34");
        assert_eq!(per_second(12_540), "12.5/s");
        assert_eq!(share(63), "6.3 %");
        assert_eq!(nanoseconds(85_999), "85 µs");
        assert_eq!(nanoseconds(1_390_000), "1.3 ms");
        assert_eq!(nanoseconds(2_100_000_000), "2.1 s");
        assert_eq!(rate(2048), "2.0 KiB/s");
    }

    #[test]
    fn counts_are_grouped_and_shares_stay_within_the_whole() {
        assert_eq!(count(1_234_567).replace('\u{202f}', "."), "1.234.567");
        assert_eq!(count(999), "999");
        assert_eq!((percent(1, 0), percent(5, 3), percent(1, 3)), (0, 100, 33));
        assert_eq!(percent(u64::MAX, u64::MAX), 100);
    }

    #[test]
    fn a_date_that_no_calendar_has_is_none() {
        assert_eq!(moment(0), None);
        assert_eq!(moment(u64::MAX), None);
        assert_eq!(moment(1_000).unwrap().machine, "1970-01-01T00:00:01Z");
    }
}
