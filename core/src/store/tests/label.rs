//! Label or refuse.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::rig::{Rig, open};
use crate::dfs::ask::VolumeState;
use crate::dfs::ids::VolumeId;
use crate::disk::FileName;
use crate::ids::{Alias, ClusterId, DiskTicket, LogIndex, NodeId};
use crate::message::VolumeOwner;
use crate::metalog::tests::choices::for_all;
use crate::metalog::tests::disk::{Crash, ModelDisk};
use crate::planted::Planted;
use crate::store::Label;
use crate::store::fuzz::{Files, VOLUME, good_label};
use crate::store::label::{Claim, LabelCopy, Verdict, judge, label_batch, read_copies};
use crate::store::scan::{LabelFound, scan};

fn claim() -> Claim<'static> {
    Claim {
        node: good_label().owner,
        cluster: Some(good_label().cluster),
        path: "/disk",
        remembered: Some(VOLUME),
        alias: &ALIAS,
        epoch: LogIndex(0),
        owners: &NO_OWNERS,
    }
}

static ALIAS: LazyLock<Alias> = LazyLock::new(|| good_label().alias);
static NO_OWNERS: BTreeMap<VolumeId, VolumeOwner> = BTreeMap::new();

/// The good volume was given to this node, at this path, by the record 40.
fn given(node: NodeId, path: &str) -> BTreeMap<VolumeId, VolumeOwner> {
    let owner = VolumeOwner {
        volume: VOLUME,
        node,
        epoch: LogIndex(40),
        path: path.to_owned(),
        alias: Alias::new("D2").unwrap(),
    };
    BTreeMap::from([(VOLUME, owner)])
}

fn someone() -> NodeId {
    NodeId::new([0x77; 16])
}

/// The label of somebody else's volume, as of a record.
fn theirs(epoch: u64) -> LabelFound {
    LabelFound::Here(Label {
        owner: someone(),
        alias: Alias::new("D7").unwrap(),
        epoch: LogIndex(epoch),
        ..good_label()
    })
}

#[test]
fn a_volume_that_was_given_to_a_node_gets_its_label_at_that_place_and_once() {
    let owners = given(good_label().owner, "/disk");
    let mut claim = Claim {
        owners: &owners,
        remembered: None,
        ..claim()
    };
    let wanted = Label {
        epoch: LogIndex(40),
        ..good_label()
    };
    let adopt = Verdict::Adopt {
        label: wanted.clone(),
        from: Alias::new("D7").unwrap(),
    };
    assert_eq!(judge(&claim, &theirs(0)), adopt);
    // A crash behind the record: the old owner's label, or the new one.
    assert_eq!(judge(&claim, &theirs(39)), adopt);
    for seen in [0, 40] {
        claim.epoch = LogIndex(seen);
        let found = LabelFound::Here(wanted.clone());
        assert_eq!(judge(&claim, &found), used(wanted.clone()));
    }
    claim.epoch = LogIndex(0);
    // A copy of the disk from before, at another place.
    claim.path = "/other";
    let (state, reason) = refusal(&claim, &theirs(0));
    assert_eq!(state, VolumeState::Foreign);
    assert!(reason.contains("older copy"), "{reason}");
    // The same in the place of the disk that was given, which the node has used.
    claim.path = "/disk";
    claim.epoch = LogIndex(40);
    let (_, reason) = refusal(&claim, &theirs(0));
    assert!(reason.contains("older copy"), "{reason}");
    assert!(reason.contains("vaquita volume adopt D1 /disk"), "{reason}");
}

#[test]
fn a_copy_of_a_volume_that_was_given_away_is_refused_to_whom_it_belonged() {
    let owners = given(someone(), "/elsewhere");
    let claim = Claim {
        owners: &owners,
        ..claim()
    };
    let (state, reason) = refusal(&claim, &LabelFound::Here(good_label()));
    assert_eq!(state, VolumeState::Foreign);
    assert!(reason.contains("was given to node D2"), "{reason}");
    // It came back by a later order, of which this list does not know.
    let back = Label {
        epoch: LogIndex(50),
        ..good_label()
    };
    let claim = Claim {
        epoch: LogIndex(50),
        ..claim
    };
    assert_eq!(judge(&claim, &LabelFound::Here(back.clone())), used(back));
}

