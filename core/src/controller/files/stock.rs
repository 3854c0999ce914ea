//! What one node has, by its own word.
//!
//! For what the log says the node has, only the exceptions are kept: what is missing, what is
//! damaged. So a cluster in which all is well costs nothing here, however many chunks it has.

use std::collections::{BTreeMap, BTreeSet};

use crate::dfs::ask::VolumeState;
use crate::dfs::ids::{ChunkId, ChunkVersion};
use crate::dfs::namespace::Namespace;
use crate::ids::NodeId;
use crate::message::{ReplicaEntry, Report, VolumeFacts};
use crate::time::Timestamp;

/// What one node has.
#[derive(Clone, Debug, Default)]
pub(in crate::controller) struct Stock {
    /// Reports under its present registration that were applied.
    pub(super) reports: u64,
    coming: Option<ComingReport>,
    /// The newest change that was applied.
    pub(super) applied: u64,
    /// Sum of the fingerprints of what it has.
    pub(super) sum: u64,
    /// Heartbeats in a row that told another sum.
    pub(super) mismatches: u32,
    /// Chunks that the log says it has, and that it does not have.
    pub(super) missing: BTreeSet<ChunkId>,
    /// Contents that it has, and found damaged.
    pub(super) corrupt: BTreeSet<ChunkVersion>,
    /// What it has beside what the log says.
    pub(super) extras: BTreeMap<ChunkVersion, Extra>,
    /// What the log says it has, and it has on volumes that are drained.
    pub(super) draining: BTreeSet<ChunkVersion>,
    /// Its volumes.
    pub(super) volumes: Vec<VolumeFacts>,
    /// When it told of them.
    pub(super) volumes_at: Timestamp,
}

/// A content that a node has and the log does not say so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extra {
    /// What the node said it is; `None` for what the log gave up.
    pub(super) entry: Option<ReplicaEntry>,
    /// When the node was last told that it is of no use.
    pub(super) released: Option<Timestamp>,
}

/// A report of which some pages have come.
#[derive(Clone, Debug)]
struct ComingReport {
    report: u64,
    pages: u32,
    next: u32,
    as_of: u64,
    entries: Vec<ReplicaEntry>,
    damaged: Vec<ChunkVersion>,
    volumes: Vec<VolumeFacts>,
}

/// A report of which all pages have come.
#[derive(Debug)]
pub(super) struct WholeReport {
    pub(super) report: u64,
    as_of: u64,
    entries: Vec<ReplicaEntry>,
    damaged: Vec<ChunkVersion>,
    volumes: Vec<VolumeFacts>,
}

/// What a report, against the log, shows that should not be.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Contents that are not the ones that were committed.
    pub(super) divergent: Vec<ReplicaEntry>,
}

impl Stock {
    /// Whether its report under its present registration was applied.
    pub(super) const fn is_known(&self) -> bool {
        self.reports > 0
    }

    /// Bytes of the file systems of all its volumes, and those that are free.
    pub(in crate::controller) fn room(&self) -> (u64, u64) {
        let volumes = self.volumes.iter();
        volumes.fold((0, 0), |(capacity, free), it| {
            let capacity = u64::saturating_add(capacity, it.capacity);
            (capacity, u64::saturating_add(free, it.free))
        })
    }

    /// Whether every disk that it reads from is slow.
    pub(super) fn is_slow(&self) -> bool {
        let mut readable = self.volumes.iter().filter(|it| it.state.is_readable());
        let slow = |it: &VolumeFacts| it.state == VolumeState::Slow;
        readable.next().is_some_and(slow) && readable.all(slow)
    }

    /// How its volumes are, as it says now.
    pub(super) fn volumes_told(&mut self, now: Timestamp, volumes: Vec<VolumeFacts>) {
        self.volumes = volumes;
        self.volumes_at = now;
    }

