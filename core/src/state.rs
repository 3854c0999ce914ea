//! What the controller's log says: the state that a replay of all records gives.
//!
//! [`ClusterState::apply`] is the only way to change it. It is total and looks at nothing but the
//! state and the record, so that two replays are byte for byte the same; what only *seems* so, such
//! as who is alive, is not in here.

#[doc(hidden)]
pub mod fuzzing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use crate::access::{AccessRecord, AccessState};
use crate::audit::{AuditTrail, Audited};
use crate::dfs::ids::VolumeId;
use crate::dfs::namespace::{DfsRecord, Namespace, Released};
use crate::disk::FileName;
use crate::ids::{Alias, ClusterId, ControllerEpoch, Incarnation, LineageId, LogIndex, NodeId};
use crate::membership::{NodeRegistered, NodeRemoved, NodeReplaced, Registry};
use crate::message::{Fork, VolumeOwner};
use crate::metalog::{self, CheckpointPlan};
use crate::wire::codec::{self, Malformed};

/// One change of the cluster's state.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// The first record of every cluster.
    ClusterCreated(ClusterCreated),
    /// A controller started; the record's index is where its epoch begins.
    ControllerStarted(ControllerStarted),
    /// A node was let in; the record's index is its epoch.
    NodeRegistered(NodeRegistered),
    /// An operator said whether a data node should run; the record's index is the order's version.
    NodeDesired(NodeDesired),
    /// Something about users, rights and tokens.
    Access(AccessRecord),
    /// The log goes on under another lineage than the records in front of this one have.
    LineageBegun(LineageBegun),
    /// An operator gave a node's alias to whoever registers next.
    NodeReplaced(NodeReplaced),
    /// Something about names and chunks of the file system.
    Dfs(DfsRecord),
    /// An operator said what a data node is to be used for.
    NodeDuty(NodeDuty),
    /// An operator said that what the lost records may have named is not needed any more.
    LossSettled(LossSettled),
    /// An operator gave a volume to a node; the record's index is the volume's epoch.
    VolumeOwned(VolumeOwned),
    /// An operator took a data node out of the cluster for good.
    NodeRemoved(NodeRemoved),
    /// An operator said whether a volume is to be emptied.
    VolumeDuty(VolumeDuty),
    /// Who did what, together with the change that it made.
    Audited(Box<Audited>),
}

/// See [`Record::ClusterCreated`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ClusterCreated {
    /// The cluster's identity.
    #[n(0)]
    pub cluster: ClusterId,
    /// The identity of its first history.
    #[n(1)]
    pub lineage: LineageId,
}

/// See [`Record::ControllerStarted`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ControllerStarted {
    /// The new epoch.
    #[n(0)]
    pub epoch: ControllerEpoch,
    /// The process.
    #[n(1)]
    pub instance: Incarnation,
}

/// See [`Record::NodeDesired`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NodeDesired {
    /// The node.
    #[n(0)]
    pub alias: Alias,
    /// Whether it should run.
    #[n(1)]
    pub run: bool,
}

/// See [`Record::NodeDuty`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NodeDuty {
    /// The node.
    #[n(0)]
    pub alias: Alias,
    /// What it is to be used for.
    #[n(1)]
    pub duty: Duty,
}

/// See [`Record::LossSettled`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LossSettled {
    /// Chunks of controller epochs up to here that no file has are given up.
    #[n(0)]
    pub epochs: ControllerEpoch,
}

/// See [`Record::VolumeOwned`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct VolumeOwned {
    /// The volume.
    #[n(0)]
    pub volume: VolumeId,
    /// Its owner from now on.
    #[n(1)]
    pub node: NodeId,
    /// The owner's name, for people.
    #[n(2)]
    pub alias: Alias,
    /// The directory at which it is there.
    #[n(3)]
    pub path: String,
    /// Whose it was, by its label.
    #[n(4)]
    pub before: NodeId,
    /// Who ordered it: a user, or whoever sits at the controller's console.
    #[n(5)]
    pub by: String,
}

/// See [`Record::VolumeDuty`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct VolumeDuty {
    /// The volume, whosever it is.
    #[n(0)]
    pub volume: VolumeId,
    /// Whether it is to be emptied, or to serve again.
    #[n(1)]
    pub drain: bool,
    /// The node that had it when this was ordered, for people.
    #[n(2)]
    pub alias: Alias,
    /// The directory at which it was there, for people.
    #[n(3)]
    pub path: String,
    /// Who ordered it: a user, or whoever sits at the controller's console.
    #[n(4)]
    pub by: String,
}

