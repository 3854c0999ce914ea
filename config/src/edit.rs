//! Changes of one line, all else byte for byte the same.
//!
//! An edit takes a [`Document`] and gives a new one. Whatever is put in is refused if it could be
//! read as anything else than it is meant: the new text is parsed again and compared with what the
//! old one said before it is returned, so that no value can smuggle in a key or a line.
//!
//! An edit looks at form only. Whether a value is of its key's type is found out by parsing the
//! new document, or beforehand by [`crate::keys::Key::parse`]; whether a key may be changed at all
//! is in [`crate::keys::Key::web_editable`].

#[cfg(test)]
mod tests;

use std::fmt;

use crate::alias;
use crate::character::{self, is_blank};
use crate::cluster_nodes::{Member, parse_cluster_nodes};
use crate::document::{Document, LineEnding};
use crate::file_kind::FileKind;
use crate::key_value::{Entry, parse_key_value};
use crate::limits;
use crate::mode::Mode;
use crate::pattern;
use crate::site::Site;

/// Why an edit was refused. The document is as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditError {
    /// The document has no line of that number.
    NoSuchLine {
        /// The number, from 1.
        line: usize,
    },
    /// The line is not of the form `key=value`, or no member stands on it.
    NotAnEntry {
        /// The number, from 1.
        line: usize,
    },
    /// The key, or its qualifier, has a character or a form that it must not have.
    BadKey {
        /// The key.
        key: String,
    },
    /// The value holds this character, which ends a line, cannot be seen or is no text.
    BadCharacter {
        /// The character.
        character: char,
    },
    /// The value has more than [`limits::VALUE_BYTES`] bytes.
    TooLong,
    /// Read back, the text would say something else: the value begins or ends with a blank, or
    /// holds what would be taken for a comment.
    ReadsDifferently,
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EditError::NoSuchLine { line } => write!(f, "there is no line {line}"),
            EditError::NotAnEntry { line } => write!(f, "there is no entry on line {line}"),
            EditError::BadKey { key } => write!(
                f,
                "`{}` is not of the form `key` or `ALIAS.key`",
                key.escape_debug()
            ),
            EditError::BadCharacter { character } => {
                write!(f, "the value holds {}", character::describe(*character))
            }
            EditError::TooLong => {
                write!(f, "the value has more than {} bytes", limits::VALUE_BYTES)
            }
            EditError::ReadsDifferently => f.write_str(
                "the value begins or ends with a blank, or holds a blank before `#` or `//`, \
                 which begins a comment",
            ),
        }
    }
}

impl std::error::Error for EditError {}

/// Gives the entry on a line another value. The key, the blanks and the comment stay.
///
/// # Errors
///
/// See [`EditError`]; an empty value is allowed.
pub fn set_value(
    kind: FileKind,
    document: &Document,
    line: usize,
    value: &str,
) -> Result<Document, EditError> {
    check_value(value)?;
    let mut expected = entries(kind, document);
    let entry = expected
        .iter_mut()
        .find(|entry| entry.line == line)
        .ok_or(EditError::NotAnEntry { line })?;
    let mut bytes = document.bytes().to_vec();
    bytes.splice(entry.value_span.start..entry.value_span.end, value.bytes());
    entry.value = value.to_owned();
    let edited = Document::parse(document.name(), &bytes);
    accept(kind, edited, &expected, document.lines().len())
}

/// Inserts the line `key=value`, where the key may be `ALIAS.key`; it gets the number `line`, and
/// what stood there moves down. One more than the last line appends.
///
/// # Errors
///
/// See [`EditError`].
pub fn insert_entry(
    kind: FileKind,
    document: &Document,
    line: usize,
    key: &str,
    value: &str,
) -> Result<Document, EditError> {
    check_key(key)?;
    check_value(value)?;
    let mut expected = entries(kind, document);
    let edited = insert(document, line, &format!("{key}={value}"))?;
    for entry in expected.iter_mut().filter(|entry| entry.line >= line) {
        entry.line += 1;
    }
    let at = expected.partition_point(|entry| entry.line < line);
    let read = entries(kind, &edited);
    // The new entry is compared by what was asked for, the others by what they were.
    let new = read.get(at).filter(|entry| {
        let name = match &entry.qualifier {
            Some(qualifier) => format!("{}.{}", qualifier.text, entry.name),
            None => entry.name.clone(),
        };
        entry.line == line && name == key && entry.value == value
    });
    expected.insert(at, new.ok_or(EditError::ReadsDifferently)?.clone());
    accept(kind, edited, &expected, document.lines().len() + 1)
}

/// Inserts the row of a member into `cluster.nodes`; see [`insert_entry`] for `line`.
///
/// # Errors
///
/// See [`EditError`]. A header with other columns than `localSite,mode` at its beginning is
/// [`EditError::ReadsDifferently`].
pub fn insert_member(
    document: &Document,
    line: usize,
    site: &Site,
    mode: Mode,
) -> Result<Document, EditError> {
    let row = format!("{site},{mode}");
    check_value(&row)?;
    let members = |document: &Document| -> Vec<(Site, Mode)> {
        let read = parse_cluster_nodes(document.name(), document.bytes()).value;
        read.members
            .into_iter()
            .map(|member| (member.site, member.mode))
            .collect()
    };
    let edited = insert(document, line, &row)?;
    let mut rest = members(&edited);
    let new = rest
        .iter()
        .position(|member| *member == (site.clone(), mode));
    rest.remove(new.ok_or(EditError::ReadsDifferently)?);
    if rest == members(document) && edited.lines().len() == document.lines().len() + 1 {
        Ok(edited)
    } else {
        Err(EditError::ReadsDifferently)
    }
}

