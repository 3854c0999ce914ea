//! Bodies for fuzzers: the headers and the label of a volume.

use arbitrary::{Result, Unstructured};
use std::collections::BTreeMap;

use super::{Files, good_label};
use crate::dfs::digest::Digest;
use crate::dfs::ids::{ChunkId, ChunkVersion, Generation, OpId, VolumeId};
use crate::ids::{Alias, ClusterId, DiskTicket, LogIndex, NodeId};
use crate::message::VolumeOwner;
use crate::metalog::apply;
use crate::store::format::alone::{AloneFooter, AloneHeader};
use crate::store::format::record::{Record, RecordKind};
use crate::store::format::segment::SegmentHeader;
use crate::store::format::{LEN_MAX, label};
use crate::store::label::{
    Claim, LabelCopy, Standing, Verdict, judge, label_batch, read_copies, standing,
};
use crate::store::scan::{LabelFound, scan};
use crate::store::{Label, files};

/// Reads `data` as a header of each kind, or makes one as it says, changes it, and moves it elsewhere.
///
/// # Panics
/// If a header does not read as it was written, if one that was changed or stands elsewhere passes, or
/// if one that passes is not what would be written.
pub fn fuzz_headers(data: &[u8]) {
    let _ = headers(&mut Unstructured::new(data));
}

fn headers(input: &mut Unstructured<'_>) -> Result<()> {
    let what = input.int_in_range(0..=7)?;
    let seed: u32 = input.arbitrary()?;
    let at: u64 = input.arbitrary()?;
    let flaw = Flaw {
        at: input.arbitrary()?,
        with: input.arbitrary()?,
    };
    match what {
        0 => {
            let bytes = input.bytes(input.len())?;
            same_bytes(bytes, SegmentHeader::decode(bytes).map(|it| it.encode()));
            same_bytes(bytes, AloneHeader::decode(bytes).map(|it| it.encode()));
            let footer = AloneFooter::decode(bytes, seed);
            same_bytes(bytes, footer.map(|it| it.encode(seed)));
            let record = Record::decode(bytes, seed, at);
            same_bytes(bytes, record.map(|it| it.encode(seed, at)));
        }
        1 | 2 => {
            let header = SegmentHeader {
                volume: VolumeId(input.arbitrary()?),
                number: input.arbitrary()?,
            };
            let bytes = header.encode();
            assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
            flaw.shows(&bytes, |bytes| SegmentHeader::decode(bytes).is_ok());
        }
        3 | 4 => {
            let record = record(input)?;
            let bytes = record.encode(seed, at);
            assert_eq!(Record::decode(&bytes, seed, at), Ok(record));
            let reads = |seed, at| Record::decode(&bytes, seed, at).is_ok();
            assert!(!reads(seed ^ 1, at), "it is another segment's");
            assert!(
                !reads(seed, at ^ 1 << (flaw.at % 64)),
                "it stands elsewhere"
            );
            flaw.shows(&bytes, |bytes| Record::decode(bytes, seed, at).is_ok());
        }
        _ => {
            let header = AloneHeader {
                volume: VolumeId(input.arbitrary()?),
                version: version(input)?,
                op: OpId(input.arbitrary()?),
            };
            let footer = AloneFooter {
                serial: input.arbitrary()?,
                len: input.int_in_range(0..=LEN_MAX)?,
                digest: Digest(input.arbitrary()?),
                table_crc: input.arbitrary()?,
            };
            let (first, seed) = (header.encode(), header.seed());
            assert_eq!(AloneHeader::decode(&first), Ok(header));
            flaw.shows(&first, |bytes| AloneHeader::decode(bytes).is_ok());
            let last = footer.encode(seed);
            assert_eq!(AloneFooter::decode(&last, seed), Ok(footer));
            let elsewhere = AloneFooter::decode(&last, seed ^ 1);
            assert!(elsewhere.is_err(), "it ends another chunk");
            flaw.shows(&last, |bytes| AloneFooter::decode(bytes, seed).is_ok());
        }
    }
    Ok(())
}

/// One byte that is another one.
struct Flaw {
    at: usize,
    with: u8,
}

