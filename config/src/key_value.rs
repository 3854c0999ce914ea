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

use std::ops::Range;

use crate::alias;
use crate::alias_macro::{self, Spelling};
use crate::character::{self, is_blank};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::document::{Document, Parsed};
use crate::file_kind::FileKind;
use crate::keys::{self, Files, Key, KeyType, Status};
use crate::mode::Mode;
use crate::pattern;
use crate::resolve;
use crate::scan::{self, Content, Finding};
use crate::site;
use crate::span::Span;
use crate::value;

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

struct Reader<'a> {
    document: &'a Document,
    diagnostics: Vec<Diagnostic>,
    file: KeyValueFile,
}

impl Reader<'_> {
    fn find(&mut self, finding: Finding, piece: Span) {
        self.diagnostics.push(finding.at(self.document, piece));
    }

    fn line(&mut self, content: Content<'_>) {
        let Content { text, span, .. } = content;
        let Some(equals) = text.find('=') else {
            self.find(not_an_entry(text), span);
            return;
        };
        let left = scan::trimmed(text, 0..equals);
        if let Some(finding) = scan::fullwidth(&text[left.clone()], character::ascii_of) {
            self.find(finding.moved(left.start), span);
            return;
        }
        let dot = text[left.clone()]
            .find('.')
            .map(|offset| left.start + offset);
        let (qualifier, key) = match dot {
            Some(dot) => (
                Some(scan::trimmed(text, left.start..dot)),
                scan::trimmed(text, dot + 1..left.end),
            ),
            None => (None, left),
        };
        let value = scan::trimmed(text, equals + 1..text.len());
        let qualifier = qualifier.map(|range| Qualifier {
            text: text[range.clone()].to_owned(),
            span: span.part(range),
        });
        let mut entry = Entry {
            line: content.line,
            qualifier,
            name: text[key.clone()].to_owned(),
            name_span: span.part(key.clone()),
            key: None,
            value: text[value.clone()].to_owned(),
            value_span: span.part(value),
        };
        if entry.name.is_empty() {
            let help = "write `key=value`, or put `#` before a comment";
            let message = "there is no key before the `=`; the line has no effect";
            self.find(
                Finding::new(codes::NOT_CONFIGURATION, 0..text.len(), message, help),
                span,
            );
            return;
        }
        entry.key = self.key(&entry, dot.is_some());
        if let Some(key) = entry.key {
            self.value(key, &entry);
        }
        self.file.entries.push(entry);
    }

    /// The key that the entry sets, if it takes effect.
    fn key(&mut self, entry: &Entry, dotted: bool) -> Option<&'static Key> {
        let span = entry.name_span;
        let whole = 0..span.len();
        let Some(key) = keys::find_ignoring_case(&entry.name) else {
            self.find(unknown_key(&entry.name, dotted), span);
            return None;
        };
        if key.name != entry.name {
            self.find(
                Finding::new(
                    codes::KEY_CASE,
                    whole.clone(),
                    format!("`{}` is read as `{}`", entry.name, key.name),
                    format!("write `{}`", key.name),
                )
                .with_fix(whole.clone(), key.name),
                span,
            );
        }
        if key.command_line_only() {
            self.find(
                Finding::new(
                    codes::COMMAND_LINE_KEY,
                    whole,
                    format!(
                        "`{}` is read from the command line only; the line has no effect",
                        key.name
                    ),
                    format!("start the process with `-{} {}`", key.name, entry.value),
                ),
                span,
            );
            return None;
        }
        if !key.files.contains(self.file.kind) {
            self.find(misplaced(key, self.file.kind), span);
            return None;
        }
        if let Some(qualifier) = &entry.qualifier
            && let Some(finding) = self.qualifier(qualifier, key)
        {
            self.find(finding, qualifier.span);
            return None;
        }
        let name = key.name;
        let current = key.canonical();
        match key.status {
            Status::Active => {}
            Status::NoEffect { why } => self.find(
                Finding::new(
                    codes::NO_EFFECT,
                    whole,
                    format!("`{name}` changes nothing here: {why}"),
                    "the line may stay; delete it if it misleads",
                ),
                span,
            ),
            Status::Retired { why } => {
                self.find(
                    Finding::new(
                        codes::RETIRED_KEY,
                        whole,
                        format!("`{name}` is no longer in use; the line has no effect"),
                        format!("delete the line: {why}"),
                    ),
                    span,
                );
                return None;
            }
            Status::Renamed { to } => {
                let effect = match current.status {
                    Status::NoEffect { why } => format!(", which changes nothing here: {why}"),
                    _ => "; the line is read".to_owned(),
                };
                self.find(
                    Finding::new(
                        codes::RENAMED_KEY,
                        whole.clone(),
                        format!("`{name}` is now called `{to}`{effect}"),
                        format!("write `{to}`"),
                    )
                    .with_fix(whole, to),
                    span,
                );
            }
        }
        Some(current)
    }

    /// What speaks against the qualifier, if anything does.
    fn qualifier(&self, qualifier: &Qualifier, key: &Key) -> Option<Finding> {
        let text = &qualifier.text;
        let whole = 0..qualifier.span.len();
        let not_allowed = |message: String, help: &str| {
            Some(Finding::new(
                codes::QUALIFIER_NOT_ALLOWED,
                whole.clone(),
                message,
                help,
            ))
        };
        match self.file.kind {
            FileKind::Cluster => {}
            FileKind::Controller if key.name == "dfsReplicationFactor" => {}
            FileKind::Controller => {
                return not_allowed(
                    format!(
                        "in `controller.cfg` a qualifier names a zone, and `{}` cannot be set by \
                         zone; the line has no effect",
                        key.name
                    ),
                    "delete the qualifier, or move a line for data nodes to `cluster.cfg`",
                );
            }
            kind => {
                return not_allowed(
                    format!(
                        "`{kind}` is for one process, so `{text}.` has no place in it; the line has no effect"
                    ),
                    "delete the qualifier, or move the line to `cluster.cfg`",
                );
            }
        }
        let plain: String = text.chars().filter(|it| !matches!(it, '%' | '?')).collect();
        let error = match alias::check(&plain) {
            // What the wildcards leave of a pattern may begin or end anyhow, or be nothing.
            Err(
                alias::AliasError::Empty
                | alias::AliasError::Start(_)
                | alias::AliasError::DeviceName,
            ) if qualifier.is_pattern() => None,
            Err(error) => Some(error),
            Ok(()) => None,
        };
        error.map(|error| {
            let message = match error {
                alias::AliasError::Empty => {
                    "there is no alias before the dot; the line has no effect".to_owned()
                }
                error => format!("`{text}` cannot name a node: {error}; the line has no effect"),
            };
            Finding::new(
                codes::MALFORMED_QUALIFIER,
                whole.clone(),
                message,
                "write `ALIAS.key=value`, or `%` and `?` for several aliases, as in `P1-%.key=value`",
            )
        })
    }

    fn value(&mut self, key: &'static Key, entry: &Entry) {
        let span = entry.value_span;
        let raw = &entry.value;
        if raw.is_empty() {
            if resolve::mandatory(self.file.kind).contains(&key.name) {
                // It is reported as missing, unless a later line has it.
                return;
            }
            self.find(
                Finding::new(
                    codes::EMPTY_VALUE,
                    0..0,
                    format!(
                        "`{}` has no value; its default applies: {}",
                        key.name,
                        key.default.description()
                    ),
                    "write a value, or delete the line",
                ),
                span,
            );
            return;
        }
        for finding in value::read(key, raw).findings {
            self.find(finding, span);
        }
        self.macros(key, entry);
        if key.kind == KeyType::Site || key.name == "mode" {
            self.mode(key, raw, span);
        }
    }

    fn macros(&mut self, key: &Key, entry: &Entry) {
        for occurrence in alias_macro::occurrences(&entry.value) {
            let range = occurrence.range;
            let written = &entry.value[range.clone()];
            match occurrence.spelling {
                Spelling::Foreign if key.kind != KeyType::Text => self.find(
                    Finding::new(
                        codes::UNKNOWN_MACRO,
                        range,
                        format!("`{written}` is no macro; it is kept as it is"),
                        "write `<ALIAS>` for the alias of the node; there is no other macro",
                    ),
                    entry.value_span,
                ),
                Spelling::OtherCase => self.find(
                    Finding::new(
                        codes::MACRO_CASE,
                        range.clone(),
                        format!("`{written}` is expanded like `<ALIAS>`"),
                        "write `<ALIAS>` in capital letters",
                    )
                    .with_fix(range, alias_macro::MACRO),
                    entry.value_span,
                ),
                Spelling::Exact | Spelling::Foreign => {}
            }
            if let Some(qualifier) = &entry.qualifier
                && self.file.kind == FileKind::Cluster
                && !qualifier.is_pattern()
                && occurrence.spelling != Spelling::Foreign
            {
                let alias = &qualifier.text;
                let expanded = alias_macro::expand(&entry.value, alias);
                self.find(
                    Finding::new(
                        codes::MACRO_WITH_ALIAS,
                        0..entry.value_span.len(),
                        format!(
                            "`<ALIAS>` in a line for `{alias}` alone is expanded here, but keeps \
                             that node from starting in DolphinDB"
                        ),
                        format!(
                            "write `{alias}.{}={expanded}` for this node, or `{}={}` for all nodes",
                            key.name, key.name, entry.value
                        ),
                    )
                    .with_fix(0..entry.value_span.len(), expanded),
                    entry.value_span,
                );
                return;
            }
        }
    }

    /// Compares the mode in `mode=` or behind the comma of a site with what the file is for.
    fn mode(&mut self, key: &Key, raw: &str, span: Span) {
        let range = match key.kind {
            KeyType::Site => match site::split_mode(raw).1 {
                Some(range) => range,
                None => return,
            },
            _ => 0..raw.len(),
        };
        let Ok(mode) = raw[range.clone()].parse::<Mode>() else {
            return;
        };
        let kind = self.file.kind;
        let expected = match (key.name, kind) {
            ("controllerSite", _) => Mode::Controller,
            ("agentSite", _) => Mode::Agent,
            (_, FileKind::Controller) => Mode::Controller,
            (_, FileKind::Agent) => Mode::Agent,
            (_, FileKind::Single) => Mode::Single,
            (_, FileKind::Node | FileKind::Cluster) => Mode::Datanode,
        };
        if mode != expected {
            self.find(
                Finding::new(
                    codes::MODE_MISMATCH,
                    range.clone(),
                    format!(
                        "`{}` in `{kind}` is for a process of mode `{expected}`, not `{mode}`",
                        key.name
                    ),
                    format!(
                        "write `{expected}`, or start the process with the file that belongs to it"
                    ),
                )
                .with_fix(range, expected.as_str()),
                span,
            );
        }
    }
}

