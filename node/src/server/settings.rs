//! From resolved settings to what the machines are started with.
//!
//! The configuration knows texts and where they come from, the core knows typed values; this is the
//! only place where the one becomes the other.

use std::path::PathBuf;
use std::time::Duration;

use vaquita_config::{
    ClusterFiles, Mode, Resolved, Site as ConfiguredSite, render_node_cfg, resolve_node,
};
use vaquita_core::controller::{Bootstrap, ControllerConfig, FilesConfig, Member, Reconfiguration};
use vaquita_core::datanode::VolumesConfig;
use vaquita_core::dfs::placement::{ReliabilityLevel, VolumeRules};
use vaquita_core::ids::{Alias, Endpoint, HostId, Role, Site};
use vaquita_core::io::{ExitCode, ExitReason};
use vaquita_core::limits::Limits;
use vaquita_core::message::RestartPolicy;
use vaquita_core::planted::Planted;
use vaquita_core::process::ProcessIdentity;
use vaquita_core::secret::ClusterSecret;
use vaquita_core::uplink::NodeFacts;

use crate::data::DataSettings;
use crate::driver::DriverLimits;

/// The version of this program, as it is told to others.
pub(super) const BUILD: &str = env!("CARGO_PKG_VERSION");

fn usage(message: String) -> ExitReason {
    ExitReason {
        code: ExitCode::Usage,
        message,
    }
}

/// A site of the configuration as the core has it.
///
/// # Errors
/// If the alias is none.
pub(super) fn site(configured: &ConfiguredSite) -> Result<Site, ExitReason> {
    Ok(Site {
        endpoint: Endpoint {
            host: configured.host.clone(),
            port: configured.port,
        },
        alias: Alias::new(&configured.alias).map_err(|error| usage(error.to_string()))?,
    })
}

/// The site under this key.
///
/// # Errors
/// If there is none.
pub(super) fn site_of(settings: &Resolved, key: &str) -> Result<Site, ExitReason> {
    match settings.site(key) {
        Some(configured) => site(configured),
        None => Err(usage(format!(
            "{key} is not set: write a line such as `{key}=10.1.1.7:8990:master`, or give it on the \
             command line"
        ))),
    }
}

/// What an agent or a data node knows before it starts.
///
/// # Errors
/// If a site is missing.
pub(super) fn node_facts(
    settings: &Resolved,
    role: Role,
    host: HostId,
    process: ProcessIdentity,
) -> Result<NodeFacts, ExitReason> {
    Ok(NodeFacts {
        site: site_of(settings, "localSite")?,
        role,
        controller_site: site_of(settings, "controllerSite")?,
        lan_cluster: settings.flag("lanCluster").unwrap_or(true),
        host,
        process,
        build: BUILD.to_owned(),
    })
}

/// What a data node's data plane is made of.
///
/// # Errors
/// If the site is missing.
pub(super) fn data(
    settings: &Resolved,
    secret: Option<ClusterSecret>,
    limits: &DriverLimits,
) -> Result<DataSettings, ExitReason> {
    Ok(DataSettings {
        alias: site_of(settings, "localSite")?.alias,
        build: BUILD.to_owned(),
        secret,
        volumes: volume_paths(settings).iter().map(PathBuf::from).collect(),
        limits: limits.data.clone(),
    })
}

/// What a controller is started with.
///
/// # Errors
/// If a site is missing, or a setting of a data node cannot be written down.
pub(super) fn controller(
    files: &ClusterFiles,
    settings: &Resolved,
    secret: Option<ClusterSecret>,
    bootstrap: Option<Bootstrap>,
) -> Result<ControllerConfig, ExitReason> {
    let own = site_of(settings, "localSite")?;
    let timeout = settings.duration("dfsChunkNodeHeartBeatTimeout");
    let Reconfiguration {
        members,
        recovery_wait,
        restart,
        restart_stopped,
        files: kept,
    } = reconfiguration(files, settings, &own)?;
    Ok(ControllerConfig {
        members,
        site: own,
        heartbeat_timeout: timeout.unwrap_or(Duration::from_secs(8)),
        recovery_wait,
        lan_cluster: settings.flag("lanCluster").unwrap_or(true),
        restart,
        restart_stopped,
        secret,
        bootstrap,
        files: kept,
        mirrors: count(settings, "metaMirrors").unwrap_or(2),
        build: BUILD.to_owned(),
        limits: Limits::default(),
        planted: Planted::default(),
    })
}

