//! The members of the cluster as the controller sees them at present: soft state, gone with the
//! process, rebuilt from what the members say.

use std::collections::BTreeMap;

use super::reach::Reach;
use crate::admin::{NodeRow, NodeState};
use crate::ids::{Alias, ConnId, NodeEpoch, NodeId, Role, Site};
use crate::membership::{FailureDetector, FlapDamper, Health, Registration, Slot};
use crate::message::{ChildPhase, ChildStatus};
use crate::process::ProcessIdentity;
use crate::state::{ClusterState, Order};
use crate::time::Timestamp;
use crate::wire::datagram::DatagramKey;

/// A row of the nodes file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where it listens and what it is called.
    pub site: Site,
    /// What it is for: an agent or a data node.
    pub role: Role,
    /// What tells its host from others in the nodes file: the host of its site. A data node is
    /// started by the agent with the same.
    pub host: String,
    /// Whole text of its configuration file; empty for an agent, which has its own.
    pub node_cfg: String,
}

/// The condition of a node that has chunks and no row in the nodes file.
pub(super) const ORPHANED: &str = "orphaned";

/// How far a member has come since it last registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// Not registered, or its registration is void.
    Away,
    /// Registered; its report is not applied yet.
    Joining,
    /// Its report is applied.
    Online,
}

/// What the controller does to find out why an agent does not come.
#[derive(Clone, Debug, Default)]
pub(super) struct Probing {
    pub(super) conn: Option<ConnId>,
    pub(super) next: Timestamp,
    /// What the last probe found, in words.
    pub(super) finding: String,
}

/// One member.
#[derive(Clone, Debug)]
pub(super) struct MemberState {
    pub(super) member: Member,
    /// Whether it has no row in the nodes file, and is a member for the chunks alone that the log says it
    /// has.
    pub(super) orphaned: bool,
    /// Whether it is no member any more. Its place is kept for one of the same name.
    pub(super) gone: bool,
    /// Where its row stands among the rows.
    pub(super) rank: usize,
    /// The agent of its host; for a data node only.
    pub(super) agent: Option<Slot>,
    pub(super) presence: Presence,
    /// The connection it registered on.
    pub(super) session: Option<ConnId>,
    /// Whether that carries anything.
    pub(super) reach: Reach,
    /// Its process, as it said itself when it registered.
    pub(super) process: Option<ProcessIdentity>,
    pub(super) keys: Option<BeatKeys>,
    /// The newest beat that was heard, and the registration that it was sent under. An older one, or
    /// the same once more, says nothing about whether the node still lives.
    pub(super) newest_beat: u64,
    /// See [`MemberState::newest_beat`].
    pub(super) beats_of: NodeEpoch,
    pub(super) udp_blocked: bool,
    /// Since when it says that it hears no answers, and has fenced itself.
    pub(super) deaf_since: Option<Timestamp>,
    /// What differs between its configuration and the controller's, in words.
    pub(super) remarks: Vec<String>,
    pub(super) flap: FlapDamper,
    /// What its agent says about its process.
    pub(super) child: Option<ChildStatus>,
    /// The newest table of an agent.
    pub(super) table_seq: u64,
    pub(super) probing: Probing,
    /// Why it is away, in words.
    pub(super) why_away: String,
    /// Whether it said that it ends.
    pub(super) left: bool,
    /// When an agent was last sent what is wanted of it.
    pub(super) desired_sent: Timestamp,
    /// When the data node was last seen to do what it should, for `datanodeRestartInterval`.
    pub(super) well_since: Timestamp,
}

