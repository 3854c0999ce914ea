//! What a search begins with: which processes there are, how they are started, and what may go wrong.

use core::net::SocketAddr;
use core::time::Duration;

use vaquita_core::controller::{Bootstrap, Controller, ControllerConfig, FilesConfig, Member};
use vaquita_core::datanode::{DataNode, DataNodeConfig, VolumesConfig};
use vaquita_core::dfs::placement::VolumeRules;
use vaquita_core::ids::{Alias, Endpoint, HostId, Role, Site as ConfiguredSite};
use vaquita_core::io::ExitReason;
use vaquita_core::limits::Limits;
use vaquita_core::message::RestartPolicy;
use vaquita_core::planted::Planted;
use vaquita_core::prng::Seed;
use vaquita_core::process::ProcessIdentity;
use vaquita_core::time::Timestamp;
use vaquita_core::uplink::NodeFacts;

use crate::disk::Files;
use crate::process::Machine;

/// A place where a process may run: an address, a home and a volume. The controller's is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(pub u8);

/// Where the controller is.
pub const CONTROLLER: Place = Place(0);

/// T of every model.
pub const TIMEOUT: Duration = Duration::from_secs(1);
/// Most bytes of a chunk, and of a file.
pub const CHUNK: u64 = 64;

/// Which way nothing passes between a node and the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// To the controller.
    Out,
    /// From it.
    In,
    /// Neither way.
    Both,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Out, Self::In, Self::Both];
}

/// What may still go wrong, and how much more may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Ends of the controller's process.
    pub controller_crashes: u8,
    /// Ends of data nodes' processes.
    pub node_crashes: u8,
    /// Connections that break, those that carry chunks included.
    pub breaks: u8,
    /// Datagrams that arrive twice.
    pub copies: u8,
    /// Links between a node and the controller that carry nothing for a while, in one direction or in both.
    pub cuts: u8,
    /// Moments to which time moves on.
    pub ticks: u8,
    /// Attempts of the client.
    pub tries: u8,
}

/// One search's cluster.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Data nodes in the nodes file.
    pub nodes: u8,
    /// Whether a second process, on another host, has a copy of the first node's home and says that it
    /// is that node.
    pub impostor: bool,
    /// Whether data nodes have a volume.
    pub volumes: bool,
    /// Time moves on to multiples of this, and timers that are due go off then. Below the second after
    /// which a controller doubts itself, and in which a node is given up.
    pub grid: Duration,
    /// Whether time moves on whatever is on its way. Otherwise it waits until everything has arrived that no
    /// cut holds up, and all disks have done what they were asked: nothing is late by itself.
    pub asynchronous: bool,
    /// Whether datagrams arrive at once. Otherwise they arrive at any time, or never.
    pub beats_at_once: bool,
    /// How files are kept.
    pub files: FilesConfig,
    /// How long a node may be away before its replicas are made anew.
    pub recovery_wait: Option<Duration>,
    /// Bugs left in.
    pub planted: Planted,
    /// What may go wrong.
    pub budget: Budget,
}

impl Setup {
    /// A cluster of so many data nodes in which nothing goes wrong.
    #[must_use]
    pub fn of(nodes: u8) -> Self {
        Self {
            nodes,
            impostor: false,
            volumes: false,
            grid: Duration::from_millis(500),
            asynchronous: false,
            beats_at_once: false,
            files: FilesConfig::default(),
            recovery_wait: None,
            planted: Planted::default(),
            budget: Budget::default(),
        }
    }

