//! Questions of clients on their way to the controller and back.
//!
//! A data node decides nothing about names: it passes the client's question on, with the client's
//! token, and hands back what the controller says.

use std::collections::BTreeMap;

use crate::admin::{Caller, Refusal, Response};
use crate::dfs::ask::Ask;
use crate::ids::RequestId;
use crate::limits::Limits;
use crate::links::Links;
use crate::message::{DfsAnswer, DfsAsk, Message};
use crate::outbox::Outbox;
use crate::time::Timestamp;
use crate::uplink::Uplink;

/// The questions that are with the controller.
#[derive(Debug, Default)]
pub(super) struct Relay {
    last: u64,
    asked: BTreeMap<RequestId, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    request: RequestId,
    since: Timestamp,
}

impl Relay {
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
        let message = Message::DfsAsk(DfsAsk {
            id,
            token: token.clone(),
            address: address.to_string(),
            unix_ms: *unix_ms,
            ask,
        });
        if !uplink.is_online() || !uplink.send(message, links, out) {
            return Err(Refusal::Unavailable {
                reason: uplink.describe(),
            });
        }
        let since = now;
        self.asked.insert(id, Waiting { request, since });
        Ok(())
    }

    /// The controller answered. An answer that nobody waits for any more is passed over.
    pub(super) fn answered(&mut self, answer: DfsAnswer, out: &mut Outbox) {
        let Some(waiting) = self.asked.remove(&answer.id) else {
            return;
        };
        let reply = match (answer.answer, answer.refusal) {
            (Some(answer), None) => Ok(Response::Dfs(answer)),
            (_, Some(refusal)) => Err(refusal),
            (None, None) => Err(Refusal::Unavailable {
                reason: "the controller answered with nothing; it may be a newer version"
                    .to_owned(),
            }),
        };
        out.reply(waiting.request, reply);
    }

    /// Gives up on what the controller has not answered for too long. Returns whether there was
    /// anything.
    pub(super) fn tick(&mut self, now: Timestamp, limits: &Limits, out: &mut Outbox) -> bool {
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
    pub(super) fn next_deadline(&self, limits: &Limits) -> Option<Timestamp> {
        let (_, oldest) = self.asked.first_key_value()?;
        Some(oldest.since.after(limits.answer_timeout))
    }
}