/// What a data node is to be used for, whether it runs or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum Duty {
    /// It takes replicas and keeps them.
    #[default]
    #[n(0)]
    Serve,
    /// It takes none, and those that it has are made anew elsewhere.
    #[n(1)]
    Drain,
    /// It takes none, and keeps its own while it is away: nobody takes it for lost.
    #[n(2)]
    Maintenance {
        /// For how long, in milliseconds, from the order on and again from each start of a controller:
        /// a log has no clock.
        #[n(0)]
        for_ms: u64,
    },
}

/// See [`Record::LineageBegun`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LineageBegun {
    /// The new one.
    #[n(0)]
    pub lineage: LineageId,
    /// What an operator accepted who had the home rebuilt; `None` where nothing that a node was told of
    /// may be missing.
    #[cbor(n(1), default)]
    pub accepted: Option<AcceptedLoss>,
}

/// An operator's word that the log is to be gone on with although its newest records may be lost.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AcceptedLoss {
    /// No controller epoch up to here may be given out again: a node may have seen it.
    #[n(0)]
    pub epochs: ControllerEpoch,
    /// Histories that members have followed and that the log does not contain.
    #[cbor(n(1), default)]
    pub left: Vec<LineageId>,
}

const CLUSTER_CREATED: u16 = 1;
const CONTROLLER_STARTED: u16 = 2;
const NODE_REGISTERED: u16 = 3;
const NODE_DESIRED: u16 = 4;
const ACCESS: u16 = 5;
const LINEAGE_BEGUN: u16 = 6;
const NODE_REPLACED: u16 = 7;
const DFS: u16 = 8;
const NODE_DUTY: u16 = 9;
const LOSS_SETTLED: u16 = 10;
const VOLUME_OWNED: u16 = 11;
const NODE_REMOVED: u16 = 12;
const VOLUME_DUTY: u16 = 13;
const AUDITED: u16 = 14;

impl Record {
    /// Its number in the log, and its bytes there.
    #[must_use]
    pub fn encode(&self) -> (u16, Vec<u8>) {
        match self {
            Self::ClusterCreated(record) => (CLUSTER_CREATED, codec::encode(record)),
            Self::ControllerStarted(record) => (CONTROLLER_STARTED, codec::encode(record)),
            Self::NodeRegistered(record) => (NODE_REGISTERED, codec::encode(record)),
            Self::NodeDesired(record) => (NODE_DESIRED, codec::encode(record)),
            Self::Access(record) => (ACCESS, codec::encode(record)),
            Self::LineageBegun(record) => (LINEAGE_BEGUN, codec::encode(record)),
            Self::NodeReplaced(record) => (NODE_REPLACED, codec::encode(record)),
            Self::Dfs(record) => (DFS, codec::encode(record)),
            Self::NodeDuty(record) => (NODE_DUTY, codec::encode(record)),
            Self::LossSettled(record) => (LOSS_SETTLED, codec::encode(record)),
            Self::VolumeOwned(record) => (VOLUME_OWNED, codec::encode(record)),
            Self::NodeRemoved(record) => (NODE_REMOVED, codec::encode(record)),
            Self::VolumeDuty(record) => (VOLUME_DUTY, codec::encode(record)),
            Self::Audited(record) => (AUDITED, record.encode()),
        }
    }

    /// Reads a record of the log.
    ///
    /// # Errors
    /// If the kind is unknown or the bytes are not what the kind says: the log was written by a
    /// newer version, and a record that is skipped would be a change that is lost.
    pub fn decode(kind: u16, bytes: &[u8]) -> Result<Self, Malformed> {
        Ok(match kind {
            CLUSTER_CREATED => Self::ClusterCreated(codec::decode("ClusterCreated", bytes)?),
            CONTROLLER_STARTED => {
                Self::ControllerStarted(codec::decode("ControllerStarted", bytes)?)
            }
            NODE_REGISTERED => Self::NodeRegistered(codec::decode("NodeRegistered", bytes)?),
            NODE_DESIRED => Self::NodeDesired(codec::decode("NodeDesired", bytes)?),
            ACCESS => Self::Access(codec::decode("AccessRecord", bytes)?),
            LINEAGE_BEGUN => Self::LineageBegun(codec::decode("LineageBegun", bytes)?),
            NODE_REPLACED => Self::NodeReplaced(codec::decode("NodeReplaced", bytes)?),
            DFS => Self::Dfs(codec::decode("DfsRecord", bytes)?),
            NODE_DUTY => Self::NodeDuty(codec::decode("NodeDuty", bytes)?),
            LOSS_SETTLED => Self::LossSettled(codec::decode("LossSettled", bytes)?),
            VOLUME_OWNED => Self::VolumeOwned(codec::decode("VolumeOwned", bytes)?),
            NODE_REMOVED => Self::NodeRemoved(codec::decode("NodeRemoved", bytes)?),
            VOLUME_DUTY => Self::VolumeDuty(codec::decode("VolumeDuty", bytes)?),
            AUDITED => Self::Audited(Box::new(Audited::decode(bytes)?)),
            _ => return Err(Malformed::unknown_kind("log record", kind)),
        })
    }
}

