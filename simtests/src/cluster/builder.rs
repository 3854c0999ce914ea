//! Setting up a cluster.

use std::time::{Duration, Instant, SystemTime};

use vaquita_core::controller::{Bootstrap, ControllerConfig, FilesConfig, Member};
use vaquita_core::ids::Role;
use vaquita_core::limits::Limits;
use vaquita_core::message::RestartPolicy;
use vaquita_core::planted::Planted;

use super::env::EPOCH_UNIX_MS;
use super::host::live;
use super::program::{self, Program, site};
use super::shared::Shared;
use super::{CLIENT, CONTROLLER, Cluster, Layout, panics, report, web};
use crate::vaquita::client_token;

/// Most simulated hosts: what a step costs grows with the cube of their number.
const HOSTS_MAX: usize = 12;

/// Bytes of a chunk in a cluster that keeps [files](Builder::files); up to a quarter of it shares a
/// segment with others.
pub const CHUNK_BYTES: u64 = 64 * 1024;

/// What a cluster is to be like. Nothing runs in it at first.
#[derive(Clone, Debug)]
pub struct Builder {
    hosts: usize,
    nodes_per_host: usize,
    seed: u64,
    tick: Duration,
    strays: Vec<String>,
    files: Option<FilesConfig>,
}

impl Builder {
    pub(super) fn new(hosts: usize) -> Self {
        Self {
            hosts,
            nodes_per_host: 1,
            seed: 1,
            tick: Duration::from_millis(10),
            strays: Vec::new(),
            files: None,
        }
    }

    /// The seed, unless the variable `VAQUITA_SEED` names another one.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Data nodes of each physical host.
    #[must_use]
    pub const fn nodes_per_host(mut self, nodes: usize) -> Self {
        self.nodes_per_host = nodes;
        self
    }

    /// How far time goes in a step; 10 ms unless told.
    #[must_use]
    pub const fn tick(mut self, tick: Duration) -> Self {
        self.tick = tick;
        self
    }

    /// Another simulated host, on which a data node can be started that is no member.
    #[must_use]
    pub fn stray(mut self, name: &str) -> Self {
        self.strays.push(name.to_owned());
        self
    }

    /// Gives each data node a volume, and the cluster a [client](Cluster::send) on a host of its
    /// own, which the controller's first token is for.
    ///
    /// Chunks are small ([`CHUNK_BYTES`]), so that little is carried for much to happen, and what is
    /// given up is given up after seconds and not after minutes.
    #[must_use]
    pub const fn files(mut self, files: FilesConfig) -> Self {
        self.files = Some(files);
        self
    }

    /// Builds it.
    ///
    /// # Panics
    /// If it has too many hosts, or `VAQUITA_SEED` is no number.
    #[must_use]
    pub fn build(self) -> Cluster {
        let panics_before = panics::on_this_thread();
        let seed = report::seed_from_environment().unwrap_or(self.seed);
        let shared = Shared::new(seed);
        let layout = self.layout();
        self.add_programs(&shared, &layout);
        let mut sim = turmoil::Builder::new()
            .rng_seed(seed)
            .epoch(SystemTime::UNIX_EPOCH + Duration::from_millis(EPOCH_UNIX_MS))
            .simulation_duration(Duration::from_secs(24 * 3600))
            .tick_duration(self.tick)
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(Duration::from_millis(20))
            .fail_rate(0.0)
            .tcp_capacity(1024)
            .udp_capacity(256)
            .enable_random_order()
            .build();
        let names = layout.all();
        assert!(
            names.len() <= HOSTS_MAX,
            "{} simulated hosts are too many for turmoil",
            names.len()
        );
        for name in names {
            let shared = shared.clone();
            if name == CLIENT {
                sim.host(name, move || web::live(shared.clone()));
            } else {
                sim.host(name.clone(), move || live(name.clone(), shared.clone()));
            }
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "the watchdog looks at a real clock"
        )]
        let begun = Instant::now();
        Cluster {
            sim,
            shared,
            layout,
            scenario: report::scenario(),
            seed,
            begun,
            panics_before,
            asked: 0,
        }
    }

    fn layout(&self) -> Layout {
        let mut layout = Layout {
            strays: self.strays.clone(),
            client: self.files.is_some().then(|| CLIENT.to_owned()),
            ..Layout::default()
        };
        for host in 1..=self.hosts {
            layout.agents.push(format!("P{host}-agent"));
            for node in 1..=self.nodes_per_host {
                layout.data_nodes.push(format!("P{host}-NODE{node}"));
            }
        }
        layout
    }

    fn limits(&self) -> Limits {
        let limits = Limits::default();
        if self.files.is_none() {
            return limits;
        }
        Limits {
            chunk_bytes: CHUNK_BYTES,
            packed_max: CHUNK_BYTES / 4,
            dfs_renew_period: Duration::from_secs(5),
            dfs_write_timeout: Duration::from_secs(20),
            orphan_grace: Duration::from_secs(20),
            trash_hold: Duration::from_secs(10),
            ..limits
        }
    }

    fn add_programs(&self, shared: &Shared, layout: &Layout) {
        let limits = self.limits();
        let controller = site(CONTROLLER);
        let mut members = Vec::new();
        let number = |physical: &str| physical[1..].parse().unwrap_or(0);
        for name in &layout.agents {
            let physical = physical(name);
            let program = program::agent(name, number(physical), &controller, &limits);
            shared.add_host(name, program);
            members.push(Member {
                site: site(name),
                role: Role::Agent,
                host: physical.to_owned(),
                node_cfg: String::new(),
            });
        }
        for name in &layout.data_nodes {
            let physical = physical(name);
            let agent = site(&format!("{physical}-agent"));
            let program =
                program::data_node(name, number(physical), &controller, Some(&agent), &limits);
            let program = if self.files.is_some() {
                program.with_volume(name)
            } else {
                program
            };
            shared.add_host(name, program);
            members.push(Member {
                site: site(name),
                role: Role::DataNode,
                host: physical.to_owned(),
                node_cfg: program::node_cfg(&controller, &agent, true),
            });
        }
        for name in &layout.strays {
            let program = program::data_node(name, 200, &controller, None, &limits);
            shared.add_host(name, program);
        }
        let config = ControllerConfig {
            site: controller,
            members,
            heartbeat_timeout: Duration::from_secs(8),
            recovery_wait: None,
            lan_cluster: true,
            restart: RestartPolicy::Backoff,
            restart_stopped: false,
            secret: program::secret(),
            bootstrap: self.files.is_some().then(|| Bootstrap {
                password_hash: "simulated".to_owned(),
                token: client_token(),
                token_expires_unix_ms: u64::MAX,
            }),
            files: self.files.clone().unwrap_or_default(),
            mirrors: 0,
            build: "simulated".to_owned(),
            limits,
            planted: Planted::default(),
        };
        shared.add_host(CONTROLLER, Program::Controller(config));
    }
}

impl Layout {
    /// Every simulated host, in the order in which they are registered.
    pub(super) fn all(&self) -> Vec<String> {
        let mut names = vec![CONTROLLER.to_owned()];
        names.extend(self.agents.iter().cloned());
        names.extend(self.data_nodes.iter().cloned());
        names.extend(self.strays.iter().cloned());
        names.extend(self.client.clone());
        names
    }
}

/// The physical host of a simulated one.
pub(super) fn physical(name: &str) -> &str {
    name.split_once('-').map_or(name, |(physical, _)| physical)
}
