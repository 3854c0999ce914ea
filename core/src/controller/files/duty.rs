//! What an operator uses data nodes for: to be emptied, or to be left in peace for a while.
//!
//! The order is a record of the log; what becomes of it is seen from the log as well. A node that is
//! drained takes no replica any more, and repair gives each one that it has another place
//! (`repair/`). It is empty once the log places nothing on it and no write is under way there that
//! could still commit something. Only then is nothing lost with it.

use core::time::Duration;

use super::Controller;
use crate::admin::{NodeRow, OrderRow, Refusal, Reply, Response, Selection};
use crate::controller::commit::Continuation;
use crate::dfs::placement::ReliabilityLevel;
use crate::event::Event;
use crate::ids::{Alias, ControllerEpoch, LogIndex, RequestId, Role};
use crate::membership::Slot;
use crate::metalog::SpaceMode;
use crate::state::{Duty, NodeDuty, Record};
use crate::time::Timestamp;

/// A node that has nothing any more, as the log says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Emptied {
    /// The newest record when that was seen: what is not synced up to there, a crash would undo.
    at: LogIndex,
    /// Whether that is so and was told.
    told: bool,
}

/// Longest maintenance of one order: what was forgotten in it is repaired the day after.
const MAINTENANCE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

impl Controller {
    /// Carries out an operator's order.
    pub(in crate::controller) fn set_duty(
        &mut self,
        now: Timestamp,
        id: RequestId,
        selection: &Selection,
        duty: Duty,
    ) -> Option<Reply> {
        let mut slots = match self.selected(selection) {
            Ok(slots) => slots,
            Err(refusal) => return Some(Err(refusal)),
        };
        if let Some(refusal) = self.refused_duty(selection, &mut slots, duty) {
            return Some(Err(refusal));
        }
        let refusal = match duty {
            Duty::Serve => None,
            Duty::Drain => self.too_few_without(&slots, Need::Replicas),
            Duty::Maintenance { for_ms } => refused_length(for_ms)
                .or_else(|| self.is_drained_by_another_order(&slots))
                .or_else(|| self.too_few_without(&slots, Need::Writes)),
        };
        if let Some(refusal) = refusal {
            return Some(Err(refusal));
        }
        let mut rows = Vec::new();
        for slot in slots {
            let alias = self.members.all[slot].member.site.alias.clone();
            // A maintenance that is ordered once more begins once more.
            let changed = self.duty(slot) != duty || matches!(duty, Duty::Maintenance { .. });
            if changed {
                self.note_duty(now, slot, duty);
            }
            rows.push(OrderRow {
                alias,
                changed,
                note: self.duty_note(now, slot, duty, changed),
            });
        }
        let reply = Ok(Response::Ordered(rows));
        // Also where nothing has changed: the order before this one may not be synced.
        let index = self.log.appended();
        self.when_synced(now, index, Continuation::Reply { id, reply });
        None
    }

    fn note_duty(&mut self, now: Timestamp, slot: Slot, duty: Duty) {
        let alias = self.members.all[slot].member.site.alias.clone();
        let text = match duty {
            Duty::Serve => format!("{alias} takes new replicas again"),
            Duty::Drain => format!("{alias} is drained: its replicas are made anew elsewhere"),
            Duty::Maintenance { for_ms } => format!(
                "{alias} is in maintenance for {} s: it takes no new replicas, and is waited for",
                for_ms / 1000
            ),
        };
        self.out.notify(Event::info("node.duty", text));
        self.append(&Record::NodeDuty(NodeDuty { alias, duty }));
        self.files.maintenance_ends.remove(&slot);
        self.files.emptied.remove(&slot);
        self.tend_maintenance(now);
        self.refresh_place(now, slot);
        self.files.repairs.survey();
    }

