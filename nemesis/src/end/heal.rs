//! From whatever is left by the faults to a cluster in which all is well, as an operator would bring it about.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use tokio::time::sleep;

use super::ANSWER;
use crate::api::{Api, Member};
use crate::clients::paths;
use crate::cluster::Cluster;
use crate::fault::Who;
use crate::ground::Weather;
use crate::report::{Log, Rule};
use crate::stop::Stop;

/// Time between two looks.
const PERIOD: Duration = Duration::from_millis(100);
/// How long a start may take.
const START: Duration = Duration::from_secs(60);
/// Between two orders about one thing.
const AGAIN: Duration = Duration::from_secs(4);

fn all(cluster: &Cluster) -> Vec<String> {
    let nodes = cluster.deployment.nodes.iter();
    nodes.map(|node| node.alias.clone()).collect()
}

/// Brings up a new cluster: all online, and a directory that takes files through every data node.
pub(crate) async fn begin(cluster: &Cluster, api: &mut Api, stop: &Stop) -> Result<(), String> {
    api.order("nodes/start", &all(cluster), START).await?;
    let begun = Instant::now();
    loop {
        let Err(why) = is_ready(api).await else {
            return Ok(());
        };
        if stop.is_wanted() || begun.elapsed() > START {
            let secs = begun.elapsed().as_secs();
            return Err(format!("the cluster is not ready after {secs} s: {why}"));
        }
        sleep(PERIOD).await;
    }
}

async fn is_ready(api: &mut Api) -> Result<(), String> {
    let members = api.members().await?;
    if let Some(member) = members.iter().find(|it| it.state != "online") {
        return Err(format!("not everything is online: {member:?}"));
    }
    let order = json!({ "path": format!("/{}", paths::DIRECTORY), "parents": true });
    api.post("/api/v1/dfs/mkdir", &order).await.map(drop)
}

/// Puts right what is not, and waits until every member is online and every chunk well.
///
/// # Errors
/// What is not well when the time is over.
pub(crate) async fn heal(
    cluster: &mut Cluster,
    api: &mut Api,
    log: &Log,
    within: Duration,
    stop: &Stop,
) -> Result<Duration, String> {
    let begun = Instant::now();
    cluster.set_weather(Weather::default());
    for from in cluster.ports() {
        for to in cluster.ports() {
            cluster.cut(from, to, false);
        }
    }
    cluster.signal(Who::All, Signal::CONT)?;
    // Whoever can be started is, whatever is to be said of the others.
    if let Err(why) = cluster.revive(Who::All) {
        log.violated(Rule::Running, why);
    }
    let nodes = all(cluster);
    api.order("nodes/start", &nodes, START).await?;
    api.order("nodes/serve", &nodes, START).await?;
    let mut operator = Operator {
        api,
        log,
        acted: BTreeMap::new(),
    };
    loop {
        let (within, what) = match operator.look().await {
            Ok(None) => return Ok(begun.elapsed()),
            Ok(Some(what)) => (within, what),
            // One answer that is late does not say that anything is not well.
            Err(why) => (within + ANSWER, why),
        };
        if begun.elapsed() > within || stop.is_wanted() {
            return Err(format!("after {} s: {what}", begun.elapsed().as_secs()));
        }
        sleep(PERIOD * 2).await;
    }
}

struct Operator<'a> {
    api: &'a mut Api,
    log: &'a Log,
    /// When something was last done about what.
    acted: BTreeMap<String, Instant>,
}

impl Operator<'_> {
    /// What is not well yet; something is done about it where a person would have to.
    ///
    /// # Errors
    /// Why that cannot be told: there was no answer.
    async fn look(&mut self) -> Result<Option<String>, String> {
        let members = self.api.members().await?;
        for member in &members {
            if member.state != "online" {
                self.start(member).await;
                return Ok(Some(format!("{member:?}")));
            }
        }
        let volumes = self.api.get("/api/v1/volumes").await?;
        for volume in volumes.as_array().into_iter().flatten() {
            let state = volume["state"].as_str().unwrap_or_default();
            if !["good", "high", "slow"].contains(&state) {
                if ["missing", "failed"].contains(&state) {
                    let node = volume["node"].as_str().unwrap_or_default();
                    self.act("volumes/rescan", node).await;
                }
                return Ok(Some(format!("volume {volume}")));
            }
        }
        let repair = self.api.get("/api/v1/repair").await?;
        let counts = ["last_copy", "degraded", "misplaced", "leaving", "surplus"];
        let none = counts.iter().all(|name| repair[name] == 0);
        let idle = repair["copies"].as_array().is_some_and(Vec::is_empty);
        let chunks = self.api.chunks(true, Duration::ZERO).await?;
        if none && idle && repair["surveying"] == false && chunks.is_empty() {
            return Ok(None);
        }
        let first = chunks.first();
        Ok(Some(format!(
            "{} chunks, such as {first:?}; repair: {repair}",
            chunks.len()
        )))
    }

    async fn start(&mut self, member: &Member) {
        if ["stopped", "failed"].contains(&member.state.as_str()) && member.mode == "datanode" {
            self.act("nodes/start", &member.alias).await;
        }
    }

    async fn act(&mut self, what: &str, alias: &str) {
        let key = format!("{what} {alias}");
        let lately = self.acted.get(&key).is_some_and(|it| it.elapsed() < AGAIN);
        if lately {
            return;
        }
        self.log.say(format_args!("  an operator orders {key}"));
        self.acted.insert(key, Instant::now());
        let aliases = [alias.to_owned()];
        if let Err(why) = self.api.order(what, &aliases, Duration::ZERO).await {
            self.log.say(format_args!("  and is told: {why}"));
        }
    }
}

/// Orders all data nodes to stop, and waits until none runs.
pub(crate) async fn wait_until_stopped(cluster: &Cluster, api: &mut Api) -> Result<(), String> {
    api.order("nodes/stop", &all(cluster), START).await?;
    let begun = Instant::now();
    while cluster.any_node_runs() {
        if begun.elapsed() > START {
            return Err("data nodes do not stop by order".to_owned());
        }
        sleep(PERIOD).await;
    }
    Ok(())
}
