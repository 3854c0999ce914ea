//! What the tests stand on: addresses, hosts, processes that are gone when the test is.

mod addresses;
mod cluster;
mod files;
mod http;
mod networks;
mod processes;
mod tree;
mod waiting;

pub(crate) use addresses::Addresses;
pub(crate) use cluster::{Cluster, Row, SEED_HOSTS};
pub(crate) use files::{DATA_NODES, KIB, MIB, Reply, assert_same, content};

pub(crate) use networks::TwoNetworks;
pub(crate) use processes::{Sweeper, freeze, interrupt, kill, terminate};
pub(crate) use tree::Tree;
pub(crate) use waiting::until;
