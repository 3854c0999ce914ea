//! What operations do in memory is what a file system does, and what it refuses is a bug of whoever asks.

use std::collections::BTreeMap;

use super::{DiskOp, FileName};

fn file(name: &'static str) -> FileName {
    FileName::fixed(name)
}

fn append(offset: u64, bytes: &[u8]) -> DiskOp {
    DiskOp::Append {
        file: file("a"),
        offset,
        bytes: bytes.to_vec(),
    }
}

fn applied(ops: &[DiskOp]) -> BTreeMap<FileName, Vec<u8>> {
    let mut files = BTreeMap::new();
    ops.iter().for_each(|op| op.apply_in_memory(&mut files));
    files
}

fn created() -> DiskOp {
    DiskOp::CreateNew { file: file("a") }
}

fn renamed(from: &'static str, to: &'static str) -> DiskOp {
    let (from, to) = (file(from), file(to));
    DiskOp::Rename { from, to }
}

fn cut(len: u64) -> DiskOp {
    let file = file("a");
    DiskOp::Truncate { file, len }
}

#[test]
fn what_is_written_is_there() {
    let written = [created(), append(0, b"abc"), append(3, b"de")];
    let with = |more: &[DiskOp]| applied(&[&written, more].concat());
    let only = |name, contents: &[u8]| BTreeMap::from([(file(name), contents.to_vec())]);
    assert_eq!(with(&[]), only("a", b"abcde"));
    assert_eq!(with(&[cut(2)]), only("a", b"ab"));
    assert_eq!(with(&[cut(5), renamed("a", "b")]), only("b", b"abcde"));
    let empty = DiskOp::CreateOrEmpty { file: file("a") };
    assert_eq!(with(&[empty]), only("a", b""));
    let sync = DiskOp::Sync { file: file("a") };
    assert_eq!(with(&[sync, DiskOp::SyncDir]), only("a", b"abcde"));
    let remove = DiskOp::Remove { file: file("a") };
    assert!(with(&[remove.clone(), remove]).is_empty());
}

#[test]
fn space_is_set_aside_and_a_file_that_is_longer_is_not_cut() {
    let reserve = |len| DiskOp::Reserve {
        file: file("a"),
        len,
    };
    assert_eq!(applied(&[reserve(3)])[&file("a")], [0; 3]);
    assert_eq!(applied(&[reserve(3), reserve(2)])[&file("a")], [0; 3]);
}

#[test]
fn a_rename_takes_the_place_of_what_has_the_name() {
    let empty = DiskOp::CreateNew { file: file("b") };
    let files = applied(&[created(), append(0, b"abc"), empty, renamed("a", "b")]);
    assert_eq!(files, BTreeMap::from([(file("b"), b"abc".to_vec())]));
}

#[test]
#[should_panic(expected = "a is created, and there is one")]
fn a_name_that_is_taken_is_not_created() {
    applied(&[created(), created()]);
}

#[test]
#[should_panic(expected = "a is written at its end")]
fn bytes_do_not_go_elsewhere_than_to_the_end() {
    applied(&[created(), append(1, b"abc")]);
}

#[test]
#[should_panic(expected = "there is no a")]
fn a_file_is_created_before_it_is_written() {
    applied(&[append(0, b"abc")]);
}

#[test]
#[should_panic(expected = "a has 0 bytes and is cut to 1")]
fn a_cut_makes_nothing_longer() {
    applied(&[created(), cut(1)]);
}

#[test]
#[should_panic(expected = "there is no a")]
fn what_is_not_there_is_not_renamed() {
    applied(&[renamed("a", "b")]);
}
