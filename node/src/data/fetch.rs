//! Reading a chunk from one of its replicas.

use bytes::Bytes;
use vaquita_core::dfs::ask::ChunkPlace;
use vaquita_core::dfs::digest::{BLOCK, Digest, Summing};
use vaquita_core::dfs::ids::ChunkVersion;
use vaquita_core::dfs::transfer::{TransferReply, TransferRequest};

use super::budget::Share;
use super::fault::TransferFault;
use super::link::LinkFault;
use super::pool::{Leased, Purpose};
use super::read::{Reading, crcs_differ};
use super::store::{open, reply, told};
use super::{Data, Peer};
use crate::env::Env;

const BLOCK_LEN: u64 = BLOCK as u64;

/// Which content of which chunk is wanted, and what it has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The content.
    pub version: ChunkVersion,
    /// How many bytes the whole chunk has.
    pub len: u64,
    /// Digest of the whole chunk.
    pub digest: Digest,
    /// Whether blocks are wanted also of a replica that is known to be damaged.
    pub even_damaged: bool,
}

impl From<&ChunkPlace> for Wanted {
    fn from(place: &ChunkPlace) -> Self {
        Self {
            version: place.version,
            len: place.len,
            digest: place.digest,
            even_damaged: false,
        }
    }
}

/// Bytes of a chunk on their way from a replica.
///
/// Nothing is yielded that does not fit the checksum of its block; and where all of a chunk was
/// asked for, the last piece is not yielded before all of it fits the chunk's digest.
pub struct Fetching<E: Env> {
    data: Data<E>,
    peer: Peer,
    wanted: Wanted,
    source: Source<E>,
    /// Offset in the chunk of the next byte that comes.
    at: u64,
    /// Offset in the chunk behind the last one that comes.
    end: u64,
    /// The range that was asked for: what is yielded of what comes.
    from: u64,
    to: u64,
    /// The crc32 of each block that is still to come, as the replica says.
    crcs: Vec<u32>,
    block: usize,
    /// Of all bytes, where the whole chunk was asked for.
    summing: Option<Summing>,
    ended: bool,
    _share: Share,
}

enum Source<E: Env> {
    Here(Box<Reading<E>>),
    There(Option<Box<Leased<E::Stream>>>),
}

impl<E: Env> std::fmt::Debug for Fetching<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetching")
            .field("peer", &self.peer)
            .field("wanted", &self.wanted)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

/// How a reading begins.
struct Begun<E: Env> {
    source: Source<E>,
    chunk_len: u64,
    digest: Digest,
    offset: u64,
    len: u64,
    crcs: Vec<u32>,
}

impl<E: Env> Fetching<E> {
    pub(super) async fn begin(
        data: &Data<E>,
        peer: &Peer,
        wanted: Wanted,
        offset: u64,
        len: u64,
        share: Share,
    ) -> Result<Self, TransferFault> {
        let begun = if data.is_own(peer) {
            here(data, peer, wanted, offset, len).await?
        } else {
            there(data, peer, wanted, offset, len).await?
        };
        let from = offset;
        let to = offset.saturating_add(len).min(wanted.len);
        let mut fetching = Self {
            data: data.clone(),
            peer: peer.clone(),
            wanted,
            source: begun.source,
            at: begun.offset,
            end: begun.offset.saturating_add(begun.len),
            from,
            to,
            crcs: begun.crcs,
            block: 0,
            summing: None,
            ended: false,
            _share: share,
        };
        if (begun.chunk_len, begun.digest) != (wanted.len, wanted.digest) {
            let reason = format!(
                "its chunk {} has {} bytes with the digest {}, and should have {} with {}",
                wanted.version, begun.chunk_len, begun.digest, wanted.len, wanted.digest
            );
            return Err(fetching.mismatch(reason));
        }
        // What comes has to be what was asked for: whole blocks, from the first on. All of them
        // need not come, but some must.
        let blocks = begun.len.div_ceil(BLOCK_LEN);
        let fits = from <= to
            && fetching.at == from - from % BLOCK_LEN
            && fetching.end <= wanted.len
            && (fetching.end > from || from == to)
            && (fetching.end.is_multiple_of(BLOCK_LEN) || fetching.end == wanted.len)
            && fetching.crcs.len() as u64 == blocks;
        if !fits {
            return Err(TransferFault::Protocol {
                peer: peer.alias.clone(),
                reason: format!(
                    "it sends {} bytes from {} on, where {len} from {offset} on were asked for",
                    begun.len, begun.offset
                ),
            });
        }
        fetching.to = to.min(fetching.end);
        let whole = fetching.at == 0 && fetching.end == wanted.len;
        fetching.summing = whole.then(Summing::default);
        fetching.ended = fetching.at == fetching.end;
        if fetching.ended {
            fetching.keep();
        }
        Ok(fetching)
    }

