//! The copies of a label while its volume is in use.

use crate::disk::FileName;
use crate::ids::{ClusterId, DiskTicket, LogIndex, NodeId};
use crate::metalog::tests::disk::ModelDisk;
use crate::store::Label;
use crate::store::fuzz::{Files, good_label};
use crate::store::label::{LabelCopy, Standing, label_batch, label_files, read_copies, standing};

/// A disk on which both copies say what the volume is.
fn labelled() -> Files {
    let mut disk = ModelDisk::default();
    for op in label_batch(DiskTicket(1), &good_label()).ops {
        disk.carry_out(&op).unwrap();
    }
    disk.contents()
}

fn flip(files: &mut Files, file: &FileName) {
    files.get_mut(file).unwrap()[20] ^= 1;
}

fn standing_of(files: &Files) -> Standing {
    standing(&good_label(), &read_copies(files).unwrap())
}

/// What is on the disk when what was found wrong has been written again.
fn healed(files: &Files, reasons: &[&str]) -> Files {
    let Standing::Heal(reason) = standing_of(files) else {
        panic!("it is not healed: {:?}", standing_of(files));
    };
    for wanted in reasons {
        assert!(reason.contains(wanted), "{reason}");
    }
    let mut disk = ModelDisk::of(files);
    for op in label_batch(DiskTicket(1), &good_label()).ops {
        disk.carry_out(&op).unwrap();
    }
    disk.contents()
}

#[test]
fn whatever_a_disk_does_to_a_label_is_mended() {
    let good = labelled();
    assert_eq!(standing_of(&good), Standing::Whole);
    let [first, second] = label_files();
    for file in [&first, &second] {
        let wrong = format!("the checksum of {file} is wrong");
        let mut files = good.clone();
        flip(&mut files, file);
        assert_eq!(healed(&files, &[&wrong]), good);

        files.get_mut(file).unwrap().clear();
        assert_eq!(healed(&files, &[&wrong]), good);

        files.remove(file);
        assert_eq!(healed(&files, &[&format!("{file} is not there")]), good);
    }
    // Whoever finds this at its start cannot know any more what the volume is.
    let mut files = good.clone();
    flip(&mut files, &first);
    flip(&mut files, &second);
    assert_eq!(healed(&files, &["vaquita.vol is", "vaquita.vol.bak"]), good);
    files.remove(&first);
    assert_eq!(healed(&files, &["vaquita.vol is not there"]), good);
}

#[test]
fn a_copy_that_cannot_be_read_is_mended() {
    let label = good_label();
    let [first, _] = label_files();
    let unreadable = LabelCopy::of(&first, Err("Input/output error".to_owned()));
    let copies = [unreadable, LabelCopy::Says(label.clone())];
    let reason = "Input/output error".to_owned();
    assert_eq!(standing(&label, &copies), Standing::Heal(reason));
}

/// A crash came between the two copies of the label that gave the volume to its present owner.
#[test]
fn a_copy_from_before_is_mended_and_one_from_afterwards_is_not() {
    let label = Label {
        epoch: LogIndex(40),
        ..good_label()
    };
    let of = |epoch| Label {
        owner: NodeId::new([0x77; 16]),
        epoch: LogIndex(epoch),
        ..good_label()
    };
    let with = |other| [LabelCopy::Says(label.clone()), LabelCopy::Says(other)];
    let older = standing(&label, &with(of(39)));
    assert!(matches!(older, Standing::Heal(_)), "{older:?}");
    for epoch in [40, 41] {
        let newer = standing(&label, &with(of(epoch)));
        assert!(matches!(newer, Standing::Changed(_)), "{newer:?}");
    }
}

/// Whatever else is wrong: what a person, or another process, has written is never written over.
#[test]
fn what_somebody_has_done_to_a_label_is_told_and_left_alone() {
    let label = good_label();
    let theirs = Label {
        cluster: ClusterId::new([0x55; 16]),
        ..good_label()
    };
    let [first, _] = label_files();
    let others = [
        LabelCopy::Says(label.clone()),
        LabelCopy::Missing,
        LabelCopy::of(&first, Ok(Some(b"nonsense"))),
    ];
    for strange in [LabelCopy::Says(theirs), LabelCopy::Newer(2)] {
        for other in &others {
            for copies in [
                [strange.clone(), other.clone()],
                [other.clone(), strange.clone()],
            ] {
                let standing = standing(&label, &copies);
                assert!(matches!(standing, Standing::Changed(_)), "{copies:?}");
            }
        }
    }
    let gone = standing(&label, &[LabelCopy::Missing, LabelCopy::Missing]);
    assert!(matches!(gone, Standing::Changed(_)), "{gone:?}");
}
