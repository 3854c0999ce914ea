//! Giving up the end of a log that is refused.
//!
//! A refused log has lost records that were promised. Where no copy of them is left, all that can
//! be done is to go on without them, which a person has to order. Whatever is given up stays beside
//! the log under another name, and the log goes on under a new lineage, by which everybody who was
//! told of the lost records finds out.
//!
//! This file computes what to do, from the files alone. Who does it, and how a home is kept from
//! being used while it is being done, is the owner's: see [`controller`](crate::controller).

use core::fmt;
use std::collections::BTreeMap;

use thiserror::Error;

use super::checkpoint::{CheckpointFault, CheckpointHeader};
use super::home::Home;
use super::recovery::{Expected, recover};
use super::refusal::RecoveryRefusal;
use super::segment::{HEADER_LEN, SegmentHeader};
use super::walk::{Base, Segment, Walk};
use super::{CHECKPOINT_SLICE, files, record};
use crate::disk::{DiskOp, FileName};
use crate::ids::{ClusterId, LineageId, LogIndex};

/// Bytes that a repair takes out of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// The file they are in.
    pub file: FileName,
    /// The first of them.
    pub from: usize,
    /// How many.
    pub bytes: usize,
    /// The file in which they are kept.
    pub kept_as: FileName,
}

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            from,
            bytes,
            kept_as,
        } = self;
        if *from == 0 {
            write!(f, "{file} ({bytes} bytes), kept as {kept_as}")
        } else {
            write!(
                f,
                "{bytes} bytes of {file} from byte {from} on, kept as {kept_as}"
            )
        }
    }
}

/// What makes a refused log one that ends at a chosen record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRepair {
    /// The last record that stays.
    pub upto: LogIndex,
    /// What goes.
    pub given_up: Vec<GivenUp>,
    /// The operations, in order. Cut short anywhere they leave a log for which the same repair can
    /// be computed again.
    pub ops: Vec<DiskOp>,
}

/// Why there is no such repair. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RepairRefusal {
    /// The log cannot be read that far.
    #[error(
        "the log cannot be read up to record {asked}: {why}. Nothing was changed. The last record \
         that it can be cut behind is {last_good}"
    )]
    NotThatFar {
        /// The record asked for.
        asked: LogIndex,
        /// The last one that can be read.
        last_good: LogIndex,
        /// What stops it.
        why: String,
    },
    /// The log does not reach back that far.
    #[error(
        "the log cannot be cut behind record {asked}: what is left of it begins later. Nothing was \
         changed. The oldest checkpoint that is whole covers record {oldest}"
    )]
    TooEarly {
        /// The record asked for.
        asked: LogIndex,
        /// The last record of the oldest checkpoint that could be used; zero if there is none.
        oldest: LogIndex,
    },
    /// Not one record would be left.
    #[error(
        "a log without records cannot be gone on with: begin a new cluster in an empty home. \
         Nothing was changed"
    )]
    NothingLeft,
    /// What would come out would be refused too.
    #[error("the log would still be refused: {0} Nothing was changed")]
    StillRefused(RecoveryRefusal),
}

