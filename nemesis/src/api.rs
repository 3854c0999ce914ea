//! The controller's API, as an operator uses it.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::clients::{Ask, Server};
use crate::stop::Stop;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Time between two tries.
const PERIOD: Duration = Duration::from_millis(100);

/// An operator.
#[derive(Debug)]
pub(crate) struct Api {
    controller: Server,
    /// Nothing is tried again when everything is to end.
    stop: Stop,
}

/// A member as the controller tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) alias: String,
    pub(crate) mode: String,
    pub(crate) state: String,
    pub(crate) reason: String,
    pub(crate) admin: String,
    pub(crate) epoch: Option<u64>,
    pub(crate) pid: Option<u64>,
}

fn text(row: &Value, name: &str) -> String {
    row[name].as_str().unwrap_or_default().to_owned()
}

impl Api {
    /// An operator of the controller at `ADDRESS:PORT`.
    pub(crate) fn of(controller: String, stop: &Stop) -> Self {
        Self {
            controller: Server::at(controller),
            stop: stop.clone(),
        }
    }

    async fn ask(&mut self, ask: &Ask) -> Result<Value, String> {
        let reply = self.controller.ask(ask, PATIENCE).await;
        let reply = reply.map_err(|lost| format!("{}: {}", ask.target, lost.why))?;
        if reply.status.is_success() {
            return Ok(reply.json());
        }
        let message = text(&reply.json()["error"], "message");
        Err(format!("{}: {} {message}", ask.target, reply.told()))
    }

    pub(crate) async fn get(&mut self, target: &str) -> Result<Value, String> {
        self.ask(&Ask::get(target)).await
    }

    /// Asks again and again until there is an answer or the time is over.
    async fn get_within(&mut self, target: &str, within: Duration) -> Result<Value, String> {
        let last = Instant::now() + within;
        loop {
            match self.get(target).await {
                Err(_) if Instant::now() <= last && !self.stop.is_wanted() => sleep(PERIOD).await,
                other => return other,
            }
        }
    }

    pub(crate) async fn post(&mut self, target: &str, order: &Value) -> Result<Value, String> {
        self.ask(&Ask::post(target, order)).await
    }

    /// Gives an order about nodes, again and again until it is taken or the time is over.
    pub(crate) async fn order(
        &mut self,
        what: &str,
        aliases: &[String],
        within: Duration,
    ) -> Result<(), String> {
        let order = json!({ "aliases": aliases });
        let last = Instant::now() + within;
        loop {
            match self.post(&format!("/api/v1/{what}"), &order).await {
                Ok(_) => return Ok(()),
                Err(why) if Instant::now() > last || self.stop.is_wanted() => return Err(why),
                Err(_) => sleep(PERIOD).await,
            }
        }
    }

    /// All members but the controller.
    pub(crate) async fn members(&mut self) -> Result<Vec<Member>, String> {
        let rows = self.get("/api/v1/nodes").await?;
        let rows = rows.as_array().cloned().unwrap_or_default();
        let members = rows.iter().map(|row| Member {
            alias: text(row, "alias"),
            mode: text(row, "mode"),
            state: text(row, "state"),
            reason: text(row, "reason"),
            admin: text(row, "admin"),
            epoch: row["epoch"].as_u64(),
            pid: row["pid"].as_u64(),
        });
        Ok(members.filter(|it| it.mode != "controller").collect())
    }

    /// All chunks, or all that are not well; each page is asked for as long as that.
    pub(crate) async fn chunks(
        &mut self,
        unwell: bool,
        within: Duration,
    ) -> Result<Vec<Value>, String> {
        let mut rows = Vec::new();
        let mut after = String::new();
        loop {
            let target = format!("/api/v1/chunks?unwell={unwell}{after}");
            let mut page = self.get_within(&target, within).await?;
            if let Value::Array(some) = page["rows"].take() {
                rows.extend(some);
            }
            match (page["more"].as_bool(), page["upto"].as_str()) {
                (Some(true), Some(upto)) => after = format!("&after={upto}"),
                _ => return Ok(rows),
            }
        }
    }
}
