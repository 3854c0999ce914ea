//! The node's part in a mirror of the controller's log: to write what comes, and to say what there is.
//!
//! One thing is done at a time: a look at what the home holds, or a piece that is on its way to the
//! disk. What comes in between belongs to a session that is over, or is from a peer that does not keep
//! to the rules, and is refused.

use std::collections::{BTreeMap, BTreeSet};

use crate::disk::{DiskBatch, DiskFault, DiskFaultKind, DiskOp, FileName, Lane};
use crate::event::Event;
use crate::ids::{ClusterId, ConnId, DiskTicket, JobId, LineageId, LogIndex};
use crate::io::{Effect, Job, JobOutcome, Piece, PieceAsk};
use crate::message::{Message, Witness};
use crate::metalog::LogPart;
use crate::mirror::Shelf;
use crate::mirror::words::{
    MirrorBytes, MirrorCopy, MirrorHas, MirrorKept, MirrorOpen, MirrorPiece, MirrorRead,
    MirrorSettled, MirrorSurvey, MirrorSurveyed,
};
use crate::outbox::Outbox;

/// Bytes that are read for a question at most: they have to fit into a frame.
const READ_MAX: u32 = 512 * 1024;
/// Questions of rebuilds that are answered at a time.
const READS_MAX: usize = 16;

/// What the mirror has to say.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    /// To the controller.
    Controller(Message),
    /// To whoever asked on this connection.
    Asker(ConnId, Message),
    /// All records up to here are in the mirror, durable: of the history named, or else of the one that
    /// the controller continues.
    Reaches(Option<LineageId>, LogIndex),
}

/// The mirror of a data node.
#[derive(Clone, Debug, Default)]
pub(super) struct Mirror {
    /// The newest session; zero if there is none.
    session: u64,
    /// Whether the controller wants a mirror in that session, or asks before it has one removed.
    keep: bool,
    /// What the present mirror has, and the one put aside. Of segments, only what is durable.
    present: BTreeMap<LogPart, u64>,
    aside: BTreeMap<LogPart, u64>,
    /// A checkpoint that is not whole yet, and how much of it has been written.
    coming: Option<(LogPart, u64)>,
    work: Work,
    /// A session that begins when the work that is under way is done.
    next: Option<MirrorOpen>,
    /// Removals that are on their way to the disk: what is looked at before they are done is not what
    /// there will be.
    removing: BTreeSet<DiskTicket>,
    /// Questions of rebuilds that are being answered.
    reads: BTreeMap<JobId, (ConnId, Question)>,
}

#[derive(Clone, Debug, Default)]
enum Work {
    /// Nothing; pieces may come if there is a session.
    #[default]
    None,
    /// The home is looked through: for a session that begins, for a checkpoint that came, or, before the
    /// node registers at all, for what it has to hold a controller to.
    Surveying {
        job: JobId,
        open: Option<MirrorOpen>,
    },
    /// A piece is being written.
    Writing {
        ticket: DiskTicket,
        part: LogPart,
        len: u64,
        upto: LogIndex,
        /// The history that the piece belongs to.
        lineage: Option<LineageId>,
        complete: bool,
    },
}

#[derive(Clone, Copy, Debug)]
enum Question {
    Survey {
        nonce: u64,
        witness: Witness,
        hears_controller: bool,
    },
    Read {
        nonce: u64,
    },
}

impl Mirror {
    /// The controller wants a mirror, or none.
    pub(super) fn open(&mut self, open: MirrorOpen, cluster: Option<ClusterId>, out: &mut Outbox) {
        self.session = 0;
        self.next = Some(open);
        self.begin(cluster, out);
    }

    /// Looks what there is before the node registers.
    pub(super) fn look(&mut self, cluster: ClusterId, out: &mut Outbox) {
        let deep = false;
        let job = out.job(Job::SurveyMirrors { cluster, deep });
        self.work = Work::Surveying { job, open: None };
    }

    /// Whether that look is still under way.
    pub(super) const fn is_looking(&self) -> bool {
        matches!(self.work, Work::Surveying { open: None, .. })
    }

    fn begin(&mut self, cluster: Option<ClusterId>, out: &mut Outbox) {
        if let (Work::None, Some(cluster), true) = (&self.work, cluster, self.removing.is_empty())
            && let Some(open) = self.next.take()
        {
            let deep = false;
            let job = out.job(Job::SurveyMirrors { cluster, deep });
            let open = Some(open);
            self.work = Work::Surveying { job, open };
        }
    }

