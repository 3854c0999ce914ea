//! What the API says while things happen: it may say that something is away, and never what cannot be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use crate::api::{Api, Member};
use crate::report::{Log, Rule};

/// Time between two looks.
const PERIOD: Duration = Duration::from_millis(200);
/// A page of chunks is looked at once in so many looks.
const CHUNKS_IN: u64 = 5;

/// What was seen so far.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    epochs: BTreeMap<String, u64>,
    committed: u64,
    /// The chunk after which the next page begins; the first page for nothing.
    upto: Option<String>,
    /// What was told already.
    told: BTreeSet<String>,
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
            let looked = self.once(&mut api, round.is_multiple_of(CHUNKS_IN)).await;
            if let Err((rule, what)) = looked {
                // What stays as it is would be found again each time.
                if self.told.insert(what.clone()) {
                    log.violated(rule, what);
                }
            }
            sleep(PERIOD).await;
        }
        self
    }

    async fn once(&mut self, api: &mut Api, chunks: bool) -> Result<(), (Rule, String)> {
        let of = |rule| move |what| (rule, what);
        // A controller that is away, or not ready, says nothing.
        if let Ok(members) = api.members().await {
            self.looks += 1;
            self.members(&members).map_err(of(Rule::Consistent))?;
        }
        if let Ok(status) = api.get("/api/v1/status").await {
            self.status(&status).map_err(of(Rule::Consistent))?;
        }
        if chunks && let Ok(page) = api.get(&self.next_page()).await {
            self.page(&page).map_err(of(Rule::Placed))?;
        }
        Ok(())
    }

    fn next_page(&self) -> String {
        let after = self.upto.as_ref().map(|upto| format!("&after={upto}"));
        format!("/api/v1/chunks?limit=200{}", after.unwrap_or_default())
    }

    /// No two replicas are on one host; the next page is looked at the next time, and the first after the last.
    fn page(&mut self, page: &Value) -> Result<(), String> {
        let more = page["more"].as_bool() == Some(true);
        self.upto = page["upto"].as_str().filter(|_| more).map(str::to_owned);
        let rows = page["rows"].as_array().into_iter().flatten();
        rows.map(apart).fold(Ok(()), Result::and)
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
            let known = self.epochs.insert(alias.to_owned(), epoch);
            let known = known.unwrap_or(epoch);
            if epoch < known {
                return Err(format!(
                    "the registration of {alias} went from {known} to {epoch}"
                ));
            }
            self.registered_anew += u64::from(epoch > known);
        }
        Ok(())
    }

    /// What was durable stays so, whoever is the controller now.
    fn status(&mut self, status: &Value) -> Result<(), String> {
        let Some(committed) = status["commit_index"].as_u64() else {
            return Ok(());
        };
        let known = std::mem::replace(&mut self.committed, committed);
        if committed < known {
            return Err(format!(
                "the newest synced record of the log was {known} and is {committed}"
            ));
        }
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
        // Told once.
        assert!(watch.members(&[member("a", Some(4))]).is_ok());
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
        assert!(watch.status(&json!({ "commit_index": 8 })).is_ok());
    }

    #[test]
    fn chunks_are_looked_at_page_by_page_and_then_from_the_first_again() {
        let row =
            |one: &str, other: &str| json!({ "replicas": [{ "node": one }, { "node": other }] });
        let good = row("P1-NODE1", "P2-NODE1");
        let bad = row("P1-NODE1", "P1-NODE2");
        let mut watch = Watch::default();
        let first = json!({ "rows": [good.clone()], "more": true, "upto": "0a" });
        assert_eq!(watch.next_page(), "/api/v1/chunks?limit=200");
        assert!(watch.page(&first).is_ok());
        assert_eq!(watch.next_page(), "/api/v1/chunks?limit=200&after=0a");
        let last = json!({ "rows": [bad, good], "more": false, "upto": "0b" });
        assert!(watch.page(&last).is_err());
        assert_eq!(watch.next_page(), "/api/v1/chunks?limit=200");
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