/// A line without `=`: perhaps a slip in a known key, else no configuration at all.
fn not_an_entry(text: &str) -> Finding {
    let whole = 0..text.len();
    if let Some(finding) =
        scan::fullwidth(text, |it| character::ascii_of(it).filter(|it| *it == '='))
    {
        return finding;
    }
    let word = text
        .split(|it: char| is_blank(it) || matches!(it, ':' | '-'))
        .next()
        .unwrap_or("");
    let rest = text[word.len()..].trim_matches(|it| is_blank(it) || it == ':');
    let name = word.rsplit('.').next().unwrap_or(word);
    let message = "the line is no `key=value` and has no effect";
    if keys::find_ignoring_case(name).is_some() && !rest.is_empty() {
        let fixed = format!("{word}={rest}");
        return Finding::new(
            codes::NOT_CONFIGURATION,
            whole.clone(),
            message,
            format!("did you mean `{fixed}`?"),
        )
        .with_fix(whole, fixed);
    }
    Finding::new(
        codes::NOT_CONFIGURATION,
        whole,
        message,
        "delete the line, or put `#` before a comment",
    )
}

fn unknown_key(name: &str, dotted: bool) -> Finding {
    let whole = 0..name.len();
    let shown: String = name.chars().take(80).collect();
    let message = format!("there is no key `{shown}`; the line has no effect");
    if dotted && name.contains('.') {
        let help = "write `ALIAS.key=value` with one dot; an alias cannot hold a dot";
        return Finding::new(codes::UNKNOWN_KEY, whole, message, help);
    }
    let squeezed: String = name
        .chars()
        .filter(|it| !is_blank(*it) && *it != '_')
        .collect();
    match keys::nearest(&squeezed) {
        Some(key) => Finding::new(
            codes::UNKNOWN_KEY,
            whole.clone(),
            message,
            format!("did you mean `{}`?", key.name),
        )
        .with_fix(whole, key.name),
        None => Finding::new(
            codes::UNKNOWN_KEY,
            whole,
            message,
            "delete the line, or look the key up in the reference",
        ),
    }
}