#[test]
fn a_crash_while_a_volume_is_given_to_a_node_leaves_one_that_is_used_or_given_again() {
    let owners = given(good_label().owner, "/disk");
    let claim = Claim {
        owners: &owners,
        remembered: None,
        ..claim()
    };
    let LabelFound::Here(before) = theirs(0) else {
        panic!("it is a label");
    };
    let wanted = Label {
        epoch: LogIndex(40),
        ..good_label()
    };
    let mut disk = ModelDisk::default();
    for op in label_batch(DiskTicket(1), &before).ops {
        disk.carry_out(&op).unwrap();
    }
    for (done, op) in label_batch(DiskTicket(2), &wanted).ops.iter().enumerate() {
        disk.carry_out(op).unwrap();
        for_all(200, done as u64, |choices| {
            let files = disk.crash(Crash::Garbage, choices).contents();
            let (label, _) = scan(&files).unwrap();
            let verdict = judge(&claim, &label);
            let both =
                read_copies(&files).unwrap() == [(); 2].map(|()| LabelCopy::Says(wanted.clone()));
            let again = match &verdict {
                Verdict::Adopt { label, .. } => *label == wanted,
                Verdict::Use { label, heal, .. } => *label == wanted && heal.is_none() == both,
                _ => false,
            };
            assert!(again, "after {done}: {verdict:?}");
        });
    }
}

#[test]
fn nobody_elses_volume_is_used_whatever_was_given() {
    let owners = given(good_label().owner, "/disk");
    let claim = Claim {
        owners: &owners,
        ..claim()
    };
    let (state, _) = refusal(&claim, &theirs(41));
    assert_eq!(state, VolumeState::Foreign);
    let LabelFound::Here(mut label) = theirs(0) else {
        panic!("it is a label");
    };
    label.cluster = ClusterId::new([9; 16]);
    let (_, reason) = refusal(&claim, &LabelFound::Here(label));
    assert!(reason.contains("another cluster"), "{reason}");
}

fn used(label: Label) -> Verdict {
    Verdict::Use {
        label,
        heal: None,
        instead_of: None,
    }
}

/// State and text of a refusal.
fn refusal(claim: &Claim<'_>, found: &LabelFound) -> (VolumeState, String) {
    match judge(claim, found) {
        Verdict::Refuse { state, reason } => (state, reason),
        other => panic!("not refused: {other:?}"),
    }
}

const fn none(others: Vec<String>) -> LabelFound {
    LabelFound::None { others }
}

#[test]
fn the_own_label_is_used_whether_it_is_remembered_or_not() {
    let found = LabelFound::Here(good_label());
    assert_eq!(judge(&claim(), &found), used(good_label()));
    let mut forgetful = claim();
    forgetful.remembered = None;
    assert_eq!(judge(&forgetful, &found), used(good_label()));
    forgetful.cluster = None;
    assert_eq!(judge(&forgetful, &found), used(good_label()));
}

#[test]
fn another_volume_of_the_same_node_is_used_and_said() {
    let mut moved = claim();
    moved.remembered = Some(VolumeId([1; 16]));
    let Verdict::Use { instead_of, .. } = judge(&moved, &LabelFound::Here(good_label())) else {
        panic!("it is the node's own");
    };
    assert_eq!(instead_of, Some(VolumeId([1; 16])));
}

#[test]
fn a_remembered_volume_without_a_label_is_missing_even_in_an_empty_directory() {
    for others in [vec![], vec!["lost".to_owned()]] {
        let (state, reason) = refusal(&claim(), &none(others));
        assert_eq!(state, VolumeState::Missing);
        assert!(reason.contains("not mounted"), "{reason}");
    }
}

#[test]
fn only_an_empty_directory_becomes_a_new_volume() {
    let mut new = claim();
    new.remembered = None;
    assert_eq!(judge(&new, &none(vec![])), Verdict::Label);
    let photos = (1..=5).map(|n| format!("photo-{n}.jpg")).collect();
    let (state, reason) = refusal(&new, &none(photos));
    assert_eq!(state, VolumeState::Foreign);
    assert!(reason.contains("photo-1.jpg, photo-2.jpg, photo-3.jpg, …"));
    new.cluster = None;
    assert_eq!(judge(&new, &none(vec![])), Verdict::Wait);
}

#[test]
fn a_volume_of_another_node_or_cluster_is_foreign() {
    let found = LabelFound::Here(good_label());
    let mut other = claim();
    other.node = NodeId::new([9; 16]);
    let (state, reason) = refusal(&other, &found);
    assert_eq!(state, VolumeState::Foreign);
    assert!(reason.contains("belongs to node D1"), "{reason}");
    let mut other = claim();
    other.cluster = Some(ClusterId::new([9; 16]));
    let (state, reason) = refusal(&other, &found);
    assert_eq!(state, VolumeState::Foreign);
    assert!(reason.contains("another cluster"), "{reason}");
}

/// A disk with both copies.
fn labelled() -> Files {
    super::rig::labelled().contents()
}

