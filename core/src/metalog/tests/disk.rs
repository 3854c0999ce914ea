//! A disk that promises exactly what POSIX promises.
//!
//! Data is durable after `Sync` of its file, names after `SyncDir`. A crash keeps of the writes
//! since then any subset of 512-byte sectors, each as it was, as it became, or filled with garbage
//! where nothing durable stood; any length the file had, or a sector's boundary between; and any
//! prefix of the changes of names. Bytes that are durable stay, also those that share a sector with
//! bytes that are not.

use std::collections::BTreeMap;

use super::choices::Choices;
use crate::disk::{DiskFaultKind, DiskOp, FileName, RESERVE_SHARE};
use crate::metalog::SECTOR;
use crate::metalog::fuzz::Files;

/// What happened to a name.
#[derive(Clone, Debug)]
enum NameChange {
    Link(FileName, usize),
    Unlink(FileName),
    Rename(FileName, FileName),
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<FileName, usize>) {
        match self {
            Self::Link(name, file) => {
                names.insert(name.clone(), *file);
            }
            Self::Unlink(name) => {
                names.remove(name);
            }
            Self::Rename(from, to) => {
                let file = names.remove(from).expect("a renamed file exists");
                names.insert(to.clone(), file);
            }
        }
    }
}

/// Which damage a crash may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// Sectors keep their old contents or get the new ones.
    OldOrNew,
    /// Sectors that were being written may hold neither.
    Garbage,
}

/// The disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct ModelDisk {
    /// The contents of each file since its last sync: the durable ones first, the present ones
    /// last.
    files: Vec<Vec<Vec<u8>>>,
    durable_names: BTreeMap<FileName, usize>,
    names: BTreeMap<FileName, usize>,
    name_changes: Vec<NameChange>,
    /// Most bytes the files may have in all.
    pub(crate) capacity: Option<usize>,
    /// How many of them somebody else has.
    pub(crate) others: usize,
}

impl ModelDisk {
    /// A disk on which everything is durable.
    pub(crate) fn of(contents: &Files) -> Self {
        let mut disk = Self::default();
        for (name, bytes) in contents {
            disk.durable_names.insert(name.clone(), disk.files.len());
            disk.files.push(vec![bytes.clone()]);
        }
        disk.names.clone_from(&disk.durable_names);
        disk
    }

    /// What a process reads.
    pub(crate) fn contents(&self) -> Files {
        let present = |file: &usize| self.files[*file].last().expect("has contents").clone();
        (self.names.iter())
            .map(|(name, file)| (name.clone(), present(file)))
            .collect()
    }

    fn used(&self) -> usize {
        self.contents().values().map(Vec::len).sum::<usize>() + self.others
    }

    fn file(&mut self, name: &FileName) -> &mut Vec<Vec<u8>> {
        let file = self.names.get(name);
        let file = *file.unwrap_or_else(|| panic!("{name} does not exist"));
        &mut self.files[file]
    }

    fn link(&mut self, name: &FileName) {
        self.change_name(NameChange::Link(name.clone(), self.files.len()));
        self.files.push(vec![Vec::new()]);
    }

    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.name_changes.push(change);
    }

    /// Carries out one operation.
    pub(crate) fn carry_out(&mut self, op: &DiskOp) -> Result<(), DiskFaultKind> {
        let free = (self.capacity).map_or(usize::MAX, |most| most.saturating_sub(self.used()));
        match op {
            DiskOp::CreateNew { file } => {
                assert!(!self.names.contains_key(file), "{file} exists already");
                if free == 0 {
                    return Err(DiskFaultKind::NoSpace);
                }
                self.link(file);
            }
            DiskOp::CreateOrEmpty { file } => {
                if self.names.contains_key(file) {
                    self.file(file).push(Vec::new());
                } else {
                    self.link(file);
                }
            }
            DiskOp::Append {
                file,
                offset,
                bytes,
            } => {
                let versions = self.file(file);
                let mut present = versions.last().expect("has contents").clone();
                assert_eq!(
                    *offset,
                    present.len() as u64,
                    "{file} is appended at its end"
                );
                let fits = bytes.len().min(free);
                present.extend_from_slice(&bytes[..fits]);
                versions.push(present);
                if fits < bytes.len() {
                    return Err(DiskFaultKind::NoSpace);
                }
            }
            DiskOp::Truncate { file, len } => {
                let versions = self.file(file);
                let mut present = versions.last().expect("has contents").clone();
                assert!(*len <= present.len() as u64, "{file} is not made longer");
                present.truncate(*len as usize);
                versions.push(present);
            }
            DiskOp::Reserve { file, len } => {
                let share = RESERVE_SHARE as usize;
                let len =
                    (self.capacity).map_or(*len as usize, |all| (*len as usize).min(all / share));
                let there = self.names.contains_key(file);
                let has = if there {
                    self.file(file).last().expect("has contents").len()
                } else {
                    0
                };
                if has >= len {
                    return Ok(());
                }
                if free < 2 * len - has {
                    return Err(DiskFaultKind::NoSpace);
                }
                if !there {
                    self.link(file);
                }
                self.file(file).push(vec![0; len]);
            }
            DiskOp::Sync { file } => {
                let versions = self.file(file);
                versions.drain(..versions.len() - 1);
            }
            DiskOp::Rename { from, to } => {
                self.change_name(NameChange::Rename(from.clone(), to.clone()));
            }
            DiskOp::Remove { file } => {
                if self.names.contains_key(file) {
                    self.change_name(NameChange::Unlink(file.clone()));
                }
            }
            DiskOp::SyncDir => {
                self.durable_names.clone_from(&self.names);
                self.name_changes.clear();
            }
        }
        Ok(())
    }

    /// Half of an operation, before it failed.
    pub(crate) fn fail(&mut self, op: &DiskOp) {
        match op {
            DiskOp::Append {
                file,
                offset,
                bytes,
            } => {
                let half = DiskOp::Append {
                    file: file.clone(),
                    offset: *offset,
                    bytes: bytes[..bytes.len() / 2].to_vec(),
                };
                self.carry_out(&half).expect("there is space for half");
            }
            DiskOp::Rename { .. } | DiskOp::Remove { .. } | DiskOp::Truncate { .. } => {
                self.carry_out(op).expect("needs no space");
            }
            DiskOp::CreateNew { .. }
            | DiskOp::CreateOrEmpty { .. }
            | DiskOp::Reserve { .. }
            | DiskOp::Sync { .. }
            | DiskOp::SyncDir => {}
        }
    }

    /// What the next start finds after a power failure, by `choices`.
    pub(crate) fn crash(&self, crash: Crash, choices: &mut Choices) -> Self {
        let mut names = self.durable_names.clone();
        for change in &self.name_changes[..choices.pick(self.name_changes.len() + 1)] {
            change.apply(&mut names);
        }
        let mut left = Files::new();
        for (name, file) in names {
            left.insert(name, survivor(&self.files[file], crash, choices));
        }
        Self {
            capacity: self.capacity,
            others: self.others,
            ..Self::of(&left)
        }
    }
}

