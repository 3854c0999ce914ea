//! What is on a volume, read from its bytes.
//!
//! A segment is read from header to header; payloads are skipped where nothing speaks against them.
//! At a bad place the reader looks for the next header that belongs where it stands: the gap
//! between is *damaged* or, above what was known to be durable, *torn*. Nothing is ever cut off.
//!
//! A segment whose last record is an [end](RecordKind::End) is *sealed*: all of it was durable, and
//! all in front of the place that the end names was whole, before the end was written. Behind that
//! place, and in any other segment, the payloads are read too, since a crash may have kept a
//! record's header and lost its payload.

use core::fmt;

use thiserror::Error;

use super::files::{self, StoreFile};
use super::format::alone::{AloneFooter, AloneHeader, FOOTER_LEN, alone_size};
use super::format::record::{self, Record, RecordKind};
use super::format::segment::{self, SegmentHeader};
use super::format::{Fault, table_len};
use super::label::{LabelCopy, Standing, copies_among, label_files, standing};
use super::{ALONE_HEADER, Label};
use crate::dfs::digest::BLOCK;
use crate::dfs::ids::{ChunkVersion, OpId, VolumeId};
use crate::disk::FileName;
use crate::planted::Planted;

/// What a driver finds when it opens a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// What the label says, or why it says nothing.
    pub label: LabelFound,
    /// Bytes of the file system in all.
    pub capacity: u64,
    /// Bytes free there for this user.
    pub free: u64,
    /// What is on it; nothing where there is no label.
    pub found: Found,
}

/// A volume's label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelFound {
    /// It is there.
    Here(Label),
    /// One copy of it is good, and the other has to be made good.
    OneCopy {
        /// What the good one says.
        label: Label,
        /// What is wrong with the other.
        reason: String,
    },
    /// There is none.
    None {
        /// What else lies in the directory, by name; a volume that was never used has nothing.
        others: Vec<String>,
    },
    /// It is there and cannot be read.
    Damaged {
        /// What is wrong with it.
        reason: String,
    },
}

impl LabelFound {
    /// What the label says.
    #[must_use]
    pub const fn label(&self) -> Option<&Label> {
        match self {
            Self::Here(label) | Self::OneCopy { label, .. } => Some(label),
            Self::None { .. } | Self::Damaged { .. } => None,
        }
    }
}

/// The files of a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Segments in the order of their numbers.
    pub segments: Vec<SegmentFound>,
    /// Chunks in files of their own, in the order of their versions.
    pub alone: Vec<AloneFound>,
    /// Files that were never finished.
    pub leftovers: Vec<FileName>,
    /// What else lies there, by name. It is left alone.
    pub strangers: Vec<String>,
}

/// A segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentFound {
    /// Its number.
    pub number: u64,
    /// Bytes of the file.
    pub len: u64,
    /// Whether nothing was to be written to it any more.
    pub sealed: bool,
    /// Below this, everything was once known to be durable and whole.
    pub synced: u64,
    /// Records by offset. Unless the segment is sealed and they stand in front of `synced`, their
    /// payloads were read and are good.
    pub records: Vec<(u64, Record)>,
    /// Bad places, in order.
    pub gaps: Vec<Gap>,
    /// Chunks whose headers can be read, at these offsets, and whose bytes are lost.
    pub lost: Vec<(u64, ChunkVersion)>,
}

impl SegmentFound {
    /// Its file.
    #[must_use]
    pub fn file(&self) -> FileName {
        files::segment(self.number)
    }

    /// Whether something in it that was durable cannot be read.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.gaps.iter().any(|gap| gap.kind == GapKind::Damaged)
    }
}

/// Bytes of a segment that are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Offset of the first byte.
    pub from: u64,
    /// Offset behind the last byte.
    pub to: u64,
    /// What they may have been.
    pub kind: GapKind,
}

/// What a bad place was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapKind {
    /// A write that a crash cut short: nobody was promised what it held.
    Torn,
    /// Something that was durable, and can be read no more. Which chunks it held is unknown.
    Damaged,
}

/// A chunk in a file of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AloneFound {
    /// The chunk, by the file's name.
    pub version: ChunkVersion,
    /// What the file says, or why it says nothing.
    pub result: Result<AloneRecord, String>,
}

impl AloneFound {
    /// The file.
    #[must_use]
    pub fn file(&self) -> FileName {
        files::alone(self.version)
    }
}

/// What a file with one chunk says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AloneRecord {
    /// The write that brought the chunk.
    pub op: OpId,
    /// Position among all that was ever done on the volume.
    pub serial: u64,
    /// Bytes of the chunk.
    pub len: u64,
    /// Digest of the chunk.
    pub digest: crate::dfs::digest::Digest,
    /// Checksum over the checksums of its blocks.
    pub table_crc: u32,
}

