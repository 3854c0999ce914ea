//! What a local cluster consists of and where each part lies.
//!
//! ```text
//! DIR/controller.cfg  cluster.nodes  cluster.cfg  cluster.secret     as on the controller's host
//! DIR/admin.password  local.lock                                     of `vaquita local` itself
//! DIR/data/           the controller's home      DIR/log/            its log
//! DIR/P1/agent.cfg  cluster.secret  data/  log/                      as on the host P1
//! ```
//!
//! The files are those of a real cluster: each directory `P…` can be copied to a host of its own
//! once the addresses in it are changed.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use vaquita_config::{ClusterFiles, Site, resolve_agent, resolve_controller};

use crate::cli::exit::{Failure, Status};

const CONTROLLER_PORT: u16 = 8990;
const AGENT_PORT: u16 = 8960;
const NODE_PORT: u16 = 8961;
/// More hosts than anybody needs on one machine, and fewer than a subnet has addresses.
pub(super) const HOSTS_MAX: u8 = 64;

/// The addresses that a new cluster is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Addresses {
    /// An address a host, and the same ports on each: as on real machines.
    OnePerHost {
        /// The first three numbers of the addresses.
        subnet: [u8; 3],
    },
    /// Where only 127.0.0.1 exists: one host, whose agent has all the data nodes, each with a port
    /// of its own. Several agents on one address would not know whose nodes are whose.
    OneHost,
}

/// A host of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    /// Its name, and that of its directory.
    pub(super) directory: PathBuf,
    pub(super) agent: Site,
    pub(super) agent_cfg: PathBuf,
}

/// A cluster on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Where everything lies; absolute.
    pub(super) directory: PathBuf,
    pub(super) controller: Site,
    /// Whether its processes serve HTTPS.
    pub(super) https: bool,
    pub(super) hosts: Vec<Host>,
    pub(super) data_nodes: Vec<Site>,
}

/// The name of the nth host, from 0: P1, P2, P3, P5 … since P4 is the controller's.
fn host_name(index: u8) -> String {
    let number = if index < 3 { index + 1 } else { index + 2 };
    format!("P{number}")
}

fn site(host: Ipv4Addr, port: u16, alias: String) -> Site {
    Site {
        host: host.to_string(),
        port,
        alias,
    }
}

/// `host:port`.
pub(super) fn server(site: &Site) -> String {
    format!("{}:{}", site.host, site.port)
}

impl Layout {
    /// A cluster with so many hosts that is not there yet.
    pub(super) fn plan(directory: &Path, hosts: u8, addresses: Addresses) -> Self {
        let mut layout = Self {
            directory: directory.to_path_buf(),
            controller: site(Ipv4Addr::LOCALHOST, CONTROLLER_PORT, "master".to_owned()),
            https: false,
            hosts: Vec::new(),
            data_nodes: Vec::new(),
        };
        match addresses {
            Addresses::OnePerHost { subnet: [a, b, c] } => {
                let controller = Ipv4Addr::new(a, b, c, 1);
                layout.controller.host = controller.to_string();
                for index in 0..hosts {
                    let (name, address) = (host_name(index), Ipv4Addr::new(a, b, c, index + 2));
                    layout.add_host(&name, address);
                    layout.add_node(address, NODE_PORT, format!("{name}-NODE1"));
                }
            }
            Addresses::OneHost => {
                let (name, address) = (host_name(0), Ipv4Addr::LOCALHOST);
                layout.add_host(&name, address);
                for index in 0..hosts {
                    let port = NODE_PORT + u16::from(index);
                    // The controller's port lies among them.
                    let port = port + u16::from(port >= CONTROLLER_PORT);
                    layout.add_node(address, port, format!("{name}-NODE{}", index + 1));
                }
            }
        }
        layout
    }

    fn add_host(&mut self, name: &str, address: Ipv4Addr) {
        let directory = self.directory.join(name);
        self.hosts.push(Host {
            agent: site(address, AGENT_PORT, format!("{name}-agent")),
            agent_cfg: directory.join("agent.cfg"),
            directory,
        });
    }

    fn add_node(&mut self, address: Ipv4Addr, port: u16, alias: String) {
        self.data_nodes.push(site(address, port, alias));
    }

