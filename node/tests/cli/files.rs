//! A file system in memory: what the controller knows of it, and what data nodes serve.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use vaquita_core::admin::{Caller, Refusal};
use vaquita_core::dfs::ask::{
    Answer, Ask, ChunkPage, ChunkRow, ChunkState, Committed, Entry, EntryKind, Expect, Listing,
    Outcome, ReplicaRow, ReplicaState, Usage, VolumeAdmin, VolumeRow, VolumeState, file_digest,
};
use vaquita_core::dfs::digest::Digest;
use vaquita_core::dfs::ids::{
    ChunkId, FileVersion, Generation, InodeId, OpId, VolumeId, VolumeSlot,
};
use vaquita_core::dfs::path::DfsPath;
use vaquita_core::ids::Alias;
use vaquita_node::http::{FileBytes, Files, OpenFile, Put, PutError, Upload};

/// 2026-11-26 11:00:00 UTC.
const MODIFIED: u64 = 1_795_690_800_000;

/// How a data node behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As it should.
    #[default]
    Well,
    /// It accepts connections and says nothing.
    Hangs,
    /// It sends so many bytes of a file, and breaks off.
    BreaksAfter(u64),
    /// It commits a write, and its answer is lost.
    Forgets,
    /// It changes what it reads.
    Garbles,
    /// It cannot reach its controller.
    Cut,
    /// There is no place for new bytes.
    Full,
}

/// The files, and the manner in which one data node serves them. Clones are of the same files.
#[derive(Clone)]
pub(crate) struct FakeFiles {
    tree: Arc<Mutex<Tree>>,
    manner: Manner,
}

struct Tree {
    /// Directories have no bytes.
    things: BTreeMap<DfsPath, (Option<Bytes>, FileVersion)>,
    done: BTreeMap<OpId, FileVersion>,
    version: u64,
    chunk_bytes: usize,
    /// Writes that were begun, however they ended.
    puts: usize,
    /// Reads, by their first byte.
    reads: Vec<u64>,
    degraded: u32,
    page: usize,
}

impl Default for FakeFiles {
    fn default() -> Self {
        let root = (None, FileVersion(0));
        Self {
            tree: Arc::new(Mutex::new(Tree {
                things: BTreeMap::from([(DfsPath::root(), root)]),
                done: BTreeMap::new(),
                version: 0,
                chunk_bytes: 1 << 20,
                puts: 0,
                reads: Vec::new(),
                degraded: 0,
                page: 1000,
            })),
            manner: Manner::Well,
        }
    }
}

pub(crate) fn path(text: &str) -> DfsPath {
    DfsPath::parse(text).unwrap()
}

impl FakeFiles {
    pub(crate) fn in_manner(mut self, manner: Manner) -> Self {
        self.manner = manner;
        self
    }

    /// Has there be a file, and the directories above it.
    pub(crate) fn write(&self, at: &str, bytes: impl AsRef<[u8]>) {
        let mut tree = self.tree.lock().unwrap();
        let at = path(at);
        let mut parent = at.split_last().map(|(parent, _)| parent);
        while let Some(directory) = parent {
            parent = directory.split_last().map(|(parent, _)| parent);
            tree.things
                .entry(directory)
                .or_insert((None, FileVersion(1)));
        }
        let bytes = Bytes::copy_from_slice(bytes.as_ref());
        tree.things.insert(at, (Some(bytes), FileVersion(1)));
    }

    /// The bytes of a file, if there is one.
    pub(crate) fn read(&self, at: &str) -> Option<Vec<u8>> {
        let tree = self.tree.lock().unwrap();
        let (bytes, _) = tree.things.get(&path(at))?;
        Some(bytes.as_ref()?.to_vec())
    }

    /// Every path there is, but the root.
    pub(crate) fn paths(&self) -> Vec<String> {
        let tree = self.tree.lock().unwrap();
        tree.things
            .keys()
            .skip(1)
            .map(ToString::to_string)
            .collect()
    }

    pub(crate) fn set_chunk_bytes(&self, chunk_bytes: usize) {
        self.tree.lock().unwrap().chunk_bytes = chunk_bytes;
    }

    pub(crate) fn set_degraded(&self, chunks: u32) {
        self.tree.lock().unwrap().degraded = chunks;
    }

    /// Has lists come in pages of so many rows.
    pub(crate) fn set_page(&self, rows: usize) {
        self.tree.lock().unwrap().page = rows;
    }

    /// Writes that were begun.
    pub(crate) fn puts(&self) -> usize {
        self.tree.lock().unwrap().puts
    }

    /// Reads that were begun, by their first byte.
    pub(crate) fn reads(&self) -> Vec<u64> {
        self.tree.lock().unwrap().reads.clone()
    }

