//! A configuration that is taken up while the controller runs.
//!
//! The files are the truth and the log knows nothing of them: whoever read them hands over all that they
//! say, and what differs is taken up at once, as a start would take it up. So nothing is lost with a crash: the
//! next start reads the same files.
//!
//! | in the files | what becomes of it |
//! |---|---|
//! | a new row | a member: its agent is let in, and told what to run |
//! | another host or port | taken up if the member is away; else refused |
//! | another configuration of a data node | its agent is told; it counts from the node's next start |
//! | a row that is gone | refused while anything would be lost with it, or somebody may start it |
//! | factor, level, waits, numbers of copies | from now on |
//!
//! Either all of it is taken up, or nothing.

mod leaving;
#[cfg(test)]
mod tests;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use super::Controller;
use super::commit::Continuation;
use super::files::FilesConfig;
use super::members::{self, Member};
use crate::admin::{ConfigurationRow, ReconfiguredRow, Refusal, Reply, Response};
use crate::dfs::digest::Digest;
use crate::event::Event;
use crate::ids::{Alias, Endpoint, RequestId, Role};
use crate::membership::Slot;
use crate::message::RestartPolicy;
use crate::time::Timestamp;
use leaving::Process;

/// What a running controller takes up of its files; all of it, whether it changed or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconfiguration {
    /// The rows of the nodes file, the controller's own left out.
    pub members: Vec<Member>,
    /// See [`ControllerConfig::recovery_wait`](super::ControllerConfig::recovery_wait).
    pub recovery_wait: Option<Duration>,
    /// See [`ControllerConfig::restart`](super::ControllerConfig::restart).
    pub restart: RestartPolicy,
    /// See [`ControllerConfig::restart_stopped`](super::ControllerConfig::restart_stopped).
    pub restart_stopped: bool,
    /// How files are kept.
    pub files: FilesConfig,
}

/// Objections that are told; the others come to light once these are met.
const TOLD_MAX: usize = 5;

/// What is to be done, once nothing speaks against it.
#[derive(Debug, Default)]
struct Plan {
    rows: Vec<ReconfiguredRow>,
    leaving: Vec<Slot>,
    objections: Vec<String>,
}

impl Plan {
    fn note(&mut self, subject: &str, change: &'static str, needs: &'static str, text: String) {
        self.rows.push(ReconfiguredRow {
            subject: subject.to_owned(),
            change,
            needs,
            text,
        });
    }
}

impl Controller {
    /// Takes up a configuration, or says what would come of it.
    pub(super) fn reconfigure(
        &mut self,
        now: Timestamp,
        id: RequestId,
        config: Reconfiguration,
        dry_run: bool,
        by: &str,
    ) -> Option<Reply> {
        if let Err(reason) = self.check_form(&config) {
            return Some(Err(Refusal::Invalid { reason }));
        }
        let mut plan = Plan::default();
        self.plan_members(now, &config.members, &mut plan);
        self.plan_settings(&config, &mut plan);
        if !plan.objections.is_empty() {
            let more = plan.objections.len().saturating_sub(TOLD_MAX);
            plan.objections.truncate(TOLD_MAX);
            let mut reason = plan.objections.join(". ");
            if more > 0 {
                reason = format!("{reason}. And {more} more");
            }
            return Some(Err(Refusal::Conflict { reason }));
        }
        if !dry_run {
            for row in &plan.rows {
                let text = format!("configuration, by {by}: {}", row.text);
                self.out.notify(Event::info("config.taken_up", text));
            }
            self.take_up(now, config, &plan.leaving);
        }
        // A row may go because a removal was recorded: it counts once that is durable.
        let reply = Ok(Response::Reconfigured(plan.rows));
        let index = self.log.appended();
        self.when_synced(now, index, Continuation::Reply { id, reply });
        None
    }

    /// With what each data node runs, and would be started.
    pub(super) fn configurations(&self, now: Timestamp) -> Vec<ConfigurationRow> {
        let listed = self.members.in_order().into_iter();
        let nodes = listed.filter(|&slot| {
            let state = &self.members.all[slot];
            state.member.role == Role::DataNode && !state.orphaned
        });
        nodes
            .map(|slot| {
                let state = &self.members.all[slot];
                let started_with = state.child.as_ref().and_then(|child| child.config);
                ConfigurationRow {
                    alias: state.member.site.alias.clone(),
                    runs: self.process_of(now, slot) != Process::Ended,
                    next: Digest::of(state.member.node_cfg.as_bytes()),
                    started_with,
                }
            })
            .collect()
    }

