//! What all files have in common, below their grammars: which lines can be read, where a line's
//! configuration ends and its comment begins, and parts of text with their places.

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::str;

use crate::character::{self, is_blank};
use crate::codes::{self, Code};
use crate::diagnostic::Diagnostic;
use crate::document::Document;
use crate::limits;
use crate::span::Span;

/// A problem within a piece of text, its place counted from the start of that piece.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) code: Code,
    pub(crate) range: Range<usize>,
    pub(crate) message: String,
    pub(crate) help: String,
    /// Boxed because a finding is also an error that is handed up through several calls.
    pub(crate) fix: Option<Box<(Range<usize>, String)>>,
}

impl Finding {
    pub(crate) fn new(
        code: Code,
        range: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Finding {
        Finding {
            code,
            range,
            message: message.into(),
            help: help.into(),
            fix: None,
        }
    }

    pub(crate) fn with_fix(mut self, range: Range<usize>, text: impl Into<String>) -> Finding {
        self.fix = Some(Box::new((range, text.into())));
        self
    }

    /// Counts the place from further left, when the piece is part of a larger one.
    pub(crate) fn moved(mut self, by: usize) -> Finding {
        self.range = self.range.start + by..self.range.end + by;
        if let Some(fix) = &mut self.fix {
            fix.0 = fix.0.start + by..fix.0.end + by;
        }
        self
    }

    /// The problem of the document's text at `piece`.
    pub(crate) fn at(self, document: &Document, piece: Span) -> Diagnostic {
        let diagnostic =
            document.report(self.code, piece.part(self.range), self.message, self.help);
        match self.fix.map(|fix| *fix) {
            Some((range, text)) => diagnostic.with_fix(piece.part(range), text),
            None => diagnostic,
        }
    }
}

/// The configuration of one line: neither blank nor comment, blanks around it cut off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content<'a> {
    /// The line, from 1.
    pub(crate) line: usize,
    /// Where the text stands in the file.
    pub(crate) span: Span,
    /// The text.
    pub(crate) text: &'a str,
}

/// The lines of a document that hold configuration and can be read. All others that are not
/// blank or comments are reported.
pub(crate) fn contents<'a>(
    document: &'a Document,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Content<'a>> {
    let bytes = document.bytes();
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        diagnostics.push(document.report(
            codes::UTF16,
            document.start(),
            "the file is stored as UTF-16, so nothing of it can be read",
            "save the file as UTF-8 (editors also call UTF-16 \"Unicode\")",
        ));
        return Vec::new();
    }
    if bytes.len() > limits::FILE_BYTES {
        diagnostics.push(document.report(
            codes::FILE_TOO_LARGE,
            document.start(),
            format!(
                "the file has {} bytes; a configuration file has at most {}, so nothing of it is read",
                bytes.len(),
                limits::FILE_BYTES
            ),
            "check that this is the right file",
        ));
        return Vec::new();
    }
    let mut contents = Vec::new();
    for (index, line) in document.lines().iter().enumerate() {
        if index == limits::FILE_LINES {
            diagnostics.push(document.report(
                codes::TOO_MANY_LINES,
                line.span,
                format!(
                    "the file has {} lines; from this line on it is not read",
                    document.lines().len()
                ),
                format!(
                    "keep a configuration file below {} lines",
                    limits::FILE_LINES
                ),
            ));
            break;
        }
        let Some(text) = readable(document, line.span, diagnostics) else {
            continue;
        };
        if index == 0 && text.trim_matches(is_blank).is_empty() {
            diagnostics.push(blank_first_line(document, line.span));
        }
        let Some(range) = content(text) else { continue };
        let span = line.span.part(range.clone());
        let text = &text[range];
        if let Some((offset, hidden)) = text
            .char_indices()
            .find(|(_, character)| character::is_hidden(*character))
        {
            let end = offset + hidden.len_utf8();
            diagnostics.push(
                document
                    .report(
                        codes::CONTROL_CHARACTER,
                        span.part(offset..end),
                        format!(
                            "the line holds {}, which cannot be seen; the line is not read",
                            character::describe(hidden)
                        ),
                        "delete the character, or type the line anew",
                    )
                    .with_fix(span.part(offset..end), ""),
            );
            continue;
        }
        if text.len() > limits::LINE_BYTES {
            diagnostics.push(document.report(
                codes::LINE_TOO_LONG,
                span,
                format!("the line has {} bytes and is not read", text.len()),
                format!("keep a line below {} bytes", limits::LINE_BYTES),
            ));
            continue;
        }
        contents.push(Content {
            line: index + 1,
            span,
            text,
        });
    }
    contents
}

fn readable<'a>(
    document: &'a Document,
    span: Span,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<&'a str> {
    let bytes = document.slice(span);
    match str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => {
            let start = error.valid_up_to();
            let end = start + error.error_len().unwrap_or(bytes.len() - start);
            diagnostics.push(document.report(
                codes::INVALID_UTF8,
                span.part(start..end),
                format!("the byte 0x{:02x} is not UTF-8; the line is not read", bytes[start]),
                "save the file as UTF-8; it was perhaps written in GBK, Latin-1 or another encoding",
            ));
            None
        }
    }
}

