//! Writing one chunk to several replicas at once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use vaquita_core::dfs::ask::Holder;
use vaquita_core::dfs::digest::{Digest, Summary, Summing};
use vaquita_core::dfs::token::WriteToken;
use vaquita_core::dfs::transfer::{
    KIND_REPLY, KIND_REQUEST, KIND_WORKING, TransferReply, TransferRequest,
};

use super::budget::Share;
use super::fault::TransferFault;
use super::limits::DataLimits;
use super::link::{Link, LinkFault, Outbound, TOGETHER};
use super::pool::{Leased, Purpose, lease};
use super::receive::{NotTaken, Pieces, receive};
use super::{Data, Peer};
use crate::env::Env;

/// What a piece takes of a window at least: a client that sends byte by byte makes a queue of
/// thousands of pieces otherwise, each of which costs more than its byte.
const ITEM_COST: usize = 4 * 1024;

/// A replica that has a chunk on disk, by its own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// Who has it, and where.
    pub holder: Holder,
    /// How many bytes.
    pub len: u64,
    /// Their digest, as the replica made it. [`Storing::finish`] has compared it.
    pub digest: Digest,
}

/// A replica that was given up while a chunk was written, and why.
pub type Lost = (Peer, TransferFault);

/// What became of a chunk.
#[derive(Clone, Debug)]
pub struct Stored {
    /// What the bytes were.
    pub summary: Summary,
    /// The replicas that have it, in the order in which they were given.
    pub prepared: Vec<(Peer, Prepared)>,
    /// Those that do not, or do not say so.
    pub lost: Vec<Lost>,
}

/// No replica is left to write to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no replica is left: {}", words(lost))]
pub struct NoneLeft {
    /// What became of each.
    pub lost: Vec<Lost>,
}

fn words(lost: &[Lost]) -> String {
    let words: Vec<String> = lost.iter().map(|(_, fault)| fault.to_string()).collect();
    words.join("; ")
}

/// A chunk on its way to its replicas.
///
/// Dropped before [`Storing::finish`], it is given up: no replica keeps what it has got so far.
#[derive(Debug)]
pub struct Storing {
    replicas: Vec<Replica>,
    lost: Vec<Lost>,
    summing: Summing,
    limits: DataLimits,
    _share: Share,
}

#[derive(Debug)]
struct Replica {
    peer: Peer,
    /// Pieces that it has not got yet, with their part of the window.
    queue: mpsc::UnboundedSender<Item>,
    /// Bytes that it may still be behind. Closed when its task has ended.
    window: Arc<Semaphore>,
    task: JoinHandle<Result<Prepared, TransferFault>>,
}

/// What a replica's task is handed.
#[derive(Debug)]
enum Item {
    Piece(Bytes, OwnedSemaphorePermit),
    /// All bytes were handed over.
    End,
}

/// The task's end of a queue. Its window closes with it.
struct Queue {
    items: mpsc::UnboundedReceiver<Item>,
    window: Arc<Semaphore>,
    /// Of the piece that is on its way: freed once the next is asked for.
    taken: Option<OwnedSemaphorePermit>,
    /// How long the next piece may take to be handed over.
    patience: Duration,
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.window.close();
    }
}

impl Pieces for Queue {
    type Fault = TransferFault;

    async fn next(&mut self) -> Result<Option<Bytes>, TransferFault> {
        self.taken = None;
        match timeout(self.patience, self.items.recv()).await {
            Ok(Some(Item::Piece(bytes, permit))) => {
                self.taken = Some(permit);
                Ok(Some(bytes))
            }
            Ok(Some(Item::End)) => Ok(None),
            Ok(None) | Err(_) => Err(TransferFault::SourceEnded),
        }
    }
}

