//! Chunks that come: whether they may, where they go, and when they are here.

use super::{Shelves, ShelvesAround, Stage};
use crate::admin::Refusal;
use crate::dfs::ask::Holder;
use crate::dfs::digest::Summary;
use crate::dfs::ids::{StageId, VolumeSlot};
use crate::dfs::placement::{self, VolumeChoice};
use crate::dfs::token::WriteToken;
use crate::ids::RequestId;
use crate::io::Effect;
use crate::outbox::Outbox;
use crate::store::volume::{Admission, Putting, Volume, most_on_disk};
use crate::store::{StoreAnswer, StoreReply};

impl Shelves {
    /// May a chunk come? `None` if that is answered later.
    pub(in crate::datanode) fn admit(
        &mut self,
        id: RequestId,
        token: &WriteToken,
        len: Option<u64>,
        around: &mut ShelvesAround<'_>,
    ) -> Option<StoreReply> {
        let len = len.unwrap_or(token.max_len);
        if len > token.max_len {
            return Some(Err(Refusal::Invalid {
                reason: format!("{len} bytes, and {} were asked for", token.max_len),
            }));
        }
        let choices: Vec<VolumeChoice> = self
            .in_use()
            .filter(|(slot, _)| !self.is_draining(*slot) || around.planted.put_on_drained_volumes)
            .map(|(slot, shelf)| VolumeChoice {
                slot,
                state: shelf.state(),
                capacity: shelf.capacity,
                free: shelf.free.saturating_sub(shelf.volume.promised()),
            })
            .collect();
        // What is on a volume that is drained has to be written elsewhere, damaged or not.
        let damaged = self.damaged_at(token.version);
        let here = damaged.filter(|it| !self.is_draining(*it)).or_else(|| {
            let mut open = self.open().filter(|(slot, _)| !self.is_draining(*slot));
            let has = |it: &(VolumeSlot, &Volume)| {
                it.1.find(token.version).is_some() && it.1.state().is_writable()
            };
            open.find(has).map(|(slot, _)| slot)
        });
        let slot = match here {
            // It takes the place of a damaged one; and a node has a content once.
            Some(slot) => slot,
            None => {
                let draws = &mut self.draws;
                let choice = &self.config.choice;
                let mut draw = || draws.next_u64();
                match placement::choose_volume(&choices, most_on_disk(len), choice, &mut draw) {
                    Ok(slot) => slot,
                    Err(none) => {
                        let reason = none.to_string();
                        let all_in_use = choices.iter().all(|it| it.state.is_readable());
                        return Some(Err(match all_in_use && !choices.is_empty() {
                            true => Refusal::NoRoom { reason },
                            // One that is read, or was lost, may have had some.
                            false => Refusal::Unavailable { reason },
                        }));
                    }
                }
            }
        };
        self.last_stage += 1;
        let stage = StageId(self.last_stage);
        let volume = self.volume(slot)?;
        let admitted = match volume.admit(stage, token.version, token.op, len) {
            Ok(admitted) => admitted,
            Err(refusal) => return Some(Err(refusal)),
        };
        let (waiting, reply) = match admitted {
            Admission::Now(form) => (
                None,
                Some(Ok(StoreAnswer::Admitted {
                    stage,
                    volume: slot,
                    form,
                })),
            ),
            Admission::WhenMade => (Some(id), None),
        };
        let coming = Stage {
            slot,
            version: token.version,
            waiting,
        };
        self.stages.insert(stage, coming);
        self.drain(around);
        reply
    }

    /// All bytes of a chunk have come. `None` if the answer comes later.
    pub(in crate::datanode) fn staged(
        &mut self,
        id: RequestId,
        stage: StageId,
        summary: &Summary,
        around: &mut ShelvesAround<'_>,
    ) -> Option<StoreReply> {
        let Some(coming) = self.stages.get_mut(&stage) else {
            around.out.push(Effect::DropStage { stage });
            return Some(Err(Refusal::Stale {
                reason: format!(
                    "stage {stage} is not expected: its volume failed, or it was given up"
                ),
            }));
        };
        coming.waiting = Some(id);
        let (slot, version) = (coming.slot, coming.version);
        let replaces = self.is_damaged(slot, version);
        let put = match self.volume(slot) {
            Some(volume) => volume.put(stage, summary, replaces),
            None => Err(Refusal::Unavailable {
                reason: "the volume is not in use any more".to_owned(),
            }),
        };
        let reply = match put {
            Ok(Putting::UnderWay) => None,
            Ok(Putting::Already) if self.is_damaged(slot, version) => {
                self.drop_stage(stage, around.out);
                Some(Err(Refusal::Unavailable {
                    reason: format!(
                        "chunk {version} is here already, and damaged: write it elsewhere"
                    ),
                }))
            }
            Ok(Putting::Already) => {
                self.drop_stage(stage, around.out);
                Some(Ok(StoreAnswer::Prepared(self.holder(slot))))
            }
            Err(refusal) => {
                self.drop_stage(stage, around.out);
                Some(Err(refusal))
            }
        };
        self.drain(around);
        reply
    }

    /// A chunk will not come.
    pub(in crate::datanode) fn cancel(&mut self, stage: StageId, around: &mut ShelvesAround<'_>) {
        if let Some(coming) = self.stages.remove(&stage) {
            if let Some(volume) = self.volume(coming.slot) {
                volume.cancel(stage);
            }
            around.out.push(Effect::DropStage { stage });
        }
        self.drain(around);
    }

    fn drop_stage(&mut self, stage: StageId, out: &mut Outbox) {
        self.stages.remove(&stage);
        out.push(Effect::DropStage { stage });
    }

    pub(super) const fn holder(&self, volume: VolumeSlot) -> Holder {
        Holder {
            node: self.node,
            epoch: self.epoch,
            volume,
        }
    }
}
