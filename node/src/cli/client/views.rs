//! What the API answers, as far as commands look at it. Fields that a later server adds are
//! ignored here and still printed by `--json`.

use serde::{Deserialize, Serialize};

use crate::cli::terminal::Colour;

/// A member of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct NodeView {
    pub(in crate::cli) alias: String,
    pub(in crate::cli) mode: String,
    pub(in crate::cli) site: String,
    pub(in crate::cli) state: String,
    pub(in crate::cli) agent: Option<String>,
    #[serde(default)]
    pub(in crate::cli) reason: String,
    #[serde(default)]
    pub(in crate::cli) admin: String,
    #[serde(default)]
    pub(in crate::cli) admin_reason: String,
    #[serde(default)]
    pub(in crate::cli) conditions: Vec<String>,
    #[serde(default)]
    pub(in crate::cli) pid: Option<u32>,
    #[serde(default)]
    pub(in crate::cli) figures: Option<FiguresView>,
}

/// What a process has measured of itself; `None` is what is not known, or has no meaning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(in crate::cli) struct FiguresView {
    pub(in crate::cli) age_ms: Option<u64>,
    pub(in crate::cli) uptime_ms: u64,
    pub(in crate::cli) cpu_milli: Option<u64>,
    pub(in crate::cli) memory_bytes: u64,
    pub(in crate::cli) load_milli: u64,
    pub(in crate::cli) connections: u64,
    pub(in crate::cli) connections_max: u64,
    pub(in crate::cli) disk_capacity: Option<u64>,
    pub(in crate::cli) disk_free: Option<u64>,
    pub(in crate::cli) disk_read_rate: Option<u64>,
    pub(in crate::cli) disk_write_rate: Option<u64>,
    pub(in crate::cli) send_rate: Option<u64>,
    pub(in crate::cli) receive_rate: Option<u64>,
    pub(in crate::cli) reading: Option<u64>,
    pub(in crate::cli) writing: Option<u64>,
    pub(in crate::cli) last_msg_latency_ns: Option<u64>,
}

impl NodeView {
    pub(in crate::cli) fn is_data_node(&self) -> bool {
        self.mode == "datanode"
    }

    pub(in crate::cli) fn colour(&self) -> Option<Colour> {
        match self.state.as_str() {
            "online" => Some(Colour::Green),
            "starting" | "joining" | "suspect" | "draining" | "stopping" => Some(Colour::Yellow),
            "offline" | "lost" | "failed" => Some(Colour::Red),
            "stopped" => Some(Colour::Dim),
            _ => None,
        }
    }
}

/// What an order did to one node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct OrderView {
    pub(in crate::cli) alias: String,
    pub(in crate::cli) changed: bool,
    pub(in crate::cli) note: String,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct UserView {
    pub(in crate::cli) user: String,
    /// `viewer`, `operator`, `admin`; a server that is older does not say.
    #[serde(default)]
    pub(in crate::cli) role: String,
    pub(in crate::cli) admin: bool,
    pub(in crate::cli) rights: Vec<String>,
    pub(in crate::cli) must_change_password: bool,
}

/// A login, or a token for a program.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct TokenRowView {
    pub(in crate::cli) id: String,
    pub(in crate::cli) kind: String,
    pub(in crate::cli) label: Option<String>,
    pub(in crate::cli) user: String,
    pub(in crate::cli) issued_unix_ms: u64,
    pub(in crate::cli) expires_unix_ms: u64,
    pub(in crate::cli) rights: Option<Vec<String>>,
    pub(in crate::cli) networks: Vec<String>,
    #[serde(default)]
    pub(in crate::cli) current: bool,
}

/// Some entries of the audit, with whatever fields the server gives them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct AuditPageView {
    pub(in crate::cli) rows: Vec<serde_json::Value>,
    pub(in crate::cli) more: bool,
    pub(in crate::cli) newest: u64,
    pub(in crate::cli) head: String,
    pub(in crate::cli) intact: bool,
}

