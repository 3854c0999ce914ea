//! Text from the network, made fit for a log line.

/// At most `max_chars` characters of `text`, with everything escaped that could move a cursor,
/// start a line or turn the direction of reading; `…` stands where something was cut off.
///
/// A backslash is doubled, so that an escape cannot be confused with the same characters sent.
/// Quotation marks stay as they are.
pub(crate) fn printable(text: &str, max_chars: usize) -> String {
    let mut shown = String::new();
    let mut chars = text.chars();
    for ch in chars.by_ref().take(max_chars) {
        if matches!(ch, '\'' | '"') {
            shown.push(ch);
        } else {
            shown.extend(ch.escape_debug());
        }
    }
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

/// As [`printable`], but what is returned has at most `max_chars` characters, however much escaping adds:
/// an escape that does not fit any more is left out whole.
pub(crate) fn printable_within(text: &str, max_chars: usize) -> String {
    let mut shown = String::new();
    let mut room = max_chars;
    let mut chars = text.chars();
    while let Some(ch) = chars.next() {
        let piece = match ch {
            '\'' | '"' => ch.to_string(),
            _ => ch.escape_debug().to_string(),
        };
        let is_last = chars.as_str().is_empty();
        match room.checked_sub(piece.chars().count()) {
            // The mark of what was cut off has its place kept.
            Some(left) if is_last || left > 0 => {
                shown.push_str(&piece);
                room = left;
            }
            _ => {
                shown.push('…');
                return shown;
            }
        }
    }
    shown
}

/// The longest beginning of `text` that takes at most `max_bytes` bytes.
pub(crate) fn cut(text: &str, max_bytes: usize) -> &str {
    let end = text.floor_char_boundary(max_bytes);
    text.get(..end).unwrap_or_default()
}
