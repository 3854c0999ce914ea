//! What people order, in the audit: entries on their way into the log.
//!
//! An entry is written with the first record of what it tells of, as one record; what has no record of its
//! own is done once its entry is durable, which says `ordered` then; if it is refused afterwards, that is an
//! entry of its own. What was refused at once is counted together, so that nobody makes the log grow by
//! asking, and no user causes so many entries that they push out the others.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use super::{Controller, Phase};
use crate::access::{AccessRecord, Deed, Identity, Step, Token, Writing, is_counted};
use crate::admin::{Caller, Refusal, Reply, Request, Right};
use crate::audit::meters::Meters;
use crate::audit::refusals::Refusals;
use crate::audit::{AuditEntry, Audited, Link, Means};
use crate::event::Event;
use crate::ids::{LogIndex, RequestId};
use crate::metalog::SpaceMode;
use crate::state::Record;
use crate::time::Timestamp;

/// For so long after an entry about somebody who reads a log, more readings of it are not written.
const LOOK_PERIOD: Duration = Duration::from_secs(600);
/// Readings that are remembered, the oldest giving way.
const LOOKS: usize = 256;
/// Refusals after an order was written that wait for room on the disk.
const LATE: usize = 256;

/// What the controller keeps for the audit beside the log.
#[derive(Clone, Debug)]
pub(super) struct Auditing {
    /// The entry of what is being carried out, until a record takes it along.
    entry: Option<Pending>,
    /// What users were refused, and what others were: strangers do not use up what is written of users.
    refusals: Refusals,
    strangers: Refusals,
    meters: Meters,
    /// Requests whose entry was written first, with its number, until they are answered.
    ordered: BTreeMap<RequestId, Ordered>,
    /// What was refused of those while the log took nothing.
    late: VecDeque<AuditEntry>,
    /// Who read which log, and when that was last written.
    looks: BTreeMap<(String, String), Timestamp>,
}

/// An entry that waits for a record, and since when.
#[derive(Clone, Debug)]
struct Pending {
    entry: Box<AuditEntry>,
    at: Timestamp,
}

/// An entry that was written before what it tells of was done.
#[derive(Clone, Debug)]
pub(super) struct Ordered {
    number: u64,
    entry: Box<AuditEntry>,
}

