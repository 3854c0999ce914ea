//! Sending the log to data nodes that keep copies of it ([`mirror`](crate::mirror)).
//!
//! ```text
//!            asked             what it has         read from disk        on its disk
//!  Opening ─────────► has ───────────────► Reading ──────────────► Sending ─────────┐
//!                      │  its end is not ours     ▲                                 │
//!                      │  or not to be read       └────────── more ─────────────────┤
//!                      └──────► all of it anew                             Idle ◄───┘ settled
//! ```
//!
//! Each node of a copy has a *seat*. One piece is under way for each, so that what has gathered while
//! the last one was written goes together, and a slow node holds up nobody. Nothing waits for a mirror:
//! a commit is promised when the controller's own disk has it.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use super::members::Presence;
use super::{Controller, JobPurpose};
use crate::admin::MirrorRow;
use crate::event::Event;
use crate::ids::{JobId, LogIndex};
use crate::io::{Job, Piece, PieceAsk};
use crate::membership::Slot;
use crate::message::Message;
use crate::metalog::LogPart;
use crate::mirror::words::{MirrorHas, MirrorKept, MirrorOpen, MirrorPiece, MirrorSettled};
use crate::mirror::{Held, Step, next_step};
use crate::prng::mix;
use crate::time::Timestamp;

/// How long a node is left alone that could not keep a copy.
const REST: Duration = Duration::from_secs(30);

/// The copies of the log.
#[derive(Clone, Debug)]
pub(super) struct Mirrors {
    /// How many there are to be.
    wanted: usize,
    seats: BTreeMap<Slot, Seat>,
    last_session: u64,
    /// Since when there are fewer seats than wanted.
    vacant_since: Option<Timestamp>,
    /// Nodes that have no copy, or none any more, in this session of theirs.
    dismissed: BTreeSet<Slot>,
}

/// A node that keeps a copy.
#[derive(Clone, Debug)]
struct Seat {
    session: u64,
    stage: Stage,
    /// When the stage began.
    since: Timestamp,
    held: Held,
    /// All records up to here are on the node's disk.
    upto: LogIndex,
    /// What there is cannot be continued: the next piece puts it aside.
    anew: bool,
    /// Whether the copy has been complete since it was begun.
    settled: bool,
    /// Whether the node is to keep none: it is asked what it has, and then told to remove it.
    leaves: bool,
    /// Whether what it has is of this history, and to be read: then it is how this log began, or this
    /// controller has lost what it shows.
    same_history: bool,
    /// Why the last attempt failed; empty if it did not.
    fault: String,
}

#[derive(Clone, Debug)]
enum Stage {
    /// The node looks at what it has.
    Opening,
    /// It has all there is.
    Idle,
    /// A piece is read from the controller's disk.
    Reading {
        job: JobId,
        part: LogPart,
        offset: u64,
        end: Option<u64>,
        upto: LogIndex,
        /// What the bytes in front of the piece have to sum up to.
        expected: Option<u32>,
    },
    /// A piece is on its way.
    Sending {
        part: LogPart,
        whole: bool,
        upto: LogIndex,
    },
    /// It failed, and is left alone until then.
    Resting(Timestamp),
}

impl Mirrors {
    pub(super) const fn new(wanted: usize) -> Self {
        Self {
            wanted,
            seats: BTreeMap::new(),
            last_session: 0,
            vacant_since: None,
            dismissed: BTreeSet::new(),
        }
    }

    /// A member registers anew: what it was told before is void.
    pub(super) fn forget(&mut self, slot: Slot) {
        self.seats.remove(&slot);
        self.dismissed.remove(&slot);
    }

    /// Those that are to stay.
    fn kept(&self) -> impl Iterator<Item = (Slot, &Seat)> {
        let seats = self.seats.iter().map(|(slot, seat)| (*slot, seat));
        seats.filter(|(_, seat)| !seat.leaves)
    }

