//! What is where on a volume: kept in memory, made from the bytes alone.

use std::collections::BTreeMap;

use super::{Before, Content};
use crate::dfs::digest::Digest;
use crate::dfs::ids::{ChunkVersion, OpId};
use crate::store::format::record::{HEADER_LEN, Record, RecordKind, record_size};
use crate::store::format::table_len;
use crate::store::scan::{Found, GapKind};
use crate::store::{ALONE_HEADER, Extent, files};
use crate::time::Timestamp;

/// A content on the volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) op: OpId,
    pub(super) len: u64,
    pub(super) digest: Digest,
    pub(super) table_crc: u32,
    pub(super) serial: u64,
    pub(super) place: Place,
    pub(super) trash: Option<Trash>,
}

impl Entry {
    /// Whether it is to be reported.
    pub(super) const fn counts(&self) -> bool {
        self.trash.is_none()
    }

    pub(super) const fn content(&self, version: ChunkVersion) -> Content {
        Content {
            version,
            len: self.len,
            digest: self.digest,
            op: self.op,
        }
    }
}

/// Where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Packed { segment: u64, offset: u64 },
    Alone,
}

/// That it was released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trash {
    /// Serial of the tombstone.
    pub(super) serial: u64,
    /// Whether the tombstone is durable.
    pub(super) durable: bool,
    /// Until when it stays readable.
    pub(super) until: Timestamp,
}

/// A record of a segment, live or dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) kind: RecordKind,
    pub(super) version: ChunkVersion,
    pub(super) serial: u64,
    pub(super) len: u64,
}

/// A segment.
#[derive(Clone, Debug, Default)]
pub(super) struct Segment {
    /// Bytes of the file.
    pub(super) len: u64,
    pub(super) records: BTreeMap<u64, Kept>,
    /// Bytes of the records that entries point to.
    pub(super) live: u64,
    /// Whether it gets no further record.
    pub(super) closed: bool,
    /// Whether it is kept as it is: something in it is damaged, or could not be read.
    pub(super) kept: bool,
}

/// The index.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    pub(super) entries: BTreeMap<ChunkVersion, Entry>,
    pub(super) segments: BTreeMap<u64, Segment>,
    /// For each version, the segments that hold a record of it to which no entry points, once for
    /// each record.
    ghosts: BTreeMap<ChunkVersion, Vec<u64>>,
}

impl Book {
    /// The index of what was found. Released chunks are held until `until`.
    pub(super) fn new(found: &Found, until: Timestamp) -> Self {
        let mut book = Self::default();
        let mut tombstones: BTreeMap<ChunkVersion, u64> = BTreeMap::new();
        for alone in &found.alone {
            if let Ok(record) = &alone.result {
                book.entries.insert(
                    alone.version,
                    Entry {
                        op: record.op,
                        len: record.len,
                        digest: record.digest,
                        table_crc: record.table_crc,
                        serial: record.serial,
                        place: Place::Alone,
                        trash: None,
                    },
                );
            }
        }
        for segment in &found.segments {
            let kept = segment.gaps.iter().any(|gap| gap.kind == GapKind::Damaged);
            let number = segment.number;
            let slot = book.segments.entry(number).or_default();
            slot.len = segment.len;
            slot.closed = segment.sealed;
            slot.kept = kept;
            for (offset, record) in &segment.records {
                match record.kind {
                    RecordKind::Chunk => book.add_chunk(number, *offset, record),
                    RecordKind::Tombstone => {
                        book.add_other(number, *offset, record);
                        let serial = tombstones.entry(record.version).or_default();
                        *serial = record.serial.max(*serial);
                    }
                    RecordKind::End => book.add_other(number, *offset, record),
                }
            }
        }
        for (version, serial) in tombstones {
            if let Some(entry) = book.entries.get_mut(&version)
                && entry.serial < serial
            {
                entry.trash = Some(Trash {
                    serial,
                    durable: true,
                    until,
                });
            }
        }
        book
    }

    /// Takes in a chunk's record; returns whether it is the one that holds.
    pub(super) fn add_chunk(&mut self, segment: u64, offset: u64, record: &Record) {
        self.add_other(segment, offset, record);
        let place = Place::Packed { segment, offset };
        self.supersede(
            record.version,
            Entry {
                op: record.op,
                len: record.len,
                digest: record.digest,
                table_crc: record.table_crc,
                serial: record.serial,
                place,
                trash: None,
            },
        );
    }

    /// What there is of a content that is about to become durable.
    pub(super) fn before(&self, version: ChunkVersion) -> Before {
        match self.entries.get(&version).map(|entry| entry.trash) {
            Some(None) => Before::Same,
            Some(Some(trash)) if !trash.durable => Before::Leaving,
            Some(Some(_)) | None => Before::Nothing,
        }
    }

    /// The release of a content, if it was released.
    pub(super) fn trash_of(&self, version: ChunkVersion) -> Option<Trash> {
        self.entries.get(&version)?.trash
    }

    /// Takes in a record to which no entry will point.
    pub(super) fn add_other(&mut self, segment: u64, offset: u64, record: &Record) {
        let slot = self.segments.entry(segment).or_default();
        slot.len = slot.len.max(offset + record.size());
        let kept = Kept {
            kind: record.kind,
            version: record.version,
            serial: record.serial,
            len: record.len,
        };
        slot.records.insert(offset, kept);
    }

