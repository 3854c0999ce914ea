//! Which addresses and ports of this machine can be had, and who has the others.

use std::net::Ipv4Addr;

use tokio::sync::mpsc;
use vaquita_config::Site;
use vaquita_core::ids::{Alias, Endpoint};
use vaquita_core::process::{PortState, ProcessEvent, ProcessOrder};

use super::layout::Addresses;
use crate::cli::exit::{Failure, Status};
use crate::env::{Env, HostFolders, Processes};

/// The addresses for a new cluster with so many hosts: one a host if this machine has them.
pub(super) async fn choose<E: Env>(
    env: &E,
    subnet: [u8; 3],
    hosts: u8,
) -> Result<Addresses, Failure> {
    let [a, b, c] = subnet;
    let sites: Vec<Site> = (1..=hosts + 1)
        .map(|last| Site {
            host: Ipv4Addr::new(a, b, c, last).to_string(),
            // Any port: what is asked is whether the address is this machine's.
            port: 0,
            alias: format!("host-{last}"),
        })
        .collect();
    if taken(env, &sites).await?.is_empty() {
        Ok(Addresses::OnePerHost { subnet })
    } else {
        Ok(Addresses::OneHost)
    }
}

/// A port of the cluster that cannot be bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// Who wants it.
    pub(super) site: Site,
    /// Why it cannot be had, with the process that has it where that can be told.
    pub(super) why: String,
}

impl std::fmt::Display for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Site { host, port, alias } = &self.site;
        write!(f, "{host}:{port}, which {alias} needs, {}", self.why)
    }
}

/// The ports of these sites that cannot be bound now, in the order of the sites.
///
/// They are probed as an agent probes the port of a node that it is about to start.
pub(super) async fn taken<E: Env>(env: &E, sites: &[Site]) -> Result<Vec<Taken>, Failure> {
    let unprobed = |error: &dyn std::fmt::Display| {
        Failure::new(
            Status::Unavailable,
            format!("the ports of this machine cannot be looked at: {error}"),
        )
    };
    // The folders are for launching, which is not asked for here.
    let folders = HostFolders {
        home: std::env::temp_dir(),
        own_log: None,
        logs: std::env::temp_dir(),
    };
    let processes = env.processes(folders).map_err(|error| unprobed(&error))?;
    let (orders, taken_orders) = mpsc::channel(sites.len().max(1));
    let (events, mut told) = mpsc::channel(sites.len().max(1));
    let probing = tokio::spawn(processes.run(taken_orders, events));
    for site in sites {
        let alias = Alias::new(&site.alias).map_err(|error| unprobed(&error))?;
        let endpoint = Endpoint {
            host: site.host.clone(),
            port: site.port,
        };
        let order = ProcessOrder::ProbePort { alias, endpoint };
        // The channel has room for all of them.
        orders.send(order).await.map_err(|error| unprobed(&error))?;
    }
    let mut found = Vec::new();
    for _ in sites {
        let Some(ProcessEvent::PortProbed { alias, state }) = told.recv().await else {
            return Err(unprobed(&"the probe ended early"));
        };
        let why = match state {
            PortState::Free => continue,
            PortState::Held {
                holder: Some(holder),
            } => format!("is held by {holder}"),
            PortState::Held { holder: None } => "is held by a process that cannot be told".into(),
            PortState::Refused { reason } => format!("cannot be had: {reason}"),
        };
        let site = sites.iter().find(|site| site.alias == alias.as_str());
        found.extend(site.map(|site| Taken {
            site: site.clone(),
            why,
        }));
    }
    drop(orders);
    probing.abort();
    found.sort_by_key(|taken| sites.iter().position(|site| *site == taken.site));
    Ok(found)
}