/// What an operator wants of a data node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Order {
    /// Log index of the order.
    #[n(0)]
    pub version: LogIndex,
    /// Whether the node should run.
    #[n(1)]
    pub run: bool,
}

/// Everything the log says.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct ClusterState {
    /// The cluster's identity; `None` only before the first record.
    #[n(0)]
    pub cluster: Option<ClusterId>,
    /// The identity of its present history.
    #[n(1)]
    pub lineage: Option<LineageId>,
    /// Where each controller epoch begins.
    #[n(2)]
    pub epoch_starts: BTreeMap<ControllerEpoch, LogIndex>,
    /// Who is registered.
    #[n(3)]
    pub registry: Registry,
    /// Which data nodes should run.
    #[n(4)]
    pub orders: BTreeMap<Alias, Order>,
    /// Users, rights and tokens.
    #[n(5)]
    pub access: AccessState,
    /// Where the present history left the one before; `None` if there is none before.
    #[n(6)]
    pub fork: Option<Fork>,
    /// Names and chunks of the file system.
    #[cbor(n(8), default)]
    pub namespace: Namespace,
    /// What data nodes are to be used for; those that are not named here serve.
    #[cbor(n(9), default)]
    pub duties: BTreeMap<Alias, Duty>,
    /// The forks before [`ClusterState::fork`], oldest first.
    #[cbor(n(10), default)]
    pub earlier_forks: Vec<Fork>,
    /// No controller epoch up to here is given out again.
    #[cbor(n(11), default)]
    pub epoch_floor: ControllerEpoch,
    /// Records may be lost that named chunks of controller epochs up to here: such a chunk is kept
    /// although no file has it, until an operator says otherwise.
    #[cbor(n(12), default)]
    pub unsettled: Option<ControllerEpoch>,
    /// Volumes that were given to nodes by order. Those that are not named here belong to whom their
    /// labels say.
    #[cbor(n(13), default)]
    pub owners: BTreeMap<VolumeId, VolumeOwner>,
    /// The process of each of the last controller epochs: two histories may have the same epoch, and never
    /// the same process.
    #[cbor(n(14), default)]
    pub instances: BTreeMap<ControllerEpoch, Incarnation>,
    /// Histories that an operator has left for this one, beside those that it forked from.
    #[cbor(n(15), default)]
    pub left_lineages: Vec<LineageId>,
    /// Volumes that are to be emptied, with the record that said so.
    #[cbor(n(16), default)]
    pub draining_volumes: BTreeMap<VolumeId, LogIndex>,
    /// Who did what.
    #[cbor(n(17), default)]
    pub audit: AuditTrail,
}

/// Retired incarnations kept a node. A constant and no limit of the configuration: two replays of
/// one log must agree.
const RETIRED_MAX: usize = 16;
/// Forks that are remembered. A constant for the same reason.
const FORKS_MAX: usize = 64;
/// Controllers that are remembered. A constant for the same reason.
const INSTANCES_MAX: usize = 64;

impl ClusterState {
    /// The newest controller epoch that was given out, or may have been; 0 before the first.
    #[must_use]
    pub fn controller_epoch(&self) -> ControllerEpoch {
        self.epoch_starts
            .last_key_value()
            .map_or(ControllerEpoch(0), |(epoch, _)| *epoch)
            .max(self.epoch_floor)
    }

    /// What a data node is to be used for.
    #[must_use]
    pub fn duty(&self, alias: &Alias) -> Duty {
        self.duties.get(alias).copied().unwrap_or_default()
    }