/// What a controller of that site takes up while it runs.
///
/// # Errors
/// As for [`controller`].
pub(super) fn reconfiguration(
    files: &ClusterFiles,
    settings: &Resolved,
    own: &Site,
) -> Result<Reconfiguration, ExitReason> {
    let recovery_wait = settings
        .duration("dfsRecoveryWaitTime")
        .filter(|wait| !wait.is_zero());
    Ok(Reconfiguration {
        members: members(files, own)?,
        recovery_wait,
        restart: restart_policy(settings),
        restart_stopped: settings.word("datanodeRestartLevel") == Some("OFFLINE"),
        files: files_config(settings)?,
    })
}

/// How files are kept.
///
/// # Errors
/// If more replicas are asked for a write than a chunk is to have.
fn files_config(settings: &Resolved) -> Result<FilesConfig, ExitReason> {
    let factor = count(settings, "dfsReplicationFactor").unwrap_or(2);
    let min_write = count(settings, "dfsMinWriteReplicas").unwrap_or(factor.min(2));
    if min_write > factor {
        return Err(usage(format!(
            "dfsMinWriteReplicas={min_write} is more than dfsReplicationFactor={factor}: no write \
             could ever count; lower the one or raise the other in controller.cfg"
        )));
    }
    let level = settings
        .integer("dfsReplicaReliabilityLevel")
        .and_then(|number| u8::try_from(number).ok())
        .and_then(ReliabilityLevel::from_number)
        .unwrap_or_default();
    Ok(FilesConfig {
        factor,
        min_write,
        level,
        recovery_concurrency: count(settings, "dfsRecoveryConcurrency").unwrap_or(8),
        rebalance_concurrency: count(settings, "dfsRebalanceConcurrency").unwrap_or(8),
    })
}

/// Where a data node keeps its chunks.
pub(super) fn volumes(settings: &Resolved) -> VolumesConfig {
    let rules = VolumeRules::default();
    let choice = match settings.float("volumeUsageThreshold") {
        Some(share) => rules.with_usage_threshold(basis_points(share)),
        None => rules,
    };
    VolumesConfig {
        paths: volume_paths(settings),
        data_sync: settings.flag("dataSync").unwrap_or(true),
        choice,
        scrub_period: settings.duration("scrubPeriod").unwrap_or_default(),
    }
}

/// The directories of the volumes, each in one spelling: a node knows a volume again by its path,
/// and `/VOL1/` is `/VOL1`.
fn volume_paths(settings: &Resolved) -> Vec<String> {
    let paths = settings.paths("volumes").unwrap_or_default().iter();
    paths
        .map(|path| {
            let path: PathBuf = PathBuf::from(path).components().collect();
            path.display().to_string()
        })
        .collect()
}

/// A share of the whole in ten-thousandths.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share between 0 and 1"
)]
fn basis_points(share: f64) -> u64 {
    (share.clamp(0.0, 1.0) * 10_000.0).round() as u64
}

fn restart_policy(settings: &Resolved) -> RestartPolicy {
    let given = settings
        .setting("datanodeRestartInterval")
        .is_some_and(|it| it.is_set());
    match settings
        .duration("datanodeRestartInterval")
        .filter(|_| given)
    {
        None => RestartPolicy::Backoff,
        Some(interval) if interval.is_zero() => RestartPolicy::Never,
        Some(interval) => {
            RestartPolicy::After(u64::try_from(interval.as_millis()).unwrap_or(u64::MAX))
        }
    }
}

