//! What the files of a home say the log holds, and where it goes on.

use core::fmt;
use std::collections::BTreeMap;

use super::CHECKPOINT_SLICE;
use super::checkpoint::CheckpointFault;
use super::files;
use super::home::Home;
use super::record::Record;
use super::refusal::{Place, RecoveryRefusal};
use super::tail::Unreadable;
use super::walk::{Reached, Segment, Walk};
use crate::disk::{DiskOp, FileName};
use crate::ids::{ClusterId, ControllerEpoch, LineageId, LogIndex};

/// What the caller knows about a log before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The cluster of the home.
    pub cluster: ClusterId,
    /// A record that is known to have been durable: a log that ends before it is refused.
    ///
    /// `None` if the cluster has no history yet, so that a home without a log is a new one;
    /// `Some(LogIndex(0))` if it has one of unknown length, so that such a home is refused.
    pub durable: Option<LogIndex>,
}

/// A log that was read.
#[derive(Debug)]
pub struct Recovered<'a> {
    /// The newest good checkpoint: the last record it covers, and the encoded state.
    pub checkpoint: Option<(LogIndex, &'a [u8])>,
    /// All records behind the checkpoint, in order.
    pub records: Vec<Record<'a>>,
    /// How the log ended.
    pub tail: Tail,
    /// Checkpoints that could not be used, newest first. An operator should hear of each: the disk
    /// changed a file.
    pub damaged_checkpoints: Vec<(FileName, CheckpointFault)>,
    /// The lineage of the newest segment or checkpoint; `None` in a new log.
    pub lineage: Option<LineageId>,
    /// Where [`MetaLog`](super::MetaLog) goes on.
    pub end: LogEnd,
}

impl Recovered<'_> {
    /// The operations that make the files say what was recovered; none in good order.
    ///
    /// [`MetaLog`](super::MetaLog) asks for them in its first batch. They may be interrupted
    /// anywhere: recovery then comes to the same result again.
    #[must_use]
    pub fn repairs(&self) -> &[DiskOp] {
        &self.end.repairs
    }
}

/// How a log ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tail {
    /// With a record.
    Clean,
    /// With a write that a crash cut short. Nothing in it was ever promised.
    Torn {
        /// The last segment.
        file: FileName,
        /// Where the interrupted write begins, and the segment will end.
        offset: usize,
        /// How many bytes are cut off.
        bytes: usize,
        /// The file in which they are kept.
        kept_as: FileName,
    },
    /// With a segment whose creation a crash cut short. It has no records and is removed.
    Unfinished {
        /// That segment.
        file: FileName,
    },
}

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clean => f.write_str("the log ends with a record"),
            Self::Torn {
                file,
                offset,
                bytes,
                kept_as,
            } => write!(
                f,
                "the log ended with an interrupted write: the {bytes} bytes of {file} from byte \
                 {offset} on were never promised to anybody and are moved to {kept_as}"
            ),
            Self::Unfinished { file } => write!(
                f,
                "the log ended with the interrupted creation of {file}, which has no records and \
                 is removed"
            ),
        }
    }
}

/// The segment to which the next record may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpenSegment {
    /// The index of its first record.
    pub(super) first: LogIndex,
    /// Its good bytes.
    pub(super) len: u64,
    /// The checksum of its header.
    pub(super) crc: u32,
}

/// Where a recovered log goes on; for [`MetaLog`](super::MetaLog).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEnd {
    pub(super) cluster: ClusterId,
    pub(super) lineage: Option<LineageId>,
    pub(super) last_index: LogIndex,
    /// The index of the next record.
    pub(super) next_index: LogIndex,
    pub(super) last_crc: u32,
    pub(super) epoch: ControllerEpoch,
    /// The last record that was certainly synced. Those behind it were read, but perhaps from a
    /// cache that a power failure would empty.
    pub(super) durable: LogIndex,
    pub(super) open: Option<OpenSegment>,
    /// All segments by their first index, the open one included.
    pub(super) segments: Vec<LogIndex>,
    /// All checkpoints that may be good, by their last index.
    pub(super) checkpoints: Vec<LogIndex>,
    /// The damaged ones.
    pub(super) damaged: Vec<LogIndex>,
    /// Bytes of records behind the newest checkpoint.
    pub(super) bytes_since: u64,
    pub(super) repairs: Vec<DiskOp>,
}

impl LogEnd {
    /// The same end, of a log whose repairs are made.
    pub(super) fn repaired(&self) -> Self {
        Self {
            repairs: Vec::new(),
            durable: LogIndex(0),
            ..self.clone()
        }
    }

