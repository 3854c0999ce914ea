//! The real machines in the World: one controller, and hosts with an agent and data nodes each.
//!
//! [`Cluster`] builds the World that the configuration files would; [`checkers`] knows what must hold
//! whatever happens; the scenarios are in `tests/`.

pub mod checkers;
mod factory;
pub mod files;
pub mod forged;
mod machine;
pub mod orders;
pub mod swarm;

use std::time::Duration;

use vaquita_core::admin::{Caller, NodeRow, NodeState, Request, Selection, Verb};
use vaquita_core::controller::{Controller, FilesConfig};
use vaquita_core::dfs::placement::{ReliabilityLevel, VolumeRules};
use vaquita_core::ids::{Alias, RequestId};
use vaquita_core::limits::Limits;
use vaquita_core::message::RestartPolicy;
use vaquita_core::planted::Planted;

pub use factory::{VaquitaFactory, client_token};
pub use machine::Vaquita;

use crate::checker::{Bounds, LogsKeepPromises};
use crate::plan::Shape;
use crate::time::SimTime;
use crate::trace::TraceMode;
use crate::world::{Failure, NodeIx, NodeSpec, Settings, World};

/// A World of real machines.
pub type VaquitaWorld = World<VaquitaFactory>;

/// What a cluster is like before anything happens to it.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Hosts with an agent; the controller's own host comes on top.
    pub hosts: u32,
    /// Data nodes on each.
    pub nodes_per_host: u32,
    /// Bounds and periods.
    pub limits: Limits,
    /// Bugs left in.
    pub planted: Planted,
    /// Whether heartbeats go over UDP.
    pub lan_cluster: bool,
    /// Whether peers prove themselves.
    pub secret: bool,
    /// What happens to nodes that crashed.
    pub restart: RestartPolicy,
    /// Volumes of each data node.
    pub volumes: u16,
    /// How files are kept.
    pub files: FilesConfig,
    /// `metaMirrors`: how many data nodes keep a copy of the controller's log.
    pub mirrors: usize,
    /// What runs under the controller's name instead of a controller, if something does.
    pub rebuild: Option<Rebuilding>,
    /// Whether the bytes of chunks are synced.
    pub data_sync: bool,
    /// Which volume of a node takes a chunk.
    pub choice: VolumeRules,
    /// Data nodes of single hosts where they differ from `nodes_per_host`, from the first host on.
    pub uneven: Vec<u32>,
    /// Data nodes that have no row in the nodes file which the controller reads when it starts.
    pub unlisted: Vec<&'static str>,
    /// `dfsRecoveryWaitTime`: how long a node may be away before its replicas are made anew.
    pub recovery_wait: Option<Duration>,
    /// `scrubPeriod`: how long a volume takes to be read through.
    pub scrub_period: Duration,
    /// The World's own settings.
    pub settings: Settings,
}

/// T of every cluster here.
pub const TIMEOUT: Duration = Duration::from_secs(8);
pub(crate) const CONTROLLER_PORT: u16 = 8990;
pub(crate) const AGENT_PORT: u16 = 8960;
pub(crate) const NODE_PORT: u16 = 8961;
/// The controller's alias.
pub const MASTER: &str = "master";

/// How a controller's home is rebuilt.
#[derive(Clone, Copy, Debug)]
pub struct Rebuilding {
    /// Whether it is written.
    pub write: bool,
    /// Whether to go on although records are lost.
    pub accept_loss: bool,
    /// The host whose node's copy is to be taken, whatever else there is.
    pub from: Option<u32>,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            hosts: 4,
            nodes_per_host: 1,
            limits: Limits {
                // Its bytes are real ones in memory, and a power cut tears each sector by itself.
                reserve_bytes: 64 * 1024,
                ..Limits::default()
            },
            planted: Planted::default(),
            lan_cluster: true,
            secret: true,
            restart: RestartPolicy::Backoff,
            volumes: 0,
            files: FilesConfig::default(),
            mirrors: 0,
            rebuild: None,
            data_sync: true,
            choice: VolumeRules::default(),
            uneven: Vec::new(),
            unlisted: Vec::new(),
            recovery_wait: Some(Duration::from_secs(300)),
            scrub_period: Duration::from_secs(7 * 24 * 3600),
            settings: Settings::default(),
        }
    }
}

