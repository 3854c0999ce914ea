//! What people order, in the audit: entries on their way into the log.
//!
//! An entry is written with the first record of what it tells of, as one record; what has no record of its
//! own is done once its entry is durable. What was refused is counted together, so that nobody makes the
//! log grow by asking.

use core::time::Duration;
use std::collections::BTreeMap;

use super::commit::Continuation;
use super::{Controller, Phase};
use crate::access::{AccessRecord, Deed, Identity, Step, Token, Writing};
use crate::admin::{Caller, Refusal, Request};
use crate::audit::refusals::Refusals;
use crate::audit::{AuditEntry, Audited, Means};
use crate::event::Event;
use crate::ids::{LogIndex, RequestId};
use crate::metalog::SpaceMode;
use crate::state::Record;
use crate::time::Timestamp;

/// For so long after an entry about somebody who reads a log, more readings of it are not written.
const LOOK_PERIOD: Duration = Duration::from_secs(600);
/// Readings that are remembered, the oldest giving way.
const LOOKS: usize = 256;

/// What the controller keeps for the audit beside the log.
#[derive(Debug)]
pub(super) struct Auditing {
    /// The entry of what is being carried out, until a record takes it along.
    entry: Option<Box<AuditEntry>>,
    refusals: Refusals,
    /// Who read which log, and when that was last written.
    looks: BTreeMap<(String, String), Timestamp>,
}

impl Auditing {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self {
            entry: None,
            refusals: Refusals::new(now),
            looks: BTreeMap::new(),
        }
    }

    /// The next record takes this entry along.
    pub(super) fn set(&mut self, entry: Option<Box<AuditEntry>>) {
        self.entry = entry;
    }

    /// The entry that no record has taken along.
    pub(super) const fn take(&mut self) -> Option<Box<AuditEntry>> {
        self.entry.take()
    }

    /// The record as it is written: with the entry that waits for it, if one does.
    pub(super) fn accompany(&mut self, record: &Record) -> Option<Record> {
        let entry = *self.entry.take()?;
        let change = Some(record.clone());
        Some(Record::Audited(Box::new(Audited { entry, change })))
    }
}

impl Controller {
    /// The entry of a deed, as it is if it is done.
    pub(super) fn draft(
        &self,
        caller: &Caller,
        identity: &Identity,
        deed: &Deed,
    ) -> Box<AuditEntry> {
        let (actor, means) = match identity {
            Identity::Console => ("console", Means::Console),
            Identity::Stranger => ("", Means::Nothing),
            Identity::User(session) => {
                let issued = self.state.access.token(session.token);
                let means = match issued.and_then(|it| it.label()) {
                    Some(_) => Means::Token(session.token),
                    None => Means::Session(session.token),
                };
                (session.user.as_str(), means)
            }
        };
        let (address, unix_ms) = origin(caller);
        let object = match deed.action {
            // What is typed where a name belongs may be a password.
            "login" if self.state.access.user(&deed.object).is_none() => "unknown user".to_owned(),
            "user.password" if deed.object.is_empty() => actor.to_owned(),
            _ => deed.object.clone(),
        };
        Box::new(AuditEntry {
            unix_ms,
            actor: actor.to_owned(),
            means,
            address,
            action: deed.action.to_owned(),
            object,
            detail: deed.detail.clone(),
            refused: String::new(),
            count: 1,
        })
    }

    /// Whether a deed is refused since the log takes nothing, and would not have its entry.
    pub(super) fn refused_unaudited(&self, deed: Option<&Deed>) -> Option<Refusal> {
        let must_be_written = deed.is_some_and(|it| it.writing != Writing::FirstAtTimes);
        let full = self.log.space_mode() == SpaceMode::ReadOnly;
        (must_be_written && full).then(|| Refusal::Unavailable {
            reason:
                "the disk of the controller's home is full: free some space there, and orders are \
                     taken again"
                    .to_owned(),
        })
    }

    /// Writes an entry by itself, and goes on once it is durable.
    pub(super) fn audit_first(&mut self, now: Timestamp, entry: AuditEntry, then: Continuation) {
        let index = self.append_entry(entry);
        self.when_synced(now, index, then);
    }

    fn append_entry(&mut self, entry: AuditEntry) -> LogIndex {
        let change = None;
        self.append(&Record::Audited(Box::new(Audited { entry, change })))
    }

