//! Write, commit, repair and trim.
//!
//! 1. What the controller's log says of a file, as far as it is durable, is on enough disks: each chunk
//!    has as many whole replicas as a write needs, on distinct nodes, each of them durable, at any time
//!    from its commit on. So a commit comes after the disks' word, repair never counts what is not
//!    there, and what is trimmed was one too many.
//! 2. As many are on nodes that the log names, which is where readers are sent: what is old, or was given
//!    up, is not named.
//! 3. An acknowledged write is in the durable log.
//! 4. No content has two sets of bytes, on whatever disks.

use std::collections::{BTreeMap, BTreeSet};

use vaquita_core::dfs::digest::Digest;
use vaquita_core::dfs::ids::{ChunkVersion, InodeId};
use vaquita_core::ids::NodeId;
use vaquita_core::state::ClusterState;
use vaquita_core::store::RecordKind;
use vaquita_core::store::scan::scan;

use super::{Step, durable_state};
use crate::data::{content, path};
use crate::disk::Disk;
use crate::setup::{CONTROLLER, Place};
use crate::site::Site;

type Contents = BTreeMap<ChunkVersion, (u64, Digest)>;

pub(super) fn check(step: Step<'_>, after: &mut Site) -> Result<(), String> {
    let committed = after.client.told.as_ref().map(|it| it.entry.version);
    let told = committed != after.ledger.acknowledged;
    let disks = |site: &Site| -> Vec<_> {
        let volumes = site
            .node_places()
            .map(|it| site.spot(it).volume.fingerprint());
        volumes
            .chain([site.spot(CONTROLLER).home.fingerprint()])
            .collect()
    };
    if !told && disks(step.before) == disks(after) {
        return Ok(());
    }
    let Some((state, _)) = durable_state(after)? else {
        return Ok(());
    };
    let mut kept: BTreeMap<Place, Contents> = BTreeMap::new();
    for place in after.node_places() {
        kept.insert(place, durable(&after.spot(place).volume)?);
    }
    one_content(&kept)?;
    let Ok(entry) = state.namespace.stat(&path()) else {
        if after.ledger.durable || committed.is_some() {
            return Err(
                "a loss of power now would leave no file, and nobody has removed it".to_owned(),
            );
        }
        return Ok(());
    };
    after.ledger.durable = true;
    if let Some(version) = committed.filter(|version| entry.version < *version) {
        return Err(format!(
            "a write was acknowledged as version {version}, and a loss of power now would leave version {}",
            entry.version
        ));
    }
    after.ledger.acknowledged = committed;
    enough(step, &state, &kept, entry.inode)
}

/// What a node would have if its power failed now.
fn durable(volume: &Disk) -> Result<Contents, String> {
    let (_, found) = scan(&volume.at_worst()).map_err(|fault| fault.to_string())?;
    let mut newest: BTreeMap<ChunkVersion, (u64, Option<(u64, Digest)>)> = BTreeMap::new();
    for (_, record) in found.segments.iter().flat_map(|segment| &segment.records) {
        let what = match record.kind {
            RecordKind::Chunk => Some((record.len, record.digest)),
            RecordKind::Tombstone => None,
            RecordKind::End => continue,
        };
        let known = newest
            .entry(record.version)
            .or_insert((record.serial, what));
        if record.serial >= known.0 {
            *known = (record.serial, what);
        }
    }
    let there = newest.into_iter();
    Ok(there
        .filter_map(|(version, (_, what))| Some((version, what?)))
        .collect())
}

fn one_content(kept: &BTreeMap<Place, Contents>) -> Result<(), String> {
    let mut known: Contents = BTreeMap::new();
    for (version, what) in kept.values().flatten() {
        let first = *known.entry(*version).or_insert(*what);
        if first != *what {
            return Err(format!(
                "content {version} has two sets of bytes: {first:?} and {what:?}"
            ));
        }
    }
    Ok(())
}

fn enough(
    step: Step<'_>,
    state: &ClusterState,
    kept: &BTreeMap<Place, Contents>,
    file: InodeId,
) -> Result<(), String> {
    let names = &state.namespace;
    // What the file may be: what a client has written.
    let known: BTreeSet<Digest> = (0..4)
        .map(|version| Digest::of(&content(version)))
        .collect();
    let place_of = |node: NodeId| {
        let (alias, _) = state.registry.iter().find(|(_, it)| it.node == node)?;
        step.setup
            .places()
            .find(|it| step.setup.alias(*it) == *alias)
    };
    for it in names.file_chunks(file, 0) {
        let (chunk, version) = (it.chunk, it.chunk.version());
        let wanted = (chunk.len(), chunk.digest());
        if !known.contains(&wanted.1) {
            return Err(format!("chunk {version} has bytes that no client has sent"));
        }
        let has = |contents: &Contents| contents.get(&version) == Some(&wanted);
        let have: Vec<Place> = kept
            .iter()
            .filter(|(_, contents)| has(contents))
            .map(|(place, _)| *place)
            .collect();
        let least = step.setup.files.min_write;
        if have.len() < least {
            let names: Vec<_> = have.iter().map(|it| step.setup.name(*it)).collect();
            return Err(format!(
                "the log says that there is chunk {version}, and a loss of power of all hosts now \
                 would leave {} replicas of it ({}); {least} are needed",
                have.len(),
                names.join(", ")
            ));
        }
        let named: BTreeSet<Place> = chunk.holders().filter_map(place_of).collect();
        let right = named.iter().filter(|place| have.contains(place)).count();
        if right < least {
            let names: Vec<_> = named.iter().map(|it| step.setup.name(*it)).collect();
            return Err(format!(
                "the log names {} for chunk {version}, and a loss of power now would leave it on {right} \
                 of them; {least} are needed",
                names.join(" and ")
            ));
        }
    }
    Ok(())
}
