//! The names of nodes.
//!
//! An alias names a node in files, in the log and on the wire, and it names a directory and a log
//! file. Hence its grammar is narrow: a letter or digit, then at most 62 letters, digits, `_` and
//! `-`. A dot cannot be part of it because `cluster.cfg` separates an alias from a key by a dot.

#[cfg(test)]
mod tests;

use std::fmt;

/// The most characters an alias can have.
pub const MAX_LENGTH: usize = 63;

/// Why a text cannot be an alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AliasError {
    /// It is empty.
    Empty,
    /// It has more than [`MAX_LENGTH`] characters.
    TooLong,
    /// It has this character, at this byte offset.
    Character(char, usize),
    /// It begins with `_` or `-`.
    Start(char),
    /// Windows reserves the name for a device.
    DeviceName,
}

impl fmt::Display for AliasError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AliasError::Empty => f.write_str("the alias is empty"),
            AliasError::TooLong => write!(f, "the alias has more than {MAX_LENGTH} characters"),
            AliasError::Character('.', _) => f.write_str(
                "the alias holds a `.`, which separates the alias from the key in `cluster.cfg`",
            ),
            AliasError::Character(character, _) => {
                write!(
                    f,
                    "the alias holds {}",
                    crate::character::describe(*character)
                )
            }
            AliasError::Start(character) => write!(f, "the alias begins with `{character}`"),
            AliasError::DeviceName => f.write_str("the alias is the name of a Windows device"),
        }
    }
}

impl std::error::Error for AliasError {}

/// Whether the text can be an alias.
///
/// # Errors
///
/// The first reason against it.
pub fn check(alias: &str) -> Result<(), AliasError> {
    let Some(first) = alias.chars().next() else {
        return Err(AliasError::Empty);
    };
    let foreign = alias.char_indices().find(|(_, character)| {
        !(character.is_ascii_alphanumeric() || matches!(character, '_' | '-'))
    });
    if let Some((offset, character)) = foreign {
        return Err(AliasError::Character(character, offset));
    }
    if !first.is_ascii_alphanumeric() {
        return Err(AliasError::Start(first));
    }
    if alias.len() > MAX_LENGTH {
        return Err(AliasError::TooLong);
    }
    if is_device_name(alias) {
        return Err(AliasError::DeviceName);
    }
    Ok(())
}

fn is_device_name(alias: &str) -> bool {
    let lower = alias.to_ascii_lowercase();
    match lower.as_str() {
        "con" | "prn" | "aux" | "nul" => true,
        _ => matches!(
            lower.as_bytes(),
            [b'c', b'o', b'm', b'1'..=b'9'] | [b'l', b'p', b't', b'1'..=b'9']
        ),
    }
}
