//! Bodies for fuzzers: a volume has files that nobody wrote.

mod format;

use std::collections::BTreeMap;

pub use self::format::{fuzz_headers, fuzz_label};
use super::scan::{Found, LabelFound, ReadFault, VolumeRead, scan};
use super::volume::{Admission, StoreEvent, Volume, VolumeBatch, VolumeRules};
use super::{Fill, Form, Label, Opened, RecordKind, label};
use crate::dfs::digest::Summary;
use crate::dfs::ids::{ChunkId, ChunkVersion, OpId, StageId, VolumeId};
use crate::disk::{DiskOp, FileName};
use crate::ids::{Alias, ClusterId, DiskTicket, LogIndex, NodeId};
use crate::limits::Limits;
use crate::metalog::{apply, damage};
use crate::planted::Planted;
use crate::time::Timestamp;

/// Files of a volume in memory.
pub(super) type Files = BTreeMap<FileName, Vec<u8>>;

const CHUNKS: u64 = 20;

impl VolumeRead for Files {
    fn list(&self) -> Result<Vec<String>, ReadFault> {
        Ok(self.keys().map(ToString::to_string).collect())
    }

    fn len(&self, file: &FileName) -> Result<u64, ReadFault> {
        let bytes = self.get(file);
        bytes
            .map(|bytes| bytes.len() as u64)
            .ok_or_else(|| ReadFault(format!("{file} does not exist")))
    }

    fn read_at(&self, file: &FileName, offset: u64, buf: &mut [u8]) -> Result<usize, ReadFault> {
        let bytes = self
            .get(file)
            .ok_or_else(|| ReadFault(format!("{file} does not exist")))?;
        let from = usize::try_from(offset).map_or(bytes.len(), |from| from.min(bytes.len()));
        let len = buf.len().min(bytes.len() - from);
        buf[..len].copy_from_slice(&bytes[from..from + len]);
        Ok(len)
    }
}

/// Limits so small that every boundary is met within a few chunks.
pub(super) fn tiny_limits() -> Limits {
    Limits {
        group_commit_records: 3,
        packed_max: 700,
        volume_segment_bytes: 1500,
        volume_batch_bytes: 2000,
        volume_copy_bytes: 500,
        volume_reserve_bytes: 1000,
        ..Limits::default()
    }
}

pub(super) const VOLUME: VolumeId = VolumeId([0x7e; 16]);

pub(super) fn rules() -> VolumeRules {
    VolumeRules {
        path: "/disk".to_owned(),
        volume: VOLUME,
        data_sync: true,
    }
}

pub(crate) fn good_label() -> Label {
    Label {
        cluster: ClusterId::new([0xc1; 16]),
        volume: VOLUME,
        owner: NodeId::new([0x0a; 16]),
        alias: Alias::new("D1").expect("an alias"),
        epoch: LogIndex(0),
    }
}

/// The content of chunk `count` in the good volume.
fn payload(count: u64) -> Vec<u8> {
    let len = usize::try_from(count * 71 % 900).expect("less than 900");
    vec![u8::try_from(count % 251).expect("less than 251"); len]
}

/// Reads `data` as a volume, or as a list of changes to a good one, and scans it.
///
/// # Panics
/// If a scan invents a record, if a volume cannot be made of what was found, or if it contradicts
/// itself.
pub fn fuzz_scan(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else {
        return;
    };
    let mut files = good_volume();
    let invented = mode & 1 == 0;
    if invented {
        invent(&mut files, rest);
    } else {
        rest.chunks(6).for_each(|change| damage(&mut files, change));
    }
    let Ok((label, found)) = scan(&files) else {
        return;
    };
    if label.label().is_none() {
        assert_eq!(found, Found::default(), "without a label nothing is read");
        return;
    }
    check_found(&found, !invented);
    let opened = Opened {
        label,
        capacity: 1 << 40,
        free: 1 << 39,
        found,
    };
    let limits = tiny_limits();
    let mut volume = Volume::new(
        rules(),
        &opened,
        &limits,
        Planted::default(),
        Timestamp::ZERO,
    );
    let before: Vec<_> = volume.entries().collect();
    let mut stages = BTreeMap::new();
    put(&mut volume, &mut files, &mut stages, CHUNKS + 1, b"goes on");
    run(&mut volume, &mut files, &mut stages);
    let (_, again) = scan(&files).expect("what was scanned once can be scanned again");
    check_found(&again, !invented);
    let opened = Opened {
        found: again,
        ..opened
    };
    let volume = Volume::new(
        rules(),
        &opened,
        &limits,
        Planted::default(),
        Timestamp::ZERO,
    );
    for content in before {
        assert!(
            volume.find(content.version).is_some(),
            "{} was there before",
            content.version
        );
    }
    assert!(
        volume.content(version(CHUNKS + 1)).is_some(),
        "a volume with damage goes on"
    );
}

