//! The newest entries, and the chain that they end.

use std::collections::VecDeque;

use minicbor::{Decode, Encode};
use serde::Serialize;

use super::entry::{AuditEntry, Link, Means};
use crate::ids::LogIndex;

/// Entries that are kept. A constant and no limit of the configuration: two replays of one log must
/// agree.
pub const ENTRIES_KEPT: usize = 10_000;

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Kept {
    /// The record that has it.
    #[n(0)]
    index: LogIndex,
    #[n(1)]
    entry: AuditEntry,
    #[n(2)]
    link: Link,
}

/// The audit as the log says it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct AuditTrail {
    /// How many entries there have been; the newest has this number.
    #[n(0)]
    sequence: u64,
    /// The link in front of the oldest entry that is kept.
    #[n(1)]
    base: Link,
    #[n(2)]
    kept: VecDeque<Kept>,
    /// The newest entry whose record was written behind another entry than the log has before it.
    #[cbor(n(3), default)]
    misfit: Option<u64>,
}

/// The chain does not hold: an entry is not what was written, or not where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the audit was changed behind the cluster's back: its entry {sequence} does not fit to the one before"
)]
pub struct Broken {
    /// An entry that does not fit.
    pub sequence: u64,
}

/// Which entries are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only those before this one: the last of the page before.
    pub before: Option<u64>,
    /// How many at most.
    pub limit: u32,
    /// Only what this user did.
    pub actor: Option<String>,
    /// Only actions whose word begins so: `node.`, `login.failed`.
    pub action: Option<String>,
}

/// Some entries, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditPage {
    /// The entries.
    pub rows: Vec<AuditRow>,
    /// Whether there are older ones that fit.
    pub more: bool,
    /// The number of the oldest entry that is kept; the log files of the controller go back further.
    pub oldest: u64,
    /// The number of the newest.
    pub newest: u64,
    /// The hash of the newest. Noted elsewhere, it shows later whether anything up to there was changed.
    pub head: String,
    /// Whether the entries fit to one another, all that are kept.
    pub intact: bool,
}

/// An entry, as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditRow {
    /// Its number, from 1.
    pub sequence: u64,
    /// The record of the log that has it.
    pub index: LogIndex,
    /// When, in milliseconds since 1970; 0 if nobody noted it.
    pub unix_ms: u64,
    /// Who.
    pub actor: String,
    /// How that is known: `console`, `signal`, `process`, `session`, `token`, `nothing`.
    pub means: &'static str,
    /// Which login or token it was.
    pub token: Option<String>,
    /// The address that it came from.
    pub address: Option<String>,
    /// What was done.
    pub action: String,
    /// What it was done to.
    pub object: String,
    /// What else is to be known.
    pub detail: String,
    /// `done`; `ordered`, if the entry was written first and nothing here says what came of it; or
    /// `refused`.
    pub result: &'static str,
    /// Why it was refused.
    pub reason: String,
    /// How often.
    pub count: u32,
    /// Its hash, which covers all before it.
    pub hash: String,
}

impl AuditTrail {
    /// Adds an entry, which was written behind the one whose hash is `written_behind`, if that was noted.
    pub(crate) fn apply(
        &mut self,
        index: LogIndex,
        entry: &AuditEntry,
        written_behind: Option<Link>,
    ) {
        self.sequence = self.sequence.saturating_add(1);
        let before = self.head();
        if written_behind.is_some_and(|it| it != before) {
            self.misfit = Some(self.sequence);
        }
        let link = Link(entry.hash(&before.0, self.sequence, index));
        self.kept.push_back(Kept {
            index,
            entry: entry.clone(),
            link,
        });
        while self.kept.len() > ENTRIES_KEPT {
            if let Some(gone) = self.kept.pop_front() {
                self.base = gone.link;
            }
        }
        // It says nothing of the entries that are kept any more.
        let oldest = self.oldest();
        self.misfit = self.misfit.filter(|it| *it >= oldest);
    }

    /// The hash of the newest entry.
    pub(crate) fn head(&self) -> Link {
        self.kept.back().map_or(self.base, |newest| newest.link)
    }

    /// The number of the newest entry; 0 before the first.
    #[must_use]
    pub const fn newest(&self) -> u64 {
        self.sequence
    }

