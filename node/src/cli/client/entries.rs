//! The data nodes that a command reads and writes files through.
//!
//! Any of them serves every file. A command holds all of them, so that one that hangs does not hang
//! the command.

use super::address::Server;
use super::api::{Api, ApiError};
use crate::cli::exit::{Failure, Status};
use crate::tls::Trust;

/// A data node to talk to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct EntryNode {
    pub(super) name: String,
    pub(super) server: Server,
}

/// The data nodes of the cluster that serve, in the order in which they are tried, and the token
/// that serves at each of them.
#[derive(Clone)]
pub(in crate::cli) struct Entries {
    pub(super) nodes: Vec<EntryNode>,
    pub(super) token: Option<String>,
    /// By what they are known, where they speak HTTPS.
    pub(super) trust: Trust,
}

impl std::fmt::Debug for Entries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entries")
            .field("nodes", &self.nodes)
            .finish_non_exhaustive()
    }
}

impl Entries {
    /// Asks the server of the command for the data nodes; a server that is one itself is taken.
    pub(in crate::cli) async fn find(api: &mut Api) -> Result<Self, Failure> {
        let rows = match api.nodes().await {
            Ok(rows) => rows,
            Err(ApiError::Refused { kind, .. }) if kind == "not-here" => {
                let server = api.address().clone();
                let name = server.to_string();
                return Ok(Self {
                    nodes: vec![EntryNode { name, server }],
                    token: api.token().map(str::to_owned),
                    trust: api.trust().clone(),
                });
            }
            Err(error) => return Err(error.into()),
        };
        let mut nodes = Vec::new();
        // Those that are doubtful come last, and those that are away not at all.
        for states in [&["online", "draining"][..], &["suspect"]] {
            let from = nodes.len();
            for row in &rows {
                if row.is_data_node() && states.contains(&row.state.as_str()) {
                    nodes.push(EntryNode {
                        name: row.alias.clone(),
                        server: Server::parse(&row.site)?.spoken_to_as(api.address()),
                    });
                }
            }
            // Not all clients begin with the same one.
            if let Some(fresh) = nodes.get_mut(from..)
                && !fresh.is_empty()
            {
                fresh.rotate_left(usize::from(drawn()[0]) % fresh.len());
            }
        }
        if nodes.is_empty() {
            return Err(Failure::new(
                Status::Unavailable,
                "files are served by data nodes, and none is online: `vaquita node list` says why, \
                 `vaquita node start --all --wait` starts them",
            ));
        }
        Ok(Self {
            nodes,
            trust: api.trust_of_others().await?,
            token: api.token().map(str::to_owned),
        })
    }
}

/// Sixteen bytes that nobody else draws.
fn drawn() -> [u8; 16] {
    let mut bytes = [0; 16];
    // Without entropy the process's number and a count still tell operations of this host apart.
    if getrandom::fill(&mut bytes).is_err() {
        use std::sync::atomic::{AtomicU64, Ordering};
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        bytes[..8].copy_from_slice(&count.to_le_bytes());
        bytes[8..12].copy_from_slice(&std::process::id().to_le_bytes());
    }
    bytes
}

/// The name of a new operation, for the header `Idempotency-Key`.
pub(in crate::cli) fn new_key() -> String {
    vaquita_core::dfs::ids::OpId(drawn()).to_string()
}