    /// Bytes for the mirror.
    pub(super) fn piece(
        &mut self,
        piece: MirrorPiece,
        lineage: Option<LineageId>,
        out: &mut Outbox,
    ) -> Option<Said> {
        if piece.session != self.session || self.session == 0 || !self.keep {
            return None;
        }
        let there = match piece.part {
            _ if piece.anew || piece.offset == 0 => 0,
            part @ LogPart::Segment(_) => self.present.get(&part).copied().unwrap_or(0),
            part @ LogPart::Checkpoint(_) => (self.coming)
                .filter(|(coming, _)| *coming == part)
                .map_or(0, |(_, len)| len),
        };
        if !matches!(self.work, Work::None) || piece.offset != there {
            return Some(self.refuse(
                piece.part,
                format!(
                    "a piece that begins at byte {} of {} came, and there are {there} bytes",
                    piece.offset,
                    piece.part.file()
                ),
            ));
        }
        let mut ops = Vec::new();
        if piece.anew {
            let parts = core::mem::take(&mut self.present);
            let given_up = |part: &LogPart| {
                let from = Shelf::Present.file(*part);
                if self.aside.is_empty() {
                    let to = Shelf::Aside.file(*part);
                    DiskOp::Rename { from, to }
                } else {
                    // What is aside is the last one that was complete, and this one never was.
                    DiskOp::Remove { file: from }
                }
            };
            ops.extend(parts.keys().map(given_up));
            ops.push(DiskOp::SyncDir);
            if self.aside.is_empty() {
                self.aside = parts;
            }
            self.coming = None;
        }
        let len = piece.offset + piece.bytes.len() as u64;
        ops.extend(write(&piece));
        let ticket = background(ops, out);
        self.work = Work::Writing {
            ticket,
            part: piece.part,
            len,
            upto: piece.upto,
            lineage,
            complete: piece.complete,
        };
        None
    }

    /// The mirror is complete, and what was put aside for it goes; or, where the controller wants none,
    /// it has seen what there is, and all of it goes.
    pub(super) fn settled(&mut self, settled: MirrorSettled, out: &mut Outbox) {
        if settled.session != self.session || !matches!(self.work, Work::None) {
            return;
        }
        let aside = core::mem::take(&mut self.aside);
        let mut files: Vec<FileName> = aside.keys().map(|it| Shelf::Aside.file(*it)).collect();
        if !self.keep {
            let present = core::mem::take(&mut self.present);
            files.extend(present.keys().map(|part| Shelf::Present.file(*part)));
            self.session = 0;
        }
        self.remove(files, out);
    }

    /// Removes files on the lane of the mirror's own writes, so that pieces that come later find them gone.
    /// One that stays all the same means nothing.
    fn remove(&mut self, files: impl IntoIterator<Item = FileName>, out: &mut Outbox) {
        let files = files.into_iter();
        let mut ops: Vec<DiskOp> = files.map(|file| DiskOp::Remove { file }).collect();
        if !ops.is_empty() {
            ops.push(DiskOp::SyncDir);
            self.removing.insert(background(ops, out));
        }
    }

    /// Says that a piece was not taken, which ends the session.
    fn refuse(&mut self, part: LogPart, fault: String) -> Said {
        let session = core::mem::take(&mut self.session);
        Said::Controller(Message::MirrorKept(MirrorKept {
            session,
            part,
            len: 0,
            fault,
        }))
    }

    /// Takes a disk completion. Returns `None` if it is not the mirror's.
    pub(super) fn disk_done(
        &mut self,
        ticket: DiskTicket,
        result: &Result<(), DiskFault>,
        cluster: Option<ClusterId>,
        out: &mut Outbox,
    ) -> Option<Vec<Said>> {
        if self.removing.remove(&ticket) {
            self.begin(cluster, out);
            return Some(Vec::new());
        }
        if !matches!(&self.work, Work::Writing { ticket: mine, .. } if *mine == ticket) {
            return None;
        }
        let mut said = Vec::new();
        let work = core::mem::take(&mut self.work);
        if let Work::Writing {
            part,
            len,
            upto,
            lineage,
            complete,
            ..
        } = work
        {
            match result {
                Ok(()) if complete && self.session > 0 => {
                    let open = MirrorOpen {
                        session: self.session,
                        keep: true,
                    };
                    self.coming = None;
                    self.next.get_or_insert(open);
                }
                Ok(()) => {
                    match part {
                        LogPart::Segment(_) => drop(self.present.insert(part, len)),
                        LogPart::Checkpoint(_) => self.coming = Some((part, len)),
                    }
                    said.extend((upto > LogIndex(0)).then_some(Said::Reaches(lineage, upto)));
                    if self.session > 0 {
                        let session = self.session;
                        let fault = String::new();
                        said.push(Said::Controller(Message::MirrorKept(MirrorKept {
                            session,
                            part,
                            len,
                            fault,
                        })));
                    }
                }
                Err(fault) => {
                    said.push(self.refuse(part, fault.to_string()));
                    let text = format!("the copy of the controller's log cannot be kept: {fault}");
                    out.notify(Event::warning("mirror.disk", text));
                    if fault.kind == DiskFaultKind::NoSpace {
                        // The node's own files need the room more.
                        self.give_up(part, out);
                    }
                }
            }
        }
        self.begin(cluster, out);
        Some(said)
    }

