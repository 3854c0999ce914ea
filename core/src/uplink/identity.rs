//! Who a node is: what it is told at its start, and what it keeps on disk.

use minicbor::{Decode, Encode};

use crate::disk::FileName;
use crate::ids::{Alias, ClusterId, HostId, NodeEpoch, NodeId, Role, Site};
use crate::message::Witness;
use crate::process::ProcessIdentity;

/// What a node's driver knows before the node starts.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    /// Its site, as configured.
    pub site: Site,
    /// What it is for.
    pub role: Role,
    /// The controller's site, as configured.
    pub controller_site: Site,
    /// `lanCluster`, as configured.
    pub lan_cluster: bool,
    /// The physical host.
    pub host: HostId,
    /// Its process.
    pub process: ProcessIdentity,
    /// Program version.
    pub build: String,
}

/// What a node keeps on disk about itself and its controller.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NodeIdentity {
    /// Drawn at the first start.
    #[n(0)]
    pub node: NodeId,
    /// The name under which it was drawn.
    #[n(1)]
    pub alias: Alias,
    /// The cluster, once joined.
    #[n(2)]
    pub cluster: Option<ClusterId>,
    /// The newest registration.
    #[n(3)]
    pub epoch: NodeEpoch,
    /// The newest state of the controller that was seen.
    #[n(4)]
    pub witness: Witness,
}

impl NodeIdentity {
    /// Name of the file it is kept in.
    #[must_use]
    pub fn file() -> FileName {
        FileName::fixed("node.id")
    }
}
