//! What members and the controller itself have measured: the newest of it, and charts of the last
//! hour. In memory alone, and gone with the process.
//!
//! Figures prove nothing. They do not count as a sign of life, and change nothing but what people are
//! shown.

#[cfg(test)]
mod tests;

use core::time::Duration;
use std::collections::BTreeMap;

use super::members::Presence;
use super::{Controller, Phase};
use crate::admin::{Caller, NodeRow, NodeState, Refusal};
use crate::dfs::ids::InodeId;
use crate::figures::{
    ClusterSeries, Figures, FiguresReport, HIGHEST, History, NONE, NodeFigures, NodeSeries, Ring,
    Rules, per_second,
};
use crate::ids::{LogIndex, NodeEpoch, Role};
use crate::limits::Limits;
use crate::membership::Slot;
use crate::time::Timestamp;

/// The registration of a process that needs none: the controller itself.
const OWN: NodeEpoch = NodeEpoch(0);

/// All that is remembered of figures.
#[derive(Clone, Debug)]
pub(super) struct FiguresBook {
    /// The newest ones of this process, as they were measured.
    measured: Option<Box<Figures>>,
    own: History,
    members: Vec<History>,
    rules: Rules,
    cluster: Ring<{ ClusterSeries::COUNT }>,
    /// The end of the newest step of time, once there was one.
    newest: Option<Timestamp>,
    next: Timestamp,
    /// The newest durable record then.
    synced: LogIndex,
}

impl FiguresBook {
    pub(super) fn new(limits: &Limits, members: usize, now: Timestamp) -> Self {
        let rules = Rules::of(limits);
        Self {
            measured: None,
            own: History::new(rules),
            members: (0..members).map(|_| History::new(rules)).collect(),
            rules,
            cluster: Ring::new(limits.figures_points),
            newest: None,
            next: now.after(limits.figures_step),
            synced: LogIndex(0),
        }
    }

    pub(super) fn measured(&self) -> Option<Box<Figures>> {
        self.measured.clone()
    }

    /// There is one more member.
    pub(super) fn add_member(&mut self) {
        self.members.push(History::new(self.rules));
    }

    /// A member is none any more: whoever has its place later has no past.
    pub(super) fn forget_member(&mut self, slot: Slot) {
        self.members[slot] = History::new(self.rules);
    }
}

impl Controller {
    /// This process has measured itself.
    pub(super) fn measured(&mut self, now: Timestamp, figures: Box<Figures>) {
        self.figures.own.take(now, OWN, &figures);
        self.figures.measured = Some(figures);
    }

    /// A member has measured itself.
    pub(super) fn take_figures(&mut self, now: Timestamp, slot: Slot, figures: &Figures) {
        if let Some(epoch) = self.epoch_if_present(slot) {
            self.figures.members[slot].take(now, epoch, figures);
        }
    }

    /// The registration of a member that has one in force and is there. Nothing that came under another
    /// one is shown.
    fn epoch_if_present(&self, slot: Slot) -> Option<NodeEpoch> {
        let member = &self.members.all[slot];
        let alias = &member.member.site.alias;
        let registration = self.state.registry.get(alias)?;
        let shown = member.presence != Presence::Away || self.planted.show_old_figures;
        shown.then_some(registration.epoch)
    }

    /// Adds a point to all charts when a step of time is over.
    pub(super) fn note_figures(&mut self, now: Timestamp) {
        let step = self.limits.figures_step.max(Duration::from_millis(1));
        if now < self.figures.next {
            return;
        }
        // Steps that were slept through are gaps, so that all points stay at their times.
        let late = now.since(self.figures.next).as_nanos() / step.as_nanos();
        let missed = usize::try_from(late).unwrap_or(usize::MAX);
        for _ in 0..missed.min(self.limits.figures_points) {
            self.figures.own.step(now, None, None);
            for member in &mut self.figures.members {
                member.step(now, None, None);
            }
            self.figures.cluster.push([NONE; ClusterSeries::COUNT]);
        }
        let late = u64::try_from(late * step.as_nanos()).unwrap_or(u64::MAX);
        let end = self.figures.next.after(Duration::from_nanos(late));
        self.figures.own.step(now, Some(OWN), None);
        for slot in 0..self.members.all.len() {
            let epoch = self.epoch_if_present(slot);
            let free = self.disk_of(slot).map(|(_, free)| free);
            self.figures.members[slot].step(now, epoch, free);
        }
        let point = self.cluster_point(now, end);
        self.figures.cluster.push(point);
        self.figures.synced = self.log.synced();
        self.figures.newest = Some(end);
        self.figures.next = end.after(step);
    }