impl MemberState {
    fn new(member: Member, rank: usize, orphaned: bool, now: Timestamp) -> Self {
        Self {
            member,
            orphaned,
            gone: false,
            rank,
            agent: None,
            presence: Presence::Away,
            session: None,
            reach: Reach::default(),
            process: None,
            keys: None,
            newest_beat: 0,
            beats_of: NodeEpoch(0),
            udp_blocked: false,
            deaf_since: None,
            remarks: Vec::new(),
            flap: FlapDamper::default(),
            child: None,
            table_seq: 0,
            probing: Probing::default(),
            why_away: String::new(),
            left: false,
            desired_sent: Timestamp::ZERO,
            well_since: now,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct BeatKeys {
    pub(super) node: NodeId,
    pub(super) beat: DatagramKey,
    pub(super) ack: DatagramKey,
}

/// The agent of each host. Where there are several it is the first by name: neither the order of the rows
/// nor that of reloads may decide who starts a node, since the next start of the controller knows neither.
pub(super) fn agents_by_host<'a, T>(
    members: impl Iterator<Item = (&'a Member, T)>,
) -> BTreeMap<&'a str, T> {
    let mut agents: Vec<(&Member, T)> = members
        .filter(|(member, _)| member.role == Role::Agent)
        .collect();
    agents.sort_by(|(one, _), (other, _)| other.site.alias.cmp(&one.site.alias));
    let by_host = agents.into_iter();
    // Of equals the last one stays.
    by_host
        .map(|(member, what)| (member.host.as_str(), what))
        .collect()
}

/// All members, by slot.
#[derive(Clone, Debug)]
pub(super) struct Members {
    pub(super) all: Vec<MemberState>,
    by_alias: BTreeMap<Alias, Slot>,
    /// The places of those that are no members any more.
    gone: BTreeMap<Alias, Slot>,
    by_node: BTreeMap<NodeId, Slot>,
    by_session: BTreeMap<ConnId, Slot>,
}

impl Members {
    /// `orphans` are no rows of the nodes file.
    pub(super) fn new(members: Vec<Member>, orphans: Vec<Member>, now: Timestamp) -> Self {
        let listed = members.len();
        let rows = members.into_iter().chain(orphans).enumerate();
        let all: Vec<MemberState> = rows
            .map(|(slot, member)| MemberState::new(member, slot, slot >= listed, now))
            .collect();
        let by_alias = all
            .iter()
            .enumerate()
            .map(|(slot, state)| (state.member.site.alias.clone(), slot))
            .collect();
        let mut members = Self {
            all,
            by_alias,
            gone: BTreeMap::new(),
            by_node: BTreeMap::new(),
            by_session: BTreeMap::new(),
        };
        members.assign_agents();
        members
    }

    /// Gives each data node the agent of its host. Those that are no members any more have one too: it is
    /// told that they should not run.
    pub(super) fn assign_agents(&mut self) {
        let members = self.present().map(|slot| (&self.all[slot].member, slot));
        let agents: BTreeMap<String, Slot> = agents_by_host(members)
            .into_iter()
            .map(|(host, slot)| (host.to_owned(), slot))
            .collect();
        for state in &mut self.all {
            state.agent = (state.member.role == Role::DataNode)
                .then(|| agents.get(&state.member.host).copied())
                .flatten();
        }
    }

    /// A row of the nodes file, the `rank`th of them, is so from now on. Returns the member's slot.
    pub(super) fn take_row(&mut self, rank: usize, member: Member, now: Timestamp) -> Slot {
        let alias = member.site.alias.clone();
        if let Some(slot) = self.slot(&alias) {
            let state = &mut self.all[slot];
            state.member = member;
            state.rank = rank;
            state.orphaned = false;
            return slot;
        }
        let state = MemberState::new(member, rank, false, now);
        let slot = match self.gone.remove(&alias) {
            Some(slot) => {
                self.all[slot] = state;
                slot
            }
            None => {
                self.all.push(state);
                self.all.len() - 1
            }
        };
        self.by_alias.insert(alias, slot);
        slot
    }

    /// A member is none any more. It has been let go before.
    pub(super) fn dismiss(&mut self, slot: Slot) {
        let state = &mut self.all[slot];
        state.gone = true;
        state.child = None;
        let alias = state.member.site.alias.clone();
        self.by_alias.remove(&alias);
        self.gone.insert(alias, slot);
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.by_alias.len()
    }

    /// All members, those with a row first, in the order of the rows.
    pub(super) fn in_order(&self) -> Vec<Slot> {
        let mut slots: Vec<Slot> = self.by_alias.values().copied().collect();
        slots.sort_by_key(|&slot| (self.all[slot].orphaned, self.all[slot].rank, slot));
        slots
    }

    /// Those that have a row in the nodes file.
    pub(super) fn listed(&self) -> impl Iterator<Item = Slot> + '_ {
        self.present().filter(|&slot| !self.all[slot].orphaned)
    }

    /// Those that are members at present.
    fn present(&self) -> impl Iterator<Item = Slot> + '_ {
        (0..self.all.len()).filter(|&slot| !self.all[slot].gone)
    }

