//! What a simulated process runs.

use vaquita_core::agent::AgentConfig;
use vaquita_core::controller::ControllerConfig;
use vaquita_core::datanode::{DataNodeConfig, VolumesConfig};
use vaquita_core::ids::{Alias, Endpoint, HostId, Role, Site};
use vaquita_core::limits::Limits;
use vaquita_core::planted::Planted;
use vaquita_core::process::ProcessIdentity;
use vaquita_core::secret::ClusterSecret;
use vaquita_core::uplink::NodeFacts;

/// The port of every process; each has a simulated host of its own.
pub const PORT: u16 = 8990;

/// A role with its configuration.
#[derive(Clone, Debug)]
pub enum Program {
    /// A controller.
    Controller(ControllerConfig),
    /// An agent.
    Agent(AgentConfig),
    /// A data node.
    DataNode(DataNodeConfig),
}

impl Program {
    /// What an agent or a data node knows before it starts; a controller knows no such thing.
    pub fn facts_mut(&mut self) -> Option<&mut NodeFacts> {
        match self {
            Self::Controller(_) => None,
            Self::Agent(config) => Some(&mut config.facts),
            Self::DataNode(config) => Some(&mut config.facts),
        }
    }

    /// The configuration of a controller.
    ///
    /// # Panics
    /// If this is none.
    pub fn controller_mut(&mut self) -> &mut ControllerConfig {
        match self {
            Self::Controller(config) => config,
            Self::Agent(_) | Self::DataNode(_) => panic!("this is no controller"),
        }
    }

    /// Gives a data node a volume.
    pub(super) fn with_volume(mut self, name: &str) -> Self {
        if let Self::DataNode(config) = &mut self {
            config.volumes = VolumesConfig {
                paths: vec![volume(&home(name))],
                data_sync: true,
                ..VolumesConfig::default()
            };
        }
        self
    }

    /// Takes the settings of a data node's configuration file.
    pub(super) fn configure(&mut self, node_cfg: &str) -> Result<(), String> {
        let Self::DataNode(config) = self else {
            return Err("only a data node is started by an agent".to_owned());
        };
        for line in node_cfg.lines().filter(|line| !line.is_empty()) {
            let (key, value) = line
                .split_once('=')
                .ok_or_else(|| format!("no `=` in the line `{line}` of node.cfg"))?;
            match key {
                "controllerSite" => config.facts.controller_site = parse_site(value)?,
                "agentSite" => config.agent = Some(parse_site(value)?.endpoint),
                "lanCluster" => config.facts.lan_cluster = value == "1",
                _ => {}
            }
        }
        Ok(())
    }
}

/// The home of a host's process, unless it is given another one's.
pub(super) fn home(host: &str) -> String {
    format!("/homes/{host}")
}

/// The volume that lies in a home.
pub(super) fn volume(home: &str) -> String {
    format!("{home}/storage")
}

/// The configuration file that the controller has an agent write for a data node.
pub(super) fn node_cfg(controller: &Site, agent: &Site, lan_cluster: bool) -> String {
    format!(
        "controllerSite={controller}\nagentSite={agent}\nlanCluster={}\n",
        u8::from(lan_cluster)
    )
}

fn parse_site(text: &str) -> Result<Site, String> {
    let mut parts = text.split(':');
    let (Some(host), Some(port), Some(alias), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(format!("`{text}` is not host:port:alias"));
    };
    Ok(Site {
        endpoint: Endpoint {
            host: host.to_owned(),
            port: port.parse().map_err(|_| format!("`{port}` is no port"))?,
        },
        alias: Alias::new(alias).map_err(|error| error.to_string())?,
    })
}

/// The site of the process that runs on the simulated host of this name.
///
/// # Panics
/// If the name is no alias.
#[must_use]
pub fn site(name: &str) -> Site {
    Site {
        endpoint: Endpoint {
            host: name.to_owned(),
            port: PORT,
        },
        alias: Alias::new(name).expect("simulated hosts are named as aliases are"),
    }
}

/// The secret of every simulated cluster.
pub(super) fn secret() -> Option<ClusterSecret> {
    let mut bytes = [0x5a; 32];
    bytes[0] = 1;
    ClusterSecret::new(bytes)
}

/// What the process of this name knows before it starts, on the physical host with that number.
pub(super) fn facts(name: &str, role: Role, host: u8, controller: &Site) -> NodeFacts {
    NodeFacts {
        site: site(name),
        role,
        controller_site: controller.clone(),
        lan_cluster: true,
        host: HostId::new([host + 1; 16]),
        // Filled in when the process starts.
        process: ProcessIdentity {
            pid: 0,
            start_ticks: 0,
            boot_id: String::new(),
            executable: (0, 0),
        },
        build: "simulated".to_owned(),
    }
}

pub(super) fn agent(name: &str, host: u8, controller: &Site, limits: &Limits) -> Program {
    Program::Agent(AgentConfig {
        facts: facts(name, Role::Agent, host, controller),
        secret: secret(),
        node_lines: String::new(),
        limits: limits.clone(),
        planted: Planted::default(),
    })
}

pub(super) fn data_node(
    name: &str,
    host: u8,
    controller: &Site,
    agent: Option<&Site>,
    limits: &Limits,
) -> Program {
    Program::DataNode(DataNodeConfig {
        facts: facts(name, Role::DataNode, host, controller),
        agent: agent.map(|agent| agent.endpoint.clone()),
        volumes: VolumesConfig::default(),
        secret: secret(),
        limits: limits.clone(),
        planted: Planted::default(),
    })
}
