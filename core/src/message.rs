//! What the processes of a cluster say to each other.
//!
//! Every message travels in an [`Envelope`] that says who speaks under which epochs. Fields are
//! numbered and a number is never used again: an older reader skips what it does not know, a newer
//! one fills in what is missing. Times on the wire are durations, never dates. Which role may send
//! which message is decided by the receiver, in one match.

#[doc(hidden)]
pub mod fuzzing;
mod volumes;

use minicbor::{Decode, Encode};

use crate::admin::{LogPiece, LogRange, Refusal};
use crate::dfs::ask::{Answer, Ask, Holder, ReplicaPlace};
use crate::dfs::digest::Digest;
use crate::dfs::ids::{ChunkVersion, CopyId, VolumeSlot};
use crate::dfs::token::WriteToken;
use crate::figures::Figures;
use crate::ids::{
    Alias, ClusterId, ControllerEpoch, Endpoint, HostId, Incarnation, LineageId, LogIndex,
    NodeEpoch, NodeId, RequestId, Role, Site,
};
use crate::later_version;
use crate::mirror::words::{
    MirrorBytes, MirrorHas, MirrorKept, MirrorOpen, MirrorPiece, MirrorRead, MirrorSettled,
    MirrorSurvey, MirrorSurveyed,
};
use crate::prng::mix;
use crate::process::{ProcessExit, ProcessIdentity};
use crate::wire::codec::{self, Malformed};

pub use volumes::{
    RescanVolumes, RescannedVolume, VolumeDrain, VolumeFacts, VolumeOrders, VolumeOwner,
    VolumesNow, VolumesRescanned,
};

/// Who speaks, and under which epochs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Envelope {
    /// The cluster the sender belongs to; absent until a node has joined one.
    #[n(0)]
    pub cluster: Option<ClusterId>,
    /// The controller's epoch as the sender knows it; 0 until it has met one.
    #[n(1)]
    pub controller_epoch: ControllerEpoch,
    /// The node that the message is from, or for. Absent in what concerns no node.
    #[n(2)]
    pub node: Option<NodeId>,
    /// That node's registration; 0 before it has one.
    #[n(3)]
    pub node_epoch: NodeEpoch,
}

/// A message with its envelope, as it lies in a frame's body.
#[derive(Encode, Decode)]
struct Letter<M> {
    #[n(0)]
    envelope: Envelope,
    #[n(1)]
    message: M,
}

/// Declares the messages, their numbers on the wire, and the way there and back.
macro_rules! messages {
    ($($kind:literal $name:ident $(#[$doc:meta])*;)+) => {
        /// One message of the node protocol.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Message {
            $($(#[$doc])* $name($name),)+
        }

        impl Message {
            /// Its number on the wire.
            #[must_use]
            pub const fn kind(&self) -> u16 {
                match self { $(Self::$name(_) => $kind,)+ }
            }

            /// Its name, for traces and counters.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => stringify!($name),)+ }
            }

            /// The body of a frame that carries it.
            #[must_use]
            pub fn encode(self, envelope: Envelope) -> Vec<u8> {
                match self {
                    $(Self::$name(message) => codec::encode(&Letter { envelope, message }),)+
                }
            }

            /// The same, or what a version to come would write.
            pub(crate) fn encode_for(self, envelope: Envelope, later_version: bool) -> Vec<u8> {
                if later_version {
                    later_version::encode(self, envelope)
                } else {
                    self.encode(envelope)
                }
            }

            /// Reads the body of a frame.
            ///
            /// Returns `None` for a kind this version does not know: a newer peer may send it, and
            /// skipping it is right.
            ///
            /// # Errors
            /// If the body is not what the kind says.
            pub fn decode(kind: u16, body: &[u8]) -> Result<Option<(Envelope, Self)>, Malformed> {
                Ok(Some(match kind {
                    $($kind => {
                        let letter: Letter<$name> = codec::decode(stringify!($name), body)?;
                        (letter.envelope, Self::$name(letter.message))
                    })+
                    _ => return Ok(None),
                }))
            }

            /// Every kind and its name, for counters and for the golden files.
            pub const KINDS: &'static [(u16, &'static str)] = &[$(($kind, stringify!($name)),)+];
        }
    };
}

