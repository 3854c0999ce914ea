//! Makes the machines of a cluster, as the drivers do from the configuration files.

use std::time::Duration;

use vaquita_core::admin::{Caller, Request, Verb};
use vaquita_core::agent::{Agent, AgentConfig};
use vaquita_core::controller::{Bootstrap, Controller, ControllerConfig, Member, Reconfiguration};
use vaquita_core::datanode::{DataNode, DataNodeConfig, VolumesConfig};
use vaquita_core::ids::{Alias, Endpoint, HostId, LineageId, Role, Site};
use vaquita_core::io::ExitReason;
use vaquita_core::metalog::CheckpointPlan;
use vaquita_core::prng::SecretPrng;
use vaquita_core::rebuild::{Rebuild, RebuildConfig};
use vaquita_core::secret::ClusterSecret;
use vaquita_core::state;
use vaquita_core::store::scan::{self, Found, LabelFound, ScanFault};
use vaquita_core::uplink::NodeFacts;
use vaquita_core::wire::keys::Keyring;

use super::orders::{self, Ordered};
use super::{
    AGENT_PORT, CONTROLLER_PORT, Cluster, MASTER, NODE_PORT, Rebuilding, TIMEOUT, Vaquita,
};
use crate::disk::{Cached, Files, SimDisk};
use crate::net::address;
use crate::streams::Draw;
use crate::world::{Factory, HostIx, Start};

/// Makes the machines of a [`Cluster`].
#[derive(Clone, Debug)]
pub struct VaquitaFactory {
    /// The cluster; may be changed as the run goes, for processes that start later.
    pub cluster: Cluster,
}

fn site(host: u32, port: u16, alias: &str) -> Site {
    let host = address(HostIx::new(host)).to_string();
    let alias = Alias::new(alias).expect("the names of a cluster are aliases");
    Site {
        endpoint: Endpoint { host, port },
        alias,
    }
}

/// A token that the first controller knows: clients need no password.
#[must_use]
pub fn client_token() -> String {
    format!("vqt_{:016x}_{}", 7, "07".repeat(32))
}

fn bootstrap() -> Bootstrap {
    Bootstrap {
        password_hash: "simulated".to_owned(),
        token: client_token(),
        token_expires_unix_ms: u64::MAX,
    }
}

impl VaquitaFactory {
    /// The factory of a cluster.
    #[must_use]
    pub fn new(cluster: &Cluster) -> Self {
        Self {
            cluster: cluster.clone(),
        }
    }

    fn secret(&self) -> Option<ClusterSecret> {
        let bytes = core::array::from_fn(|at| u8::try_from(at).unwrap_or(0));
        self.cluster
            .secret
            .then(|| ClusterSecret::new(bytes))
            .flatten()
    }

    /// The keys of the cluster.
    #[must_use]
    pub fn keyring(&self) -> Keyring {
        Keyring::new(self.secret().as_ref())
    }

    fn members(&self) -> Vec<Member> {
        let mut members = Vec::new();
        for host in 1..=self.cluster.hosts {
            let label = Cluster::host_name(host);
            members.push(Member {
                site: site(host, AGENT_PORT, &Cluster::agent_name(host)),
                role: Role::Agent,
                host: label.clone(),
                node_cfg: String::new(),
            });
            for node in 1..=self.cluster.nodes_on(host) {
                let port = NODE_PORT + u16::try_from(node - 1).unwrap_or(u16::MAX);
                members.push(Member {
                    site: site(host, port, &Cluster::node_name(host, node)),
                    role: Role::DataNode,
                    host: label.clone(),
                    node_cfg: "workerNum=4\n".to_owned(),
                });
            }
        }
        let unlisted = &self.cluster.unlisted;
        members.retain(|member| !unlisted.contains(&member.site.alias.as_str()));
        members
    }

    /// What the controller's files say at present.
    #[must_use]
    pub fn configuration(&self) -> Reconfiguration {
        Reconfiguration {
            members: self.members(),
            recovery_wait: self.cluster.recovery_wait,
            restart: self.cluster.restart,
            restart_stopped: false,
            files: self.cluster.files.clone(),
        }
    }

    fn rebuild(&self, start: &Start<'_>, how: Rebuilding) -> RebuildConfig {
        let members = self.members().into_iter();
        RebuildConfig {
            site: site(0, CONTROLLER_PORT, MASTER),
            members: members.map(|member| (member.site, member.role)).collect(),
            secret: self.secret(),
            // From the seed of this process, as no other is.
            lineage: LineageId::new(SecretPrng::new(start.seed.clone()).next_16()),
            write: how.write,
            accept_loss: how.accept_loss,
            from: (how.from).and_then(|host| Alias::new(&Cluster::node_name(host, 1)).ok()),
            patience: Duration::from_secs(10),
            build: "simulated".to_owned(),
            limits: self.cluster.limits.clone(),
        }
    }

