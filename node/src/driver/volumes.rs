//! What a data node's machine and its data plane say to each other.

use std::collections::BTreeMap;

use tokio::sync::oneshot;
use vaquita_core::dfs::ids::{ChunkVersion, StageId, VolumeSlot};
use vaquita_core::disk::DiskBatch;
use vaquita_core::ids::{DiskTicket, RequestId};
use vaquita_core::io::Input;
use vaquita_core::message::CopyReplica;
use vaquita_core::store::{Fill, StoreAnswer, StoreAsk, StoreReply};

use crate::data::{Data, StoreQuestion, VolumeHands};
use crate::env::Env;

/// Carries out what the machine wants of its volumes, and brings it the data plane's questions.
pub(super) struct Volumes<E: Env> {
    hands: VolumeHands<E>,
    data: Data<E>,
    asked: BTreeMap<RequestId, oneshot::Sender<StoreReply>>,
    next: u64,
}

impl<E: Env> Volumes<E> {
    pub(super) fn new(data: Data<E>) -> Self {
        Self {
            hands: data.volume_hands(),
            data,
            asked: BTreeMap::new(),
            next: 1,
        }
    }

    /// Gives a question its number.
    ///
    /// All are told, those too that nobody waits for: a cancellation is one of them. There are no
    /// more of them than there are transfers.
    pub(super) fn question_input(&mut self, question: StoreQuestion) -> Input {
        let StoreQuestion { ask, reply } = question;
        self.input(ask, Some(reply))
    }

    fn input(&mut self, ask: StoreAsk, reply: Option<oneshot::Sender<StoreReply>>) -> Input {
        let id = RequestId(self.next);
        self.next += 1;
        if let Some(reply) = reply {
            self.asked.insert(id, reply);
        }
        Input::Store { id, ask }
    }

    /// Starts opening a volume.
    pub(super) fn open(&mut self, slot: VolumeSlot) {
        self.hands.open(slot);
    }

    /// Lets go of a volume.
    pub(super) fn close(&self, slot: VolumeSlot) {
        self.hands.close(slot);
    }

    /// Queues a batch. Returns what the machine is told at once, if it cannot be queued.
    pub(super) fn write(
        &mut self,
        slot: VolumeSlot,
        batch: DiskBatch,
        fills: Vec<(usize, Fill)>,
    ) -> Option<Input> {
        self.hands.submit(slot, batch, fills)
    }

    /// Begins to fetch a chunk from another node.
    pub(super) fn copy(&self, order: CopyReplica) {
        self.data.copy(order);
    }

    /// Begins to read a chunk of this node through.
    pub(super) fn scrub(&self, version: ChunkVersion) {
        self.data.scrub(version);
    }

    /// Begins to read both copies of a volume's label.
    pub(super) fn read_label(&mut self, slot: VolumeSlot, ticket: DiskTicket) {
        self.hands.read_label(slot, ticket);
    }

    /// Forgets the bytes of a stage.
    pub(super) fn drop_stage(&mut self, stage: StageId) {
        self.hands.drop_stage(stage);
    }

    /// Hands an answer to who asked. A stage that was admitted for somebody who has left is
    /// cancelled: nobody else would.
    pub(super) fn answer(&mut self, id: RequestId, reply: StoreReply) -> Option<Input> {
        let asker = self.asked.remove(&id)?;
        let Err(undelivered) = asker.send(reply) else {
            return None;
        };
        match undelivered {
            Ok(StoreAnswer::Admitted { stage, .. }) => {
                Some(self.input(StoreAsk::Cancel { stage }, None))
            }
            _ => None,
        }
    }
}
