//! The searches there are: what each begins with, and how much may go wrong in it.

use core::time::Duration;

use vaquita_core::controller::FilesConfig;
use vaquita_core::planted::Planted;

use crate::model::Cluster;
use crate::scenes;
use crate::setup::{Budget, Setup};

/// Which protocol is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    /// A controller and two processes of one alias: the registered one, and one on another host with a
    /// copy of its home.
    Registration,
    /// A file is on two data nodes, and a client writes another content in its place.
    Write,
    /// A file is on two of three data nodes; one is away for longer than is waited for, and comes back.
    Repair,
}

/// How large the bounds are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Bound {
    /// Seconds, unoptimised: what the tests search.
    Small,
    /// Up to a few minutes.
    Medium,
    /// As much as ten minutes and some gigabytes of memory allow.
    Large,
}

/// What may go wrong within a bound.
#[must_use]
pub const fn budget(protocol: Protocol, bound: Bound) -> Budget {
    let (controller_crashes, node_crashes, breaks, copies, cuts, ticks, tries) =
        match (protocol, bound) {
            (Protocol::Registration, Bound::Small) => (0, 0, 0, 0, 1, 2, 0),
            (Protocol::Registration, Bound::Medium) => (1, 0, 0, 0, 0, 2, 0),
            (Protocol::Registration, Bound::Large) => (0, 0, 0, 0, 1, 3, 0),
            (Protocol::Write, Bound::Small) => (0, 1, 0, 0, 0, 0, 1),
            (Protocol::Write, Bound::Medium) => (1, 0, 0, 0, 0, 0, 1),
            (Protocol::Write, Bound::Large) => (1, 1, 0, 0, 0, 0, 1),
            (Protocol::Repair, Bound::Small) => (0, 1, 0, 0, 0, 8, 0),
            (Protocol::Repair, Bound::Medium) => (0, 1, 0, 0, 0, 12, 0),
            (Protocol::Repair, Bound::Large) => (1, 1, 0, 0, 0, 6, 0),
        };
    Budget {
        controller_crashes,
        node_crashes,
        breaks,
        copies,
        cuts,
        ticks,
        tries,
    }
}

/// What a protocol's search begins with.
///
/// # Errors
/// If the cluster does not come about by itself.
pub fn cluster(protocol: Protocol, budget: Budget, planted: Planted) -> Result<Cluster, String> {
    let setup = match protocol {
        Protocol::Registration => Setup {
            impostor: true,
            ..Setup::of(1)
        },
        Protocol::Write => Setup {
            volumes: true,
            beats_at_once: true,
            ..Setup::of(2)
        },
        Protocol::Repair => Setup {
            volumes: true,
            beats_at_once: true,
            // Shorter than the silence after which nodes are asked whether they are there: it would happen at
            // each moment, and is the other protocol.
            grid: Duration::from_millis(250),
            recovery_wait: Some(Duration::from_millis(250)),
            ..Setup::of(3)
        },
    };
    let setup = Setup {
        files: FilesConfig {
            factor: 2,
            min_write: 2,
            recovery_concurrency: 1,
            ..FilesConfig::default()
        },
        planted,
        budget,
        ..setup
    };
    let site = scenes::online(&setup)?;
    let site = match protocol {
        Protocol::Registration => site,
        Protocol::Write | Protocol::Repair => scenes::written(&setup, &site)?,
    };
    Ok(Cluster::new(setup, site))
}