    /// What the controller answers.
    pub(crate) fn answer(&self, ask: &Ask) -> Result<Answer, Refusal> {
        self.tree.lock().unwrap().answer(ask)
    }
}

fn unavailable() -> Refusal {
    let reason = "the controller is not heard".to_owned();
    Refusal::Unavailable { reason }
}

impl Tree {
    fn nothing_at(path: &DfsPath) -> Refusal {
        let what = format!("there is nothing at {path}");
        Refusal::NotFound { what }
    }

    fn entry(&self, at: &DfsPath) -> Result<Entry, Refusal> {
        let (bytes, version) = self.things.get(at).ok_or_else(|| Self::nothing_at(at))?;
        let chunks: Vec<(u64, Digest)> = bytes
            .iter()
            .flat_map(|bytes| bytes.chunks(self.chunk_bytes))
            .map(|chunk| (chunk.len() as u64, Digest::of(chunk)))
            .collect();
        let count = match bytes {
            Some(_) => chunks.len(),
            None => self.children(at).count(),
        };
        Ok(Entry {
            path: at.clone(),
            kind: match bytes {
                Some(_) => EntryKind::File,
                None => EntryKind::Directory,
            },
            inode: InodeId(1),
            version: *version,
            len: chunks.iter().map(|(len, _)| len).sum(),
            modified_unix_ms: MODIFIED,
            count: count as u64,
            digest: bytes.as_ref().map(|_| file_digest(chunks.iter().copied())),
            replicas: bytes.as_ref().map(|_| 2),
        })
    }

    fn children(&self, of: &DfsPath) -> impl Iterator<Item = &DfsPath> {
        self.things
            .keys()
            .filter(move |path| path.split_last().is_some_and(|(parent, _)| parent == *of))
    }

    fn usage(&self, at: &DfsPath) -> Result<Usage, Refusal> {
        self.entry(at)?;
        let mut usage = Usage::default();
        for path in self.things.keys().filter(|path| at.contains(path)) {
            let entry = self.entry(path)?;
            match entry.kind {
                EntryKind::Directory => usage.directories += 1,
                EntryKind::File => {
                    usage.files += 1;
                    usage.bytes += entry.len;
                    usage.stored_bytes += 2 * entry.len;
                    usage.chunks += entry.count;
                }
            }
        }
        Ok(usage)
    }

    fn next_version(&mut self) -> FileVersion {
        self.version += 1;
        FileVersion(self.version)
    }

    /// Whether there is a directory for something at a path.
    fn parent_of(&self, path: &DfsPath) -> Result<(), Refusal> {
        let (parent, _) = path.split_last().ok_or_else(|| Refusal::Conflict {
            reason: "that is the root".to_owned(),
        })?;
        match self.things.get(&parent) {
            Some((None, _)) => Ok(()),
            Some((Some(_), _)) => Err(Refusal::Conflict {
                reason: format!("{parent} is a file"),
            }),
            None => Err(Refusal::NotFound {
                what: format!("there is no directory {parent}"),
            }),
        }
    }

    fn chunk_rows(&self) -> Vec<ChunkRow> {
        let mut rows = Vec::new();
        for (path, (bytes, _)) in &self.things {
            let chunks = bytes.iter().flat_map(|it| it.chunks(self.chunk_bytes));
            for (number, chunk) in chunks.enumerate() {
                let away = rows.len() % 2 == 1;
                let replica = |node: &str, state| ReplicaRow {
                    node: Alias::new(node).unwrap(),
                    state,
                    volume: (state == ReplicaState::Good).then_some(VolumeSlot(0)),
                };
                rows.push(ChunkRow {
                    chunk: ChunkId(1 << 40 | rows.len() as u64),
                    generation: Generation::FIRST,
                    path: Some(path.clone()),
                    number: u32::try_from(number).unwrap(),
                    len: chunk.len() as u64,
                    digest: Digest::of(chunk),
                    state: match away {
                        true => ChunkState::Degraded,
                        false => ChunkState::Healthy,
                    },
                    replicas: vec![
                        replica("P1-NODE1", ReplicaState::Good),
                        replica(
                            "P2-NODE1",
                            match away {
                                true => ReplicaState::Away,
                                false => ReplicaState::Good,
                            },
                        ),
                    ],
                    reason: match away {
                        true => "1 of 2 replicas: P2-NODE1 is away".to_owned(),
                        false => String::new(),
                    },
                });
            }
        }
        rows
    }