/// The agents and data nodes of the nodes file, each data node with its whole configuration.
fn members(files: &ClusterFiles, controller: &Site) -> Result<Vec<Member>, ExitReason> {
    let Some(nodes) = &files.nodes else {
        return Ok(Vec::new());
    };
    let mut members = Vec::new();
    for row in &nodes.value.members {
        let role = match row.mode {
            Mode::Agent => Role::Agent,
            Mode::Datanode => Role::DataNode,
            Mode::Controller | Mode::Computenode | Mode::Single => continue,
        };
        let node_cfg = match role {
            Role::DataNode => {
                let agent = nodes
                    .value
                    .agent_of(&row.site.host)
                    .map(|agent| &agent.site);
                node_cfg(files, &row.site, agent, controller)?
            }
            Role::Agent | Role::Controller => String::new(),
        };
        members.push(Member {
            site: site(&row.site)?,
            role,
            host: row.site.host.clone(),
            node_cfg,
        });
    }
    Ok(members)
}

/// The file that a data node's agent will write for it.
fn node_cfg(
    files: &ClusterFiles,
    node: &ConfiguredSite,
    agent: Option<&ConfiguredSite>,
    controller: &Site,
) -> Result<String, ExitReason> {
    let resolved =
        resolve_node(&node.alias, files, &[], None).map_err(|error| usage(error.to_string()))?;
    let mut settings = resolved.order();
    settings.retain(|(key, _)| key != "controllerSite" && key != "agentSite");
    settings.push(("controllerSite".to_owned(), controller.to_string()));
    if let Some(agent) = agent {
        settings.push(("agentSite".to_owned(), agent.to_string()));
    }
    render_node_cfg(&settings).map_err(|error| usage(format!("{}: {error}", node.alias)))
}

/// The driver's bounds that follow from the settings.
#[must_use]
pub(super) fn driver_limits(settings: &Resolved, memory_bytes: Option<u64>) -> DriverLimits {
    let mut limits = DriverLimits::default();
    if let Some(connections) = count(settings, "maxConnections") {
        limits.connections_max = connections;
        let members = connections.saturating_add(limits.beyond_max);
        limits.node_connections_max = limits.node_connections_max.min(members);
        limits.http_connections_max = limits.http_connections_max.min(connections);
    }
    if let Some(workers) = count(settings, "workerNum") {
        // Jobs that the request workers take are requests, for now.
        limits.requests_max = workers.saturating_mul(REQUESTS_PER_WORKER);
        limits.workers = workers;
    }
    limits.memory_max = settings.size("maxMemSize").unwrap_or(0);
    if let Some(share) = memory_share(settings, memory_bytes) {
        let per_connection = share / limits.connections_max.max(1);
        limits.send_queue_bytes = limits
            .send_queue_bytes
            .min(per_connection.max(SEND_QUEUE_MIN));
        let most = limits.data.serve_bytes + limits.data.send_bytes;
        limits.data = limits.data.with_memory(share.min(most));
    }
    if let Some(level) = settings.integer("diskIOConcurrencyLevel") {
        // 0 leaves it to the request workers, which are not the ones that wait for disks here.
        limits.data.disk_concurrency = usize::try_from(level)
            .ok()
            .filter(|&level| level > 0)
            .unwrap_or_else(|| count(settings, "workerNum").unwrap_or(1));
    }
    limits
}

/// Requests that may wait for each worker.
const REQUESTS_PER_WORKER: usize = 64;
/// Bytes that a connection may always have waiting: the longest message.
const SEND_QUEUE_MIN: usize = 2 << 20;

/// A quarter of `maxMemSize`, which is no more than the host has, in bytes.
fn memory_share(settings: &Resolved, memory_bytes: Option<u64>) -> Option<usize> {
    let asked = settings.size("maxMemSize").filter(|bytes| *bytes > 0)?;
    let allowed = memory_bytes.map_or(asked, |memory| asked.min(memory));
    usize::try_from(allowed / 4).ok()
}

/// A setting that counts something, if it is above zero.
#[must_use]
pub(super) fn count(settings: &Resolved, key: &str) -> Option<usize> {
    settings
        .integer(key)
        .and_then(|number| usize::try_from(number).ok())
        .filter(|&it| it > 0)
}