    /// Whether the rows make sense by themselves. The files were checked before; this is the last to look.
    fn check_form(&self, config: &Reconfiguration) -> Result<(), String> {
        let FilesConfig {
            factor, min_write, ..
        } = config.files;
        if factor == 0 || min_write == 0 || min_write > factor {
            return Err(format!(
                "dfsMinWriteReplicas={min_write} does not go with dfsReplicationFactor={factor}: no write \
                 could ever count"
            ));
        }
        let most = self.limits.members_max;
        if config.members.len() > most {
            let rows = config.members.len();
            return Err(format!(
                "{rows} members are more than the {most} there may be"
            ));
        }
        let mut aliases: BTreeSet<&Alias> = BTreeSet::from([&self.site.alias]);
        let mut endpoints: BTreeSet<&Endpoint> = BTreeSet::from([&self.site.endpoint]);
        for member in &config.members {
            let site = &member.site;
            if member.role == Role::Controller {
                return Err(format!("{} would be a second controller", site.alias));
            }
            if !aliases.insert(&site.alias) || !endpoints.insert(&site.endpoint) {
                return Err(format!(
                    "`{site}` is in cluster.nodes twice, by its name or its place"
                ));
            }
        }
        Ok(())
    }

    fn plan_members(&self, now: Timestamp, rows: &[Member], plan: &mut Plan) {
        let mut added = 0;
        for row in rows {
            let Member { site, role, .. } = row;
            let alias = &site.alias;
            let known = self.members.slot(alias);
            let Some(slot) = known else {
                added += 1;
                let text = format!("{site},{role} is a member from now on");
                plan.note(alias.as_str(), "member-added", "nothing", text);
                continue;
            };
            let state = &self.members.all[slot];
            let member = &state.member;
            if member.role != *role {
                plan.objections.push(format!(
                    "{alias} is known as {}, and cannot become {role}: take its row out first, or give \
                     the new member another name",
                    member.role
                ));
                continue;
            }
            if state.orphaned {
                let text = format!("{site},{role} has its row again");
                plan.note(alias.as_str(), "member-added", "nothing", text);
            }
            if member.site != *site || member.host != row.host {
                match self.why_in_use(now, slot) {
                    Some(why) => plan.objections.push(format!(
                        "{alias} cannot get the site {site} instead of {}: {why}",
                        member.site
                    )),
                    None => {
                        let text = format!("{} is {site} from now on", member.site);
                        plan.note(alias.as_str(), "member-moved", "nothing", text);
                    }
                }
            }
            if !state.orphaned && *role == Role::DataNode && member.node_cfg != row.node_cfg {
                let (needs, text) = match self.process_of(now, slot) {
                    Process::Runs | Process::MayRun(_) => (
                        "node-restart",
                        format!(
                            "{alias} has another configuration, which counts once it is restarted"
                        ),
                    ),
                    Process::Ended => (
                        "nothing",
                        format!(
                            "{alias} has another configuration, which counts at its next start"
                        ),
                    ),
                };
                plan.note(alias.as_str(), "node-configuration", needs, text);
            }
        }
        if self.members.all.len() + added > 2 * self.limits.members_max {
            // Places of members that are gone are kept for those of the same name alone.
            plan.objections.push(
                "too many members have come and gone since the controller started: restart it"
                    .to_owned(),
            );
        }
        let listed: BTreeSet<&Alias> = rows.iter().map(|row| &row.site.alias).collect();
        let nodes = rows.iter().filter(|row| row.role == Role::DataNode);
        // One without a row that runs is stopped by its agent, too.
        let orphans = self.members.orphans();
        let orphans = orphans.filter(|slot| self.process_of(now, *slot) != Process::Ended);
        let orphans = orphans.map(|slot| &self.members.all[slot].member);
        let hosts: BTreeMap<&str, &Alias> = nodes
            .chain(orphans)
            .map(|row| (row.host.as_str(), &row.site.alias))
            .collect();
        let agents = members::agents_by_host(rows.iter().map(|row| (row, &row.site.alias)));
        self.plan_passing(now, rows, &agents, plan);
        for slot in self.members.listed() {
            let state = &self.members.all[slot];
            let Member {
                site, role, host, ..
            } = &state.member;
            if listed.contains(&site.alias) {
                continue;
            }
            let kept = match role {
                Role::DataNode => self.why_kept(now, slot),
                _ => (hosts.get(host.as_str()))
                    .filter(|_| !agents.contains_key(host.as_str()))
                    .map(|node| {
                        format!("{node} on its host could not be started or stopped any more")
                    }),
            };
            match kept {
                Some(why) => {
                    let alias = &site.alias;
                    plan.objections.push(format!(
                        "the row `{site},{role}` is gone, and {alias} cannot go: {why}"
                    ));
                }
                None => {
                    plan.leaving.push(slot);
                    let text = format!("{site},{role} is no member any more");
                    plan.note(site.alias.as_str(), "member-removed", "nothing", text);
                }
            }
        }
    }

