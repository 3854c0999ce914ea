//! What the namespace answers.

use super::*;
use crate::admin::Refusal;
use crate::dfs::ask::{EntryKind, file_digest};

/// /d with the files a (one chunk), b (three) and c (none).
fn tree() -> Tree {
    let mut tree = Tree::default();
    tree.dir("/d");
    tree.put(
        "/d/b",
        vec![chunk(5, 10, &[1]), chunk(3, 10, &[1, 2]), chunk(9, 4, &[2])],
    );
    tree.put("/d/c", vec![]);
    tree.put("/d/a", vec![chunk(7, 6, &[3])]);
    tree
}

#[test]
fn an_entry_says_what_is_there() {
    let tree = tree();
    let parts = [chunk(5, 10, &[]), chunk(3, 10, &[]), chunk(9, 4, &[])];
    let several = file_digest(parts.iter().map(|chunk| (chunk.len, chunk.digest)));
    for (text, kind, len, count, digest) in [
        ("/", EntryKind::Directory, 0, 1, None),
        ("/d", EntryKind::Directory, 0, 3, None),
        ("/d/a", EntryKind::File, 6, 1, Some(chunk(7, 6, &[]).digest)),
        ("/d/b", EntryKind::File, 24, 3, Some(several)),
        ("/d/c", EntryKind::File, 0, 0, Some(Digest::of(&[]))),
    ] {
        let entry = tree.state.stat(&path(text)).unwrap();
        assert_eq!(entry.path, path(text));
        assert_eq!((entry.kind, entry.len), (kind, len), "{text}");
        assert_eq!((entry.count, entry.digest), (count, digest), "{text}");
        assert_eq!(entry.inode, tree.id(text));
        assert_eq!(tree.state.path(entry.inode), Some(path(text)));
    }
    assert_eq!(tree.state.path(InodeId(77)), None);
}

#[test]
fn a_directory_is_listed_page_by_page_in_the_order_of_names() {
    let tree = tree();
    let page = |after: Option<&str>, limit| {
        let listing = tree.state.list(&path("/d"), after, limit).unwrap();
        let names = listing.entries.iter().map(|entry| entry.path.to_string());
        (names.collect::<Vec<_>>(), listing.more)
    };
    let owned = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(page(None, 2), (owned(&["dfs://d/a", "dfs://d/b"]), true));
    assert_eq!(page(Some("b"), 2), (owned(&["dfs://d/c"]), false));
    assert_eq!(page(Some("aa"), 1), (owned(&["dfs://d/b"]), true));
    assert_eq!(page(Some("c"), 9), (owned(&[]), false));
    let refusal = tree.state.list(&path("/d/a"), None, 9).unwrap_err();
    assert!(matches!(refusal, Refusal::Conflict { .. }), "{refusal}");
}

#[test]
fn what_is_missing_is_named_with_the_name_that_is_nearest() {
    let mut tree = tree();
    tree.dir("/data/archive");
    for (text, expected) in [
        (
            "/data/archiv",
            "dfs://data/archiv does not exist; there is `archive`",
        ),
        ("/dta/archive", "dfs://dta does not exist; there is `data`"),
        ("/data/xyz/q", "dfs://data/xyz does not exist"),
        (
            "/d/a/q",
            "dfs://d/a is a file, so that nothing can be in it",
        ),
    ] {
        let missing = tree.state.resolve(&path(text)).unwrap_err();
        assert_eq!(missing.to_string(), expected);
    }
}

#[test]
fn the_chunks_of_a_file_are_found_by_number_and_by_offset() {
    let tree = tree();
    let file = tree.id("/d/b");
    let rows = |file, first| -> Vec<(u64, u64)> {
        let chunks = tree.state.file_chunks(file, first);
        chunks
            .map(|there| (there.chunk.version().chunk.0, there.offset))
            .collect()
    };
    assert_eq!(rows(file, 0), [(5, 0), (3, 10), (9, 20)]);
    assert_eq!(rows(file, 2), [(9, 20)]);
    assert_eq!(rows(file, 3), []);
    assert_eq!(rows(tree.id("/d/a"), 0), [(7, 0)]);
    assert_eq!(rows(tree.id("/d"), 0), []);
    for (offset, number) in [
        (0, Some(0)),
        (9, Some(0)),
        (10, Some(1)),
        (23, Some(2)),
        (24, None),
    ] {
        assert_eq!(tree.state.chunk_at(file, offset), number, "{offset}");
    }
    assert_eq!(tree.state.chunk_at(tree.id("/d/a"), 5), Some(0));
    assert_eq!(tree.state.chunk_at(tree.id("/d/a"), 6), None);
    assert_eq!(tree.state.chunk_at(tree.id("/d/c"), 0), None);
}

#[test]
fn chunks_come_in_the_order_of_their_ids_and_know_their_place() {
    let tree = tree();
    let ids = |after: Option<u64>| -> Vec<u64> {
        let chunks = tree.state.chunks_after(after.map(ChunkId));
        chunks.map(|chunk| chunk.version().chunk.0).collect()
    };
    assert_eq!(ids(None), [3, 5, 7, 9]);
    assert_eq!(ids(Some(5)), [7, 9]);
    assert_eq!(ids(Some(6)), [7, 9]);
    let chunk = tree.state.chunk(ChunkId(9)).unwrap();
    assert_eq!((chunk.file(), chunk.number()), (tree.id("/d/b"), 2));
    let on_two: Vec<u64> = tree
        .state
        .chunks_on(node(2))
        .map(|chunk| chunk.version().chunk.0)
        .collect();
    assert_eq!(on_two, [3, 9]);
    assert_eq!(tree.state.chunks_on(node(8)).count(), 0);
    let other = ChunkVersion {
        generation: crate::dfs::ids::Generation(2),
        ..chunk.version()
    };
    assert!(tree.state.chunk_version(chunk.version()).is_some());
    assert!(tree.state.chunk_version(other).is_none());
}

#[test]
fn within_means_at_or_below() {
    let mut tree = tree();
    tree.dir("/e");
    let state = &tree.state;
    assert!(state.is_within(tree.id("/d/b"), tree.id("/d")));
    assert!(state.is_within(tree.id("/d"), tree.id("/d")));
    assert!(state.is_within(tree.id("/d"), InodeId::ROOT));
    assert!(!state.is_within(tree.id("/d/b"), tree.id("/e")));
    assert!(!state.is_within(InodeId::ROOT, tree.id("/d")));
}
