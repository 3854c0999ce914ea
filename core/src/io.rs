//! What a machine is told and what it asks for: the whole surface between the core and a driver.
//!
//! The calling contract stands in the [crate documentation](crate).

use core::fmt;
use core::net::SocketAddr;

use crate::admin::{Reply, Request};
use crate::dfs::ask::Holder;
use crate::dfs::ids::{ChunkVersion, CopyId, StageId, VolumeSlot};
use crate::disk::{DiskBatch, DiskFault, FileName};
use crate::event::Event;
use crate::figures::Figures;
use crate::ids::{ClusterId, ConnId, ControllerEpoch, DiskTicket, Endpoint, JobId, RequestId};
use crate::message::CopyReplica;
use crate::mirror::words::MirrorCopy;
use crate::process::{ProcessEvent, ProcessOrder};
use crate::secret::Password;
use crate::store::label::LabelCopy;
use crate::store::{Fill, Opened, StoreAsk, StoreReply, VolumeTrouble};
use crate::time::Timestamp;

/// A role that a driver, or a simulator, can run.
pub trait Machine {
    /// Tells the machine something. Never fails: what is wrong with the input becomes an event, a
    /// refusal or a counter.
    fn handle(&mut self, now: Timestamp, input: Input);

    /// The next thing to do. Call until it returns `None` after each [`Machine::handle`].
    fn poll_effect(&mut self) -> Option<Effect>;

    /// When to call [`Machine::handle`] with [`Input::Deadline`], if nothing else happens before.
    ///
    /// Level-triggered: ask again after each drain of [`Machine::poll_effect`]; an earlier answer
    /// is void.
    fn poll_timeout(&self) -> Option<Timestamp>;

    /// Panics with a sentence if the machine's own state contradicts itself.
    ///
    /// Costs time proportional to the state; the simulators call it after every event.
    #[doc(hidden)]
    fn check_invariants(&self);
}

