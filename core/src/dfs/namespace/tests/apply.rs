//! What single records do.

use super::*;
use crate::dfs::ask::Usage;
use crate::dfs::ids::FileVersion;

fn versions(chunks: &[u64]) -> Vec<ChunkVersion> {
    chunks
        .iter()
        .map(|chunk| ChunkVersion::first(ChunkId(*chunk)))
        .collect()
}

fn replicas_changed(chunk: u64, added: &[u8], removed: &[u8]) -> DfsRecord {
    DfsRecord::ReplicasChanged {
        chunk: ChunkVersion::first(ChunkId(chunk)),
        added: added.iter().copied().map(node).collect(),
        removed: removed.iter().copied().map(node).collect(),
    }
}

fn dir_made(parent: InodeId, name: &str) -> DfsRecord {
    DfsRecord::DirMade {
        op: op(99),
        parent,
        name: name.to_owned(),
        unix_ms: 1,
    }
}

#[test]
fn a_replaced_file_stays_the_same_inode_and_releases_its_chunks_to_their_holders() {
    let mut tree = Tree::default();
    assert_eq!(
        tree.put("/f", vec![chunk(1, 10, &[1, 2]), chunk(2, 5, &[2])]),
        Released::new()
    );
    let before = tree.state.stat(&path("/f")).unwrap();
    let released = tree.put("/f", vec![chunk(3, 7, &[3])]);
    assert_eq!(
        released,
        Released::from([(node(1), versions(&[1])), (node(2), versions(&[1, 2]))])
    );
    let after = tree.state.stat(&path("/f")).unwrap();
    assert_eq!(after.inode, before.inode);
    assert_eq!(
        (before.version, after.version),
        (FileVersion(1), FileVersion(2))
    );
    assert_eq!((after.len, after.count), (7, 1));
}

#[test]
fn a_renamed_file_keeps_its_inode_its_version_and_its_chunks() {
    let mut tree = Tree::default();
    tree.dir("/a/b");
    tree.put("/f", vec![chunk(1, 10, &[1])]);
    let before = tree.state.stat(&path("/f")).unwrap();
    assert_eq!(tree.rename("/f", "/a/b/g"), Released::new());
    let after = tree.state.stat(&path("/a/b/g")).unwrap();
    assert_eq!((after.inode, after.version), (before.inode, before.version));
    let file = tree.state.chunk(ChunkId(1)).unwrap().file();
    assert_eq!(tree.state.path(file), Some(path("/a/b/g")));
}

#[test]
fn a_file_that_is_renamed_over_releases_its_chunks() {
    let mut tree = Tree::default();
    tree.put("/f", vec![chunk(1, 10, &[1])]);
    tree.put("/g", vec![chunk(2, 10, &[1])]);
    let released = tree.rename("/f", "/g");
    assert_eq!(released, Released::from([(node(1), versions(&[2]))]));
    assert_eq!(tree.names("/"), ["g"]);
}

#[test]
fn a_removed_directory_releases_all_that_was_below() {
    let mut tree = Tree::default();
    tree.dir("/a/b");
    tree.put("/a/b/f", vec![chunk(1, 10, &[1])]);
    tree.put("/a/g", vec![chunk(2, 20, &[1])]);
    tree.put("/h", vec![chunk(3, 30, &[1])]);
    let mut released = tree.remove("/a");
    released.values_mut().for_each(|versions| versions.sort());
    assert_eq!(released, Released::from([(node(1), versions(&[1, 2]))]));
    let left = Usage {
        files: 1,
        directories: 1,
        bytes: 30,
        stored_bytes: 30,
        chunks: 1,
    };
    assert_eq!(tree.state.usage(&path("/")), Ok(left));
}