    /// The end of a log that has not begun.
    fn new(cluster: ClusterId) -> Self {
        Self {
            cluster,
            lineage: None,
            last_index: LogIndex(0),
            next_index: LogIndex(1),
            last_crc: 0,
            epoch: ControllerEpoch(0),
            durable: LogIndex(0),
            open: None,
            segments: Vec::new(),
            checkpoints: Vec::new(),
            damaged: Vec::new(),
            bytes_since: 0,
            repairs: Vec::new(),
        }
    }

    /// The last record of the log.
    #[must_use]
    pub const fn last_index(&self) -> LogIndex {
        self.last_index
    }

    /// The segment that the next record goes into, and its good bytes; `None` if there is none yet.
    #[must_use]
    pub fn open_segment(&self) -> Option<(LogIndex, u64)> {
        self.open.map(|open| (open.first, open.len))
    }

    /// The highest controller epoch in the records that were read; zero if there were none.
    #[must_use]
    pub const fn epoch(&self) -> ControllerEpoch {
        self.epoch
    }
}

/// Reads the log in `files`, the files of a home for whose names
/// [`belongs_to_log`](super::belongs_to_log) holds; others are ignored.
///
/// Takes time in proportion to the bytes. Records are handed out where they lie. A file may be a
/// map of it or a copy; but what a page cache holds is not always what the disk holds, so a driver
/// does well to have the last segment read from the disk.
///
/// # Errors
/// If a record that was promised may be missing. The files must then stay as they are.
pub fn recover<'a, B: AsRef<[u8]>>(
    files: &'a BTreeMap<FileName, B>,
    expected: &Expected,
) -> Result<Recovered<'a>, RecoveryRefusal> {
    let mut home = Home::of(files);
    let unfinished = home.take_unfinished();
    let bases = home.verify_checkpoints(expected.cluster)?;
    let Some((last, before)) = home.segments.split_last() else {
        return without_segments(&home, unfinished, expected);
    };

    let newest_named = home.checkpoints.last().map(|file| file.last_index);
    let known = expected.durable.max(newest_named).unwrap_or_default();
    let first = home.first_needed(&bases)?;
    let mut walk = Walk::new(expected.cluster, bases.base(), first);
    let mut bytes_since = 0;
    for segment in before.iter().filter(|segment| segment.first >= first) {
        walk.sealed(segment)?;
        bytes_since += segment.bytes.len() as u64;
    }
    let reached = if let Some(next) = unfinished {
        continue_to(&mut walk, last, &next)?
    } else {
        read_last(&mut walk, last, known)?
    };
    bytes_since += reached.good_len as u64;

    let (last_index, last_crc) = walk.end();
    if last_index < known {
        let at = walk.place(last, reached.good_len);
        return Err(RecoveryRefusal::EndsEarly { at, known });
    }
    let next_index = walk.next();
    let (tail, repairs) = repair(&home, last, reached, next_index, unfinished);
    // In front of a segment there may be indexes that no record has.
    let synced_before = unfinished.map_or(last_index.0.min(last.first.0 - 1), |_| last_index.0);
    let end = LogEnd {
        cluster: expected.cluster,
        lineage: walk.lineage,
        last_index,
        next_index,
        last_crc,
        epoch: walk.epoch,
        durable: known.max(walk.durable).max(LogIndex(synced_before)),
        open: Some(OpenSegment {
            first: last.first,
            len: reached.good_len as u64,
            crc: reached.segment_crc,
        }),
        segments: home.segments.iter().map(|segment| segment.first).collect(),
        checkpoints: home.undamaged(&bases),
        damaged: (bases.damaged.iter())
            .map(|(file, _)| file.last_index)
            .collect(),
        bytes_since,
        repairs,
    };
    Ok(Recovered {
        checkpoint: bases.state(),
        records: walk.records,
        tail,
        damaged_checkpoints: (bases.damaged.into_iter())
            .map(|(file, fault)| (file.file.clone(), fault))
            .collect(),
        lineage: end.lineage,
        end,
    })
}

/// Reads the last segment behind which another one was being created: all of it was synced.
fn continue_to<'a>(
    walk: &mut Walk<'a>,
    last: &Segment<'a>,
    next: &Segment<'_>,
) -> Result<Reached, RecoveryRefusal> {
    let reached = walk.sealed(last)?;
    let missing = walk.next();
    if next.first == missing {
        Ok(reached)
    } else {
        Err(RecoveryRefusal::MissingSegment {
            at: walk.place(next, 0),
            missing,
        })
    }
}