    /// Takes note of where a content lies that the log says it has.
    fn note_place(&mut self, entry: &ReplicaEntry) {
        if self
            .volume_of(entry)
            .is_some_and(|volume| volume.draining.is_some())
        {
            self.draining.insert(entry.version);
        } else {
            self.draining.remove(&entry.version);
        }
    }

    /// The node has a content that it had on another volume of its own now.
    pub(super) fn moved(&mut self, entry: ReplicaEntry) {
        match self.extras.get_mut(&entry.version) {
            Some(extra) => extra.entry = Some(entry),
            None => self.note_place(&entry),
        }
    }

    /// A content that the node had only in damaged form is gone.
    pub(super) fn cleared(&mut self, version: ChunkVersion) {
        self.corrupt.remove(&version);
        self.extras.remove(&version);
    }

    /// What is known of the volume that a content lies on.
    pub(super) fn volume_of(&self, entry: &ReplicaEntry) -> Option<&VolumeFacts> {
        self.volumes.iter().find(|it| it.slot == entry.volume)
    }

    /// A new registration: nothing is known until it has reported.
    pub(in crate::controller) fn forget(&mut self) {
        let volumes = core::mem::take(&mut self.volumes);
        *self = Self {
            volumes,
            volumes_at: self.volumes_at,
            ..Self::default()
        };
    }

    /// Takes a page of a report. Pages come in order, since a connection keeps it; a report that
    /// skips one is begun anew by its node.
    pub(super) fn page(&mut self, page: Report) -> Option<WholeReport> {
        if page.page == 0 {
            self.coming = Some(ComingReport {
                report: page.report,
                pages: page.pages,
                next: 0,
                as_of: page.as_of,
                entries: Vec::new(),
                damaged: Vec::new(),
                volumes: page.volumes,
            });
        }
        let coming = self.coming.as_mut()?;
        let fits = coming.report == page.report
            && coming.next == page.page
            && coming.pages == page.pages
            && page.page < page.pages;
        if !fits {
            return None;
        }
        coming.next += 1;
        coming.entries.extend(page.entries);
        coming.damaged.extend(page.damaged);
        if coming.next < coming.pages {
            return None;
        }
        let whole = self.coming.take()?;
        Some(WholeReport {
            report: whole.report,
            as_of: whole.as_of,
            entries: whole.entries,
            damaged: whole.damaged,
            volumes: whole.volumes,
        })
    }

    /// Applies a whole report: what was known before is replaced.
    ///
    /// Costs a look at every chunk of the cluster and at every entry.
    pub(super) fn apply(
        &mut self,
        report: WholeReport,
        node: NodeId,
        names: &Namespace,
    ) -> Findings {
        let WholeReport {
            as_of,
            mut entries,
            damaged,
            volumes,
            ..
        } = report;
        entries.sort_unstable_by_key(|entry| entry.version);
        entries.dedup_by_key(|entry| entry.version);
        let before = core::mem::take(&mut self.extras);
        *self = Self {
            corrupt: damaged.into_iter().collect(),
            reports: self.reports + 1,
            applied: as_of,
            sum: entries
                .iter()
                .fold(0, |sum, entry| sum.wrapping_add(entry.fingerprint())),
            volumes,
            ..Self::default()
        };
        let mut findings = Findings::default();
        let mut entries = entries.into_iter().peekable();
        let take_extra = |stock: &mut Self, entry: ReplicaEntry| {
            let released = before.get(&entry.version).and_then(|extra| extra.released);
            let version = entry.version;
            let entry = Some(entry);
            stock.extras.insert(version, Extra { entry, released });
        };
        for view in names.chunks_on(node) {
            let version = view.version();
            while let Some(entry) = entries.next_if(|entry| entry.version < version) {
                take_extra(self, entry);
            }
            match entries.next_if(|entry| entry.version == version) {
                Some(entry) if (entry.len, entry.digest) == (view.len(), view.digest()) => {
                    self.note_place(&entry);
                }
                Some(entry) => {
                    findings.divergent.push(entry);
                    self.missing.insert(version.chunk);
                    take_extra(self, entry);
                }
                None => {
                    self.missing.insert(version.chunk);
                }
            }
        }
        for entry in entries {
            take_extra(self, entry);
        }
        // What is damaged, and that nobody has a use for, is there to be thrown away.
        let held = |version: &ChunkVersion| {
            (names.chunk_version(*version)).is_some_and(|view| view.is_held_by(node))
        };
        for version in self.corrupt.iter().filter(|it| !held(it)) {
            let released = before.get(version).and_then(|extra| extra.released);
            let entry = None;
            self.extras.insert(*version, Extra { entry, released });
        }
        findings
    }

