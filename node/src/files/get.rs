//! Reading a file: its chunks one after the other, each from whichever replica delivers.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::sleep;
use vaquita_core::admin::{Caller, Refusal};
use vaquita_core::dfs::ask::{Answer, Ask, ChunkPlace, Entry, EntryKind};
use vaquita_core::dfs::fetch::{Fetch, FetchEffect, FetchInput};
use vaquita_core::dfs::path::DfsPath;

use super::Coordinator;
use crate::data::{Operation, Peer, UnderWay, Wanted};
use crate::env::Env;
use crate::http::{FileBytes, OpenFile};

/// Chunks asked for at a time.
const PAGE: u32 = 1024;
/// How often a file that is replaced while its chunks are looked up is looked up again.
const TRIES: usize = 5;

/// A content of a file, or a directory.
pub struct OpenedFile<E: Env> {
    coordinator: Coordinator<E>,
    entry: Entry,
    chunks: Vec<ChunkPlace>,
    remark: Option<String>,
}

impl<E: Env> std::fmt::Debug for OpenedFile<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenedFile")
            .field("entry", &self.entry)
            .finish_non_exhaustive()
    }
}

/// Looks a path up, with all chunks of a file.
pub(super) async fn open<E: Env>(
    coordinator: &Coordinator<E>,
    caller: &Caller,
    path: DfsPath,
) -> Result<OpenedFile<E>, Refusal> {
    for _ in 0..TRIES {
        if let Some(file) = try_open(coordinator, caller, &path).await? {
            return Ok(file);
        }
    }
    Err(Refusal::Busy {
        reason: format!("{path} is replaced faster than it can be opened"),
        retry_after: Duration::from_secs(1),
    })
}

/// `None` if the file was replaced in between.
async fn try_open<E: Env>(
    coordinator: &Coordinator<E>,
    caller: &Caller,
    path: &DfsPath,
) -> Result<Option<OpenedFile<E>>, Refusal> {
    let mut file: Option<OpenedFile<E>> = None;
    loop {
        let first = file.as_ref().map_or(0, |file| file.chunks.len());
        let lookup = Ask::Lookup {
            path: path.clone(),
            first_chunk: u32::try_from(first).unwrap_or(u32::MAX),
            chunks: PAGE,
        };
        let layout = match coordinator.ask(caller, lookup).await? {
            Answer::File(layout) => layout,
            Answer::Entry(entry) => {
                return Ok(Some(OpenedFile {
                    coordinator: coordinator.clone(),
                    entry,
                    chunks: Vec::new(),
                    remark: None,
                }));
            }
            other => {
                return Err(Refusal::Unavailable {
                    reason: format!(
                        "the controller answered {other:?} to a look-up; this is a bug, please \
                         report it"
                    ),
                });
            }
        };
        let file = file.get_or_insert_with(|| OpenedFile {
            coordinator: coordinator.clone(),
            entry: layout.entry.clone(),
            chunks: Vec::new(),
            remark: layout.remark,
        });
        if file.entry.version != layout.entry.version {
            return Ok(None);
        }
        let none = layout.chunks.is_empty();
        file.chunks.extend(layout.chunks);
        if none || file.chunks.len() as u64 >= file.entry.count {
            break;
        }
    }
    Ok(file)
}

impl<E: Env> OpenFile for OpenedFile<E> {
    type Bytes = Reading<E>;

    fn entry(&self) -> &Entry {
        &self.entry
    }

    fn chunk_bytes(&self) -> u64 {
        self.chunks.first().map_or(0, |chunk| chunk.len)
    }

    fn remark(&self) -> Option<&str> {
        self.remark.as_deref()
    }

    fn read(self, range: Range<u64>) -> Reading<E> {
        debug_assert!(
            self.entry.kind == EntryKind::File,
            "directories have no bytes"
        );
        let mut parts = Vec::new();
        let mut begins = 0;
        for place in self.chunks {
            let ends = begins + place.len;
            let from = range.start.max(begins);
            let to = range.end.min(ends);
            if from < to {
                parts.push(Part {
                    place,
                    offset: from - begins,
                    len: to - from,
                });
            }
            begins = ends;
        }
        parts.reverse();
        Reading {
            under_way: Some(self.coordinator.shared.data.begin(Operation::Read)),
            left: range.end.saturating_sub(range.start),
            coordinator: self.coordinator,
            path: self.entry.path,
            parts,
            current: None,
        }
    }
}

/// A part of a chunk that is to be read.
#[derive(Debug)]
struct Part {
    place: ChunkPlace,
    offset: u64,
    len: u64,
}

/// Bytes of a file on their way.
pub struct Reading<E: Env> {
    coordinator: Coordinator<E>,
    path: DfsPath,
    /// What is still to be read, the last first.
    parts: Vec<Part>,
    current: Option<ChunkReading<E>>,
    /// Bytes that are still to come.
    left: u64,
    /// Until all have come.
    under_way: Option<UnderWay<E>>,
}

impl<E: Env> std::fmt::Debug for Reading<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl<E: Env> Reading<E> {
    /// So many bytes more have come. Whoever wants no more than there are does not ask for the end.
    fn note(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes as u64);
        if self.left == 0
            && let Some(under_way) = self.under_way.take()
        {
            under_way.finish();
        }
    }
}