    /// Removes what there is: the disk is full.
    fn give_up(&mut self, part: LogPart, out: &mut Outbox) {
        let mut present = core::mem::take(&mut self.present);
        present.insert(part, 0);
        self.coming = None;
        let aside = core::mem::take(&mut self.aside);
        let files = (present.keys())
            .flat_map(|part| [Shelf::Present.file(*part), coming(*part)])
            .chain(aside.keys().map(|part| Shelf::Aside.file(*part)))
            .collect::<Vec<_>>();
        self.remove(files, out);
    }

    /// Takes the outcome of a job. Returns `None` if it is not the mirror's.
    pub(super) fn job_done(
        &mut self,
        job: JobId,
        outcome: JobOutcome,
        cluster: Option<ClusterId>,
        out: &mut Outbox,
    ) -> Option<Vec<Said>> {
        if let Some((conn, question)) = self.reads.remove(&job) {
            return Some(vec![Said::Asker(conn, answer(question, outcome))]);
        }
        let Work::Surveying { job: mine, open } = self.work else {
            return None;
        };
        if mine != job {
            return None;
        }
        self.work = Work::None;
        let (present, aside) = match surveyed(outcome) {
            Ok(copies) => copies,
            Err(fault) => {
                // Nothing may be concluded from that: the next session looks again.
                let said = open.filter(|_| self.next.is_none()).map(|open| {
                    self.session = open.session;
                    self.refuse(LogPart::Segment(LogIndex(0)), fault)
                });
                self.begin(cluster, out);
                return Some(said.into_iter().collect());
            }
        };
        let mut said = Vec::new();
        let parts = |copy: &MirrorCopy| {
            copy.parts
                .iter()
                .map(|held| (held.part, held.len))
                .collect()
        };
        self.present = parts(&present);
        self.aside = parts(&aside);
        self.coming = None;
        for end in [&present.end, &aside.end].into_iter().flatten() {
            said.push(Said::Reaches(Some(end.lineage), end.index));
        }
        if let Some(open) = open.filter(|_| self.next.is_none()) {
            self.session = open.session;
            self.keep = open.keep;
            let superseded = superseded(&present);
            let mut copy = present;
            copy.parts.retain(|held| !superseded.contains(&held.part));
            for part in &superseded {
                self.present.remove(part);
            }
            let files = superseded.iter().map(|part| Shelf::Present.file(*part));
            self.remove(files.collect::<Vec<_>>(), out);
            let session = open.session;
            said.push(Said::Controller(Message::MirrorHas(MirrorHas {
                session,
                copy,
            })));
        }
        self.begin(cluster, out);
        Some(said)
    }

    // ---- whoever rebuilds ----

    /// Whoever rebuilds a controller's home asks what there is.
    pub(super) fn survey(
        &mut self,
        conn: ConnId,
        ask: MirrorSurvey,
        (witness, hears_controller): (Witness, bool),
        cluster: Option<ClusterId>,
        out: &mut Outbox,
    ) -> Option<Said> {
        let question = Question::Survey {
            nonce: ask.nonce,
            witness,
            hears_controller,
        };
        let Some(cluster) = cluster else {
            // A node that never joined a cluster has nothing.
            let nothing = JobOutcome::MirrorsSurveyed(Ok(Box::default()));
            return Some(Said::Asker(conn, answer(question, nothing)));
        };
        if self.reads.len() >= READS_MAX {
            // Whoever hears nothing does not take it for nothing.
            return None;
        }
        let deep = true;
        let job = out.job(Job::SurveyMirrors { cluster, deep });
        self.reads.insert(job, (conn, question));
        None
    }