/// A volume's directory, to be read. Nothing is written through it.
pub trait VolumeRead {
    /// The names of all that lies in the directory.
    ///
    /// # Errors
    /// If it cannot be read.
    fn list(&self) -> Result<Vec<String>, ReadFault>;

    /// Bytes of a file.
    ///
    /// # Errors
    /// If it cannot be told.
    fn len(&self, file: &FileName) -> Result<u64, ReadFault>;

    /// Fills `buf` with the bytes from `offset` on and returns how many there were: fewer than
    /// `buf` takes only at the end of the file.
    ///
    /// # Errors
    /// If they cannot be read. What is behind them may be good all the same.
    fn read_at(&self, file: &FileName, offset: u64, buf: &mut [u8]) -> Result<usize, ReadFault>;
}

/// A read that failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ReadFault(
    /// The operating system's words, with the path.
    pub String,
);

/// Why a volume cannot be taken into use. Nothing was changed on it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ScanFault {
    /// The directory cannot be read, or a file's length.
    #[error("{0}")]
    Read(#[from] ReadFault),
    /// A later version of the program wrote there.
    #[error(
        "{file} has format version {version}, which this program does not know: a later version has \
         written on this volume. Start that version on it; nothing was changed"
    )]
    Newer {
        /// The file.
        file: FileName,
        /// The version in it.
        version: u16,
    },
}

/// Reads a volume: the label, and behind a label everything.
///
/// # Errors
/// If the directory cannot be read, or a later version of the program wrote there. A file that
/// cannot be read is no error: it becomes part of what is found.
pub fn scan(read: &impl VolumeRead) -> Result<(LabelFound, Found), ScanFault> {
    scan_planted(read, Planted::default())
}

/// [`scan`], with bugs to be found by tests.
///
/// # Errors
/// As [`scan`].
#[doc(hidden)]
pub fn scan_planted(
    read: &impl VolumeRead,
    planted: Planted,
) -> Result<(LabelFound, Found), ScanFault> {
    let mut names = read.list()?;
    names.sort_unstable();
    let label = read_label(read, &names)?;
    let mut found = Found::default();
    let Some(volume) = label.label().map(|label| label.volume) else {
        return Ok((label, found));
    };
    for name in names {
        let file = FileName::new(&name);
        match file.as_ref().and_then(files::classify) {
            Some(StoreFile::Label) => {}
            Some(StoreFile::Segment(number)) => {
                let walk = Walk::new(read, SegmentHeader { volume, number }, planted)?;
                found.segments.push(walk.run()?);
            }
            Some(StoreFile::Alone(version)) => {
                let result = read_alone(read, volume, version)?;
                found.alone.push(AloneFound { version, result });
            }
            Some(StoreFile::Leftover) => found.leftovers.extend(file),
            None if is_harmless(&name) => {}
            None => found.strangers.push(name),
        }
    }
    found.alone.sort_unstable_by_key(|alone| alone.version);
    Ok((label, found))
}

/// Whether a name means nothing: what `mkfs` puts into every file system.
fn is_harmless(name: &str) -> bool {
    name == "lost+found"
}

fn read_label(read: &impl VolumeRead, names: &[String]) -> Result<LabelFound, ScanFault> {
    let files = label_files();
    let copies = copies_among(read, names);
    for (file, copy) in files.iter().zip(&copies) {
        match copy {
            LabelCopy::Says(label) => return Ok(label_found(label, &copies)),
            LabelCopy::Newer(version) => {
                let (file, version) = (file.clone(), *version);
                return Err(ScanFault::Newer { file, version });
            }
            LabelCopy::Missing | LabelCopy::Damaged(_) => {}
        }
    }
    if copies == [LabelCopy::Missing, LabelCopy::Missing] {
        let others = names.iter().filter(|name| is_other(name)).cloned();
        let others = others.collect();
        return Ok(LabelFound::None { others });
    }
    let troubles = files.iter().zip(&copies);
    let troubles: Vec<String> = troubles
        .filter_map(|(file, copy)| copy.trouble(file))
        .collect();
    Ok(LabelFound::Damaged {
        reason: troubles.join("; "),
    })
}

/// What a volume's label is by one good copy, the first that there is.
fn label_found(label: &Label, copies: &[LabelCopy; 2]) -> LabelFound {
    let label = label.clone();
    match standing(&label, copies) {
        Standing::Heal(reason) => LabelFound::OneCopy { label, reason },
        // What somebody has made of the second copy is told once the volume is in use.
        Standing::Whole | Standing::Changed(_) => LabelFound::Here(label),
    }
}