messages! {
    0x0010 Register /** A node asks to be let in. */;
    0x0011 Registered /** The controller lets it in. */;
    0x0012 RegistrationRefused /** The controller does not let it in. */;
    0x0013 Report /** A node tells what it holds. */;
    0x0014 ReportApplied /** The controller knows now what the node holds. */;
    0x0015 Beat /** A node is alive. */;
    0x0016 BeatAck /** The controller has heard a beat. */;
    0x0017 Ping /** Are you there? */;
    0x0018 Pong /** Yes. */;
    0x0019 Fenced /** The registration you speak under is void. */;
    0x001a Leaving /** A node ends in good order. */;
    0x001b RollbackSeen /** A node has seen more of the history than this controller knows. */;
    0x001c Probe /** A controller asks a process whose it is. */;
    0x001d ProbeReply /** The process says whose it is. */;
    0x0020 Desired /** What the controller wants of an agent. */;
    0x0021 Children /** What an agent knows of the processes of its host. */;
    0x0022 AskChild /** The controller asks an agent to ask a node. */;
    0x0023 ChildAnswered /** The node itself answered its agent. */;
    0x0024 ReadLog /** The controller wants a piece of a node's log. */;
    0x0025 LogRead /** The piece. */;
    0x0030 Attach /** A data node tells its agent that it is there. */;
    0x0031 Attached /** The agent has taken note. */;
    0x0040 DfsAsk /** A data node asks on behalf of a client. */;
    0x0041 DfsAnswer /** The controller answers. */;
    0x0042 ReplicaNews /** What has changed since a node's report. */;
    0x0043 NewsApplied /** The controller knows the changes. */;
    0x0044 Release /** The controller has no use for these contents any more. */;
    0x0045 WantReport /** The controller wants a full report. */;
    0x0046 VolumesNow /** How a node's volumes are. */;
    0x0047 CopyReplica /** The controller wants a node to fetch a chunk from another one. */;
    0x0048 CopyEnded /** The node has it, or has not. */;
    0x0050 RescanVolumes /** The controller wants a node to open again what is not open. */;
    0x0051 VolumesRescanned /** The node has, and tells what came of it. */;
    0x0052 VolumeOrders /** Which volumes were given to nodes, and which are drained, by order. */;
    0x0060 MirrorOpen /** The controller wants a node to keep a copy of its log, or none. */;
    0x0061 MirrorHas /** What the node has of it. */;
    0x0062 MirrorPiece /** More of it. */;
    0x0063 MirrorKept /** It is on the node's disk, or is not. */;
    0x0064 MirrorSettled /** The copy is complete. */;
    0x0065 MirrorSurvey /** Whoever rebuilds a controller's home asks what a node has of copies. */;
    0x0066 MirrorSurveyed /** What the node has, and has seen. */;
    0x0067 MirrorRead /** Whoever rebuilds a controller's home wants a part of a copy. */;
    0x0068 MirrorBytes /** The part. */;
    0x0070 Figures /** What a node has measured of itself. */;
}

/// A node's request to be let in. Answered by [`Registered`], [`RegistrationRefused`] or
/// [`Fenced`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Register {
    /// What the node is for.
    #[n(0)]
    pub role: Role,
    /// Its site, as it was configured.
    #[n(1)]
    pub site: Site,
    /// This start of its process.
    #[n(2)]
    pub incarnation: Incarnation,
    /// Counts the registrations that this incarnation has asked for. The same pair of incarnation
    /// and attempt gets the same epoch, however often it asks; a higher attempt gets a new one.
    #[n(3)]
    pub attempt: u64,
    /// The physical host.
    #[n(4)]
    pub host: HostId,
    /// `controllerSite` as the node was configured with it.
    #[n(5)]
    pub controller_site: Site,
    /// `lanCluster` as the node was configured with it.
    #[n(6)]
    pub lan_cluster: bool,
    /// Program version.
    #[n(7)]
    pub build: String,
    /// Its process.
    #[n(8)]
    pub process: ProcessIdentity,
    /// The newest history of the controller that the node has on disk.
    #[n(9)]
    pub witness: Witness,
}

