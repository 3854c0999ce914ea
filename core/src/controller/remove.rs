//! Taking a data node out of the cluster for good.
//!
//! A record of the log says so. From then on the node's identity is refused, as that of one that was
//! replaced, and what the log places on it is gone: repair makes it anew at once. The row in the nodes file
//! is the operator's; as long as it stands there, lists say that it should not.

use super::Controller;
use super::commit::Continuation;
use super::members::Presence;
use crate::admin::{OrderRow, Refusal, Reply, Response};
use crate::dfs::ask::ReplicaState;
use crate::event::Event;
use crate::ids::{Alias, NodeId, RequestId, Role};
use crate::membership::{NodeRemoved, Slot};
use crate::state::Record;
use crate::time::Timestamp;

/// What the removal of a node costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Toll {
    /// Chunks that the log places there.
    chunks: u64,
    /// Those that have fewer good replicas without it than they should, and some.
    short: u64,
    /// Those that have none.
    lost: u64,
}

impl Controller {
    pub(super) fn remove_node(
        &mut self,
        now: Timestamp,
        id: RequestId,
        name: &str,
        accept_loss: Option<&str>,
        by: String,
    ) -> Option<Reply> {
        let slot = match self.find(name) {
            Ok(slot) => slot,
            Err(refusal) => return Some(Err(refusal)),
        };
        let member = &self.members.all[slot];
        let alias = member.member.site.alias.clone();
        if member.member.role != Role::DataNode {
            let reason = format!(
                "{alias} is an agent: it keeps nothing. Stop it and take its line out of cluster.nodes: \
                 `vaquita config remove-member {alias}`"
            );
            return Some(Err(Refusal::Invalid { reason }));
        }
        if let Some(typed) = accept_loss.filter(|typed| *typed != alias.as_str()) {
            let reason = format!(
                "the loss of what {typed:?} has was accepted, and {alias} is to be removed: nothing was \
                 changed. Type the alias once more, exactly as `vaquita node list` shows it"
            );
            return Some(Err(Refusal::Invalid { reason }));
        }
        let Some(node) = self.node_of(slot) else {
            let note = match self.state.registry.removed_by(&alias) {
                Some(_) => format!("removed already: {}", self.line_to_take_out(slot)),
                None => format!("has never registered: {}", self.line_to_take_out(slot)),
            };
            return self.settled_reply(now, id, alias, note);
        };
        // One whose name was given away has nothing that counts as it is.
        let toll = match self.state.registry.is_vacant(&alias) {
            true => Toll::default(),
            false => self.toll_of(node),
        };
        if !self.planted.remove_regardless
            && let Some(refusal) = self.refused_removal(now, slot, toll, accept_loss.is_some())
        {
            return Some(Err(refusal));
        }
        self.settle_removal(now, id, slot, node, toll, by)
    }

    /// Answers with a row that changes nothing, once what it rests on is durable.
    fn settled_reply(
        &mut self,
        now: Timestamp,
        id: RequestId,
        alias: Alias,
        note: String,
    ) -> Option<Reply> {
        let changed = false;
        let reply = Ok(Response::Ordered(vec![OrderRow {
            alias,
            changed,
            note,
        }]));
        let index = self.log.appended();
        self.when_synced(now, index, Continuation::Reply { id, reply });
        None
    }

    fn toll_of(&self, node: NodeId) -> Toll {
        let mut toll = Toll::default();
        for view in self.names().chunks_on(node) {
            let version = view.version();
            let others = view.holders().filter(|other| *other != node);
            let good = others.filter(|it| self.replica_state(*it, version) == ReplicaState::Good);
            toll.chunks += 1;
            match good.count() {
                0 => toll.lost += 1,
                good if good < self.replicas_wanted() => toll.short += 1,
                _ => {}
            }
        }
        toll
    }

    /// What would be lost with a node, in words.
    pub(super) fn words_of_loss(&self, slot: Slot) -> String {
        if let Some(why) = self.why_unknown() {
            return format!("it is not known at present what would be lost with it: {why}");
        }
        let toll = self.node_of(slot).map(|node| self.toll_of(node));
        let Toll { short, lost, .. } = toll.unwrap_or_default();
        let wanted = self.replicas_wanted();
        format!(
            "without it {lost} would be left with no good replica, and {short} with fewer than the \
             {wanted} that they should have"
        )
    }