/// Whether a file in a directory without a label speaks against its having never been used.
fn is_other(name: &str) -> bool {
    let unfinished = [files::label(), files::label_backup()]
        .iter()
        .any(|file| file.temporary().as_str() == name);
    !unfinished && !is_harmless(name)
}

/// Reads header and footer of a chunk's own file.
fn read_alone(
    read: &impl VolumeRead,
    volume: VolumeId,
    version: ChunkVersion,
) -> Result<Result<AloneRecord, String>, ScanFault> {
    let file = files::alone(version);
    let newer = |version| ScanFault::Newer {
        file: file.clone(),
        version,
    };
    let mut header = [0; ALONE_HEADER as usize];
    let mut footer = [0; FOOTER_LEN as usize];
    let len = read.len(&file)?;
    let bytes = read
        .read_at(&file, 0, &mut header)
        .and_then(|_| read.read_at(&file, len.saturating_sub(FOOTER_LEN), &mut footer));
    if let Err(fault) = bytes {
        return Ok(Err(fault.to_string()));
    }
    let header = match AloneHeader::decode(&header) {
        Ok(header) => header,
        Err(Fault::Version(version)) => return Err(newer(version)),
        Err(Fault::Damaged) => return Ok(Err(format!("the header of {file} is damaged"))),
    };
    if header.volume != volume || header.version != version {
        return Ok(Err(format!(
            "{file} holds chunk {} of volume {}: it was written to the wrong place",
            header.version, header.volume
        )));
    }
    match AloneFooter::decode(&footer, header.seed()) {
        Ok(footer) if alone_size(footer.len) == len => Ok(Ok(AloneRecord {
            op: header.op,
            serial: footer.serial,
            len: footer.len,
            digest: footer.digest,
            table_crc: footer.table_crc,
        })),
        Err(Fault::Version(version)) => Err(newer(version)),
        Ok(_) | Err(Fault::Damaged) => Ok(Err(format!("the end of {file} is damaged"))),
    }
}

/// Bytes that are read where headers are expected, and where one is looked for.
const STEP: usize = 4096;
const SEARCH: usize = 64 * 1024;

/// A walk through one segment.
struct Walk<'a, R> {
    read: &'a R,
    file: FileName,
    header: SegmentHeader,
    seed: u32,
    planted: Planted,
    len: u64,
    /// What was read last, and from where.
    window: Vec<u8>,
    window_at: u64,
    found: SegmentFound,
    /// Bad places, and the chunk where the header could be read.
    bad: Vec<(u64, u64, Option<ChunkVersion>)>,
}

impl<R> fmt::Debug for Walk<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walk")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

/// What stands at an offset.
enum Here {
    Good(Record),
    /// The header is good, and what it speaks of is not there.
    Hollow(Record),
    Nothing,
}

impl<'a, R: VolumeRead> Walk<'a, R> {
    fn new(read: &'a R, header: SegmentHeader, planted: Planted) -> Result<Self, ReadFault> {
        let file = files::segment(header.number);
        let len = read.len(&file)?;
        Ok(Self {
            read,
            seed: header.seed(),
            planted,
            len,
            window: Vec::new(),
            window_at: 0,
            found: SegmentFound {
                number: header.number,
                len,
                sealed: false,
                synced: 0,
                records: Vec::new(),
                gaps: Vec::new(),
                lost: Vec::new(),
            },
            bad: Vec::new(),
            file,
            header,
        })
    }

    fn run(mut self) -> Result<SegmentFound, ScanFault> {
        let end_at = self.len.saturating_sub(record::HEADER_LEN);
        if end_at >= segment::HEADER_LEN
            && let Some(end) = self.header_at(end_at)?
            && end.kind == RecordKind::End
        {
            self.found.sealed = true;
            self.found.synced = end.synced;
        }
        let mut at = segment::HEADER_LEN.min(self.len);
        let header = self.bytes(0, at, STEP);
        match SegmentHeader::decode(header) {
            Ok(header) if header == self.header => {}
            Err(Fault::Version(version)) => return Err(self.newer(version)),
            Ok(_) | Err(Fault::Damaged) => self.bad.push((0, at, None)),
        }
        while at < self.len {
            match self.here(at)? {
                Here::Good(record) => {
                    if !self.found.sealed {
                        self.found.synced = self.found.synced.max(record.synced);
                    }
                    self.found.records.push((at, record));
                    at += record.size();
                }
                Here::Hollow(record) => {
                    self.found.synced = if self.found.sealed {
                        self.found.synced
                    } else {
                        self.found.synced.max(record.synced)
                    };
                    let behind = at + record.size();
                    let next = if behind <= self.len {
                        behind
                    } else {
                        self.search(at + record::HEADER_LEN)?
                    };
                    let chunk = (record.kind == RecordKind::Chunk).then_some(record.version);
                    self.bad.push((at, next, chunk));
                    at = next;
                }
                Here::Nothing => {
                    let next = self.search(at + 1)?;
                    self.bad.push((at, next, None));
                    at = next;
                }
            }
        }
        Ok(self.judge())
    }

