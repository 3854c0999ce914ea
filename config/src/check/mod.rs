//! What several files say together.
//!
//! Any subset of a cluster's files may be given; a rule that needs a file that is not there says
//! nothing.

mod members;
mod qualifiers;
mod replication;
mod sites;
mod volumes;

#[cfg(test)]
mod tests;

use crate::cluster_nodes::ClusterNodes;
use crate::diagnostic::{Diagnostic, Report};
use crate::document::Parsed;
use crate::file_kind::FileKind;
use crate::host::HostFacts;
use crate::key_value::{Entry, KeyValueFile};
use crate::keys;
use crate::resolve;
use crate::value::{self, Value};

/// The files of one cluster, or as many of them as there are.
#[derive(Clone, Debug, Default)]
pub struct ClusterFiles {
    /// `controller.cfg`
    pub controller: Option<Parsed<KeyValueFile>>,
    /// `cluster.nodes`
    pub nodes: Option<Parsed<ClusterNodes>>,
    /// `cluster.cfg`
    pub cluster: Option<Parsed<KeyValueFile>>,
    /// The `agent.cfg` of each host; give them different names.
    pub agents: Vec<Parsed<KeyValueFile>>,
    /// `dolphindb.cfg` of a stand-alone process, or the `node.cfg` of one data node.
    pub single: Option<Parsed<KeyValueFile>>,
}

/// How strict [`check`] is.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckOptions {
    /// Whether keys that are unknown, misplaced, retired or renamed, and lines that are no
    /// configuration, are errors.
    pub strict: bool,
    /// The host that the controller, the agent or the stand-alone process is to run on, if the
    /// check is made there.
    pub host: Option<HostFacts>,
}

/// Everything that is wrong with the files, each by itself and all together.
pub fn check(files: &ClusterFiles, options: &CheckOptions) -> Report {
    let mut diagnostics = Vec::new();
    let mut order: Vec<&str> = Vec::new();
    for (name, found) in files.by_themselves() {
        order.push(name);
        diagnostics.extend(found.iter().cloned());
    }
    for parsed in files.key_value_files() {
        let has = |name: &str| parsed.value.last(name).is_some();
        diagnostics.extend(resolve::missing_keys(Some(parsed), parsed.value.kind, has));
        diagnostics.extend(options.host.as_ref().and_then(|host| memory(parsed, host)));
    }
    members::check(files, &mut diagnostics);
    sites::check(files, &mut diagnostics);
    qualifiers::check(files, &mut diagnostics);
    volumes::check(files, &mut diagnostics);
    replication::check(files, &mut diagnostics);
    if options.strict {
        diagnostics.iter_mut().for_each(Diagnostic::enforce);
    }
    let position = |file: &str| {
        order
            .iter()
            .position(|name| *name == file)
            .unwrap_or(order.len())
    };
    diagnostics.sort_by_cached_key(|diagnostic| {
        (
            position(&diagnostic.file),
            diagnostic.line,
            diagnostic.column,
            diagnostic.severity,
        )
    });
    Report { diagnostics }
}

/// A process of this host that is granted more memory than the host has.
fn memory(parsed: &Parsed<KeyValueFile>, host: &HostFacts) -> Option<Diagnostic> {
    // The nodes of `cluster.cfg` run on other hosts.
    if parsed.value.kind == FileKind::Cluster {
        return None;
    }
    let entry = parsed.value.last("maxMemSize")?;
    match typed(entry)? {
        Value::Size(bytes) if bytes > host.memory_bytes => Some(resolve::above_memory(
            &parsed.document,
            entry.value_span,
            &entry.value,
            host,
        )),
        _ => None,
    }
}

/// The typed value of an entry, if it is one.
fn typed(entry: &Entry) -> Option<Value> {
    value::read(entry.key?, &entry.value).value
}

/// The ruling flag of a file, its default where the file does not set it.
fn flag(file: &KeyValueFile, name: &str) -> bool {
    let default = || keys::find(name).is_some_and(|key| key.default.description() == "1");
    match file.last(name).and_then(typed) {
        Some(Value::Flag(flag)) => flag,
        _ => default(),
    }
}

impl ClusterFiles {
    /// The names of the files and what is wrong with each by itself, in the order of the report.
    fn by_themselves(&self) -> Vec<(&str, &[Diagnostic])> {
        fn of<T>(parsed: &Parsed<T>) -> (&str, &[Diagnostic]) {
            (parsed.document.name(), &parsed.diagnostics)
        }
        let mut all = Vec::new();
        all.extend(self.controller.as_ref().map(of));
        all.extend(self.nodes.as_ref().map(of));
        all.extend(self.cluster.as_ref().map(of));
        all.extend(self.agents.iter().map(of));
        all.extend(self.single.as_ref().map(of));
        all
    }

    /// The files of `key=value` lines, in the order of the report.
    fn key_value_files(&self) -> impl Iterator<Item = &Parsed<KeyValueFile>> {
        let before = self.controller.iter().chain(&self.cluster);
        before.chain(&self.agents).chain(&self.single)
    }

    /// The members, if `cluster.nodes` is there.
    fn members(&self) -> Option<&ClusterNodes> {
        self.nodes.as_ref().map(|parsed| &parsed.value)
    }
}
