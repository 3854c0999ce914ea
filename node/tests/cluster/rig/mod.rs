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

/// Says that a test cannot be run on this machine; fails it where all are to run, as in the gate on a
/// machine that can run them.
#[expect(clippy::print_stderr, reason = "whoever runs the tests is to know")]
pub(crate) fn skip(why: &str) {
    let everything = std::env::var_os("VAQUITA_NO_SKIPS").is_some_and(|it| !it.is_empty());
    assert!(!everything, "skipped though all are to run: {why}");
    eprintln!("SKIPPED: {why}");
}
