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
//! change them: a member's site and mode are what `cluster.nodes` says, and `lanCluster`,
//! `enableHTTPS` and `enableRpcSSL` are what the controller says. A line without a value counts as no line.

mod defaults;
mod explain;
mod resolver;
mod setting;

#[cfg(test)]
mod tests;

use std::fmt;

use crate::check::ClusterFiles;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::document::{Document, Parsed};
use crate::file_kind::FileKind;
use crate::host::HostFacts;
use crate::key_value::{Entry, KeyValueFile};
use crate::mode::Mode;
use crate::nearest;
use crate::pattern;
use resolver::Resolver;

pub(crate) use defaults::above_memory;
pub use explain::Explanation;
pub use setting::{Candidate, Origin, Precedence, Resolved, ResolvedNode, Setting};

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
            let Some(precedence) = precedence(entry, alias) else {
                continue;
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

/// The class of a line of `cluster.cfg` for one node; none if it is not for that node.
pub(crate) fn precedence(entry: &Entry, alias: &str) -> Option<Precedence> {
    match &entry.qualifier {
        None => Some(Precedence::Unqualified),
        Some(qualifier) if !qualifier.matches(alias) => None,
        Some(qualifier) if qualifier.is_pattern() => Some(Precedence::Wildcard {
            literal_characters: pattern::literal_characters(&qualifier.text),
        }),
        Some(_) => Some(Precedence::ExactAlias),
    }
}

/// The settings of the controller. Defaults that depend on the number of data nodes take it from
/// `cluster.nodes`.
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