    fn duty_note(&self, now: Timestamp, slot: Slot, duty: Duty, changed: bool) -> String {
        let already = if changed { "" } else { "already: " };
        match duty {
            Duty::Serve if changed => "takes new replicas again".to_owned(),
            Duty::Serve => "takes new replicas as it is".to_owned(),
            Duty::Drain if self.is_drained(slot) => {
                format!("{already}drained: nothing is lost with it")
            }
            Duty::Drain => format!(
                "{already}draining, {}; `vaquita node list` shows when it is drained",
                self.why_not_drained(now, slot)
            ),
            Duty::Maintenance { for_ms } => format!(
                "in maintenance: for {} s it takes no new replicas, and those that it has are waited \
                 for, whatever becomes of it",
                for_ms / 1000
            ),
        }
    }

    /// Why a node cannot be drained, because of those that would be left.
    pub(super) fn too_few_to_drain(&self, slot: Slot) -> Option<Refusal> {
        self.too_few_without(&[slot], Need::Replicas)
    }

    /// Why nodes cannot be done without, because of those that would be left.
    ///
    /// For a drain a place is wanted for each replica of a chunk, be it that the node there is just away;
    /// one that never came is none. For a maintenance there is to be one for each replica that a write
    /// needs.
    fn too_few_without(&self, without: &[Slot], need: Need) -> Option<Refusal> {
        let serves = |slot: &Slot| match need {
            Need::Replicas => !self.is_draining(*slot) && !self.drains_all_volumes(*slot),
            Need::Writes => self.duty(*slot) == Duty::Serve,
        };
        let stays = |slot: &Slot| {
            serves(slot)
                && !without.contains(slot)
                && self.node_of(*slot).is_some()
                && !self.files.repairs.is_given_up(*slot)
        };
        let staying = self.members.data_nodes().filter(stays);
        let config = &self.files.config;
        let wanted = match need {
            Need::Replicas => config.factor,
            Need::Writes => config.min_write,
        };
        let (left, what) = if self.files.config.level == ReliabilityLevel::NeverShare {
            let mut hosts: Vec<String> = staying.map(|slot| self.host_name(slot)).collect();
            hosts.sort_unstable();
            hosts.dedup();
            (
                hosts.len(),
                ["host with data nodes", "hosts with data nodes"],
            )
        } else {
            (staying.count(), ["data node", "data nodes"])
        };
        let what = what[usize::from(left != 1)];
        let names: Vec<&str> = without
            .iter()
            .filter(|slot| serves(slot))
            .map(|slot| self.members.all[*slot].member.site.alias.as_str())
            .collect();
        // What is so already is not refused.
        if left >= wanted || names.is_empty() {
            return None;
        }
        let names = names.join(", ");
        let reason = match need {
            Need::Replicas => format!(
                "{names} cannot be drained: {left} {what} would be left, and each chunk has {wanted} \
                 replicas (dfsReplicationFactor). Add a data node, bring one back that is away, or \
                 lower the factor first"
            ),
            Need::Writes => format!(
                "{names} cannot all be in maintenance: {left} {what} would be left that take writes, \
                 and a write needs {wanted} (dfsMinWriteReplicas). Take them one after the other; or \
                 stop them without a maintenance"
            ),
        };
        Some(Refusal::Conflict { reason })
    }

    /// A maintenance ends with a node that serves: it would call a drain off without a word.
    fn is_drained_by_another_order(&self, slots: &[Slot]) -> Option<Refusal> {
        let draining = slots.iter().find(|slot| self.is_draining(**slot))?;
        let alias = &self.members.all[*draining].member.site.alias;
        Some(Refusal::Conflict {
            reason: format!(
                "{alias} is being drained, and a maintenance would call that off; if that is meant, \
                 `vaquita node serve {alias}` first"
            ),
        })
    }

    /// Whether nothing is lost with a node, and never will be as long as it is being drained.
    fn is_drained(&self, slot: Slot) -> bool {
        self.is_draining(slot) && self.files.emptied.get(&slot).is_some_and(|it| it.told)
    }

    /// Why a node is not drained yet, in words.
    fn why_not_drained(&self, now: Timestamp, slot: Slot) -> String {
        let left = self.left_on(now, slot);
        let left =
            left.unwrap_or_else(|| "its last changes are being written to the log".to_owned());
        match self.holds().first() {
            Some(hold) => format!("{left}; nothing is begun at present: {hold}"),
            None => left,
        }
    }

