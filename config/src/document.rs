//! The lossless model of a text file: bytes, cut into lines.
//!
//! Everything is kept: comments, blank lines, the order, the way each line ends, a byte order
//! mark, a missing last line end, and lines that nobody can read. Lines may end with `\n`,
//! `\r\n` or a `\r` of its own, mixed in one file.

#[cfg(test)]
mod tests;

use std::fmt;
use std::str;

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Label};
use crate::span::{Place, Span};

/// What parsing a file gives: always a value, always the document, and all that is wrong with it.
#[derive(Clone, Debug)]
pub struct Parsed<T> {
    /// What the readable lines say.
    pub value: T,
    /// The file, byte for byte.
    pub document: Document,
    /// What is wrong with this file taken by itself, sorted by line and column.
    pub diagnostics: Vec<Diagnostic>,
}

/// The bytes that end a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnding {
    /// `\n`
    Lf,
    /// `\r\n`
    CrLf,
    /// `\r` without a `\n` behind it.
    Cr,
    /// Nothing: the last line of a file that ends without a line end.
    None,
}

impl LineEnding {
    /// The bytes themselves.
    pub fn as_str(self) -> &'static str {
        match self {
            LineEnding::Lf => "\n",
            LineEnding::CrLf => "\r\n",
            LineEnding::Cr => "\r",
            LineEnding::None => "",
        }
    }
}

/// One line of a [`Document`]: where its text stands, and how it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// The text of the line, without a byte order mark and without the line end.
    pub span: Span,
    /// How the line ends.
    pub ending: LineEnding,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A text file and its division into lines.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    name: String,
    bytes: Vec<u8>,
    lines: Vec<Line>,
}

impl Document {
    /// Cuts `bytes` into lines. `name` is what diagnostics call the file.
    pub fn parse(name: &str, bytes: &[u8]) -> Document {
        let mut lines = Vec::new();
        let mut start = if bytes.starts_with(BYTE_ORDER_MARK) {
            BYTE_ORDER_MARK.len()
        } else {
            0
        };
        while start < bytes.len() {
            let length = bytes[start..]
                .iter()
                .position(|byte| matches!(byte, b'\n' | b'\r'));
            let end = length.map_or(bytes.len(), |length| start + length);
            let ending = match bytes[end..] {
                [b'\n', ..] => LineEnding::Lf,
                [b'\r', b'\n', ..] => LineEnding::CrLf,
                [b'\r', ..] => LineEnding::Cr,
                _ => LineEnding::None,
            };
            lines.push(Line {
                span: Span::new(start, end),
                ending,
            });
            start = end + ending.as_str().len();
        }
        Document {
            name: name.to_owned(),
            bytes: bytes.to_vec(),
            lines,
        }
    }

    /// What diagnostics call the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The bytes of the file, as they were.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the file begins with a UTF-8 byte order mark.
    pub fn has_byte_order_mark(&self) -> bool {
        self.bytes.starts_with(BYTE_ORDER_MARK)
    }

    /// The lines in order. A file that ends with a line end has no empty line behind it.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Puts the file together again from its lines: the inverse of [`Document::parse`].
    pub fn print(&self) -> Vec<u8> {
        let mut printed = Vec::with_capacity(self.bytes.len());
        if self.has_byte_order_mark() {
            printed.extend_from_slice(BYTE_ORDER_MARK);
        }
        for line in &self.lines {
            printed.extend_from_slice(self.slice(line.span));
            printed.extend_from_slice(line.ending.as_str().as_bytes());
        }
        printed
    }

    /// The text of a line counted from 1, if there is such a line and it is UTF-8.
    pub fn line_text(&self, number: usize) -> Option<&str> {
        let line = self.lines.get(number.checked_sub(1)?)?;
        str::from_utf8(self.slice(line.span)).ok()
    }

    pub(crate) fn slice(&self, span: Span) -> &[u8] {
        &self.bytes[span.start..span.end]
    }

    /// The place of a byte offset. An offset inside a line end belongs to the line it ends.
    pub fn place(&self, offset: usize) -> Place {
        let index = self
            .lines
            .partition_point(|line| line.span.start <= offset)
            .saturating_sub(1);
        let column = self.lines.get(index).map_or(1, |line| {
            let end = offset.clamp(line.span.start, line.span.end);
            1 + String::from_utf8_lossy(&self.bytes[line.span.start..end])
                .chars()
                .count()
        });
        Place {
            file: self.name.clone(),
            line: index + 1,
            column,
        }
    }

    pub(crate) fn label(&self, span: Span, message: impl Into<String>) -> Label {
        Label {
            place: self.place(span.start),
            span,
            message: message.into(),
        }
    }

    pub(crate) fn report(
        &self,
        code: Code,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Diagnostic {
        let Place { file, line, column } = self.place(span.start);
        let text = self.lines.get(line - 1).map_or(String::new(), |line| {
            // A line can be as long as the file, and a file can have many problems on one line.
            let shown = line.span.len().min(crate::limits::LINE_BYTES);
            String::from_utf8_lossy(self.slice(line.span.part(0..shown))).into_owned()
        });
        Diagnostic {
            code: code.name,
            severity: code.severity,
            file,
            line,
            column,
            span,
            text,
            message: message.into(),
            help: help.into(),
            fix: None,
            related: Vec::new(),
        }
    }

    /// A place for what is wrong with the file as a whole: its very start.
    pub(crate) fn start(&self) -> Span {
        let start = self.lines.first().map_or(0, |line| line.span.start);
        Span::new(start, start)
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text may hold secrets, so it stays out of logs.
        write!(
            f,
            "Document({:?}, {} bytes, {} lines)",
            self.name,
            self.bytes.len(),
            self.lines.len()
        )
    }
}
