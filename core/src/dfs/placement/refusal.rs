//! Why there is no place.

use core::fmt;

use minicbor::{Decode, Encode};
use thiserror::Error;

/// Why there are no places for the replicas of a chunk.
#[derive(Clone, Debug, PartialEq, Eq, Error, Encode, Decode)]
pub struct NoPlace {
    /// How many places are needed.
    #[n(0)]
    pub need: u32,
    /// How many there are.
    #[n(1)]
    pub have: u32,
    /// Of what.
    #[n(2)]
    pub of: Scarce,
    /// Why each node that was left out was left out, `alias: reason`.
    #[n(3)]
    pub left_out: Vec<String>,
}

/// What there is too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Scarce {
    /// Data nodes that are online and take chunks.
    #[n(0)]
    Nodes,
    /// Hosts with such nodes, which must differ at reliability level 1.
    #[n(1)]
    Hosts,
    /// Space.
    #[n(2)]
    Space,
}

impl fmt::Display for NoPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            need,
            have,
            of,
            left_out,
        } = self;
        match of {
            Scarce::Nodes => write!(
                f,
                "{need} data nodes are needed and {have} can take chunks: start more nodes, or lower \
                 dfsReplicationFactor or dfsMinWriteReplicas in controller.cfg"
            )?,
            Scarce::Hosts => write!(
                f,
                "{need} hosts are needed and {have} can take chunks: start nodes on more hosts, or \
                 set dfsReplicaReliabilityLevel=2 in controller.cfg to let replicas share one"
            )?,
            Scarce::Space => write!(
                f,
                "{need} data nodes with space are needed and {have} have some: free or add volumes"
            )?,
        }
        if !left_out.is_empty() {
            write!(f, " ({})", left_out.join("; "))?;
        }
        Ok(())
    }
}
