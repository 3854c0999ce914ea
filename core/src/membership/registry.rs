//! Who is registered under which epoch, and who may be.
//!
//! A registration is a record of the controller's log; its index is the node's epoch. So epochs are
//! unique in the cluster for ever, and *restarted* and *was cut off* are one code path: register
//! anew. The incarnation rule is Kafka's (KIP-631): asking again with the same incarnation and
//! attempt is a retry and changes nothing.

use std::collections::{BTreeMap, VecDeque};

use minicbor::{Decode, Encode};

use crate::ids::{Alias, ClusterId, HostId, Incarnation, LogIndex, NodeEpoch, NodeId, Role, Site};
use crate::message::{Register, RegistrationRefusal};

/// A node as the log knows it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Registration {
    /// What it is for.
    #[n(0)]
    pub role: Role,
    /// Its identity on disk.
    #[n(1)]
    pub node: NodeId,
    /// Log index of the newest registration.
    #[n(2)]
    pub epoch: NodeEpoch,
    /// The process that holds it.
    #[n(3)]
    pub incarnation: Incarnation,
    /// The attempt of that process.
    #[n(4)]
    pub attempt: u64,
    /// The physical host.
    #[n(5)]
    pub host: HostId,
    /// Where it listened when it registered.
    #[n(6)]
    pub site: Site,
    /// Process id, for people and for attested exits.
    #[n(7)]
    pub pid: u32,
    /// Earlier processes, oldest first: a late copy of one of their registrations must not win.
    #[n(8)]
    pub retired: VecDeque<Incarnation>,
}

/// The record of one granted registration.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NodeRegistered {
    /// What it is for.
    #[n(0)]
    pub role: Role,
    /// Its identity on disk.
    #[n(1)]
    pub node: NodeId,
    /// The process.
    #[n(2)]
    pub incarnation: Incarnation,
    /// The attempt of that process.
    #[n(3)]
    pub attempt: u64,
    /// The physical host.
    #[n(4)]
    pub host: HostId,
    /// Where it listens, and its name.
    #[n(5)]
    pub site: Site,
    /// Process id.
    #[n(6)]
    pub pid: u32,
}

/// The record of an alias that was given away.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NodeReplaced {
    /// The alias.
    #[n(0)]
    pub alias: Alias,
    /// The identity that has it no longer.
    #[n(1)]
    pub node: NodeId,
}

/// The record of a data node that was taken out of the cluster for good.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NodeRemoved {
    /// Its alias.
    #[n(0)]
    pub alias: Alias,
    /// Its identity.
    #[n(1)]
    pub node: NodeId,
    /// Who ordered it: a user, or whoever sits at the controller's console.
    #[n(2)]
    pub by: String,
    /// Chunks that had no good replica but those that went with it; an operator accepted that.
    #[n(3)]
    pub lost: u64,
}

/// An identity that lost its alias.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Replaced {
    #[n(0)]
    alias: Alias,
    /// The record that says so.
    #[n(1)]
    since: LogIndex,
    /// Whether the node was taken out of the cluster, and its alias not given to another.
    #[cbor(n(2), default)]
    removed: bool,
}

/// All registrations: a part of the state that the log replays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Registry {
    #[n(0)]
    nodes: BTreeMap<Alias, Registration>,
    /// Identities that lost their alias. They stay for ever: one that comes back after years has
    /// chunks of that age.
    #[n(1)]
    #[cbor(default)]
    replaced: BTreeMap<NodeId, Replaced>,
    /// Aliases whose nodes were taken out of the cluster, each with the record that says so, until
    /// another node registers under it.
    #[cbor(n(2), default)]
    removed: BTreeMap<Alias, LogIndex>,
}

