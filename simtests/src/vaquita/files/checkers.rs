//! What must hold of files and chunks whatever happens, seen from where no machine stands.

use std::collections::{BTreeMap, BTreeSet};

use vaquita_core::dfs::ask::Committed;
use vaquita_core::dfs::digest::Digest;
use vaquita_core::dfs::ids::ChunkVersion;
use vaquita_core::dfs::placement::ReliabilityLevel;
use vaquita_core::disk::FileName;
use vaquita_core::ids::{LogIndex, NodeId};
use vaquita_core::metalog::{self, Expected};
use vaquita_core::state::{self, ClusterState};
use vaquita_core::store::RecordKind;
use vaquita_core::store::scan::{Found, LabelFound, scan};

use crate::checker::Checker;
use crate::disk::{Files, Promised, SimDisk};
use crate::time::SimTime;
use crate::vaquita::{MASTER, Vaquita, VaquitaFactory, VaquitaWorld, controller};
use crate::world::{NodeIx, StepRecord};

/// The chunks that hold on a volume, by what was found there: the newest word about each.
pub(super) fn contents(found: &Found) -> BTreeMap<ChunkVersion, (u64, Digest)> {
    let mut newest: BTreeMap<ChunkVersion, (u64, Option<(u64, Digest)>)> = BTreeMap::new();
    let mut say = |version, serial, what| {
        let known = newest.entry(version).or_insert((serial, what));
        if serial >= known.0 {
            *known = (serial, what);
        }
    };
    for (_, record) in found.segments.iter().flat_map(|segment| &segment.records) {
        match record.kind {
            RecordKind::Chunk => say(
                record.version,
                record.serial,
                Some((record.len, record.digest)),
            ),
            RecordKind::Tombstone => say(record.version, record.serial, None),
            RecordKind::End => {}
        }
    }
    for alone in &found.alone {
        if let Ok(record) = &alone.result {
            say(
                alone.version,
                record.serial,
                Some((record.len, record.digest)),
            );
        }
    }
    let there = newest.into_iter();
    there
        .filter_map(|(version, (_, what))| Some((version, what?)))
        .collect()
}

/// What a node would have if its power failed now, at worst.
fn durable(world: &VaquitaWorld, node: NodeIx) -> BTreeMap<ChunkVersion, (u64, Digest)> {
    let disks = (0..world.volumes(node)).filter_map(|slot| world.volume(node, slot));
    disks
        .filter(|disk| !disk.dead)
        .filter_map(|disk: &SimDisk| scan(&Promised(disk)).ok())
        .flat_map(|(_, found)| contents(&found))
        .collect()
}

/// The controller's log if the power of its host failed now, at worst; `None` before there is a cluster.
fn durable_log(world: &VaquitaWorld) -> Option<(Files, Expected)> {
    let disk = world.disk(world.node(MASTER)?);
    let there = |file: &FileName| {
        metalog::belongs_to_log(file) && disk.name_promised(file) && !disk.is_scarred(file)
    };
    let names = disk.files().into_keys().filter(there);
    let files = names.filter_map(|file| {
        let bytes = disk.promised(&file)?.to_vec();
        Some((file, bytes))
    });
    let expected = Expected {
        cluster: cluster_of(world)?,
        durable: None,
    };
    Some((files.collect(), expected))
}

/// The cluster's state if the power of the controller's host failed now, at worst, and the last record
/// of the log in which it is.
///
/// # Errors
/// If the log would not be readable.
pub fn durable_state(world: &VaquitaWorld) -> Result<Option<(ClusterState, LogIndex)>, String> {
    let Some((files, expected)) = durable_log(world) else {
        return Ok(None);
    };
    let recovered = metalog::recover(&files, &expected).map_err(|refusal| refusal.to_string())?;
    let checkpoint = recovered.checkpoint.map(|(index, _)| index);
    let record = recovered.records.last().map(|record| record.index);
    let last = record.or(checkpoint).unwrap_or_default();
    state::replay(recovered.checkpoint, &recovered.records)
        .map(|state| Some((state, last)))
        .map_err(|malformed| malformed.to_string())
}

/// Whether the cluster's state was so after some record of the log between these two, as far as they are
/// durable and no checkpoint has taken their place.
pub(super) fn was_between(
    world: &VaquitaWorld,
    (before, after): (LogIndex, LogIndex),
    so: impl Fn(&ClusterState) -> bool,
) -> bool {
    let Some((files, expected)) = durable_log(world) else {
        return false;
    };
    let Ok(recovered) = metalog::recover(&files, &expected) else {
        return false;
    };
    let records = &recovered.records;
    let within = (0..records.len()).filter(|at| (before..after).contains(&records[*at].index));
    let mut states = within
        .map(|at| state::replay(recovered.checkpoint, &records[..=at]))
        .filter_map(Result::ok);
    states.any(|state| so(&state))
}

