//! The cluster: its hosts, its processes, its network and its disks.

mod deployment;
mod host;
pub(crate) mod process;

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::fault::{Kind, Port, Who};
use crate::ground::{Backing, Disk, Ground, Hub, Place, Weather};
pub(crate) use deployment::{Deployment, FACTOR, TOKEN};
pub(crate) use host::Unexpected;
use host::{Host, PATIENCE, signal_all};

/// How a cluster is to be.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The program.
    pub(crate) vaquita: PathBuf,
    /// Where everything of it goes.
    pub(crate) room: PathBuf,
    /// How many hosts have an agent and a data node.
    pub(crate) hosts: usize,
    /// What decides the fate of packets.
    pub(crate) seed: u64,
    /// The kinds of faults that there are to be.
    pub(crate) kinds: Vec<Kind>,
}

/// A cluster of real processes. Whatever runs of it is killed with it.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) deployment: Deployment,
    /// The controller's first, then those with an agent and a data node. Before the disks, so that nothing runs
    /// on a disk that is unmounted.
    hosts: Vec<Host>,
    hub: Option<Hub>,
    pub(crate) disks: Vec<Disk>,
}

impl Cluster {
    /// Makes networks and disks as the ground allows and the faults need, writes the files, and starts
    /// everything.
    pub(crate) fn start(plan: &Plan, ground: &Ground) -> Result<Self, String> {
        let networks = ground.networks.is_ok();
        let wants_disks = plan.kinds.iter().any(|kind| {
            let of_disks = [
                Kind::Fill,
                Kind::Unmount,
                Kind::ReadOnly,
                Kind::Slow,
                Kind::Hang,
            ];
            of_disks.contains(kind)
        });
        let backing = ground.disks.clone().ok().filter(|_| wants_disks);
        let deployment = Deployment::plan(&plan.room, plan.hosts, networks)?;
        deployment.write()?;
        let disks = Self::disks(plan, &deployment, backing)?;
        let (places, hub) = Self::network(plan, &deployment, networks)?;
        let wants_clock = plan.kinds.contains(&Kind::Clock);
        let clock = ground.clock.clone().ok().filter(|_| wants_clock);
        let mut hosts = Vec::new();
        for (number, place) in places.into_iter().enumerate() {
            let files = deployment.hosts[number].clone();
            hosts.push(Host::new(&plan.vaquita, files, place, clock.clone()));
        }
        let mut cluster = Self {
            deployment,
            hosts,
            hub,
            disks,
        };
        for host in &mut cluster.hosts {
            host.start()?;
        }
        Ok(cluster)
    }

    fn disks(
        plan: &Plan,
        deployment: &Deployment,
        backing: Option<Backing>,
    ) -> Result<Vec<Disk>, String> {
        let aliases = deployment.nodes.iter().map(|node| &node.alias);
        if let Some(backing) = backing {
            return aliases
                .map(|alias| Disk::make(&plan.room, alias, backing))
                .collect();
        }
        for alias in aliases {
            let volume = deployment.volume(alias);
            fs::create_dir_all(&volume)
                .map_err(|error| format!("{}: {error}", volume.display()))?;
        }
        Ok(Vec::new())
    }

    fn network(
        plan: &Plan,
        deployment: &Deployment,
        networks: bool,
    ) -> Result<(Vec<Place>, Option<Hub>), String> {
        if !networks {
            let places = deployment.hosts.iter().map(|_| Place::here());
            return Ok((places.collect(), None));
        }
        let mut places = Vec::new();
        let mut ports = Vec::new();
        for host in &deployment.hosts {
            let (place, wire) = Place::apart(&host.address)?;
            places.push(place);
            ports.push((wire, deployment::last_of(&host.address)));
        }
        // The clients are this process, whose network is its own.
        let clients = deployment.clients();
        ports.push((
            crate::ground::wire_up(&clients)?,
            deployment::last_of(&clients),
        ));
        Ok((places, Some(Hub::join(ports, plan.seed))))
    }

    /// How many hosts have a data node.
    pub(crate) fn count(&self) -> usize {
        self.hosts.len() - 1
    }

    // ---- links ----

    fn port(&self, port: Port) -> usize {
        match port {
            Port::Controller => 0,
            Port::Host(host) => host + 1,
            Port::Clients => self.hosts.len(),
        }
    }

    /// Every port of the network.
    pub(crate) fn ports(&self) -> Vec<Port> {
        let hosts = (0..self.count()).map(Port::Host);
        let others = [Port::Controller, Port::Clients];
        others.into_iter().chain(hosts).collect()
    }

