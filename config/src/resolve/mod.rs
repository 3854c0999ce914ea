//! Which line gives a key its value.
//!
//! The order, strongest first:
//!
//! 1. the command line of the process;
//! 2. a line of `cluster.cfg` for exactly this alias;
//! 3. a line whose pattern matches the alias: the pattern with more literal characters first,
//!    then the later line;
//! 4. a line without a qualifier;
//! 5. the controller's own value, for the keys that it hands on;
//! 6. the default.
//!
//! Within one class the later line rules. Two things stand above the order, because no line can
//! change them: a member's site and mode are what `cluster.nodes` says, and `lanCluster` is what
//! the controller says. A line without a value counts as no line.

mod defaults;
mod explain;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::alias_macro;
use crate::check::ClusterFiles;
use crate::codes;
use crate::command_line;
use crate::diagnostic::Diagnostic;
use crate::document::{Document, Parsed};
use crate::file_kind::FileKind;
use crate::host::HostFacts;
use crate::key_value::{Entry, KeyValueFile};
use crate::keys::{self, Key, Status};
use crate::mode::Mode;
use crate::nearest;
use crate::pattern;
use crate::site::Site;
use crate::span::{Place, Span};
use crate::value::{self, Value};

pub(crate) use defaults::above_memory;
pub use explain::Explanation;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "from", rename_all = "kebab-case")]
pub enum Origin {
    /// The command line of the process.
    CommandLine,
    /// A line of the file that the process, or the controller for it, reads its settings from.
    File(Place),
    /// A line of `controller.cfg`, handed on to the data nodes.
    Controller(Place),
    /// A row of `cluster.nodes`.
    Member(Place),
    /// The default of the key.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::CommandLine => f.write_str(command_line::NAME),
            Origin::File(place) | Origin::Member(place) => place.fmt(f),
            Origin::Controller(place) => write!(f, "{place} (from the controller)"),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// The class of a line: which lines it beats. Ordered from the weakest to the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "class", rename_all = "kebab-case")]
pub enum Precedence {
    /// No line at all.
    Default,
    /// The controller's own value, handed on.
    PassedOn,
    /// A line for all nodes, or of a file for one process.
    Unqualified,
    /// A line with a pattern.
    Wildcard {
        /// How many characters of the pattern stand for themselves.
        literal_characters: usize,
    },
    /// A line for one alias.
    ExactAlias,
    /// The command line.
    CommandLine,
    /// What no line can change: site and mode of a member, and the controller's `lanCluster`.
    Fixed,
}

impl fmt::Display for Precedence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Precedence::Default => f.write_str("default"),
            Precedence::PassedOn => f.write_str("controller's value"),
            Precedence::Unqualified => f.write_str("no qualifier"),
            Precedence::Wildcard { literal_characters } => {
                write!(f, "pattern with {literal_characters} literal characters")
            }
            Precedence::ExactAlias => f.write_str("this alias"),
            Precedence::CommandLine => f.write_str("command line"),
            Precedence::Fixed => f.write_str("fixed"),
        }
    }
}

/// A value that was up for a key and lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// The value as written, the macro `<ALIAS>` expanded.
    pub raw: String,
    /// Its class.
    pub precedence: Precedence,
    /// Where it stands.
    pub origin: Origin,
}

/// The value of one key for one process, and how it came about.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// The key.
    #[serde(serialize_with = "name_of")]
    pub key: &'static Key,
    /// The typed value. None if the key is not set and has no default, if its default depends on
    /// facts that are not known here, or if the text is no value of the key.
    pub value: Option<Value>,
    /// The value as written, the macro `<ALIAS>` expanded; for a default, how it is described.
    pub raw: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Its class.
    pub precedence: Precedence,
    /// What it beat, the strongest first.
    pub beaten: Vec<Candidate>,
    /// The bytes of the value in its file.
    #[serde(skip)]
    span: Span,
}

fn name_of<S: Serializer>(key: &&'static Key, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(key.name)
}

impl Setting {
    /// Whether a line or an argument set the key.
    pub fn is_set(&self) -> bool {
        self.precedence != Precedence::Default && self.origin != Origin::Default
    }