    /// Makes `new` the entry, unless a later one is there.
    ///
    /// A release is of what was written before it, whichever of two writes reaches the disk last.
    pub(super) fn supersede(&mut self, version: ChunkVersion, mut new: Entry) {
        let trash = self.trash_of(version);
        new.trash = trash.filter(|trash| trash.serial > new.serial);
        let dead = match self.entries.get(&version) {
            Some(present) if present.serial >= new.serial => (new.place, new.len),
            _ => {
                self.credit(new.place, new.len);
                let Some(old) = self.entries.insert(version, new) else {
                    return;
                };
                self.debit(old.place, old.len);
                (old.place, old.len)
            }
        };
        if let (Place::Packed { segment, .. }, _) = dead {
            self.ghosts.entry(version).or_default().push(segment);
        }
    }

    fn credit(&mut self, place: Place, len: u64) {
        if let Place::Packed { segment, .. } = place {
            self.segments.entry(segment).or_default().live += record_size(len);
        }
    }

    fn debit(&mut self, place: Place, len: u64) {
        if let Place::Packed { segment, .. } = place {
            let slot = self.segments.entry(segment).or_default();
            slot.live = slot.live.saturating_sub(record_size(len));
        }
    }

    /// Forgets an entry. What it pointed to is dead.
    pub(super) fn forget(&mut self, version: ChunkVersion) -> Option<Entry> {
        let entry = self.entries.remove(&version)?;
        self.debit(entry.place, entry.len);
        if let Place::Packed { segment, .. } = entry.place {
            self.ghosts.entry(version).or_default().push(segment);
        }
        Some(entry)
    }

    /// Takes in a copy of the record at `old`, which goes on to hold if that did.
    pub(super) fn moved(&mut self, old: (u64, u64), new: (u64, u64), record: &Record) {
        self.add_other(new.0, new.1, record);
        if record.kind != RecordKind::Chunk {
            return;
        }
        let from = Place::Packed {
            segment: old.0,
            offset: old.1,
        };
        let to = Place::Packed {
            segment: new.0,
            offset: new.1,
        };
        let mut dead = new.0;
        if let Some(entry) = self.entries.get_mut(&record.version)
            && entry.place == from
        {
            entry.place = to;
            dead = old.0;
            self.credit(to, record.len);
            self.debit(from, record.len);
        }
        self.ghosts.entry(record.version).or_default().push(dead);
    }

    /// Forgets a segment, whose file is gone.
    pub(super) fn drop_segment(&mut self, number: u64) {
        let Some(segment) = self.segments.remove(&number) else {
            return;
        };
        for kept in segment.records.values() {
            if kept.kind == RecordKind::Chunk
                && let Some(places) = self.ghosts.get_mut(&kept.version)
            {
                places.retain(|place| *place != number);
                if places.is_empty() {
                    self.ghosts.remove(&kept.version);
                }
            }
        }
    }

    /// Whether a tombstone in `segment` is needed once that segment is gone: something older that
    /// it is about would come back without it.
    pub(super) fn is_needed(&self, segment: u64, tombstone: &Kept) -> bool {
        let elsewhere = |places: &Vec<u64>| places.iter().any(|place| *place != segment);
        let holds = |entry: &Entry| entry.trash.is_some() && entry.serial < tombstone.serial;
        self.ghosts.get(&tombstone.version).is_some_and(elsewhere)
            || self.entries.get(&tombstone.version).is_some_and(holds)
    }

    /// Whether a dead record of this content is in some segment.
    pub(super) fn has_ghosts(&self, version: ChunkVersion) -> bool {
        self.ghosts.contains_key(&version)
    }

    /// Where a content lies.
    pub(super) fn extent(&self, version: ChunkVersion) -> Option<Extent> {
        let entry = self.entries.get(&version)?;
        let (file, offset, crcs_at) = match entry.place {
            Place::Packed { segment, offset } => {
                let crcs_at = offset + HEADER_LEN;
                let payload = crcs_at + table_len(entry.len);
                (files::segment(segment), payload, crcs_at)
            }
            Place::Alone => (
                files::alone(version),
                ALONE_HEADER,
                ALONE_HEADER + entry.len,
            ),
        };
        Some(Extent {
            file,
            offset,
            len: entry.len,
            digest: entry.digest,
            crcs_at,
        })
    }

    /// Panics with a sentence if the index contradicts itself.
    pub(super) fn check_invariants(&self) {
        let mut live: BTreeMap<u64, u64> = BTreeMap::new();
        for (version, entry) in &self.entries {
            if let Place::Packed { segment, offset } = entry.place {
                *live.entry(segment).or_default() += record_size(entry.len);
                let kept = self.segments.get(&segment);
                let kept = kept.and_then(|segment| segment.records.get(&offset));
                assert!(
                    kept.is_some_and(|kept| kept.version == *version),
                    "{version} lies where a record of it is"
                );
            }
        }
        for (number, segment) in &self.segments {
            assert_eq!(
                segment.live,
                live.get(number).copied().unwrap_or_default(),
                "live bytes of segment {number} are those of its entries"
            );
        }
        for (version, places) in &self.ghosts {
            let records = |number: &u64| {
                let segment = self.segments.get(number);
                segment.map_or(0, |segment| {
                    let of =
                        |kept: &&Kept| kept.version == *version && kept.kind == RecordKind::Chunk;
                    segment.records.values().filter(of).count()
                })
            };
            assert!(
                places.iter().all(|place| records(place) > 0),
                "a dead record of {version} is in each of the segments {places:?}"
            );
        }
    }
}
