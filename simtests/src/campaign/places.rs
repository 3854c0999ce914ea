//! The hosts, nodes and volumes of a cluster, by the names that steps have for them.

use crate::plan::Step;
use crate::vaquita::{Cluster, MASTER};

/// What there is in a cluster.
pub(super) struct Places {
    hosts: Vec<String>,
    nodes: Vec<String>,
    /// Those of the nodes that have volumes, and how many each.
    data_nodes: Vec<String>,
    volumes: u16,
}

impl Places {
    pub(super) fn of(cluster: &Cluster) -> Self {
        let names = cluster.node_names().chain(cluster.agent_names());
        Self {
            hosts: (0..=cluster.hosts).map(Cluster::host_name).collect(),
            nodes: names.chain([MASTER.to_owned()]).collect(),
            data_nodes: cluster.node_names().collect(),
            volumes: cluster.volumes,
        }
    }

    pub(super) fn has_host(&self, name: &str) -> bool {
        self.hosts.iter().any(|it| it == name)
    }

    /// Whether there is a node of this name; with `/0` behind it, whether it has a first volume, and so on.
    fn has_node(&self, name: &str) -> bool {
        match name.split_once('/') {
            Some((node, slot)) => {
                let has_it = slot.parse().is_ok_and(|slot: u16| slot < self.volumes);
                has_it && self.data_nodes.iter().any(|it| it == node)
            }
            None => self.nodes.iter().any(|it| it == name),
        }
    }

    /// Whether there is all that a step names.
    pub(super) fn have(&self, step: &Step) -> bool {
        let asked = match step {
            // Aliases, and volumes as paths, are the words that begin so.
            Step::Ask { text, .. } => text.split_whitespace().all(|word| {
                let name = word.trim_start_matches('/');
                !name.starts_with('P') || self.has_node(name)
            }),
            _ => true,
        };
        let hosts = step.hosts().iter().all(|host| self.has_host(host));
        asked && hosts && step.nodes().iter().all(|node| self.has_node(node))
    }
}
