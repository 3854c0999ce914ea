//! Giving up the end of a damaged log, with the home around it.
//!
//! A home must never be used half repaired. Its identity is what a start asks for first, so it is
//! put aside before anything else is touched, under a name that says why, and comes back as the
//! last thing, with the new lineage in it:
//!
//! ```text
//!  cluster.id ──► repair.id      the log is cut          cluster.id       repair.id ──► lost-…
//!  ──────────────────┼───────────────────────────────────────┼───────────────────┼──────────►
//!   refused: damaged │ refused: a repair was not finished    │ repaired          │ repaired
//! ```
//!
//! Whoever finds `repair.id` alone runs the same repair again.

use std::collections::BTreeMap;

use thiserror::Error;

use super::commit::{HomeIdentity, home_file, index_floor, repair_file};
use crate::disk::{DiskOp, FileName};
use crate::ids::{ClusterId, LineageId, LogIndex};
use crate::metalog::{self, Expected, LogRepair, RecoveryRefusal, RepairRefusal};
use crate::node_machine;
use crate::state_file;
use crate::wire::codec;

/// What there is in a controller's home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomeReport {
    /// Its cluster.
    pub cluster: ClusterId,
    /// Its history.
    pub lineage: LineageId,
    /// Whether a repair of it was begun and not finished.
    pub unfinished: bool,
    /// The files of the log, with their lengths in bytes.
    pub files: Vec<(FileName, usize)>,
    /// What a start would say: the last record of a log that is in order, or why it is refused.
    pub verdict: Result<LogIndex, RecoveryRefusal>,
    /// The last record that a repair could keep; zero if none.
    pub last_good: LogIndex,
    /// A record that is known to have been durable; there may have been later ones.
    pub durable: LogIndex,
    /// What a repair behind the last good record would take out of the log. Which lineage the names
    /// will have is not known yet.
    pub would_lose: Vec<metalog::GivenUp>,
}

/// What repairs a home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomeRepair {
    /// What becomes of the log.
    pub log: LogRepair,
    /// The operations on the home, in order. Cut short anywhere they leave a home that is refused
    /// and can be repaired in the same way, or one that is repaired.
    pub ops: Vec<DiskOp>,
}

/// Why a home is not repaired. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HomeRepairRefusal {
    /// It is not a controller's home.
    #[error(
        "there is no {} here, so this is not the home of a controller, or not all of it. Name \
         the directory that its log is in; nothing was changed",
        home_file()
    )]
    NoHome,
    /// Its identity cannot be read.
    #[error("{0}")]
    DamagedIdentity(String),
    /// It is in order.
    #[error(
        "the log is in order and ends with record {last}: there is nothing to repair. Nothing was \
         changed"
    )]
    InOrder {
        /// Its last record.
        last: LogIndex,
    },
    /// The log cannot be cut there.
    #[error(transparent)]
    Log(#[from] RepairRefusal),
}

/// Looks at a home. `files` are those of the log and of the home's identity; others are ignored.
///
/// Reads all of the log: takes time in proportion to its length.
///
/// # Errors
/// If it is no home of a controller.
pub fn inspect_home<B: AsRef<[u8]>>(
    files: &BTreeMap<FileName, B>,
) -> Result<HomeReport, HomeRepairRefusal> {
    let (identity, unfinished) = identity(files)?;
    let HomeIdentity {
        cluster,
        lineage,
        durable,
        ..
    } = identity;
    let expected = Expected { cluster, durable };
    let verdict = metalog::recover(files, &expected).map(|recovered| recovered.end.last_index());
    let far = LogIndex(u64::MAX / 2);
    let last_good = match metalog::plan_repair(files, cluster, far, lineage) {
        Err(RepairRefusal::NotThatFar { last_good, .. }) => last_good,
        _ => LogIndex(0),
    };
    let would_lose = metalog::plan_repair(files, cluster, last_good, lineage)
        .map(|repair| repair.given_up)
        .unwrap_or_default();
    let of_log = |(name, _): &(&FileName, &B)| metalog::belongs_to_log(name);
    Ok(HomeReport {
        cluster,
        lineage,
        unfinished,
        files: (files.iter().filter(of_log))
            .map(|(name, bytes)| (name.clone(), bytes.as_ref().len()))
            .collect(),
        verdict,
        last_good,
        durable: durable.unwrap_or_default().max(metalog::named_last(files)),
        would_lose,
    })
}

/// Computes what gives up every record behind `upto` and goes on under `lineage`, which must be a
/// new one.
///
/// # Errors
/// If the home is in order, or its log cannot end there.
pub fn plan_home_repair<B: AsRef<[u8]>>(
    files: &BTreeMap<FileName, B>,
    upto: LogIndex,
    lineage: LineageId,
) -> Result<HomeRepair, HomeRepairRefusal> {
    let (found, unfinished) = identity(files)?;
    let expected = Expected {
        cluster: found.cluster,
        durable: found.durable,
    };
    if let (false, Ok(recovered)) = (unfinished, metalog::recover(files, &expected)) {
        let last = recovered.end.last_index();
        return Err(HomeRepairRefusal::InOrder { last });
    }
    let log = metalog::plan_repair(files, found.cluster, upto, lineage)?;
    let rename = |from: FileName, to: FileName| [DiskOp::Rename { from, to }, DiskOp::SyncDir];
    let mut ops = Vec::new();
    if !unfinished {
        ops.extend(rename(home_file(), repair_file()));
    }
    ops.extend(log.ops.iter().cloned());
    let highest = (found.durable.unwrap_or_default())
        .max(metalog::named_last(files))
        .max(upto);
    let repaired = HomeIdentity {
        cluster: found.cluster,
        lineage,
        durable: Some(upto),
        accepted: None,
        // What is given up may have been told to somebody, and what came behind it, too.
        index_floor: index_floor(highest),
    };
    let temporary = home_file().temporary();
    ops.extend([
        DiskOp::CreateOrEmpty {
            file: temporary.clone(),
        },
        DiskOp::Append {
            file: temporary.clone(),
            offset: 0,
            bytes: state_file::frame(&codec::encode(&repaired)),
        },
        DiskOp::Sync {
            file: temporary.clone(),
        },
    ]);
    ops.extend(rename(temporary, home_file()));
    ops.extend(rename(repair_file(), metalog::lost(lineage, &home_file())));
    Ok(HomeRepair { log, ops })
}

/// What the home says of itself, and whether a repair of it was begun and not finished.
fn identity<B: AsRef<[u8]>>(
    files: &BTreeMap<FileName, B>,
) -> Result<(HomeIdentity, bool), HomeRepairRefusal> {
    let read = |name: &FileName| {
        node_machine::read::<HomeIdentity, B>(files, name)
            .map_err(|reason| HomeRepairRefusal::DamagedIdentity(reason.message))
    };
    if let Some(identity) = read(&home_file())? {
        return Ok((identity, false));
    }
    let begun = read(&repair_file())?.ok_or(HomeRepairRefusal::NoHome)?;
    Ok((begun, true))
}

/// The home of `cluster` that a log is in.
#[cfg(test)]
pub(crate) fn home_with_log(
    mut log: BTreeMap<FileName, Vec<u8>>,
    cluster: ClusterId,
    durable: LogIndex,
) -> BTreeMap<FileName, Vec<u8>> {
    let identity = HomeIdentity {
        cluster,
        lineage: LineageId::new([0xbb; 16]),
        durable: Some(durable),
        accepted: None,
        index_floor: LogIndex(0),
    };
    log.insert(home_file(), state_file::frame(&codec::encode(&identity)));
    log
}