    /// How many bytes of the range will be yielded: all, unless the replica sends fewer at once.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.to.saturating_sub(self.from)
    }

    /// Whether none will be.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next bytes of the range, verified; `None` behind the last.
    ///
    /// # Errors
    /// If the replica fails, or its bytes are wrong; the replica is told of these. Nothing follows
    /// an error: the rest is to be fetched elsewhere.
    pub async fn next(&mut self) -> Option<Result<Bytes, TransferFault>> {
        while !self.ended {
            match self.piece().await {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => return Some(Ok(bytes)),
                Err(fault) => {
                    self.ended = true;
                    return Some(Err(fault));
                }
            }
        }
        None
    }

    /// The part of the next piece that was asked for.
    async fn piece(&mut self) -> Result<Bytes, TransferFault> {
        let mut bytes = match &mut self.source {
            Source::Here(reading) => match reading.next().await {
                Ok(piece) => piece.unwrap_or_default(),
                Err(refusal) => return Err(refused(&self.peer, refusal)),
            },
            Source::There(leased) => {
                let Some(leased) = leased else {
                    return Ok(Bytes::new());
                };
                match leased.link.inbound.piece().await {
                    Ok(Some(piece)) => piece,
                    Ok(None) => return Err(self.given_up().await),
                    Err(fault) => return Err(told(&self.peer, fault)),
                }
            }
        };
        let end = self.at.saturating_add(bytes.len() as u64);
        let in_blocks = end.is_multiple_of(BLOCK_LEN) || end == self.wanted.len;
        if bytes.is_empty() || end > self.end || !in_blocks {
            return Err(TransferFault::Protocol {
                peer: self.peer.alias.clone(),
                reason: format!(
                    "a piece of {} bytes has no place at {}",
                    bytes.len(),
                    self.at
                ),
            });
        }
        let crcs = self.crcs.get(self.block..).unwrap_or_default();
        if let Some(wrong) = crcs_differ(&bytes, crcs) {
            let reason = format!(
                "block {} of chunk {} does not fit its checksum",
                self.at / BLOCK_LEN + wrong as u64,
                self.wanted.version
            );
            return Err(self.mismatch(reason));
        }
        self.block += bytes.len().div_ceil(BLOCK);
        let begin = std::mem::replace(&mut self.at, end);
        if let Some(summing) = &mut self.summing {
            summing.update(&bytes);
        }
        if self.at == self.end {
            self.ended = true;
            let summary = self.summing.take().map(Summing::finish);
            if let Some(summary) = summary
                && summary.digest != self.wanted.digest
            {
                let reason = format!(
                    "chunk {} has the digest {}, and should have {}",
                    self.wanted.version, summary.digest, self.wanted.digest
                );
                return Err(self.mismatch(reason));
            }
            self.keep();
        }
        let within = |at: u64| usize::try_from(at.saturating_sub(begin)).unwrap_or(usize::MAX);
        bytes.truncate(within(self.to));
        let skip = within(self.from).min(bytes.len());
        Ok(bytes.split_off(skip))
    }

    /// The replica has broken off; it says why.
    async fn given_up(&mut self) -> TransferFault {
        let Source::There(Some(leased)) = &mut self.source else {
            return TransferFault::SourceEnded;
        };
        let patience = self.data.shared.limits.progress_timeout;
        let said = leased.link.frame(patience).await;
        let said = said.map_err(|fault| told(&self.peer, fault));
        match said.and_then(|(kind, body)| reply(&self.peer, kind, &body)) {
            Ok(TransferReply::Refused(refusal)) => {
                self.keep();
                refused(&self.peer, refusal)
            }
            Ok(other) => TransferFault::Protocol {
                peer: self.peer.alias.clone(),
                reason: format!("it answers {other:?} in the middle of a read"),
            },
            Err(fault) => fault,
        }
    }

    /// The connection is in step: keeps it for the next transfer.
    fn keep(&mut self) {
        if let Source::There(leased) = &mut self.source
            && let Some(leased) = leased.take()
        {
            leased.keep(&self.data, &self.peer);
        }
    }

    /// The bytes are wrong. Whether disk or network is to blame, the replica finds out: it is told.
    fn mismatch(&self, reason: String) -> TransferFault {
        let (data, peer) = (self.data.clone(), self.peer.clone());
        let version = self.wanted.version;
        tokio::spawn(async move {
            // It finds out by itself later if it does not hear this.
            let _ = data.suspect(&peer, version).await;
        });
        TransferFault::Mismatch {
            peer: self.peer.alias.clone(),
            reason,
        }
    }
}

