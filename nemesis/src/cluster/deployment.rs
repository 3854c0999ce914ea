//! The files of a cluster, a directory a host, as an operator would write them.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The ports of a real cluster.
const CONTROLLER_PORT: u16 = 8990;
const AGENT_PORT: u16 = 8960;
const NODE_PORT: u16 = 8961;

/// How many replicas each chunk is to have.
pub(crate) const FACTOR: usize = 2;
/// Made-up values that nobody else uses: the cluster is gone in a while.
const SECRET: &str = "bmVtZXNpcyBuZW1lc2lzIG5lbWVzaXMgbmVtZXNpcyA=\n";
const PASSWORD: &str = "as long as it has to be";
pub(crate) const TOKEN: &str = concat!(
    "vqt_6e656d6573697300_",
    "6e656d657369732e6e656d657369732e6e656d657369732e6e656d657369732e"
);

/// The directory of one host.
#[derive(Clone, Debug)]
pub(crate) struct HostFiles {
    /// Its name, such as `P1`; the controller's is `C`.
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) directory: PathBuf,
}

/// A data node.
#[derive(Clone, Debug)]
pub(crate) struct NodeFiles {
    pub(crate) alias: String,
    /// Its host, counted from 0 without the controller's.
    host: usize,
    port: u16,
}

/// Where everything of a cluster is.
#[derive(Debug)]
pub(crate) struct Deployment {
    room: PathBuf,
    /// The first three numbers of the addresses.
    subnet: [u8; 3],
    /// The controller's first.
    pub(crate) hosts: Vec<HostFiles>,
    /// One a host in the order of the hosts, and a second one of the first host: replicas must not share it.
    pub(crate) nodes: Vec<NodeFiles>,
    networks: bool,
    /// Keeps others from these loopback addresses.
    _reserved: Option<TcpListener>,
}

/// The last number of the clients' address, and of one that no host has.
const CLIENTS: u8 = 200;
const RESERVED: (u8, u16) = (254, 8999);

impl Deployment {
    /// A cluster with so many hosts beside the controller's, in networks of their own or on loopback.
    pub(crate) fn plan(room: &Path, hosts: usize, networks: bool) -> Result<Self, String> {
        let (subnet, reserved) = if networks {
            ([10, 77, 0], None)
        } else {
            let (subnet, reserved) = free_subnet()?;
            (subnet, Some(reserved))
        };
        let [a, b, c] = subnet;
        let host = |number: usize| {
            let name = match number {
                0 => "C".to_owned(),
                _ => format!("P{number}"),
            };
            HostFiles {
                directory: room.join(&name),
                address: format!("{a}.{b}.{c}.{}", number + 1),
                name,
            }
        };
        let node = |host: usize, number: u16| NodeFiles {
            alias: format!("P{}-NODE{number}", host + 1),
            host,
            port: NODE_PORT + number - 1,
        };
        let nodes = (0..hosts).map(|host| node(host, 1));
        Ok(Self {
            nodes: nodes.chain([node(0, 2)]).collect(),
            room: room.to_owned(),
            subnet,
            hosts: (0..=hosts).map(host).collect(),
            networks,
            _reserved: reserved,
        })
    }

    /// The address of the clients.
    pub(crate) fn clients(&self) -> String {
        let [a, b, c] = self.subnet;
        format!("{a}.{b}.{c}.{CLIENTS}")
    }

    /// The name of the first data node of a host.
    pub(crate) fn node(&self, host: usize) -> String {
        self.nodes[host].alias.clone()
    }

    /// `ADDRESS:PORT` of each data node.
    pub(crate) fn entries(&self) -> Vec<String> {
        let address = |node: &NodeFiles| &self.hosts[node.host + 1].address;
        let servers = self.nodes.iter();
        servers
            .map(|node| format!("{}:{}", address(node), node.port))
            .collect()
    }

    /// `ADDRESS:PORT` of the controller.
    pub(crate) fn controller(&self) -> String {
        format!("{}:{CONTROLLER_PORT}", self.hosts[0].address)
    }