    fn cluster_point(&self, now: Timestamp, end: Timestamp) -> [u64; ClusterSeries::COUNT] {
        let usage = self.names().usage_of(InodeId::ROOT);
        let status = self.status(now);
        let online = (status.nodes.iter())
            .filter(|row| row.mode == Role::DataNode && row.state == NodeState::Online)
            .count();
        let commits = || {
            let passed = end.since(self.figures.newest?).as_millis();
            let records = self.log.synced().0.saturating_sub(self.figures.synced.0);
            per_second(records, u64::try_from(passed).unwrap_or(u64::MAX), 1000)
        };
        let value = |series| match series {
            ClusterSeries::Commits => commits().unwrap_or(NONE),
            ClusterSeries::LogBytes => self.log.bytes_since_checkpoint(),
            ClusterSeries::Files => usage.files,
            ClusterSeries::Chunks => self.names().chunk_count() as u64,
            ClusterSeries::Degraded => self.degraded_chunks(),
            ClusterSeries::Alarms => status.alarms.len() as u64,
            ClusterSeries::Online => online as u64,
            ClusterSeries::Cpu => self.sum(NodeSeries::Cpu),
            ClusterSeries::Memory => self.sum(NodeSeries::Memory),
            ClusterSeries::Load => self.newest(NodeSeries::Load).max().unwrap_or(NONE),
            ClusterSeries::DiskRead => self.sum(NodeSeries::DiskRead),
            ClusterSeries::DiskWrite => self.sum(NodeSeries::DiskWrite),
            ClusterSeries::Sent => self.sum(NodeSeries::Sent),
            ClusterSeries::Received => self.sum(NodeSeries::Received),
        };
        ClusterSeries::ALL.map(value)
    }

    /// The newest points of this process and of every member, where they are known.
    fn newest(&self, series: NodeSeries) -> impl Iterator<Item = u64> {
        let all = core::iter::once(&self.figures.own).chain(&self.figures.members);
        all.filter_map(move |history| history.points().newest(series as usize))
    }

    /// Their sum; of what is not known nothing counts, and if nothing is known, neither is the sum.
    fn sum(&self, series: NodeSeries) -> u64 {
        let sum = self.newest(series).reduce(u64::saturating_add);
        sum.map_or(NONE, |sum| sum.min(HIGHEST))
    }

    /// Bytes of all volumes of a data node, and those that are free, as it told last.
    fn disk_of(&self, slot: Slot) -> Option<(u64, u64)> {
        let is_data_node = self.members.all[slot].member.role == Role::DataNode;
        let (capacity, free) = self.files.stocks[slot].room();
        is_data_node.then_some((capacity.min(HIGHEST), free.min(HIGHEST)))
    }

    // ---- what people are told ----

    /// The figures of a member, as lists show them.
    fn figures_of(&self, now: Timestamp, slot: Slot) -> Option<NodeFigures> {
        let role = self.members.all[slot].member.role;
        let Some(epoch) = self.epoch_if_present(slot) else {
            return Some(NodeFigures::gone(role == Role::DataNode));
        };
        let history = &self.figures.members[slot];
        let epoch = match self.planted.keep_old_figures {
            true => history.epoch(),
            false => epoch,
        };
        let mut figures = history.row(now, epoch, role)?;
        if let Some((capacity, free)) = self.disk_of(slot) {
            figures.disk_capacity = Some(capacity);
            figures.disk_free = Some(free);
        }
        Some(figures)
    }

