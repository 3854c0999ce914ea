//! Where something stands.

use std::fmt;
use std::ops::Range;

use serde::Serialize;

/// A range of bytes of one file: `start` belongs to it, `end` does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Span {
    /// Offset of the first byte, counted from the start of the file.
    pub start: usize,
    /// Offset behind the last byte.
    pub end: usize,
}

impl Span {
    /// The bytes from `start` up to, but without, `end`.
    pub fn new(start: usize, end: usize) -> Span {
        debug_assert!(
            start <= end,
            "a span cannot end ({end}) before it starts ({start})"
        );
        Span { start, end }
    }

    /// The part of this span that lies at `range`, counted from the start of this span.
    pub fn part(self, range: Range<usize>) -> Span {
        Span::new(self.start + range.start, self.start + range.end)
    }

    /// The number of bytes.
    pub fn len(self) -> usize {
        self.end - self.start
    }

    /// Whether the span marks a place between two bytes and covers none.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// A place that a person can go to: file, line and column, printed as `file:line:column`.
///
/// Lines and columns count from 1; columns count characters, not bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Place {
    /// The name that the file was parsed under.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}