    pub(super) fn slot(&self, alias: &Alias) -> Option<Slot> {
        self.by_alias.get(alias).copied()
    }

    /// The member that an operator names, by alias or by `host:port`.
    pub(super) fn named(&self, name: &str) -> Option<Slot> {
        let by_alias = Alias::new(name).ok().and_then(|alias| self.slot(&alias));
        by_alias.or_else(|| {
            let at = self
                .present()
                .filter(|&slot| self.all[slot].member.site.endpoint.to_string() == name);
            // One that is listed may have the place of one that has its row no more.
            at.min_by_key(|&slot| self.all[slot].orphaned)
        })
    }

    pub(super) fn of_node(&self, node: NodeId) -> Option<Slot> {
        self.by_node.get(&node).copied()
    }

    pub(super) fn of_session(&self, conn: ConnId) -> Option<Slot> {
        self.by_session.get(&conn).copied()
    }

    /// The connection on which a member is registered from now on. Returns the one before.
    pub(super) fn set_session(&mut self, slot: Slot, conn: Option<ConnId>) -> Option<ConnId> {
        let before = core::mem::replace(&mut self.all[slot].session, conn);
        if let Some(before) = before {
            self.by_session.remove(&before);
        }
        if let Some(conn) = conn {
            self.by_session.insert(conn, slot);
        }
        before.filter(|before| Some(*before) != conn)
    }

    pub(super) fn set_keys(&mut self, slot: Slot, keys: BeatKeys) {
        if let Some(before) = self.all[slot].keys.take() {
            self.by_node.remove(&before.node);
        }
        self.by_node.insert(keys.node, slot);
        self.all[slot].keys = Some(keys);
    }

    /// What a member was known by on the wire is void.
    pub(super) fn forget_keys(&mut self, slot: Slot) {
        if let Some(before) = self.all[slot].keys.take() {
            self.by_node.remove(&before.node);
        }
    }

    pub(super) fn aliases(&self) -> Vec<Alias> {
        self.by_alias.keys().cloned().collect()
    }

    /// The data nodes of an agent's host, those that are no members any more among them.
    pub(super) fn children_of(&self, agent: Slot) -> impl Iterator<Item = Slot> + '_ {
        (0..self.all.len()).filter(move |&slot| self.all[slot].agent == Some(agent))
    }

    pub(super) fn has_orphans(&self) -> bool {
        self.all.iter().any(|state| state.orphaned && !state.gone)
    }

    pub(super) fn orphans(&self) -> impl Iterator<Item = Slot> + '_ {
        self.present().filter(|&slot| self.all[slot].orphaned)
    }

    pub(super) fn agents(&self) -> impl Iterator<Item = Slot> + '_ {
        self.present()
            .filter(|&slot| self.all[slot].member.role == Role::Agent)
    }

    pub(super) fn data_nodes(&self) -> impl Iterator<Item = Slot> + '_ {
        self.present()
            .filter(|&slot| self.all[slot].member.role == Role::DataNode)
    }
}

/// Everything that the state of a member follows from.
pub(super) struct Outlook<'a> {
    pub(super) now: Timestamp,
    pub(super) members: &'a Members,
    pub(super) detector: &'a FailureDetector,
    pub(super) state: &'a ClusterState,
}