impl Storing {
    pub(super) fn begin<E: Env>(
        data: &Data<E>,
        token: &WriteToken,
        replicas: &[Peer],
        len: Option<u64>,
        share: Share,
    ) -> Self {
        let limits = data.shared.limits.clone();
        let replicas = replicas
            .iter()
            .map(|peer| {
                let (queue, items) = mpsc::unbounded_channel();
                let window = Arc::new(Semaphore::new(limits.window_bytes));
                let pieces = Queue {
                    items,
                    window: Arc::clone(&window),
                    taken: None,
                    patience: limits.asker_timeout,
                };
                let (data, token, to) = (data.clone(), token.clone(), peer.clone());
                let task = tokio::spawn(async move {
                    if data.is_own(&to) {
                        here(&data, &to, token, len, pieces).await
                    } else {
                        there(&data, &to, token, len, pieces).await
                    }
                });
                Replica {
                    peer: peer.clone(),
                    queue,
                    window,
                    task,
                }
            })
            .collect();
        Self {
            replicas,
            lost: Vec::new(),
            summing: Summing::default(),
            limits,
            _share: share,
        }
    }

    /// The replicas that were given up so far.
    #[must_use]
    pub fn lost(&self) -> &[Lost] {
        &self.lost
    }

    /// How many replicas are still being written.
    #[must_use]
    pub fn writing(&self) -> usize {
        self.replicas.len()
    }

    /// Bytes handed over so far.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.summing.len()
    }

    /// Whether no bytes were handed over yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.summing.is_empty()
    }

    /// Hands the next bytes, of any length, to every replica that is still being written. Waits
    /// until the slowest has room for them; one that makes no progress is given up.
    ///
    /// # Errors
    /// If no replica is left.
    pub async fn write(&mut self, mut bytes: Bytes) -> Result<(), NoneLeft> {
        self.summing.update(&bytes);
        // Short enough that a replica which is merely slow frees one now and then.
        let longest = self.limits.window_bytes.min(self.limits.piece_max) / 4;
        let longest = longest.max(1);
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(longest));
            let cost = piece.len().max(ITEM_COST.min(longest));
            let permits = u32::try_from(cost).unwrap_or(u32::MAX);
            let mut at = 0;
            while let Some(replica) = self.replicas.get(at) {
                let room = Arc::clone(&replica.window).acquire_many_owned(permits);
                match timeout(self.limits.progress_timeout, room).await {
                    Ok(Ok(permit)) => {
                        // If its task has ended just now, its window is closed the next time.
                        let _ = replica.queue.send(Item::Piece(piece.clone(), permit));
                        at += 1;
                    }
                    Ok(Err(_)) => self.give_up(at, None).await,
                    Err(_) => {
                        let slow = TransferFault::Slow {
                            peer: replica.peer.alias.clone(),
                            after: self.limits.progress_timeout,
                        };
                        self.give_up(at, Some(slow)).await;
                    }
                }
            }
            if self.replicas.is_empty() {
                let lost = self.lost.clone();
                return Err(NoneLeft { lost });
            }
        }
        Ok(())
    }

    /// Takes a replica out: for `fault`, or for what its task has ended with.
    async fn give_up(&mut self, at: usize, fault: Option<TransferFault>) {
        let Replica {
            peer, queue, task, ..
        } = self.replicas.remove(at);
        let fault = match fault {
            Some(fault) => {
                // What it has got so far is nothing worth: it hears that no more comes.
                drop(queue);
                fault
            }
            None => match task.await {
                Ok(Err(fault)) => fault,
                Ok(Ok(_)) => TransferFault::Protocol {
                    peer: peer.alias.clone(),
                    reason: "it was done before all bytes had come".to_owned(),
                },
                Err(failure) => bug(&peer, &failure),
            },
        };
        self.lost.push((peer, fault));
    }

    /// All bytes were handed over: waits until each replica has them on disk, or has not.
    pub async fn finish(self) -> Stored {
        let Self {
            replicas,
            mut lost,
            summing,
            ..
        } = self;
        let summary = summing.finish();
        for replica in &replicas {
            let _ = replica.queue.send(Item::End);
        }
        let mut prepared = Vec::new();
        for Replica { peer, task, .. } in replicas {
            let outcome = task
                .await
                .unwrap_or_else(|failure| Err(bug(&peer, &failure)));
            let checked = outcome.and_then(|prepared| check(&peer, prepared, &summary));
            match checked {
                Ok(holder) => prepared.push((peer, holder)),
                Err(fault) => lost.push((peer, fault)),
            }
        }
        Stored {
            summary,
            prepared,
            lost,
        }
    }
}

