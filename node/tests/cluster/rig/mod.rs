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
pub(crate) use http::Connection;
pub(crate) use networks::TwoNetworks;
pub(crate) use processes::{Sweeper, freeze, hang_up, interrupt, kill, terminate};
#[allow(
    unused_imports,
    reason = "for the tests in a browser, which stand on the same"
)]
pub(crate) use {cluster::PASSWORD, cluster::SECRET, processes::Server};

pub(crate) use tree::Tree;
pub(crate) use waiting::until;

/// Says that a test cannot be run on this machine for want of something; fails it where the gate has
/// found that the machine has it.
#[expect(clippy::print_stderr, reason = "whoever runs the tests is to know")]
pub(crate) fn skip(needs: &str, why: &str) {
    let there = std::env::var("VAQUITA_NO_SKIPS").unwrap_or_default();
    let there = there.split_whitespace().any(|it| it == needs);
    assert!(!there, "skipped though this machine has {needs}: {why}");
    eprintln!("SKIPPED: {why}");
}
