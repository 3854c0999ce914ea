//! What a node's home holds of a mirror, by its bytes.

use std::collections::BTreeMap;

use super::Shelf;
use super::words::{MirrorCopy, MirrorEnd, PartHeld};
use crate::disk::FileName;
use crate::ids::ClusterId;
use crate::metalog::{self, Expected, LogPart};
use crate::state;

/// Reads the mirror of `cluster` on a shelf back as a controller would read its log. `files` are files
/// of a node's home; those that do not belong to the mirror are ignored.
///
/// If it is `deep`, the log is replayed too, to say which controllers it knows.
///
/// A write that a crash cut short is not counted: the part is as long as its good bytes. Takes time in
/// proportion to the bytes: work for where it holds up nobody.
#[must_use]
pub fn survey<B: AsRef<[u8]>>(
    files: &BTreeMap<FileName, B>,
    shelf: Shelf,
    cluster: ClusterId,
    deep: bool,
) -> MirrorCopy {
    let parts: BTreeMap<LogPart, &[u8]> = (files.iter())
        .filter_map(|(name, bytes)| Some((shelf.part(name)?, bytes.as_ref())))
        .collect();
    let held = |part: LogPart, len: usize| PartHeld {
        part,
        len: len as u64,
    };
    let mut copy = MirrorCopy {
        parts: (parts.iter())
            .map(|(part, bytes)| held(*part, bytes.len()))
            .collect(),
        ..MirrorCopy::default()
    };
    if parts.is_empty() {
        return copy;
    }
    let log: BTreeMap<FileName, &[u8]> = (parts.iter())
        .map(|(part, bytes)| (part.file(), *bytes))
        .collect();
    if let Some((LogPart::Checkpoint(last), bytes)) = parts.last_key_value() {
        // No record came behind it yet; it counts as soon as one does.
        if let Err(fault) = metalog::verify_checkpoint(bytes, cluster, *last) {
            copy.fault = format!("checkpoint {last}: {fault}");
        }
        return copy;
    }
    let expected = Expected {
        cluster,
        durable: None,
    };
    let recovered = match metalog::recover(&log, &expected) {
        Ok(recovered) => recovered,
        Err(refusal) => {
            copy.fault = refusal.to_string();
            return copy;
        }
    };
    if let Some((file, fault)) = recovered.damaged_checkpoints.first() {
        // What it replaces may be gone already, or go next.
        copy.fault = format!("{file}: {fault}");
        return copy;
    }
    let end = &recovered.end;
    let Some(((first, good), lineage)) = end.open_segment().zip(recovered.lineage) else {
        copy.fault = "it has no record".to_owned();
        return copy;
    };
    // A segment whose creation was interrupted has nothing in it.
    copy.parts.retain_mut(|held| match held.part {
        LogPart::Segment(begins) if begins == first => {
            held.len = good;
            true
        }
        LogPart::Segment(begins) => begins < first,
        LogPart::Checkpoint(_) => true,
    });
    let bytes = parts[&LogPart::Segment(first)];
    let good = usize::try_from(good).map_or(bytes.len(), |good| good.min(bytes.len()));
    copy.last_sum = crc32fast::hash(&bytes[..good]);
    let mut reaches = MirrorEnd {
        lineage,
        index: end.last_index(),
        epoch: end.epoch(),
        instances: Vec::new(),
        starts: Vec::new(),
    };
    if deep {
        match state::replay(recovered.checkpoint, &recovered.records) {
            Ok(state) => reaches.know_controllers(&state),
            Err(malformed) => {
                copy.fault = malformed.to_string();
                return copy;
            }
        }
    }
    copy.end = Some(reaches);
    copy
}