impl Outlook<'_> {
    fn order(&self, slot: Slot) -> Option<Order> {
        self.state
            .orders
            .get(&self.members.all[slot].member.site.alias)
            .copied()
    }

    fn registration(&self, slot: Slot) -> Option<&Registration> {
        self.state
            .registry
            .get(&self.members.all[slot].member.site.alias)
    }

    /// Where a member is in its life, and why, with what to do about it.
    pub(super) fn state(&self, slot: Slot) -> (NodeState, String) {
        let state = &self.members.all[slot];
        let health = self.detector.health(slot);
        match (state.presence, health) {
            (Presence::Online, Health::Alive) => {
                let stopping = state
                    .child
                    .as_ref()
                    .is_some_and(|child| child.phase == ChildPhase::Stopping);
                if stopping {
                    return (NodeState::Stopping, String::new());
                }
                if state.deaf_since.is_some() {
                    let reason = "it is heard and hears no answer: one direction of the network is \
                                  cut. It takes no writes until that is mended";
                    return (NodeState::Suspect, reason.to_owned());
                }
                return (NodeState::Online, String::new());
            }
            (Presence::Joining, Health::Alive) => return (NodeState::Joining, String::new()),
            (Presence::Online | Presence::Joining, Health::Suspect) => {
                let silence = self.detector.silence(slot, self.now).unwrap_or_default();
                let reason = format!("nothing heard for {} ms; being asked", silence.as_millis());
                return (NodeState::Suspect, reason);
            }
            _ => {}
        }
        if state.member.role == Role::Agent {
            return self.absent_agent(slot, health);
        }
        self.absent_data_node(slot, health)
    }

    fn absent_agent(&self, slot: Slot, health: Health) -> (NodeState, String) {
        let state = &self.members.all[slot];
        let finding = &state.probing.finding;
        if state.left {
            let reason = format!(
                "the agent ended in good order; its nodes run on. {}",
                if finding.is_empty() {
                    "Start it again to start or stop them"
                } else {
                    finding
                }
            );
            return (NodeState::Stopped, reason);
        }
        let reason = match (finding.is_empty(), state.why_away.is_empty()) {
            (false, _) => finding.clone(),
            (true, false) => state.why_away.clone(),
            (true, true) => "has not registered since the controller started".to_owned(),
        };
        match health {
            Health::Lost { .. } | Health::Offline { .. } => (NodeState::Offline, reason),
            _ if self.registration(slot).is_some() => (NodeState::Offline, reason),
            _ => (NodeState::Stopped, reason),
        }
    }

    fn absent_data_node(&self, slot: Slot, health: Health) -> (NodeState, String) {
        let state = &self.members.all[slot];
        if let Some(reason) = self.why_removed(slot) {
            return (NodeState::Stopped, reason);
        }
        let order = self.order(slot);
        // Nobody can start what has no configuration.
        let wanted = order.is_some_and(|order| order.run) && !state.orphaned;
        let agent = state.agent.map(|agent| &self.members.all[agent]);
        let agent_here = agent.is_some_and(|agent| agent.presence != Presence::Away);
        let child = state.child.as_ref().filter(|_| agent_here);
        if let Some(child) = child {
            let current = order.is_none_or(|order| child.version >= order.version);
            let reason = child.reason.clone();
            match child.phase {
                ChildPhase::Stopping => return (NodeState::Stopping, reason),
                ChildPhase::Failed | ChildPhase::Unproven if current => {
                    return (NodeState::Failed, reason);
                }
                ChildPhase::Waiting if child.crash_loop => return (NodeState::Failed, reason),
                ChildPhase::Starting | ChildPhase::Waiting => {
                    return (NodeState::Starting, reason);
                }
                ChildPhase::Running
                    if !matches!(health, Health::Offline { .. } | Health::Lost { .. }) =>
                {
                    let reason = if state.why_away.is_empty() {
                        "its process runs and has not registered yet".to_owned()
                    } else {
                        state.why_away.clone()
                    };
                    return (NodeState::Starting, reason);
                }
                ChildPhase::Down if current && !reason.is_empty() => {
                    return (NodeState::Stopped, reason);
                }
                ChildPhase::Down if !wanted => return (NodeState::Stopped, reason),
                ChildPhase::Down
                | ChildPhase::Failed
                | ChildPhase::Unproven
                | ChildPhase::Running => {}
            }
        }
        match health {
            Health::Lost { .. } => (NodeState::Lost, state.why_away.clone()),
            Health::Offline { .. } => (NodeState::Offline, state.why_away.clone()),
            _ if wanted => (NodeState::Starting, self.why_not_started(slot, agent_here)),
            _ if state.left || !wanted => {
                let reason = if agent_here || state.agent.is_none() || order.is_none() {
                    String::new()
                } else {
                    self.why_not_started(slot, agent_here)
                };
                (NodeState::Stopped, reason)
            }
            _ => (NodeState::Stopped, String::new()),
        }
    }

    /// What is to be done about a node that was taken out of the cluster and still has its row.
    fn why_removed(&self, slot: Slot) -> Option<String> {
        let member = &self.members.all[slot].member;
        let site = &member.site;
        let since = self.state.registry.removed_by(&site.alias)?;
        Some(format!(
            "it was removed from the cluster (log index {since}): take the line `{site},{}` out of \
             cluster.nodes: `vaquita config remove-member {}`. A node with an empty home may take the name",
            member.role, site.alias
        ))
    }

    fn why_not_started(&self, slot: Slot, agent_here: bool) -> String {
        let state = &self.members.all[slot];
        match state.agent {
            None => format!(
                "no agent on host {} in cluster.nodes; add one there, or start the node by hand",
                state.member.site.endpoint.host
            ),
            Some(agent) if !agent_here => {
                let agent_state = &self.members.all[agent];
                let (_, why) = self.state(agent);
                format!(
                    "its agent {} is not connected: {why}",
                    agent_state.member.site.alias
                )
            }
            Some(_) => "the agent has the order".to_owned(),
        }
    }

    /// A member as lists show it.
    pub(super) fn row(&self, slot: Slot) -> NodeRow {
        let state = &self.members.all[slot];
        let (node_state, reason) = self.state(slot);
        let mut conditions = Vec::new();
        if state.orphaned {
            conditions.push(ORPHANED.to_owned());
        }
        if self
            .state
            .registry
            .removed_by(&state.member.site.alias)
            .is_some()
        {
            conditions.push("removed".to_owned());
        }
        if state.presence != Presence::Away {
            if state.udp_blocked {
                conditions.push("udp-blocked".to_owned());
            }
            if state.reach.is_blocked() {
                conditions.push("tcp-blocked".to_owned());
            }
            if state.deaf_since.is_some() {
                conditions.push("self-fenced".to_owned());
            }
            conditions.extend(state.remarks.iter().cloned());
        }
        if state.flap.is_quarantined(self.now) {
            conditions.push("quarantined".to_owned());
        }
        if state.child.as_ref().is_some_and(|child| child.crash_loop) {
            conditions.push("crash-loop".to_owned());
        }
        let registration = self.registration(slot);
        let present = state.presence != Presence::Away;
        let child_pid = state
            .child
            .as_ref()
            .and_then(|child| child.process.as_ref());
        let site = &state.member.site;
        NodeRow {
            alias: site.alias.clone(),
            mode: state.member.role,
            host: site.endpoint.host.clone(),
            port: site.endpoint.port,
            site: site.to_string(),
            state: node_state,
            agent: state
                .agent
                .map(|agent| self.members.all[agent].member.site.alias.clone()),
            reason,
            admin: "none",
            admin_reason: String::new(),
            conditions,
            pid: if present {
                registration.map(|registration| registration.pid)
            } else {
                child_pid.map(|process| process.pid)
            },
            epoch: registration.map(|registration| registration.epoch),
            silent_ms: self
                .detector
                .silence(slot, self.now)
                .map(|silence| u64::try_from(silence.as_millis()).unwrap_or(u64::MAX)),
            figures: None,
        }
    }
}