    /// Has nothing pass from one port to another, or everything again.
    pub(crate) fn cut(&self, from: Port, to: Port, is_cut: bool) {
        if let Some(hub) = &self.hub {
            hub.cut(self.port(from), self.port(to), is_cut);
        }
    }

    /// Sets what happens to packets on all links.
    pub(crate) fn set_weather(&self, weather: Weather) {
        if let Some(hub) = &self.hub {
            hub.set_weather(weather);
        }
    }

    /// Packets that passed and that were stopped, where there is a network.
    pub(crate) fn packets(&self) -> Option<(u64, u64)> {
        self.hub.as_ref().map(Hub::counts)
    }

    // ---- processes ----

    /// Sends a signal to processes that run; with one that ends them, they are not missed.
    pub(crate) fn signal(&mut self, who: Who, signal: Signal) -> Result<(), String> {
        match who {
            Who::Controller => self.hosts[0].signal_server(signal),
            Who::Agent(host) => self.hosts[host + 1].signal_server(signal),
            Who::Node(host) => {
                let alias = self.deployment.node(host);
                signal_all(&self.hosts[host + 1].node(&alias), signal)
            }
            Who::Host(host) => {
                // The agent first: it would start the node again.
                self.hosts[host + 1].signal_server(signal)?;
                signal_all(&self.hosts[host + 1].nodes(), signal)
            }
            Who::All => {
                for host in &mut self.hosts {
                    host.signal_server(signal)?;
                    signal_all(&host.nodes(), signal)?;
                }
                Ok(())
            }
        }
    }

    /// Starts what was ended of these and is not there; data nodes are their agents'.
    ///
    /// # Errors
    /// What could not be started, or had ended badly; whatever can be is started.
    pub(crate) fn revive(&mut self, who: Who) -> Result<(), String> {
        match who {
            Who::Controller => self.hosts[0].start(),
            Who::Agent(host) | Who::Host(host) => self.hosts[host + 1].start(),
            Who::Node(_) => Ok(()),
            Who::All => {
                let started = self.hosts.iter_mut().map(Host::start);
                let complaints: Vec<String> = started.filter_map(Result::err).collect();
                if complaints.is_empty() {
                    return Ok(());
                }
                Err(complaints.join("; "))
            }
        }
    }

    /// Whether the data node runs that has a host's disk.
    pub(crate) fn node_runs(&self, host: usize) -> bool {
        let alias = self.deployment.node(host);
        !self.hosts[host + 1].node(&alias).is_empty()
    }

    /// Whether any data node runs.
    pub(crate) fn any_node_runs(&self) -> bool {
        self.hosts.iter().any(|host| !host.nodes().is_empty())
    }

    /// Agents and controllers that have ended though nobody ended them.
    pub(crate) fn unexpected(&mut self) -> Vec<Unexpected> {
        self.hosts.iter_mut().filter_map(Host::unexpected).collect()
    }

    /// Sets the clock of a host's agent, or of the controller.
    pub(crate) fn set_clock(&self, of: Port, by: i64) -> Result<(), String> {
        match of {
            Port::Controller => self.hosts[0].set_clock(by),
            Port::Host(host) => self.hosts[host + 1].set_clock(by),
            Port::Clients => Ok(()),
        }
    }

    /// Ends all of it in good order: the data nodes were stopped before.
    ///
    /// # Errors
    /// What did not end, or not well.
    pub(crate) fn stop(&mut self) -> Result<(), String> {
        // What stands still would not hear of it.
        self.signal(Who::All, Signal::CONT)?;
        let (controller, others) = self.hosts.split_first_mut().ok_or("there are no hosts")?;
        let mut complaints = Vec::new();
        for host in others.iter_mut() {
            host.signal_server(Signal::TERM)?;
        }
        for host in others.iter_mut() {
            complaints.extend(host.ended(PATIENCE).err());
            signal_all(&host.nodes(), Signal::TERM)?;
            let begun = Instant::now();
            while !host.nodes().is_empty() {
                if begun.elapsed() > PATIENCE {
                    complaints.push(format!("a data node of {} does not end", host.name()));
                    break;
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
        controller.signal_server(Signal::TERM)?;
        complaints.extend(controller.ended(PATIENCE).err());
        if complaints.is_empty() {
            Ok(())
        } else {
            Err(complaints.join("; "))
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Who waits for a frozen disk cannot be killed.
        self.disks.iter_mut().for_each(Disk::thaw);
    }
}