/// Panics if places overlap, or records are not the ones written.
fn check_found(found: &Found, written: bool) {
    for segment in &found.segments {
        let records = segment
            .records
            .iter()
            .map(|(at, record)| (*at, at + record.size()));
        let gaps = segment.gaps.iter().map(|gap| (gap.from, gap.to));
        let mut places: Vec<_> = records.chain(gaps).collect();
        places.sort_unstable();
        assert!(
            places.windows(2).all(|pair| pair[0].1 <= pair[1].0),
            "places of segment {} do not overlap: {places:?}",
            segment.number
        );
        assert!(
            places.last().is_none_or(|place| place.1 <= segment.len),
            "no place lies behind the end"
        );
        for (_, record) in &segment.records {
            if record.kind == RecordKind::Chunk && written {
                let bytes = payload(record.version.chunk.count());
                let goes_on = record.version.chunk.count() > CHUNKS;
                assert!(
                    goes_on || Summary::of(&bytes).digest == record.digest,
                    "the record of {} is the one written",
                    record.version
                );
            }
        }
    }
}

fn version(count: u64) -> ChunkVersion {
    ChunkVersion::first(ChunkId(1 << 40 | count))
}

/// A volume of some segments and some large chunks, some of them released.
fn good_volume() -> Files {
    let mut files = Files::new();
    apply(
        &mut files,
        &label::label_batch(DiskTicket(1), &good_label()).ops,
    );
    let opened = Opened {
        label: LabelFound::Here(good_label()),
        capacity: 1 << 40,
        free: 1 << 39,
        found: Found::default(),
    };
    let limits = tiny_limits();
    let mut volume = Volume::new(
        rules(),
        &opened,
        &limits,
        Planted::default(),
        Timestamp::ZERO,
    );
    let mut stages = BTreeMap::new();
    run(&mut volume, &mut files, &mut stages);
    for count in 1..=CHUNKS {
        put(&mut volume, &mut files, &mut stages, count, &payload(count));
        if count % 4 == 3 {
            volume.trash(version(count / 2), Timestamp::ZERO);
        }
        if count % 3 == 0 {
            run(&mut volume, &mut files, &mut stages);
        }
    }
    run(&mut volume, &mut files, &mut stages);
    files
}

/// Sends a chunk all the way to the machine.
fn put(
    volume: &mut Volume,
    files: &mut Files,
    stages: &mut BTreeMap<StageId, Vec<u8>>,
    count: u64,
    bytes: &[u8],
) {
    run(volume, files, stages);
    let stage = StageId(count);
    let op = OpId([1; 16]);
    let admitted = volume.admit(stage, version(count), op, bytes.len() as u64);
    let admitted = admitted.expect("there is room");
    stages.insert(stage, bytes.to_vec());
    if admitted == Admission::WhenMade {
        run(volume, files, stages);
    }
    let _ = volume.put(stage, &Summary::of(bytes), false);
}

/// Carries out all that the volume wants done.
fn run(volume: &mut Volume, files: &mut Files, stages: &mut BTreeMap<StageId, Vec<u8>>) {
    let mut batches = 0;
    while let Some(batch) = volume.poll_batch(|| DiskTicket(1)) {
        batches += 1;
        assert!(batches < 10_000, "a volume comes to rest");
        let ops = filled(&batch, stages, files);
        apply(files, &ops);
        volume.disk_done(batch.batch.ticket, Ok(()), Timestamp::ZERO);
        volume.check_invariants();
        while let Some(event) = volume.poll_event() {
            if let StoreEvent::Made {
                stage,
                form: Form::Alone { file },
            } = event
                && let (Some(bytes), Some(file)) = (stages.remove(&stage), files.get_mut(&file))
            {
                file.extend(bytes);
            }
        }
    }
}

/// The operations of a batch with the bytes that go behind them.
pub(super) fn filled(
    batch: &VolumeBatch,
    stages: &BTreeMap<StageId, Vec<u8>>,
    files: &Files,
) -> Vec<DiskOp> {
    let mut ops = batch.batch.ops.clone();
    for (position, fill) in &batch.fills {
        let Some(DiskOp::Append { bytes, .. }) = ops.get_mut(*position) else {
            continue;
        };
        match fill {
            Fill::Stage(stage) => bytes.extend(stages.get(stage).into_iter().flatten()),
            Fill::Copy { file, crcs_at, .. } => {
                let len = fill.copied().and_then(|len| usize::try_from(len).ok());
                let mut copy = vec![0; len.unwrap_or_default()];
                let read = files.read_at(file, *crcs_at, &mut copy);
                copy.truncate(read.unwrap_or_default());
                bytes.extend(copy);
            }
        }
    }
    ops
}

/// Segments and a large chunk of which not a byte was written by a volume.
fn invent(files: &mut Files, mut data: &[u8]) {
    let names = [
        "seg-00000000000000000001.seg",
        "chunk-0000010000000002-1.chunk",
        "seg-00000000000000000077.seg",
        "vaquita.vol",
    ];
    for name in names {
        let Some((len, rest)) = data.split_first() else {
            break;
        };
        let (contents, rest) = rest.split_at(rest.len().min(usize::from(*len) * 4));
        files.insert(FileName::fixed(name), contents.to_vec());
        data = rest;
    }
}
