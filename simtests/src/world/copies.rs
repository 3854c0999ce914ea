//! Copies of chunks between nodes: what the driver of the node does that is to have one.
//!
//! The bytes are fetched from one source after the other, verified as a whole, and then kept by the
//! way of a write, from the node to itself.

use vaquita_core::dfs::ask::Holder;
use vaquita_core::dfs::digest::{BLOCK, Digest};
use vaquita_core::dfs::ids::ChunkVersion;
use vaquita_core::ids::Endpoint;
use vaquita_core::io::Input;
use vaquita_core::message::CopyReplica;

use super::data::{Carried, Transfer, TransferId};
use super::{Factory, NodeIx, World};

/// A copy under way.
#[derive(Debug)]
pub(super) struct Copying {
    node: NodeIx,
    start: u32,
    order: CopyReplica,
    /// The source after the present one.
    next: usize,
    reasons: Vec<String>,
    /// What has come; `None` once it is being kept.
    came: Option<Vec<u8>>,
    /// How many sources have not had the next block, where it is put together block by block.
    refused: usize,
}

impl<F: Factory> World<F> {
    pub(super) fn begin_copy(&mut self, node: NodeIx, order: CopyReplica) {
        let Some(start) = self.running_start(node) else {
            return;
        };
        let copying = Copying {
            node,
            start,
            order,
            next: 0,
            reasons: Vec::new(),
            came: None,
            refused: 0,
        };
        match copying.order.salvage {
            true => self.fetch_block(copying),
            false => self.fetch_next(copying),
        }
    }

    /// Asks the next source, or gives up.
    fn fetch_next(&mut self, mut copying: Copying) {
        let order = &copying.order;
        let Some(source) = order.sources.get(copying.next) else {
            let reason = format!("no source delivers: {}", copying.reasons.join("; "));
            self.copy_ends(&copying, Err(reason));
            return;
        };
        let transfer = Transfer::Fetch {
            version: order.token.version,
            offset: 0,
            len: order.len,
            even_damaged: false,
        };
        let endpoint = source.endpoint.clone();
        copying.next += 1;
        copying.came = Some(Vec::new());
        let id = self.carry(copying.node, &endpoint, transfer);
        self.data.copies.insert(id, copying);
        // It may have been told at once that there is no such host.
        self.look_at_copies();
    }

    /// Asks for the next block of a chunk of which every replica is damaged: whoever had the last one
    /// first.
    fn fetch_block(&mut self, mut copying: Copying) {
        let order = &copying.order;
        let at = copying.came.get_or_insert_default().len() as u64;
        if at == order.len {
            self.came_whole(copying);
            return;
        }
        if copying.refused == order.sources.len() {
            let reason = format!("a block is whole nowhere: {}", copying.reasons.join("; "));
            self.copy_ends(&copying, Err(reason));
            return;
        }
        let transfer = Transfer::Fetch {
            version: order.token.version,
            offset: at,
            len: (order.len - at).min(BLOCK as u64),
            even_damaged: true,
        };
        let endpoint = order.sources[copying.next].endpoint.clone();
        let id = self.carry(copying.node, &endpoint, transfer);
        self.data.copies.insert(id, copying);
        self.look_at_copies();
    }

    fn block_carried(&mut self, id: TransferId, what: Carried, mut copying: Copying) {
        match what {
            Carried::Bytes { bytes, last, .. } => {
                copying.came.get_or_insert_default().extend(bytes);
                copying.refused = 0;
                if !last {
                    self.data.copies.insert(id, copying);
                    return;
                }
            }
            other => {
                let whole = copying.came.get_or_insert_default();
                // What came of a block before it broke off is nothing worth.
                whole.truncate(whole.len() / BLOCK * BLOCK);
                copying.reasons.push(format!("{other:?}"));
                copying.refused += 1;
                copying.next = (copying.next + 1) % copying.order.sources.len();
            }
        }
        self.fetch_block(copying);
    }

