//! Changes that somebody asks for: another text, or edits of single lines.

use serde::Deserialize;
use vaquita_config::{
    Document, Entry, Mode, Site, edit, limits, parse_cluster_nodes, parse_key_value,
};

use super::error::DeskError;
use super::files::ConfigFile;

/// Edits of one change, at most.
pub const EDITS_MAX: usize = 256;

/// What a file is to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// This text.
    Text(String),
    /// What these edits make of it, one after the other.
    Edits(Vec<Edit>),
    /// What the edits make of a text that is not written yet.
    Draft {
        /// The text.
        text: String,
        /// The edits.
        edits: Vec<Edit>,
    },
    /// These bytes, which it had before.
    Bytes(Vec<u8>),
}

/// One edit. Lines are counted from 1, in the text that the edits before it have made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Edit {
    /// Gives a key a value: on that line; without one on the last line that sets exactly this key
    /// for exactly these nodes, or else on a new line at the end.
    Set {
        /// `key`, or in `cluster.cfg` `ALIAS.key` or `PATTERN.key`.
        key: String,
        /// The value.
        value: String,
        /// The line.
        line: Option<usize>,
    },
    /// Puts in the line `key=value`.
    Insert {
        /// The number that the line gets.
        line: usize,
        /// `key`, or in `cluster.cfg` `ALIAS.key` or `PATTERN.key`.
        key: String,
        /// The value.
        value: String,
    },
    /// Takes out a line, whatever it holds.
    RemoveLine {
        /// The line.
        line: usize,
    },
    /// Takes out every line that sets exactly this key for exactly these nodes.
    Unset {
        /// As in [`Edit::Set`].
        key: String,
    },
    /// Adds the row of a member, at the end.
    AddMember {
        /// `host:port:alias`
        site: String,
        /// `agent` or `datanode`
        mode: String,
    },
    /// Gives a member another site. All else of its row stays, the comment too.
    MoveMember {
        /// The member.
        alias: String,
        /// Its new site.
        site: String,
    },
    /// Takes out the row of a member.
    RemoveMember {
        /// The member.
        alias: String,
    },
}

impl Change {
    /// What the change makes of a file.
    ///
    /// # Errors
    /// [`DeskError::BadEdit`] for an edit that does not fit the file or would be read back as something
    /// else, [`DeskError::TooLarge`] for too long a text.
    pub(super) fn make(&self, file: ConfigFile, before: &[u8]) -> Result<Vec<u8>, DeskError> {
        let after = match self {
            Self::Text(text) => text.clone().into_bytes(),
            Self::Edits(edits) => edited(file, before, edits)?,
            Self::Draft { text, edits } => edited(file, text.as_bytes(), edits)?,
            Self::Bytes(bytes) => bytes.clone(),
        };
        if after.len() > limits::FILE_BYTES {
            return Err(DeskError::TooLarge {
                bytes: after.len(),
                most: limits::FILE_BYTES,
            });
        }
        Ok(after)
    }
}

fn edited(file: ConfigFile, before: &[u8], edits: &[Edit]) -> Result<Vec<u8>, DeskError> {
    if edits.len() > EDITS_MAX {
        return Err(DeskError::BadEdit {
            nth: EDITS_MAX + 1,
            why: format!("one change has {EDITS_MAX} edits at most; make several"),
        });
    }
    let mut document = Document::parse(file.name(), before);
    for (index, edit) in edits.iter().enumerate() {
        let bad = |why: String| DeskError::BadEdit {
            nth: index + 1,
            why,
        };
        document = apply(file, &document, edit).map_err(bad)?;
        // What one edit adds is bounded, what many do is not.
        if document.bytes().len() > limits::FILE_BYTES {
            break;
        }
    }
    Ok(document.bytes().to_vec())
}