    /// The value as a file is to have it: without quotation marks, words in their right case.
    pub fn text(&self) -> String {
        match &self.value {
            Some(Value::Integer(_) | Value::Float(_) | Value::Size(_) | Value::Duration(_))
            | None => self.raw.trim_matches(['"', '\'']).trim().to_owned(),
            Some(value) => value.to_string(),
        }
    }
}

/// The settings of one process.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// What the process is.
    pub mode: Mode,
    /// Its site, where the files name one.
    pub site: Option<Site>,
    /// What is wrong with the command line or follows from the host; what is wrong with the
    /// files by themselves is in their [`Parsed`].
    pub diagnostics: Vec<Diagnostic>,
    settings: BTreeMap<&'static str, Setting>,
}

/// The settings of a data node, resolved by the controller.
pub type ResolvedNode = Resolved;

impl Resolved {
    /// The setting of a key, if the process has the key at all.
    ///
    /// # Panics
    ///
    /// If there is no key of that name: the caller has misspelt it.
    pub fn setting(&self, name: &str) -> Option<&Setting> {
        assert!(
            keys::find(name).is_some(),
            "there is no key `{name}` in the table"
        );
        self.settings.get(name)
    }

    /// All settings in the order of the table. Keys without effect are there only if they are set.
    pub fn settings(&self) -> impl Iterator<Item = &Setting> {
        keys::TABLE
            .iter()
            .filter_map(|key| self.settings.get(key.name))
    }

    /// The typed value of a key.
    ///
    /// # Panics
    ///
    /// If there is no key of that name.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.setting(name)?.value.as_ref()
    }

    /// Where the value of a key comes from.
    ///
    /// # Panics
    ///
    /// If there is no key of that name.
    pub fn origin(&self, name: &str) -> Option<&Origin> {
        self.setting(name).map(|setting| &setting.origin)
    }

    /// What to send to the agent of a data node: each setting that does not follow from the
    /// defaults, as the pairs of a `node.cfg`. See [`crate::render_node_cfg`].
    pub fn order(&self) -> Vec<(String, String)> {
        self.settings()
            .filter(|setting| setting.is_set() && setting.value.is_some())
            .filter(|setting| {
                setting.key.status == Status::Active && setting.key.files.contains(FileKind::Node)
            })
            .map(|setting| (setting.key.name.to_owned(), setting.text()))
            .collect()
    }
}

macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident -> $type:ty: $pattern:pat => $result:expr;)*) => {
        impl Resolved {
            $(
                $(#[$doc])*
                ///
                /// None if the key is not set and has no default here, or if its text is no value.
                ///
                /// # Panics
                ///
                /// If there is no key of that name, or if it is of another type.
                pub fn $name(&self, name: &str) -> Option<$type> {
                    match self.value(name)? {
                        $pattern => Some($result),
                        other => panic!("`{name}` is not asked for by its type: it is {other:?}"),
                    }
                }
            )*
        }
    };
}

getters! {
    /// The value of a key that is 0 or 1.
    flag -> bool: Value::Flag(flag) => *flag;
    /// The value of a key that is a whole number.
    integer -> i64: Value::Integer(number) => *number;
    /// The value of a key that is a decimal number.
    float -> f64: Value::Float(number) => *number;
    /// The value of a key that is a size, in bytes.
    size -> u64: Value::Size(bytes) => *bytes;
    /// The value of a key that is a span of time.
    duration -> Duration: Value::Duration(duration) => *duration;
    /// The value of a key that is a site.
    site -> &Site: Value::Site(site) => site;
    /// The value of a key that is a list of paths.
    paths -> &[String]: Value::Paths(paths) => paths;
    /// The value of a key that is a list of hosts.
    hosts -> &[String]: Value::Hosts(hosts) => hosts;
    /// The value of a key that is a path, a word or free text.
    text -> &str: Value::Text(text) | Value::Path(text) => text;
    /// The value of a key that is one of several words.
    word -> &str: Value::Word(word) => word;
}

