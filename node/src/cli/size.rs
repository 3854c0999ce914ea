//! Numbers of bytes for people.

/// A number of bytes in the largest unit of which there is at least one, with three digits or so:
/// `17 B`, `1.5 KiB`, `999 MiB`.
pub(super) fn human(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut unit = 0;
    let mut whole = bytes;
    let mut rest = 0;
    while whole >= 1024 {
        rest = whole % 1024;
        whole /= 1024;
        unit += 1;
    }
    // Cut, not rounded: 1023.99 MiB must not become 1024 MiB.
    let tenths = rest * 10 / 1024;
    if unit > 0 && whole < 10 {
        format!("{whole}.{tenths} {}", UNITS[unit])
    } else {
        format!("{whole} {}", UNITS[unit])
    }
}

/// As asked for: for people, or to the byte.
pub(super) fn text(bytes: u64, exactly: bool) -> String {
    if exactly {
        bytes.to_string()
    } else {
        human(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn sizes_have_few_digits() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (10 * 1024, "10 KiB"),
            (1024 * 1024 - 1, "1023 KiB"),
            (64 << 20, "64 MiB"),
            (u64::MAX, "15 EiB"),
        ] {
            assert_eq!(human(bytes), expected, "{bytes}");
        }
    }
}