/// Everything a machine may be told.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The moment named by [`Machine::poll_timeout`] has come.
    Deadline,
    /// A datagram arrived on the machine's port. Anybody may have sent it.
    Datagram {
        /// The sender's address, as the network tells it.
        from: SocketAddr,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// The operating system dropped datagrams because they arrived faster than they were read.
    DatagramsDropped {
        /// How many since the last report.
        count: u64,
    },
    /// Somebody connected and speaks the node protocol.
    Accepted {
        /// The connection, named by the driver with an odd number.
        conn: ConnId,
        /// The other side's address.
        from: SocketAddr,
    },
    /// An [`Effect::Connect`] succeeded.
    Connected {
        /// The connection.
        conn: ConnId,
        /// The other side's address.
        peer: SocketAddr,
    },
    /// Bytes arrived on a connection.
    Received {
        /// The connection.
        conn: ConnId,
        /// The bytes, cut anywhere.
        bytes: Vec<u8>,
    },
    /// A connection ended, or an [`Effect::Connect`] failed. Nothing more comes from it.
    Closed {
        /// The connection.
        conn: ConnId,
        /// Why.
        reason: CloseReason,
    },
    /// A [`DiskBatch`] was carried out, or met a fault.
    DiskDone {
        /// The batch.
        ticket: DiskTicket,
        /// Its outcome.
        result: Result<(), DiskFault>,
    },
    /// Something about a process of this host.
    Process(ProcessEvent),
    /// Somebody asks something: the HTTP interface, the console, a test.
    Request {
        /// Under which the [`Effect::Reply`] is expected.
        id: RequestId,
        /// The request.
        request: Request,
    },
    /// A [`Job`] was done.
    JobDone {
        /// The job.
        job: JobId,
        /// Its outcome.
        outcome: JobOutcome,
    },
    /// The driver asks on the way of a chunk.
    Store {
        /// Under which the [`Effect::StoreReply`] is expected.
        id: RequestId,
        /// What it asks.
        ask: StoreAsk,
    },
    /// An [`Effect::OpenVolume`] came to an end; or, always with a trouble, the disk of an open
    /// volume has failed or hangs.
    VolumeOpened {
        /// The volume.
        slot: VolumeSlot,
        /// What is on it, or why it cannot be had.
        result: Result<Opened, VolumeTrouble>,
    },
    /// A batch of an [`Effect::Volume`] was carried out, or met a fault.
    VolumeDone {
        /// The volume.
        slot: VolumeSlot,
        /// The batch.
        ticket: DiskTicket,
        /// Its outcome.
        result: Result<(), DiskFault>,
    },
    /// How much room there is on the file system of a volume; told every few seconds.
    VolumeSpace {
        /// The volume.
        slot: VolumeSlot,
        /// Bytes in all.
        capacity: u64,
        /// Bytes free for this user.
        free: u64,
    },
    /// An [`Effect::Copy`] came to an end.
    CopyEnded {
        /// The copy.
        copy: CopyId,
        /// Which controller wanted it.
        epoch: ControllerEpoch,
        /// What was to be copied.
        version: ChunkVersion,
        /// Where the chunk is, durable; or why it is not here, in words.
        result: Result<Holder, String>,
    },
    /// An [`Effect::Scrub`] came to an end. What was found damaged was told before.
    Scrubbed {
        /// The content.
        version: ChunkVersion,
        /// That it is whole; or why that is not known or not so, in words.
        result: Result<(), String>,
    },
    /// An [`Effect::ReadLabel`] came to an end.
    LabelRead {
        /// The volume.
        slot: VolumeSlot,
        /// As it was asked for.
        ticket: DiskTicket,
        /// Both copies; or why they could not be looked at, in words.
        result: Result<[LabelCopy; 2], String>,
    },
    /// The driver has measured the process, which it does every
    /// [`figures_period`](crate::limits::Limits::figures_period). It need not.
    Measured(Box<Figures>),
    /// The operator, or the operating system, wants the process to end.
    Terminate,
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The other side refused the connection: nothing listens there.
    Refused,
    /// No answer: a firewall, a wrong address, a host that is down.
    TimedOut,
    /// The host name has no address.
    UnknownHost,
    /// The other side ended it in good order.
    Ended,
    /// The network or the other side broke it, in the operating system's words.
    Broken(String),
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("connection refused"),
            Self::TimedOut => f.write_str("no answer"),
            Self::UnknownHost => f.write_str("unknown host name"),
            Self::Ended => f.write_str("connection closed by the other side"),
            Self::Broken(words) => f.write_str(words),
        }
    }
}