impl Flaw {
    fn shows(&self, bytes: &[u8], passes: impl Fn(&[u8]) -> bool) {
        let mut changed = bytes.to_vec();
        changed[self.at % bytes.len()] ^= self.with;
        assert_eq!(passes(&changed), self.with == 0, "a changed byte shows");
        let cut = &bytes[..self.at % bytes.len()];
        assert!(!passes(cut), "a part passes for the whole");
    }
}

fn same_bytes<T: AsRef<[u8]>, E>(read: &[u8], written: core::result::Result<T, E>) {
    if let Ok(written) = written {
        let written = written.as_ref();
        // The bytes that have no meaning yet are zero.
        assert_eq!(&read[..written.len()], written, "one header, one spelling");
    }
}

fn version(input: &mut Unstructured<'_>) -> Result<ChunkVersion> {
    Ok(ChunkVersion {
        chunk: ChunkId(input.arbitrary()?),
        generation: Generation(input.arbitrary()?),
    })
}

fn record(input: &mut Unstructured<'_>) -> Result<Record> {
    let kinds = [RecordKind::Chunk, RecordKind::Tombstone, RecordKind::End];
    Ok(Record {
        kind: *input.choose(&kinds)?,
        version: version(input)?,
        serial: input.arbitrary()?,
        synced: input.arbitrary()?,
        op: OpId(input.arbitrary()?),
        len: input.int_in_range(0..=LEN_MAX)?,
        digest: Digest(input.arbitrary()?),
        table_crc: input.arbitrary()?,
    })
}

/// Puts label files into a directory as `data` says, and has a node judge them.
///
/// # Panics
/// If a label does not read as it was written, if a volume is used that is not the node's own, if a
/// label that the node writes does not make the volume one that it uses, or if a node that looks at the
/// label of a volume in use leaves a bad copy or writes over what somebody else has written.
pub fn fuzz_label(data: &[u8]) {
    let _ = labels(&mut Unstructured::new(data));
}

fn labels(input: &mut Unstructured<'_>) -> Result<()> {
    let mut files = Files::new();
    for file in [files::label(), files::label_backup()] {
        if let Some(bytes) = label_file(input)? {
            files.insert(file, bytes);
        }
    }
    let label = || scan(&files).map(|(label, _)| label);
    let found = label().expect("files in memory can be read");
    let owners = owners(input)?;
    let alias = Alias::new("P1-NODE1").expect("an alias");
    let remembered = match input.arbitrary()? {
        true => Some(VolumeId(few(input)?)),
        false => None,
    };
    let cluster = match input.int_in_range(0..=3)? {
        0 => None,
        _ => Some(ClusterId::new(few(input)?)),
    };
    let claim = Claim {
        node: NodeId::new(few(input)?),
        cluster,
        path: input.choose(&["/a", "/b"])?,
        remembered,
        alias: &alias,
        epoch: LogIndex(input.int_in_range(0..=3)?),
        owners: &owners,
    };
    look_in_use(&files, found.label().unwrap_or(&good_label()));
    let verdict = judge(&claim, &found);
    let written = match &verdict {
        Verdict::Use { label, heal, .. } => {
            assert_eq!(Some(label), found.label(), "what is used is what is there");
            assert!(label.owner == claim.node, "another node's volume is used");
            assert!(claim.cluster.is_none_or(|it| it == label.cluster));
            heal.is_some().then(|| label.clone())
        }
        Verdict::Adopt { label, .. } => {
            let order = &owners[&label.volume];
            assert_eq!(
                (order.node, order.epoch),
                (claim.node, label.epoch),
                "what is taken over was given"
            );
            Some(label.clone())
        }
        Verdict::Label => {
            let is_empty = matches!(&found, LabelFound::None { others } if others.is_empty());
            assert!(is_empty && claim.remembered.is_none(), "a volume is lost");
            Some(Label {
                cluster: claim.cluster.expect("a node without a cluster waits"),
                volume: VolumeId([0x55; 16]),
                owner: claim.node,
                alias: alias.clone(),
                epoch: LogIndex(0),
            })
        }
        Verdict::Wait | Verdict::Refuse { .. } => None,
    };
    let Some(written) = written else {
        return Ok(());
    };
    apply(&mut files, &label_batch(DiskTicket(1), &written).ops);
    let (found, _) = scan(&files).expect("files in memory can be read");
    assert_eq!(found, LabelFound::Here(written.clone()));
    let claim = Claim {
        remembered: Some(written.volume),
        epoch: claim.epoch.max(written.epoch),
        ..claim
    };
    let again = judge(&claim, &found);
    let used = Verdict::Use {
        label: written,
        heal: None,
        instead_of: None,
    };
    assert_eq!(again, used, "what was written is used from then on");
    Ok(())
}

