//! Durations as people write them.

use std::fmt;
use std::time::Duration;

/// Shows a duration so that [`parse_duration`] reads the same one back, in the largest unit that
/// fits.
#[derive(Clone, Copy, Debug)]
pub struct DurationText(pub Duration);

const UNITS: [(&str, u128); 5] = [
    ("h", 3_600_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let fits = |(_, unit): &&(&str, u128)| nanos.is_multiple_of(*unit);
        let (name, unit) = match nanos {
            0 => ("s", 1),
            _ => *UNITS.iter().find(fits).unwrap_or(&("ns", 1)),
        };
        write!(f, "{}{name}", nanos / unit)
    }
}

/// Reads a whole number with a unit: `1h`, `30s`, `250ms`, `100us`, `7ns`.
///
/// # Errors
/// If it is none, or longer than 500 years.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration; write it as 1h, 30s, 250ms, 100us or 7ns");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let (_, unit) = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(wrong)?;
    let nanos = u64::try_from(u128::from(number) * unit).map_err(|_| wrong())?;
    Ok(Duration::from_nanos(nanos))
}