    fn answer(&mut self, ask: &Ask) -> Result<Answer, Refusal> {
        match ask {
            Ask::Authorize { .. } => Ok(Answer::Done),
            Ask::Stat { path } => self.entry(path).map(Answer::Entry),
            Ask::List { path, after, limit } => {
                let rest = self.children(path).filter(|child| {
                    let name = child.split_last().map(|(_, name)| name);
                    after.as_deref().is_none_or(|after| name > Some(after))
                });
                let limit = (*limit as usize).min(self.page);
                let mut entries = rest
                    .take(limit + 1)
                    .map(|child| self.entry(child))
                    .collect::<Result<Vec<_>, _>>()?;
                let more = entries.len() > limit;
                entries.truncate(limit);
                Ok(Answer::Listing(Listing {
                    path: path.clone(),
                    entries,
                    more,
                }))
            }
            Ask::Usage { path } => self.usage(path).map(Answer::Usage),
            Ask::MakeDir { path, parents, .. } => {
                if self.things.contains_key(path) && !parents {
                    let reason = format!("{path} is there already");
                    return Err(Refusal::Conflict { reason });
                }
                if !parents {
                    self.parent_of(path)?;
                }
                let mut made = Some(path.clone());
                while let Some(directory) = made {
                    let version = self.next_version();
                    made = directory.split_last().map(|(parent, _)| parent);
                    self.things.entry(directory).or_insert((None, version));
                }
                self.entry(path).map(Answer::Entry)
            }
            Ask::Remove {
                path, recursive, ..
            } => {
                let usage = self.usage(path)?;
                if usage.directories > 0 && !recursive {
                    let reason = format!("{path} is a directory; `-r` removes it");
                    return Err(Refusal::Conflict { reason });
                }
                self.things.retain(|it, _| !path.contains(it));
                Ok(Answer::Removed(usage))
            }
            Ask::Rename {
                from, to, replace, ..
            } => {
                self.entry(from)?;
                self.parent_of(to)?;
                if self.things.contains_key(to) && !replace {
                    let reason = format!("{to} is there already");
                    return Err(Refusal::Conflict { reason });
                }
                let moved: Vec<DfsPath> = self
                    .things
                    .keys()
                    .filter(|it| from.contains(it))
                    .cloned()
                    .collect();
                for old in moved {
                    let thing = self.things.remove(&old).unwrap();
                    let rest = old.as_str().strip_prefix(from.as_str()).unwrap();
                    let new = path(&format!("{}{rest}", to.as_str()));
                    self.things.insert(new, thing);
                }
                self.entry(to).map(Answer::Entry)
            }
            Ask::Outcome { op } => Ok(Answer::Outcome(match self.done.get(op) {
                Some(version) => Outcome::Done { version: *version },
                None => Outcome::Unknown,
            })),
            Ask::Chunks {
                after,
                limit,
                unwell_only,
                below,
            } => {
                let mut rows = self.chunk_rows();
                rows.retain(|row| {
                    after.is_none_or(|after| row.chunk > after)
                        && (!unwell_only || row.state != ChunkState::Healthy)
                        && below.as_ref().is_none_or(|it| {
                            row.path.as_ref().is_some_and(|path| it.contains(path))
                        })
                });
                let limit = (*limit as usize).min(self.page);
                let more = rows.len() > limit;
                rows.truncate(limit);
                let upto = rows.last().map(|row| row.chunk).or(*after);
                Ok(Answer::Chunks(ChunkPage { rows, more, upto }))
            }
            Ask::Chunk { chunk } => {
                let mut rows = self.chunk_rows();
                rows.retain(|row| row.chunk == *chunk);
                if rows.is_empty() {
                    let what = format!("there is no chunk {chunk}");
                    return Err(Refusal::NotFound { what });
                }
                Ok(Answer::Chunks(ChunkPage {
                    rows,
                    more: false,
                    upto: None,
                }))
            }
            Ask::Volumes => Ok(Answer::Volumes(vec![
                VolumeRow {
                    admin: VolumeAdmin::None,
                    node: Alias::new("P1-NODE1").unwrap(),
                    slot: VolumeSlot(0),
                    path: "/disk0".to_owned(),
                    id: Some(VolumeId([0xab; 16])),
                    state: VolumeState::Good,
                    capacity: 1 << 40,
                    free: 3 << 38,
                    chunks: 12,
                    chunk_bytes: 5 << 30,
                    reason: String::new(),
                    for_ms: 65_000,
                    doing: String::new(),
                },
                VolumeRow {
                    admin: VolumeAdmin::None,
                    node: Alias::new("P1-NODE1").unwrap(),
                    slot: VolumeSlot(1),
                    path: "/disk1".to_owned(),
                    id: None,
                    state: VolumeState::Missing,
                    capacity: 0,
                    free: 0,
                    chunks: 0,
                    chunk_bytes: 0,
                    reason: "no label: is the disk mounted?".to_owned(),
                    for_ms: 130_000,
                    doing: "7 chunks are made anew".to_owned(),
                },
            ])),
            other => panic!("no command asks {other:?}"),
        }
    }