/// A volume was in use under `label` when its files became these, and its node looks at the copies.
fn look_in_use(files: &Files, label: &Label) {
    let copies = read_copies(files).expect("files in memory can be read");
    let strange = copies.iter().any(|copy| match copy {
        LabelCopy::Says(other) => {
            let same = (other.cluster, other.volume) == (label.cluster, label.volume);
            other != label && !(same && other.epoch < label.epoch)
        }
        LabelCopy::Newer(_) => true,
        LabelCopy::Missing | LabelCopy::Damaged(_) => false,
    });
    let whole = copies
        .iter()
        .all(|copy| *copy == LabelCopy::Says(label.clone()));
    match standing(label, &copies) {
        Standing::Whole => assert!(whole, "a bad copy is left: {copies:?}"),
        Standing::Changed(_) => {
            let gone = copies.iter().all(|copy| *copy == LabelCopy::Missing);
            assert!(strange || gone, "it is not healed: {copies:?}");
        }
        Standing::Heal(_) => {
            assert!(!strange, "somebody's label is written over: {copies:?}");
            let mut files = files.clone();
            apply(&mut files, &label_batch(DiskTicket(1), label).ops);
            let copies = read_copies(&files).expect("files in memory can be read");
            assert_eq!(standing(label, &copies), Standing::Whole);
        }
    }
}

/// One of a few, so that what is compared is often the same.
fn few(input: &mut Unstructured<'_>) -> Result<[u8; 16]> {
    Ok([input.int_in_range(1..=3)?; 16])
}

/// No file, any bytes, a label, or one with a byte changed.
fn label_file(input: &mut Unstructured<'_>) -> Result<Option<Vec<u8>>> {
    let what = input.int_in_range(0..=5)?;
    if what == 0 {
        return Ok(None);
    }
    if what == 1 {
        let len = input.arbitrary::<u8>()?;
        let bytes = input.bytes(input.len().min(len.into()))?;
        if let Ok(read) = label::decode(bytes) {
            let again = label::decode(&label::encode(&read));
            assert_eq!(again, Ok(read), "a label reads as it was written");
        }
        return Ok(Some(bytes.to_vec()));
    }
    let said = Label {
        cluster: ClusterId::new(few(input)?),
        volume: VolumeId(few(input)?),
        owner: NodeId::new(few(input)?),
        alias: Alias::new(input.choose(&["P1-NODE1", "P2-NODE1"])?).expect("an alias"),
        epoch: LogIndex(input.int_in_range(0..=3)?),
    };
    let mut bytes = label::encode(&said);
    assert_eq!(
        label::decode(&bytes),
        Ok(said),
        "it reads as it was written"
    );
    if what == 2 {
        let (at, with) = (input.arbitrary::<u8>()?, input.arbitrary::<u8>()?);
        let at = usize::from(at) % bytes.len();
        bytes[at] ^= with;
        assert_eq!(label::decode(&bytes).is_ok(), with == 0, "it shows");
    }
    Ok(Some(bytes))
}

fn owners(input: &mut Unstructured<'_>) -> Result<BTreeMap<VolumeId, VolumeOwner>> {
    (0..input.int_in_range(0..=3)?)
        .map(|_| {
            let owner = VolumeOwner {
                volume: VolumeId(few(input)?),
                node: NodeId::new(few(input)?),
                epoch: LogIndex(input.int_in_range(1..=3)?),
                path: (*input.choose(&["/a", "/b"])?).to_owned(),
                alias: Alias::new("P3-NODE1").expect("an alias"),
            };
            Ok((owner.volume, owner))
        })
        .collect()
}
