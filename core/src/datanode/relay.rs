//! Questions of clients on their way to the controller and back.
//!
//! A data node decides nothing about names: it passes the client's question on, with the client's
//! token, and hands back what the controller says.
//!
//! A controller that is started anew is gone for a moment. What is asked in that moment waits for it,
//! and a question whose answer was lost with the connection is put once more. A change is not: whoever
//! asked for it is told, and asks for the same operation again.

use std::collections::BTreeMap;

use crate::admin::{Caller, Refusal, Response};
use crate::dfs::ask::{Answer, Ask};
use crate::ids::RequestId;
use crate::limits::Limits;
use crate::links::Links;
use crate::message::{DfsAnswer, DfsAsk, Message};
use crate::outbox::Outbox;
use crate::time::Timestamp;
use crate::uplink::Uplink;

/// The questions that are with the controller, or wait for it.
#[derive(Clone, Debug)]
pub(super) struct Relay {
    last: u64,
    asked: BTreeMap<RequestId, Waiting>,
    online: bool,
    /// Since when there is none, if there is none.
    lost: Option<Timestamp>,
}

#[derive(Clone, Debug)]
struct Waiting {
    request: RequestId,
    since: Timestamp,
    /// What is sent once the controller is there again: what was not sent yet, and a question whose
    /// answer may be lost. That is put once more and not again: it may be what the controller dies of.
    unsent: Option<DfsAsk>,
}

impl Relay {
    /// Nothing was asked yet, and the controller is on its way: a node that is started anew is as good as
    /// one that has just lost it.
    pub(super) const fn new(now: Timestamp) -> Self {
        Self {
            last: 0,
            asked: BTreeMap::new(),
            online: false,
            lost: Some(now),
        }
    }

    /// Whether nobody waits.
    pub(super) fn is_idle(&self) -> bool {
        self.asked.is_empty()
    }

    /// Passes a question on.
    ///
    /// # Errors
    /// If there is no controller at present, or too many wait.
    #[expect(clippy::too_many_arguments, reason = "what the owner lends it")]
    pub(super) fn ask(
        &mut self,
        now: Timestamp,
        request: RequestId,
        caller: &Caller,
        ask: Ask,
        uplink: &Uplink,
        limits: &Limits,
        links: &mut Links,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        if self.asked.len() >= limits.pending_requests {
            return Err(Refusal::Busy {
                reason: format!("{} questions are with the controller", self.asked.len()),
                retry_after: core::time::Duration::from_secs(1),
            });
        }
        let Caller::Remote {
            address,
            token,
            unix_ms,
        } = caller
        else {
            return Err(Refusal::NotHere {
                here: format!("data node {}", uplink.facts().site.alias),
                site: Some(uplink.facts().controller_site.to_string()),
            });
        };
        self.last += 1;
        let id = RequestId(self.last);
        let message = DfsAsk {
            id,
            token: token.clone(),
            address: address.to_string(),
            unix_ms: *unix_ms,
            ask,
        };
        let unsent = if uplink.is_online() {
            let again = message.ask.is_question().then(|| message.clone());
            if !uplink.send(Message::DfsAsk(message), links, out) {
                return Err(away(uplink));
            }
            again
        } else if self
            .gives_up_at(uplink, limits)
            .is_some_and(|until| now < until)
        {
            Some(message)
        } else {
            return Err(away(uplink));
        };
        let waiting = Waiting {
            request,
            since: now,
            unsent,
        };
        self.asked.insert(id, waiting);
        Ok(())
    }

    /// Until when a controller that was lost is waited for. In a large cluster nodes come back to it one
    /// after the other.
    fn gives_up_at(&self, uplink: &Uplink, limits: &Limits) -> Option<Timestamp> {
        let wait = limits.reconnect_wait + uplink.redial_spread(limits);
        Some(self.lost?.after(wait))
    }

    /// Looks whether the controller was lost, or is there again.
    pub(super) fn follow(
        &mut self,
        now: Timestamp,
        uplink: &Uplink,
        links: &mut Links,
        out: &mut Outbox,
    ) {
        let before = core::mem::replace(&mut self.online, uplink.is_online());
        match (before, self.online) {
            (true, false) => {
                self.lost = Some(now);
                let changes = self.asked.extract_if(.., |_, it| it.unsent.is_none());
                for (_, change) in changes {
                    let reason = "the controller was lost while it had this: whether it was done is \
                                  not known. Ask for the same operation again";
                    let reason = reason.to_owned();
                    out.reply(change.request, Err(Refusal::Unavailable { reason }));
                }
            }
            (false, true) => {
                self.lost = None;
                for waiting in self.asked.values_mut() {
                    if let Some(message) = waiting.unsent.take() {
                        waiting.since = now;
                        uplink.send(Message::DfsAsk(message), links, out);
                    }
                }
            }
            (true, true) | (false, false) => {}
        }
    }

    /// The controller answered. An answer that nobody waits for any more is passed over.
    pub(super) fn answered(&mut self, answer: DfsAnswer, out: &mut Outbox) {
        let Some(waiting) = self.asked.remove(&answer.id) else {
            return;
        };
        let reply = match (answer.answer, answer.refusal) {
            (Some(Answer::You(who)), None) => Ok(Response::You(who.into())),
            (Some(answer), None) => Ok(Response::Dfs(answer)),
            (_, Some(refusal)) => Err(refusal),
            (None, None) => Err(Refusal::Unavailable {
                reason: "the controller answered with nothing; it may be a newer version"
                    .to_owned(),
            }),
        };
        out.reply(waiting.request, reply);
    }

    /// Gives up on what the controller has not answered for too long, and on a controller that does not
    /// come back. Returns whether one that is there has not answered.
    pub(super) fn tick(
        &mut self,
        now: Timestamp,
        uplink: &Uplink,
        limits: &Limits,
        out: &mut Outbox,
    ) -> bool {
        if !self.online {
            if self
                .gives_up_at(uplink, limits)
                .is_none_or(|until| now >= until)
            {
                while let Some((_, waiting)) = self.asked.pop_first() {
                    out.reply(waiting.request, Err(away(uplink)));
                }
            }
            return false;
        }
        let patience = limits.answer_timeout;
        let mut gave_up = false;
        while let Some(entry) = self.asked.first_entry()
            && now.since(entry.get().since) >= patience
        {
            let waiting = entry.remove();
            let reason = format!(
                "the controller has not answered for {} s",
                patience.as_secs()
            );
            out.reply(waiting.request, Err(Refusal::Unavailable { reason }));
            gave_up = true;
        }
        gave_up
    }

    /// When [`Relay::tick`] has something to do: questions are asked in the order of their numbers.
    pub(super) fn next_deadline(&self, uplink: &Uplink, limits: &Limits) -> Option<Timestamp> {
        let (_, oldest) = self.asked.first_key_value()?;
        match self.gives_up_at(uplink, limits) {
            Some(until) => Some(until),
            None => Some(oldest.since.after(limits.answer_timeout)),
        }
    }
}

fn away(uplink: &Uplink) -> Refusal {
    Refusal::Unavailable {
        reason: uplink.describe(),
    }
}