fn refused(peer: &Peer, refusal: vaquita_core::admin::Refusal) -> TransferFault {
    TransferFault::Refused {
        peer: peer.alias.clone(),
        refusal,
    }
}

async fn here<E: Env>(
    data: &Data<E>,
    peer: &Peer,
    wanted: Wanted,
    offset: u64,
    len: u64,
) -> Result<Begun<E>, TransferFault> {
    let Wanted {
        version,
        even_damaged,
        ..
    } = wanted;
    let reading = Reading::open(data, version, offset, len, even_damaged).await;
    let reading = reading.map_err(|refusal| refused(peer, refusal))?;
    Ok(Begun {
        chunk_len: reading.chunk_len(),
        digest: reading.digest(),
        offset: reading.begin(),
        len: reading.len(),
        crcs: reading.crcs().to_vec(),
        source: Source::Here(Box::new(reading)),
    })
}

async fn there<E: Env>(
    data: &Data<E>,
    peer: &Peer,
    wanted: Wanted,
    offset: u64,
    len: u64,
) -> Result<Begun<E>, TransferFault> {
    let request = TransferRequest::Fetch {
        version: wanted.version,
        offset,
        len,
        even_damaged: wanted.even_damaged,
    };
    let (leased, answer) = ask(data, peer, &request).await?;
    match answer {
        TransferReply::Sending {
            chunk_len,
            digest,
            offset,
            len,
            blocks,
        } => Ok(Begun {
            source: Source::There(Some(Box::new(leased))),
            chunk_len,
            digest,
            offset,
            len,
            crcs: blocks,
        }),
        TransferReply::Refused(refusal) => {
            leased.keep(data, peer);
            Err(refused(peer, refusal))
        }
        other => Err(TransferFault::Protocol {
            peer: peer.alias.clone(),
            reason: format!("it answers {other:?} to a read"),
        }),
    }
}

/// Sends a request that may be repeated, and returns the answer with the connection it came on.
///
/// A kept connection that ends before it has answered was ended by the other side because it was
/// unused for long: a fresh one is tried.
pub(super) async fn ask<E: Env>(
    data: &Data<E>,
    peer: &Peer,
    request: &TransferRequest,
) -> Result<(Leased<E::Stream>, TransferReply), TransferFault> {
    let body = request.encode();
    let patience = data.shared.limits.answer_timeout;
    let mut leased = open(data, peer, Purpose::Read, &body, None).await?;
    let mut answer = leased.link.frame(patience).await;
    let ended = matches!(answer, Err(LinkFault::Ended | LinkFault::Broken(_)));
    if ended && leased.used_before {
        drop(leased);
        leased = super::pool::lease(data, peer, Purpose::Read, true).await?;
        let sent = leased
            .link
            .send(vaquita_core::dfs::transfer::KIND_REQUEST, &body)
            .await;
        sent.map_err(|fault| told(peer, fault))?;
        answer = leased.link.frame(patience).await;
    }
    let (kind, body) = answer.map_err(|fault| told(peer, fault))?;
    Ok((leased, reply(peer, kind, &body)?))
}
