//! Contents that nodes have and no file does, after records were lost that may have named them.
//!
//! An operator who has a home rebuilt accepts that the newest records are gone. What they named is still
//! on the nodes, and nothing else says what it is: so it is kept, and shown, until an operator gives it
//! up.

use std::collections::BTreeMap;

use super::Asker;
use crate::admin::Refusal;
use crate::controller::Controller;
use crate::controller::commit::Continuation;
use crate::dfs::ask::{Answer, UnknownPage, UnknownRow};
use crate::dfs::ids::{ChunkId, ChunkVersion};
use crate::event::Event;
use crate::message::ReplicaEntry;
use crate::state::{LossSettled, Record};
use crate::time::Timestamp;

impl Controller {
    /// Whether lost records may have named this content. No file has it, or it would not be asked.
    pub(super) fn may_be_of_lost_records(&self, version: ChunkVersion) -> bool {
        self.state.unsettled >= Some(version.chunk.epoch())
    }

    /// What a node has of such contents.
    fn unknown_at(
        &self,
        slot: usize,
        after: Option<ChunkId>,
    ) -> impl Iterator<Item = &ReplicaEntry> {
        let extras = &self.files.stocks[slot].extras;
        extras
            .values()
            .filter_map(|extra| extra.entry.as_ref())
            .filter(move |entry| {
                after.is_none_or(|after| entry.version.chunk > after)
                    && self.may_be_of_lost_records(entry.version)
                    && self.names().chunk(entry.version.chunk).is_none()
                    && !self.files.writes.is_open(entry.version.chunk)
            })
    }

    pub(super) fn count_unknown(&self) -> (u64, u64) {
        if self.state.unsettled.is_none() {
            return (0, 0);
        }
        let slots = self.members.data_nodes();
        let entries = slots.flat_map(|slot| self.unknown_at(slot, None));
        entries.fold((0, 0), |(count, bytes), entry| {
            (count + 1, bytes + entry.len)
        })
    }

    pub(super) fn unknown_page(&self, after: Option<ChunkId>, limit: usize) -> UnknownPage {
        if self.state.unsettled.is_none() {
            return UnknownPage::default();
        }
        let mut found: BTreeMap<ChunkVersion, UnknownRow> = BTreeMap::new();
        for slot in self.members.data_nodes() {
            let alias = &self.members.all[slot].member.site.alias;
            for entry in self.unknown_at(slot, after) {
                let row = found.entry(entry.version).or_insert_with(|| UnknownRow {
                    chunk: entry.version.chunk,
                    generation: entry.version.generation,
                    len: entry.len,
                    digest: entry.digest,
                    nodes: Vec::new(),
                });
                row.nodes.push(alias.clone());
            }
        }
        let mut rows: Vec<UnknownRow> = found.into_values().collect();
        let mut more = rows.len() > limit;
        rows.truncate(limit);
        more |= self.cut_page(&mut rows);
        UnknownPage { rows, more }
    }

    /// An operator gives up what lost records may have named.
    pub(super) fn settle_loss(
        &mut self,
        now: Timestamp,
        asker: Asker,
    ) -> Option<Result<Answer, Refusal>> {
        let Some(epochs) = self.state.unsettled else {
            return Some(Ok(Answer::Repairs(self.repair_status(now))));
        };
        let (count, bytes) = self.count_unknown();
        let text = format!(
            "an operator has given up what lost records of the log may have named: {count} replicas of \
             {bytes} bytes are known, and go"
        );
        self.out.notify(Event::warning("files.loss_settled", text));
        let index = self.append(&Record::LossSettled(LossSettled { epochs }));
        let mut answer = Answer::Repairs(self.repair_status(now));
        // Whoever gives them up need not be one who may see names.
        answer.hide_names();
        self.when_synced(now, index, Continuation::File { asker, answer });
        None
    }
}