/// What is known, beside the log, about who asks and who holds the alias.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// The cluster of this controller.
    pub cluster: ClusterId,
    /// The cluster that the asking node says it belongs to.
    pub claimed_cluster: Option<ClusterId>,
    /// The asking node's identity on disk.
    pub node: NodeId,
    /// The entry of the nodes file with this alias.
    pub member: Option<(&'a Site, Role)>,
    /// Every alias of the nodes file, for a suggestion.
    pub aliases: &'a [Alias],
    /// Whether the process that holds the alias is, as far as is known, alive.
    pub holder_lives: bool,
    /// Chunks that the holder's last report named.
    pub holder_chunks: u64,
    /// Whether the nodes file has the alias no more, and it is a member for the sake of its chunks alone.
    pub orphaned: bool,
}

/// The answer to a registration, before anything is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The same pair of incarnation and attempt has this epoch already.
    Known(NodeEpoch),
    /// Log it.
    Grant(NodeRegistered),
    /// Do not let it in.
    Refuse(RegistrationRefusal, String),
}

impl Registry {
    /// The registration of an alias.
    #[must_use]
    pub fn get(&self, alias: &Alias) -> Option<&Registration> {
        self.nodes.get(alias)
    }

    /// Whether the alias was given away and nobody has registered under it since.
    #[must_use]
    pub fn is_vacant(&self, alias: &Alias) -> bool {
        self.get(alias)
            .is_some_and(|held| self.replaced.contains_key(&held.node))
    }

    /// The record that took the node with this alias out of the cluster; `None` if it was not, or if
    /// another has registered under the alias since.
    #[must_use]
    pub fn removed_by(&self, alias: &Alias) -> Option<LogIndex> {
        self.removed.get(alias).copied()
    }

    /// What an identity was called that lost its alias; `None` if it did not.
    #[must_use]
    pub fn former_alias(&self, node: NodeId) -> Option<&Alias> {
        self.replaced.get(&node).map(|it| &it.alias)
    }

    /// Every registration, by alias.
    pub fn iter(&self) -> impl Iterator<Item = (&Alias, &Registration)> {
        self.nodes.iter()
    }

    /// Decides on a registration. The first rule that matches wins; the order is part of the
    /// protocol.
    #[must_use]
    pub fn judge(&self, ask: &Register, around: &Circumstances<'_>) -> Admission {
        use RegistrationRefusal as Why;
        let alias = &ask.site.alias;
        if let Some(claimed) = around.claimed_cluster
            && claimed != around.cluster
        {
            let text = format!(
                "{alias} belongs to cluster {claimed}, this is cluster {}; give the node an empty \
                 home, or point its controllerSite at its own controller",
                around.cluster
            );
            return Admission::Refuse(Why::WrongCluster, text);
        }
        let Some((site, role)) = around.member else {
            return Admission::Refuse(Why::UnknownAlias, unknown_alias(alias, around.aliases));
        };
        if role != ask.role || site.endpoint != ask.site.endpoint {
            let text = format!(
                "cluster.nodes has `{site},{role}`, the process says `{},{}`; write the same in \
                 both places",
                ask.site, ask.role
            );
            return Admission::Refuse(Why::WrongSite, text);
        }
        if let Some(replaced) = self.replaced.get(&around.node) {
            let text = format!(
                "this identity of {} was {} by an operator, since log index {}: its home is \
                 not taken any more. Move the home away and start {alias} with an empty one to have \
                 it join as a new node",
                replaced.alias,
                if replaced.removed {
                    "removed"
                } else {
                    "replaced"
                },
                replaced.since
            );
            return Admission::Refuse(Why::IdentityMismatch, text);
        }
        if around.orphaned && self.get(alias).is_none_or(|held| held.node != around.node) {
            // It is a member for the chunks of one identity, which this is not.
            return Admission::Refuse(Why::UnknownAlias, unknown_alias(alias, &[]));
        }
        let Some(held) = self.nodes.get(alias) else {
            return Admission::Grant(Self::grant(ask, around.node));
        };
        if self.replaced.contains_key(&held.node) {
            return Admission::Grant(Self::grant(ask, around.node));
        }
        if held.node == around.node && held.incarnation == ask.incarnation {
            return match ask.attempt.cmp(&held.attempt) {
                core::cmp::Ordering::Equal => Admission::Known(held.epoch),
                core::cmp::Ordering::Greater => Admission::Grant(Self::grant(ask, around.node)),
                core::cmp::Ordering::Less => {
                    let text = format!(
                        "{alias} has since registered with attempt {}, this is attempt {}",
                        held.attempt, ask.attempt
                    );
                    Admission::Refuse(Why::StaleAttempt, text)
                }
            };
        }
        if held.retired.contains(&ask.incarnation) {
            let text = format!(
                "a newer process (pid {}) has taken the place of this one (pid {}); this one has \
                 to end",
                held.pid, ask.process.pid
            );
            return Admission::Refuse(Why::StaleIncarnation, text);
        }
        if around.holder_lives {
            let text = format!(
                "{alias} is taken by a living process (pid {} at {}); stop that one first",
                held.pid, held.site.endpoint
            );
            return Admission::Refuse(Why::DuplicateAlias, text);
        }
        if held.node != around.node && around.holder_chunks > 0 {
            let text = format!(
                "{alias} is known with another identity on disk and {} chunks; start it with its \
                 old home, or give the name to this one: `vaquita node replace {alias}`",
                around.holder_chunks
            );
            return Admission::Refuse(Why::IdentityMismatch, text);
        }
        Admission::Grant(Self::grant(ask, around.node))
    }