    /// Tells what was torn from what was lost.
    fn judge(mut self) -> SegmentFound {
        // An end says that all before it was read; a record says it of what was synced before it.
        let synced = self.found.synced.min(self.len);
        for (from, to, chunk) in self.bad {
            let kind = if from < synced {
                self.found.lost.extend(chunk.map(|version| (from, version)));
                GapKind::Damaged
            } else {
                GapKind::Torn
            };
            match self.found.gaps.last_mut() {
                Some(last) if last.to == from && last.kind == kind => last.to = to,
                _ => self.found.gaps.push(Gap { from, to, kind }),
            }
        }
        self.found.synced = synced;
        self.found
    }

    fn newer(&self, version: u16) -> ScanFault {
        ScanFault::Newer {
            file: self.file.clone(),
            version,
        }
    }

    /// The bytes from `from` to `to`, or to the end of the file. Those that cannot be read are
    /// zero, which is never a header.
    fn bytes(&mut self, from: u64, to: u64, ahead: usize) -> &[u8] {
        let to = to.min(self.len);
        let wanted = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
        let inside = from
            .checked_sub(self.window_at)
            .and_then(|skip| usize::try_from(skip).ok())
            .filter(|skip| {
                skip.checked_add(wanted)
                    .is_some_and(|end| end <= self.window.len())
            });
        let start = match inside {
            Some(start) => start,
            None => {
                self.window.clear();
                self.window.resize(wanted.max(ahead), 0);
                self.window_at = from;
                let got = self.read.read_at(&self.file, from, &mut self.window);
                let got = got.unwrap_or_else(|_| {
                    self.window.fill(0);
                    self.window.len()
                });
                // Never shorter than what was asked for: the file may have been cut meanwhile.
                self.window.truncate(got.max(wanted));
                0
            }
        };
        &self.window[start..start + wanted]
    }

    /// The header at an offset, if there is one.
    fn header_at(&mut self, at: u64) -> Result<Option<Record>, ScanFault> {
        let seed = self.seed;
        let bytes = self.bytes(at, at + record::HEADER_LEN, STEP);
        match Record::decode(bytes, seed, at) {
            Ok(record) => Ok(Some(record)),
            Err(Fault::Damaged) => Ok(None),
            Err(Fault::Version(version)) => Err(self.newer(version)),
        }
    }

    fn here(&mut self, at: u64) -> Result<Here, ScanFault> {
        let Some(record) = self.header_at(at)? else {
            return Ok(Here::Nothing);
        };
        let table_at = at + record::HEADER_LEN;
        let payload_at = at + record.payload_at();
        let whole = at + record.size() <= self.len
            && crc32fast::hash(self.bytes(table_at, payload_at, STEP)) == record.table_crc;
        // What a crash has torn is torn after the segment was sealed, too.
        let sealed = self.found.sealed && at < self.found.synced;
        let trusted = sealed || self.planted.store_trust_headers;
        if whole && (trusted || self.payload_is_good(&record, table_at)) {
            Ok(Here::Good(record))
        } else {
            Ok(Here::Hollow(record))
        }
    }

    /// Holds each block against its checksum.
    fn payload_is_good(&mut self, record: &Record, table_at: u64) -> bool {
        let table = self
            .bytes(table_at, table_at + table_len(record.len), STEP)
            .to_vec();
        let mut at = table_at + table_len(record.len);
        let mut left = record.len;
        for crc in table.chunks_exact(4) {
            let len = left.min(BLOCK as u64);
            let block = self.bytes(at, at + len, SEARCH);
            if crc32fast::hash(block).to_le_bytes() != crc {
                return false;
            }
            at += len;
            left -= len;
        }
        left == 0
    }

    /// Where the next header stands, from `from` on; the end of the file if there is none.
    fn search(&mut self, mut from: u64) -> Result<u64, ScanFault> {
        while from + record::HEADER_LEN <= self.len {
            let to = (from + SEARCH as u64).min(self.len);
            let bytes = self.bytes(from, to, SEARCH);
            let candidates: Vec<u64> = bytes
                .windows(record::MAGIC.len())
                .enumerate()
                .filter(|(_, window)| *window == record::MAGIC)
                .map(|(skip, _)| from + skip as u64)
                .collect();
            for at in candidates {
                if self.header_at(at)?.is_some() {
                    return Ok(at);
                }
            }
            // A magic may lie across the border.
            from = to - (record::MAGIC.len() as u64 - 1);
            if to == self.len {
                break;
            }
        }
        Ok(self.len)
    }
}