/// Computes what cuts the log in `files` behind record `upto` and begins `lineage`.
///
/// # Errors
/// If the log cannot end there.
pub fn plan_repair<B: AsRef<[u8]>>(
    files: &BTreeMap<FileName, B>,
    cluster: ClusterId,
    upto: LogIndex,
    lineage: LineageId,
) -> Result<LogRepair, RepairRefusal> {
    if upto == LogIndex(0) {
        return Err(RepairRefusal::NothingLeft);
    }
    let home = Home::of(files);
    let mut aside: Vec<&FileName> = Vec::new();
    let mut base = Base::default();
    let mut oldest = LogIndex(0);
    for file in home.checkpoints.iter().rev() {
        let verdict = CheckpointHeader::verify(file.bytes, cluster, file.last_index);
        match verdict {
            Ok((header, _)) if file.last_index <= upto => {
                oldest = header.last_index;
                if base == Base::default() {
                    base = Base {
                        index: header.last_index,
                        crc: header.last_crc,
                    };
                }
            }
            Ok((header, _)) => {
                oldest = header.last_index;
                aside.push(file.file);
            }
            // One that is damaged does no harm, and says by its name what had been durable.
            Err(CheckpointFault::Damaged { .. } | CheckpointFault::DamagedBlock { .. })
                if file.last_index <= upto => {}
            Err(_) => aside.push(file.file),
        }
    }

    let cut = cut_segments(&home, cluster, base, upto, oldest)?;
    aside.extend(cut.aside.iter().map(|segment| segment.file));
    let kept_as = |file: &FileName| files::lost(lineage, file);
    let mut repair = LogRepair {
        upto,
        given_up: Vec::new(),
        ops: Vec::new(),
    };
    if let Some((segment, offset)) = cut.shortened {
        let kept_as = files::lost_tail(lineage, segment.first, offset);
        repair.keep_tail(&segment, offset, kept_as);
    }
    // Newest first: what is left is a log with its end missing, however far it gets.
    aside.sort_by(|a, b| b.cmp(a));
    for file in aside {
        repair.set_aside(file, files[file].as_ref().len(), kept_as(file));
    }
    if let Some((segment, offset)) = cut.shortened {
        repair.ops.extend([
            DiskOp::Truncate {
                file: segment.file.clone(),
                len: offset as u64,
            },
            DiskOp::Sync {
                file: segment.file.clone(),
            },
        ]);
    }
    let begun = cut.begins_anew.then(|| {
        let header = SegmentHeader {
            cluster,
            lineage,
            first_index: upto.next(),
            previous_crc: base.crc,
        };
        repair.begin_segment(&header)
    });
    check(files, cluster, &repair, begun.as_ref())?;
    Ok(repair)
}

/// What a cut means for the segments.
struct Cut<'a> {
    /// Those that go as a whole.
    aside: Vec<Segment<'a>>,
    /// The one that gets shorter, and its new length.
    shortened: Option<(Segment<'a>, usize)>,
    /// Whether none ends with the last record, so that a new one has to begin behind it.
    begins_anew: bool,
}

fn cut_segments<'a>(
    home: &Home<'a>,
    cluster: ClusterId,
    base: Base,
    upto: LogIndex,
    oldest: LogIndex,
) -> Result<Cut<'a>, RepairRefusal> {
    let missing = base.index.next();
    let needed = (home.segments.iter()).rposition(|segment| segment.first <= missing);
    let Some(begin) = needed else {
        match base.index {
            covered if covered == upto => {}
            LogIndex(0) => {
                return Err(RepairRefusal::TooEarly {
                    asked: upto,
                    oldest,
                });
            }
            last_good => {
                return Err(RepairRefusal::NotThatFar {
                    asked: upto,
                    last_good,
                    why: format!("the segment with record {} is missing", last_good.next()),
                });
            }
        }
        return Ok(Cut {
            aside: home.segments.clone(),
            shortened: None,
            begins_anew: true,
        });
    };
    let read = &home.segments[begin..];
    let mut walk = Walk::new(cluster, base, read[0].first);
    for (position, segment) in read.iter().enumerate() {
        let before = walk.end().0;
        let outcome = walk.read(segment);
        let usable = match &outcome {
            Ok(_) => true,
            // What was read in front of the contradiction is as it should be.
            Err(RecoveryRefusal::DamagedRecord { .. }) => walk.end().0 > before,
            Err(_) => false,
        };
        if let Ok((_, segment_crc)) = SegmentHeader::decode(segment.bytes)
            && usable
            && walk.end().0 >= upto
        {
            let end = end_of(segment.bytes, segment_crc, upto);
            let whole = end == segment.bytes.len();
            return Ok(Cut {
                aside: read[position + 1..].to_vec(),
                shortened: (!whole).then_some((*segment, end)),
                begins_anew: false,
            });
        }
        let why = match outcome {
            Ok(reached) if reached.good_len == segment.bytes.len() => continue,
            Ok(reached) => format!(
                "record {} in {} at byte {} cannot be read",
                walk.end().0.next(),
                segment.file,
                reached.good_len
            ),
            Err(refusal) => refusal.to_string(),
        };
        if base.index == upto {
            // The checkpoint has it all; the log goes on behind it.
            return Ok(Cut {
                aside: read[position..].to_vec(),
                shortened: None,
                begins_anew: true,
            });
        }
        return Err(RepairRefusal::NotThatFar {
            asked: upto,
            last_good: walk.last_good(),
            why,
        });
    }
    if base.index == upto {
        return Ok(Cut {
            aside: Vec::new(),
            shortened: None,
            begins_anew: true,
        });
    }
    Err(RepairRefusal::NotThatFar {
        asked: upto,
        last_good: walk.last_good(),
        why: "it ends before".to_owned(),
    })
}

