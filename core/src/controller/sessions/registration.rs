//! Who asks to be a member, who is let in, and what each of them is told.

use core::time::Duration;

use crate::controller::Controller;
use crate::controller::commit::Continuation;
use crate::controller::members::{BeatKeys, Presence};
use crate::event::Event;
use crate::ids::{ConnId, LogIndex, NodeEpoch, NodeId};
use crate::membership::{Admission, Circumstances, Health, Slot};
use crate::message::{
    Envelope, Fenced, Message, Register, Registered, RegistrationRefusal, RegistrationRefused,
};
use crate::state::Record;
use crate::time::Timestamp;
use crate::wire::datagram::Direction;

/// Controller epochs whose beginnings are announced to a node.
const EPOCHS_ANNOUNCED: usize = 64;
/// Who is refused asks again and again; the same refusal is told again after that time.
const REFUSAL_TOLD_AGAIN: Duration = Duration::from_secs(60);
/// Refusals that are remembered.
const REFUSALS_MAX: usize = 64;

impl Controller {
    pub(super) fn register(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        envelope: &Envelope,
        ask: &Register,
    ) {
        let alias = &ask.site.alias;
        let introduced = self
            .links
            .peer(conn)
            .is_some_and(|peer| peer.alias == *alias && peer.role == ask.role);
        let (Some(node), Some(cluster), true) = (envelope.node, self.state.cluster, introduced)
        else {
            let text = "the registration does not fit the connection it came on".to_owned();
            self.refuse(now, conn, ask, RegistrationRefusal::WrongSite, text);
            return;
        };
        let slot = self.members.slot(alias);
        let aliases = self.members.aliases();
        let around = Circumstances {
            cluster,
            claimed_cluster: envelope.cluster,
            node,
            member: slot.map(|slot| {
                let member = &self.members.all[slot].member;
                (&member.site, member.role)
            }),
            aliases: &aliases,
            holder_lives: slot.is_some_and(|slot| self.holder_lives(now, slot, node, ask)),
            holder_chunks: self
                .state
                .registry
                .get(alias)
                .map_or(0, |held| self.names().chunks_on_count(held.node)),
            orphaned: slot.is_some_and(|slot| self.members.all[slot].orphaned),
        };
        match self.state.registry.judge(ask, &around) {
            Admission::Refuse(refusal, text) => {
                if let Some(slot) = slot {
                    if refusal == RegistrationRefusal::DuplicateAlias {
                        self.ping(slot);
                    }
                    self.members.all[slot].probing.finding.clone_from(&text);
                }
                self.refuse(now, conn, ask, refusal, text);
            }
            Admission::Known(epoch) => {
                let Some(slot) = slot else { return };
                let void = matches!(
                    self.detector.health(slot),
                    Health::Offline { .. } | Health::Lost { .. }
                );
                if void {
                    let reason = self.members.all[slot].why_away.clone();
                    self.say(conn, Some(slot), Message::Fenced(Fenced { reason }));
                    return;
                }
                self.note_configuration(slot, ask);
                let granted = Continuation::Granted { conn, slot, epoch };
                self.when_synced(now, LogIndex(epoch.0), granted);
            }
            Admission::Grant(_) if self.files.rolled_back => {
                // An old copy of the home must not grow until it seems to be the longer history.
                let text = "the controller's home is an old copy, as a data node has seen: nobody is let \
                            in until that is settled (`vaquita meta rebuild`)";
                self.refuse(now, conn, ask, RegistrationRefusal::NotNow, text.to_owned());
            }
            Admission::Grant(registered) => {
                let Some(slot) = slot else { return };
                self.note_configuration(slot, ask);
                let index = self.append(&Record::NodeRegistered(registered));
                let granted = Continuation::Granted {
                    conn,
                    slot,
                    epoch: NodeEpoch(index.0),
                };
                self.when_synced(now, index, granted);
            }
        }
    }

    /// Whether the process that holds the alias is alive, as far as is known.
    ///
    /// A process with the same home on the same host cannot live beside the one that asks: the lock
    /// on the home is held for life. So once its connection is gone it is dead, and a node that was
    /// killed and started again does not wait for a time-out.
    fn holder_lives(&self, now: Timestamp, slot: Slot, node: NodeId, ask: &Register) -> bool {
        let member = &self.members.all[slot];
        let Some(held) = self.state.registry.get(&member.member.site.alias) else {
            return false;
        };
        if self.planted.admit_duplicates {
            return false;
        }
        let same_home = held.node == node && held.host == ask.host;
        match self.detector.health(slot) {
            Health::Alive | Health::Suspect => member.session.is_some() || !same_home,
            // Nothing was heard of it since this controller started, which is no proof of death
            // until it has had the time to be heard.
            Health::Unwatched => {
                let had_time = now.since(self.started) >= self.thresholds.offline;
                !same_home && !had_time && !member.left && !self.exit_attested(slot)
            }
            Health::Offline { .. } | Health::Lost { .. } => false,
        }
    }

    /// Whether the agent of its host saw the registered process of this slot end.
    pub(super) fn exit_attested(&self, slot: Slot) -> bool {
        let member = &self.members.all[slot];
        let registered = self
            .state
            .registry
            .get(&member.member.site.alias)
            .map(|held| held.pid);
        let seen = member
            .child
            .as_ref()
            .and_then(|child| child.last_exit.as_ref());
        seen.is_some_and(|exit| Some(exit.process.pid) == registered)
    }

