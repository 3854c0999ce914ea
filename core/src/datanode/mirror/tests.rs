//! What a node does with a mirror, one message, job and batch after the other.

use super::*;
use crate::mirror::words::{MirrorEnd, PartHeld};

const CLUSTER: ClusterId = ClusterId::new([1; 16]);
const LINEAGE: LineageId = LineageId::new([2; 16]);

/// A mirror, and what it has asked for.
struct Bench {
    mirror: Mirror,
    out: Outbox,
}

impl Bench {
    fn new() -> Self {
        Self {
            mirror: Mirror::default(),
            out: Outbox::default(),
        }
    }

    fn open(&mut self, session: u64, keep: bool) {
        let open = MirrorOpen { session, keep };
        self.mirror.open(open, Some(CLUSTER), &mut self.out);
    }

    /// The look that is under way, if there is one.
    fn look(&mut self) -> Option<JobId> {
        let mut found = None;
        while let Some(effect) = self.out.pop() {
            if let Effect::Job { job, .. } = effect {
                found = Some(job);
            }
        }
        found
    }

    /// The batch that was asked for.
    fn batch(&mut self) -> DiskBatch {
        loop {
            match self.out.pop().expect("something is to be written") {
                Effect::Disk(batch) => return batch,
                _ => continue,
            }
        }
    }

    /// The look has shown these mirrors.
    fn shows(&mut self, job: JobId, present: MirrorCopy, aside: MirrorCopy) -> Vec<Said> {
        let outcome = JobOutcome::MirrorsSurveyed(Ok(Box::new((present, aside))));
        let said = (self.mirror).job_done(job, outcome, Some(CLUSTER), &mut self.out);
        said.expect("it is the mirror's job")
    }

    fn done(&mut self, ticket: DiskTicket) -> Vec<Said> {
        let said = (self.mirror).disk_done(ticket, &Ok(()), Some(CLUSTER), &mut self.out);
        said.expect("it is the mirror's batch")
    }
}

/// A segment with so many bytes, up to a record.
fn copy(len: u64, index: u64) -> MirrorCopy {
    MirrorCopy {
        parts: vec![PartHeld {
            part: LogPart::Segment(LogIndex(1)),
            len,
        }],
        end: Some(MirrorEnd {
            lineage: LINEAGE,
            index: LogIndex(index),
            epoch: crate::ids::ControllerEpoch(1),
            instances: Vec::new(),
            starts: Vec::new(),
        }),
        ..MirrorCopy::default()
    }
}

fn anew(session: u64) -> MirrorPiece {
    MirrorPiece {
        session,
        part: LogPart::Segment(LogIndex(1)),
        offset: 0,
        bytes: vec![7; 40],
        upto: LogIndex(0),
        anew: true,
        complete: false,
    }
}

#[test]
fn a_node_that_is_asked_too_much_says_nothing_rather_than_that_it_has_nothing() {
    let mut bench = Bench::new();
    let (conn, seen) = (ConnId(3), (Witness::default(), false));
    let mut ask = |nonce| {
        let ask = MirrorSurvey { nonce };
        (bench.mirror).survey(conn, ask, seen, Some(CLUSTER), &mut bench.out)
    };
    for nonce in 0..READS_MAX as u64 + 3 {
        assert_eq!(ask(nonce), None, "an answer to question {nonce}");
    }
    assert_eq!(bench.mirror.reads.len(), READS_MAX);
}

#[test]
fn a_mirror_is_shown_before_it_is_removed_and_looked_at_again_when_it_is_gone() {
    let mut bench = Bench::new();
    bench.open(5, false);
    let job = bench.look().expect("it looks first");
    let said = bench.shows(job, copy(400, 9), MirrorCopy::default());
    let shown = said.iter().any(
        |it| matches!(it, Said::Controller(Message::MirrorHas(has)) if has.copy == copy(400, 9)),
    );
    assert!(shown, "{said:?}");
    assert!(bench.out.pop().is_none(), "nothing is removed on its own");

    let settled = MirrorSettled { session: 5 };
    bench.mirror.settled(settled, &mut bench.out);
    let removal = bench.batch();
    let file = Shelf::Present.file(LogPart::Segment(LogIndex(1)));
    assert_eq!(removal.ops, [DiskOp::Remove { file }, DiskOp::SyncDir]);
    bench.open(6, true);
    assert_eq!(
        bench.look(),
        None,
        "what is being removed would seem to be there"
    );
    assert_eq!(bench.done(removal.ticket), []);
    assert!(bench.look().is_some());
}

#[test]
fn what_was_put_aside_stays_until_another_is_complete_whatever_is_begun_meanwhile() {
    let mut bench = Bench::new();
    bench.open(1, true);
    let job = bench.look().expect("it looks");
    bench.shows(job, copy(400, 9), MirrorCopy::default());
    assert_eq!(bench.mirror.piece(anew(1), None, &mut bench.out), None);
    let aside = Shelf::Aside.file(LogPart::Segment(LogIndex(1)));
    let present = Shelf::Present.file(LogPart::Segment(LogIndex(1)));
    let (from, to) = (present.clone(), aside.clone());
    assert_eq!(bench.batch().ops[0], DiskOp::Rename { from, to });

    // The process ends in the midst of it. What is there then is begun anew once more.
    let mut bench = Bench::new();
    bench.open(1, true);
    let job = bench.look().expect("it looks");
    let torn = MirrorCopy {
        end: None,
        fault: "it has no record".to_owned(),
        ..copy(40, 0)
    };
    bench.shows(job, torn, copy(400, 9));
    assert_eq!(bench.mirror.piece(anew(1), None, &mut bench.out), None);
    let batch = bench.batch();
    assert_eq!(batch.ops[0], DiskOp::Remove { file: present });
    let touched = |op: &DiskOp| format!("{op:?}").contains(aside.as_str());
    assert!(!batch.ops.iter().any(touched), "{batch:?}");
    bench.done(batch.ticket);

    let settled = MirrorSettled { session: 1 };
    bench.mirror.settled(settled, &mut bench.out);
    assert_eq!(bench.batch().ops[0], DiskOp::Remove { file: aside });
}