fn check(peer: &Peer, prepared: Prepared, summary: &Summary) -> Result<Prepared, TransferFault> {
    if (prepared.len, prepared.digest) == (summary.len, summary.digest) {
        return Ok(prepared);
    }
    Err(TransferFault::Mismatch {
        peer: peer.alias.clone(),
        reason: format!(
            "{} bytes with the digest {} were sent, and {} with {} were received",
            summary.len, summary.digest, prepared.len, prepared.digest
        ),
    })
}

fn bug(peer: &Peer, failure: &tokio::task::JoinError) -> TransferFault {
    TransferFault::Broken {
        peer: peer.alias.clone(),
        reason: format!("a bug in this program: {failure}"),
    }
}

/// Writes to this very process.
async fn here<E: Env>(
    data: &Data<E>,
    peer: &Peer,
    token: WriteToken,
    len: Option<u64>,
    mut pieces: Queue,
) -> Result<Prepared, TransferFault> {
    let taken = receive(data, token, len, &mut pieces).await;
    match taken {
        Ok((holder, summary)) => Ok(Prepared {
            holder,
            len: summary.len,
            digest: summary.digest,
        }),
        Err(NotTaken::Source(fault)) => Err(fault),
        Err(NotTaken::Refused(refusal)) => Err(TransferFault::Refused {
            peer: peer.alias.clone(),
            refusal,
        }),
    }
}

/// Writes to another process.
async fn there<E: Env>(
    data: &Data<E>,
    peer: &Peer,
    token: WriteToken,
    len: Option<u64>,
    mut pieces: Queue,
) -> Result<Prepared, TransferFault> {
    let request = TransferRequest::Store { token, len }.encode();
    let mut leased;
    let small = len.and_then(|len| usize::try_from(len).ok());
    let answer = match small.filter(|&len| len <= TOGETHER / 2) {
        Some(len) => {
            let all = gather(&mut pieces, len).await?;
            leased = open(data, peer, Purpose::Write, &request, Some(&all)).await?;
            let link = &mut leased.link;
            let answer = link.inbound.outcome(&mut link.session).await;
            answer.map(|answer| (answer, true))
        }
        None => {
            leased = open(data, peer, Purpose::Write, &request, None).await?;
            stream(data, peer, &mut leased.link, &mut pieces).await?
        }
    };
    let ((kind, body), in_step) = answer.map_err(|fault| told(peer, fault))?;
    match reply(peer, kind, &body)? {
        TransferReply::Prepared {
            holder,
            len,
            digest,
        } if in_step => {
            leased.keep(data, peer);
            Ok(Prepared {
                holder,
                len,
                digest,
            })
        }
        TransferReply::Refused(refusal) => {
            // After a refusal the other side ends the connection, unless it had all bytes.
            Err(TransferFault::Refused {
                peer: peer.alias.clone(),
                refusal,
            })
        }
        other => Err(TransferFault::Protocol {
            peer: peer.alias.clone(),
            reason: format!("it answers {other:?} to a write"),
        }),
    }
}

/// A frame, and whether it came behind all that was sent.
type Heard = Result<((u16, Vec<u8>), bool), LinkFault>;

/// Sends pieces as they come, and hears what the other side has to say.
async fn stream<E: Env>(
    data: &Data<E>,
    peer: &Peer,
    link: &mut Link<E::Stream>,
    pieces: &mut Queue,
) -> Result<Heard, TransferFault> {
    let limits = &data.shared.limits;
    let Link {
        inbound,
        outbound,
        session,
    } = link;
    let mut sending = std::pin::pin!(send(outbound, pieces));
    // A refusal may come before all bytes were sent, and nobody reads them any more then.
    let sent = loop {
        tokio::select! {
            biased;
            answer = inbound.frame(session) => match answer {
                // It has all of them, and this side is about to notice that it has sent them.
                Ok((KIND_WORKING, _)) => {}
                answer => return Ok(answer.map(|answer| (answer, false))),
            },
            sent = &mut sending => break sent,
        }
    };
    match sent {
        Ok(()) => {
            let answer = inbound.outcome(session).await;
            Ok(answer.map(|answer| (answer, true)))
        }
        Err(Unsent::Source(fault)) => Err(fault),
        // The refusal may be on its way still.
        Err(Unsent::Link(fault)) => match timeout(limits.linger, inbound.frame(session)).await {
            Ok(Ok(answer)) => Ok(Ok((answer, false))),
            Ok(Err(_)) | Err(_) => Err(told(peer, fault)),
        },
    }
}

