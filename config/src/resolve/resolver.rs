//! Gathers what is up for each key and lets the strongest win.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::setting::{Candidate, Origin, Precedence, Resolved, Setting};
use super::{defaults, missing_keys};
use crate::alias_macro;
use crate::command_line;
use crate::diagnostic::Diagnostic;
use crate::document::{Document, Parsed};
use crate::file_kind::FileKind;
use crate::host::HostFacts;
use crate::key_value::{Entry, KeyValueFile};
use crate::keys;
use crate::mode::Mode;
use crate::site::Site;
use crate::span::{Place, Span};
use crate::value::{self, Value};

/// What the controller says for all data nodes: one that spoke otherwise than the others would not be
/// found by them, or by whoever the controller points to it.
const RULED: [&str; 3] = ["lanCluster", "enableHTTPS", "enableRpcSSL"];

pub(super) struct Resolver<'a> {
    kind: FileKind,
    host: Option<&'a HostFacts>,
    pub(super) data_nodes: usize,
    pub(super) alias: Option<String>,
    candidates: BTreeMap<&'static str, Vec<(Candidate, Span)>>,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(kind: FileKind, host: Option<&'a HostFacts>) -> Resolver<'a> {
        Resolver {
            kind,
            host,
            data_nodes: 0,
            alias: None,
            candidates: BTreeMap::new(),
            diagnostics: Vec::new(),
        }
    }

    pub(super) fn candidate(
        &mut self,
        name: &'static str,
        raw: String,
        precedence: Precedence,
        origin: Origin,
        span: Span,
    ) {
        if !raw.is_empty() {
            let candidate = Candidate {
                raw,
                precedence,
                origin,
            };
            self.candidates
                .entry(name)
                .or_default()
                .push((candidate, span));
        }
    }

    pub(super) fn entry(
        &mut self,
        document: &Document,
        entry: &Entry,
        precedence: Precedence,
        origin: impl Fn(Place) -> Origin,
    ) {
        if let Some(key) = entry.key {
            // The place of the key: it is where a person looks for the line.
            let start = entry
                .qualifier
                .as_ref()
                .map_or(entry.name_span, |qualifier| qualifier.span);
            let origin = origin(document.place(start.start));
            self.candidate(
                key.name,
                entry.value.clone(),
                precedence,
                origin,
                entry.value_span,
            );
        }
    }

    pub(super) fn command_line(&mut self, overrides: &[(String, String)]) {
        for argument in command_line::read(overrides, &mut self.diagnostics) {
            let span = Span::default();
            let name = argument.key.name;
            self.candidate(
                name,
                argument.raw,
                Precedence::CommandLine,
                Origin::CommandLine,
                span,
            );
        }
    }

    /// What the controller's own file has to say to its data nodes.
    pub(super) fn controller(&mut self, parsed: &Parsed<KeyValueFile>) {
        let Parsed {
            value: file,
            document,
            ..
        } = parsed;
        let ruled = |key: &&keys::Key| RULED.contains(&key.name);
        let passed_on = keys::TABLE.iter().filter(|key| key.passed_on);
        for key in passed_on.filter(|key| !ruled(key)) {
            if let Some(entry) = file.last(key.name) {
                self.entry(document, entry, Precedence::PassedOn, Origin::Controller);
            }
        }
        for key in keys::TABLE.iter().filter(ruled) {
            match file.last(key.name) {
                Some(entry) => self.entry(document, entry, Precedence::Fixed, Origin::Controller),
                None => {
                    let raw = key.default.description().into();
                    let span = Span::default();
                    self.candidate(key.name, raw, Precedence::Fixed, Origin::Default, span);
                }
            }
        }
        if let Some(entry) = file.last("localSite")
            && let Some(Value::Site(site)) =
                keys::find("localSite").and_then(|key| value::read(key, &entry.value).value)
        {
            let origin = Origin::Controller(document.place(entry.name_span.start));
            let span = entry.value_span;
            self.candidate(
                "controllerSite",
                site.to_string(),
                Precedence::Fixed,
                origin,
                span,
            );
        }
    }

    /// Resolves a process that reads one file of its own.
    pub(super) fn process(
        mut self,
        file: Option<&Parsed<KeyValueFile>>,
        overrides: &[(String, String)],
        mode: Mode,
    ) -> Resolved {
        self.command_line(overrides);
        if let Some(parsed) = file {
            for entry in parsed
                .value
                .effective()
                .filter(|entry| entry.qualifier.is_none())
            {
                self.entry(
                    &parsed.document,
                    entry,
                    Precedence::Unqualified,
                    Origin::File,
                );
            }
        }
        let kind = self.kind;
        let mut missing = missing_keys(file, kind, |name| self.candidates.contains_key(name));
        self.diagnostics.append(&mut missing);
        let site = self.winner("localSite").and_then(|raw| {
            keys::find("localSite").and_then(|key| match value::read(key, &raw).value {
                Some(Value::Site(site)) => Some(site),
                _ => None,
            })
        });
        self.alias = site
            .as_ref()
            .map(|site| site.alias.clone())
            .or_else(|| self.winner("alias"));
        let mode = self
            .winner("mode")
            .and_then(|raw| raw.parse().ok())
            .unwrap_or(mode);
        self.finish(mode, file.map(|parsed| &parsed.document))
            .with_site(site)
    }

    fn winner(&self, name: &str) -> Option<String> {
        let candidates = self.candidates.get(name)?;
        strongest(candidates).map(|index| candidates[index].0.raw.clone())
    }

    pub(super) fn finish(mut self, mode: Mode, document: Option<&Document>) -> Resolved {
        let mut settings = BTreeMap::new();
        for (name, mut candidates) in std::mem::take(&mut self.candidates) {
            let (Some(key), Some(index)) = (keys::find(name), strongest(&candidates)) else {
                continue;
            };
            let expand = |raw: &str| match &self.alias {
                Some(alias) => alias_macro::expand(raw, alias),
                None => raw.to_owned(),
            };
            let (winner, span) = candidates.remove(index);
            let raw = expand(&winner.raw);
            let mut beaten: Vec<Candidate> = candidates
                .into_iter()
                .rev()
                .map(|(candidate, _)| Candidate {
                    raw: expand(&candidate.raw),
                    ..candidate
                })
                .collect();
            // The sort is stable, so that of equals the later line, which is stronger, stays first.
            beaten.sort_by_key(|candidate| Reverse(candidate.precedence));
            let Candidate {
                precedence, origin, ..
            } = winner;
            let value = value::read(key, &raw).value;
            settings.insert(
                name,
                Setting {
                    key,
                    value,
                    raw,
                    origin,
                    precedence,
                    beaten,
                    span,
                },
            );
        }
        defaults::fill(&mut settings, self.kind, self.data_nodes, self.host);
        if let Some(host) = self.host {
            self.diagnostics
                .extend(defaults::cap_memory(&mut settings, host, document));
        }
        Resolved {
            mode,
            site: None,
            diagnostics: self.diagnostics,
            settings,
        }
    }
}

impl Resolved {
    fn with_site(mut self, site: Option<Site>) -> Resolved {
        self.site = site;
        self
    }
}

/// The strongest candidate; of equals the last.
fn strongest(candidates: &[(Candidate, Span)]) -> Option<usize> {
    (0..candidates.len()).max_by_key(|index| (candidates[*index].0.precedence, *index))
}