#[test]
fn what_does_not_fit_changes_nothing_and_is_noted() {
    let mut tree = Tree::default();
    tree.dir("/d/e");
    tree.put("/f", vec![chunk(1, 10, &[1])]);
    let (d, f) = (tree.id("/d"), tree.id("/f"));
    let put = |parent, name: &str, chunks| DfsRecord::FilePut {
        op: op(99),
        parent,
        name: name.to_owned(),
        chunks,
        unix_ms: 1,
    };
    let renamed = |from: &str, to_parent, to: &str| DfsRecord::Renamed {
        op: op(99),
        from_parent: InodeId::ROOT,
        from_name: from.to_owned(),
        to_parent,
        to_name: to.to_owned(),
    };
    let removed = |parent, name: &str| DfsRecord::Removed {
        op: op(99),
        parent,
        name: name.to_owned(),
    };
    let huge = vec![chunk(8, u64::MAX, &[1]), chunk(9, 1, &[1])];
    for (record, unfit) in [
        (dir_made(InodeId(77), "x"), Unfit::NoDirectory),
        (dir_made(f, "x"), Unfit::NoDirectory),
        (dir_made(InodeId::ROOT, "d"), Unfit::Taken),
        (dir_made(InodeId::ROOT, "f"), Unfit::Taken),
        (dir_made(InodeId::ROOT, "x/y"), Unfit::BadName),
        (dir_made(InodeId::ROOT, ".."), Unfit::BadName),
        (put(InodeId::ROOT, "d", vec![]), Unfit::Taken),
        (put(InodeId(77), "x", vec![]), Unfit::NoDirectory),
        (put(d, "x", vec![chunk(1, 10, &[1])]), Unfit::BadChunks),
        (
            put(InodeId::ROOT, "f", vec![chunk(1, 10, &[1])]),
            Unfit::BadChunks,
        ),
        (put(d, "x", vec![chunk(9, 10, &[])]), Unfit::BadChunks),
        (put(d, "x", vec![chunk(9, 1, &[1]); 2]), Unfit::BadChunks),
        (put(d, "x", huge), Unfit::BadChunks),
        (removed(InodeId::ROOT, "x"), Unfit::NotThere),
        (removed(f, "x"), Unfit::NoDirectory),
        (renamed("x", d, "y"), Unfit::NotThere),
        (renamed("f", InodeId(77), "y"), Unfit::NoDirectory),
        (renamed("f", InodeId::ROOT, "d"), Unfit::Taken),
        (renamed("d", InodeId::ROOT, "f"), Unfit::Taken),
        (renamed("d", d, "x"), Unfit::IntoItself),
        (renamed("d", tree.id("/d/e"), "x"), Unfit::IntoItself),
    ] {
        let before = tree.state.clone();
        let shown = format!("{record:?}");
        let applied = tree.apply(record);
        assert_eq!(applied.unfit, Some(unfit), "{shown}");
        assert_eq!(applied.released, Released::new(), "{shown}");
        assert_eq!(tree.state.op(op(99)).unwrap().unfit, Some(unfit), "{shown}");
        assert_eq!(tree.state.inodes, before.inodes, "{shown}");
        assert_eq!(tree.state.chunks, before.chunks, "{shown}");
        assert_eq!(tree.state.nodes, before.nodes, "{shown}");
    }
}

#[test]
fn a_path_gets_neither_too_deep_nor_too_long() {
    let mut tree = Tree::default();
    tree.dir(&"/d".repeat(64));
    let deepest = tree.id(&"/d".repeat(64));
    assert_eq!(
        tree.apply(dir_made(deepest, "x")).unfit,
        Some(Unfit::BadName)
    );

    let long = format!("/{}", "n".repeat(255)).repeat(15);
    tree.dir(&format!("{long}/y"));
    tree.dir(&format!("/a/{}", "m".repeat(255)));
    let into = |tree: &Tree, name: &str| DfsRecord::Renamed {
        op: op(9),
        from_parent: InodeId::ROOT,
        from_name: "a".to_owned(),
        to_parent: tree.id(&long),
        to_name: name.to_owned(),
    };
    assert_eq!(tree.apply(into(&tree, "b")).unfit, Some(Unfit::BadName));
    tree.rename("/a", "/c");
    assert_eq!(tree.names("/c").len(), 1);
}