impl Cluster {
    /// A cluster of so many hosts with one data node each.
    #[must_use]
    pub fn of(hosts: u32) -> Self {
        Self {
            hosts,
            ..Self::default()
        }
    }

    /// Limits of one and two where the production has hundreds: the edges are reached in seconds.
    #[must_use]
    pub fn with_tiny_limits(mut self) -> Self {
        self.limits.segment_bytes = 400;
        self.limits.checkpoint_records = 5;
        self.limits.group_commit_records = 2;
        self.limits.reserve_bytes = 1000;
        self
    }

    /// Every limit as small as the protocol can live with.
    #[must_use]
    pub fn with_every_limit_at_its_minimum(mut self) -> Self {
        let members = (self.hosts * (1 + self.nodes_per_host)) as usize;
        let limits = &mut self.limits;
        limits.segment_bytes = 1;
        limits.checkpoint_records = 1;
        limits.group_commit_records = 1;
        // As many as the records of one order and what goes on beside: who is refused asks again, and
        // scenarios do not.
        limits.pending_requests = 2 * members;
        limits.log_piece_max = 1;
        // One for each member, one for a heartbeat of each over TCP, and one to be let in by.
        limits.connections_max = 2 * members + 1;
        limits.redial_spread_above = 0;
        limits.udp_blocked_probes = 1;
        limits.mass_event_percent = 1;
        self
    }

    /// With volumes for files, and every size and time so small that the edges are reached in
    /// seconds: chunks of a few kilobytes, packed and alone, segments of some chunks.
    #[must_use]
    pub fn with_files(mut self) -> Self {
        self.volumes = 1;
        self.files = FilesConfig {
            factor: 3,
            min_write: 2,
            level: ReliabilityLevel::default(),
            recovery_concurrency: 4,
            // Their volumes are so small that every file would make a difference.
            rebalance_concurrency: 0,
        };
        let limits = &mut self.limits;
        limits.chunk_bytes = 8 * 1024;
        limits.packed_max = 3 * 1024;
        limits.volume_segment_bytes = 16 * 1024;
        limits.volume_batch_bytes = 8 * 1024;
        limits.volume_copy_bytes = 8 * 1024;
        limits.volume_reserve_bytes = 64 * 1024;
        limits.trash_hold = Duration::from_secs(20);
        limits.orphan_grace = Duration::from_secs(60);
        limits.safe_mode_max = Duration::from_secs(30);
        limits.dfs_write_timeout = Duration::from_secs(40);
        limits.dfs_renew_period = Duration::from_secs(10);
        limits.report_page_entries = 7;
        limits.news_max = 50;
        self.choice.reserve_min = 64 * 1024;
        self.settings.volume.capacity = 4 << 20;
        self
    }

    /// The host of an agent, counted from 1.
    #[must_use]
    pub fn host_name(number: u32) -> String {
        format!("h{number}")
    }

    /// An agent's alias.
    #[must_use]
    pub fn agent_name(number: u32) -> String {
        format!("P{number}-agent")
    }

    /// A data node's alias.
    #[must_use]
    pub fn node_name(host: u32, number: u32) -> String {
        format!("P{host}-NODE{number}")
    }

