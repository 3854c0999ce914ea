//! What the API says while things happen: it may say that something is away, and never what cannot be.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use crate::api::{Api, Member};
use crate::report::{Log, Rule};

/// Time between two looks.
const PERIOD: Duration = Duration::from_millis(200);
/// The chunks are looked at once in so many looks.
const CHUNKS_IN: u64 = 10;

/// What was seen so far.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    epochs: BTreeMap<String, u64>,
    committed: u64,
    /// Looks that were answered.
    pub(crate) looks: u64,
    /// Registrations that followed another one of the same member.
    pub(crate) registered_anew: u64,
}

impl Watch {
    /// Looks again and again until it is over.
    pub(crate) async fn look(mut self, mut api: Api, log: &Log, over: &AtomicBool) -> Self {
        let mut round = 0_u64;
        while !over.load(Ordering::SeqCst) {
            round += 1;
            if let Err(what) = self.once(&mut api, round.is_multiple_of(CHUNKS_IN)).await {
                log.violated(Rule::Consistent, what);
            }
            sleep(PERIOD).await;
        }
        self
    }

    async fn once(&mut self, api: &mut Api, chunks: bool) -> Result<(), String> {
        // A controller that is away, or not ready, says nothing.
        if let Ok(members) = api.members().await {
            self.looks += 1;
            self.members(&members)?;
        }
        if let Ok(status) = api.get("/api/v1/status").await {
            self.status(&status)?;
        }
        if chunks && let Ok(page) = api.get("/api/v1/chunks?limit=200").await {
            let rows = page["rows"].as_array().cloned().unwrap_or_default();
            rows.iter().try_for_each(apart)?;
        }
        Ok(())
    }

    /// Epochs grow, no two members have one, and no member is there twice.
    fn members(&mut self, members: &[Member]) -> Result<(), String> {
        let mut of_epoch: BTreeMap<u64, &str> = BTreeMap::new();
        let mut there: BTreeMap<&str, &Member> = BTreeMap::new();
        for member in members {
            let alias = member.alias.as_str();
            if let Some(other) = there.insert(alias, member) {
                return Err(format!("{alias} is listed twice: {other:?} and {member:?}"));
            }
            let is_online = member.state == "online";
            let Some(epoch) = member.epoch else {
                if is_online {
                    return Err(format!(
                        "{alias} is online without a registration: {member:?}"
                    ));
                }
                continue;
            };
            if let Some(other) = of_epoch.insert(epoch, alias) {
                return Err(format!(
                    "{alias} and {other} both have registration {epoch}"
                ));
            }
            let known = self.epochs.entry(alias.to_owned()).or_insert(epoch);
            if epoch < *known {
                return Err(format!(
                    "the registration of {alias} went from {known} to {epoch}"
                ));
            }
            self.registered_anew += u64::from(epoch > *known);
            *known = epoch;
        }
        Ok(())
    }

    /// What was durable stays so, whoever is the controller now.
    fn status(&mut self, status: &Value) -> Result<(), String> {
        let Some(committed) = status["commit_index"].as_u64() else {
            return Ok(());
        };
        if committed < self.committed {
            return Err(format!(
                "the newest synced record of the log was {} and is {committed}",
                self.committed
            ));
        }
        self.committed = committed;
        Ok(())
    }
}

/// The host of a data node, by its name.
pub(crate) fn host_of(alias: &str) -> &str {
    alias.split('-').next().unwrap_or(alias)
}

/// No two replicas of a chunk are on one host.
pub(crate) fn apart(chunk: &Value) -> Result<(), String> {
    let replicas = chunk["replicas"].as_array().cloned().unwrap_or_default();
    let nodes = replicas.iter().filter_map(|it| it["node"].as_str());
    let mut hosts: Vec<&str> = nodes.map(host_of).collect();
    let count = hosts.len();
    hosts.sort_unstable();
    hosts.dedup();
    if hosts.len() == count {
        Ok(())
    } else {
        Err(format!("replicas of a chunk share a host: {chunk}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn member(alias: &str, epoch: Option<u64>) -> Member {
        Member {
            alias: alias.to_owned(),
            mode: "datanode".to_owned(),
            state: "online".to_owned(),
            reason: String::new(),
            admin: "none".to_owned(),
            epoch,
            pid: Some(1),
        }
    }

    #[test]
    fn a_registration_that_goes_back_or_is_anothers_is_found() {
        let mut watch = Watch::default();
        assert!(watch.members(&[member("a", Some(3))]).is_ok());
        assert!(watch.members(&[member("a", Some(5))]).is_ok());
        assert!(watch.members(&[member("a", Some(4))]).is_err());
        assert!(
            watch
                .members(&[member("b", Some(6)), member("c", Some(6))])
                .is_err()
        );
        assert!(
            watch
                .members(&[member("d", Some(7)), member("d", Some(8))])
                .is_err()
        );
        assert!(watch.members(&[member("e", None)]).is_err());
    }

    #[test]
    fn a_log_that_goes_back_is_found() {
        let mut watch = Watch::default();
        assert!(watch.status(&json!({ "commit_index": 9 })).is_ok());
        assert!(watch.status(&json!({ "commit_index": null })).is_ok());
        assert!(watch.status(&json!({ "commit_index": 8 })).is_err());
    }

    #[test]
    fn replicas_that_share_a_host_are_found() {
        let chunk = |nodes: [&str; 2]| {
            let replicas = nodes.map(|node| json!({ "node": node, "state": "good" }));
            json!({ "replicas": replicas })
        };
        assert!(apart(&chunk(["P1-NODE1", "P2-NODE1"])).is_ok());
        assert!(apart(&chunk(["P1-NODE1", "P1-NODE2"])).is_err());
    }
}