    /// Those that get on. One that does not is no copy to count on.
    fn at_work(&self) -> impl Iterator<Item = (Slot, &Seat)> {
        self.kept()
            .filter(|(_, seat)| !matches!(seat.stage, Stage::Resting(_)))
    }

    fn are_enough(&self) -> bool {
        self.at_work().count() >= self.wanted
    }

    fn is_complete(&self) -> bool {
        self.are_enough() && self.at_work().all(|(_, seat)| seat.settled)
    }
}

impl Seat {
    fn turn(&mut self, now: Timestamp, stage: Stage) {
        self.stage = stage;
        self.since = now;
    }
}

impl Controller {
    /// Brings the copies forward.
    pub(super) fn tend_mirrors(&mut self, now: Timestamp) {
        // What is evidence against this controller's log stays as it is.
        if self.mirrors.wanted == 0 || self.files.rolled_back {
            return;
        }
        let gone: Vec<Slot> = (self.mirrors.seats.keys().copied())
            .filter(|&slot| self.members.all[slot].presence == Presence::Away)
            .collect();
        for slot in gone {
            self.mirrors.forget(slot);
        }
        self.fill_seats(now);
        let due: Vec<Slot> = self.mirrors.seats.keys().copied().collect();
        for slot in due {
            self.tend_mirror(now, slot);
        }
        self.dismiss_others(now);
    }

    /// Gives free seats to nodes. Always the same ones as long as they are there: each holds what it
    /// was sent before.
    fn fill_seats(&mut self, now: Timestamp) {
        if self.mirrors.are_enough() {
            self.mirrors.vacant_since = None;
            return;
        }
        let since = *self.mirrors.vacant_since.get_or_insert(now);
        // Who is to go keeps no copy.
        let mut ranked: Vec<(u64, Slot)> = (self.members.data_nodes())
            .filter(|slot| !self.members.all[*slot].orphaned)
            .filter_map(|slot| Some((self.node_of(slot)?, slot)))
            .map(|(node, slot)| {
                let bytes = node.as_bytes().iter();
                (bytes.fold(0, |sum, byte| mix(sum ^ u64::from(*byte))), slot)
            })
            .collect();
        ranked.sort_unstable();
        let waited = now.since(since) >= self.limits.mirror_wait;
        // First one on each host, then whoever is there.
        for share_hosts in [false, true] {
            for (_, slot) in &ranked {
                if self.mirrors.are_enough() {
                    return;
                }
                if self.mirrors.seats.contains_key(slot)
                    || !share_hosts && self.host_has_seat(*slot)
                {
                    continue;
                }
                if self.members.all[*slot].presence != Presence::Online {
                    if waited {
                        continue;
                    }
                    // It may come, and have most of it.
                    return;
                }
                self.open_mirror(now, *slot, true);
            }
        }
    }

    fn host_has_seat(&self, slot: Slot) -> bool {
        let host = self.host_name(slot);
        (self.mirrors.at_work()).any(|(seat, _)| self.host_name(seat) == host)
    }

    fn open_mirror(&mut self, now: Timestamp, slot: Slot, keep: bool) {
        self.mirrors.last_session += 1;
        let session = self.mirrors.last_session;
        self.mirrors.dismissed.remove(&slot);
        let before = self.mirrors.seats.remove(&slot);
        let seat = Seat {
            session,
            stage: Stage::Opening,
            since: now,
            held: Held::default(),
            upto: LogIndex(0),
            anew: false,
            settled: false,
            leaves: !keep,
            same_history: false,
            fault: before.map(|seat| seat.fault).unwrap_or_default(),
        };
        self.mirrors.seats.insert(slot, seat);
        self.tell(slot, Message::MirrorOpen(MirrorOpen { session, keep }));
    }