    fn refused_removal(
        &self,
        now: Timestamp,
        slot: Slot,
        toll: Toll,
        accepted: bool,
    ) -> Option<Refusal> {
        let member = &self.members.all[slot];
        let alias = &member.member.site.alias;
        let Toll {
            chunks,
            short,
            lost,
        } = toll;
        let wanted = self.replicas_wanted();
        let would = format!(
            "{lost} would be left with no good replica, and {short} with fewer than the {wanted} that they \
             should have"
        );
        if member.presence != Presence::Away {
            let left = self.left_on(now, slot)?;
            let (state, _) = self.outlook(now).state(slot);
            let state = state.as_str();
            let drain = match self.is_draining(slot) {
                true => format!("Wait until `vaquita node list {alias}` shows it as drained"),
                false => format!("Drain it first: `vaquita node drain {alias} --wait`"),
            };
            let reason = match chunks {
                0 => format!("{alias} is {state}, and {left}. {drain}"),
                _ => format!(
                    "{alias} is {state} and has {chunks} chunks: without it {would}. {drain}. If its disk \
                     is gone for good, stop it first: `vaquita node stop {alias}`"
                ),
            };
            return Some(Refusal::Conflict { reason });
        }
        if chunks == 0 {
            return None;
        }
        if let Some(why) = self.why_unknown() {
            let reason = format!(
                "it is not known at present what is lost with {alias}, which has {chunks} chunks: {why}. \
                 Try again when that is over"
            );
            return Some(Refusal::Unavailable { reason });
        }
        (lost > 0 && !accepted).then(|| Refusal::Conflict {
            reason: format!(
                "{alias} has {chunks} chunks: without it {would}. Bring it back and drain it, or bring back \
                 other nodes that have them (`vaquita chunk list --unwell`). If what it had is gone for \
                 good: `vaquita node remove {alias} --i-accept-loss {alias}`"
            ),
        })
    }

    fn settle_removal(
        &mut self,
        now: Timestamp,
        id: RequestId,
        slot: Slot,
        node: NodeId,
        toll: Toll,
        by: String,
    ) -> Option<Reply> {
        let alias = self.members.all[slot].member.site.alias.clone();
        let lost = toll.lost;
        let mut note = "removed".to_owned();
        if toll.chunks > 0 {
            note = format!(
                "{note}, with {} chunks that get other replicas",
                toll.chunks - lost
            );
        }
        if lost > 0 {
            note = format!("{note}; {lost} chunks have no good replica any more");
        }
        note = format!("{note}. {}", self.line_to_take_out(slot));
        let text =
            format!("{alias}, identity {node}, was removed from the cluster by {by}: {note}");
        self.out.notify(Event::warning("node.removed", text));
        let removed = NodeRemoved {
            alias: alias.clone(),
            node,
            by,
            lost,
        };
        let index = self.append(&Record::NodeRemoved(removed));
        self.let_go(now, slot);
        let changed = true;
        let rows = vec![OrderRow {
            alias,
            changed,
            note,
        }];
        self.when_synced(now, index, Continuation::Ordered { id, rows });
        None
    }

    /// A member is none any more, as if it had never registered. It is not told why: that is not durable
    /// yet, and it hears it when it registers anew.
    pub(super) fn let_go(&mut self, now: Timestamp, slot: Slot) {
        if let Some(conn) = self.members.set_session(slot, None) {
            self.links.close(conn, &mut self.out);
        }
        self.members.forget_keys(slot);
        self.detector.unwatch(slot);
        let member = &mut self.members.all[slot];
        member.presence = Presence::Away;
        member.left = true;
        member.why_away.clear();
        member.well_since = now;
        self.mirrors.forget(slot);
        self.forget_files_of(now, slot);
    }

    fn line_to_take_out(&self, slot: Slot) -> String {
        let member = &self.members.all[slot];
        match member.orphaned {
            true => {
                "Its line is not in cluster.nodes any more, and nothing is left to do".to_owned()
            }
            false => format!(
                "Take the line `{},{}` out of cluster.nodes: `vaquita config remove-member {}`",
                member.member.site, member.member.role, member.member.site.alias
            ),
        }
    }
}
