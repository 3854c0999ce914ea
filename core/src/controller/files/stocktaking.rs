//! Taking in what nodes say of what they have.

use crate::controller::Controller;
use crate::controller::members::Presence;
use crate::event::Event;
use crate::ids::{ConnId, Role};
use crate::membership::Slot;
use crate::message::{
    Beat, Message, NewsApplied, ReplicaChange, ReplicaEntry, ReplicaNews, Report, ReportApplied,
    VolumesNow, WantReport,
};
use crate::time::Timestamp;

/// Heartbeats in a row that tell of another inventory than is known, after which the node is asked
/// for all of it.
const MISMATCHES_MAX: u32 = 3;

impl Controller {
    /// A page of a node's report.
    pub(in crate::controller) fn report(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        slot: Slot,
        page: Report,
    ) {
        let Some(whole) = self.files.stocks[slot].page(page) else {
            return;
        };
        let report = whole.report;
        let node = self.node_of(slot);
        let names = &self.state.namespace;
        let before = self
            .planted
            .keep_old_extras
            .then(|| self.files.stocks[slot].extras.clone());
        let findings = node.map(|node| self.files.stocks[slot].apply(whole, node, names));
        self.files.stocks[slot].volumes_at = now;
        self.files.balance.heard(slot);
        if let Some(node) = node {
            // What it has prepared is in the report, or is no more.
            self.files.writes.doubt_all(now, node);
        }
        for entry in findings.into_iter().flat_map(|found| found.divergent) {
            self.note_divergent(slot, &entry);
        }
        self.files.repairs.survey();
        if self.planted.miss_nothing {
            self.files.stocks[slot].missing.clear();
        }
        for (version, extra) in before.into_iter().flatten() {
            self.files.stocks[slot]
                .extras
                .entry(version)
                .or_insert(extra);
        }
        self.note_later_epochs(slot);
        let applied = ReportApplied { report };
        self.say(conn, Some(slot), Message::ReportApplied(applied));
        let member = &mut self.members.all[slot];
        let was = core::mem::replace(&mut member.presence, Presence::Online);
        if was != Presence::Online {
            member.well_since = now;
            let text = format!("{} is online", member.member.site.alias);
            self.out.notify(Event::info("node.online", text));
        }
        if self.members.all[slot].member.role == Role::Agent {
            self.tell_agent(now, slot);
        } else {
            self.refresh_place(now, slot);
        }
        self.note_all_green(now);
    }

    /// What has changed on a node since its report.
    pub(in crate::controller) fn news(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        slot: Slot,
        news: &ReplicaNews,
    ) {
        let Some(node) = self.node_of(slot) else {
            return;
        };
        if !self.files.stocks[slot].is_known()
            || news.first > self.files.stocks[slot].applied.saturating_add(1)
        {
            // Something is missing in between: the node sends it again.
            return;
        }
        let mut divergent = Vec::new();
        let mut damaged = 0_usize;
        let mut touched = Vec::new();
        for (number, change) in (news.first..=u64::MAX).zip(&news.changes) {
            let names = &self.state.namespace;
            let stock = &mut self.files.stocks[slot];
            if number <= stock.applied {
                continue;
            }
            stock.applied = number;
            touched.push(change.entry().version.chunk);
            match change {
                ReplicaChange::Added(entry) => {
                    if stock.added(*entry, node, names) {
                        divergent.push(*entry);
                    }
                }
                ReplicaChange::Moved(entry) => {
                    let view = names.chunk_version(entry.version);
                    let held = view.filter(|view| view.is_held_by(node));
                    if held.is_some_and(|view| {
                        (view.len(), view.digest()) != (entry.len, entry.digest)
                    }) {
                        divergent.push(*entry);
                    }
                    stock.moved(*entry);
                }
                ReplicaChange::Cleared(entry) => stock.cleared(entry.version),
                ReplicaChange::Removed(entry) => {
                    stock.removed(*entry, false, names);
                    self.files.writes.doubt(node, entry.version);
                }
                ReplicaChange::Corrupt(entry) => {
                    damaged += 1;
                    stock.removed(*entry, true, names);
                    if self.planted.pass_over_losses {
                        stock.missing.remove(&entry.version.chunk);
                        stock.corrupt.remove(&entry.version);
                    }
                    self.files.writes.doubt(node, entry.version);
                }
            }
        }
        for entry in divergent {
            self.note_divergent(slot, &entry);
        }
        if damaged > 0 {
            let text = format!(
                "{} has found {damaged} damaged replicas; `vaquita chunk list --unwell` shows them",
                self.members.all[slot].member.site.alias
            );
            self.out.notify(Event::warning("files.damaged", text));
        }
        for chunk in touched {
            self.look_at_chunk(now, chunk);
        }
        self.note_later_epochs(slot);
        let upto = self.files.stocks[slot].applied;
        self.say(conn, Some(slot), Message::NewsApplied(NewsApplied { upto }));
        self.files.hurry_sweep(now);
    }

