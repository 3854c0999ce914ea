//! What holds for every sequence of records, and that it is what a naive tree does.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::dfs::ask::{EntryKind, Expect, Usage};
use crate::dfs::ids::Generation;

/// What is at a path of the naive tree; a file by its chunks.
#[derive(Clone, Debug, PartialEq)]
enum Thing {
    Directory,
    File(Vec<ChunkRecord>),
}

/// A tree as a map of paths, without the root.
#[derive(Clone, Debug, Default)]
struct Naive(BTreeMap<String, Thing>);

impl Naive {
    fn is_directory(&self, path: &str) -> bool {
        path.is_empty() || self.0.get(path) == Some(&Thing::Directory)
    }

    fn has_parent(&self, path: &str) -> bool {
        path.rsplit_once('/')
            .is_some_and(|(parent, _)| self.is_directory(parent))
    }

    fn below(&self, path: &str) -> BTreeMap<String, Thing> {
        let is_below = |there: &str| {
            there
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let things = self.0.iter().filter(|(there, _)| is_below(there));
        things
            .map(|(path, thing)| (path.clone(), thing.clone()))
            .collect()
    }

    /// Makes a directory and, with `parents`, those above. Returns whether it could.
    fn make_dir(&mut self, path: &str, parents: bool) -> bool {
        if !parents {
            let can = !path.is_empty() && self.has_parent(path) && !self.0.contains_key(path);
            if can {
                self.0.insert(path.to_owned(), Thing::Directory);
            }
            return can;
        }
        let ends = path.match_indices('/').map(|(at, _)| at).skip(1);
        let steps: Vec<&str> = ends
            .chain([path.len()])
            .filter_map(|end| path.get(..end))
            .filter(|step| !step.is_empty())
            .collect();
        let in_the_way = |step: &&str| matches!(self.0.get(*step), Some(Thing::File(_)));
        if steps.iter().any(in_the_way) {
            return false;
        }
        for step in steps {
            self.0.insert(step.to_owned(), Thing::Directory);
        }
        true
    }

    fn put(&mut self, path: &str, chunks: &[ChunkRecord]) -> bool {
        let can = !path.is_empty() && self.has_parent(path) && !self.is_directory(path);
        if can {
            self.0.insert(path.to_owned(), Thing::File(chunks.to_vec()));
        }
        can
    }

    fn remove(&mut self, path: &str, recursive: bool) -> bool {
        let gone = self.below(path);
        let can = !path.is_empty() && self.0.contains_key(path) && (recursive || gone.len() == 1);
        if can {
            self.0.retain(|path, _| !gone.contains_key(path));
        }
        can
    }

    fn rename(&mut self, from: &str, to: &str, replace: bool) -> bool {
        let there = self.0.get(to);
        let moves_directory = self.is_directory(from);
        let into_itself = moves_directory && to.starts_with(&format!("{from}/"));
        let can = from == to && self.0.contains_key(from)
            || !from.is_empty()
                && self.0.contains_key(from)
                && !to.is_empty()
                && self.has_parent(to)
                && !into_itself
                && match there {
                    None => true,
                    Some(Thing::Directory) => false,
                    Some(Thing::File(_)) => !moves_directory && replace,
                };
        if can {
            let moved = self.below(from);
            self.0.retain(|path, _| !moved.contains_key(path));
            for (path, thing) in moved {
                self.0.insert(format!("{to}{}", &path[from.len()..]), thing);
            }
        }
        can
    }

    fn usage(&self, path: &str) -> Usage {
        let mut usage = Usage {
            directories: u64::from(path.is_empty()),
            ..Usage::default()
        };
        for thing in self.below(path).values() {
            match thing {
                Thing::Directory => usage.directories += 1,
                Thing::File(chunks) => {
                    usage.files += 1;
                    usage.chunks += chunks.len() as u64;
                    for chunk in chunks {
                        usage.bytes += chunk.len;
                        usage.stored_bytes += chunk.len * chunk.holders.len() as u64;
                    }
                }
            }
        }
        usage
    }
}

/// What a client wants.
#[derive(Clone, Debug)]
enum Wish {
    MakeDir(String, bool),
    Put(String, Vec<(u64, Vec<u8>)>),
    Remove(String, bool),
    Rename(String, String, bool),
}

fn any_path() -> impl Strategy<Value = String> {
    vec(prop::sample::select(vec!["a", "b", "c", "d.x"]), 0..4)
        .prop_map(|names| names.iter().map(|name| format!("/{name}")).collect())
}

fn any_holders() -> impl Strategy<Value = Vec<u8>> {
    prop::sample::subsequence((1..=9).collect::<Vec<u8>>(), 1..=9)
}

fn any_wish() -> impl Strategy<Value = Wish> {
    prop_oneof![
        3 => (any_path(), any::<bool>()).prop_map(|(path, parents)| Wish::MakeDir(path, parents)),
        4 => (any_path(), vec((0_u64..9, any_holders()), 0..4))
            .prop_map(|(path, chunks)| Wish::Put(path, chunks)),
        1 => (any_path(), any::<bool>()).prop_map(|(path, all)| Wish::Remove(path, all)),
        3 => (any_path(), any_path(), any::<bool>())
            .prop_map(|(from, to, replace)| Wish::Rename(from, to, replace)),
    ]
}

fn dfs_path(text: &str) -> DfsPath {
    DfsPath::parse(&format!("dfs://{text}")).unwrap()
}

/// Plans a wish on the tree and, if it can be had, appends its records. Returns whether it could.
fn grant(tree: &mut Tree, wish: &Wish, chunks: &[ChunkRecord]) -> bool {
    let next = tree.next();
    let op = op(next.0);
    let state = &tree.state;
    let records = match wish {
        Wish::MakeDir(path, parents) => state.plan_make_dir(next, op, &dfs_path(path), *parents, 5),
        Wish::Put(path, _) => state
            .plan_put(&dfs_path(path), Expect::Anything)
            .map(|plan| {
                vec![DfsRecord::FilePut {
                    op,
                    parent: plan.parent,
                    name: plan.name,
                    chunks: chunks.to_vec(),
                    unix_ms: 5,
                }]
            }),
        Wish::Remove(path, recursive) => state
            .plan_remove(op, &dfs_path(path), *recursive, Expect::Anything)
            .map(|(record, _)| vec![record]),
        Wish::Rename(from, to, replace) => state
            .plan_rename(op, &dfs_path(from), &dfs_path(to), *replace)
            .map(|record| record.into_iter().collect()),
    };
    let Ok(records) = records else { return false };
    for record in records {
        let applied = tree.apply(record);
        assert_eq!(applied.unfit, None, "what was planned fits");
    }
    true
}

/// Everything that can be seen of the tree, as the naive one has it.
fn seen(state: &Namespace) -> BTreeMap<String, Thing> {
    let mut things = BTreeMap::new();
    let mut open = vec![DfsPath::root()];
    while let Some(directory) = open.pop() {
        for entry in state.list(&directory, None, usize::MAX).unwrap().entries {
            assert_eq!(state.path(entry.inode), Some(entry.path.clone()));
            let thing = match entry.kind {
                EntryKind::Directory => {
                    open.push(entry.path.clone());
                    Thing::Directory
                }
                EntryKind::File => Thing::File(
                    state
                        .file_chunks(entry.inode, 0)
                        .map(|there| ChunkRecord {
                            version: there.chunk.version(),
                            len: there.chunk.len(),
                            digest: there.chunk.digest(),
                            holders: there.chunk.holders().collect(),
                        })
                        .collect(),
                ),
            };
            things.insert(entry.path.as_str().to_owned(), thing);
        }
    }
    things
}

fn any_inode() -> impl Strategy<Value = InodeId> {
    (0_u64..24).prop_map(InodeId)
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => prop::sample::select(vec!["a", "b", "c"]).prop_map(str::to_owned),
        1 => prop::sample::select(vec!["", ".", "..", "x/y", "\n"]).prop_map(str::to_owned),
        1 => Just("n".repeat(255)),
        1 => Just("n".repeat(256)),
    ]
}

