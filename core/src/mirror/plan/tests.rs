//! A mirror is brought up step by step, with whatever the log does in between.

use super::*;
use crate::mirror::words::PartHeld;

fn log(checkpoints: &[u64], segments: &[u64], open: Option<(u64, u64)>, synced: u64) -> LogFiles {
    let indexes = |of: &[u64]| of.iter().map(|index| LogIndex(*index)).collect();
    LogFiles {
        checkpoints: indexes(checkpoints),
        segments: indexes(segments),
        open: open.map(|(first, len)| (LogIndex(first), len)),
        synced: LogIndex(synced),
    }
}

fn held(parts: &[(LogPart, u64)]) -> Held {
    let parts = (parts.iter())
        .map(|(part, len)| PartHeld {
            part: *part,
            len: *len,
        })
        .collect();
    Held::of(&MirrorCopy {
        parts,
        ..MirrorCopy::default()
    })
}

fn segment(first: u64) -> LogPart {
    LogPart::Segment(LogIndex(first))
}

fn checkpoint(last: u64) -> LogPart {
    LogPart::Checkpoint(LogIndex(last))
}

fn send(part: LogPart, offset: u64, end: Option<u64>, upto: u64) -> Step {
    Step::Send {
        part,
        offset,
        end,
        upto: LogIndex(upto),
    }
}

const MUCH: u64 = 1000;

#[test]
fn a_log_without_checkpoints_is_sent_from_its_first_record() {
    let own = log(&[], &[1, 10], Some((10, 500)), 15);
    let mut copy = held(&[]);
    assert_eq!(next_step(&own, &copy, MUCH), send(segment(1), 0, None, 9));
    copy.note(segment(1), 400, false);
    assert_eq!(next_step(&own, &copy, MUCH), send(segment(1), 400, None, 9));
    copy.note(segment(1), 700, true);
    assert_eq!(
        next_step(&own, &copy, MUCH),
        send(segment(10), 0, Some(500), 15)
    );
    copy.note(segment(10), 500, false);
    assert_eq!(next_step(&own, &copy, MUCH), Step::Settled);
    let grown = log(&[], &[1, 10], Some((10, 640)), 17);
    assert_eq!(
        next_step(&grown, &copy, MUCH),
        send(segment(10), 500, Some(640), 17)
    );
}

#[test]
fn a_new_mirror_begins_with_the_newest_checkpoint_and_the_segment_behind_it() {
    let own = log(&[20, 40], &[21, 41], Some((41, 100)), 45);
    let mut copy = held(&[]);
    assert_eq!(
        next_step(&own, &copy, MUCH),
        send(checkpoint(40), 0, None, 0)
    );
    copy.note(checkpoint(40), 256, false);
    assert_eq!(
        next_step(&own, &copy, MUCH),
        send(checkpoint(40), 256, None, 0)
    );
    // A newer one does not interrupt it, as long as it is there.
    let later = log(&[40, 60], &[41, 61], Some((61, 100)), 65);
    assert_eq!(
        next_step(&later, &copy, MUCH),
        send(checkpoint(40), 256, None, 0)
    );
    let without = log(&[60, 80], &[61, 81], Some((81, 100)), 85);
    assert_eq!(
        next_step(&without, &copy, MUCH),
        send(checkpoint(80), 0, None, 0)
    );

    let copy = held(&[(checkpoint(40), 900)]);
    assert_eq!(
        next_step(&own, &copy, MUCH),
        send(segment(41), 0, Some(100), 45)
    );
    // Nothing came behind the checkpoint yet.
    let quiet = log(&[20, 40], &[21], Some((21, 300)), 40);
    assert_eq!(
        next_step(&quiet, &copy, MUCH),
        send(segment(21), 0, Some(300), 40)
    );
    let repaired = log(&[40], &[], None, 40);
    assert_eq!(next_step(&repaired, &copy, MUCH), Step::Settled);
}

#[test]
fn a_checkpoint_is_sent_only_when_it_replaces_much() {
    let own = log(&[20], &[1, 21], Some((21, 600)), 25);
    let copy = |len| {
        let mut copy = held(&[(segment(1), 900), (segment(21), len)]);
        copy.whole.insert(LogIndex(1));
        copy
    };
    assert_eq!(next_step(&own, &copy(600), 2000), Step::Settled);
    assert_eq!(
        next_step(&own, &copy(600), 1000),
        send(checkpoint(20), 0, None, 0)
    );
    // The log's end comes first.
    assert_eq!(
        next_step(&own, &copy(500), 1000),
        send(segment(21), 500, Some(600), 25)
    );
    let has_it = held(&[(checkpoint(20), 50), (segment(21), 600)]);
    assert_eq!(next_step(&own, &has_it, 100), Step::Settled);
}

#[test]
fn what_the_log_does_not_have_is_not_continued() {
    let own = log(&[40, 60], &[41, 61], Some((61, 100)), 65);
    // Its last segment is gone from the log.
    assert_eq!(
        next_step(&own, &held(&[(segment(21), 800)]), MUCH),
        Step::Anew
    );
    // It has more than is durable.
    let longer = held(&[(checkpoint(60), 900), (segment(61), 101)]);
    assert_eq!(next_step(&own, &longer, MUCH), Step::Anew);
    // A checkpoint behind which the log has a gap.
    assert_eq!(
        next_step(&own, &held(&[(checkpoint(20), 900)]), MUCH),
        Step::Anew
    );
}
