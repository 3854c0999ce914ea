//! Chunks as lists show them.

use std::collections::BTreeSet;

use crate::admin::Refusal;
use crate::controller::Controller;
use crate::dfs::ask::{ChunkPage, ChunkRow, ChunkState, ReplicaRow, ReplicaState};
use crate::dfs::ids::ChunkId;
use crate::dfs::namespace::ChunkView;
use crate::dfs::path::DfsPath;
use crate::dfs::placement::ReliabilityLevel;
use crate::ids::HostId;

impl Controller {
    pub(super) fn chunk_page(
        &self,
        after: Option<ChunkId>,
        limit: usize,
        unwell_only: bool,
        below: Option<&DfsPath>,
    ) -> Result<ChunkPage, Refusal> {
        let below = match below {
            Some(path) => Some(self.names().resolve(path)?),
            None => None,
        };
        let mut rows = Vec::new();
        let mut more = false;
        let mut upto = after;
        for (nth, view) in self.names().chunks_after(after).enumerate() {
            if rows.len() >= limit || nth >= self.limits.dfs_chunks_looked_at {
                more = true;
                break;
            }
            upto = Some(view.version().chunk);
            let inside = below.is_none_or(|place| self.names().is_within(view.file(), place));
            if !inside {
                continue;
            }
            let row = self.row(&view);
            if !unwell_only || row.state != ChunkState::Healthy {
                rows.push(row);
            }
        }
        if self.cut_page(&mut rows) {
            more = true;
            upto = rows.last().map(|row| row.chunk);
        }
        Ok(ChunkPage { rows, more, upto })
    }

    pub(super) fn chunk_row(&self, chunk: ChunkId) -> Result<ChunkPage, Refusal> {
        let view = self.names().chunk(chunk).ok_or_else(|| Refusal::NotFound {
            what: format!(
                "no file has a chunk {chunk}: it was removed, replaced or never committed"
            ),
        })?;
        Ok(ChunkPage {
            rows: vec![self.row(&view)],
            more: false,
            upto: Some(chunk),
        })
    }

    fn row(&self, view: &ChunkView<'_>) -> ChunkRow {
        let version = view.version();
        let replicas: Vec<ReplicaRow> = view
            .holders()
            .filter_map(|node| {
                let slot = self.slot_of(node)?;
                Some(ReplicaRow {
                    node: self.members.all[slot].member.site.alias.clone(),
                    state: self.replica_state(node, version),
                    volume: None,
                })
            })
            .collect();
        let (state, reason) = self.chunk_state(view, &replicas);
        ChunkRow {
            chunk: version.chunk,
            generation: version.generation,
            path: Some(self.names().path(view.file()).unwrap_or_default()),
            number: view.number(),
            len: view.len(),
            digest: view.digest(),
            state,
            replicas,
            reason,
        }
    }

    fn chunk_state(&self, view: &ChunkView<'_>, replicas: &[ReplicaRow]) -> (ChunkState, String) {
        let count = |state: ReplicaState| replicas.iter().filter(|it| it.state == state).count();
        let good = count(ReplicaState::Good) + count(ReplicaState::Suspect);
        let factor = self.files.config.factor;
        let unwell = replicas
            .iter()
            .filter(|it| it.state != ReplicaState::Good)
            .map(|it| format!("{} is {}", it.node, word(it.state)))
            .collect::<Vec<_>>()
            .join(", ");
        if good == 0 && count(ReplicaState::Unconfirmed) > 0 {
            return (ChunkState::Unconfirmed, unwell);
        }
        if good == 0 {
            let reason = if unwell.is_empty() {
                "no replica can be read: its nodes were replaced or removed, and it is lost"
                    .to_owned()
            } else {
                format!("no replica can be read: {unwell}; bring one of these nodes back")
            };
            return (ChunkState::Unavailable, reason);
        }
        if good < factor {
            let missing = if unwell.is_empty() {
                String::new()
            } else {
                format!(": {unwell}")
            };
            let reason = format!("{good} of {factor} replicas{missing}");
            return (ChunkState::Degraded, reason);
        }
        if view.holder_count() > factor {
            let reason = format!("{} replicas, {factor} are wanted", view.holder_count());
            return (ChunkState::Surplus, reason);
        }
        if self.shares_a_forbidden_host(view) {
            let reason = "replicas share a host, which dfsReplicaReliabilityLevel=1 forbids";
            return (ChunkState::Misplaced, reason.to_owned());
        }
        (ChunkState::Healthy, String::new())
    }

    /// Whether replicas of a chunk share a host although they must not.
    fn shares_a_forbidden_host(&self, view: &ChunkView<'_>) -> bool {
        if self.files.config.level != ReliabilityLevel::NeverShare {
            return false;
        }
        let hosts: Vec<Option<HostId>> = view.holders().map(|node| self.host_of(node)).collect();
        let different: BTreeSet<Option<HostId>> = hosts.iter().copied().collect();
        different.len() < hosts.len()
    }
}

const fn word(state: ReplicaState) -> &'static str {
    match state {
        ReplicaState::Good => "good",
        ReplicaState::Unconfirmed => "not confirmed yet",
        ReplicaState::Suspect => "suspected",
        ReplicaState::Away => "away",
        ReplicaState::Missing => "without it",
        ReplicaState::Corrupt => "damaged",
    }
}