impl<E: Env> FileBytes for Reading<E> {
    async fn next(&mut self) -> Option<Result<Bytes, Refusal>> {
        loop {
            if let Some(current) = &mut self.current {
                match current.next().await {
                    Some(Ok(bytes)) => {
                        self.note(bytes.len());
                        return Some(Ok(bytes));
                    }
                    Some(Err(reason)) => {
                        let reason = format!("{} cannot be read: {reason}", self.path);
                        return Some(Err(Refusal::Unavailable { reason }));
                    }
                    None => self.current = None,
                }
            }
            let part = self.parts.pop()?;
            self.current = Some(ChunkReading::begin(&self.coordinator, part));
        }
    }
}

/// A chunk on its way from one of its replicas.
struct ChunkReading<E: Env> {
    coordinator: Coordinator<E>,
    part: Part,
    peers: Vec<Peer>,
    machine: Fetch,
    attempts: Vec<AbortHandle>,
    news: mpsc::Receiver<News>,
    sender: mpsc::Sender<News>,
}

/// What an attempt has to tell.
type News = (usize, Result<Bytes, String>);

impl<E: Env> ChunkReading<E> {
    fn begin(coordinator: &Coordinator<E>, part: Part) -> Self {
        let shared = &coordinator.shared;
        let mut peers: Vec<Peer> = part.place.replicas.iter().map(Peer::from).collect();
        // What is here needs no network; otherwise the controller's order is the best there is.
        if let Some(own) = peers.iter().position(|peer| shared.data.is_own(peer)) {
            peers[..=own].rotate_right(1);
        }
        let (sender, news) = mpsc::channel(1);
        Self {
            machine: Fetch::new(part.len, peers.len(), &shared.limits, shared.env.now()),
            coordinator: coordinator.clone(),
            part,
            peers,
            attempts: Vec::new(),
            news,
            sender,
        }
    }

    async fn next(&mut self) -> Option<Result<Bytes, String>> {
        let env = &self.coordinator.shared.env;
        // How long the client took for the last piece says nothing about the replicas.
        self.machine.reader_returned(env.now());
        loop {
            while let Some(effect) = self.machine.poll_effect() {
                match effect {
                    FetchEffect::Start {
                        attempt,
                        replica,
                        offset,
                    } => self.start(attempt, replica, offset),
                    FetchEffect::Stop { attempt } => {
                        if let Some(task) = self.attempts.get(attempt) {
                            task.abort();
                        }
                    }
                    FetchEffect::Finished => return None,
                    FetchEffect::GaveUp(reasons) => return Some(Err(self.words(&reasons))),
                }
            }
            let env = &self.coordinator.shared.env;
            let wait = self
                .machine
                .poll_timeout()
                .map_or(Duration::ZERO, |due| due.since(env.now()));
            tokio::select! {
                biased;
                news = self.news.recv() => match news {
                    Some((attempt, Ok(bytes))) => {
                        if self.machine.leads(attempt) {
                            let arrived = FetchInput::Arrived { attempt, bytes: bytes.len() as u64 };
                            self.machine.handle(env.now(), arrived);
                            return Some(Ok(bytes));
                        }
                    }
                    Some((attempt, Err(reason))) => {
                        self.machine.handle(env.now(), FetchInput::Failed { attempt, reason });
                    }
                    None => return Some(Err("the reading was given up".to_owned())),
                },
                () = sleep(wait) => self.machine.handle(env.now(), FetchInput::Deadline),
            }
        }
    }

    fn start(&mut self, attempt: usize, replica: usize, offset: u64) {
        let data = self.coordinator.shared.data.clone();
        let peer = self.peers[replica].clone();
        let wanted = Wanted::from(&self.part.place);
        let from = self.part.offset + offset;
        let len = self.part.len - offset;
        let news = self.sender.clone();
        let task = tokio::spawn(async move {
            let mut fetching = match data.fetch(&peer, wanted, from, len).await {
                Ok(fetching) => fetching,
                Err(fault) => {
                    let _ = news.send((attempt, Err(fault.to_string()))).await;
                    return;
                }
            };
            while let Some(piece) = fetching.next().await {
                let piece = piece.map_err(|fault| fault.to_string());
                let failed = piece.is_err();
                if news.send((attempt, piece)).await.is_err() || failed {
                    return;
                }
            }
        });
        self.attempts.push(task.abort_handle());
    }

    fn words(&self, reasons: &[(usize, String)]) -> String {
        if reasons.is_empty() {
            return format!(
                "no node has chunk {} at present; `vaquita chunk show {}` tells why",
                self.part.place.version, self.part.place.version.chunk
            );
        }
        let words: Vec<&str> = reasons.iter().map(|(_, reason)| reason.as_str()).collect();
        format!("chunk {}: {}", self.part.place.version, words.join("; "))
    }
}

impl<E: Env> Drop for ChunkReading<E> {
    fn drop(&mut self) {
        for task in &self.attempts {
            task.abort();
        }
    }
}
