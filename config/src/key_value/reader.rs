//! One line after the other: its key, its qualifier, and whether it takes effect.

use super::{Entry, KeyValueFile, Qualifier};
use crate::alias;
use crate::character::{self, is_blank};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::document::Document;
use crate::file_kind::FileKind;
use crate::keys::{self, Files, Key, Status};
use crate::scan::{self, Content, Finding};
use crate::span::Span;

pub(super) struct Reader<'a> {
    pub(super) document: &'a Document,
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) file: KeyValueFile,
}

impl Reader<'_> {
    pub(super) fn find(&mut self, finding: Finding, piece: Span) {
        self.diagnostics.push(finding.at(self.document, piece));
    }

    pub(super) fn line(&mut self, content: Content<'_>) {
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
        if self.file.kind == FileKind::Controller && entry.qualifier.is_some() {
            self.find(
                Finding::new(
                    codes::NO_EFFECT,
                    whole.clone(),
                    format!("`{}` by zone changes nothing here: replicas are placed without regard to zones", key.name),
                    "set the key without a zone",
                ),
                span,
            );
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
}

/// A line without `=`: perhaps a slip in a known key, else no configuration at all.
fn not_an_entry(text: &str) -> Finding {
    let whole = 0..text.len();
    if let Some(finding) =
        scan::fullwidth(text, |it| character::ascii_of(it).filter(|it| *it == '='))
    {
        return finding;
    }
    // A colon of the same keyboard, where the words before it are a key.
    let colon = |it: char| character::ascii_of(it) == Some(':') && it != ':';
    if let Some((before, _)) = text.split_once(colon)
        && keys::find_ignoring_case(before.rsplit('.').next().unwrap_or(before).trim()).is_some()
        && let Some(finding) = scan::fullwidth(text, |it| colon(it).then_some('='))
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