/// An entry of the audit.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct AuditView {
    pub(in crate::cli) sequence: u64,
    pub(in crate::cli) unix_ms: u64,
    pub(in crate::cli) actor: String,
    pub(in crate::cli) address: Option<String>,
    pub(in crate::cli) action: String,
    pub(in crate::cli) object: String,
    pub(in crate::cli) detail: String,
    pub(in crate::cli) result: String,
    pub(in crate::cli) reason: String,
    pub(in crate::cli) count: u32,
}

/// Which entries are wanted.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct AuditFilter {
    pub(in crate::cli) actor: Option<String>,
    pub(in crate::cli) action: Option<String>,
    pub(in crate::cli) before: Option<u64>,
}

/// The state of the process that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct StatusView {
    pub(in crate::cli) alias: String,
    pub(in crate::cli) mode: String,
    pub(in crate::cli) summary: String,
    pub(in crate::cli) ready: bool,
    #[serde(default)]
    pub(in crate::cli) nodes: Vec<NodeView>,
    #[serde(default)]
    pub(in crate::cli) alarms: Vec<String>,
    #[serde(default)]
    pub(in crate::cli) commit_index: Option<u64>,
    #[serde(default)]
    pub(in crate::cli) log_copies: Vec<LogCopyView>,
    #[serde(default)]
    pub(in crate::cli) uptime_ms: u64,
    #[serde(default)]
    pub(in crate::cli) all_green_after_ms: Option<u64>,
}

/// A copy of the controller's log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct LogCopyView {
    pub(in crate::cli) alias: String,
    pub(in crate::cli) upto: u64,
    #[serde(default)]
    pub(in crate::cli) complete: bool,
    #[serde(default)]
    pub(in crate::cli) state: String,
}

/// A token, fresh from a login.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct TokenView {
    pub(in crate::cli) token: String,
    #[serde(default)]
    pub(in crate::cli) must_change_password: bool,
    pub(in crate::cli) warning: Option<String>,
}

/// A piece of a log file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct LogView {
    pub(in crate::cli) offset: u64,
    pub(in crate::cli) file_len: u64,
    pub(in crate::cli) bytes: Vec<u8>,
}

/// A file or directory.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct EntryView {
    pub(in crate::cli) path: String,
    pub(in crate::cli) kind: String,
    pub(in crate::cli) version: u64,
    pub(in crate::cli) len: u64,
    pub(in crate::cli) modified_unix_ms: u64,
    pub(in crate::cli) count: u64,
    pub(in crate::cli) digest: Option<String>,
    pub(in crate::cli) replicas: Option<u32>,
}

impl EntryView {
    pub(in crate::cli) fn is_directory(&self) -> bool {
        self.kind == "directory"
    }

    /// The last name of its path; nothing for the root.
    pub(in crate::cli) fn name(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(_, name)| name)
    }
}

/// How much there is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct UsageView {
    pub(in crate::cli) files: u64,
    pub(in crate::cli) directories: u64,
    pub(in crate::cli) bytes: u64,
    pub(in crate::cli) stored_bytes: u64,
    pub(in crate::cli) chunks: u64,
}

/// A write that is durable.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct CommittedView {
    pub(in crate::cli) entry: EntryView,
    pub(in crate::cli) degraded_chunks: u32,
    pub(in crate::cli) created: bool,
}

/// A chunk.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct ChunkView {
    pub(in crate::cli) chunk: String,
    pub(in crate::cli) generation: u32,
    /// Nothing for who may not read files.
    pub(in crate::cli) path: Option<String>,
    pub(in crate::cli) number: u32,
    pub(in crate::cli) len: u64,
    pub(in crate::cli) digest: String,
    pub(in crate::cli) state: String,
    pub(in crate::cli) replicas: Vec<ReplicaView>,
    #[serde(default)]
    pub(in crate::cli) reason: String,
}