    /// The cluster that the files of `directory` describe, edited by hand or not.
    pub(super) fn of_files(directory: &Path, files: &ClusterFiles) -> Result<Self, Failure> {
        let wrong = |why: String| Failure::new(Status::Usage, why);
        let settings = resolve_controller(files, &[], None);
        let https = settings.flag("enableHTTPS").unwrap_or(false);
        let controller = settings
            .site
            .ok_or_else(|| wrong(format!("{} has no localSite", directory.display())))?;
        let nodes = files
            .nodes
            .as_ref()
            .ok_or_else(|| wrong(format!("{} has no cluster.nodes", directory.display())))?;
        let mut hosts = Vec::new();
        for member in nodes.value.agents() {
            let agent_cfg = files
                .agents
                .iter()
                .find(|file| {
                    let site = resolve_agent(Some(file), &[], None).site;
                    site.is_some_and(|site| site.same_address(&member.site))
                })
                .map(|file| PathBuf::from(file.document.name()))
                .ok_or_else(|| {
                    wrong(format!(
                        "cluster.nodes has the agent {}, and no agent.cfg under {} has that \
                         localSite",
                        member.site,
                        directory.display()
                    ))
                })?;
            let agent_cfg = std::path::absolute(&agent_cfg).unwrap_or(agent_cfg);
            hosts.push(Host {
                directory: agent_cfg
                    .parent()
                    .map_or_else(|| directory.to_path_buf(), Path::to_path_buf),
                agent: member.site.clone(),
                agent_cfg,
            });
        }
        Ok(Self {
            directory: directory.to_path_buf(),
            controller,
            https,
            hosts,
            data_nodes: nodes.value.data_nodes().map(|it| it.site.clone()).collect(),
        })
    }

    /// `host:port` of the controller.
    pub(super) fn server(&self) -> String {
        server(&self.controller)
    }

    /// Where a browser finds the controller.
    pub(super) fn url(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}", self.server())
    }

    /// Where a command finds the controller.
    pub(super) fn named_server(&self) -> String {
        if self.https {
            self.url()
        } else {
            self.server()
        }
    }

    /// Every site: the controller, the agents, the data nodes.
    pub(super) fn sites(&self) -> impl Iterator<Item = &Site> {
        std::iter::once(&self.controller)
            .chain(self.hosts.iter().map(|host| &host.agent))
            .chain(&self.data_nodes)
    }

    pub(super) fn controller_home(&self) -> PathBuf {
        self.directory.join("data")
    }

    pub(super) fn controller_log(&self) -> PathBuf {
        self.directory.join("log").join("controller.log")
    }

    pub(super) fn bootstrap(&self) -> PathBuf {
        self.controller_home().join("bootstrap")
    }

    pub(super) fn password_file(&self) -> PathBuf {
        self.directory.join("admin.password")
    }

    /// The controller's command line.
    pub(super) fn controller_arguments(&self) -> Vec<String> {
        let file = |name: &str| text(&self.directory.join(name));
        arguments(&[
            ("mode", "controller".to_owned()),
            ("console", "0".to_owned()),
            ("home", text(&self.controller_home())),
            ("config", file("controller.cfg")),
            ("clusterConfig", file("cluster.cfg")),
            ("nodesFile", file("cluster.nodes")),
            ("logFile", text(&self.controller_log())),
        ])
    }
}

impl Host {
    pub(super) fn log(&self) -> PathBuf {
        self.directory.join("log").join("agent.log")
    }

    /// The agent's command line.
    pub(super) fn agent_arguments(&self) -> Vec<String> {
        arguments(&[
            ("mode", "agent".to_owned()),
            ("console", "0".to_owned()),
            ("home", text(&self.directory.join("data"))),
            ("config", text(&self.agent_cfg)),
            ("logFile", text(&self.log())),
        ])
    }
}

fn arguments(flags: &[(&str, String)]) -> Vec<String> {
    flags
        .iter()
        .flat_map(|(name, value)| [format!("-{name}"), value.clone()])
        .collect()
}

/// A path as an argument. The directory was checked to be UTF-8.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