/// The newest state of the controller that a node has seen, kept on the node's disk.
///
/// It lets the nodes notice a controller that was restored from an old copy, or whose disk lost
/// records that it had promised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Witness {
    /// The history it belongs to.
    #[n(0)]
    pub lineage: Option<LineageId>,
    /// The controller's epoch.
    #[n(1)]
    pub epoch: ControllerEpoch,
    /// The process that had that epoch.
    #[n(2)]
    pub instance: Option<Incarnation>,
    /// Its newest synced log index.
    #[n(3)]
    pub index: LogIndex,
}

/// A granted registration.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Registered {
    /// The incarnation and attempt that asked.
    #[n(0)]
    pub incarnation: Incarnation,
    /// See [`Registered::incarnation`].
    #[n(1)]
    pub attempt: u64,
    /// The granted epoch.
    #[n(2)]
    pub node_epoch: NodeEpoch,
    /// The cluster, for a node that did not know it yet.
    #[n(3)]
    pub cluster: ClusterId,
    /// The history this controller continues.
    #[n(4)]
    pub lineage: LineageId,
    /// The controller's process.
    #[n(5)]
    pub instance: Incarnation,
    /// The controller's own name.
    #[n(6)]
    pub controller: Alias,
    /// T: silence after which a node counts as offline, in milliseconds.
    #[n(7)]
    pub timeout_ms: u64,
    /// Whether heartbeats go over UDP. The controller's word rules.
    #[n(8)]
    pub lan_cluster: bool,
    /// Newest synced log index.
    #[n(9)]
    pub commit_index: LogIndex,
    /// The log index at which each controller epoch began, oldest first, at most the last 64.
    #[n(10)]
    pub epoch_starts: Vec<(ControllerEpoch, LogIndex)>,
    /// Members of the cluster: above some number a lost session is dialled again with a spread.
    #[n(11)]
    pub members: u64,
    /// What the node's operator should know, such as a configuration that differs.
    #[n(12)]
    pub remarks: Vec<String>,
    /// Where that history left another one, if it did.
    #[n(13)]
    pub fork: Option<Fork>,
    /// Where that other one left one before it, and so on back, oldest first.
    #[cbor(n(14), default)]
    pub earlier_forks: Vec<Fork>,
    /// Volumes that were given to nodes by order, all of them.
    #[cbor(n(15), default)]
    pub owners: Vec<VolumeOwner>,
    /// The process that had each of the last controller epochs in this history, oldest first.
    #[cbor(n(16), default)]
    pub instances: Vec<(ControllerEpoch, Incarnation)>,
    /// Histories that an operator has left for this one, beside those that it forked from.
    #[cbor(n(17), default)]
    pub left_lineages: Vec<LineageId>,
    /// Volumes that are drained by order, all of them.
    #[cbor(n(18), default)]
    pub draining: Vec<VolumeDrain>,
}

/// Where a history of a cluster left the one before: a repair that gave records up, or a restored
/// backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Fork {
    /// The history before.
    #[n(0)]
    pub from: LineageId,
    /// The last record that both have.
    #[n(1)]
    pub at: LogIndex,
    /// Whether an operator said that it may be gone on with although records behind that one are lost.
    #[cbor(n(2), default)]
    pub accepted: bool,
}

/// Why a registration was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum RegistrationRefusal {
    /// The node belongs to another cluster.
    #[n(0)]
    WrongCluster,
    /// The alias is not in the nodes file.
    #[n(1)]
    UnknownAlias,
    /// The alias stands in the nodes file with another mode or another address.
    #[n(2)]
    WrongSite,
    /// A newer start of this node has registered since: this process is a left-over.
    #[n(3)]
    StaleIncarnation,
    /// The attempt is lower than one that was already granted.
    #[n(4)]
    StaleAttempt,
    /// Another process has the alias, and lives. Worth asking again.
    #[n(5)]
    DuplicateAlias,
    /// The alias belongs to a node with another identity on disk.
    #[n(6)]
    IdentityMismatch,
    /// The controller cannot grant anything at present. Worth asking again.
    #[n(7)]
    NotNow,
}

