//! The members of the cluster: `cluster.nodes`.
//!
//! ```text
//! localSite,mode[,computeGroup[,zone]]
//! host:port:alias,mode[,group[,zone]]
//! ```
//!
//! Blanks around `,` and `:` mean nothing, comments and blank lines may stand anywhere, and the
//! columns of the header may stand in any order.

mod reader;
mod separators;

use serde::Serialize;

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::document::{Document, Parsed};
use crate::mode::Mode;
use crate::scan;
use crate::site::Site;
use crate::span::{Place, Span};
use reader::Reader;

/// The members in the order of their rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterNodes {
    /// The members.
    pub members: Vec<Member>,
    /// Rows that could not be read, so that what seems to be missing may stand in one of them.
    pub(crate) unreadable: Vec<String>,
}

impl ClusterNodes {
    /// The first member of that alias; capital letters count.
    pub fn member(&self, alias: &str) -> Option<&Member> {
        self.members
            .iter()
            .find(|member| member.site.alias == alias)
    }

    /// The members that read `cluster.cfg`: data nodes, and compute nodes where there are any.
    pub fn nodes(&self) -> impl Iterator<Item = &Member> {
        self.members
            .iter()
            .filter(|member| member.mode.reads_cluster_cfg())
    }

    /// The data nodes.
    pub fn data_nodes(&self) -> impl Iterator<Item = &Member> {
        self.members
            .iter()
            .filter(|member| member.mode == Mode::Datanode)
    }

    /// The agents.
    pub fn agents(&self) -> impl Iterator<Item = &Member> {
        self.members
            .iter()
            .filter(|member| member.mode == Mode::Agent)
    }

    /// The agent on the host of that name. Where there are several it is the first by name, so that
    /// the order of the rows does not decide who starts a node.
    pub fn agent_of(&self, host: &str) -> Option<&Member> {
        let there = self.agents().filter(|agent| agent.site.same_host(host));
        there.min_by_key(|agent| &agent.site.alias)
    }
}

/// One member: a row of `cluster.nodes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Its host, port and alias.
    pub site: Site,
    /// What it is.
    pub mode: Mode,
    /// The compute group, for compute nodes that are in one.
    pub compute_group: Option<String>,
    /// The zone, for nodes that are in one.
    pub zone: Option<String>,
    /// Where the row stands.
    pub place: Place,
    /// The bytes of its site.
    pub span: Span,
}

impl Member {
    /// The row as `cluster.nodes` has it, with as many columns as it needs.
    pub fn row(&self) -> String {
        let Member {
            site,
            mode,
            compute_group,
            zone,
            ..
        } = self;
        let group = compute_group.as_deref().unwrap_or_default();
        match zone {
            Some(zone) => format!("{site},{mode},{group},{zone}"),
            None if group.is_empty() => format!("{site},{mode}"),
            None => format!("{site},{mode},{group}"),
        }
    }
}

/// Reads `cluster.nodes`. `name` is what diagnostics call the file.
///
/// Any bytes are accepted; what cannot be read is reported and left out. A row whose only fault
/// is a wrong separator is reported and read as it is meant.
pub fn parse_cluster_nodes(name: &str, bytes: &[u8]) -> Parsed<ClusterNodes> {
    let document = Document::parse(name, bytes);
    let mut diagnostics = Vec::new();
    let contents = scan::contents(&document, &mut diagnostics);
    let mut reader = Reader::new(&document, diagnostics);
    for content in contents {
        reader.line(content);
    }
    let Reader {
        mut diagnostics,
        mut nodes,
        ..
    } = reader;
    nodes.unreadable.extend(
        diagnostics
            .iter()
            .filter(|it| it.is_error())
            .map(|diagnostic| diagnostic.text.clone()),
    );
    if nodes.members.is_empty() && nodes.unreadable.is_empty() {
        // One message is enough for a file without content; the blank first line is part of it.
        diagnostics.retain(|it| it.code != codes::BLANK_FIRST_LINE.name);
        diagnostics.push(empty(&document));
    }
    scan::finish(&document, &mut diagnostics);
    Parsed {
        value: nodes,
        document,
        diagnostics,
    }
}

fn empty(document: &Document) -> Diagnostic {
    document.report(
        codes::EMPTY_NODES_FILE,
        document.start(),
        format!(
            "the file names no member, so there is nothing to start (DolphinDB: `Failed to load \
             the nodes file [{}] with error: The input file is empty.`)",
            document.name()
        ),
        "write the header `localSite,mode` and below it a row for each agent and each data node, \
         as in `10.1.1.1:8960:P1-agent,agent`",
    )
}