    fn commit(&mut self, put: &Put, bytes: Vec<u8>) -> Result<Committed, Refusal> {
        self.parent_of(&put.path)?;
        let before = self.things.get(&put.path).cloned();
        if let Some(version) = self.done.get(&put.op) {
            let entry = self.entry(&put.path)?;
            assert_eq!(entry.version, *version);
            return Ok(Committed {
                entry,
                degraded_chunks: 0,
                created: true,
            });
        }
        if before.is_some() && put.expect == Expect::Nothing {
            let reason = format!("{} is there already", put.path);
            return Err(Refusal::Precondition { reason });
        }
        let version = self.next_version();
        self.done.insert(put.op, version);
        let file = (Some(Bytes::from(bytes)), version);
        self.things.insert(put.path.clone(), file);
        Ok(Committed {
            entry: self.entry(&put.path)?,
            degraded_chunks: self.degraded,
            created: before.is_none(),
        })
    }
}

impl Files for FakeFiles {
    type File = FakeFile;

    async fn open(&self, _: Caller, path: DfsPath) -> Result<FakeFile, Refusal> {
        if self.manner == Manner::Cut {
            return Err(unavailable());
        }
        let tree = self.tree.lock().unwrap();
        let entry = tree.entry(&path)?;
        Ok(FakeFile {
            entry,
            bytes: tree.things[&path].0.clone().unwrap_or_default(),
            chunk_bytes: tree.chunk_bytes as u64,
            files: self.clone(),
        })
    }

    async fn put(&self, put: Put, mut body: Upload) -> Result<Committed, PutError> {
        self.tree.lock().unwrap().puts += 1;
        if self.manner == Manner::Cut {
            return Err(unavailable().into());
        }
        if self.manner == Manner::Full {
            let reason = "2 data nodes are needed and 1 can take chunks".to_owned();
            return Err(Refusal::NoRoom { reason }.into());
        }
        {
            let tree = self.tree.lock().unwrap();
            let there = tree.things.contains_key(&put.path);
            let done = tree.done.contains_key(&put.op);
            if there && !done && put.expect == Expect::Nothing {
                let reason = format!("{} is there already", put.path);
                return Err(Refusal::Precondition { reason }.into());
            }
        }
        let mut bytes = Vec::new();
        while let Some(piece) = body.next().await {
            bytes.extend_from_slice(&piece?);
        }
        if self.manner == Manner::Garbles
            && let Some(first) = bytes.first_mut()
        {
            *first ^= 1;
        }
        let committed = self.tree.lock().unwrap().commit(&put, bytes)?;
        if self.manner == Manner::Forgets {
            return Err(unavailable().into());
        }
        Ok(committed)
    }
}

pub(crate) struct FakeFile {
    entry: Entry,
    bytes: Bytes,
    chunk_bytes: u64,
    files: FakeFiles,
}

impl OpenFile for FakeFile {
    type Bytes = FakeBytes;

    fn entry(&self) -> &Entry {
        &self.entry
    }

    fn chunk_bytes(&self) -> u64 {
        self.chunk_bytes
    }

    fn remark(&self) -> Option<&str> {
        None
    }

    fn read(self, range: Range<u64>) -> FakeBytes {
        self.files.tree.lock().unwrap().reads.push(range.start);
        let start = usize::try_from(range.start).unwrap();
        let end = usize::try_from(range.end).unwrap();
        FakeBytes {
            bytes: self.bytes.slice(start..end),
            manner: self.files.manner,
            given: 0,
        }
    }
}

pub(crate) struct FakeBytes {
    bytes: Bytes,
    manner: Manner,
    given: u64,
}

impl FileBytes for FakeBytes {
    async fn next(&mut self) -> Option<Result<Bytes, Refusal>> {
        let mut most = self.bytes.len().min(64 * 1024);
        if let Manner::BreaksAfter(after) = self.manner {
            let left = usize::try_from(after - self.given).unwrap();
            if left == 0 {
                return Some(Err(unavailable()));
            }
            most = most.min(left);
        }
        if most == 0 {
            return None;
        }
        let mut piece = self.bytes.split_to(most);
        self.given += piece.len() as u64;
        if self.manner == Manner::Garbles {
            let mut changed = piece.to_vec();
            changed[0] ^= 1;
            piece = Bytes::from(changed);
        }
        Some(Ok(piece))
    }
}