impl RegistrationRefusal {
    /// Whether asking again can help without a person's doing.
    #[must_use]
    pub const fn is_temporary(self) -> bool {
        matches!(self, Self::DuplicateAlias | Self::NotNow)
    }
}

/// A refused registration.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RegistrationRefused {
    /// The incarnation and attempt that asked.
    #[n(0)]
    pub incarnation: Incarnation,
    /// See [`RegistrationRefused::incarnation`].
    #[n(1)]
    pub attempt: u64,
    /// Why.
    #[n(2)]
    pub refusal: RegistrationRefusal,
    /// The reason as a sentence, with what to do.
    #[n(3)]
    pub text: String,
    /// When to ask again, in milliseconds, if that is worth it.
    #[n(4)]
    pub retry_after_ms: u64,
}

/// A page of a full report. All pages of a report are applied together or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Report {
    /// Counts the reports of an incarnation.
    #[n(0)]
    pub report: u64,
    /// This page, from 0.
    #[n(1)]
    pub page: u32,
    /// How many pages there are.
    #[n(2)]
    pub pages: u32,
    /// Chunks held by the node.
    #[n(3)]
    pub chunks: u64,
    /// The newest change that the report takes in: changes up to it are old news.
    #[cbor(n(4), default)]
    pub as_of: u64,
    /// Contents that the node has on disk, prepared ones too.
    #[cbor(n(5), default)]
    pub entries: Vec<ReplicaEntry>,
    /// The node's volumes; in the first page.
    #[cbor(n(6), default)]
    pub volumes: Vec<VolumeFacts>,
    /// Contents that the node has in damaged form only.
    #[cbor(n(7), default)]
    pub damaged: Vec<ChunkVersion>,
}

impl Report {
    /// An empty page.
    #[must_use]
    pub const fn page_of(report: u64, page: u32, pages: u32) -> Self {
        Self {
            report,
            page,
            pages,
            chunks: 0,
            as_of: 0,
            entries: Vec::new(),
            volumes: Vec::new(),
            damaged: Vec::new(),
        }
    }
}

/// A content that a node has on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReplicaEntry {
    /// Which.
    #[n(0)]
    pub version: ChunkVersion,
    /// How many bytes.
    #[n(1)]
    pub len: u64,
    /// Digest of the bytes.
    #[n(2)]
    pub digest: Digest,
    /// The volume it lies on.
    #[n(3)]
    pub volume: VolumeSlot,
}

impl ReplicaEntry {
    /// What the entry adds to the sum by which node and controller compare what the node has.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let (first, second) = self.digest.0.split_at(8);
        let half = |bytes: &[u8]| {
            u64::from_le_bytes(bytes.try_into().expect("a digest is two words of 8 bytes"))
        };
        let ChunkVersion { chunk, generation } = self.version;
        [u64::from(generation.0), half(first), half(second)]
            .into_iter()
            .fold(mix(chunk.0), |sum, word| mix(sum ^ word))
    }
}

/// A data node asks on behalf of a client. Answered by a [`DfsAnswer`] with the same id.
#[derive(Clone, PartialEq, Encode, Decode)]
pub struct DfsAsk {
    /// Comes back in the answer.
    #[n(0)]
    pub id: RequestId,
    /// The client's token, unchecked. `None` for what the node asks on its own behalf.
    #[n(1)]
    pub token: Option<String>,
    /// The client's address, as text: logins are throttled by it.
    #[n(2)]
    pub address: String,
    /// The date at the node, in milliseconds since 1970: the token expires by it.
    #[n(3)]
    pub unix_ms: u64,
    /// What is asked.
    #[n(4)]
    pub ask: Ask,
}