fn blank_first_line(document: &Document, span: Span) -> Diagnostic {
    let message = if document.name().ends_with(".nodes") {
        format!(
            "the first line is blank; it is skipped here, but DolphinDB would stop with `Failed to \
             load the nodes file [{}] with error: The input file is empty.`",
            document.name()
        )
    } else {
        "the first line is blank; it is skipped here, but DolphinDB refuses a configuration file \
         that begins with a blank line"
            .to_owned()
    };
    let blank_lines = document
        .lines()
        .iter()
        .take_while(|line| {
            str::from_utf8(document.slice(line.span))
                .is_ok_and(|text| text.trim_matches(is_blank).is_empty())
        })
        .count();
    let end = document
        .lines()
        .get(blank_lines)
        .map_or(document.bytes().len(), |line| line.span.start);
    document
        .report(
            codes::BLANK_FIRST_LINE,
            span,
            message,
            "delete the blank lines above the first entry",
        )
        .with_fix(Span::new(span.start, end), "")
}

/// The part of a line that is configuration; none if the line is blank or a comment.
///
/// `#` and `//` begin a comment at the start of a line and after a blank. Anywhere else they are
/// part of the text, so that `s3://bucket` and `/disk#1` are what they look like.
pub(crate) fn content(line: &str) -> Option<Range<usize>> {
    let mut after_blank = true;
    let mut end = line.len();
    for (offset, character) in line.char_indices() {
        let rest = &line[offset..];
        if after_blank && (rest.starts_with('#') || rest.starts_with("//")) {
            end = offset;
            break;
        }
        after_blank = is_blank(character);
    }
    let range = trimmed(line, 0..end);
    (!range.is_empty()).then_some(range)
}

/// The range without the blanks at both of its ends.
pub(crate) fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let part = &text[range.clone()];
    let start = part.len() - part.trim_start_matches(is_blank).len();
    let length = part.trim_matches(is_blank).len();
    range.start + start..range.start + start + length
}

/// The ranges between the separators, without the blanks around them. Always at least one.
pub(crate) fn split(text: &str, separator: char) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (offset, found) in text.match_indices(separator) {
        parts.push(trimmed(text, start..offset));
        start = offset + found.len();
    }
    parts.push(trimmed(text, start..text.len()));
    parts
}

/// One finding for all characters of the text that `meant` replaces by an ASCII one: a line
/// copied with one full-width comma often has ten of them.
pub(crate) fn fullwidth(text: &str, meant: impl Fn(char) -> Option<char>) -> Option<Finding> {
    let mut pairs: Vec<(char, char)> = Vec::new();
    let mut range: Option<Range<usize>> = None;
    for (offset, character) in text.char_indices() {
        let Some(ascii) = meant(character) else {
            continue;
        };
        let start = range.map_or(offset, |range| range.start);
        range = Some(start..offset + character.len_utf8());
        if !pairs.contains(&(character, ascii)) {
            pairs.push((character, ascii));
        }
    }
    let range = range?;
    let named: Vec<String> = pairs
        .iter()
        .take(6)
        .map(|(found, ascii)| {
            let ascii = character::describe_ascii(*ascii);
            format!("{} is not {ascii}", character::describe(*found))
        })
        .collect();
    let mut written: Vec<String> = Vec::new();
    for (_, ascii) in pairs.iter().take(6) {
        let ascii = character::describe_ascii(*ascii);
        if !written.contains(&ascii) {
            written.push(ascii);
        }
    }
    let corrected = text[range.clone()]
        .chars()
        .map(|found| meant(found).unwrap_or(found));
    Some(
        Finding::new(
            codes::FULLWIDTH_CHARACTER,
            range.clone(),
            format!("{}; the line is not read", named.join(", ")),
            format!("write {} in ASCII", written.join(", ")),
        )
        .with_fix(range.clone(), corrected.collect::<String>()),
    )
}

/// Whether part of the file, or all of it, was left unread.
pub(crate) fn is_cut_short(diagnostics: &[Diagnostic]) -> bool {
    let cuts = [
        codes::UTF16.name,
        codes::FILE_TOO_LARGE.name,
        codes::TOO_MANY_LINES.name,
    ];
    diagnostics
        .iter()
        .any(|diagnostic| cuts.contains(&diagnostic.code))
}

/// Sorts by line and column and cuts off what is too much to list.
pub(crate) fn finish(document: &Document, diagnostics: &mut Vec<Diagnostic>) {
    diagnostics.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
    if diagnostics.len() > limits::FILE_DIAGNOSTICS {
        let left_out = diagnostics.len() - limits::FILE_DIAGNOSTICS;
        // An error must not fall victim to the cut: it decides on the exit status.
        diagnostics.sort_by_key(|diagnostic| diagnostic.severity);
        diagnostics.truncate(limits::FILE_DIAGNOSTICS);
        diagnostics.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
        let end = document.bytes().len();
        diagnostics.push(document.report(
            codes::TOO_MANY_PROBLEMS,
            Span::new(end, end),
            format!("{left_out} more problems of this file are not listed"),
            "mend those listed and check again",
        ));
    }
}