    fn facts(&self, start: &Start<'_>, role: Role) -> NodeFacts {
        let mut host = [0; 16];
        for (byte, character) in host.iter_mut().zip(start.host.bytes()) {
            *byte = character;
        }
        let endpoint = Endpoint {
            host: start.address.ip().to_string(),
            port: start.address.port(),
        };
        NodeFacts {
            site: Site {
                endpoint,
                alias: start.alias.clone(),
            },
            role,
            controller_site: site(0, CONTROLLER_PORT, MASTER),
            lan_cluster: self.cluster.lan_cluster,
            host: HostId::new(host),
            process: start.process.clone(),
            build: "simulated".to_owned(),
        }
    }
}

impl Factory for VaquitaFactory {
    type Machine = Vaquita;

    fn start(&mut self, start: &Start<'_>) -> Result<Vaquita, ExitReason> {
        let Cluster {
            limits,
            planted,
            lan_cluster,
            restart,
            ..
        } = &self.cluster;
        let (limits, planted, secret) = (limits.clone(), *planted, self.secret());
        if start.alias.as_str() == MASTER
            && let Some(rebuilding) = self.cluster.rebuild
        {
            let config = self.rebuild(start, rebuilding);
            let rebuild = Rebuild::new(config, start.files, start.seed.clone(), start.now);
            return Ok(Vaquita::Rebuild(Box::new(rebuild)));
        }
        if start.alias.as_str() == MASTER {
            let config = ControllerConfig {
                site: site(0, CONTROLLER_PORT, MASTER),
                members: self.members(),
                heartbeat_timeout: TIMEOUT,
                recovery_wait: self.cluster.recovery_wait,
                lan_cluster: *lan_cluster,
                restart: *restart,
                restart_stopped: false,
                secret,
                bootstrap: (self.cluster.volumes > 0).then(bootstrap),
                files: self.cluster.files.clone(),
                mirrors: self.cluster.mirrors,
                build: "simulated".to_owned(),
                limits,
                planted,
            };
            let controller = Controller::new(config, start.files, start.seed.clone(), start.now)?;
            return Ok(Vaquita::Controller(Box::new(controller)));
        }
        if start.address.port() == AGENT_PORT {
            let facts = self.facts(start, Role::Agent);
            let config = AgentConfig {
                facts,
                secret,
                node_lines: String::new(),
                limits,
                planted,
            };
            let agent = Agent::new(config, start.files, start.seed.clone(), start.now)?;
            return Ok(Vaquita::Agent(Box::new(agent)));
        }
        let mut facts = self.facts(start, Role::DataNode);
        if let Some(host) = start.config.strip_prefix("impostor of host ") {
            // A copied configuration on another machine: it says that it is somebody else.
            let host = host.trim().parse().unwrap_or(1);
            facts.site = site(host, NODE_PORT, &Cluster::node_name(host, 1));
        }
        let agent = Endpoint {
            host: start.address.ip().to_string(),
            port: AGENT_PORT,
        };
        let config = DataNodeConfig {
            facts,
            agent: Some(agent),
            volumes: VolumesConfig {
                scrub_period: self.cluster.scrub_period,
                paths: (0..self.cluster.volumes)
                    .map(|slot| format!("/{}/{slot}", start.alias))
                    .collect(),
                data_sync: self.cluster.data_sync,
                choice: self.cluster.choice.clone(),
            },
            secret,
            limits,
            planted,
        };
        let node = DataNode::new(config, start.files, start.seed.clone(), start.now)?;
        Ok(Vaquita::DataNode(Box::new(node)))
    }

    fn build_checkpoint(
        &mut self,
        plan: &CheckpointPlan,
        files: &Files,
    ) -> Result<Vec<u8>, String> {
        state::build_checkpoint(plan, files)
    }

    fn scan(&mut self, disk: &SimDisk) -> Result<(LabelFound, Found), ScanFault> {
        scan::scan_planted(&Cached(disk), self.cluster.planted)
    }

    /// What operators order; see [`orders::parse`].
    fn request(&mut self, text: &str, _: &mut Draw) -> Result<Request, String> {
        let verb = match orders::parse(text)? {
            Ordered::Verb(verb) => verb,
            Ordered::Files(change) => {
                change(&mut self.cluster.files);
                Verb::Reconfigure {
                    config: Box::new(self.configuration()),
                    dry_run: false,
                }
            }
        };
        Ok(Request {
            caller: Caller::CONSOLE,
            verb,
        })
    }

    fn check_request(&self, text: &str) -> Result<(), String> {
        orders::parse(text).map(drop)
    }

    fn status(&self, machine: &Vaquita) -> String {
        match machine {
            Vaquita::Controller(controller) => {
                let (epoch, serving) = controller.epoch();
                let (synced, appended) = controller.log_positions();
                let phase = if serving { "serving" } else { "starting" };
                format!("epoch {epoch} {phase} log {synced}/{appended}")
            }
            Vaquita::Agent(agent) => format!("{} running", agent.running().count()),
            Vaquita::Rebuild(_) => "rebuilding".to_owned(),
            Vaquita::DataNode(node) => {
                let (_, _, epoch, fenced) = node.identity();
                format!(
                    "{} epoch {epoch}{}",
                    node.state().as_str(),
                    if fenced { " fenced" } else { "" }
                )
            }
        }
    }
}