    /// Whoever rebuilds a controller's home wants bytes.
    pub(super) fn read(&mut self, conn: ConnId, ask: MirrorRead, out: &mut Outbox) -> Option<Said> {
        let question = Question::Read { nonce: ask.nonce };
        if self.reads.len() >= READS_MAX {
            let busy = JobOutcome::PieceRead(Err("too many questions at a time".to_owned()));
            return Some(Said::Asker(conn, answer(question, busy)));
        }
        let shelf = if ask.aside {
            Shelf::Aside
        } else {
            Shelf::Present
        };
        let job = out.job(Job::ReadPiece(PieceAsk {
            file: shelf.file(ask.part),
            offset: ask.offset,
            len: ask.len.min(READ_MAX) as usize,
            sum_before: false,
        }));
        self.reads.insert(job, (conn, question));
        None
    }
}

/// The present mirror and the one put aside, or why they are not known.
fn surveyed(outcome: JobOutcome) -> Result<(MirrorCopy, MirrorCopy), String> {
    match outcome {
        JobOutcome::MirrorsSurveyed(Ok(copies)) => Ok(*copies),
        JobOutcome::MirrorsSurveyed(Err(fault)) => Err(fault),
        _ => Err("the node is busy".to_owned()),
    }
}

/// The answer to a question of a rebuild.
fn answer(question: Question, outcome: JobOutcome) -> Message {
    match question {
        Question::Survey {
            nonce,
            witness,
            hears_controller,
        } => {
            let (present, aside) = surveyed(outcome).unwrap_or_else(|fault| {
                let unknown = MirrorCopy {
                    fault,
                    ..MirrorCopy::default()
                };
                (unknown, MirrorCopy::default())
            });
            Message::MirrorSurveyed(MirrorSurveyed {
                nonce,
                witness,
                present,
                aside,
                hears_controller,
            })
        }
        Question::Read { nonce } => {
            let (bytes, fault) = match outcome {
                JobOutcome::PieceRead(Ok(Piece { bytes, .. })) => (bytes, String::new()),
                JobOutcome::PieceRead(Err(fault)) => (Vec::new(), fault),
                _ => (Vec::new(), "it could not be read".to_owned()),
            };
            Message::MirrorBytes(MirrorBytes {
                nonce,
                bytes,
                fault,
            })
        }
    }
}

/// The file of a checkpoint that is not whole yet.
fn coming(part: LogPart) -> FileName {
    Shelf::Present.file(part).temporary()
}

/// The operations that write a piece.
fn write(piece: &MirrorPiece) -> Vec<DiskOp> {
    let MirrorPiece {
        part,
        offset,
        bytes,
        complete,
        ..
    } = piece;
    let checkpoint = matches!(part, LogPart::Checkpoint(_));
    let named = Shelf::Present.file(*part);
    let file = if checkpoint {
        coming(*part)
    } else {
        named.clone()
    };
    let mut ops = vec![if *offset == 0 {
        DiskOp::CreateOrEmpty { file: file.clone() }
    } else {
        // A crash may have left more behind the good bytes.
        DiskOp::Truncate {
            file: file.clone(),
            len: *offset,
        }
    }];
    ops.push(DiskOp::Append {
        file: file.clone(),
        offset: *offset,
        bytes: bytes.clone(),
    });
    if checkpoint && !complete {
        return ops;
    }
    ops.push(DiskOp::Sync { file: file.clone() });
    if checkpoint {
        ops.push(DiskOp::Rename {
            from: file,
            to: named,
        });
    }
    if checkpoint || *offset == 0 {
        ops.push(DiskOp::SyncDir);
    }
    ops
}

/// What the newest checkpoint of a mirror replaces. Nothing, unless the mirror was read back with it.
fn superseded(copy: &MirrorCopy) -> Vec<LogPart> {
    let parts: Vec<LogPart> = copy.parts.iter().map(|held| held.part).collect();
    let newest = parts.iter().filter_map(|part| match part {
        LogPart::Checkpoint(last) => Some(*last),
        LogPart::Segment(_) => None,
    });
    let (Some(newest), Some(_)) = (newest.max(), &copy.end) else {
        return Vec::new();
    };
    let older =
        (parts.iter()).filter(|part| matches!(part, LogPart::Checkpoint(last) if *last < newest));
    let covered = parts.windows(2).filter_map(|pair| match pair {
        [LogPart::Segment(_), LogPart::Segment(next)] if *next <= newest.next() => Some(&pair[0]),
        _ => None,
    });
    older.chain(covered).copied().collect()
}

fn background(ops: Vec<DiskOp>, out: &mut Outbox) -> DiskTicket {
    let ticket = out.ticket();
    out.push(Effect::Disk(DiskBatch {
        ticket,
        lane: Lane::Background,
        ops,
    }));
    ticket
}

#[cfg(test)]
mod tests;