    /// What keeps a node from being taken away without a loss, in words: what it has, and what may come
    /// there; `None` once nothing does.
    pub(in crate::controller) fn left_on(&self, now: Timestamp, slot: Slot) -> Option<String> {
        let node = self.node_of(slot)?;
        if self.files.rolled_back {
            let text =
                "a data node has seen more of the cluster's history than this controller knows";
            return Some(text.to_owned());
        }
        let chunks = self.names().chunks_on_count(node);
        let writes = match self.planted.drained_early {
            true => 0,
            false => self.files.writes.count_at(node),
        };
        let under_way = |text: &str| match writes {
            0 => String::new(),
            1 => format!("{text}1 write is under way there"),
            _ => format!("{text}{writes} writes are under way there"),
        };
        match chunks {
            0 if writes == 0 => self
                .comes_or_counts(now, slot)
                .or_else(|| self.forgotten_writes(now)),
            0 => Some(under_way("")),
            1 => Some(format!("1 chunk is left{}", under_way(", and "))),
            _ => Some(format!("{chunks} chunks are left{}", under_way(", and "))),
        }
    }

    /// Whether something is on its way to a node, or there beside what the log says and needed elsewhere.
    fn comes_or_counts(&self, now: Timestamp, slot: Slot) -> Option<String> {
        let copies = self.files.repairs.copies_to(slot);
        if copies > 0 {
            return Some(format!("{copies} copies are on their way there"));
        }
        if self.planted.drained_with_needed {
            return None;
        }
        let stock = &self.files.stocks[slot];
        let needed = stock.extras.keys().filter(|version| {
            let view = self.names().chunk_version(**version);
            stock.claims(**version).is_some()
                && view.is_some_and(|view| self.lacks_good_replicas(now, &view))
        });
        match needed.count() {
            0 => None,
            needed => Some(format!(
                "{needed} chunks are there beside what the log says, and lack replicas elsewhere"
            )),
        }
    }

    /// Whether writes may be under way that an earlier controller knew of: what their replicas have they
    /// may commit still.
    fn forgotten_writes(&self, now: Timestamp) -> Option<String> {
        let began = now.since(self.files.started);
        let left = self.limits.dfs_write_timeout.saturating_sub(began);
        let is_first = self.epoch <= ControllerEpoch(1);
        (!is_first && !left.is_zero()).then(|| {
            format!(
                "writes from before the start of this controller may still end there, for {} s more",
                left.as_secs().max(1)
            )
        })
    }

    /// What a node is used for.
    pub(super) fn duty(&self, slot: Slot) -> Duty {
        if self.planted.forget_duties && self.epoch > ControllerEpoch(1) {
            return Duty::Serve;
        }
        let member = &self.members.all[slot];
        if member.orphaned && !self.planted.orphans_serve {
            // It is to go, whatever was ordered while it had its row.
            return Duty::Drain;
        }
        self.state.duty(&member.member.site.alias)
    }

    /// Whether an operator has a node emptied.
    pub(in crate::controller) fn is_draining(&self, slot: Slot) -> bool {
        self.duty(slot) == Duty::Drain
    }

    /// Whether an operator has a node left in peace.
    pub(in crate::controller) fn is_in_maintenance(&self, slot: Slot) -> bool {
        matches!(self.duty(slot), Duty::Maintenance { .. })
    }

    /// How long a maintenance still lasts; zero where there is none.
    pub(super) fn maintenance_left(&self, now: Timestamp, slot: Slot) -> Duration {
        let end = self.files.maintenance_ends.get(&slot);
        end.map_or(Duration::ZERO, |end| end.since(now))
    }

    /// Notices what has come to its end: maintenances, and drained nodes.
    pub(in crate::controller) fn tend_duties(&mut self, now: Timestamp) {
        if self.state.duties.is_empty() && !self.members.has_orphans() {
            return;
        }
        self.tend_maintenance(now);
        let ends = &self.files.maintenance_ends;
        let over: Vec<Slot> = (ends.iter())
            .filter(|(_, end)| now >= **end)
            .map(|(slot, _)| *slot)
            .collect();
        if self.log.space_mode() != SpaceMode::ReadOnly && !self.planted.endless_maintenance {
            for slot in over {
                self.note_duty(now, slot, Duty::Serve);
            }
        }
        self.tend_drained(now);
    }