    /// The entries that are kept, the oldest first, each with its number and the record that has it.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = (u64, LogIndex, &AuditEntry)> {
        let oldest = self.oldest();
        (self.kept.iter().enumerate())
            .map(move |(nth, kept)| (oldest + nth as u64, kept.index, &kept.entry))
    }

    fn oldest(&self) -> u64 {
        let before = self.sequence.saturating_sub(self.kept.len() as u64);
        before.saturating_add(1)
    }

    /// Whether each entry that is kept fits to the one before it, and its record was written behind that
    /// one.
    ///
    /// The first shows what was changed in a checkpoint, the second what was changed in the log behind it:
    /// the hashes of those entries follow from their records, but each record has the hash of the entry
    /// before it as it was when it was written.
    ///
    /// # Errors
    /// With one that does not.
    pub fn verify(&self) -> Result<(), Broken> {
        let mut before = self.base;
        for (nth, kept) in self.kept.iter().enumerate() {
            let sequence = self.oldest() + nth as u64;
            let link = Link(kept.entry.hash(&before.0, sequence, kept.index));
            if link != kept.link {
                return Err(Broken { sequence });
            }
            before = link;
        }
        match self.misfit {
            Some(sequence) => Err(Broken { sequence }),
            None => Ok(()),
        }
    }

    /// A page of entries of records up to `durable`, the newest first.
    #[must_use]
    pub fn page(&self, query: &AuditQuery, durable: LogIndex) -> AuditPage {
        let limit = query.limit.max(1) as usize;
        let fits = |sequence: u64, kept: &Kept| {
            query.before.is_none_or(|before| sequence < before)
                && (query.actor.as_ref()).is_none_or(|actor| *actor == kept.entry.actor)
                && (query.action.as_ref()).is_none_or(|it| kept.entry.action.starts_with(&**it))
        };
        let oldest = self.oldest();
        let durable = self.kept.partition_point(|kept| kept.index <= durable);
        let mut rows: Vec<AuditRow> = (self.kept.iter().enumerate().take(durable).rev())
            .map(|(nth, kept)| (oldest + nth as u64, kept))
            .filter(|(sequence, kept)| fits(*sequence, kept))
            .take(limit + 1)
            .map(|(sequence, kept)| row(sequence, kept))
            .collect();
        let more = rows.len() > limit;
        rows.truncate(limit);
        let newest = durable.checked_sub(1).and_then(|nth| self.kept.get(nth));
        AuditPage {
            rows,
            more,
            oldest,
            newest: (oldest + durable as u64).saturating_sub(1),
            head: newest.map_or(self.base, |it| it.link).to_string(),
            intact: self.verify().is_ok(),
        }
    }

    /// Changes the detail of an entry and nothing else, as somebody would who forges it.
    #[cfg(test)]
    pub(super) fn forge(&mut self, nth: usize, forge: impl FnOnce(&mut AuditEntry)) {
        forge(&mut self.kept[nth].entry);
    }

    /// Leaves an entry out.
    #[cfg(test)]
    pub(super) fn drop_entry(&mut self, nth: usize) {
        self.kept.remove(nth);
        self.sequence -= 1;
    }
}

fn row(sequence: u64, kept: &Kept) -> AuditRow {
    let Kept { index, entry, link } = kept;
    let (means, token) = match entry.means {
        Means::Console => ("console", None),
        Means::Signal => ("signal", None),
        Means::Process => ("process", None),
        Means::Session(token) => ("session", Some(token.to_string())),
        Means::Token(token) => ("token", Some(token.to_string())),
        Means::Nothing => ("nothing", None),
    };
    AuditRow {
        sequence,
        index: *index,
        unix_ms: entry.unix_ms,
        actor: entry.actor.clone(),
        means,
        token,
        address: entry.address.clone(),
        action: entry.action.clone(),
        object: entry.object.clone(),
        detail: entry.detail.clone(),
        result: match (entry.refused.is_empty(), entry.ordered) {
            (false, _) => "refused",
            (true, true) => "ordered",
            (true, false) => "done",
        },
        reason: entry.refused.clone(),
        count: entry.count,
        hash: link.to_string(),
    }
}