/// A node that `cluster.nodes` does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownNode {
    /// The alias.
    pub alias: String,
    /// The data node that was perhaps meant.
    pub suggestion: Option<String>,
}

impl fmt::Display for UnknownNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`cluster.nodes` has no data node `{}`", self.alias)?;
        match &self.suggestion {
            Some(alias) => write!(f, "; did you mean `{alias}`?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for UnknownNode {}

/// The settings of a data node as the controller sees them: from `cluster.cfg`, `cluster.nodes`
/// and what `controller.cfg` hands on.
///
/// `host` describes the host of the node; the controller does not know it and passes `None`.
///
/// # Errors
///
/// If `cluster.nodes` is not there or has no data node or compute node of that alias.
pub fn resolve_node(
    alias: &str,
    files: &ClusterFiles,
    overrides: &[(String, String)],
    host: Option<&HostFacts>,
) -> Result<ResolvedNode, UnknownNode> {
    let nodes = files.nodes.as_ref().map(|parsed| &parsed.value);
    let member = nodes
        .and_then(|nodes| nodes.nodes().find(|member| member.site.alias == alias))
        .ok_or_else(|| UnknownNode {
            alias: alias.to_owned(),
            suggestion: nodes
                .and_then(|nodes| {
                    nearest::nearest(
                        alias,
                        nodes.nodes().map(|member| member.site.alias.as_str()),
                    )
                })
                .map(str::to_owned),
        })?;
    let mut resolver = Resolver::new(FileKind::Node, host);
    resolver.data_nodes = nodes.map_or(0, |nodes| nodes.data_nodes().count());
    resolver.alias = Some(alias.to_owned());
    resolver.command_line(overrides);
    if let Some(parsed) = &files.cluster {
        for entry in parsed.value.effective() {
            let precedence = match &entry.qualifier {
                None => Precedence::Unqualified,
                Some(qualifier) if !qualifier.matches(alias) => continue,
                Some(qualifier) if qualifier.is_pattern() => Precedence::Wildcard {
                    literal_characters: pattern::literal_characters(&qualifier.text),
                },
                Some(_) => Precedence::ExactAlias,
            };
            resolver.entry(&parsed.document, entry, precedence, Origin::File);
        }
    }
    if let Some(parsed) = &files.controller {
        resolver.controller(parsed);
    }
    let fixed = |resolver: &mut Resolver<'_>, name, raw: String| {
        let origin = Origin::Member(member.place.clone());
        resolver.candidate(name, raw, Precedence::Fixed, origin, member.span);
    };
    fixed(&mut resolver, "localSite", member.site.to_string());
    fixed(&mut resolver, "mode", member.mode.to_string());
    let mut resolved = resolver.finish(member.mode, None);
    resolved.site = Some(member.site.clone());
    Ok(resolved)
}

/// The settings of the controller. `data_nodes` of the defaults are those of `cluster.nodes`.
pub fn resolve_controller(
    files: &ClusterFiles,
    overrides: &[(String, String)],
    host: Option<&HostFacts>,
) -> Resolved {
    let mut resolver = Resolver::new(FileKind::Controller, host);
    resolver.data_nodes = files
        .nodes
        .as_ref()
        .map_or(0, |parsed| parsed.value.data_nodes().count());
    resolver.process(files.controller.as_ref(), overrides, Mode::Controller)
}

/// The settings of an agent from its `agent.cfg`.
pub fn resolve_agent(
    file: Option<&Parsed<KeyValueFile>>,
    overrides: &[(String, String)],
    host: Option<&HostFacts>,
) -> Resolved {
    Resolver::new(FileKind::Agent, host).process(file, overrides, Mode::Agent)
}

/// The settings of a stand-alone process from its `dolphindb.cfg`.
pub fn resolve_single(
    file: Option<&Parsed<KeyValueFile>>,
    overrides: &[(String, String)],
    host: Option<&HostFacts>,
) -> Resolved {
    Resolver::new(FileKind::Single, host).process(file, overrides, Mode::Single)
}

/// The settings of a data node as the node itself sees them, from the `node.cfg` that its agent
/// or a person wrote.
pub fn resolve_node_file(
    file: Option<&Parsed<KeyValueFile>>,
    overrides: &[(String, String)],
    host: Option<&HostFacts>,
) -> Resolved {
    Resolver::new(FileKind::Node, host).process(file, overrides, Mode::Datanode)
}

/// The keys that a process of this kind cannot do without.
pub(crate) fn mandatory(kind: FileKind) -> &'static [&'static str] {
    match kind {
        FileKind::Controller => &["localSite"],
        FileKind::Agent | FileKind::Node => &["localSite", "controllerSite"],
        FileKind::Cluster | FileKind::Single => &[],
    }
}

