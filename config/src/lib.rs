//! The configuration of a Vaquita cluster: four short text files, read without losing a byte.
//!
//! | file | whose it is | grammar |
//! |---|---|---|
//! | `controller.cfg` | the controller's own settings | `key=value` |
//! | `cluster.nodes` | the members: agents and data nodes with their sites | one row a member |
//! | `cluster.cfg` | the settings of all data nodes, owned by the controller | `[alias or pattern.]key=value` |
//! | `agent.cfg` | the settings of one host's agent | `key=value` |
//!
//! A stand-alone process reads `dolphindb.cfg`, and a data node that an agent starts reads a
//! `node.cfg` that the agent has written; both have the grammar of `agent.cfg`.
//!
//! # What happens to a file
//!
//! 1. [`parse_key_value`] or [`parse_cluster_nodes`] turns bytes into a [`Parsed`]: the typed
//!    value, the lossless [`Document`], and every problem that the one file shows by itself.
//!    Parsing never fails and never panics; a line that cannot be read is reported and left out.
//! 2. [`check`](check()) looks at all files together and returns a [`Report`].
//! 3. [`resolve_node`], [`resolve_controller`], [`resolve_agent`], [`resolve_single`] and
//!    [`resolve_node_file`] decide which line gives each key its value and keep the lines it beat.
//! 4. [`render_node_cfg`] writes a data node's own file; [`edit`] changes one line of any file.
//!
//! One table, [`keys::TABLE`], knows every key. Nothing in this crate reads a file, a clock or the
//! environment: bytes come in, plain values go out.
//!
//! # Example
//!
//! ```
//! use vaquita_config::{CheckOptions, ClusterFiles, FileKind};
//!
//! let files = ClusterFiles {
//!     controller: Some(vaquita_config::parse_key_value(
//!         FileKind::Controller,
//!         "controller.cfg",
//!         b"localSite=10.1.1.7:8990:master\nworkNum=4\ndfsReplicationFactor=1\ndataSync=0\n",
//!     )),
//!     nodes: Some(vaquita_config::parse_cluster_nodes(
//!         "cluster.nodes",
//!         b"localSite,mode\n10.1.1.1:8960:P1-agent,agent\n10.1.1.1:8961:P1-NODE1,datanode\n",
//!     )),
//!     ..ClusterFiles::default()
//! };
//! let report = vaquita_config::check(&files, &CheckOptions::default());
//! assert_eq!(report.exit_status(), 0, "an unknown key is only a warning");
//! assert_eq!(
//!     report.diagnostics[0].to_string().lines().next(),
//!     Some("controller.cfg:2:1: warning[unknown-key]: there is no key `workNum`; the line has no effect"),
//! );
//!
//! let node = vaquita_config::resolve_node("P1-NODE1", &files, &[], None)?;
//! assert_eq!(node.flag("dataSync"), Some(false));
//! # Ok::<(), vaquita_config::UnknownNode>(())
//! ```
#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod alias;
mod alias_macro;
mod character;
pub mod check;
mod cluster_nodes;
pub mod codes;
mod command_line;
mod diagnostic;
mod document;
pub mod edit;
mod file_kind;
#[doc(hidden)]
pub mod fuzzing;
mod host;
mod key_value;
pub mod keys;
mod mode;
mod nearest;
pub mod pattern;
mod render;
pub mod resolve;
mod scan;
mod site;
mod span;
mod value;

pub use check::{CheckOptions, ClusterFiles, check};
pub use cluster_nodes::{ClusterNodes, Member, parse_cluster_nodes};
pub use diagnostic::{Diagnostic, Label, Replacement, Report, Severity};
pub use document::{Document, Line, LineEnding, Parsed};
pub use file_kind::FileKind;
pub use host::HostFacts;
pub use key_value::{Entry, KeyValueFile, Qualifier, parse_key_value};
pub use mode::{Mode, UnknownMode};
pub use render::{RenderError, render_node_cfg};
pub use resolve::{
    Candidate, Explanation, Origin, Precedence, Resolved, ResolvedNode, Setting, UnknownNode,
    resolve_agent, resolve_controller, resolve_node, resolve_node_file, resolve_single,
};
pub use site::{Site, SiteError, SiteWithMode};
pub use span::{Place, Span};
pub use value::{Value, ValueError};

/// Limits on what a configuration file may hold. They bound the memory and the time that a file
/// can cost, whoever wrote it; real files stay three orders of magnitude below.
pub mod limits {
    /// Bytes of one file. A larger file is refused as a whole.
    pub const FILE_BYTES: usize = 1 << 20;
    /// Lines of one file. What follows them is not read.
    pub const FILE_LINES: usize = 10_000;
    /// Bytes of one line that holds configuration. A comment may be longer.
    pub const LINE_BYTES: usize = 8 << 10;
    /// Bytes of one value: room for some sixty volumes with long paths.
    pub const VALUE_BYTES: usize = 4 << 10;
    /// Bytes of one path.
    pub const PATH_BYTES: usize = 1 << 10;
    /// Problems reported of one value.
    pub const VALUE_FINDINGS: usize = 64;
    /// Problems reported of one file; one more line then says how many were left out.
    pub const FILE_DIAGNOSTICS: usize = 1_000;
}