    /// How a node's volumes are.
    pub(in crate::controller) fn volumes_now(
        &mut self,
        now: Timestamp,
        slot: Slot,
        volumes: VolumesNow,
    ) {
        self.files.stocks[slot].volumes_told(now, volumes.volumes);
        self.files.balance.heard(slot);
        self.refresh_place(now, slot);
    }

    /// Compares what a heartbeat says the node has with what is known of it.
    pub(in crate::controller) fn compare_inventory(&mut self, slot: Slot, beat: &Beat) {
        let stock = &mut self.files.stocks[slot];
        if !stock.is_known() || beat.news != stock.applied || beat.inventory == stock.sum {
            stock.mismatches = 0;
            return;
        }
        stock.mismatches += 1;
        if stock.mismatches < MISMATCHES_MAX {
            return;
        }
        stock.mismatches = 0;
        let reason = "what it has and what is known of it differ".to_owned();
        let text = format!(
            "{} is asked for a full report: {reason}",
            self.members.all[slot].member.site.alias
        );
        self.out.notify(Event::warning("files.drift", text));
        self.tell(slot, Message::WantReport(WantReport { reason }));
    }

    /// A node has, under the name of a committed content, another one. Its own disk cannot have made
    /// that: either a write was acknowledged twice, or somebody exchanged files.
    fn note_divergent(&mut self, slot: Slot, entry: &ReplicaEntry) {
        let text = format!(
            "{} has {} bytes with the digest {} as chunk {}, and others were committed: that replica \
             does not count, and goes to the trash once the chunk has enough good ones",
            self.members.all[slot].member.site.alias, entry.len, entry.digest, entry.version
        );
        self.out
            .notify(Event::error("files.divergent", text.clone()));
        if !self.alarms.contains(&text) && self.alarms.len() < ALARMS_MAX {
            self.alarms.push(text);
        }
    }

    /// A chunk of a controller epoch that is yet to come says that this controller's home is an old
    /// copy.
    fn note_later_epochs(&mut self, slot: Slot) {
        let newest = self.files.stocks[slot].extras.keys().next_back();
        let later = newest.filter(|version| version.chunk.epoch() > self.epoch);
        let Some(version) = later.copied() else {
            return;
        };
        if self.files.rolled_back {
            return;
        }
        self.files.rolled_back = true;
        let text = format!(
            "{} has chunk {version} of the controller epoch {}, and this is epoch {}: the controller's \
             home is an old copy. Nothing is written or given up until that is settled; stop the \
             controller, and `vaquita meta rebuild` brings its home up to date",
            self.members.all[slot].member.site.alias,
            version.chunk.epoch(),
            self.epoch
        );
        self.out
            .notify(Event::error("controller.rollback_seen", text.clone()));
        self.alarms.push(text);
    }
}

/// Alarms of one kind that are kept: what comes behind them is in the log.
const ALARMS_MAX: usize = 100;