/// Reads the last segment, which may end with an interrupted write.
fn read_last<'a>(
    walk: &mut Walk<'a>,
    last: &Segment<'a>,
    known: LogIndex,
) -> Result<Reached, RecoveryRefusal> {
    let reached = walk.read(last)?;
    if reached.good_len < last.bytes.len() {
        let unreadable = Unreadable {
            segment: last.bytes,
            segment_crc: reached.segment_crc,
            offset: reached.good_len,
            missing: walk.next(),
            known,
        };
        unreadable
            .is_torn()
            .map_err(|evidence| RecoveryRefusal::DamagedRecord {
                at: walk.place(last, reached.good_len),
                evidence,
            })?;
    }
    Ok(reached)
}

/// How the log ended, and what makes its files say so.
fn repair(
    home: &Home<'_>,
    last: &Segment<'_>,
    reached: Reached,
    next_index: LogIndex,
    unfinished: Option<Segment<'_>>,
) -> (Tail, Vec<DiskOp>) {
    let mut repairs = home.remove_leftovers();
    let offset = reached.good_len;
    let bytes = last.bytes.len() - offset;
    if bytes > 0 {
        let kept_as = files::torn(next_index, offset);
        repairs.extend(cut_torn_tail(last, offset, &kept_as));
        let file = last.file.clone();
        let tail = Tail::Torn {
            file,
            offset,
            bytes,
            kept_as,
        };
        return (tail, repairs);
    }
    let tail = unfinished.map_or(Tail::Clean, |segment| {
        remove_unfinished(&segment, &mut repairs)
    });
    if !repairs.is_empty() {
        repairs.push(DiskOp::SyncDir);
    }
    (tail, repairs)
}

fn remove_unfinished(segment: &Segment<'_>, repairs: &mut Vec<DiskOp>) -> Tail {
    let file = segment.file.clone();
    repairs.push(DiskOp::Remove { file: file.clone() });
    Tail::Unfinished { file }
}

/// What a home without a segment that was ever written to is: new, or robbed of its log.
fn without_segments<'a>(
    home: &Home<'a>,
    unfinished: Option<Segment<'a>>,
    expected: &Expected,
) -> Result<Recovered<'a>, RecoveryRefusal> {
    if let Some(newest) = home.checkpoints.last() {
        return Err(RecoveryRefusal::MissingSegment {
            at: newest.place(),
            missing: newest.last_index,
        });
    }
    if let Some(known) = expected.durable {
        return Err(RecoveryRefusal::Absent { known });
    }
    if let Some(segment) = unfinished.filter(|segment| segment.first > LogIndex(1)) {
        return Err(RecoveryRefusal::MissingSegment {
            at: Place {
                file: segment.file.clone(),
                offset: 0,
                last_good: LogIndex(0),
            },
            missing: LogIndex(1),
        });
    }
    let mut repairs = home.remove_leftovers();
    let tail = unfinished.map_or(Tail::Clean, |segment| {
        remove_unfinished(&segment, &mut repairs)
    });
    if !repairs.is_empty() {
        repairs.push(DiskOp::SyncDir);
    }
    Ok(Recovered {
        checkpoint: None,
        records: Vec::new(),
        tail,
        damaged_checkpoints: Vec::new(),
        lineage: None,
        end: LogEnd {
            repairs,
            ..LogEnd::new(expected.cluster)
        },
    })
}

/// The operations that put the end of a segment aside and then cut it off.
///
/// The copy is durable, with its name, before anything is cut.
fn cut_torn_tail(segment: &Segment<'_>, offset: usize, kept_as: &FileName) -> Vec<DiskOp> {
    let slices = segment.bytes[offset..].chunks(CHECKPOINT_SLICE);
    let mut ops = vec![DiskOp::CreateOrEmpty {
        file: kept_as.clone(),
    }];
    ops.extend(slices.enumerate().map(|(number, slice)| DiskOp::Append {
        file: kept_as.clone(),
        offset: (number * CHECKPOINT_SLICE) as u64,
        bytes: slice.to_vec(),
    }));
    ops.extend([
        DiskOp::Sync {
            file: kept_as.clone(),
        },
        DiskOp::SyncDir,
        DiskOp::Truncate {
            file: segment.file.clone(),
            len: offset as u64,
        },
        DiskOp::Sync {
            file: segment.file.clone(),
        },
    ]);
    ops
}
