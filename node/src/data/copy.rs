//! Fetching a chunk from another node, to keep it here as well.

use bytes::Bytes;
use vaquita_core::dfs::ask::Holder;
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
            let result = fetch_and_keep(&data, &order).await;
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
    let wanted = Wanted {
        version: order.token.version,
        len: order.len,
        digest: order.digest,
    };
    let mut reasons = Vec::new();
    for place in &order.sources {
        let source = Peer::from(place);
        if data.is_own(&source) {
            // The controller does not mean this; a chunk is not fetched from where it is to go.
            continue;
        }
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
            Ok((_, summary)) => {
                return Err(format!(
                    "what was kept has the digest {}, and should have {}",
                    summary.digest, order.digest
                ));
            }
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

/// A chunk on its way from another node.
struct Fetched<E: Env>(Fetching<E>);

impl<E: Env> Pieces for Fetched<E> {
    type Fault = TransferFault;

    async fn next(&mut self) -> Result<Option<Bytes>, TransferFault> {
        self.0.next().await.transpose()
    }
}