    /// Where a data node has its volume.
    pub(crate) fn volume(&self, alias: &str) -> PathBuf {
        self.room.join("volumes").join(alias)
    }

    /// The files of the controller's log.
    pub(crate) fn metadata(&self) -> PathBuf {
        self.hosts[0].directory.join("data/master/meta")
    }

    /// Writes all files.
    pub(crate) fn write(&self) -> Result<(), String> {
        for host in &self.hosts {
            for folder in ["config", "data", "log"] {
                let folder = host.directory.join(folder);
                fs::create_dir_all(&folder).map_err(|error| failed(&folder, &error))?;
            }
            if self.networks {
                write(&host.directory.join("config/cluster.secret"), 0o600, SECRET)?;
            }
        }
        let (controller, others) = self.hosts.split_first().ok_or("there are no hosts")?;
        let site = format!("{}:{CONTROLLER_PORT}:master", controller.address);
        let config = controller.directory.join("config");
        let workers = "workerNum=2\nlogLevel=INFO\n";
        // Verdicts come, and repair begins, within a run of half a minute too.
        let text = format!(
            "localSite={site}\ndfsReplicationFactor={FACTOR}\ndfsReplicaReliabilityLevel=1\n\
             dfsChunkNodeHeartBeatTimeout=3\ndfsRecoveryWaitTime=3000\nwebWorkerNum=4\n{workers}"
        );
        write(&config.join("controller.cfg"), 0o640, &text)?;
        let volumes = self.room.join("volumes/<ALIAS>");
        let text = format!(
            "maxMemSize=1\nvolumes={}\nscrubPeriod=60\n{workers}",
            volumes.display()
        );
        write(&config.join("cluster.cfg"), 0o640, &text)?;
        let mut nodes = "localSite,mode\n".to_owned();
        for (number, host) in others.iter().enumerate() {
            let HostFiles { name, address, .. } = host;
            let agent = format!("{address}:{AGENT_PORT}:{name}-agent");
            nodes.push_str(&format!("{agent},agent\n"));
            for node in self.nodes.iter().filter(|node| node.host == number) {
                let NodeFiles { alias, port, .. } = node;
                nodes.push_str(&format!("{address}:{port}:{alias},datanode\n"));
            }
            let text =
                format!("localSite={agent}\ncontrollerSite={site}\nhostLabel={name}\n{workers}");
            write(&host.directory.join("config/agent.cfg"), 0o640, &text)?;
        }
        write(&config.join("cluster.nodes"), 0o640, &nodes)?;
        let account = serde_json::json!({ "admin_password": PASSWORD, "token": TOKEN });
        let bootstrap = controller.directory.join("data/bootstrap");
        write(&bootstrap, 0o600, &account.to_string())?;
        Ok(())
    }
}

/// The last number of an address.
pub(super) fn last_of(address: &str) -> u8 {
    let address: Result<Ipv4Addr, _> = address.parse();
    address.map_or(0, |it| it.octets()[3])
}

fn failed(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

fn write(path: &Path, mode: u32, text: &str) -> Result<(), String> {
    let mut options = fs::OpenOptions::new();
    options.create_new(true).write(true).mode(mode);
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| failed(path, &error))
}

/// Three numbers in front of loopback addresses that nobody else uses. The whole of 127.0.0.0/8 is this
/// machine's; whoever binds one socket has the subnet, among clusters of this program.
fn free_subnet() -> Result<([u8; 3], TcpListener), String> {
    let begin = std::process::id() as usize;
    for step in 0..27 * 256 {
        let number = (begin + step) % (27 * 256);
        let [high, low] = u16::try_from(number).unwrap_or_default().to_be_bytes();
        let subnet @ [a, b, c] = [127, 228 + high, low];
        let (host, port) = RESERVED;
        if let Ok(reserved) = TcpListener::bind((Ipv4Addr::new(a, b, c, host), port)) {
            return Ok((subnet, reserved));
        }
    }
    Err("no subnet of 127.228.0.0 to 127.254.255.255 is free".to_owned())
}
