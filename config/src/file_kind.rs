//! Which of the `key=value` files a file is.

#[cfg(test)]
mod tests;

use std::fmt;

use serde::Serialize;

use crate::mode::Mode;

/// The kinds of `key=value` files. `cluster.nodes` is not among them: it holds rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// `controller.cfg`; a qualifier before a key names a zone.
    Controller,
    /// `agent.cfg`; keys have no qualifier.
    Agent,
    /// `cluster.cfg`, the settings of all data nodes; a qualifier names a node, or several by
    /// `%` and `?`.
    Cluster,
    /// `dolphindb.cfg` of a stand-alone process; keys have no qualifier.
    Single,
    /// `node.cfg` of one data node, written by its agent or by hand; keys have no qualifier.
    Node,
}

impl FileKind {
    /// All kinds, in the order in which they are documented.
    pub const ALL: [FileKind; 5] = [
        FileKind::Controller,
        FileKind::Agent,
        FileKind::Cluster,
        FileKind::Single,
        FileKind::Node,
    ];

    /// The name that such a file usually has.
    pub fn file_name(self) -> &'static str {
        match self {
            FileKind::Controller => "controller.cfg",
            FileKind::Agent => "agent.cfg",
            FileKind::Cluster => "cluster.cfg",
            FileKind::Single => "dolphindb.cfg",
            FileKind::Node => "node.cfg",
        }
    }

    /// The kind of the file that a process of this mode reads by `-config`.
    pub fn of_mode(mode: Mode) -> FileKind {
        match mode {
            Mode::Controller => FileKind::Controller,
            Mode::Agent => FileKind::Agent,
            Mode::Single => FileKind::Single,
            Mode::Datanode | Mode::Computenode => FileKind::Node,
        }
    }

    /// Guesses the kind from a file name, for `vaquita check FILE`: the usual names, and such
    /// names with a prefix or a suffix of letters, as in `agent-P1.cfg` or `P1-agent.cfg`.
    pub fn of_file_name(name: &str) -> Option<FileKind> {
        let base = name
            .rsplit(['/', '\\'])
            .next()
            .unwrap_or(name)
            .to_ascii_lowercase();
        let stem = base.strip_suffix(".cfg")?;
        let words: Vec<&str> = stem.split(['-', '_', '.']).collect();
        // `agent` before `node`: in `P1-agent-node1.cfg` the role is the agent's.
        [
            ("controller", FileKind::Controller),
            ("cluster", FileKind::Cluster),
            ("agent", FileKind::Agent),
            ("dolphindb", FileKind::Single),
            ("single", FileKind::Single),
            ("node", FileKind::Node),
            ("datanode", FileKind::Node),
        ]
        .into_iter()
        .find(|(word, _)| words.contains(word))
        .map(|(_, kind)| kind)
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file_name())
    }
}