    /// Once there are enough copies, the others are in the way. Each is looked at before it goes.
    fn dismiss_others(&mut self, now: Timestamp) {
        if !self.mirrors.is_complete() {
            return;
        }
        let others: Vec<Slot> = (self.members.data_nodes())
            .filter(|slot| {
                self.members.all[*slot].presence == Presence::Online
                    && !self.mirrors.seats.contains_key(slot)
                    && !self.mirrors.dismissed.contains(slot)
            })
            .collect();
        for slot in others {
            self.open_mirror(now, slot, false);
        }
    }

    /// A node's copy was looked at and is of no use: it goes.
    fn dismiss(&mut self, slot: Slot) {
        if let Some(seat) = self.mirrors.seats.remove(&slot) {
            let session = seat.session;
            self.tell(slot, Message::MirrorSettled(MirrorSettled { session }));
        }
        self.mirrors.dismissed.insert(slot);
    }

    fn tend_mirror(&mut self, now: Timestamp, slot: Slot) {
        let Some(seat) = self.mirrors.seats.get(&slot) else {
            return;
        };
        match seat.stage {
            Stage::Idle => self.next_piece(now, slot),
            Stage::Resting(until) if now >= until => {
                // Another may have taken its place.
                let keep = !seat.leaves && !self.mirrors.are_enough();
                self.open_mirror(now, slot, keep);
            }
            Stage::Resting(_) => {}
            Stage::Opening | Stage::Reading { .. } | Stage::Sending { .. } => {
                if now.since(seat.since) >= self.limits.mirror_patience {
                    self.rest_mirror(now, slot, "it does not get on".to_owned());
                }
            }
        }
    }

    /// Has the next piece read, if there is one.
    fn next_piece(&mut self, now: Timestamp, slot: Slot) {
        let own = self.log.files();
        if self.files.rolled_back {
            return;
        }
        if self
            .mirrors
            .seats
            .get(&slot)
            .is_some_and(|seat| seat.leaves)
        {
            self.dismiss(slot);
            return;
        }
        let Some(seat) = self.mirrors.seats.get_mut(&slot) else {
            return;
        };
        let held = if seat.anew {
            &Held::default()
        } else {
            &seat.held
        };
        match next_step(&own, held, self.limits.mirror_log_bytes) {
            Step::Settled => {
                seat.upto = own.synced;
                seat.turn(now, Stage::Idle);
                if !core::mem::replace(&mut seat.settled, true) {
                    seat.fault.clear();
                    let session = seat.session;
                    let text = format!(
                        "{} has a copy of the log up to record {}",
                        self.members.all[slot].member.site.alias, own.synced
                    );
                    self.out.notify(Event::info("mirror.complete", text));
                    self.tell(slot, Message::MirrorSettled(MirrorSettled { session }));
                }
            }
            Step::Anew => {
                seat.anew = true;
                seat.settled = false;
                let text = format!(
                    "the copy of the log at {} cannot be continued and is made anew",
                    self.members.all[slot].member.site.alias
                );
                self.out.notify(Event::info("mirror.anew", text));
                self.next_piece(now, slot);
            }
            Step::Send {
                part,
                offset,
                end,
                upto,
            } => self.read_piece(now, slot, (part, offset, end, upto), None),
        }
    }

    fn read_piece(
        &mut self,
        now: Timestamp,
        slot: Slot,
        (part, offset, end, upto): (LogPart, u64, Option<u64>, LogIndex),
        expected: Option<u32>,
    ) {
        let end = end.filter(|_| !self.planted.mirror_unsynced);
        let most = end.map_or(u64::MAX, |end| end.saturating_sub(offset));
        let len = usize::try_from(most).map_or(self.limits.mirror_piece, |most| {
            most.min(self.limits.mirror_piece)
        });
        let job = self.out.job(Job::ReadPiece(PieceAsk {
            file: part.file(),
            offset,
            len,
            sum_before: expected.is_some(),
        }));
        self.jobs.insert(job, JobPurpose::Mirror(slot));
        if let Some(seat) = self.mirrors.seats.get_mut(&slot) {
            let stage = Stage::Reading {
                job,
                part,
                offset,
                end,
                upto,
                expected,
            };
            seat.turn(now, stage);
        }
    }

