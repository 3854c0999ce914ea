//! The trace of a run: a fingerprint always, lines on demand.
//!
//! The fingerprint is a checksum over time, node, kind and bytes of everything that any machine was
//! told or asked for, and their number. Two runs with equal fingerprints were, as far as anybody
//! could tell, the same run.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};

use crc32fast::Hasher;

use crate::time::SimTime;

/// What is kept of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceMode {
    /// The fingerprint: fast.
    Fingerprint,
    /// The last lines too.
    Last(usize),
    /// Every line.
    All,
}

/// The fingerprint of a trace.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceHash {
    /// Checksum over everything, in order.
    pub crc: u32,
    /// How many entries.
    pub count: u64,
}

impl fmt::Display for TraceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{}", self.crc, self.count)
    }
}

impl fmt::Debug for TraceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What an entry is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Start,
    Deadline,
    Datagram,
    Received,
    Input,
    SendDatagram,
    Send,
    Effect,
    End,
    Fault,
}

/// The trace of a run.
#[derive(Debug)]
pub struct Trace {
    mode: TraceMode,
    hash: TraceHash,
    lines: VecDeque<String>,
}

impl Trace {
    pub(crate) const fn new(mode: TraceMode) -> Self {
        Self {
            mode,
            hash: TraceHash { crc: 0, count: 0 },
            lines: VecDeque::new(),
        }
    }

    /// The fingerprint so far.
    #[must_use]
    pub const fn hash(&self) -> TraceHash {
        self.hash
    }

    /// The lines that were kept, oldest first.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    pub(crate) const fn keeps_lines(&self) -> bool {
        !matches!(self.mode, TraceMode::Fingerprint)
    }

    pub(crate) fn event(
        &mut self,
        at: SimTime,
        node: usize,
        kind: Kind,
        number: u64,
        bytes: &[u8],
    ) {
        self.entry(at, node, kind, number, crc32fast::hash(bytes));
    }

    /// An entry about something that has no bytes but can be shown.
    pub(crate) fn debug(
        &mut self,
        at: SimTime,
        node: usize,
        kind: Kind,
        number: u64,
        what: &dyn fmt::Debug,
    ) {
        let mut text = HashText(Hasher::new());
        let shown = write!(text, "{what:?}");
        debug_assert!(shown.is_ok(), "a checksum takes any text");
        self.entry(at, node, kind, number, text.0.finalize());
    }

    fn entry(&mut self, at: SimTime, node: usize, kind: Kind, number: u64, crc: u32) {
        let mut bytes = [0; 29];
        bytes[..8].copy_from_slice(&at.as_nanos().to_le_bytes());
        bytes[8..16].copy_from_slice(&(node as u64).to_le_bytes());
        bytes[16] = kind as u8;
        bytes[17..25].copy_from_slice(&number.to_le_bytes());
        bytes[25..].copy_from_slice(&crc.to_le_bytes());
        let mut hasher = Hasher::new_with_initial(self.hash.crc);
        hasher.update(&bytes);
        self.hash = TraceHash {
            crc: hasher.finalize(),
            count: self.hash.count + 1,
        };
    }

    pub(crate) fn line(&mut self, at: SimTime, alias: &str, start: u32, arrow: &str, what: &str) {
        const LONGEST: usize = 400;
        if let TraceMode::Last(most) = self.mode {
            while self.lines.len() >= most.max(1) {
                self.lines.pop_front();
            }
        }
        let mut line = format!("{at:>16} {alias:<10} #{start:<3} {arrow} {what}");
        if line.len() > LONGEST {
            let end = (0..=LONGEST)
                .rev()
                .find(|at| line.is_char_boundary(*at))
                .unwrap_or(0);
            line.truncate(end);
            line.push('…');
        }
        self.lines.push_back(line);
    }
}

struct HashText(Hasher);

impl fmt::Write for HashText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

/// Where two traces part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The line's number, from zero.
    pub line: usize,
    /// What the two have in common just before.
    pub before: Vec<String>,
    /// What the one says; `None` if it has ended.
    pub left: Option<String>,
    /// What the other says.
    pub right: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = "(the trace ends)".to_owned();
        for line in &self.before {
            writeln!(f, "    {line}")?;
        }
        writeln!(f, "  < {}", self.left.as_ref().unwrap_or(&end))?;
        write!(f, "  > {}", self.right.as_ref().unwrap_or(&end))
    }
}

/// The first line in which two traces differ, if they do.
#[must_use]
pub fn first_difference<'a>(
    left: impl IntoIterator<Item = &'a str>,
    right: impl IntoIterator<Item = &'a str>,
) -> Option<Difference> {
    const CONTEXT: usize = 5;
    let (mut left, mut right) = (left.into_iter(), right.into_iter());
    let mut before: VecDeque<String> = VecDeque::new();
    for line in 0.. {
        match (left.next(), right.next()) {
            (None, None) => return None,
            (Some(one), Some(two)) if one == two => {
                if before.len() == CONTEXT {
                    before.pop_front();
                }
                before.push_back(one.to_owned());
            }
            (one, two) => {
                return Some(Difference {
                    line,
                    before: before.into(),
                    left: one.map(str::to_owned),
                    right: two.map(str::to_owned),
                });
            }
        }
    }
    None
}

#[cfg(test)]
mod tests;