/// Says of each mandatory key that `has` denies that it is missing. Keys on lines that could not
/// be read are left out: those lines are reported already.
pub(crate) fn missing_keys(
    file: Option<&Parsed<KeyValueFile>>,
    kind: FileKind,
    has: impl Fn(&str) -> bool,
) -> Vec<Diagnostic> {
    let unreadable = |name: &str| {
        file.is_some_and(|parsed| {
            if parsed.value.cut_short {
                return true;
            }
            let name = name.to_ascii_lowercase();
            parsed
                .value
                .unreadable
                .iter()
                .any(|line| line.to_ascii_lowercase().contains(&name))
        })
    };
    let none = Document::parse(kind.file_name(), b"");
    let document = file.map_or(&none, |parsed| &parsed.document);
    mandatory(kind)
        .iter()
        .filter(|name| !has(name) && !unreadable(name))
        .map(|name| {
            let example = match *name {
                "controllerSite" => "controllerSite=10.1.1.7:8990:master",
                _ if kind == FileKind::Agent => "localSite=10.1.1.1:8960:P1-agent",
                _ if kind == FileKind::Node => "localSite=10.1.1.1:8961:P1-NODE1",
                _ => "localSite=10.1.1.7:8990:master",
            };
            let empty = file.and_then(|parsed| parsed.value.effective().find(|it| it.is(name)));
            let (place, message) = match empty {
                Some(entry) => (entry.value_span, format!("`{name}` has no value")),
                None => (document.start(), format!("`{name}` is not set")),
            };
            document.report(
                codes::MISSING_KEY,
                place,
                format!("{message}, and the process cannot start without it"),
                format!("write a line such as `{example}`"),
            )
        })
        .collect()
}

struct Resolver<'a> {
    kind: FileKind,
    host: Option<&'a HostFacts>,
    data_nodes: usize,
    alias: Option<String>,
    candidates: BTreeMap<&'static str, Vec<(Candidate, Span)>>,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Resolver<'a> {
    fn new(kind: FileKind, host: Option<&'a HostFacts>) -> Resolver<'a> {
        Resolver {
            kind,
            host,
            data_nodes: 0,
            alias: None,
            candidates: BTreeMap::new(),
            diagnostics: Vec::new(),
        }
    }

    fn candidate(
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

    fn entry(
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

    fn command_line(&mut self, overrides: &[(String, String)]) {
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
    fn controller(&mut self, parsed: &Parsed<KeyValueFile>) {
        let Parsed {
            value: file,
            document,
            ..
        } = parsed;
        for key in keys::TABLE.iter().filter(|key| key.passed_on) {
            if let Some(entry) = file.last(key.name) {
                self.entry(document, entry, Precedence::PassedOn, Origin::Controller);
            }
        }
        match file.last("lanCluster") {
            Some(entry) => self.entry(document, entry, Precedence::Fixed, Origin::Controller),
            None => {
                let raw = keys::find("lanCluster").map_or("1", |key| key.default.description());
                let span = Span::default();
                self.candidate(
                    "lanCluster",
                    raw.into(),
                    Precedence::Fixed,
                    Origin::Default,
                    span,
                );
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
    fn process(
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

    fn finish(mut self, mode: Mode, document: Option<&Document>) -> Resolved {
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
            beaten.sort_by_key(|candidate| std::cmp::Reverse(candidate.precedence));
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