/// Where record `upto` ends in a segment that was read at least up to there.
fn end_of(segment: &[u8], segment_crc: u32, upto: LogIndex) -> usize {
    let mut offset = HEADER_LEN;
    let mut chain = segment_crc;
    while let Some((record, head)) = (segment.get(offset..))
        .and_then(|rest| record::read(rest, segment_crc, chain))
        .filter(|(record, _)| record.index <= upto)
    {
        chain = head.crc;
        offset += head.padded_len();
        if record.index == upto {
            break;
        }
    }
    offset
}

impl LogRepair {
    fn keep_tail(&mut self, segment: &Segment<'_>, from: usize, kept_as: FileName) {
        let tail = &segment.bytes[from..];
        let file = kept_as.temporary();
        self.ops.push(DiskOp::CreateOrEmpty { file: file.clone() });
        let slices = tail.chunks(CHECKPOINT_SLICE).enumerate();
        self.ops
            .extend(slices.map(|(number, slice)| DiskOp::Append {
                file: file.clone(),
                offset: (number * CHECKPOINT_SLICE) as u64,
                bytes: slice.to_vec(),
            }));
        self.ops.extend([
            DiskOp::Sync { file: file.clone() },
            DiskOp::Rename {
                from: file,
                to: kept_as.clone(),
            },
            DiskOp::SyncDir,
        ]);
        self.given_up.push(GivenUp {
            file: segment.file.clone(),
            from,
            bytes: tail.len(),
            kept_as,
        });
    }

    fn set_aside(&mut self, file: &FileName, bytes: usize, kept_as: FileName) {
        self.ops.extend([
            DiskOp::Rename {
                from: file.clone(),
                to: kept_as.clone(),
            },
            DiskOp::SyncDir,
        ]);
        self.given_up.push(GivenUp {
            file: file.clone(),
            from: 0,
            bytes,
            kept_as,
        });
    }

    fn begin_segment(&mut self, header: &SegmentHeader) -> (FileName, Vec<u8>) {
        let (bytes, _) = header.encode();
        let file = files::segment(header.first_index);
        let temporary = file.temporary();
        self.ops.extend([
            DiskOp::CreateOrEmpty {
                file: temporary.clone(),
            },
            DiskOp::Append {
                file: temporary.clone(),
                offset: 0,
                bytes: bytes.to_vec(),
            },
            DiskOp::Sync {
                file: temporary.clone(),
            },
            DiskOp::Rename {
                from: temporary,
                to: file.clone(),
            },
            DiskOp::SyncDir,
        ]);
        (file, bytes.to_vec())
    }
}

/// Reads the log as it would be, and holds it to ending where it should.
fn check<B: AsRef<[u8]>>(
    files: &BTreeMap<FileName, B>,
    cluster: ClusterId,
    repair: &LogRepair,
    begun: Option<&(FileName, Vec<u8>)>,
) -> Result<(), RepairRefusal> {
    let mut left: BTreeMap<FileName, &[u8]> = (files.iter())
        .map(|(name, bytes)| (name.clone(), bytes.as_ref()))
        .collect();
    for given_up in &repair.given_up {
        match left.get_mut(&given_up.file) {
            Some(bytes) if given_up.from > 0 => *bytes = &bytes[..given_up.from],
            _ => {
                left.remove(&given_up.file);
            }
        }
    }
    if let Some((file, bytes)) = begun {
        left.insert(file.clone(), bytes);
    }
    let expected = Expected {
        cluster,
        durable: Some(repair.upto),
    };
    let recovered = recover(&left, &expected).map_err(RepairRefusal::StillRefused)?;
    if recovered.end.last_index() == repair.upto {
        Ok(())
    } else {
        Err(RepairRefusal::NotThatFar {
            asked: repair.upto,
            last_good: recovered.end.last_index(),
            why: "it would not end there".to_owned(),
        })
    }
}
