//! The macro `<ALIAS>`, which stands for the alias of the node that a value is resolved for.

#[cfg(test)]
mod tests;

use std::ops::Range;

/// The macro as it is to be written.
pub(crate) const MACRO: &str = "<ALIAS>";

/// A word in angle brackets within a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Occurrence {
    pub(crate) range: Range<usize>,
    pub(crate) spelling: Spelling,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// `<ALIAS>`
    Exact,
    /// `<alias>`, `<Alias>`
    OtherCase,
    /// Another word.
    Foreign,
}

/// All words in angle brackets, from left to right.
pub(crate) fn occurrences(value: &str) -> Vec<Occurrence> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = value[from..].find('<').map(|offset| from + offset) {
        from = start + 1;
        let word = &value[from..];
        let length = word
            .bytes()
            .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        let end = from + length.count();
        if end == from || !value[end..].starts_with('>') {
            continue;
        }
        let range = start..end + 1;
        let spelling = match &value[range.clone()] {
            MACRO => Spelling::Exact,
            text if text.eq_ignore_ascii_case(MACRO) => Spelling::OtherCase,
            _ => Spelling::Foreign,
        };
        from = range.end;
        found.push(Occurrence { range, spelling });
    }
    found
}

/// The value with the macro replaced by the alias, in whatever case it is written.
pub(crate) fn expand(value: &str, alias: &str) -> String {
    let mut expanded = String::with_capacity(value.len());
    let mut from = 0;
    for occurrence in occurrences(value) {
        if occurrence.spelling != Spelling::Foreign {
            expanded.push_str(&value[from..occurrence.range.start]);
            expanded.push_str(alias);
            from = occurrence.range.end;
        }
    }
    expanded.push_str(&value[from..]);
    expanded
}
