//! What must hold in every state, seen from where no machine stands.

mod files;
mod registration;

use std::collections::BTreeMap;

use vaquita_core::dfs::ids::FileVersion;
use vaquita_core::ids::{ControllerEpoch, LogIndex, NodeEpoch};
use vaquita_core::metalog::{self, Expected};
use vaquita_core::state::{self, ClusterState};

use crate::action::Action;
use crate::process::Who;
use crate::setup::{CONTROLLER, Setup};
use crate::site::Site;

/// What was seen and must not be contradicted later.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Which process speaks, or spoke, under an epoch.
    spoken: BTreeMap<NodeEpoch, Who>,
    /// The newest epoch under which a controller acted, and which start of it that was.
    acted: Option<(ControllerEpoch, u32)>,
    /// The write that was acknowledged, as far as it has been looked for on the disks.
    acknowledged: Option<FileVersion>,
    /// The file was once in the log for good; nobody removes it.
    durable: bool,
}

/// One step, from one state to the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) before: &'a Site,
    pub(crate) action: Action,
    /// Whether a datagram left the controller for a node's place.
    pub(crate) answered: bool,
}

/// Looks at a step and the state that it has led to.
///
/// # Errors
/// With what is wrong.
pub(crate) fn check(step: Step<'_>, after: &mut Site) -> Result<(), String> {
    registration::check(step, after)?;
    if step.setup.volumes {
        files::check(step, after)?;
    }
    Ok(())
}

/// The cluster's state if the controller's host lost its power now, and the last record in it; `None`
/// before there is a cluster.
///
/// # Errors
/// If a controller would refuse such a log.
fn durable_state(site: &Site) -> Result<Option<(ClusterState, LogIndex)>, String> {
    let clusters = site.node_places().filter_map(|place| site.node(place));
    let told = clusters.filter_map(|node| node.identity().0.cluster).next();
    let Some(cluster) = told.or_else(|| site.controller()?.state().cluster) else {
        return Ok(None);
    };
    let left = site.spot(CONTROLLER).home.at_worst().files();
    let log = left
        .iter()
        .filter(|(file, _)| metalog::belongs_to_log(file));
    let log = log
        .map(|(file, bytes)| (file.clone(), bytes.clone()))
        .collect();
    let expected = Expected {
        cluster,
        durable: None,
    };
    let recovered = metalog::recover(&log, &expected).map_err(|refusal| refusal.to_string())?;
    let last = recovered.records.last().map(|record| record.index);
    let state = state::replay(recovered.checkpoint, &recovered.records)
        .map_err(|malformed| malformed.to_string())?;
    Ok(Some((state, last.unwrap_or_default())))
}