/// A replica of a chunk.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct ReplicaView {
    pub(in crate::cli) node: String,
    pub(in crate::cli) state: String,
    pub(in crate::cli) volume: Option<u32>,
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct VolumeView {
    pub(in crate::cli) node: String,
    pub(in crate::cli) slot: u32,
    pub(in crate::cli) path: String,
    pub(in crate::cli) state: String,
    pub(in crate::cli) capacity: u64,
    pub(in crate::cli) free: u64,
    pub(in crate::cli) chunks: u64,
    pub(in crate::cli) chunk_bytes: u64,
    #[serde(default)]
    pub(in crate::cli) reason: String,
    /// Milliseconds for which it has been so.
    #[serde(default)]
    pub(in crate::cli) for_ms: u64,
    /// What is being done about it.
    #[serde(default)]
    pub(in crate::cli) doing: String,
    /// `none`, `draining`, `drained`; a server that is older does not say.
    #[serde(default)]
    pub(in crate::cli) admin: String,
}

/// What came of opening a volume again.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(in crate::cli) struct RescanView {
    pub(in crate::cli) node: String,
    pub(in crate::cli) path: String,
    pub(in crate::cli) was: Option<String>,
    pub(in crate::cli) now: Option<String>,
    pub(in crate::cli) opened: bool,
    pub(in crate::cli) chunks: u64,
    pub(in crate::cli) reason: String,
}

/// What chunks lack, and what is being done about it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct RepairView {
    pub(in crate::cli) holds: Vec<String>,
    pub(in crate::cli) surveying: bool,
    pub(in crate::cli) last_copy: u64,
    pub(in crate::cli) degraded: u64,
    #[serde(default)]
    pub(in crate::cli) leaving: u64,
    pub(in crate::cli) misplaced: u64,
    pub(in crate::cli) surplus: u64,
    pub(in crate::cli) bytes_left: u64,
    pub(in crate::cli) copies: Vec<CopyView>,
    pub(in crate::cli) stuck: Vec<StuckView>,
    pub(in crate::cli) copied: u64,
    pub(in crate::cli) copied_bytes: u64,
    pub(in crate::cli) failed: u64,
    pub(in crate::cli) adopted: u64,
    pub(in crate::cli) given_up: u64,
    pub(in crate::cli) left_ms: Option<u64>,
    #[serde(default)]
    pub(in crate::cli) awaited: Vec<AwaitedView>,
    #[serde(default)]
    pub(in crate::cli) unknown: u64,
    #[serde(default)]
    pub(in crate::cli) unknown_bytes: u64,
}

/// What was done about replicas, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct HistoryPageView {
    pub(in crate::cli) rows: Vec<DeedView>,
    pub(in crate::cli) more: bool,
    pub(in crate::cli) forgotten: u64,
}

/// Something that was done about a chunk's replicas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cli) struct DeedView {
    pub(in crate::cli) number: u64,
    pub(in crate::cli) ago_ms: u64,
    pub(in crate::cli) what: String,
    pub(in crate::cli) chunk: String,
    pub(in crate::cli) generation: u64,
    pub(in crate::cli) len: u64,
    pub(in crate::cli) from: Option<String>,
    pub(in crate::cli) to: Option<String>,
    pub(in crate::cli) given_up: Vec<String>,
    pub(in crate::cli) took_ms: u64,
    pub(in crate::cli) reason: String,
}

/// A content that no file has.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct UnknownView {
    pub(in crate::cli) chunk: String,
    pub(in crate::cli) generation: u32,
    pub(in crate::cli) len: u64,
    pub(in crate::cli) digest: String,
    pub(in crate::cli) nodes: Vec<String>,
}

/// A node that is away and waited for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct AwaitedView {
    pub(in crate::cli) node: String,
    pub(in crate::cli) chunks: u64,
    pub(in crate::cli) left_ms: Option<u64>,
}

/// A copy under way.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct CopyView {
    pub(in crate::cli) chunk: String,
    /// Nothing for who may not read files.
    pub(in crate::cli) path: Option<String>,
    pub(in crate::cli) len: u64,
    pub(in crate::cli) from: String,
    pub(in crate::cli) to: String,
    pub(in crate::cli) since_ms: u64,
    pub(in crate::cli) reason: String,
}

/// A chunk for which nothing could be done so far.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct StuckView {
    pub(in crate::cli) chunk: String,
    pub(in crate::cli) since_ms: u64,
    pub(in crate::cli) reason: String,
}