    /// Whether that somebody reads a log is to be written: not if it was a while ago, since who follows a
    /// log asks every second.
    pub(super) fn is_new_look(&mut self, now: Timestamp, entry: &AuditEntry) -> bool {
        // Of a log that is nobody's nothing is read.
        let known = entry.object == self.site.alias.as_str();
        if !known && self.members.named(&entry.object).is_none() {
            return false;
        }
        let key = (entry.actor.clone(), entry.object.clone());
        let looks = &mut self.auditing.looks;
        if looks
            .get(&key)
            .is_some_and(|at| now.since(*at) < LOOK_PERIOD)
        {
            return false;
        }
        if looks.len() >= LOOKS {
            let oldest = looks.iter().min_by_key(|(_, at)| **at);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                looks.remove(&oldest);
            }
        }
        looks.insert(key, now);
        if self.log.space_mode() == SpaceMode::ReadOnly {
            let text = format!(
                "`{}` reads the log of {}; that is not in the audit, since the disk of the controller's \
                 home is full",
                entry.actor, entry.object
            );
            self.out.notify(Event::warning("audit.left_out", text));
            return false;
        }
        true
    }

    /// Who logged in, or which token was made, is known once it is.
    pub(super) fn complete_entry(&mut self, step: &Step) {
        let Step::Append(records, _) = step else {
            return;
        };
        let (Some(entry), Some(record)) = (&mut self.auditing.entry, records.first()) else {
            return;
        };
        if let AccessRecord::TokenIssued {
            token, user, scope, ..
        } = record
        {
            match scope {
                None => {
                    user.as_str().clone_into(&mut entry.actor);
                    entry.means = Means::Session(*token);
                }
                Some(_) => entry.detail = format!("token {token}; {}", entry.detail),
            }
        }
    }

    /// Notes that something was refused.
    pub(super) fn audit_refusal(
        &mut self,
        now: Timestamp,
        mut entry: AuditEntry,
        refusal: &Refusal,
    ) {
        let is_login = entry.action == "login";
        let worth_it = match refusal {
            // The process is starting or ending, or its disk is full: nobody was turned away.
            Refusal::Unavailable { .. } | Refusal::NotHere { .. } => false,
            Refusal::Busy { .. } => is_login,
            _ => true,
        };
        if !worth_it || self.phase != Phase::Serving {
            return;
        }
        if is_login {
            "login.failed".clone_into(&mut entry.action);
        }
        entry.refused = AuditEntry::text(&refusal.to_string());
        if let Some(entry) = self.auditing.refusals.note(now, entry)
            && self.log.space_mode() != SpaceMode::ReadOnly
        {
            self.append_entry(entry);
        }
    }

    /// Notes that somebody was turned away at the door.
    pub(super) fn audit_at_the_door(
        &mut self,
        now: Timestamp,
        caller: &Caller,
        deed: Option<&Deed>,
        refusal: &Refusal,
    ) {
        let Caller::Remote {
            address,
            token: Some(token),
            unix_ms,
        } = caller
        else {
            return;
        };
        let Some(token) = Token::parse(token) else {
            return;
        };
        let access = &self.state.access;
        let astray = access.is_astray(&token, *address, *unix_ms);
        let whose = match astray {
            true => access.token(token.id()).map(|it| it.user()),
            false => access.owner(&token, *address, *unix_ms),
        };
        let Some(user) = whose.cloned() else {
            return;
        };
        let identity = Identity::User(crate::access::Session {
            user,
            token: token.id(),
        });
        let used_elsewhere = Deed {
            action: "token.astray",
            object: token.id().to_string(),
            detail: "used from outside its networks".to_owned(),
            writing: Writing::First,
        };
        let deed = match astray {
            true => Some(&used_elsewhere),
            false => deed,
        };
        if let Some(deed) = deed {
            let entry = self.draft(caller, &identity, deed);
            self.audit_refusal(now, *entry, refusal);
        }
    }

    /// Writes what was refused meanwhile and only counted.
    pub(super) fn tend_audit(&mut self, now: Timestamp) {
        if self.log.space_mode() == SpaceMode::ReadOnly {
            return;
        }
        for entry in self.auditing.refusals.due(now) {
            self.append_entry(entry);
        }
    }

    /// The entry of a request is durable: it is carried out, if whoever asked still may.
    pub(super) fn go_on_audited(
        &mut self,
        now: Timestamp,
        id: RequestId,
        request: Request,
        identity: &Identity,
    ) {
        let Request { caller, verb } = request;
        let reply = match identity.meets(&self.state.access, crate::access::need(&verb)) {
            Ok(()) => self.carry_out(now, id, &caller, identity, verb),
            Err(refusal) => Some(Err(refusal)),
        };
        if let Some(reply) = reply {
            self.reply(id, reply);
        }
    }
}

/// From where, and by which date.
fn origin(caller: &Caller) -> (Option<String>, u64) {
    match caller {
        Caller::Console => (None, 0),
        Caller::Remote {
            address, unix_ms, ..
        } => (Some(address.to_string()), *unix_ms),
    }
}