    /// This process first, then every member, each with its figures.
    pub(super) fn rows_with_figures(&self, now: Timestamp) -> Vec<NodeRow> {
        let mut rows = self.rows(now);
        for row in &mut rows {
            if let Some(slot) = self.members.slot(&row.alias) {
                row.figures = self.figures_of(now, slot).map(Box::new);
            }
        }
        rows.insert(0, self.own_row(now));
        rows
    }

    fn own_row(&self, now: Timestamp) -> NodeRow {
        let state = match self.phase {
            Phase::Serving => NodeState::Online,
            Phase::Founding | Phase::Opening | Phase::Dead => NodeState::Starting,
        };
        let figures = self.figures.own.row(now, OWN, Role::Controller);
        NodeRow {
            alias: self.site.alias.clone(),
            mode: Role::Controller,
            host: self.site.endpoint.host.clone(),
            port: self.site.endpoint.port,
            site: self.site.to_string(),
            state,
            agent: None,
            reason: String::new(),
            admin: "none",
            admin_reason: String::new(),
            conditions: Vec::new(),
            pid: None,
            epoch: None,
            silent_ms: None,
            figures: figures.map(Box::new),
        }
    }

    /// Charts of one process, or of the cluster; all there are if none is named.
    pub(super) fn charts(
        &self,
        now: Timestamp,
        caller: &Caller,
        node: Option<&str>,
        names: &[String],
    ) -> Result<FiguresReport, Refusal> {
        let (alias, series) = match node {
            None => {
                let wanted = wanted(names, &ClusterSeries::NAMES)?;
                (None, of_ring(&self.figures.cluster, &wanted))
            }
            Some(node) => {
                let wanted = wanted(names, &NodeSeries::NAMES)?;
                let own =
                    node == self.site.alias.as_str() || node == self.site.endpoint.to_string();
                let (alias, history) = if own {
                    (&self.site.alias, &self.figures.own)
                } else {
                    let slot = self.find(node)?;
                    let site = &self.members.all[slot].member.site;
                    (&site.alias, &self.figures.members[slot])
                };
                (Some(alias.clone()), of_ring(history.points(), &wanted))
            }
        };
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let age = self.figures.newest.map(|newest| millis(now.since(newest)));
        let newest_unix_ms = match caller {
            Caller::Remote { unix_ms, .. } => age.map(|age| unix_ms.saturating_sub(age)),
            Caller::Console { .. } | Caller::Signal { .. } | Caller::Process { .. } => None,
        };
        Ok(FiguresReport {
            node: alias,
            step_ms: millis(self.limits.figures_step),
            newest_age_ms: age,
            newest_unix_ms,
            series,
        })
    }

    /// Of each member how old the figures are that it is shown with, in milliseconds; `None` if it is shown
    /// as one that is gone, or has told nothing. For the checkers of the simulators.
    #[doc(hidden)]
    #[must_use]
    pub fn figures_shown(&self, now: Timestamp) -> Vec<(crate::ids::Alias, Option<u64>)> {
        let shown = self.members.in_order().into_iter().map(|slot| {
            let figures = self.figures_of(now, slot);
            let alias = self.members.all[slot].member.site.alias.clone();
            (alias, figures.and_then(|it| it.age_ms))
        });
        shown.collect()
    }
}

/// Which of the series are named, by their numbers; all, if none is.
fn wanted(names: &[String], known: &[&'static str]) -> Result<Vec<(usize, &'static str)>, Refusal> {
    if names.is_empty() {
        return Ok(known.iter().copied().enumerate().collect());
    }
    let number = |name: &String| {
        let at = known.iter().position(|it| it == name);
        at.map(|at| (at, known[at])).ok_or_else(|| {
            let name: String = name.chars().take(40).collect();
            let reason = format!(
                "there are no figures `{name}` here; there are `{}`",
                known.join("`, `")
            );
            Refusal::Invalid { reason }
        })
    };
    names.iter().take(known.len() + 1).map(number).collect()
}

fn of_ring<const N: usize>(
    ring: &Ring<N>,
    wanted: &[(usize, &'static str)],
) -> BTreeMap<&'static str, Vec<Option<u64>>> {
    let series = wanted.iter();
    series
        .map(|&(number, name)| (name, ring.series(number)))
        .collect()
}