/// A connection on which a request was sent, with all that belongs to it if there is `content`. One
/// that was kept may have been ended meanwhile; then nothing has been done by it, and a fresh one is
/// tried.
pub(super) async fn open<E: Env>(
    data: &Data<E>,
    peer: &Peer,
    purpose: Purpose,
    request: &[u8],
    content: Option<&[u8]>,
) -> Result<Leased<E::Stream>, TransferFault> {
    let mut leased = lease(data, peer, purpose, false).await?;
    match ask_on(&mut leased.link, request, content).await {
        Ok(()) => Ok(leased),
        Err(_) if leased.used_before => {
            drop(leased);
            let mut leased = lease(data, peer, purpose, true).await?;
            let sent = ask_on(&mut leased.link, request, content).await;
            sent.map_err(|fault| told(peer, fault)).map(|()| leased)
        }
        Err(fault) => Err(told(peer, fault)),
    }
}

async fn ask_on<S: AsyncRead + AsyncWrite>(
    link: &mut Link<S>,
    request: &[u8],
    content: Option<&[u8]>,
) -> Result<(), LinkFault> {
    link.put(KIND_REQUEST, request).await?;
    if let Some(content) = content {
        if !content.is_empty() {
            link.outbound.piece(content).await?;
        }
        link.outbound.piece(&[]).await?;
    }
    link.outbound.flush().await
}

/// Waits for all of a chunk that is announced to have `len` bytes.
async fn gather(pieces: &mut Queue, len: usize) -> Result<Vec<u8>, TransferFault> {
    let mut all = Vec::with_capacity(len);
    while let Some(piece) = pieces.next().await? {
        all.extend_from_slice(&piece);
    }
    Ok(all)
}

/// Why the pieces were not all sent.
enum Unsent {
    Source(TransferFault),
    Link(LinkFault),
}

async fn send<S: tokio::io::AsyncWrite>(
    outbound: &mut Outbound<S>,
    pieces: &mut Queue,
) -> Result<(), Unsent> {
    while let Some(piece) = pieces.next().await.map_err(Unsent::Source)? {
        outbound.piece(&piece).await.map_err(Unsent::Link)?;
        outbound.flush().await.map_err(Unsent::Link)?;
    }
    outbound.piece(&[]).await.map_err(Unsent::Link)?;
    outbound.flush().await.map_err(Unsent::Link)
}

/// What a fault of a connection is to whoever wanted something of the peer.
pub(super) fn told(peer: &Peer, fault: LinkFault) -> TransferFault {
    let peer = peer.alias.clone();
    match fault {
        LinkFault::Slow(after) => TransferFault::Slow { peer, after },
        LinkFault::Ended | LinkFault::Broken(_) => TransferFault::Broken {
            peer,
            reason: fault.to_string(),
        },
        LinkFault::Session(_) | LinkFault::Protocol(_) => TransferFault::Protocol {
            peer,
            reason: fault.to_string(),
        },
    }
}

/// The reply in a frame.
pub(super) fn reply(peer: &Peer, kind: u16, body: &[u8]) -> Result<TransferReply, TransferFault> {
    let protocol = |reason| TransferFault::Protocol {
        peer: peer.alias.clone(),
        reason,
    };
    if kind != KIND_REPLY {
        return Err(protocol(format!(
            "a frame of kind {kind:#06x} where a reply was due"
        )));
    }
    TransferReply::decode(body).map_err(|malformed| protocol(malformed.to_string()))
}