    /// The node has one content more. Returns whether it is not the one that was committed.
    pub(super) fn added(&mut self, entry: ReplicaEntry, node: NodeId, names: &Namespace) -> bool {
        self.sum = self.sum.wrapping_add(entry.fingerprint());
        let version = entry.version;
        self.corrupt.remove(&version);
        let committed = names
            .chunk_version(version)
            .filter(|view| view.is_held_by(node));
        match committed {
            Some(view) if (view.len(), view.digest()) == (entry.len, entry.digest) => {
                self.missing.remove(&version.chunk);
                self.note_place(&entry);
                false
            }
            other => {
                let entry = Some(entry);
                let released = None;
                self.extras.insert(version, Extra { entry, released });
                other.is_some()
            }
        }
    }

    /// The node has a content no more, or only in damaged form.
    pub(super) fn removed(&mut self, entry: ReplicaEntry, damaged: bool, names: &Namespace) {
        self.sum = self.sum.wrapping_sub(entry.fingerprint());
        let version = entry.version;
        let was_extra = self.extras.remove(&version).is_some();
        self.draining.remove(&version);
        if names.chunk_version(version).is_some() && !was_extra {
            self.missing.insert(version.chunk);
        }
        if damaged {
            self.corrupt.insert(version);
        } else {
            self.corrupt.remove(&version);
        }
    }

    /// A content that the node had, as something beside, is now what the log says it has.
    /// Returns whether it lies on a volume that is drained.
    pub(super) fn committed(&mut self, version: ChunkVersion) -> bool {
        let extra = self.extras.remove(&version);
        if let Some(entry) = extra.and_then(|extra| extra.entry) {
            self.note_place(&entry);
        }
        self.draining.contains(&version)
    }

    /// Nobody has a use for a content of which the log said that the node has it.
    pub(super) fn given_up(&mut self, version: ChunkVersion) {
        let missing = self.missing.remove(&version.chunk);
        self.draining.remove(&version);
        // What is damaged there is there, and in the way once it is of no use.
        let there = !missing || self.corrupt.contains(&version);
        if self.is_known() && there {
            let (entry, released) = (None, None);
            self.extras.insert(version, Extra { entry, released });
        }
    }

    /// How many contents the node is to throw away, by the log or because it was told so, and has not yet,
    /// as far as it has said.
    pub(super) fn to_throw_away(&self) -> usize {
        let extras = self.extras.values();
        extras
            .filter(|it| it.entry.is_none() || it.released.is_some())
            .count()
    }

    /// Whether the node has said that it has something under this version, was told to throw it away, and has
    /// not said that it is gone. What comes there meanwhile under the same version could be thrown away in its
    /// place: an order names the version and not the bytes, and is given again until it is heard to be obeyed.
    pub(super) fn is_clearing(&self, version: ChunkVersion) -> bool {
        let extra = self.extras.get(&version);
        extra.is_some_and(|extra| extra.entry.is_some() && extra.released.is_some())
    }

    /// What the node has said of a content that it has. Nothing once it was told that the content is
    /// of no use: it may have thrown it away by now, and not have said so yet.
    pub(super) fn claims(&self, version: ChunkVersion) -> Option<&ReplicaEntry> {
        let extra = self.extras.get(&version)?;
        match extra.released {
            None => extra.entry.as_ref(),
            Some(_) => None,
        }
    }
}