fn misplaced(key: &Key, kind: FileKind) -> Finding {
    let name = key.name;
    let effect = match key.status {
        Status::NoEffect { why } => format!(", where it changes nothing either: {why}"),
        _ => "; the line has no effect".to_owned(),
    };
    let help = if key.passed_on && kind != FileKind::Agent {
        format!(
            "move the line to {}; the controller hands its value on to the data nodes",
            key.files
        )
    } else if key.files == Files::NODE {
        "delete the line: the agent sets the key for each data node".to_owned()
    } else {
        format!("move the line to {}", key.files)
    };
    Finding::new(
        codes::MISPLACED_KEY,
        0..name.len(),
        format!(
            "`{name}` is not read from `{kind}` but from {}{effect}",
            key.files
        ),
        help,
    )
}

/// Warns about a key that is set twice for the same nodes: the later line rules.
fn repeated_keys(document: &Document, file: &KeyValueFile, diagnostics: &mut Vec<Diagnostic>) {
    let mut latest: std::collections::BTreeMap<(&str, &str), &Entry> = Default::default();
    for entry in file.effective() {
        let (Some(key), qualifier) = (entry.key, entry.qualifier.as_ref()) else {
            continue;
        };
        let class = (qualifier.map_or("", |qualifier| &qualifier.text), key.name);
        if let Some(earlier) = latest.insert(class, entry) {
            let range: Range<usize> = 0..entry.name_span.len();
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