    fn came_whole(&mut self, mut copying: Copying) {
        let came = copying.came.get_or_insert_default();
        if Digest::of(came) == copying.order.digest {
            self.keep(copying);
        } else {
            let reason = "the digest of what was put together differs".to_owned();
            self.copy_ends(&copying, Err(reason));
        }
    }

    /// A node reads one of its chunks through: as somebody's word that it is damaged has it done.
    pub(super) fn begin_scrub(&mut self, node: NodeIx, version: ChunkVersion) {
        let Some(start) = self.running_start(node) else {
            return;
        };
        let own = self.own_endpoint(node);
        let id = self.carry(node, &own, Transfer::Suspect { version });
        self.data.scrubs.insert(id, (node, start, version));
        self.look_at_copies();
    }

    fn own_endpoint(&self, node: NodeIx) -> Endpoint {
        let address = self.address(node);
        Endpoint {
            host: address.ip().to_string(),
            port: address.port(),
        }
    }

    fn look_at_scrubs(&mut self) {
        let scrubs = &self.data.scrubs;
        let at = (self.data.told.iter()).position(|(id, _)| scrubs.contains_key(id));
        let Some(at) = at else { return };
        let (id, what) = self.data.told.remove(at);
        let Some((node, start, version)) = self.data.scrubs.remove(&id) else {
            return;
        };
        let result = match what {
            Carried::Noted => Ok(()),
            other => Err(format!("{other:?}")),
        };
        self.tell(node, start, Input::Scrubbed { version, result });
    }

    /// Takes what has been told to copies, and to those who read their chunks through.
    pub(super) fn look_at_copies(&mut self) {
        self.look_at_scrubs();
        let copies = &self.data.copies;
        let at = (self.data.told.iter()).position(|(id, _)| copies.contains_key(id));
        if let Some(at) = at {
            let (id, what) = self.data.told.remove(at);
            self.copy_carried(id, what);
        }
    }

    fn copy_carried(&mut self, id: TransferId, what: Carried) {
        let Some(mut copying) = self.data.copies.remove(&id) else {
            return;
        };
        if self.running_start(copying.node) != Some(copying.start) {
            return;
        }
        if copying.order.salvage && copying.came.is_some() {
            self.block_carried(id, what, copying);
            return;
        }
        match (what, copying.came.as_mut()) {
            (Carried::Bytes { bytes, last, .. }, Some(came)) => {
                came.extend_from_slice(&bytes);
                if !last {
                    self.data.copies.insert(id, copying);
                    return;
                }
                if Digest::of(came) == copying.order.digest {
                    self.keep(copying);
                } else {
                    copying.reasons.push("the digest differs".to_owned());
                    self.fetch_next(copying);
                }
            }
            (other, Some(_)) => {
                copying.reasons.push(format!("{other:?}"));
                self.fetch_next(copying);
            }
            (Carried::Prepared { holder, digest, .. }, None) => {
                let kept = digest == copying.order.digest;
                let result = if kept {
                    Ok(holder)
                } else {
                    Err("the digest differs".to_owned())
                };
                self.copy_ends(&copying, result);
            }
            (other, None) => self.copy_ends(&copying, Err(format!("{other:?}"))),
        }
    }

    /// All bytes have come: the node keeps them.
    fn keep(&mut self, mut copying: Copying) {
        let bytes = copying.came.take().unwrap_or_default();
        let transfer = Transfer::Store {
            token: copying.order.token.clone(),
            bytes,
            announced: true,
        };
        let own = self.own_endpoint(copying.node);
        let id = self.carry(copying.node, &own, transfer);
        self.data.copies.insert(id, copying);
        self.look_at_copies();
    }

    fn copy_ends(&mut self, copying: &Copying, result: Result<Holder, String>) {
        let ended = Input::CopyEnded {
            copy: copying.order.copy,
            epoch: copying.order.token.controller_epoch,
            version: copying.order.token.version,
            result,
        };
        self.tell(copying.node, copying.start, ended);
    }
}