/// Leaves the token out.
impl core::fmt::Debug for DfsAsk {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("DfsAsk")
            .field("id", &self.id)
            .field("ask", &self.ask)
            .finish_non_exhaustive()
    }
}

/// The answer to a [`DfsAsk`].
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct DfsAnswer {
    /// The question's id.
    #[n(0)]
    pub id: RequestId,
    /// The answer, if it is no refusal.
    #[n(1)]
    pub answer: Option<Answer>,
    /// The refusal.
    #[n(2)]
    pub refusal: Option<Refusal>,
}

/// What has changed on a node since its report. Sent again until it is acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReplicaNews {
    /// Number of the first of `changes`; they count from 1 in each registration.
    #[n(0)]
    pub first: u64,
    /// The changes in order.
    #[n(1)]
    pub changes: Vec<ReplicaChange>,
}

/// One change of what a node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ReplicaChange {
    /// The content is on disk now.
    #[n(0)]
    Added(#[n(0)] ReplicaEntry),
    /// The content is gone, or can no longer be read.
    #[n(1)]
    Removed(#[n(0)] ReplicaEntry),
    /// The content is there and damaged. It counts as gone.
    #[n(2)]
    Corrupt(#[n(0)] ReplicaEntry),
    /// The content, which was told of before, lies on another volume of the node now.
    #[n(3)]
    Moved(#[n(0)] ReplicaEntry),
    /// The content, which was told to be damaged, is gone.
    #[n(4)]
    Cleared(#[n(0)] ReplicaEntry),
}

impl ReplicaChange {
    /// What it is about.
    #[must_use]
    pub const fn entry(&self) -> &ReplicaEntry {
        match self {
            Self::Added(entry)
            | Self::Removed(entry)
            | Self::Corrupt(entry)
            | Self::Moved(entry)
            | Self::Cleared(entry) => entry,
        }
    }
}

/// The controller has applied a node's changes up to this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NewsApplied {
    /// The last of them.
    #[n(0)]
    pub upto: u64,
}

/// Contents that no file has any more, or that were never committed. The node keeps them readable
/// for a while, then removes them.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Release {
    /// Newest synced log index when this was decided. A node that has seen a higher one refuses: the
    /// controller is behind, and does not know what it gives up.
    #[n(0)]
    pub as_of: LogIndex,
    /// The contents.
    #[n(1)]
    pub versions: Vec<ChunkVersion>,
}

/// The controller wants a node to fetch a chunk from another one and to keep it. Answered by
/// [`CopyEnded`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CopyReplica {
    /// Under which the answer is expected.
    #[n(0)]
    pub copy: CopyId,
    /// The controller's word that the bytes may be kept, as for a write.
    #[n(1)]
    pub token: WriteToken,
    /// How many bytes the chunk has.
    #[n(2)]
    pub len: u64,
    /// Their digest: what does not fit it is not kept.
    #[n(3)]
    pub digest: Digest,
    /// Who has it, in the order in which they are to be asked.
    #[n(4)]
    pub sources: Vec<ReplicaPlace>,
    /// Whether all of them have it in damaged form only, so that it is to be put together block by block
    /// from what each still has.
    #[cbor(n(5), default)]
    pub salvage: bool,
}

/// What became of a [`CopyReplica`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CopyEnded {
    /// The copy.
    #[n(0)]
    pub copy: CopyId,
    /// Which controller wanted it: a later one counts its copies anew.
    #[n(1)]
    pub epoch: ControllerEpoch,
    /// What was to be copied.
    #[n(2)]
    pub version: ChunkVersion,
    /// Where it is, durable; `None` if it is not.
    #[n(3)]
    pub holder: Option<Holder>,
    /// Why it is not, in words; empty if it is.
    #[n(4)]
    pub reason: String,
}

/// The controller wants to know all that a node has.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct WantReport {
    /// Why, for the node's log.
    #[n(0)]
    pub reason: String,
}

