//! The words of a history, and the file system that it is held against: a table of names.

use std::fmt;

/// What somebody wanted. Contents are numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// To make this the file's content.
    Put {
        /// The file.
        path: String,
        /// The content.
        number: u64,
        /// What has to be there.
        expect: Expected,
    },
    /// To read the file.
    Get {
        /// The file.
        path: String,
    },
    /// To remove the file.
    Remove {
        /// The file.
        path: String,
    },
    /// To give the file another name.
    Rename {
        /// The present name.
        from: String,
        /// The new one.
        to: String,
        /// Whether what has the new name gives way.
        replace: bool,
    },
}

/// What has to be there for a content to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expected {
    /// Whatever it is.
    Anything,
    /// No file.
    Nothing,
    /// Any file.
    Something,
    /// A file with this content.
    Number(u64),
}

/// What they were told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is done.
    Done,
    /// It is not done, since what is there forbids it.
    Refused,
    /// The file has this content, or is not there.
    Value(Option<u64>),
    /// Nothing is known.
    Unknown,
}

impl Act {
    /// The files that it is about: the one, or the present name and the new one.
    #[must_use]
    pub fn paths(&self) -> Vec<&str> {
        match self {
            Self::Put { path, .. } | Self::Get { path } | Self::Remove { path } => vec![path],
            Self::Rename { from, to, .. } => vec![from, to],
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put {
                path,
                number,
                expect,
            } => {
                write!(f, "put {path} := {number}")?;
                match expect {
                    Expected::Anything => Ok(()),
                    Expected::Nothing => f.write_str(" if nothing is there"),
                    Expected::Something => f.write_str(" if something is there"),
                    Expected::Number(number) => write!(f, " if {number} is there"),
                }
            }
            Self::Get { path } => write!(f, "get {path}"),
            Self::Remove { path } => write!(f, "remove {path}"),
            Self::Rename { from, to, replace } => {
                let how = if *replace { ", replacing" } else { "" };
                write!(f, "rename {from} to {to}{how}")
            }
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Refused => f.write_str("refused"),
            Self::Value(Some(number)) => write!(f, "{number}"),
            Self::Value(None) => f.write_str("not there"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// The contents of some files, by their places in a list of paths.
pub(crate) type Table = Vec<Option<u64>>;

/// An act on places of a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Move {
    Put(usize, u64, Expected),
    Get(usize),
    Remove(usize),
    Rename(usize, usize, bool),
}

impl Move {
    /// The table after it; `None` if nobody can have been told of it what was told.
    pub(crate) fn happen(&self, seen: Seen, table: &Table) -> Option<Table> {
        let mut next = table.clone();
        let possible = match *self {
            Self::Get(at) => return (seen == Seen::Value(table[at])).then_some(next),
            Self::Put(at, number, expect) => {
                next[at] = Some(number);
                match expect {
                    Expected::Anything => true,
                    Expected::Nothing => table[at].is_none(),
                    Expected::Something => table[at].is_some(),
                    Expected::Number(number) => table[at] == Some(number),
                }
            }
            Self::Remove(at) => next[at].take().is_some(),
            Self::Rename(from, to, replace) => {
                let possible = table[from].is_some() && (replace || table[to].is_none());
                let moved = next[from].take();
                next[to] = moved;
                possible
            }
        };
        match seen {
            Seen::Done | Seen::Unknown => possible.then_some(next),
            Seen::Refused => (!possible).then(|| table.clone()),
            Seen::Value(_) => None,
        }
    }
}