    /// Every data node's alias.
    pub fn node_names(&self) -> impl Iterator<Item = String> + '_ {
        (1..=self.hosts)
            .flat_map(|host| (1..=self.nodes_on(host)).map(move |n| Self::node_name(host, n)))
    }

    /// How many data nodes a host has.
    #[must_use]
    pub fn nodes_on(&self, host: u32) -> u32 {
        let at = usize::try_from(host).unwrap_or(usize::MAX).checked_sub(1);
        at.and_then(|at| self.uneven.get(at))
            .copied()
            .unwrap_or(self.nodes_per_host)
    }

    /// Every agent's alias.
    pub fn agent_names(&self) -> impl Iterator<Item = String> {
        (1..=self.hosts).map(Self::agent_name)
    }

    /// The same, with a trace of this kind.
    #[must_use]
    pub const fn traced(mut self, trace: TraceMode) -> Self {
        self.settings.trace = trace;
        self
    }

    /// The World, with everything that must always hold being checked; nothing runs yet.
    #[must_use]
    pub fn build(&self, seed: u64) -> VaquitaWorld {
        let factory = VaquitaFactory::new(self);
        let mut world = World::new(seed, self.settings.clone(), factory);
        let controller_host = world.add_host("h0");
        let restart = Duration::from_secs(1);
        world.add_node(
            NodeSpec::new(MASTER, controller_host, CONTROLLER_PORT).restarted_after(restart),
        );
        for number in 1..=self.hosts {
            let host = world.add_host(&Self::host_name(number));
            let agent = NodeSpec::new(&Self::agent_name(number), host, AGENT_PORT);
            world.add_node(agent.restarted_after(restart));
            for node in 1..=self.nodes_on(number) {
                let port = NODE_PORT + u16::try_from(node - 1).unwrap_or(u16::MAX);
                let spec = NodeSpec::new(&Self::node_name(number, node), host, port);
                world.add_node(spec.volumes(self.volumes).launched());
            }
        }
        world.add_checker(Bounds::default());
        world.add_checker(LogsKeepPromises::new(|file| file.starts_with("seg-")));
        world.add_checker(checkers::Epochs::default());
        world.add_checker(checkers::Promises::default());
        world.add_checker(checkers::StopStands::default());
        world.add_checker(checkers::FenceFirst::default());
        world.add_checker(checkers::OneHolder::default());
        world.add_checker(checkers::StateIsItsLog::default());
        world.add_checker(checkers::MirrorsFollow::default());
        if self.volumes > 0 {
            world.add_checker(files::checkers::Chunks::default());
            world.add_checker(files::given_up::GivenUp::default());
            world.add_checker(files::drained::DrainedIsEmpty::default());
        }
        world
    }

    /// The same, started, with all data nodes ordered to run and online.
    ///
    /// # Errors
    /// If that is not reached within a minute.
    pub fn build_online(&self, seed: u64) -> Result<VaquitaWorld, Failure> {
        let mut world = self.build(seed);
        bring_online(&mut world)?;
        Ok(world)
    }

    /// What may happen to such a cluster.
    #[must_use]
    pub fn shape(&self, span: Duration) -> Shape {
        let agents = (1..=self.hosts).map(|n| (Self::agent_name(n), Self::host_name(n)));
        let nodes = (1..=self.hosts).flat_map(|host| {
            (1..=self.nodes_on(host))
                .map(move |n| (Self::node_name(host, n), Self::host_name(host)))
        });
        let asks = self
            .node_names()
            .flat_map(|name| [format!("start {name}"), format!("stop {name}")])
            .chain(["start all".to_owned(), "status".to_owned()])
            .map(|text| (MASTER.to_owned(), text))
            .collect();
        Shape {
            hosts: (0..=self.hosts).map(Self::host_name).collect(),
            nodes: std::iter::once((MASTER.to_owned(), "h0".to_owned()))
                .chain(agents)
                .chain(nodes)
                .collect(),
            disks: std::iter::once(MASTER.to_owned())
                .chain(self.agent_names())
                .collect(),
            expendable: Vec::new(),
            ports: (1..=self.hosts)
                .map(|n| (Self::host_name(n), NODE_PORT))
                .collect(),
            asks,
            span,
            disturbances: 12,
            requests: 8,
        }
    }
}

/// Starts everything and waits until it is online.
///
/// # Errors
/// If that is not reached within a minute.
pub fn bring_online(world: &mut VaquitaWorld) -> Result<(), Failure> {
    world.start_all();
    wait_until(world, "every agent is online", agents_there)?;
    order(world, Verb::StartNodes(Selection::All));
    wait_until(world, "every node is online", all_online)
}