/// The controller has applied a whole report: the node is online from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReportApplied {
    /// The report.
    #[n(0)]
    pub report: u64,
}

/// A heartbeat. Over UDP, or over a connection of its own where UDP is not to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Beat {
    /// Counts the beats of an epoch.
    #[n(0)]
    pub seq: u64,
    /// The newest acknowledged beat.
    #[n(1)]
    pub acked: u64,
    /// Whether the node has gone over to TCP because nothing comes back over UDP.
    #[n(2)]
    pub udp_blocked: bool,
    /// Whether the node has fenced itself and takes no writes.
    #[n(3)]
    pub self_fenced: bool,
    /// How late the node's last timer was, in milliseconds.
    #[n(4)]
    pub lag_ms: u32,
    /// The newest log index of the controller that the node knows.
    #[n(5)]
    pub seen_index: LogIndex,
    /// Sum of the [fingerprints](ReplicaEntry::fingerprint) of what the node has; wraps.
    #[cbor(n(6), default)]
    pub inventory: u64,
    /// The newest change that is in the sum.
    #[cbor(n(7), default)]
    pub news: u64,
}

/// The answer to a [`Beat`], never longer than it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct BeatAck {
    /// The beat.
    #[n(0)]
    pub seq: u64,
    /// Newest synced log index.
    #[n(1)]
    pub commit_index: LogIndex,
}

/// A question that only the receiver itself can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Ping {
    /// Comes back in the answer.
    #[n(0)]
    pub nonce: u64,
}

/// The answer to a [`Ping`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Pong {
    /// The question's nonce.
    #[n(0)]
    pub nonce: u64,
}

/// The epoch in the envelope is void; the node has to register anew.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Fenced {
    /// Why, for the node's log.
    #[n(0)]
    pub reason: String,
}

/// The node ends in good order: nobody needs to wait for its silence.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Leaving {
    /// Why, for the controller's log.
    #[n(0)]
    pub reason: String,
}

/// The node refuses a controller that is behind what the node has seen.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RollbackSeen {
    /// What the node has on disk.
    #[n(0)]
    pub witness: Witness,
    /// The contradiction as a sentence.
    #[n(1)]
    pub text: String,
}

/// A controller asks a process that the nodes file names and that has not registered, whose it is:
/// a configuration that differs on both sides can then be named on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Probe {
    /// The controller's own site.
    #[n(0)]
    pub controller: Site,
    /// The site under which the nodes file names the process.
    #[n(1)]
    pub expected: Site,
}

/// The answer to a [`Probe`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ProbeReply {
    /// The process's own site.
    #[n(0)]
    pub site: Site,
    /// `controllerSite` as the process was configured with it.
    #[n(1)]
    pub controller_site: Site,
    /// `lanCluster` as the process was configured with it.
    #[n(2)]
    pub lan_cluster: bool,
    /// What it is doing about its controller, in words.
    #[n(3)]
    pub state: String,
}

/// What the controller wants of an agent: the whole set each time, so that a lost, repeated or late
/// copy does no harm.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Desired {
    /// Newest synced log index when this was written: an agent ignores a lower one than it has seen
    /// from the same controller epoch.
    #[n(0)]
    pub as_of: LogIndex,
    /// What happens to a node that crashed.
    #[n(1)]
    pub restart: RestartPolicy,
    /// Every data node of the agent's host.
    #[n(2)]
    pub nodes: Vec<DesiredNode>,
}

/// What a controller does about data nodes that ended without being told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum RestartPolicy {
    /// At once, then after 1, 2, 4 … 60 s.
    #[n(0)]
    Backoff,
    /// Never (`datanodeRestartInterval=0`, given).
    #[n(1)]
    Never,
    /// After so many milliseconds (`datanodeRestartInterval`, given).
    #[n(2)]
    After(#[n(0)] u64),
}

