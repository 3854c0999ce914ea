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
        let slots = match self.selected(selection) {
            Ok(slots) => slots,
            Err(refusal) => return Some(Err(refusal)),
        };
        let refusal = match duty {
            Duty::Serve => None,
            Duty::Drain => self.too_few_without(&slots),
            Duty::Maintenance { for_ms } => refused_length(for_ms),
        };
        if let Some(refusal) = refusal {
            return Some(Err(refusal));
        }
        let mut rows = Vec::new();
        let mut index = LogIndex(0);
        for slot in slots {
            let alias = self.members.all[slot].member.site.alias.clone();
            // A maintenance that is ordered once more begins once more.
            let changed = self.duty(slot) != duty || matches!(duty, Duty::Maintenance { .. });
            if changed {
                index = self.note_duty(now, slot, duty);
            }
            rows.push(OrderRow {
                alias,
                changed,
                note: self.duty_note(now, slot, duty, changed),
            });
        }
        let reply = Ok(Response::Ordered(rows));
        self.when_synced(now, index, Continuation::Reply { id, reply });
        None
    }

    fn note_duty(&mut self, now: Timestamp, slot: Slot, duty: Duty) -> LogIndex {
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
        let index = self.append(&Record::NodeDuty(NodeDuty { alias, duty }));
        self.files.maintenance_ends.remove(&slot);
        self.files.drained.remove(&slot);
        self.tend_maintenance(now);
        self.refresh_place(now, slot);
        self.files.repairs.survey();
        index
    }

    fn duty_note(&self, now: Timestamp, slot: Slot, duty: Duty, changed: bool) -> String {
        let already = if changed { "" } else { "already: " };
        match duty {
            Duty::Serve if changed => "takes new replicas again".to_owned(),
            Duty::Serve => "takes new replicas as it is".to_owned(),
            Duty::Drain => match self.left_on(now, slot) {
                Some(left) => format!(
                    "{already}draining, {left}; `vaquita node list` shows when it is drained"
                ),
                None => format!("{already}drained: nothing is lost with it"),
            },
            Duty::Maintenance { for_ms } => format!(
                "in maintenance: for {} s it takes no new replicas, and those that it has are waited \
                 for, whatever becomes of it",
                for_ms / 1000
            ),
        }
    }

    /// Why nodes cannot be drained because of those that would be left. A place is wanted for each
    /// replica of a chunk, be it that the node there is just away.
    fn too_few_without(&self, drained: &[Slot]) -> Option<Refusal> {
        let stays = |slot: &Slot| {
            !drained.contains(slot)
                && !self.is_draining(*slot)
                && !self.files.repairs.is_given_up(*slot)
        };
        let staying = self.members.data_nodes().filter(stays);
        let factor = self.files.config.factor;
        let (left, what) = if self.files.config.level == ReliabilityLevel::NeverShare {
            let mut hosts: Vec<String> = staying.map(|slot| self.host_name(slot)).collect();
            hosts.sort_unstable();
            hosts.dedup();
            (hosts.len(), "hosts with data nodes")
        } else {
            (staying.count(), "data nodes")
        };
        let names: Vec<&str> = drained
            .iter()
            .filter(|slot| !self.is_draining(**slot))
            .map(|slot| self.members.all[*slot].member.site.alias.as_str())
            .collect();
        // What is drained already is not refused.
        (left < factor && !names.is_empty()).then(|| Refusal::Conflict {
            reason: format!(
                "{} cannot be drained: {left} {what} would be left, and each chunk has {factor} \
                 replicas (dfsReplicationFactor). Add a data node, bring one back that is away, or \
                 lower the factor first",
                names.join(", ")
            ),
        })
    }

    /// What keeps a node that is being drained from being empty, in words; `None` once nothing does.
    fn left_on(&self, now: Timestamp, slot: Slot) -> Option<String> {
        let node = self.node_of(slot)?;
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
            0 if writes == 0 => self.forgotten_writes(now),
            0 => Some(under_way("")),
            1 => Some(format!("1 chunk is left{}", under_way(", and "))),
            _ => Some(format!("{chunks} chunks are left{}", under_way(", and "))),
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
        self.state.duty(&self.members.all[slot].member.site.alias)
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
        if self.state.duties.is_empty() {
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
        for slot in &self.files.drained {
            if !self.is_draining(*slot) {
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
        let draining: Vec<Slot> = (self.state.duties.keys())
            .filter_map(|alias| self.members.slot(alias))
            .filter(|slot| self.is_draining(*slot))
            .collect();
        for slot in draining {
            if self.left_on(now, slot).is_some() {
                self.files.drained.remove(&slot);
            } else if self.files.drained.insert(slot) {
                let alias: &Alias = &self.members.all[slot].member.site.alias;
                let text = format!(
                    "{alias} is drained: nothing is lost with it. It may be stopped, and its line be \
                     taken out of cluster.nodes"
                );
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
                row.conditions
                    .push(format!("waited for whatever comes, for {left} s more"));
            }
            Duty::Drain => match self.left_on(now, slot) {
                None => row.admin = "drained",
                Some(left) => {
                    row.admin = "draining";
                    row.conditions.push(left);
                }
            },
        }
    }
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