#[test]
fn a_damaged_label_is_healed_from_its_second_copy_and_refused_without() {
    let first = FileName::fixed("vaquita.vol");
    let second = FileName::fixed("vaquita.vol.bak");
    let mut files = labelled();
    files.get_mut(&first).unwrap()[20] ^= 1;
    let (label, _) = scan(&files).unwrap();
    let Verdict::Use { label, heal, .. } = judge(&claim(), &label) else {
        panic!("the second copy is good");
    };
    assert_eq!(label, good_label());
    assert_eq!(
        heal.as_deref(),
        Some("the checksum of vaquita.vol is wrong")
    );

    files.remove(&first);
    let (label, _) = scan(&files).unwrap();
    assert!(matches!(label, LabelFound::OneCopy { .. }), "{label:?}");

    let mut files = labelled();
    files.get_mut(&first).unwrap()[20] ^= 1;
    files.get_mut(&second).unwrap()[21] ^= 1;
    let (label, _) = scan(&files).unwrap();
    let (state, reason) = refusal(&claim(), &label);
    assert_eq!(state, VolumeState::Failed);
    assert!(reason.contains("vaquita.vol.bak"), "{reason}");

    let mut files = labelled();
    files.get_mut(&first).unwrap()[20] ^= 1;
    files.remove(&second);
    let (label, _) = scan(&files).unwrap();
    assert!(matches!(label, LabelFound::Damaged { .. }), "{label:?}");

    // The second one is made good while the first is.
    let mut files = labelled();
    files.get_mut(&second).unwrap()[21] ^= 1;
    for wrong in [
        "the checksum of vaquita.vol.bak is wrong",
        "vaquita.vol.bak is not there",
    ] {
        let (label, _) = scan(&files).unwrap();
        let Verdict::Use { label, heal, .. } = judge(&claim(), &label) else {
            panic!("the first copy is good");
        };
        assert_eq!((label, heal.as_deref()), (good_label(), Some(wrong)));
        files.remove(&second);
    }
}

#[test]
fn what_mkfs_leaves_and_an_unfinished_label_do_not_make_a_directory_used() {
    struct Names(Vec<&'static str>);
    impl crate::store::scan::VolumeRead for Names {
        fn list(&self) -> Result<Vec<String>, crate::store::scan::ReadFault> {
            Ok(self.0.iter().map(ToString::to_string).collect())
        }
        fn len(&self, _: &FileName) -> Result<u64, crate::store::scan::ReadFault> {
            Ok(0)
        }
        fn read_at(
            &self,
            _: &FileName,
            _: u64,
            _: &mut [u8],
        ) -> Result<usize, crate::store::scan::ReadFault> {
            Ok(0)
        }
    }
    let fresh = Names(vec!["lost+found", "vaquita.vol.tmp"]);
    assert_eq!(scan(&fresh).unwrap().0, none(vec![]));
    let used = Names(vec!["lost+found", "Photos"]);
    assert_eq!(scan(&used).unwrap().0, none(vec!["Photos".to_owned()]));
}

#[test]
fn a_crash_while_a_label_is_written_leaves_a_new_volume_or_a_labelled_one() {
    let mut new = claim();
    new.remembered = None;
    let mut disk = ModelDisk::default();
    let mut labelled = false;
    let ops = label_batch(DiskTicket(1), &good_label()).ops;
    for (done, op) in ops.iter().enumerate() {
        disk.carry_out(op).unwrap();
        // The label's name is durable behind its first five operations.
        labelled |= done >= 4;
        for_all(200, done as u64, |choices| {
            let files = disk.crash(Crash::Garbage, choices).contents();
            let (label, _) = scan(&files).unwrap();
            let verdict = judge(&new, &label);
            let is_used = matches!(&verdict, Verdict::Use { label, .. } if *label == good_label());
            assert!(
                is_used || verdict == Verdict::Label && !labelled,
                "after {done}: {verdict:?}"
            );
        });
    }
}

#[test]
fn a_crash_while_a_label_is_healed_leaves_a_good_copy() {
    let mut files = labelled();
    files.get_mut(&FileName::fixed("vaquita.vol")).unwrap()[20] ^= 1;
    let mut disk = ModelDisk::of(&files);
    for op in label_batch(DiskTicket(1), &good_label()).ops {
        disk.carry_out(&op).unwrap();
        for_all(200, 0, |choices| {
            let files = disk.crash(Crash::Garbage, choices).contents();
            let (label, _) = scan(&files).unwrap();
            assert_eq!(label.label(), Some(&good_label()));
        });
    }
    assert!(matches!(
        scan(&disk.contents()).unwrap().0,
        LabelFound::Here(_)
    ));
}

#[test]
fn nothing_behind_a_label_that_cannot_be_read_is_looked_at() {
    let mut rig = Rig::tiny();
    rig.put(10);
    rig.run();
    let mut files = rig.disk.contents();
    files.remove(&FileName::fixed("vaquita.vol"));
    files.remove(&FileName::fixed("vaquita.vol.bak"));
    let opened = open(&files, Planted::default());
    assert!(opened.found.segments.is_empty());
    assert_eq!(
        opened.label,
        none(vec!["seg-00000000000000000001.seg".to_owned()])
    );
}