fn any_version() -> impl Strategy<Value = ChunkVersion> {
    (0_u64..40, 1_u32..3).prop_map(|(chunk, generation)| ChunkVersion {
        chunk: ChunkId(chunk),
        generation: Generation(generation),
    })
}

fn any_nodes() -> impl Strategy<Value = Vec<NodeId>> {
    vec((1_u8..12).prop_map(node), 0..9)
}

fn any_chunk() -> impl Strategy<Value = ChunkRecord> {
    let len = prop_oneof![4 => 0_u64..1000, 1 => any::<u64>()];
    (any_version(), len, any_nodes()).prop_map(|(version, len, holders)| ChunkRecord {
        version,
        len,
        digest: Digest::of(&len.to_le_bytes()),
        holders,
    })
}

/// Any record at all; most do not fit.
fn any_record() -> impl Strategy<Value = DfsRecord> {
    let op = || (0_u64..12).prop_map(super::op);
    prop_oneof![
        4 => (op(), any_inode(), any_name()).prop_map(|(op, parent, name)| DfsRecord::DirMade {
            op, parent, name, unix_ms: 1,
        }),
        6 => (op(), any_inode(), any_name(), vec(any_chunk(), 0..3)).prop_map(
            |(op, parent, name, chunks)| DfsRecord::FilePut {
                op, parent, name, chunks, unix_ms: 2,
            }
        ),
        1 => (op(), any_inode(), any_name()).prop_map(|(op, parent, name)| DfsRecord::Removed {
            op, parent, name,
        }),
        4 => (op(), any_inode(), any_name(), any_inode(), any_name()).prop_map(
            |(op, from_parent, from_name, to_parent, to_name)| DfsRecord::Renamed {
                op, from_parent, from_name, to_parent, to_name,
            }
        ),
        3 => (any_version(), any_nodes(), any_nodes()).prop_map(|(chunk, added, removed)| {
            DfsRecord::ReplicasChanged { chunk, added, removed }
        }),
    ]
}