impl Auditing {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            entry: None,
            refusals: Refusals::new(now),
            strangers: Refusals::new(now),
            meters: Meters::default(),
            ordered: BTreeMap::new(),
            late: VecDeque::new(),
            looks: BTreeMap::new(),
        }
    }

    /// The next record takes this entry along.
    pub(super) fn set(&mut self, now: Timestamp, entry: Option<Box<AuditEntry>>) {
        self.entry = entry.map(|entry| Pending { entry, at: now });
    }

    /// No record takes an entry along.
    pub(super) fn clear(&mut self) {
        self.entry = None;
    }

    /// The entry that no record has taken along.
    pub(super) fn take(&mut self) -> Option<Box<AuditEntry>> {
        self.entry.take().map(|it| it.entry)
    }

    /// The record as it is written behind the entry with the hash `head`: with the entry that waits for
    /// it, if one does and is not counted together with others.
    pub(super) fn accompany(&mut self, record: &Record, head: Link) -> Option<Record> {
        if matches!(record, Record::Audited(_)) {
            return None;
        }
        let Pending { entry, at } = self.entry.take()?;
        let entry = self.admit(at, *entry)?;
        Some(Record::Audited(Box::new(Audited {
            entry,
            change: Some(record.clone()),
            before: Some(head),
        })))
    }

    /// The entry, if it is written now: what must not be refused and comes too often is counted instead.
    fn admit(&mut self, now: Timestamp, entry: AuditEntry) -> Option<AuditEntry> {
        if !matches!(entry.means, Means::Session(_) | Means::Token(_)) {
            return Some(entry);
        }
        if is_counted(&entry.action) {
            return self.meters.counted(now, entry);
        }
        self.meters.ordered(now, &entry.actor);
        Some(entry)
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
            Identity::Signal => ("SIGHUP", Means::Signal),
            Identity::Process => ("controller", Means::Process),
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
            ordered: false,
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

    /// Refuses an order of somebody who has given too many: each has an entry, and nobody is to push out
    /// those of others. The console and what must not be refused are let through.
    pub(super) fn refused_for_many(
        &mut self,
        now: Timestamp,
        identity: &Identity,
        deed: &Deed,
    ) -> Option<Refusal> {
        let Identity::User(session) = identity else {
            return None;
        };
        if is_counted(deed.action) {
            return None;
        }
        let user = session.user.as_str();
        let wait = self.auditing.meters.wait(now, user)?;
        Some(Refusal::Busy {
            reason: format!(
                "`{user}` has given too many orders in a short time, and each has an entry in the audit; one \
                 order may name several nodes"
            ),
            retry_after: Duration::from_secs(wait.as_secs() + 1),
        })
    }

    /// Writes an entry by itself, before what it tells of is done, and returns what to wait for.
    pub(super) fn write_first(
        &mut self,
        now: Timestamp,
        mut entry: Box<AuditEntry>,
    ) -> (LogIndex, Option<Ordered>) {
        entry.ordered = true;
        let Some(written) = self.auditing.admit(now, (*entry).clone()) else {
            return (LogIndex(0), None);
        };
        let index = self.append_entry(written);
        let number = self.state.audit.newest();
        (index, Some(Ordered { number, entry }))
    }

    /// Remembers an order whose entry is written until it is answered.
    pub(super) fn note_ordered(&mut self, id: RequestId, ordered: Option<Ordered>) {
        if let Some(ordered) = ordered {
            self.auditing.ordered.insert(id, ordered);
        }
    }

    /// A request is answered: if its entry says that it was ordered and it is refused, that is written too.
    pub(super) fn note_outcome(&mut self, id: RequestId, reply: &Reply) {
        if let Some(ordered) = self.auditing.ordered.remove(&id)
            && let Err(refusal) = reply
        {
            self.audit_outcome(ordered, refusal);
        }
    }

    /// What was ordered by an entry was refused. There are no more of these than of those entries.
    pub(super) fn audit_outcome(&mut self, ordered: Ordered, refusal: &Refusal) {
        let Ordered { number, mut entry } = ordered;
        self.auditing.meters.refused(&entry.actor);
        entry.ordered = false;
        entry.refused = AuditEntry::text(&refusal.to_string());
        entry.detail = format!("ordered in entry {number}");
        if self.log.space_mode() != SpaceMode::ReadOnly {
            self.append_entry(*entry);
        } else if self.auditing.late.len() < LATE {
            self.auditing.late.push_back(*entry);
        } else if let Some(last) = self.auditing.late.back_mut() {
            last.count = last.count.saturating_add(1);
        }
    }

    fn append_entry(&mut self, entry: AuditEntry) -> LogIndex {
        let before = Some(self.state.audit.head());
        let change = None;
        self.append(&Record::Audited(Box::new(Audited {
            entry,
            change,
            before,
        })))
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
        let (Some(Pending { entry, .. }), Some(record)) =
            (&mut self.auditing.entry, records.first())
        else {
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
        if is_login {
            "login.failed".clone_into(&mut entry.action);
        }
        if worth_it {
            self.count_refusal(now, entry, refusal);
        }
    }

    /// As [`Controller::audit_refusal`], whatever the refusal is.
    pub(super) fn count_refusal(
        &mut self,
        now: Timestamp,
        mut entry: AuditEntry,
        refusal: &Refusal,
    ) {
        if self.phase != Phase::Serving {
            return;
        }
        entry.refused = AuditEntry::text(&refusal.to_string());
        let writable = self.log.space_mode() != SpaceMode::ReadOnly;
        let refusals = match entry.means {
            Means::Nothing => &mut self.auditing.strangers,
            Means::Console
            | Means::Signal
            | Means::Process
            | Means::Session(_)
            | Means::Token(_) => &mut self.auditing.refusals,
        };
        if let Some(entry) = refusals.note(now, entry, writable) {
            self.append_entry(entry);
        }
    }

    /// Somebody was refused something for want of a right, by the interface that they used: it is noted if
    /// it is so.
    pub(super) fn audit_at_the_gate(
        &mut self,
        now: Timestamp,
        caller: &Caller,
        identity: &Identity,
        what: &str,
        right: Right,
    ) {
        let Identity::User(session) = identity else {
            return;
        };
        if identity.has(&self.state.access, right) {
            return;
        }
        let refused = Deed {
            action: "access.refused",
            object: AuditEntry::text(what),
            detail: String::new(),
            writing: Writing::First,
        };
        let user = session.user.as_str().to_owned();
        let entry = self.draft(caller, identity, &refused);
        self.count_refusal(now, *entry, &Refusal::Forbidden { user, right });
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
        let Auditing {
            refusals,
            strangers,
            meters,
            late,
            ..
        } = &mut self.auditing;
        let mut due: Vec<AuditEntry> = core::mem::take(late).into();
        due.extend(meters.due(now));
        due.extend(refusals.due(now));
        due.extend(strangers.due(now));
        for entry in due {
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
        Caller::Console { unix_ms } | Caller::Signal { unix_ms } | Caller::Process { unix_ms } => {
            (None, *unix_ms)
        }
        Caller::Remote {
            address, unix_ms, ..
        } => (Some(address.to_string()), *unix_ms),
    }
}