    fn refuse(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        ask: &Register,
        refusal: RegistrationRefusal,
        text: String,
    ) {
        self.tell_refusal(now, conn, ask, &text);
        let refused = RegistrationRefused {
            incarnation: ask.incarnation,
            attempt: ask.attempt,
            refusal,
            text,
            retry_after_ms: 200,
        };
        self.say(conn, None, Message::RegistrationRefused(refused));
    }

    /// Tells the operator of a refusal, unless it was told just so a moment ago.
    fn tell_refusal(&mut self, now: Timestamp, conn: ConnId, ask: &Register, text: &str) {
        let told = self.refusals_told.get(&ask.site.alias);
        if told.is_some_and(|(told, at)| told == text && now.since(*at) < REFUSAL_TOLD_AGAIN) {
            return;
        }
        while self.refusals_told.len() >= REFUSALS_MAX {
            self.refusals_told.pop_first();
        }
        let alias = ask.site.alias.clone();
        self.refusals_told.insert(alias, (text.to_owned(), now));
        let remote = self
            .links
            .remote(conn)
            .map(|at| format!(" (from {at})"))
            .unwrap_or_default();
        let message = format!("refused {},{}{remote}: {text}", ask.site, ask.role);
        self.out.notify(Event::warning("node.refused", message));
    }

    /// Notes where a node's configuration differs from the controller's.
    fn note_configuration(&mut self, slot: Slot, ask: &Register) {
        let mut remarks = Vec::new();
        if ask.controller_site != self.site {
            remarks.push(format!(
                "controllerSite of {} is {}, localSite of the controller is {}: write the same in \
                 both places",
                ask.site.alias, ask.controller_site, self.site
            ));
        }
        if ask.lan_cluster != self.lan_cluster {
            remarks.push(format!(
                "lanCluster is {} at {} and {} at the controller, whose value rules: write the same \
                 in controller.cfg, agent.cfg and cluster.cfg",
                u8::from(ask.lan_cluster),
                ask.site.alias,
                u8::from(self.lan_cluster)
            ));
        }
        for remark in &remarks {
            if !self.members.all[slot].remarks.contains(remark) {
                self.out
                    .notify(Event::warning("node.configuration_differs", remark.clone()));
            }
        }
        let member = &mut self.members.all[slot];
        member.remarks = remarks;
        member.process = Some(ask.process.clone());
    }

    /// A registration is durable: the node is told.
    pub(in crate::controller) fn granted(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        slot: Slot,
        epoch: NodeEpoch,
    ) {
        let alias = self.members.all[slot].member.site.alias.clone();
        let Some(registration) = self.state.registry.get(&alias) else {
            return;
        };
        if registration.epoch != epoch || self.links.peer(conn).is_none() {
            // Another registration came meanwhile, or nobody is there any more.
            return;
        }
        let member = &self.members.all[slot];
        if member.gone || member.member.site.endpoint != registration.site.endpoint {
            // Its row went, or names another place, while the record was written. It asks again, and is
            // told.
            self.links.close(conn, &mut self.out);
            return;
        }
        let registration = registration.clone();
        let keyring = self.links.keyring();
        let keys = BeatKeys {
            node: registration.node,
            beat: keyring.datagram_key(Direction::ToController, registration.node),
            ack: keyring.datagram_key(Direction::ToNode, registration.node),
        };
        self.members.set_keys(slot, keys);
        if let Some(before) = self.members.set_session(slot, Some(conn)) {
            self.links.close(before, &mut self.out);
        }
        self.carried(now, slot);
        self.files.forget(slot);
        self.mirrors.forget(slot);
        self.forget_copies_of(now, slot);
        let member = &mut self.members.all[slot];
        member.presence = Presence::Joining;
        if member.beats_of != epoch {
            // The same registration goes on counting its beats; only a new one begins anew.
            member.newest_beat = 0;
            member.beats_of = epoch;
        }
        member.udp_blocked = false;
        member.deaf_since = None;
        member.left = false;
        member.why_away.clear();
        member.probing.finding.clear();
        let remarks = member.remarks.clone();
        self.detector.watch(now, slot);
        let starts = &self.state.epoch_starts;
        let skip = starts.len().saturating_sub(EPOCHS_ANNOUNCED);
        let answer = Registered {
            incarnation: registration.incarnation,
            attempt: registration.attempt,
            node_epoch: epoch,
            cluster: self
                .state
                .cluster
                .expect("a controller that serves has founded its cluster"),
            lineage: self
                .state
                .lineage
                .expect("a controller that serves has founded its cluster"),
            instance: self.instance,
            controller: self.site.alias.clone(),
            timeout_ms: u64::try_from(self.thresholds.offline.as_millis()).unwrap_or(u64::MAX),
            lan_cluster: self.lan_cluster,
            commit_index: self.log.synced(),
            epoch_starts: starts.iter().skip(skip).map(|(&e, &i)| (e, i)).collect(),
            members: u64::try_from(self.members.count()).unwrap_or(u64::MAX),
            remarks,
            fork: self.state.fork,
            earlier_forks: self.state.earlier_forks.clone(),
            instances: self.state.instances.iter().map(|(&e, &i)| (e, i)).collect(),
            left_lineages: self.state.left_lineages.clone(),
            owners: self.volume_owners(),
            draining: self.draining_volumes(),
        };
        let text = format!(
            "{alias} registered under epoch {epoch} (pid {} at {})",
            registration.pid, registration.site.endpoint
        );
        self.out.notify(Event::info("node.registered", text));
        self.say(conn, Some(slot), Message::Registered(answer));
    }
}