proptest! {
    #[test]
    fn the_tree_is_the_one_that_a_naive_map_of_paths_has(wishes in vec(any_wish(), 0..60)) {
        let mut tree = Tree::default();
        let mut naive = Naive::default();
        let mut next_chunk = 1;
        for wish in &wishes {
            let mut chunks = Vec::new();
            if let Wish::Put(_, parts) = wish {
                for (len, holders) in parts {
                    chunks.push(chunk(next_chunk, *len, holders));
                    next_chunk += 1;
                }
            }
            let could = match wish {
                Wish::MakeDir(path, parents) => naive.make_dir(path, *parents),
                Wish::Put(path, _) => naive.put(path, &chunks),
                Wish::Remove(path, recursive) => naive.remove(path, *recursive),
                Wish::Rename(from, to, replace) => naive.rename(from, to, *replace),
            };
            prop_assert_eq!(grant(&mut tree, wish, &chunks), could, "{:?}", wish);
            prop_assert_eq!(&seen(&tree.state), &naive.0, "{:?}", wish);
        }
        for path in naive.0.keys().map(String::as_str).chain([""]) {
            prop_assert_eq!(tree.state.usage(&dfs_path(path)), Ok(naive.usage(path)));
        }
        let replayed = replay(&tree.log);
        prop_assert_eq!(&replayed, &tree.state);
        prop_assert_eq!(codec::encode(&replayed), codec::encode(&tree.state));
    }

    #[test]
    fn any_record_on_any_state_keeps_the_invariants(
        records in vec((1_u64..40, any_record()), 0..120),
    ) {
        let mut state = Namespace::default();
        for (index, record) in &records {
            let before = state.clone();
            let applied = state.apply(LogIndex(*index), record);
            state.check_invariants();
            if applied.unfit.is_some() {
                prop_assert!(applied.released.is_empty());
                prop_assert_eq!(seen(&state), seen(&before));
                prop_assert_eq!(state.usage_of(InodeId::ROOT), before.usage_of(InodeId::ROOT));
            }
            for version in applied.released.values().flatten() {
                prop_assert!(before.chunk_version(*version).is_some());
                prop_assert!(state.chunk_version(*version).is_none());
            }
        }
    }

    #[test]
    fn a_checkpoint_is_the_state(records in vec(any_record(), 0..120), cut in 0_usize..120) {
        let cut = cut.min(records.len());
        let whole = replay(&records);
        let before = replay(&records[..cut]);
        let bytes = codec::encode(&before);
        let mut resumed: Namespace = codec::decode("checkpoint", &bytes).unwrap();
        resumed.check_invariants();
        prop_assert_eq!(&resumed, &before);
        prop_assert_eq!(codec::encode(&resumed), bytes);
        for (index, record) in (1..).zip(&records).skip(cut) {
            drop(resumed.apply(LogIndex(index), record));
        }
        prop_assert_eq!(&resumed, &whole);
        prop_assert_eq!(codec::encode(&resumed), codec::encode(&whole));
    }

    #[test]
    fn bytes_that_are_no_namespace_are_refused_in_peace(
        records in vec(any_record(), 0..40),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = codec::encode(&replay(&records));
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(state) = codec::decode::<Namespace>("checkpoint", &bytes) {
            state.check_invariants();
            prop_assert_eq!(codec::decode("checkpoint", &codec::encode(&state)), Ok(state));
        }
        bytes.truncate(at);
        prop_assert!(codec::decode::<Namespace>("checkpoint", &bytes).is_err());
    }
}

/// The state that the log leads to, each record written and read.
fn replay(records: &[DfsRecord]) -> Namespace {
    let mut state = Namespace::default();
    for (index, record) in (1..).zip(records) {
        let bytes = codec::encode(record);
        let read: DfsRecord = codec::decode("DfsRecord", &bytes).unwrap();
        assert_eq!(read, *record);
        drop(state.apply(LogIndex(index), &read));
    }
    state
}
