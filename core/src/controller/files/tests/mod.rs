//! The files of a controller whose cluster is ideal.

mod commits;
mod names;
mod pages;
mod places;

use core::time::Duration;

use super::Asker;
use crate::admin::Refusal;
use crate::controller::Controller;
use crate::dfs::ask::{Answer, Ask, Commit, Expect, Holder, VolumeState, WrittenChunk};
use crate::dfs::digest::Digest;
use crate::dfs::ids::{ChunkId, ChunkVersion, Generation, OpId, VolumeSlot};
use crate::dfs::path::DfsPath;
use crate::dfs::placement::Fitness;
use crate::ideal::Ideal;
use crate::ids::{ConnId, ControllerEpoch, NodeEpoch, NodeId, RequestId};
use crate::membership::Slot;
use crate::message::{ReplicaChange, ReplicaEntry, ReplicaNews, Report, VolumeFacts, VolumesNow};
use crate::time::Timestamp;

const OP: OpId = OpId([7; 16]);
const LEN: u64 = 9;
const ASKER: Asker = Asker::Here(RequestId(1_000_000));

/// The data nodes, by slot, identity and registration.
fn data_nodes(controller: &Controller) -> Vec<(Slot, NodeId, NodeEpoch)> {
    let slots: Vec<Slot> = controller.members.data_nodes().collect();
    slots
        .into_iter()
        .map(|slot| {
            let alias = &controller.members.all[slot].member.site.alias;
            let known = controller.state.registry.get(alias).expect("it registered");
            (slot, known.node, known.epoch)
        })
        .collect()
}

fn entry(version: ChunkVersion) -> ReplicaEntry {
    ReplicaEntry {
        version,
        len: LEN,
        digest: Digest::of(b"nine byte"),
        volume: VolumeSlot(0),
    }
}

/// A whole report of a node that has these.
fn report(entries: Vec<ReplicaEntry>) -> Report {
    Report {
        report: 2,
        page: 0,
        pages: 1,
        chunks: entries.len() as u64,
        as_of: 0,
        entries,
        volumes: Vec::new(),
        damaged: Vec::new(),
    }
}

fn commit(controller: &Controller, chunks: &[ChunkVersion]) -> Ask {
    let holders: Vec<Holder> = data_nodes(controller)
        .into_iter()
        .map(|(_, node, epoch)| Holder {
            node,
            epoch,
            volume: VolumeSlot(0),
        })
        .collect();
    let written = chunks.iter().map(|version| WrittenChunk {
        version: *version,
        len: LEN,
        digest: Digest::of(b"nine byte"),
        holders: holders.clone(),
    });
    Ask::Commit(Commit {
        op: OP,
        path: DfsPath::parse("/f").unwrap(),
        expect: Expect::Nothing,
        chunks: written.collect(),
        unix_ms: 0,
    })
}

/// Asks for a commit. `None`: it is in the log, and the answer waits for the disk.
fn try_commit(
    controller: &mut Controller,
    now: Timestamp,
    chunks: &[ChunkVersion],
) -> Option<Result<Answer, Refusal>> {
    let ask = commit(controller, chunks);
    controller.ask_files(now, ASKER, ask)
}

fn is_put_off(answer: &Option<Result<Answer, Refusal>>) -> bool {
    matches!(answer, Some(Err(Refusal::Unavailable { .. })))
}

/// Answers that wait for the disk.
fn held(controller: &Controller) -> usize {
    controller.waiting.values().map(Vec::len).sum()
}

/// An open write of one chunk, placed at both data nodes under their present registrations.
fn open_write(cluster: &mut Ideal) -> ChunkVersion {
    let now = cluster.now;
    let controller = cluster.controller();
    let nodes = data_nodes(controller);
    let places = nodes.iter().map(|(_, node, epoch)| (*node, *epoch));
    let writes = &mut controller.files.writes;
    writes.allocate(now, OP, LEN, places.collect()).unwrap()
}

fn make_dir(op: OpId, path: &str, parents: bool) -> Ask {
    Ask::MakeDir {
        op,
        path: DfsPath::parse(path).unwrap(),
        parents,
        unix_ms: 0,
    }
}