#[test]
fn the_last_holder_of_a_chunk_stays_on_record() {
    let mut tree = Tree::default();
    tree.put("/f", vec![chunk(1, 10, &[1, 2])]);
    tree.done(replicas_changed(1, &[3], &[1]));
    let holders =
        |tree: &Tree| -> Vec<NodeId> { tree.state.chunk(ChunkId(1)).unwrap().holders().collect() };
    assert_eq!(holders(&tree), [node(2), node(3)]);
    let applied = tree.apply(replicas_changed(1, &[], &[2, 3]));
    assert_eq!(applied.unfit, Some(Unfit::BadChunks));
    assert_eq!(holders(&tree), [node(2), node(3)]);
    tree.done(replicas_changed(1, &[2], &[2, 3]));
    assert_eq!(holders(&tree), [node(2)]);
    assert_eq!(tree.state.usage_of(InodeId::ROOT).stored_bytes, 10);
}

#[test]
fn replicas_of_a_content_that_is_gone_are_nobodys_change() {
    let mut tree = Tree::default();
    tree.put("/f", vec![chunk(1, 10, &[1])]);
    tree.put("/f", vec![chunk(2, 10, &[1])]);
    let applied = tree.apply(replicas_changed(1, &[2], &[]));
    assert_eq!(applied.unfit, Some(Unfit::NotThere));
}

#[test]
fn a_node_named_twice_holds_a_chunk_once() {
    let mut tree = Tree::default();
    tree.put("/f", vec![chunk(1, 10, &[4, 4, 5, 4])]);
    let chunk = tree.state.chunk(ChunkId(1)).unwrap();
    assert_eq!(chunk.holders().collect::<Vec<_>>(), [node(4), node(5)]);
    assert_eq!(tree.state.chunks_on_count(node(4)), 1);
}

#[test]
fn a_node_without_chunks_is_forgotten_and_its_number_is_used_again() {
    let mut tree = Tree::default();
    tree.put("/f", vec![chunk(1, 10, &[1])]);
    tree.put("/g", vec![chunk(2, 10, &[2])]);
    tree.remove("/f");
    assert_eq!(tree.state.holders().collect::<Vec<_>>(), [(node(2), 1)]);
    tree.put("/h", vec![chunk(3, 10, &[3, 2])]);
    let holders: Vec<_> = tree.state.holders().collect();
    assert_eq!(holders, [(node(3), 1), (node(2), 2)]);
}

#[test]
fn a_late_refusal_does_not_cover_what_was_done() {
    let mut tree = Tree::default();
    tree.done(dir_made(InodeId::ROOT, "d"));
    assert_eq!(
        tree.apply(dir_made(InodeId::ROOT, "d")).unfit,
        Some(Unfit::Taken)
    );
    let entry = OpEntry {
        index: LogIndex(1),
        unfit: None,
    };
    assert_eq!(tree.state.op(op(99)), Some(entry));
}

#[test]
fn the_newest_operations_are_kept_and_no_more() {
    let mut state = Namespace::default();
    let record = |number: u64| DfsRecord::Removed {
        op: op(number),
        parent: InodeId::ROOT,
        name: "x".to_owned(),
    };
    let count = OPS_MAX as u64 + 10;
    for index in 1..=count {
        drop(state.apply(LogIndex(index), &record(index)));
    }
    assert_eq!(state.op(op(10)), None);
    assert!(state.op(op(11)).is_some());
    // Asked about again, an old one is among the newest.
    drop(state.apply(LogIndex(count + 1), &record(11)));
    drop(state.apply(LogIndex(count + 2), &record(count + 2)));
    assert!(state.op(op(11)).is_some());
    assert_eq!(state.op(op(12)), None);
    state.check_invariants();
    let read: Namespace = codec::decode("checkpoint", &codec::encode(&state)).unwrap();
    assert_eq!(read, state);
}
