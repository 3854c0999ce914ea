//! Characters that look like others, and characters that do not belong into a text file.

/// The ASCII character that a full-width or typographic character stands for, if it is one.
///
/// Text copied from a page in Chinese, or typed with such an input method, carries these; they
/// look right and mean nothing to a parser.
pub(crate) fn ascii_of(character: char) -> Option<char> {
    match character {
        // The full-width block mirrors the printable ASCII characters in order.
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(character as u32 - 0xfee0),
        '\u{3000}' | '\u{a0}' | '\u{2007}' | '\u{202f}' => Some(' '),
        '\u{3001}' => Some(','),
        '\u{2018}' | '\u{2019}' => Some('\''),
        '\u{201c}' | '\u{201d}' => Some('"'),
        '\u{2010}'..='\u{2014}' | '\u{2212}' => Some('-'),
        '\u{fe55}' => Some(':'),
        '\u{fe50}' => Some(','),
        '\u{2215}' | '\u{2044}' => Some('/'),
        _ => None,
    }
}

/// Like [`ascii_of`], for a path: only the characters that separate or select something. A
/// directory may well have full-width letters or brackets in its name.
pub(crate) fn separator_of(character: char) -> Option<char> {
    ascii_of(character)
        .filter(|ascii| matches!(ascii, ':' | ',' | '=' | '%' | '?' | ';' | '<' | '>'))
}

/// Whether a character can do harm in a line or is invisible: control characters except the tab,
/// marks that turn the writing direction, characters without width, and foreign line separators.
pub(crate) fn is_hidden(character: char) -> bool {
    matches!(
        character,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    ) || (character.is_control() && character != '\t')
}

/// Blanks: what may stand around separators and is cut off values.
pub(crate) fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t')
}

/// How a message calls a character: itself where it can be seen, and its number.
pub(crate) fn describe(character: char) -> String {
    let number = format!("U+{:04X}", character as u32);
    let name = match character {
        ' ' => return "a blank".to_owned(),
        '\t' => return "a tab".to_owned(),
        '\0' => "NUL",
        '\u{b}' => "vertical tab",
        '\u{c}' => "form feed",
        '\u{1b}' => "escape",
        '\u{7f}' => "delete",
        '\u{a0}' => "no-break space",
        '\u{3000}' => "ideographic space",
        '\u{200b}' => "zero width space",
        '\u{feff}' => "byte order mark",
        _ if is_hidden(character) => return number,
        _ => return format!("`{character}` ({number})"),
    };
    format!("{number} ({name})")
}

/// How a message calls the ASCII character to write instead.
pub(crate) fn describe_ascii(character: char) -> String {
    if character == ' ' {
        "a blank".to_owned()
    } else {
        format!("`{character}`")
    }
}