    /// All places, the controller's first.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        (0..=self.nodes + u8::from(self.impostor)).map(Place)
    }

    /// What people would call what runs there.
    #[must_use]
    pub fn name(&self, place: Place) -> String {
        match place {
            CONTROLLER => "the controller".to_owned(),
            Place(it) if it > self.nodes => "P1'".to_owned(),
            Place(it) => format!("P{it}"),
        }
    }

    /// The alias under which it speaks.
    #[must_use]
    pub fn alias(&self, place: Place) -> Alias {
        let text = match place {
            CONTROLLER => "master".to_owned(),
            Place(it) if it > self.nodes => "P1".to_owned(),
            Place(it) => format!("P{it}"),
        };
        Alias::new(&text).expect("the names here are aliases")
    }

    /// Its address.
    #[must_use]
    pub fn address(&self, place: Place) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, place.0 + 1], 8961))
    }

    /// Who has an address.
    #[must_use]
    pub fn at(&self, address: SocketAddr) -> Option<Place> {
        self.places().find(|place| self.address(*place) == address)
    }

    /// Who is meant by an endpoint.
    #[must_use]
    pub fn behind(&self, endpoint: &Endpoint) -> Option<Place> {
        self.at(endpoint.to_string().parse().ok()?)
    }

    fn site(&self, place: Place) -> ConfiguredSite {
        // An impostor says that it is where the first node is.
        let claimed = if place.0 > self.nodes {
            Place(1)
        } else {
            place
        };
        let address = self.address(claimed);
        ConfiguredSite {
            endpoint: Endpoint {
                host: address.ip().to_string(),
                port: address.port(),
            },
            alias: self.alias(claimed),
        }
    }

    /// The real bounds and periods, with those that only cost states made small: timers on the grid,
    /// no jitter, no reserve, chunks of a few bytes.
    fn limits(&self) -> Limits {
        let grid = self.grid;
        Limits {
            reserve_bytes: 0,
            heartbeat_period: grid,
            heartbeat_jitter_percent: 0,
            redial_min: grid,
            redial_max: grid,
            redial_spread_above: usize::MAX,
            answer_timeout: grid * 2,
            chunk_bytes: CHUNK,
            packed_max: CHUNK,
            volume_segment_bytes: 16 * 1024,
            volume_batch_bytes: 8 * 1024,
            volume_copy_bytes: 8 * 1024,
            volume_reserve_bytes: 1024,
            news_delay: Duration::ZERO,
            // One node of one or two is no sign of a failure of the site.
            mass_event_percent: 100,
            safe_mode_max: grid,
            orphan_grace: grid,
            ..Limits::default()
        }
    }

    /// The bounds that data nodes' drivers keep to as well.
    #[must_use]
    pub fn driver_limits(&self) -> Limits {
        self.limits()
    }

    /// The token of the client.
    #[must_use]
    pub fn token() -> String {
        format!("vqt_{:016x}_{}", 7, "07".repeat(32))
    }

    /// Starts a process.
    ///
    /// # Errors
    /// If it refuses what it finds in its home.
    pub fn start(
        &self,
        place: Place,
        start: u32,
        files: &Files,
        now: Timestamp,
    ) -> Result<Machine, ExitReason> {
        let seed = Seed::from_number(u64::from(place.0) * 1000 + u64::from(start));
        let (limits, planted) = (self.limits(), self.planted);
        if place == CONTROLLER {
            let members = (1..=self.nodes).map(|node| Member {
                site: self.site(Place(node)),
                role: Role::DataNode,
                host: format!("h{node}"),
                node_cfg: String::new(),
            });
            let config = ControllerConfig {
                site: self.site(place),
                members: members.collect(),
                heartbeat_timeout: TIMEOUT,
                recovery_wait: self.recovery_wait,
                lan_cluster: true,
                restart: RestartPolicy::Backoff,
                restart_stopped: false,
                secret: None,
                bootstrap: Some(Bootstrap {
                    password_hash: "modelled".to_owned(),
                    token: Self::token(),
                    token_expires_unix_ms: u64::MAX,
                }),
                files: self.files.clone(),
                mirrors: 0,
                build: "model".to_owned(),
                limits,
                planted,
            };
            let controller = Controller::new(config, files, seed, now)?;
            return Ok(Machine::Controller(Box::new(controller)));
        }
        let facts = NodeFacts {
            site: self.site(place),
            role: Role::DataNode,
            controller_site: self.site(CONTROLLER),
            lan_cluster: true,
            host: HostId::new([place.0; 16]),
            process: ProcessIdentity {
                pid: u32::from(place.0) * 1000 + start,
                start_ticks: u64::from(start),
                boot_id: "boot".to_owned(),
                executable: (1, 2),
            },
            build: "model".to_owned(),
        };
        let paths = if self.volumes {
            vec![format!("/{}", facts.site.alias)]
        } else {
            Vec::new()
        };
        let config = DataNodeConfig {
            facts,
            agent: None,
            secret: None,
            volumes: VolumesConfig {
                paths,
                data_sync: true,
                choice: VolumeRules {
                    reserve_min: 1024,
                    ..VolumeRules::default()
                },
                scrub_period: Duration::ZERO,
            },
            limits,
            planted,
        };
        let node = DataNode::new(config, files, seed, now)?;
        Ok(Machine::Node(Box::new(node)))
    }
}