fn cluster_of(world: &VaquitaWorld) -> Option<vaquita_core::ids::ClusterId> {
    world.nodes().find_map(|node| match world.machine(node)? {
        Vaquita::DataNode(machine) => machine.identity().0.cluster,
        Vaquita::Controller(machine) => machine.state().cluster,
        Vaquita::Agent(_) | Vaquita::Rebuild(_) => None,
    })
}

/// The node whose home has this identity.
pub(super) fn place_of(
    world: &VaquitaWorld,
    state: &ClusterState,
    wanted: NodeId,
) -> Option<NodeIx> {
    let mut known = state.registry.iter();
    let (alias, _) = known.find(|(_, it)| it.node == wanted)?;
    world.node(alias.as_str())
}

/// When something was asked for that is acknowledged now.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// The whole.
    pub began: SimTime,
    /// The first commit of it, which may have been carried out at any time since.
    pub committing: SimTime,
}

/// Whether what a write has put on a disk of this node may be gone by its acknowledgement, without anybody's
/// fault but the disk's: it has died, or damaged something that this chunk may be in, since the write began; it
/// is another disk than when the commit was asked for, or than when the write began if the node has had no
/// process since (one that has registers anew, and what an earlier one had does not count); it lies; or its
/// label cannot be read any more, so that the next process does not look at what is behind it, though all of it
/// may be there.
fn may_have_lost(world: &VaquitaWorld, node: NodeIx, chunk: ChunkVersion, asked: Asked) -> bool {
    let own = format!("chunk-{}-{}", chunk.chunk, chunk.generation);
    let concerns = |file: &FileName| {
        let name = file.as_str();
        !name.starts_with("chunk-") || name.starts_with(&own)
    };
    let mut disks = (0..world.volumes(node)).filter_map(|slot| world.volume(node, slot));
    disks.any(|disk| {
        let mut incidents = disk.incidents().iter();
        let damaged = incidents.any(|it| it.at >= asked.began && concerns(&it.file));
        let died = disk.died_at().is_some_and(|at| at >= asked.began);
        let exchanged = disk.exchanged().is_some_and(|it| {
            let unheard = it.at >= asked.began && it.starts == world.starts(node);
            it.at >= asked.committing || unheard
        });
        let unreadable = || matches!(scan(&Promised(disk)), Ok((LabelFound::Damaged { .. }, _)));
        damaged || died || exchanged || disk.profile.lies || unreadable()
    })
}

/// A write that was just acknowledged is in the controller's log and on as many disks as the
/// configuration asks for, and would be if the power of the whole site failed now.
///
/// # Errors
/// What is missing.
pub fn acknowledged(
    world: &VaquitaWorld,
    committed: &Committed,
    asked: Asked,
) -> Result<(), String> {
    let Some((state, last)) = durable_state(world)? else {
        return Ok(());
    };
    let path = &committed.entry.path;
    let index = committed.entry.version;
    // What it goes by, and not what its files say by now.
    let min_write = match controller(world) {
        Some((_, machine)) => machine.files_config().min_write,
        None => world.factory().cluster.files.min_write,
    };
    let names = &state.namespace;
    let there = names.stat(path).ok();
    // It may have been replaced or removed since.
    let Some(entry) = there.filter(|entry| entry.version == index) else {
        // By the disk's word: a machine that takes for synced what is not must not be its own witness.
        return if last.0 >= index.0 {
            Ok(())
        } else {
            Err(format!(
                "{path} was acknowledged as version {index}, which a loss of power now would take"
            ))
        };
    };
    let chunks: Vec<_> = names.file_chunks(entry.inode, 0).collect();
    if chunks.is_empty() {
        return Ok(());
    }
    // A disk that died or was wiped since is no fault of the acknowledgement.
    let mut kept: BTreeMap<NodeIx, BTreeMap<ChunkVersion, (u64, Digest)>> = BTreeMap::new();
    for it in chunks {
        let chunk = it.chunk;
        let wanted = (chunk.len(), chunk.digest());
        let mut have = 0;
        for holder in chunk.holders() {
            let Some(node) = place_of(world, &state, holder) else {
                continue;
            };
            let disk = kept.entry(node).or_insert_with(|| durable(world, node));
            let there = disk.get(&chunk.version()) == Some(&wanted)
                || may_have_lost(world, node, chunk.version(), asked);
            have += usize::from(there);
        }
        if have < min_write {
            return Err(format!(
                "{path} was acknowledged, and a loss of power now would leave {have} replicas of its \
                 chunk {}; {} are needed",
                chunk.version(),
                min_write
            ));
        }
    }
    Ok(())
}

