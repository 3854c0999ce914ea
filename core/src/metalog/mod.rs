//! The controller's metadata log: what is in it was promised, and what was promised is in it.
//!
//! The log is a sequence of opaque records with indexes 1, 2, 3 …, kept in *segments*, and now and
//! then folded into a *checkpoint*, the encoded state of whatever the records mean. This module
//! knows bytes, files and the order in which they become durable. It does not know what a record
//! says: the state machine behind it is its owner's.
//!
//! Three parts, none of which touches a file:
//!
//! * [`recover`] reads the files of a home and says what the log holds, or refuses.
//! * [`MetaLog`] turns appended records into [`DiskBatch`](crate::disk::DiskBatch)es and their
//!   completions into [`LogProgress`].
//! * [`replay`] reads what a [`CheckpointPlan`] names, so that a second instance of the state can
//!   make the checkpoint without holding up the first.
//!
//! ```text
//!  append ──► pending ──► one batch on the disk ──► synced ──► checkpoint ──► old segments go
//!             records     write, sync               may be     in slices, on
//!                                                   promised   the other lane
//! ```
//!
//! # What always holds
//!
//! 1. Indexes are contiguous, but where a record of the log's own says which is the next, and each
//!    record's checksum continues that of the record before, so that a stale, doubled or exchanged
//!    sector never reads as a record.
//! 2. `synced <= appended`, and a record counts as synced only when a sync that began after it was
//!    written has succeeded. One batch is under way at a time.
//! 3. A segment's header and its name are durable before the first record is written to it, and all
//!    records of a segment are synced before the next segment is created.
//! 4. After a crash at any moment, [`recover`] yields a prefix of what was appended that contains
//!    all that was synced, or it refuses and changes nothing. It never guesses.
//! 5. A file is removed only when a newer checkpoint, its name included, is durable. The two newest
//!    checkpoints stay, and all records behind the older one.
//! 6. After a failed sync nothing more is written: what the disk holds is then unknown, and asking
//!    again may be answered wrongly (Rebello et al., "Can applications recover from fsync
//!    failures?", USENIX ATC 2020). The process ends and the next one reads.
//!
//! Telling a write that a crash cut short from damage to what was once durable is the hard part of
//! reading a log back (Alagappan et al., "Protocol-Aware Recovery for Consensus-Based Storage",
//! FAST 2018). `tail.rs` holds the rule.

mod checkpoint;
mod checkpointer;
mod commit;
pub(crate) mod fields;
mod files;
mod fuzz;
mod home;
mod record;
mod recovery;
mod refusal;
mod repair;
mod replay;
mod reserve;
mod segment;
mod tail;
mod walk;
mod writer;

#[cfg(test)]
pub(crate) mod tests;

pub use checkpoint::CheckpointFault;
pub(crate) use checkpoint::verify_checkpoint;
pub use checkpointer::CheckpointPlan;
pub use files::{LogPart, belongs_to_log, is_ballast};
pub(crate) use files::{lost, named_last};

pub(crate) use fuzz::{CLUSTER, RECORDS, apply, damage, damaged_home};
#[doc(hidden)]
pub use fuzz::{fuzz_checkpoint, fuzz_recovery};
pub use record::{PAYLOAD_MAX, Record};
pub use recovery::{Expected, LogEnd, Recovered, Tail, recover};
pub use refusal::{Place, RecoveryRefusal};
pub use repair::{GivenUp, LogRepair, RepairRefusal, plan_repair};
pub use replay::{Replayed, replay};
pub use tail::Evidence;
pub use writer::{LogFiles, LogProgress, MetaLog, SpaceMode};

/// Payload bytes after which a batch takes no further record.
///
/// A sync costs milliseconds whatever it covers; beyond about this size the write itself is what
/// takes the time, and those who wait for the first record would wait for the last.
pub(crate) const BATCH_BYTES: usize = 1024 * 1024;

/// The unit in which a crash may lose or keep what was not synced.
///
/// Disks and file systems with larger units lose several of these at once.
pub(crate) const SECTOR: usize = 512;

/// Most bytes of a checkpoint that are handed to the disk at once.
pub(crate) const CHECKPOINT_SLICE: usize = 1024 * 1024;
