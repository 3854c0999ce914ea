//! Fetching a chunk from another node, to keep it here as well.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;
use vaquita_core::dfs::ask::Holder;
use vaquita_core::dfs::digest::{BLOCK, Summary, Summing};
use vaquita_core::io::Input;
use vaquita_core::message::CopyReplica;

use super::fetch::{Fetching, Wanted};
use super::receive::{NotTaken, Pieces, receive};
use super::{Data, Peer, TransferFault};
use crate::env::Env;

impl<E: Env> Data<E> {
    /// Begins to carry out a copy; the machine is told of its end.
    pub(crate) fn copy(&self, order: CopyReplica) {
        let data = self.clone();
        tokio::spawn(async move {
            let result = match order.salvage {
                false => fetch_and_keep(&data, &order).await,
                true => put_together(&data, &order).await,
            };
            let ended = Input::CopyEnded {
                copy: order.copy,
                epoch: order.token.controller_epoch,
                version: order.token.version,
                result,
            };
            data.shared.volumes.tell(ended).await;
        });
    }
}

/// Tries the sources one after the other. What one has sent before it broke off is worth nothing: the
/// chunk is verified as a whole.
async fn fetch_and_keep<E: Env>(data: &Data<E>, order: &CopyReplica) -> Result<Holder, String> {
    let wanted = wanted(order);
    let mut reasons = Vec::new();
    for place in &order.sources {
        let source = Peer::from(place);
        let fetching = match data.fetch(&source, wanted, 0, order.len).await {
            Ok(fetching) => fetching,
            Err(fault) => {
                reasons.push(fault.to_string());
                continue;
            }
        };
        let mut pieces = Fetched(fetching);
        match receive(data, order.token.clone(), Some(order.len), &mut pieces).await {
            Ok((holder, summary)) if summary.digest == order.digest => return Ok(holder),
            // Both were compared with the same digest; this node's memory is not to be trusted.
            Ok((_, summary)) => return Err(differs(&summary, order)),
            // Another source would be refused as well.
            Err(NotTaken::Refused(refusal)) => return Err(refusal.to_string()),
            Err(NotTaken::Source(fault)) => reasons.push(fault.to_string()),
        }
    }
    match reasons.is_empty() {
        true => Err("there is no other node to fetch it from".to_owned()),
        false => Err(reasons.join("; ")),
    }
}

fn differs(summary: &Summary, order: &CopyReplica) -> String {
    format!(
        "what was kept has the digest {}, and should have {}",
        summary.digest, order.digest
    )
}

const fn wanted(order: &CopyReplica) -> Wanted {
    Wanted {
        version: order.token.version,
        len: order.len,
        digest: order.digest,
        even_damaged: order.salvage,
    }
}

/// Every replica is damaged: takes each block from one in which it is whole.
async fn put_together<E: Env>(data: &Data<E>, order: &CopyReplica) -> Result<Holder, String> {
    let mut pieces = Blocks {
        data,
        wanted: wanted(order),
        sources: order.sources.iter().map(Peer::from).collect(),
        last: 0,
        at: 0,
        summing: Summing::default(),
    };
    match receive(data, order.token.clone(), Some(order.len), &mut pieces).await {
        Ok((holder, summary)) if summary.digest == order.digest => Ok(holder),
        Ok((_, summary)) => Err(differs(&summary, order)),
        Err(NotTaken::Refused(refusal)) => Err(refusal.to_string()),
        Err(NotTaken::Source(reason)) => Err(reason),
    }
}

/// How often a block is asked for that could not be had for a reason that passes.
const ROUNDS: u32 = 4;
/// The pause between two rounds, times the number of the round.
const PAUSE: Duration = Duration::from_millis(500);

/// The blocks of a chunk, one by one from whoever has it.
struct Blocks<'a, E: Env> {
    data: &'a Data<E>,
    wanted: Wanted,
    sources: Vec<Peer>,
    /// The source of the last block, which is asked first.
    last: usize,
    at: u64,
    /// Of all blocks so far.
    summing: Summing,
}

impl<E: Env> Pieces for Blocks<'_, E> {
    type Fault = String;

    async fn next(&mut self) -> Result<Option<Bytes>, String> {
        let Wanted { len, digest, .. } = self.wanted;
        if self.at == len {
            return Ok(None);
        }
        let block = self.block().await?;
        self.at += block.len() as u64;
        self.summing.update(&block);
        // Before the last one is handed on: what is not the chunk is not to be kept.
        if self.at == len {
            let found = std::mem::take(&mut self.summing).finish().digest;
            if found != digest {
                return Err(format!(
                    "its blocks fit their checksums, and have together the digest {found} where it \
                     should be {digest}"
                ));
            }
        }
        Ok(Some(block))
    }
}

impl<E: Env> Blocks<'_, E> {
    async fn block(&mut self) -> Result<Bytes, String> {
        let mut reasons = Vec::new();
        for round in 0..ROUNDS {
            reasons.clear();
            let mut passes = false;
            for nth in 0..self.sources.len() {
                let from = (self.last + nth) % self.sources.len();
                match self.block_of(&self.sources[from]).await {
                    Ok(bytes) => {
                        self.last = from;
                        return Ok(bytes);
                    }
                    Err(fault) => {
                        // The others say that the block itself is not whole there.
                        passes |= !matches!(
                            fault,
                            TransferFault::Refused { .. } | TransferFault::Mismatch { .. }
                        );
                        reasons.push(fault.to_string());
                    }
                }
            }
            if !passes {
                break;
            }
            sleep(PAUSE * (round + 1)).await;
        }
        Err(format!(
            "block {} is whole nowhere: {}",
            self.at / BLOCK as u64,
            reasons.join("; ")
        ))
    }

    async fn block_of(&self, source: &Peer) -> Result<Bytes, TransferFault> {
        let wanted = (self.wanted.len - self.at).min(BLOCK as u64);
        let mut fetching = self
            .data
            .fetch(source, self.wanted, self.at, wanted)
            .await?;
        match fetching.next().await {
            Some(bytes) => bytes,
            None => Err(TransferFault::Protocol {
                peer: source.alias.clone(),
                reason: "it sends nothing of a block".to_owned(),
            }),
        }
    }
}

/// A chunk on its way from another node.
struct Fetched<E: Env>(Fetching<E>);

impl<E: Env> Pieces for Fetched<E> {
    type Fault = TransferFault;

    async fn next(&mut self) -> Result<Option<Bytes>, TransferFault> {
        self.0.next().await.transpose()
    }
}