    /// A node says what it has of the log.
    pub(super) fn mirror_has(&mut self, now: Timestamp, slot: Slot, has: &MirrorHas) {
        let own = self.log.files();
        let appended = self.log.appended();
        let Some(seat) = self.mirrors.seats.get_mut(&slot) else {
            return;
        };
        let awaited = match seat.stage {
            Stage::Opening => true,
            Stage::Sending { part, .. } => matches!(part, LogPart::Checkpoint(_)),
            _ => false,
        };
        if has.session != seat.session || !awaited {
            return;
        }
        let copy = &has.copy;
        seat.held = Held::of(copy);
        seat.anew = !copy.fault.is_empty();
        let lineage = copy.end.as_ref().map(|end| end.lineage);
        seat.same_history = lineage.is_some() && lineage == self.state.lineage;
        if let Some(end) = copy.end.as_ref().filter(|end| end.index > appended)
            && seat.same_history
        {
            let reaches = end.index;
            self.found_behind(slot, reaches);
            return;
        }
        if let Some(end) = &copy.end
            && let Some((last, len)) = seat.held.last_segment()
            && own.segments.contains(&last)
        {
            seat.upto = seat.upto.max(end.index.min(own.synced));
            let limit = own
                .open
                .filter(|(open, _)| *open == last)
                .map(|(_, len)| len);
            if limit.is_some_and(|limit| len > limit) && seat.same_history {
                let reaches = end.index;
                self.found_behind(slot, reaches);
                return;
            }
            if limit.is_none_or(|limit| len <= limit) {
                let next = own.segments.iter().find(|first| **first > last);
                let upto = next.map_or(own.synced, |next| LogIndex(next.0.saturating_sub(1)));
                let piece = (LogPart::Segment(last), len, limit, upto);
                self.read_piece(now, slot, piece, Some(copy.last_sum));
                return;
            }
        }
        self.next_piece(now, slot);
    }

    /// A piece of the log has been read.
    pub(super) fn mirror_read(
        &mut self,
        now: Timestamp,
        slot: Slot,
        job: JobId,
        outcome: Result<Piece, String>,
    ) {
        let Some(seat) = self.mirrors.seats.get_mut(&slot) else {
            return;
        };
        let Stage::Reading {
            job: mine,
            part,
            offset,
            end,
            upto,
            expected,
        } = seat.stage
        else {
            return;
        };
        if mine != job {
            return;
        }
        let piece = match outcome {
            Ok(piece) => piece,
            // A checkpoint may have replaced the file meanwhile; else it will be met again.
            Err(fault) => {
                self.rest_mirror(now, slot, fault);
                return;
            }
        };
        if expected.is_some() && piece.sum_before != expected {
            if seat.same_history {
                let reaches = seat.upto;
                self.found_behind(slot, reaches);
                return;
            }
            seat.anew = true;
            self.next_piece(now, slot);
            return;
        }
        let len = offset + piece.bytes.len() as u64;
        let whole = len >= end.unwrap_or(piece.file_len);
        let checkpoint = matches!(part, LogPart::Checkpoint(_));
        if piece.bytes.is_empty() && (!whole || checkpoint) {
            let fault = format!("{} is shorter than it was", part.file());
            self.rest_mirror(now, slot, fault);
            return;
        }
        if piece.bytes.is_empty() {
            seat.held.note(part, len, end.is_none());
            self.next_piece(now, slot);
            return;
        }
        let message = MirrorPiece {
            session: seat.session,
            part,
            offset,
            bytes: piece.bytes,
            upto: if whole { upto } else { LogIndex(0) },
            anew: seat.anew,
            complete: whole && checkpoint,
        };
        if core::mem::take(&mut seat.anew) {
            seat.held = Held::default();
        }
        let stage = Stage::Sending {
            part,
            whole: whole && end.is_none(),
            upto: message.upto,
        };
        seat.turn(now, stage);
        self.tell(slot, Message::MirrorPiece(message));
    }