/// What the driver must do, in the order given.
///
/// A later effect may rely on an earlier one having been *started*. What has to wait until
/// something is durable is emitted only after the [`Input::DiskDone`] that says so.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send a datagram from the machine's port. May be lost.
    SendDatagram {
        /// To whom.
        to: Destination,
        /// The bytes, at most [`Limits::datagram_max`](crate::limits::Limits::datagram_max).
        bytes: Vec<u8>,
    },
    /// Open a connection; answered by [`Input::Connected`] or [`Input::Closed`].
    Connect {
        /// The connection, named by the machine with an even number.
        conn: ConnId,
        /// Where to.
        to: Endpoint,
    },
    /// Send bytes on a connection, behind all that were sent before.
    Send {
        /// The connection.
        conn: ConnId,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// End a connection once all that was sent has been handed to the network. No
    /// [`Input::Closed`] follows.
    Close {
        /// The connection.
        conn: ConnId,
    },
    /// Do something on the machine's directory.
    Disk(DiskBatch),
    /// Do something about a process of this host.
    Process(ProcessOrder),
    /// Answer a request.
    Reply {
        /// The request.
        id: RequestId,
        /// The answer.
        reply: Reply,
    },
    /// Compute something that would hold up the machine.
    Job {
        /// Under which the outcome is expected.
        job: JobId,
        /// What to compute.
        work: Job,
    },
    /// Answer an [`Input::Store`].
    StoreReply {
        /// The question.
        id: RequestId,
        /// The answer.
        reply: StoreReply,
    },
    /// Lock a volume's directory, read its label and scan its files
    /// ([`store::scan`](crate::store::scan)). Answered by [`Input::VolumeOpened`]. One that was opened
    /// before is let go of first, and locked and read as if it never was.
    OpenVolume {
        /// Its position in the node's configuration.
        slot: VolumeSlot,
    },
    /// Let go of a volume's directory: it is not in use, and may be unmounted or taken by another process.
    CloseVolume {
        /// Its position in the node's configuration.
        slot: VolumeSlot,
    },
    /// Do something on a volume. Each volume has lanes of its own.
    Volume {
        /// The volume.
        slot: VolumeSlot,
        /// What to do.
        batch: DiskBatch,
        /// Which operations, all of them [`Append`](crate::disk::DiskOp::Append)s, get more bytes
        /// behind their own, and from where: position in the batch, in rising order.
        fills: Vec<(usize, Fill)>,
    },
    /// Forget the bytes of a stage: nobody will write them.
    DropStage {
        /// The stage.
        stage: StageId,
    },
    /// Fetch a chunk from one of the nodes that have it, verify it against its digest, and keep it as
    /// if it were written here. Answered by [`Input::CopyEnded`].
    Copy(CopyReplica),
    /// Read a content of this node whole, from the disk and not from a cache, and verify it; tell what
    /// is found damaged as if a reader had met it
    /// ([`StoreAsk::Damaged`]). Answered by [`Input::Scrubbed`].
    Scrub {
        /// The content.
        version: ChunkVersion,
    },
    /// Read both copies of the label of an open volume ([`label_files`](crate::store::label::label_files)),
    /// from the disk and not from a cache. Answered by [`Input::LabelRead`].
    ReadLabel {
        /// The volume.
        slot: VolumeSlot,
        /// Names the answer.
        ticket: DiskTicket,
    },
    /// Tell the operator.
    Notify(Event),
    /// End the process.
    Exit(ExitReason),
}

/// Says how many bytes there are, and not which.
impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Piece")
            .field("bytes", &self.bytes.len())
            .field("file_len", &self.file_len)
            .finish_non_exhaustive()
    }
}

impl Piece {
    /// Cuts the piece that is asked for out of all bytes of the file.
    #[must_use]
    pub fn cut(file: &[u8], ask: &PieceAsk) -> Self {
        let at = usize::try_from(ask.offset).unwrap_or(usize::MAX);
        let rest = file.get(at..).unwrap_or_default();
        Self {
            bytes: rest[..rest.len().min(ask.len)].to_vec(),
            file_len: file.len() as u64,
            sum_before: (file.get(..at))
                .filter(|_| ask.sum_before)
                .map(crc32fast::hash),
        }
    }
}

/// Where a datagram goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Back to an address that a datagram came from.
    Address(SocketAddr),
    /// To a place named in the configuration; the driver looks the host up.
    Endpoint(Endpoint),
}

/// A computation that takes milliseconds or more.
#[derive(Clone, PartialEq)]
pub enum Job {
    /// Hash a password with a fresh salt, for storage.
    HashPassword {
        /// The password.
        password: Password,
    },
    /// Compare a password with a stored hash.
    VerifyPassword {
        /// The password.
        password: Password,
        /// The stored hash; `None` compares with a fixed one, so that an unknown user costs the
        /// same time as a known one.
        stored: Option<String>,
    },
    /// Replay the newest checkpoint and the sealed segments up to an index, and encode the state.
    BuildCheckpoint(crate::metalog::CheckpointPlan),
    /// Read a piece of a file of the machine's own directory.
    ReadPiece(PieceAsk),
    /// Read the mirrors in the machine's own directory ([`mirror::survey`](crate::mirror::survey())).
    SurveyMirrors {
        /// The cluster whose log they should be copies of.
        cluster: ClusterId,
        /// Whether they are replayed, too.
        deep: bool,
    },
}

/// Which piece of a file is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PieceAsk {
    /// The file.
    pub file: FileName,
    /// The first byte.
    pub offset: u64,
    /// How many bytes at most.
    pub len: usize,
    /// Whether the bytes in front of the piece are to be summed up.
    pub sum_before: bool,
}

