//! A disk that keeps its promises, or breaks them on order.
//!
//! Each node has one directory, and each file in it three images: what a process reads back (the
//! page cache), what survives a power cut (the platter), and what a successful sync promised. A
//! process that dies loses nothing that it wrote; a power cut takes what was not synced, sector by
//! sector ([`Tear`]), and with it names that no directory sync had covered.
//!
//! The disk is the one who knows what it promised. So a checker need not ask the machine which of
//! its acknowledgements are worth something: [`SimDisk::promised`] tells, and
//! [`SimDisk::incidents`] tells which promises the disk itself broke, and how.

mod apply;
mod file;
mod names;
mod profile;
mod read;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use vaquita_core::disk::{DiskBatch, DiskFault, DiskOp, FileName, Lane};
use vaquita_core::ids::DiskTicket;
use vaquita_core::store::Fill;

use crate::streams::Draw;
use crate::time::SimTime;

pub use file::{FailedSync, SECTOR, Tear};
pub use profile::{DiskProfile, Latency};
pub use read::{Cached, Promised};

use file::SimFile;
use names::Names;

/// The files of a directory, as a process finds them when it starts.
pub type Files = BTreeMap<FileName, Vec<u8>>;

/// A file's number, which stays when its name changes.
type Inode = u32;

/// Something the disk did that a machine could not help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// When.
    pub at: SimTime,
    /// To which file.
    pub file: FileName,
    /// What.
    pub what: IncidentKind,
}

/// What kind of thing a disk did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncidentKind {
    /// A power cut took bytes from this offset on, although a sync had succeeded: the sync lied, or
    /// an earlier one had failed.
    PromisedBytesLost {
        /// First byte lost.
        from: usize,
    },
    /// A power cut took the name, although a sync of the directory had succeeded.
    PromisedNameLost,
    /// A bit flipped.
    Rotted {
        /// In this byte.
        at: usize,
    },
    /// Somebody put a copy in its place.
    Replaced,
}

/// A promise: what a machine was told is durable, at the moment it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    /// The batch that was reported as done.
    pub ticket: DiskTicket,
    /// Files that the batch synced, with the length that is durable.
    pub files: Vec<(FileName, u64)>,
    /// Whether the batch synced the directory behind all its changes of names.
    pub names: bool,
}

/// A disk was made another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// When.
    pub at: SimTime,
    /// How often processes of its node had begun by then.
    pub starts: u32,
}

/// One directory on a disk.
#[derive(Debug)]
pub struct SimDisk {
    /// How it behaves.
    pub profile: DiskProfile,
    /// The next sync fails.
    pub fail_next_sync: bool,
    /// The next operation of any kind fails.
    pub fail_next_op: bool,
    /// No operation ends while this holds.
    pub hung: bool,
    /// The device is gone: everything fails, reading too.
    pub dead: bool,
    names: Names,
    files: BTreeMap<Inode, SimFile>,
    next_inode: Inode,
    lanes: [LaneQueue; 2],
    /// Which operations of which batches get more bytes from another file.
    copies: BTreeMap<u64, Vec<(usize, Fill)>>,
    ops_done: u64,
    incidents: Vec<Incident>,
    last_promise: Option<Promise>,
    scarred: BTreeSet<FileName>,
    faulty: bool,
    exchanged: Option<Exchange>,
    died: Option<SimTime>,
}

/// The batches of one lane.
#[derive(Debug, Default)]
pub(crate) struct LaneQueue {
    pub(crate) waiting: VecDeque<DiskBatch>,
    /// The next operation of the first batch.
    pub(crate) next_op: usize,
    /// Whether that operation has been started.
    pub(crate) busy: bool,
}

/// What the end of an operation means for its batch.
#[derive(Debug)]
pub(crate) enum Progress {
    /// The batch goes on.
    More,
    /// The batch is over.
    Done(DiskTicket, Result<(), DiskFault>),
}

impl SimDisk {
    /// An empty directory.
    #[must_use]
    pub fn new(profile: DiskProfile) -> Self {
        Self {
            profile,
            fail_next_sync: false,
            fail_next_op: false,
            hung: false,
            dead: false,
            copies: BTreeMap::new(),
            names: Names::default(),
            files: BTreeMap::new(),
            next_inode: 0,
            lanes: Default::default(),
            ops_done: 0,
            incidents: Vec::new(),
            last_promise: None,
            scarred: BTreeSet::new(),
            faulty: false,
            exchanged: None,
            died: None,
        }
    }