fn apply(file: ConfigFile, document: &Document, edit: &Edit) -> Result<Document, String> {
    let words = |error: edit::EditError| error.to_string();
    let kind = || {
        file.kind().ok_or_else(|| {
            format!(
                "{file} has rows and no keys: use `add-member`, `move-member` or `remove-member`"
            )
        })
    };
    let rows = || match file {
        ConfigFile::Nodes => Ok(()),
        _ => Err(format!(
            "{file} has keys and no members: those are in cluster.nodes"
        )),
    };
    match edit {
        Edit::Set { key, value, line } => {
            let kind = kind()?;
            let entries = parse_key_value(kind, file.name(), document.bytes())
                .value
                .entries;
            let found = match line {
                Some(line) => {
                    let on_it = entries.iter().find(|entry| entry.line == *line);
                    let fits = on_it.is_some_and(|entry| names(entry, key));
                    if !fits {
                        return Err(format!(
                            "`{}` is not on line {line}: the file has changed, or the line was \
                             miscounted",
                            key.escape_debug()
                        ));
                    }
                    Some(*line)
                }
                None => {
                    let same = entries.iter().rfind(|entry| names(entry, key));
                    same.map(|entry| entry.line)
                }
            };
            match found {
                Some(line) => edit::set_value(kind, document, line, value).map_err(words),
                None => {
                    let end = document.lines().len() + 1;
                    edit::insert_entry(kind, document, end, key, value).map_err(words)
                }
            }
        }
        Edit::Insert { line, key, value } => {
            edit::insert_entry(kind()?, document, *line, key, value).map_err(words)
        }
        Edit::RemoveLine { line } => edit::remove_line(document, *line).map_err(words),
        Edit::Unset { key } => {
            let kind = kind()?;
            let entries = parse_key_value(kind, file.name(), document.bytes())
                .value
                .entries;
            let lines: Vec<usize> = (entries.iter())
                .filter(|entry| names(entry, key))
                .map(|entry| entry.line)
                .collect();
            if lines.is_empty() {
                return Err(format!("no line sets `{}`", key.escape_debug()));
            }
            let mut document = document.clone();
            for line in lines.into_iter().rev() {
                document = edit::remove_line(&document, line).map_err(words)?;
            }
            Ok(document)
        }
        Edit::AddMember { site, mode } => {
            rows()?;
            let site: Site = site.parse().map_err(|error| format!("{error}"))?;
            let mode: Mode = mode.parse().map_err(|error| format!("{error}"))?;
            let end = document.lines().len() + 1;
            edit::insert_member(document, end, &site, mode).map_err(words)
        }
        Edit::MoveMember { alias, site } => {
            rows()?;
            let site: Site = site.parse().map_err(|error| format!("{error}"))?;
            let line = row_of(document, alias)?;
            if site.alias != *alias {
                return Err(format!(
                    "`{alias}` would become `{}`: a name cannot be changed; add a member of the new \
                     name, and take out the old one once it has been drained and removed",
                    site.alias
                ));
            }
            edit::set_site(document, line, &site).map_err(words)
        }
        Edit::RemoveMember { alias } => {
            rows()?;
            let line = row_of(document, alias)?;
            edit::remove_line(document, line).map_err(words)
        }
    }
}

/// The only line with the row of a member.
fn row_of(document: &Document, alias: &str) -> Result<usize, String> {
    let nodes = parse_cluster_nodes(document.name(), document.bytes()).value;
    let mut rows = nodes
        .members
        .iter()
        .filter(|member| member.site.alias == alias);
    match (rows.next(), rows.next()) {
        (Some(row), None) => Ok(row.place.line),
        (None, _) => Err(format!(
            "there is no member `{}` in cluster.nodes",
            alias.escape_debug()
        )),
        (Some(_), Some(_)) => Err(format!("there are several rows of `{alias}`: name a line")),
    }
}

/// Whether a line is about exactly this key, with exactly this qualifier.
fn names(entry: &Entry, key: &str) -> bool {
    let (qualifier, name) = match key.split_once('.') {
        Some((qualifier, name)) => (Some(qualifier), name),
        None => (None, key),
    };
    let same = |own: &str| own.eq_ignore_ascii_case(name);
    entry.qualifier.as_ref().map(|it| it.text.as_str()) == qualifier
        && (same(&entry.name) || entry.key.is_some_and(|it| same(it.name)))
}