/// A piece of a file.
#[derive(Clone, PartialEq, Eq)]
pub struct Piece {
    /// The bytes; fewer than were asked for at the end of the file.
    pub bytes: Vec<u8>,
    /// The length of the file.
    pub file_len: u64,
    /// CRC-32 of all bytes in front of the piece, where that was asked for and they are all there.
    pub sum_before: Option<u32>,
}

/// Leaves out what could be guessed with.
impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HashPassword { .. } => f.write_str("HashPassword(..)"),
            Self::VerifyPassword { .. } => f.write_str("VerifyPassword(..)"),
            Self::BuildCheckpoint(plan) => f.debug_tuple("BuildCheckpoint").field(plan).finish(),
            Self::ReadPiece(ask) => f.debug_tuple("ReadPiece").field(ask).finish(),
            Self::SurveyMirrors { .. } => f.write_str("SurveyMirrors"),
        }
    }
}

/// What a [`Job`] came to.
#[derive(Clone, PartialEq)]
pub enum JobOutcome {
    /// The hash, in PHC string form.
    PasswordHashed(String),
    /// Whether the password is the stored one.
    PasswordVerified(bool),
    /// Too many are waiting; ask the client to come back.
    Overloaded,
    /// The encoded state, or why there is none.
    CheckpointBuilt(Result<Vec<u8>, String>),
    /// The piece, or why it could not be read.
    PieceRead(Result<Piece, String>),
    /// The present mirror and the one that was put aside, or why they could not be read.
    MirrorsSurveyed(Result<Box<(MirrorCopy, MirrorCopy)>, String>),
}

/// Leaves out hashes, and with them what a checkpoint or a log contains.
impl fmt::Debug for JobOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PasswordHashed(_) => f.write_str("PasswordHashed(..)"),
            Self::PasswordVerified(right) => {
                f.debug_tuple("PasswordVerified").field(right).finish()
            }
            Self::Overloaded => f.write_str("Overloaded"),
            Self::CheckpointBuilt(Ok(bytes)) => {
                write!(f, "CheckpointBuilt({} bytes)", bytes.len())
            }
            Self::CheckpointBuilt(Err(reason)) => {
                f.debug_tuple("CheckpointBuilt").field(reason).finish()
            }
            Self::PieceRead(Ok(piece)) => write!(f, "PieceRead({} bytes)", piece.bytes.len()),
            Self::PieceRead(Err(reason)) => f.debug_tuple("PieceRead").field(reason).finish(),
            Self::MirrorsSurveyed(copies) => {
                f.debug_tuple("MirrorsSurveyed").field(copies).finish()
            }
        }
    }
}

/// Why a process ends, and the status it ends with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitReason {
    /// The exit status.
    pub code: ExitCode,
    /// One sentence for the log and the terminal: what happened and what to do.
    pub message: String,
}

/// The exit statuses of a server process; each has one meaning, which an agent relies on.
///
/// The numbers follow `sysexits.h` where it has a word for the case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ExitCode {
    /// Ended as ordered.
    Success = 0,
    /// The command line or a configuration file is wrong.
    Usage = 64,
    /// A file of the home is damaged; nothing was changed.
    CorruptData = 65,
    /// The port or a volume cannot be had.
    Unavailable = 69,
    /// A bug: an invariant does not hold.
    Bug = 70,
    /// Another process has the home, the alias, or the cluster.
    AlreadyRunning = 73,
    /// The disk met a fault after which its contents are unknown to this process.
    DiskFault = 74,
    /// A file that holds a secret may be read by others, or not by this process.
    Denied = 77,
    /// The controller refuses this node for good.
    Refused = 78,
}

impl ExitCode {
    /// The number the operating system is given.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Whether starting the same process again could end otherwise without a person's help.
    #[must_use]
    pub const fn worth_a_restart(number: i32) -> bool {
        !matches!(number, 0 | 64 | 65 | 73 | 77 | 78)
    }
}