    /// A data node that runs stays with the agent that started it: another one would start it once more.
    fn plan_passing(
        &self,
        now: Timestamp,
        rows: &[Member],
        agents: &BTreeMap<&str, &Alias>,
        plan: &mut Plan,
    ) {
        for row in rows.iter().filter(|row| row.role == Role::DataNode) {
            let alias = &row.site.alias;
            let Some((slot, new)) = self
                .members
                .slot(alias)
                .zip(agents.get(row.host.as_str()).copied())
            else {
                continue;
            };
            let state = &self.members.all[slot];
            let present = state.agent.map(|agent| &self.members.all[agent].member);
            let Some(present) = present.filter(|it| it.site.alias != *new) else {
                continue;
            };
            // Another host is another matter.
            if state.member.host == row.host
                && let Some(why) = self.why_in_use(now, slot)
            {
                plan.objections.push(format!(
                    "{alias} cannot pass from its agent {} to {new}, which is the first by name on its \
                     host: {why}",
                    present.site.alias
                ));
            }
        }
    }

    fn plan_settings(&self, config: &Reconfiguration, plan: &mut Plan) {
        let Reconfiguration {
            members: _,
            recovery_wait,
            restart,
            restart_stopped,
            files,
        } = config;
        let mut set = |key: &str, same: bool, value: String| {
            if !same {
                let text = format!("{key} is {value} from now on");
                plan.note(key, "setting", "nothing", text);
            }
        };
        let before = &self.files.config;
        let wait = recovery_wait.map_or(0, |wait| wait.as_millis());
        let same = self.thresholds.lost == *recovery_wait;
        set("dfsRecoveryWaitTime", same, wait.to_string());
        let same = self.restart == *restart;
        let words = match restart {
            RestartPolicy::Backoff => "not set".to_owned(),
            RestartPolicy::Never => "0".to_owned(),
            RestartPolicy::After(ms) => (ms / 1000).to_string(),
        };
        set("datanodeRestartInterval", same, words);
        let same = self.restart_stopped == *restart_stopped;
        let level = if *restart_stopped { "OFFLINE" } else { "CRASH" };
        set("datanodeRestartLevel", same, level.to_owned());
        let number = |key: &str, before: usize, now: usize| (key.to_owned(), before == now, now);
        for (key, same, now) in [
            number("dfsReplicationFactor", before.factor, files.factor),
            number("dfsMinWriteReplicas", before.min_write, files.min_write),
            number(
                "dfsRecoveryConcurrency",
                before.recovery_concurrency,
                files.recovery_concurrency,
            ),
            number(
                "dfsRebalanceConcurrency",
                before.rebalance_concurrency,
                files.rebalance_concurrency,
            ),
        ] {
            set(&key, same, now.to_string());
        }
        let same = before.level == files.level;
        set(
            "dfsReplicaReliabilityLevel",
            same,
            files.level.number().to_string(),
        );
    }

    fn take_up(&mut self, now: Timestamp, config: Reconfiguration, leaving: &[Slot]) {
        let Reconfiguration {
            members,
            recovery_wait,
            restart,
            restart_stopped,
            files,
        } = config;
        self.thresholds.lost = recovery_wait;
        self.detector.wait_for_lost(recovery_wait);
        self.restart = restart;
        self.restart_stopped = restart_stopped;
        self.files.reconfigure(files);
        for &slot in leaving {
            self.take_out(now, slot);
        }
        for (rank, member) in members.into_iter().enumerate() {
            let slot = self.members.take_row(rank, member, now);
            if slot == self.detector.len() {
                self.detector.add(now);
                self.files.add_member();
                self.figures.add_member();
            }
        }
        self.members.assign_agents();
        let data_nodes: Vec<Slot> = self.members.data_nodes().collect();
        for slot in data_nodes {
            self.refresh_place(now, slot);
        }
        self.files.survey();
        self.tell_agents(now);
    }

    /// A member is none any more.
    fn take_out(&mut self, now: Timestamp, slot: Slot) {
        self.let_go(now, slot);
        if let Some(conn) = self.members.all[slot].probing.conn.take() {
            self.links.close(conn, &mut self.out);
        }
        self.members.dismiss(slot);
        self.files.forget_place(slot);
        self.figures.forget_member(slot);
    }
}