/// Has an operator at the controller's console order something.
pub fn order(world: &mut VaquitaWorld, verb: Verb) -> Option<RequestId> {
    let master = world.node(MASTER)?;
    Some(world.request(
        master,
        Request {
            caller: Caller::CONSOLE,
            verb,
        },
    ))
}

/// Orders about some nodes.
#[must_use]
pub fn nodes(names: &[&str]) -> Selection {
    Selection::Aliases(names.iter().map(|&name| name.to_owned()).collect())
}

/// Lets time pass until something is so.
///
/// # Errors
/// If it is not so within a minute.
pub fn wait_until(
    world: &mut VaquitaWorld,
    what: &str,
    reached: impl FnMut(&VaquitaWorld) -> bool,
) -> Result<(), Failure> {
    if !world.run_until_reached(Duration::from_secs(60), reached)? {
        let rows = rows(world)
            .iter()
            .filter(|row| row.state != NodeState::Online)
            .map(|row| format!("{} is {} ({})", row.alias, row.state.as_str(), row.reason))
            .collect::<Vec<_>>();
        world.fail(
            None,
            format!("not within a minute: {what}; {}", rows.join("; ")),
        );
        world.finish()?;
    }
    Ok(())
}

/// The controller, while it runs.
#[must_use]
pub fn controller(world: &VaquitaWorld) -> Option<(NodeIx, &Controller)> {
    let master = world.node(MASTER)?;
    match world.machine(master)? {
        Vaquita::Controller(controller) => Some((master, controller)),
        Vaquita::Agent(_) | Vaquita::DataNode(_) | Vaquita::Rebuild(_) => None,
    }
}

/// Every member as the controller shows it; empty while there is no controller.
#[must_use]
pub fn rows(world: &VaquitaWorld) -> Vec<NodeRow> {
    let Some((master, controller)) = controller(world) else {
        return Vec::new();
    };
    world
        .local_time(master)
        .map(|now| controller.rows(now))
        .unwrap_or_default()
}

/// One member as the controller shows it.
#[must_use]
pub fn row(world: &VaquitaWorld, name: &str) -> Option<NodeRow> {
    rows(world)
        .into_iter()
        .find(|row| row.alias.as_str() == name)
}

/// Whether the controller shows every agent online.
#[must_use]
pub fn agents_there(world: &VaquitaWorld) -> bool {
    let rows = rows(world);
    let there = |row: &NodeRow| row.agent.is_some() || row.state == NodeState::Online;
    !rows.is_empty() && rows.iter().all(there)
}

/// Whether the controller shows every member online.
#[must_use]
pub fn all_online(world: &VaquitaWorld) -> bool {
    let rows = rows(world);
    !rows.is_empty() && rows.iter().all(|row| row.state == NodeState::Online)
}

/// Whether every member is as it was ordered to be: online or stopped.
#[must_use]
pub fn all_settled(world: &VaquitaWorld) -> bool {
    settled_on(world, |_| true)
}

/// Whether every member on those hosts is as it was ordered to be.
#[must_use]
pub fn settled_on(world: &VaquitaWorld, host: impl Fn(&str) -> bool) -> bool {
    let Some((_, controller)) = controller(world) else {
        return false;
    };
    let wanted = |alias: &Alias| {
        controller
            .state()
            .orders
            .get(alias)
            .is_some_and(|order| order.run)
    };
    let rows = rows(world);
    let mut there = rows.iter().filter(|row| host(&row.host));
    !rows.is_empty()
        && there.all(|row| match row.state {
            NodeState::Online => true,
            // A person's SIGTERM stands like an order, and so does a failure that needs a person.
            NodeState::Stopped => {
                row.agent.is_some() && (!wanted(&row.alias) || !row.reason.is_empty())
            }
            NodeState::Failed => row.agent.is_some(),
            _ => false,
        })
}

/// A moment of the World.
#[must_use]
pub fn at(seconds: u64) -> SimTime {
    SimTime::ZERO.after(Duration::from_secs(seconds))
}