    /// What a process finds: every file with its bytes.
    #[must_use]
    pub fn files(&self) -> Files {
        let read =
            |(name, inode): (&FileName, &Inode)| (name.clone(), self.files[inode].read().to_vec());
        self.names.iter().map(read).collect()
    }

    /// The bytes of one file as a process reads them.
    #[must_use]
    pub fn read(&self, file: &FileName) -> Option<&[u8]> {
        Some(self.files[&self.names.get(file)?].read())
    }

    /// What was promised about a file's bytes: its whole content when a sync last succeeded, less
    /// what the process has cut off since.
    ///
    /// `None` if there is no such file or nothing was ever promised about it.
    #[must_use]
    pub fn promised(&self, file: &FileName) -> Option<&[u8]> {
        let promised = self.files[&self.names.get(file)?].promised();
        (!promised.is_empty()).then_some(promised)
    }

    /// Whether the name itself was promised: a power cut now leaves a file of that name, the one
    /// there is or the one it replaced.
    #[must_use]
    pub fn name_promised(&self, file: &FileName) -> bool {
        self.names.is_promised(file)
    }

    /// Whether any file holds bytes, or the directory names, that a power cut could take.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.names.is_dirty() || self.files.values().any(SimFile::is_dirty)
    }

    /// What the disk did that no machine could help, oldest first.
    #[must_use]
    pub fn incidents(&self) -> &[Incident] {
        &self.incidents
    }

    /// Whether the disk ever failed or hung, damaged or lost something, or was exchanged: while
    /// it did not, everything that was promised is there. A want of room is no fault.
    #[must_use]
    pub const fn was_faulty(&self) -> bool {
        self.faulty
    }

    /// When a plan has made another disk of it, at last.
    #[must_use]
    pub const fn exchanged(&self) -> Option<Exchange> {
        self.exchanged
    }

    /// When a plan has had it die, at last.
    #[must_use]
    pub const fn died_at(&self) -> Option<SimTime> {
        self.died
    }

    /// Another, empty disk, of a node whose processes have begun so often.
    pub(crate) fn exchange(&mut self, at: SimTime, starts: u32) {
        self.wipe();
        self.exchanged = Some(Exchange { at, starts });
    }

    /// As [`SimDisk::die`], at a moment that is remembered.
    pub(crate) fn die_at(&mut self, now: SimTime) {
        self.die();
        self.died = Some(now);
    }

    /// Whether the disk itself ever broke a promise about this file, or damaged it. What a machine
    /// makes of such a file is not to be held against it.
    #[must_use]
    pub fn is_scarred(&self, file: &FileName) -> bool {
        self.scarred.contains(file)
    }

    /// The promise that the last successful batch was.
    #[must_use]
    pub const fn last_promise(&self) -> Option<&Promise> {
        self.last_promise.as_ref()
    }

    /// Operations carried out since the disk was made, failed ones included.
    #[must_use]
    pub const fn ops_done(&self) -> u64 {
        self.ops_done
    }

    /// Batches that wait or are under way.
    #[must_use]
    pub fn batches_waiting(&self) -> usize {
        self.lanes.iter().map(|lane| lane.waiting.len()).sum()
    }

    /// How many files there are.
    #[must_use]
    pub fn file_count(&self) -> usize {
        self.names.iter().count()
    }

    /// Bytes of all files.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.files
            .values()
            .map(|file| file.read().len() as u64)
            .sum()
    }

    /// Puts a file there as if it had always been: whole, durable, promised.
    pub fn install(&mut self, file: FileName, bytes: Vec<u8>) {
        let inode = self.new_inode();
        let entry = self.files.get_mut(&inode).expect("the inode was just made");
        entry.append(&bytes);
        entry.sync(false);
        self.names.install(file, inode);
        self.forget_unnamed();
    }

    /// Somebody puts the files of another directory, or of another day, in the place of these.
    pub fn replace(&mut self, now: SimTime, files: &Files) {
        self.wipe();
        for (file, bytes) in files {
            self.install(file.clone(), bytes.clone());
            self.incident(now, file.clone(), IncidentKind::Replaced);
        }
    }

    /// The device goes: from now on everything fails, reading too.
    pub fn die(&mut self) {
        self.faulty = true;
        self.dead = true;
    }

    /// No operation ends any more, for now. Whoever gives it up for that has reason to.
    pub fn hang(&mut self) {
        self.faulty = true;
        self.hung = true;
    }

    /// Removes every file: a new disk in the old place.
    pub fn wipe(&mut self) {
        self.faulty = true;
        self.names = Names::default();
        self.files.clear();
        self.scarred.clear();
    }

    /// Flips one bit in one file; returns which file and where.
    pub fn rot(
        &mut self,
        now: SimTime,
        wanted: Option<&FileName>,
        draw: &mut Draw,
    ) -> Option<(FileName, usize)> {
        let candidates: Vec<(FileName, Inode)> = self
            .names
            .iter()
            .filter(|(name, inode)| {
                wanted.is_none_or(|wanted| wanted == *name) && !self.files[inode].read().is_empty()
            })
            .map(|(name, inode)| (name.clone(), *inode))
            .collect();
        if candidates.is_empty() {
            return None;
        }
        let (file, inode) = draw.pick(&candidates).clone();
        let at = self.files.get_mut(&inode)?.rot(draw)?;
        self.incident(now, file.clone(), IncidentKind::Rotted { at });
        Some((file, at))
    }

    /// The cache forgets what it need not write.
    pub fn drop_clean_cache(&mut self) {
        self.files.values_mut().for_each(SimFile::drop_clean_cache);
    }

    /// The power goes: what no sync covered is torn as the profile says.
    pub fn power_cut(&mut self, now: SimTime, draw: &mut Draw) {
        self.abandon();
        let lost_names = self.names.power_cut(self.profile.tear, draw);
        for name in lost_names {
            self.incident(now, name, IncidentKind::PromisedNameLost);
        }
        let named: Vec<(FileName, Inode)> = self
            .names
            .iter()
            .map(|(name, inode)| (name.clone(), *inode))
            .collect();
        for (name, inode) in named {
            let file = self.files.get_mut(&inode).expect("a name leads to a file");
            if let Some(from) = file.power_cut(self.profile.tear, draw) {
                self.incident(now, name, IncidentKind::PromisedBytesLost { from });
            }
        }
        self.forget_unnamed();
    }

    /// The process that had asked is gone: what has not been carried out never will be.
    pub(crate) fn abandon(&mut self) {
        self.lanes = Default::default();
        self.copies.clear();
    }

    pub(crate) fn lane(&mut self, lane: Lane) -> &mut LaneQueue {
        &mut self.lanes[lane_index(lane)]
    }

    fn incident(&mut self, at: SimTime, file: FileName, what: IncidentKind) {
        self.faulty = true;
        self.scarred.insert(file.clone());
        self.incidents.push(Incident { at, file, what });
    }

    fn new_inode(&mut self) -> Inode {
        let inode = self.next_inode;
        self.next_inode += 1;
        self.files.insert(inode, SimFile::default());
        inode
    }

    /// Forgets files that no name leads to, not even one that a power cut could bring back.
    fn forget_unnamed(&mut self) {
        let reachable = self.names.reachable();
        self.files.retain(|inode, _| reachable.contains(inode));
    }
}

const fn lane_index(lane: Lane) -> usize {
    match lane {
        Lane::Foreground => 0,
        Lane::Background => 1,
    }
}

/// How an operation is called in a trace.
pub(crate) fn describe(op: &DiskOp) -> String {
    match op {
        DiskOp::CreateNew { file } | DiskOp::CreateOrEmpty { file } => format!("create {file}"),
        DiskOp::Append {
            file,
            offset,
            bytes,
        } => {
            format!("write {} bytes at offset {offset} of {file}", bytes.len())
        }
        DiskOp::Truncate { file, len } => format!("cut {file} to {len} bytes"),
        DiskOp::Reserve { file, len } => format!("reserve {len} bytes in {file}"),
        DiskOp::Sync { file } => format!("sync {file}"),
        DiskOp::Rename { from, to } => format!("rename {from} to {to}"),
        DiskOp::Remove { file } => format!("remove {file}"),
        DiskOp::SyncDir => "sync the directory".to_owned(),
    }
}
