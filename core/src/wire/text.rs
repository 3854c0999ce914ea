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

/// The longest beginning of `text` that takes at most `max_bytes` bytes.
pub(crate) fn cut(text: &str, max_bytes: usize) -> &str {
    let end = text.floor_char_boundary(max_bytes);
    text.get(..end).unwrap_or_default()
}