/// Gives the member on a line of `cluster.nodes` another site. Its other columns, the blanks and the
/// comment stay.
///
/// # Errors
///
/// See [`EditError`].
pub fn set_site(document: &Document, line: usize, site: &Site) -> Result<Document, EditError> {
    let row = site.to_string();
    check_value(&row)?;
    let members = |document: &Document| {
        parse_cluster_nodes(document.name(), document.bytes())
            .value
            .members
    };
    let mut expected = members(document);
    let member = expected
        .iter_mut()
        .find(|member| member.place.line == line)
        .ok_or(EditError::NotAnEntry { line })?;
    let mut bytes = document.bytes().to_vec();
    bytes.splice(member.span.start..member.span.end, row.bytes());
    member.site = site.clone();
    let edited = Document::parse(document.name(), &bytes);
    let read = members(&edited);
    let same = |one: &Member, other: &Member| {
        one.place.line == other.place.line && one.site == other.site && one.row() == other.row()
    };
    let equal = read.len() == expected.len()
        && read
            .iter()
            .zip(&expected)
            .all(|(one, other)| same(one, other));
    if equal && edited.lines().len() == document.lines().len() {
        Ok(edited)
    } else {
        Err(EditError::ReadsDifferently)
    }
}

/// Removes a line of any file, its line end included. A byte order mark stays.
///
/// # Errors
///
/// [`EditError::NoSuchLine`], or [`EditError::ReadsDifferently`] if a `\r` before the line and a
/// `\n` behind it would become one line end.
pub fn remove_line(document: &Document, line: usize) -> Result<Document, EditError> {
    let index = line.checked_sub(1).ok_or(EditError::NoSuchLine { line })?;
    let removed = document
        .lines()
        .get(index)
        .ok_or(EditError::NoSuchLine { line })?;
    let mut bytes = document.bytes().to_vec();
    bytes.drain(removed.span.start..removed.span.end + removed.ending.as_str().len());
    let edited = Document::parse(document.name(), &bytes);
    // A line end that merges with the next one takes a line away; so does a `U+FEFF` that comes
    // to stand at the very start and turns into a byte order mark.
    let same = edited.lines().len() + 1 == document.lines().len()
        && edited.has_byte_order_mark() == document.has_byte_order_mark();
    if same {
        Ok(edited)
    } else {
        Err(EditError::ReadsDifferently)
    }
}

fn check_value(value: &str) -> Result<(), EditError> {
    if let Some(character) = value
        .chars()
        .find(|character| character::is_hidden(*character))
    {
        return Err(EditError::BadCharacter { character });
    }
    if value.len() > limits::VALUE_BYTES {
        return Err(EditError::TooLong);
    }
    if value.trim_matches(is_blank).len() != value.len() {
        return Err(EditError::ReadsDifferently);
    }
    Ok(())
}

fn check_key(key: &str) -> Result<(), EditError> {
    let (qualifier, name) = match key.split_once('.') {
        Some((qualifier, name)) => (Some(qualifier), name),
        None => (None, key),
    };
    let named = name.starts_with(|it: char| it.is_ascii_alphabetic())
        && name.len() <= 64
        && name
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || it == b'_');
    let qualified = qualifier.is_none_or(|qualifier| {
        if pattern::is_pattern(qualifier) {
            qualifier.len() <= alias::MAX_LENGTH
                && qualifier
                    .bytes()
                    .all(|it| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'-' | b'%' | b'?'))
        } else {
            alias::check(qualifier).is_ok()
        }
    });
    if named && qualified {
        Ok(())
    } else {
        Err(EditError::BadKey {
            key: key.to_owned(),
        })
    }
}

/// The document with one more line, which ends as its neighbours do.
fn insert(document: &Document, line: usize, text: &str) -> Result<Document, EditError> {
    let lines = document.lines();
    let index = line.checked_sub(1).ok_or(EditError::NoSuchLine { line })?;
    if index > lines.len() {
        return Err(EditError::NoSuchLine { line });
    }
    let above = index.checked_sub(1).map(|above| lines[above]);
    let ending = above
        .iter()
        .chain(lines.get(index))
        .chain(lines.first())
        .map(|line| line.ending)
        .find(|ending| *ending != LineEnding::None)
        .unwrap_or(LineEnding::Lf)
        .as_str();
    let (at, inserted) = match (lines.get(index), above) {
        (Some(below), _) => (below.span.start, format!("{text}{ending}")),
        // A file whose last line has no end stays such a file.
        (None, Some(last)) if last.ending == LineEnding::None => {
            (last.span.end, format!("{ending}{text}"))
        }
        (None, _) => (document.bytes().len(), format!("{text}{ending}")),
    };
    let mut bytes = document.bytes().to_vec();
    bytes.splice(at..at, inserted.bytes());
    Ok(Document::parse(document.name(), &bytes))
}

fn entries(kind: FileKind, document: &Document) -> Vec<Entry> {
    parse_key_value(kind, document.name(), document.bytes())
        .value
        .entries
}

/// The edited document, if it has that many lines and says exactly what it should.
fn accept(
    kind: FileKind,
    edited: Document,
    expected: &[Entry],
    lines: usize,
) -> Result<Document, EditError> {
    let read = entries(kind, &edited);
    let same = |one: &Entry, other: &Entry| {
        let qualifier = |entry: &Entry| entry.qualifier.as_ref().map(|it| it.text.clone());
        one.line == other.line
            && one.name == other.name
            && one.value == other.value
            && qualifier(one) == qualifier(other)
    };
    let equal = read.len() == expected.len()
        && read
            .iter()
            .zip(expected)
            .all(|(read, expected)| same(read, expected));
    if equal && edited.lines().len() == lines {
        Ok(edited)
    } else {
        Err(EditError::ReadsDifferently)
    }
}
