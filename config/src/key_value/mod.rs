//! Files of `key=value` lines.
//!
//! ```text
//! line      = [ [ qualifier "." ] key "=" value ] [ comment ]
//! qualifier = alias | pattern            in cluster.cfg; a zone in controller.cfg
//! comment   = ( "#" | "//" ) text        at the start of a line or behind a blank
//! ```
//!
//! Blanks around `.`, `=` and `,` mean nothing. A value reaches from the first `=` to the end of
//! the line and may hold `=` itself.

mod reader;
mod values;

use std::collections::BTreeMap;

use crate::character;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::document::{Document, Parsed};
use crate::file_kind::FileKind;
use crate::keys::Key;
use crate::pattern;
use crate::scan::{self, Finding};
use crate::span::Span;
use reader::Reader;

/// What a `key=value` file says.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyValueFile {
    /// Which file it is.
    pub kind: FileKind,
    /// The entries in the order of their lines, those without effect included.
    pub entries: Vec<Entry>,
    /// Lines with errors, in ASCII as far as that goes: a key on one of them is not missing, it
    /// cannot be read.
    pub(crate) unreadable: Vec<String>,
    /// Whether the file was not read to its end, so that nothing can be said to be missing.
    pub(crate) cut_short: bool,
}

impl KeyValueFile {
    /// The entries that take effect.
    pub fn effective(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.key.is_some())
    }

    /// The last entry of a key without a qualifier: the one that rules in this file.
    pub fn last(&self, name: &str) -> Option<&Entry> {
        self.effective()
            .filter(|entry| entry.qualifier.is_none() && entry.is(name) && !entry.value.is_empty())
            .last()
    }
}

/// One line of the form `[qualifier.]key=value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The line, from 1.
    pub line: usize,
    /// What stands before the first dot of the key.
    pub qualifier: Option<Qualifier>,
    /// The key as it is written.
    pub name: String,
    /// Where the key stands, without its qualifier.
    pub name_span: Span,
    /// The key that the line sets: under its present name, and only if the line takes effect.
    pub key: Option<&'static Key>,
    /// The value as it is written, without blanks around it.
    pub value: String,
    /// Where the value stands.
    pub value_span: Span,
}

impl Entry {
    /// Whether the line sets the key of this name.
    pub fn is(&self, name: &str) -> bool {
        self.key.is_some_and(|key| key.name == name)
    }
}

/// For whom a line is meant: one node, several, or a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qualifier {
    /// An alias, a pattern, or in `controller.cfg` a zone.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

impl Qualifier {
    /// Whether it holds `%` or `?`.
    pub fn is_pattern(&self) -> bool {
        pattern::is_pattern(&self.text)
    }

    /// Whether the line is for the node of that alias.
    pub fn matches(&self, alias: &str) -> bool {
        if self.is_pattern() {
            pattern::matches(&self.text, alias)
        } else {
            self.text == alias
        }
    }
}

/// Reads a `key=value` file. `name` is what diagnostics call it.
///
/// Any bytes are accepted; what cannot be read is reported and left out.
pub fn parse_key_value(kind: FileKind, name: &str, bytes: &[u8]) -> Parsed<KeyValueFile> {
    let document = Document::parse(name, bytes);
    let mut diagnostics = Vec::new();
    let contents = scan::contents(&document, &mut diagnostics);
    let mut reader = Reader {
        document: &document,
        diagnostics,
        file: KeyValueFile {
            kind,
            entries: Vec::new(),
            unreadable: Vec::new(),
            cut_short: false,
        },
    };
    for content in contents {
        reader.line(content);
    }
    let Reader {
        mut diagnostics,
        mut file,
        ..
    } = reader;
    file.unreadable.extend(
        diagnostics
            .iter()
            .filter(|it| it.is_error())
            .map(|diagnostic| {
                diagnostic
                    .text
                    .chars()
                    .map(|it| character::ascii_of(it).unwrap_or(it))
                    .collect()
            }),
    );
    file.cut_short = scan::is_cut_short(&diagnostics);
    repeated_keys(&document, &file, &mut diagnostics);
    scan::finish(&document, &mut diagnostics);
    Parsed {
        value: file,
        document,
        diagnostics,
    }
}

/// Warns about a key that is set twice for the same nodes: the later line rules.
fn repeated_keys(document: &Document, file: &KeyValueFile, diagnostics: &mut Vec<Diagnostic>) {
    let mut latest: BTreeMap<(&str, &str), &Entry> = BTreeMap::new();
    for entry in file.effective() {
        let (Some(key), qualifier) = (entry.key, entry.qualifier.as_ref()) else {
            continue;
        };
        let class = (qualifier.map_or("", |qualifier| &qualifier.text), key.name);
        if let Some(earlier) = latest.insert(class, entry) {
            let range = 0..entry.name_span.len();
            let finding = Finding::new(
                codes::DUPLICATE_KEY,
                range,
                format!(
                    "`{}` is set again; this line rules, not line {}",
                    entry.name, earlier.line
                ),
                "delete one of the lines",
            );
            let label = document.label(
                earlier.name_span,
                format!("set to `{}` here", earlier.value),
            );
            diagnostics.push(finding.at(document, entry.name_span).with_label(label));
        }
    }
}