    /// Makes the change that the record at `index` stands for, and returns the chunks that no file
    /// has any more.
    pub fn apply(&mut self, index: LogIndex, record: &Record) -> Released {
        match record {
            Record::ClusterCreated(created) => {
                self.cluster = Some(created.cluster);
                self.lineage = Some(created.lineage);
            }
            Record::ControllerStarted(started) => {
                self.epoch_starts.insert(started.epoch, index);
                self.instances.insert(started.epoch, started.instance);
                while self.instances.len() > INSTANCES_MAX {
                    self.instances.pop_first();
                }
            }
            Record::NodeRegistered(registered) => {
                let alias = &registered.site.alias;
                let before = self.registry.get(alias).map(|it| it.node);
                if before.is_some_and(|before| before != registered.node) {
                    // What was to be done with the alias was meant for the node that had it.
                    self.duties.remove(alias);
                }
                self.registry.apply(index, registered, RETIRED_MAX);
            }
            Record::NodeDesired(desired) => {
                let order = Order {
                    version: index,
                    run: desired.run,
                };
                self.orders.insert(desired.alias.clone(), order);
            }
            Record::Access(record) => self.access.apply(record),
            Record::LineageBegun(begun) => {
                self.begin_lineage(index, begun);
            }
            Record::LossSettled(LossSettled { epochs }) => {
                self.unsettled = self.unsettled.filter(|unsettled| unsettled > epochs);
            }
            Record::NodeReplaced(replaced) => {
                self.registry.replace(index, replaced);
                // What was to be done with it was meant for the one that is gone.
                self.duties.remove(&replaced.alias);
            }
            Record::NodeRemoved(removed) => {
                let alias = &removed.alias;
                if self
                    .registry
                    .get(alias)
                    .is_some_and(|it| it.node == removed.node)
                {
                    self.duties.remove(alias);
                    // Its agent stops what may still run under the name.
                    let order = Order {
                        version: index,
                        run: false,
                    };
                    self.orders.insert(alias.clone(), order);
                }
                self.registry.remove(index, removed);
            }
            Record::NodeDuty(NodeDuty { alias, duty }) => {
                match duty {
                    Duty::Serve => drop(self.duties.remove(alias)),
                    Duty::Drain | Duty::Maintenance { .. } => {
                        self.duties.insert(alias.clone(), *duty);
                    }
                };
            }
            Record::VolumeOwned(owned) => {
                let owner = VolumeOwner {
                    volume: owned.volume,
                    node: owned.node,
                    epoch: index,
                    path: owned.path.clone(),
                    alias: owned.alias.clone(),
                };
                self.owners.insert(owned.volume, owner);
            }
            Record::VolumeDuty(VolumeDuty { volume, drain, .. }) => match drain {
                true => drop(self.draining_volumes.insert(*volume, index)),
                false => drop(self.draining_volumes.remove(volume)),
            },
            Record::Audited(audited) => {
                self.audit.apply(index, &audited.entry, audited.before);
                // At most one level deep: what is read from a log never has an entry in an entry.
                if let Some(change) = &audited.change {
                    return self.apply(index, change);
                }
            }
            Record::Dfs(record) => return self.namespace.apply(index, record).released,
        }
        Released::new()
    }
}

impl ClusterState {
    fn begin_lineage(&mut self, index: LogIndex, begun: &LineageBegun) {
        let fork = |from| Fork {
            from,
            at: LogIndex(index.0.saturating_sub(1)),
            accepted: begun.accepted.is_some(),
        };
        let fork = self.lineage.replace(begun.lineage).map(fork);
        self.earlier_forks
            .extend(core::mem::replace(&mut self.fork, fork));
        let too_many = self.earlier_forks.len().saturating_sub(FORKS_MAX);
        self.earlier_forks.drain(..too_many);
        if let Some(AcceptedLoss { epochs, left }) = &begun.accepted {
            self.epoch_floor = self.epoch_floor.max(*epochs);
            self.unsettled = self.unsettled.max(Some(*epochs));
            self.left_lineages.extend(left);
            let too_many = self.left_lineages.len().saturating_sub(FORKS_MAX);
            self.left_lineages.drain(..too_many);
        }
    }
}

/// The state that a checkpoint and the records behind it stand for.
///
/// # Errors
/// If something in them was written by a newer version.
pub fn replay(
    checkpoint: Option<(LogIndex, &[u8])>,
    records: &[metalog::Record<'_>],
) -> Result<ClusterState, Malformed> {
    let mut state = match checkpoint {
        Some((_, bytes)) => codec::decode("checkpoint", bytes)?,
        None => ClusterState::default(),
    };
    for record in records {
        state.apply(record.index, &Record::decode(record.kind, record.payload)?);
    }
    Ok(state)
}

/// Makes the file of a checkpoint: a second instance of the state reads what `plan` names, so that
/// the first one neither stops nor is copied.
///
/// # Errors
/// In words, if a file was damaged since or cannot be understood.
pub fn build_checkpoint<B: AsRef<[u8]>>(
    plan: &CheckpointPlan,
    files: &BTreeMap<FileName, B>,
) -> Result<Vec<u8>, String> {
    let replayed = metalog::replay(plan, files).map_err(|refusal| refusal.to_string())?;
    let state = replay(replayed.checkpoint, &replayed.records).map_err(|m| m.to_string())?;
    Ok(plan.encode(&codec::encode(&state)))
}
