//! Settings given on the command line, held against the same table as the files.

use crate::codes;
use crate::diagnostic::{Diagnostic, Severity};
use crate::document::Document;
use crate::keys::{self, Key, Status};
use crate::scan::Finding;
use crate::span::Span;
use crate::value;

/// What diagnostics call the command line.
pub(crate) const NAME: &str = "command line";

/// One `-key value` that names a known key.
#[derive(Clone, Debug)]
pub(crate) struct Argument {
    pub(crate) key: &'static Key,
    pub(crate) raw: String,
}

/// The arguments that take effect, in their order; a key may come twice, then the later rules.
pub(crate) fn read(
    overrides: &[(String, String)],
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Argument> {
    let mut arguments = Vec::new();
    for (name, raw) in overrides {
        let text = format!("-{name} {raw}");
        let document = Document::parse(NAME, text.as_bytes());
        let key_span = Span::new(1, 1 + name.len());
        let value_span = Span::new(text.len() - raw.len(), text.len());
        let mut find = |finding: Finding, span| diagnostics.push(finding.at(&document, span));
        let Some(key) = keys::find_ignoring_case(name) else {
            let help = match keys::nearest(name) {
                Some(key) => format!("did you mean `-{}`?", key.name),
                None => "look the key up in the reference".to_owned(),
            };
            let message = format!("there is no key `{name}`; it has no effect");
            find(
                Finding::new(codes::UNKNOWN_KEY, 0..name.len(), message, help),
                key_span,
            );
            continue;
        };
        if let Status::Retired { why } = key.status {
            let message = format!("`{name}` is no longer in use and has no effect");
            find(
                Finding::new(codes::RETIRED_KEY, 0..name.len(), message, why),
                key_span,
            );
            continue;
        }
        if raw.chars().any(crate::character::is_hidden) {
            let message = format!("the value of `{name}` holds a character that cannot be seen");
            let help = "type the value anew";
            find(
                Finding::new(codes::CONTROL_CHARACTER, 0..raw.len(), message, help),
                value_span,
            );
            continue;
        }
        let reading = value::read(key, raw);
        let failed = reading
            .findings
            .iter()
            .any(|it| it.code.severity == Severity::Error);
        for finding in reading.findings {
            find(finding, value_span);
        }
        if !failed {
            arguments.push(Argument {
                key: key.canonical(),
                raw: raw.clone(),
            });
        }
    }
    arguments
}
