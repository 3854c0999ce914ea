//! Giving the alias of a data node to a new identity.
//!
//! A node whose disk was lost comes back with another identity, and the alias is not given to it by
//! itself: it may as well be a node that was started with the wrong home, while the right one holds
//! chunks. An operator decides, once, and the decision is a record of the log.

use super::Controller;
use super::commit::Continuation;
use super::members::Presence;
use crate::admin::{OrderRow, Refusal, Reply, Response};
use crate::event::Event;
use crate::ids::{RequestId, Role};
use crate::membership::NodeReplaced;
use crate::state::Record;
use crate::time::Timestamp;

impl Controller {
    pub(super) fn replace_node(
        &mut self,
        now: Timestamp,
        id: RequestId,
        name: &str,
    ) -> Option<Reply> {
        let slot = match self.find(name) {
            Ok(slot) => slot,
            Err(refusal) => return Some(Err(refusal)),
        };
        let member = &self.members.all[slot];
        let alias = member.member.site.alias.clone();
        if member.member.role != Role::DataNode {
            let reason = format!(
                "{alias} is an agent: it keeps nothing that a new identity could not have, and needs \
                 no replacing"
            );
            return Some(Err(Refusal::Invalid { reason }));
        }
        if member.presence != Presence::Away {
            let (state, _) = self.outlook(now).state(slot);
            let reason = format!(
                "{alias} is {}, under the identity that would be replaced. If that one is to go, \
                 stop it first: `vaquita node stop {alias}`",
                state.as_str()
            );
            return Some(Err(Refusal::Conflict { reason }));
        }
        let row = |changed, note: &str| OrderRow {
            alias: alias.clone(),
            changed,
            note: note.to_owned(),
        };
        let vacant = self.state.registry.is_vacant(&alias);
        let Some(held) = self.state.registry.get(&alias).filter(|_| !vacant) else {
            let note =
                "the alias is nobody's already: the next node that registers under it has it";
            return Some(Ok(Response::Ordered(vec![row(false, note)])));
        };
        let replaced = NodeReplaced {
            alias: alias.clone(),
            node: held.node,
        };
        let text = format!(
            "{alias} is replaced by order: identity {} is refused from now on, and the next node \
             that registers as {alias} has the alias",
            held.node
        );
        let rows = vec![row(
            true,
            &format!(
                "given to the next node that registers; `vaquita node start {alias}` starts it"
            ),
        )];
        self.out.notify(Event::warning("node.replaced", text));
        let index = self.append(&Record::NodeReplaced(replaced));
        let reply = Ok(Response::Ordered(rows));
        self.when_synced(now, index, Continuation::Reply { id, reply });
        None
    }
}