    /// A piece is on a node's disk, or is not.
    pub(super) fn mirror_kept(&mut self, now: Timestamp, slot: Slot, kept: &MirrorKept) {
        let Some(seat) = self.mirrors.seats.get_mut(&slot) else {
            return;
        };
        if kept.session != seat.session {
            return;
        }
        if !kept.fault.is_empty() {
            let fault = kept.fault.clone();
            self.rest_mirror(now, slot, fault);
            return;
        }
        if let Stage::Sending { part, whole, upto } = seat.stage
            && part == kept.part
        {
            seat.held.note(part, kept.len, whole);
            seat.upto = seat.upto.max(upto);
            self.next_piece(now, slot);
        }
    }

    /// Leaves a node alone that does not get on. Another takes its place if there is one.
    fn rest_mirror(&mut self, now: Timestamp, slot: Slot, fault: String) {
        let Some(seat) = self.mirrors.seats.get_mut(&slot) else {
            return;
        };
        let text = format!(
            "the copy of the log at {} does not get on ({fault}); it is tried again in {} s",
            self.members.all[slot].member.site.alias,
            REST.as_secs()
        );
        if seat.fault != fault {
            self.out.notify(Event::warning("mirror.trouble", text));
        }
        seat.fault = fault;
        seat.settled = false;
        // What comes of this session counts no more.
        seat.session = 0;
        seat.turn(now, Stage::Resting(now.after(REST)));
    }

    /// A copy shows records that the log it is a copy of does not have: it goes further, or it ends
    /// otherwise.
    fn found_behind(&mut self, slot: Slot, reaches: LogIndex) {
        let alias = self.members.all[slot].member.site.alias.clone();
        self.mirrors.seats.remove(&slot);
        let text = format!(
            "{alias} has a copy of the controller's log up to record {reaches} that the log in this home, up \
             to record {}, does not contain: the home is an old copy, or its disk has lost records. Nothing \
             is given up. Stop the controller; `vaquita meta rebuild` looks for the newest log",
            self.log.appended()
        );
        self.files.rolled_back = true;
        if !self.alarms.contains(&text) {
            self.out
                .notify(Event::error("controller.rollback_seen", text.clone()));
            self.alarms.push(text);
        }
    }

    /// The copies as lists show them.
    pub(super) fn mirror_rows(&self, now: Timestamp) -> Vec<MirrorRow> {
        (self.mirrors.kept())
            .map(|(slot, seat)| MirrorRow {
                alias: self.members.all[slot].member.site.alias.clone(),
                upto: seat.upto,
                complete: seat.settled,
                state: match seat.stage {
                    Stage::Opening => "looking at what it has".to_owned(),
                    Stage::Resting(until) => format!(
                        "{}; tried again in {} s",
                        seat.fault,
                        until.since(now).as_secs()
                    ),
                    _ if seat.settled => String::new(),
                    _ => "being sent".to_owned(),
                },
            })
            .collect()
    }

    /// What an operator should know of the copies.
    pub(super) fn mirror_alarm(&self, now: Timestamp) -> Option<String> {
        let complete = self.mirrors.kept().filter(|(_, seat)| seat.settled);
        let (complete, wanted) = (complete.count(), self.mirrors.wanted);
        let waited = now.since(self.started) >= self.limits.mirror_wait * 3;
        (complete < wanted && waited && self.members.data_nodes().count() > complete).then(|| {
            format!(
                "the controller's log has {complete} of {wanted} copies on data nodes \
                 (metaMirrors={wanted}): if the disk of the controller's home is lost now, so may be \
                 names of files. A data node that is online takes a copy by itself"
            )
        })
    }
}