    /// Replays a granted registration.
    pub fn apply(&mut self, index: LogIndex, record: &NodeRegistered, retired_max: usize) {
        let mut retired = VecDeque::new();
        self.removed.remove(&record.site.alias);
        if let Some(held) = self.nodes.remove(&record.site.alias) {
            retired = held.retired;
            if held.incarnation != record.incarnation {
                retired.push_back(held.incarnation);
            }
            while retired.len() > retired_max {
                retired.pop_front();
            }
        }
        let registration = Registration {
            role: record.role,
            node: record.node,
            epoch: NodeEpoch(index.0),
            incarnation: record.incarnation,
            attempt: record.attempt,
            host: record.host,
            site: record.site.clone(),
            pid: record.pid,
            retired,
        };
        self.nodes.insert(record.site.alias.clone(), registration);
    }

    /// Replays that an alias was given away. Nothing happens if it is another's by now.
    pub fn replace(&mut self, index: LogIndex, record: &NodeReplaced) {
        let NodeReplaced { alias, node } = record;
        if self.get(alias).is_some_and(|held| held.node == *node) {
            let replaced = Replaced {
                alias: alias.clone(),
                since: index,
                removed: false,
            };
            self.replaced.entry(*node).or_insert(replaced);
        }
    }

    /// Replays that a node was taken out of the cluster. Nothing happens if the alias is another's by now.
    pub fn remove(&mut self, index: LogIndex, record: &NodeRemoved) {
        let NodeRemoved { alias, node, .. } = record;
        if self.get(alias).is_some_and(|held| held.node == *node) {
            let removed = Replaced {
                alias: alias.clone(),
                since: index,
                removed: true,
            };
            self.nodes.remove(alias);
            self.replaced.entry(*node).or_insert(removed);
            self.removed.insert(alias.clone(), index);
        }
    }

    fn grant(ask: &Register, node: NodeId) -> NodeRegistered {
        NodeRegistered {
            role: ask.role,
            node,
            incarnation: ask.incarnation,
            attempt: ask.attempt,
            host: ask.host,
            site: ask.site.clone(),
            pid: ask.process.pid,
        }
    }
}

fn unknown_alias(alias: &Alias, aliases: &[Alias]) -> String {
    let nearest = aliases
        .iter()
        .map(|known| (strsim::osa_distance(known.as_str(), alias.as_str()), known))
        .min()
        .filter(|(distance, _)| *distance <= 2);
    match nearest {
        Some((_, known)) => format!(
            "there is no `{alias}` in cluster.nodes; did you mean `{known}`? (aliases are \
             case-sensitive)"
        ),
        None => format!(
            "there is no `{alias}` in cluster.nodes; add a row for it: `vaquita config \
             add-member`"
        ),
    }
}