/// What the controller wants of one data node.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DesiredNode {
    /// The node.
    #[n(0)]
    pub alias: Alias,
    /// Log index of the order; 0 if there never was one, and then the agent leaves the node alone.
    #[n(1)]
    pub version: LogIndex,
    /// Whether it should run.
    #[n(2)]
    pub run: bool,
    /// Where it listens.
    #[n(3)]
    pub endpoint: Endpoint,
    /// Whole text of its configuration file.
    #[n(4)]
    pub node_cfg: String,
}

/// What an agent knows of the processes of its host: the whole table each time.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Children {
    /// Counts the tables of an agent's incarnation; a lower one is old news.
    #[n(0)]
    pub seq: u64,
    /// One entry a data node.
    #[n(1)]
    pub table: Vec<ChildStatus>,
}

/// Where a child process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum ChildPhase {
    /// Does not run.
    #[n(0)]
    Down,
    /// Is being started.
    #[n(1)]
    Starting,
    /// Runs.
    #[n(2)]
    Running,
    /// Has been told to end.
    #[n(3)]
    Stopping,
    /// Crashed, and will be started again.
    #[n(4)]
    Waiting,
    /// Cannot be started without a person's help.
    #[n(5)]
    Failed,
    /// Something has its pid, and it is not certain what. Nobody signals it.
    #[n(6)]
    Unproven,
}

/// One data node as its agent sees it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ChildStatus {
    /// The node.
    #[n(0)]
    pub alias: Alias,
    /// Where it is in its life.
    #[n(1)]
    pub phase: ChildPhase,
    /// The newest order the agent knows for it.
    #[n(2)]
    pub version: LogIndex,
    /// The running process.
    #[n(3)]
    pub process: Option<ProcessIdentity>,
    /// The end of the process before, if the agent saw it.
    #[n(4)]
    pub last_exit: Option<ExitNotice>,
    /// Crashes in a row.
    #[n(5)]
    pub crashes: u32,
    /// Whether it crashes again and again.
    #[n(6)]
    pub crash_loop: bool,
    /// Why it is in that phase and what to do; empty when all is well.
    #[n(7)]
    pub reason: String,
    /// The end of the node's log, if it went down without an order.
    #[n(8)]
    pub log_tail: Vec<String>,
    /// What the running process was started with: the digest of [`DesiredNode::node_cfg`] as it was then.
    /// `None` if nothing runs, or the agent did not start it.
    #[cbor(n(9), default)]
    pub config: Option<Digest>,
}

/// An attested end of a process.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ExitNotice {
    /// The process.
    #[n(0)]
    pub process: ProcessIdentity,
    /// How it ended.
    #[n(1)]
    pub exit: ProcessExit,
}

/// Asks an agent to ask a data node of its host.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AskChild {
    /// The node.
    #[n(0)]
    pub alias: Alias,
}

/// The data node answered its agent: not the kernel, not the pid, but the node.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ChildAnswered {
    /// The node.
    #[n(0)]
    pub alias: Alias,
    /// The identity the node answered with.
    #[n(1)]
    pub node: NodeId,
    /// The registration the node answered with.
    #[n(2)]
    pub node_epoch: NodeEpoch,
}

/// Asks for a piece of a log file.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReadLog {
    /// Comes back in the answer.
    #[n(0)]
    pub id: RequestId,
    /// The node.
    #[n(1)]
    pub alias: Alias,
    /// 0 for the present file.
    #[n(2)]
    pub generation: u32,
    /// Which piece.
    #[n(3)]
    pub range: LogRange,
}

/// A piece of a log file.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LogRead {
    /// The question's id.
    #[n(0)]
    pub id: RequestId,
    /// The piece, where there is one.
    #[n(1)]
    pub piece: Option<LogPiece>,
    /// Why there is none.
    #[n(2)]
    pub error: String,
}

/// A data node tells the agent of its host that it runs.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Attach {
    /// The node.
    #[n(0)]
    pub alias: Alias,
    /// This start of its process.
    #[n(1)]
    pub incarnation: Incarnation,
    /// Its process.
    #[n(2)]
    pub process: ProcessIdentity,
}

/// The agent has taken note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Attached {
    /// The incarnation that attached.
    #[n(0)]
    pub incarnation: Incarnation,
}