/// Each chunk has one content for ever, on distinct nodes, and on distinct hosts where the
/// configuration says so.
#[derive(Debug, Default)]
pub struct Chunks {
    appended: LogIndex,
    process: u32,
    digests: BTreeMap<ChunkVersion, (u64, Digest)>,
    seen: BTreeSet<ChunkVersion>,
    /// When a controller was last seen for which replicas may share a host.
    lax_at: Option<SimTime>,
    nodes: BTreeMap<NodeIx, u64>,
}

impl Chunks {
    fn content(&mut self, version: ChunkVersion, what: (u64, Digest)) -> Result<(), String> {
        let known = *self.digests.entry(version).or_insert(what);
        if known != what {
            return Err(format!(
                "chunk {version} has two contents, {known:?} and {what:?}"
            ));
        }
        Ok(())
    }

    /// Whether what is seen for the first time now was placed where replicas must not share a host. With what
    /// was placed before the level was raised that is made good later, at the pace of repair; and what a
    /// process finds at its start may be of one that had another level.
    fn is_strict(&self, world: &VaquitaWorld, finds: bool) -> bool {
        let grace = world.factory().cluster.limits.orphan_grace;
        self.lax_at
            .is_none_or(|at| !finds && world.now().since(at) > grace)
    }

    fn placed(
        &mut self,
        world: &VaquitaWorld,
        state: &ClusterState,
        strict: bool,
    ) -> Result<(), String> {
        let names = &state.namespace;
        let fresh: Vec<_> = names
            .chunks_after(None)
            .filter(|chunk| !self.seen.contains(&chunk.version()))
            .map(|chunk| {
                let holders: Vec<NodeId> = chunk.holders().collect();
                (chunk.version(), (chunk.len(), chunk.digest()), holders)
            })
            .collect();
        for (version, what, holders) in fresh {
            self.seen.insert(version);
            self.content(version, what)?;
            let nodes: BTreeSet<NodeId> = holders.iter().copied().collect();
            if nodes.len() != holders.len() {
                return Err(format!("two replicas of chunk {version} are on one node"));
            }
            if strict {
                let places = holders
                    .iter()
                    .filter_map(|node| place_of(world, state, *node));
                let hosts: Vec<_> = places.map(|node| world.host_of(node)).collect();
                let distinct: BTreeSet<_> = hosts.iter().collect();
                if distinct.len() != hosts.len() {
                    return Err(format!("two replicas of chunk {version} share a host"));
                }
            }
        }
        Ok(())
    }
}

impl Checker<VaquitaFactory> for Chunks {
    fn name(&self) -> &'static str {
        "chunks"
    }

    fn after_step(&mut self, world: &VaquitaWorld, step: &StepRecord) -> Result<(), String> {
        let Some(node) = step.node else { return Ok(()) };
        match world.machine(node) {
            Some(Vaquita::Controller(machine)) => {
                // What it has taken up of its files, which may have changed since.
                if machine.files_config().level != ReliabilityLevel::NeverShare {
                    self.lax_at = Some(world.now());
                }
                let (synced, appended) = machine.log_positions();
                // What is not synced may be taken by a crash, and the same index be another's then.
                let process = world.starts(node);
                if process != self.process {
                    self.process = process;
                    self.appended = LogIndex(0);
                }
                if synced != appended || appended == self.appended {
                    return Ok(());
                }
                let finds = std::mem::replace(&mut self.appended, appended) == LogIndex(0);
                let strict = self.is_strict(world, finds);
                self.placed(world, machine.state(), strict)
            }
            Some(Vaquita::DataNode(machine)) => {
                // A look at everything a node has, whenever its sum has changed.
                if !matches!(step.kind, crate::world::StepKind::DiskDone(_)) {
                    return Ok(());
                }
                let entries = machine.entries();
                let sum = entries
                    .iter()
                    .fold(0_u64, |sum, entry| sum.wrapping_add(entry.fingerprint()));
                if self.nodes.insert(node, sum) == Some(sum) || entries.len() > LOOKED_AT_MAX {
                    return Ok(());
                }
                // Bytes that were damaged on their way may be prepared; they are never committed.
                let Some((_, controller)) = controller(world) else {
                    return Ok(());
                };
                let (names, id) = (&controller.state().namespace, machine.identity().0.node);
                for entry in entries {
                    let committed = names.chunk_version(entry.version);
                    if committed.is_some_and(|chunk| chunk.is_held_by(id)) {
                        self.content(entry.version, (entry.len, entry.digest))?;
                    }
                }
                Ok(())
            }
            Some(Vaquita::Agent(_) | Vaquita::Rebuild(_)) | None => Ok(()),
        }
    }
}

/// Entries of a node above which they are not looked at after every step.
const LOOKED_AT_MAX: usize = 300;
