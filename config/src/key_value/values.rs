//! The value of a line: its type, the macro in it, and the mode it may name.

use super::Entry;
use super::reader::Reader;
use crate::alias_macro::{self, Spelling};
use crate::codes;
use crate::file_kind::FileKind;
use crate::keys::{Key, KeyType};
use crate::mode::Mode;
use crate::resolve;
use crate::scan::Finding;
use crate::site;
use crate::span::Span;
use crate::value;

impl Reader<'_> {
    pub(super) fn value(&mut self, key: &'static Key, entry: &Entry) {
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