    /// Sees to it that each maintenance has an end, also one that this controller has only read of.
    fn tend_maintenance(&mut self, now: Timestamp) {
        let slots: Vec<(Slot, u64)> = (self.state.duties.iter())
            .filter_map(|(alias, duty)| match duty {
                Duty::Maintenance { for_ms } => Some((self.members.slot(alias)?, *for_ms)),
                Duty::Serve | Duty::Drain => None,
            })
            .collect();
        for (slot, for_ms) in slots {
            let end = now.after(Duration::from_millis(for_ms));
            self.files.maintenance_ends.entry(slot).or_insert(end);
        }
    }

    /// What was told of drained nodes is so: nothing is placed there, and nothing may come to be.
    pub(in crate::controller) fn check_duties(&self) {
        for slot in self.files.emptied.keys() {
            if !self.is_drained(*slot) {
                continue;
            }
            let Some(node) = self.node_of(*slot) else {
                continue;
            };
            let chunks = self.names().chunks_on_count(node);
            let alias = &self.members.all[*slot].member.site.alias;
            assert_eq!(
                chunks, 0,
                "{alias} was told to be drained, and the log places chunks there"
            );
        }
    }

    fn tend_drained(&mut self, now: Timestamp) {
        let draining: Vec<Slot> = (self.members.data_nodes())
            .filter(|slot| self.is_draining(*slot))
            .collect();
        for slot in draining {
            if self.left_on(now, slot).is_some() {
                self.files.emptied.remove(&slot);
                continue;
            }
            let (at, told) = (self.log.appended(), false);
            let emptied = *self
                .files
                .emptied
                .entry(slot)
                .or_insert(Emptied { at, told });
            if !emptied.told && self.log.synced() >= emptied.at {
                let told = Emptied {
                    told: true,
                    ..emptied
                };
                self.files.emptied.insert(slot, told);
                let alias: &Alias = &self.members.all[slot].member.site.alias;
                let text = if self.members.all[slot].orphaned {
                    format!(
                        "{alias}, which is not in cluster.nodes, is drained: nothing is lost with it. \
                         Once it is stopped it is in no list any more"
                    )
                } else {
                    format!(
                        "{alias} is drained: nothing is lost with it. It may be stopped, and its line \
                         be taken out of cluster.nodes"
                    )
                };
                self.out.notify(Event::info("node.drained", text));
            }
        }
    }

    /// What an operator uses a node for, as lists show it.
    pub(in crate::controller) fn tell_duty(&self, now: Timestamp, slot: Slot, row: &mut NodeRow) {
        if row.mode != Role::DataNode {
            return;
        }
        match self.duty(slot) {
            Duty::Serve => {}
            Duty::Maintenance { .. } => {
                row.admin = "maintenance";
                let left = self.maintenance_left(now, slot).as_secs();
                row.admin_reason = format!("waited for whatever comes, for {left} s more");
            }
            Duty::Drain if self.is_drained(slot) => row.admin = "drained",
            Duty::Drain => {
                row.admin = "draining";
                row.admin_reason = self.why_not_drained(now, slot);
            }
        }
    }
}

/// What the nodes that stay are needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// To keep every replica of a chunk.
    Replicas,
    /// To take writes.
    Writes,
}

fn refused_length(for_ms: u64) -> Option<Refusal> {
    let length = Duration::from_millis(for_ms);
    let fits = (Duration::from_secs(1)..=MAINTENANCE_MAX).contains(&length);
    (!fits).then(|| Refusal::Invalid {
        reason: format!(
            "a maintenance lasts from one second to {} hours, and not {for_ms} ms; order it again \
             while it lasts, and it begins anew",
            MAINTENANCE_MAX.as_secs() / 3600
        ),
    })
}