/// Contents that a crash may leave of a file which had these since its last sync.
fn survivor(versions: &[Vec<u8>], crash: Crash, choices: &mut Choices) -> Vec<u8> {
    let durable = &versions[0];
    let mut lengths: Vec<usize> = versions.iter().map(Vec::len).collect();
    let (low, high) = (lengths.iter().min(), lengths.iter().max());
    let (low, high) = (*low.expect("one version"), *high.expect("one version"));
    lengths.extend((0..high).step_by(SECTOR).filter(|at| *at > low));
    lengths.sort_unstable();
    lengths.dedup();
    let len = lengths[choices.pick(lengths.len())];

    let mut contents = vec![0; len];
    for start in (0..len).step_by(SECTOR) {
        let end = len.min(start + SECTOR);
        let mut candidates: Vec<Vec<u8>> = Vec::new();
        for version in versions {
            let kept = version.get(start..end.min(version.len())).unwrap_or(&[]);
            let mut sector = kept.to_vec();
            sector.resize(end - start, 0);
            if !candidates.contains(&sector) {
                candidates.push(sector);
            }
        }
        if candidates.len() > 1 && crash == Crash::Garbage {
            let mut sector = durable
                .get(start..end.min(durable.len()))
                .unwrap_or(&[])
                .to_vec();
            sector.resize(end - start, 0xa5);
            candidates.push(sector);
        }
        let chosen = choices.pick(candidates.len());
        contents[start..end].copy_from_slice(&candidates[chosen]);
    }
    contents
}

#[test]
fn a_crash_keeps_what_was_synced_and_any_part_of_the_rest() {
    let name = FileName::fixed("file");
    let append = |offset: u64, byte: u8| DiskOp::Append {
        file: name.clone(),
        offset,
        bytes: vec![byte; 600],
    };
    let mut disk = ModelDisk::default();
    let run = |disk: &mut ModelDisk, op: DiskOp| disk.carry_out(&op).expect("has space");
    run(&mut disk, DiskOp::CreateNew { file: name.clone() });
    run(&mut disk, append(0, 1));
    run(&mut disk, DiskOp::Sync { file: name.clone() });

    let mut found = Vec::new();
    super::choices::for_all(100, 0, |choices| {
        found.push(disk.crash(Crash::OldOrNew, choices).contents());
    });
    assert_eq!(found.len(), 2, "the name is not durable");
    assert!(found[0].is_empty());
    assert_eq!(found[1][&name], [1; 600]);

    run(&mut disk, DiskOp::SyncDir);
    run(&mut disk, append(600, 2));
    let mut found = std::collections::BTreeSet::new();
    super::choices::for_all(100, 0, |choices| {
        let contents = disk.crash(Crash::OldOrNew, choices).contents()[&name].clone();
        assert_eq!(contents[..600], [1; 600], "durable bytes stay");
        found.insert(contents);
    });
    let hole = [vec![1; 600], vec![0; 424], vec![2; 176]].concat();
    assert!(found.contains(&hole), "a sector in the middle may be lost");
}
