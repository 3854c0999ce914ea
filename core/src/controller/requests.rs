//! What people and programs ask of the controller.

use core::time::Duration;

use super::commit::Continuation;
use super::files::Asker;
use super::members::{ORPHANED, Presence};
use super::{Controller, JobPurpose, LogReadWaiting, Phase};
use crate::access::{Identity, Step, Writing, deed};
use crate::admin::{
    Caller, LogRange, NodeRow, NodeState, OrderRow, Refusal, Reply, Request, Response, Selection,
    StatusReport, Verb,
};
use crate::event::Event;
use crate::ids::{Alias, JobId, LogIndex, RequestId, Role};
use crate::io::{Effect, JobOutcome};
use crate::membership::Slot;
use crate::message::{ChildPhase, LogRead, Message, ReadLog};
use crate::process::{ProcessEvent, ProcessOrder};
use crate::state::{NodeDesired, Record};
use crate::time::Timestamp;

/// Entries of the audit told in one answer.
const AUDIT_PAGE_MAX: u32 = 1000;

impl Controller {
    pub(super) fn request(&mut self, now: Timestamp, id: RequestId, request: Request) {
        if let Some(reply) = self.try_request(now, id, request) {
            self.reply(id, reply);
        }
    }

    /// Answers a request, or returns `None` if the answer comes later.
    fn try_request(&mut self, now: Timestamp, id: RequestId, request: Request) -> Option<Reply> {
        let Request { caller, verb } = request;
        // Who may not ask learns nothing else.
        let identity = match self.access.authorize(&self.state.access, &caller, &verb) {
            Ok(identity) => identity,
            Err(refusal) => {
                self.audit_at_the_door(now, &caller, deed(&verb).as_ref(), &refusal);
                return Some(Err(refusal));
            }
        };
        if self.phase != Phase::Serving {
            let reason = "the controller is starting: its log is not open yet".to_owned();
            return Some(Err(Refusal::Unavailable { reason }));
        }
        if matches!(verb, Verb::Login { .. }) && self.state.access.is_empty() {
            // Not "wrong password", which it would be once the account is there.
            let reason = "the controller is starting: its first account is being made".to_owned();
            return Some(Err(Refusal::Unavailable { reason }));
        }
        if self.waiting.len() + self.jobs.len() >= self.limits.pending_requests {
            let reason = "too many requests wait for the disk".to_owned();
            let retry_after = Duration::from_secs(1);
            return Some(Err(Refusal::Busy {
                reason,
                retry_after,
            }));
        }
        if let Verb::Dfs(ask) = verb {
            return self
                .ask_files_for(now, &caller, &identity, Asker::Here(id), ask)
                .map(|result| result.map(Response::Dfs));
        }
        let deed = deed(&verb);
        if let Some(refusal) = self.refused_unaudited(deed.as_ref()) {
            return Some(Err(refusal));
        }
        let Some(deed) = deed else {
            return self.carry_out(now, id, &caller, &identity, verb);
        };
        let entry = self.draft(&caller, &identity, &deed);
        if let Some(refusal) = self.refused_for_many(now, &identity, &deed) {
            self.count_refusal(now, *entry, &refusal);
            return Some(Err(refusal));
        }
        let goes_first = match deed.writing {
            Writing::WithChange => false,
            Writing::First => true,
            Writing::FirstAtTimes => self.is_new_look(now, &entry),
        };
        if goes_first {
            let request = Box::new(Request { caller, verb });
            let then = Continuation::Audited {
                id,
                request,
                identity,
            };
            let (index, ordered) = self.write_first(now, entry);
            self.note_ordered(id, ordered);
            self.when_synced(now, index, then);
            return None;
        }
        if deed.writing == Writing::WithChange {
            self.auditing.set(now, Some(entry.clone()));
        }
        let reply = self.carry_out(now, id, &caller, &identity, verb);
        self.auditing.clear();
        if let Some(Err(refusal)) = &reply {
            self.audit_refusal(now, *entry, refusal);
        }
        reply
    }

    /// Carries out what somebody may order, or answers a question.
    pub(super) fn carry_out(
        &mut self,
        now: Timestamp,
        id: RequestId,
        caller: &Caller,
        identity: &Identity,
        verb: Verb,
    ) -> Option<Reply> {
        match verb {
            Verb::Status => Some(Ok(Response::Status(Box::new(self.status(now))))),
            Verb::ListNodes => Some(Ok(Response::Nodes(self.rows_with_figures(now)))),
            Verb::Figures { node, names } => {
                let charts = self.charts(now, caller, node.as_deref(), &names);
                Some(charts.map(Response::Figures))
            }
            Verb::StartNodes(selection) => self.order(now, id, &selection, true),
            Verb::StopNodes(selection) => self.order(now, id, &selection, false),
            Verb::ReplaceNode { node } => self.replace_node(now, id, &node),
            Verb::RemoveNode { node, accept_loss } => {
                let by = identity.name().to_owned();
                self.remove_node(now, id, &node, accept_loss.as_deref(), by)
            }
            Verb::ListConfigurations => {
                Some(Ok(Response::Configurations(self.configurations(now))))
            }
            Verb::Reconfigure { config, dry_run } => {
                let by = identity.name().to_owned();
                self.reconfigure(now, id, *config, dry_run, &by)
            }
            Verb::SetDuty { nodes, duty } => self.set_duty(now, id, &nodes, duty),
            Verb::RescanVolumes(nodes) => self.rescan_volumes(now, id, &nodes),
            Verb::AdoptVolume { node, path } => {
                self.adopt_volume(now, id, &node, path, identity.clone())
            }
            Verb::ForgetVolume { node, path } => self.forget_volume(now, id, &node, path),
            Verb::SetVolumeDuty { node, path, drain } => {
                let by = identity.name().to_owned();
                self.set_volume_duty(now, id, &node, &path, drain, by)
            }
            Verb::ReadLog {
                alias,
                generation,
                range,
            } => self.read_log(now, id, alias, generation, range),
            Verb::ListAudit(mut query) => {
                query.limit = query.limit.clamp(1, AUDIT_PAGE_MAX);
                let page = self.state.audit.page(&query, self.log.synced());
                Some(Ok(Response::Audit(page)))
            }
            Verb::NoteRefusal { what, right } => {
                self.audit_at_the_gate(now, caller, identity, &what, right);
                Some(Ok(Response::Done))
            }
            other => {
                let aliases = self.members.aliases();
                let step = self.access.begin(
                    now,
                    &self.state.access,
                    identity,
                    caller,
                    other,
                    &aliases,
                    &mut self.secrets,
                );
                let reply = self.follow(now, id, step);
                self.tend_setup_code();
                reply
            }
        }
    }

    /// Takes the step that the access rules ask for.
    fn follow(&mut self, now: Timestamp, id: RequestId, step: Step) -> Option<Reply> {
        self.complete_entry(&step);
        match step {
            Step::Reply(reply) => Some(reply),
            Step::Compute(work, pending) => {
                let job = self.out.job(work);
                let entry = self.auditing.take();
                self.jobs
                    .insert(job, JobPurpose::Access(id, pending, entry));
                None
            }
            Step::Append(records, reply) => {
                let mut index = LogIndex(0);
                for record in records {
                    index = self.append(&Record::Access(record));
                }
                self.when_synced(
                    now,
                    index,
                    Continuation::Reply {
                        id,
                        reply: Ok(reply),
                    },
                );
                None
            }
        }
    }

    pub(super) fn job_done(&mut self, now: Timestamp, job: JobId, outcome: JobOutcome) {
        match (self.jobs.remove(&job), outcome) {
            (None, _) => {}
            (Some(JobPurpose::FirstPassword), JobOutcome::PasswordHashed(hash)) => {
                if self.state.access.is_empty() {
                    for record in crate::access::initial_records(hash) {
                        self.append(&Record::Access(record));
                    }
                    let text = "the first account is `admin` with the password 123456; it may do \
                                nothing but change it: `vaquita user passwd admin`";
                    self.out
                        .notify(Event::warning("access.first_account", text));
                    self.tend_setup_code();
                }
            }
            (Some(JobPurpose::FirstPassword), _) => {
                let password = crate::access::first_password();
                let job = self.out.job(crate::io::Job::HashPassword { password });
                self.jobs.insert(job, JobPurpose::FirstPassword);
            }
            (Some(JobPurpose::Access(id, pending, entry)), outcome) => {
                let step = self.access.finish(
                    now,
                    &self.state.access,
                    pending,
                    outcome,
                    &mut self.secrets,
                );
                self.auditing.set(now, entry.clone());
                let reply = self.follow(now, id, step);
                self.auditing.clear();
                if let (Some(Err(refusal)), Some(entry)) = (&reply, entry) {
                    self.audit_refusal(now, *entry, refusal);
                }
                if let Some(reply) = reply {
                    self.reply(id, reply);
                }
                self.tend_setup_code();
            }
            (Some(JobPurpose::Checkpoint), JobOutcome::CheckpointBuilt(Ok(bytes))) => {
                if let Err(fault) = self.log.checkpoint_built(bytes) {
                    let text = format!("the checkpoint is not what was asked for: {fault}");
                    self.out
                        .notify(Event::error("metalog.checkpoint_failed", text));
                }
            }
            (Some(JobPurpose::Mirror(slot)), JobOutcome::PieceRead(outcome)) => {
                self.mirror_read(now, slot, job, outcome);
            }
            (Some(JobPurpose::Mirror(slot)), _) => {
                let fault = "nobody has the time to read the log".to_owned();
                self.mirror_read(now, slot, job, Err(fault));
            }
            (Some(JobPurpose::Checkpoint), JobOutcome::CheckpointBuilt(Err(reason))) => {
                self.log.checkpoint_failed();
                let text = format!("the checkpoint could not be built: {reason}; the log goes on");
                self.out
                    .notify(Event::warning("metalog.checkpoint_failed", text));
            }
            (Some(JobPurpose::Checkpoint), _) => self.log.checkpoint_failed(),
        }
    }

    // ---- orders for data nodes ----

    fn order(
        &mut self,
        now: Timestamp,
        id: RequestId,
        selection: &Selection,
        run: bool,
    ) -> Option<Reply> {
        let mut slots = match self.selected(selection) {
            Ok(slots) => slots,
            Err(refusal) => return Some(Err(refusal)),
        };
        if run && let Some(refusal) = self.refused_start(selection, &mut slots) {
            return Some(Err(refusal));
        }
        let mut rows = Vec::new();
        let mut index = LogIndex(0);
        for slot in slots {
            let alias = self.members.all[slot].member.site.alias.clone();
            let (changed, note) = self.order_note(now, slot, run);
            if changed {
                let desired = NodeDesired {
                    alias: alias.clone(),
                    run,
                };
                index = self.append(&Record::NodeDesired(desired));
            }
            rows.push(OrderRow {
                alias,
                changed,
                note,
            });
        }
        self.when_synced(now, index, Continuation::Ordered { id, rows });
        None
    }

    /// Whether an order changes anything for a node, and what will happen.
    fn order_note(&self, now: Timestamp, slot: Slot, run: bool) -> (bool, String) {
        let member = &self.members.all[slot];
        let (state, reason) = self.outlook(now).state(slot);
        let order = self.state.orders.get(&member.member.site.alias);
        let same = order.is_some_and(|order| order.run == run);
        let settled = match state {
            NodeState::Online | NodeState::Joining => run,
            // Somebody may have ended the node by hand while its agent was away, and only a new
            // order outweighs that. So the agent's word is needed that this one is being followed.
            NodeState::Starting => run && self.agent_follows(slot),
            NodeState::Stopped | NodeState::Stopping => !run,
            _ => false,
        };
        if same && settled {
            return (false, format!("is {} already", state.as_str()));
        }
        let agent = member.agent.map(|agent| &self.members.all[agent]);
        let note = match agent {
            None => format!(
                "no agent on host {} in cluster.nodes: start or stop it by hand there",
                member.member.site.endpoint.host
            ),
            Some(agent) if agent.presence == Presence::Away => {
                let why = if reason.is_empty() {
                    String::new()
                } else {
                    format!(": {reason}")
                };
                format!(
                    "ordered; its agent {} is not connected and will carry it out when it is{why}",
                    agent.member.site.alias
                )
            }
            Some(_) if run => "starting".to_owned(),
            Some(_) => "stopping".to_owned(),
        };
        (true, note)
    }

    /// Whether the agent of a data node is here and has said that it starts or runs the node.
    fn agent_follows(&self, slot: Slot) -> bool {
        let member = &self.members.all[slot];
        let here = member
            .agent
            .is_some_and(|agent| self.members.all[agent].presence == Presence::Online);
        let followed = member.child.as_ref().is_some_and(|child| {
            matches!(
                child.phase,
                ChildPhase::Starting | ChildPhase::Running | ChildPhase::Waiting
            )
        });
        here && followed
    }

    pub(super) fn selected(&self, selection: &Selection) -> Result<Vec<Slot>, Refusal> {
        match selection {
            Selection::All => Ok(self.members.data_nodes().collect()),
            Selection::Aliases(names) => {
                let mut slots = Vec::new();
                for name in names {
                    let slot = self.find(name)?;
                    if self.members.all[slot].member.role != Role::DataNode {
                        let reason = format!(
                            "{name} is an agent: agents are started on their hosts, with `vaquita \
                             -mode agent …`"
                        );
                        return Err(Refusal::Invalid { reason });
                    }
                    if !slots.contains(&slot) {
                        slots.push(slot);
                    }
                }
                Ok(slots)
            }
        }
    }

    pub(super) fn find(&self, name: &str) -> Result<Slot, Refusal> {
        self.members.named(name).ok_or_else(|| {
            let aliases = self.members.aliases();
            // Whoever is wrong about the case alone is not wrong by much.
            let typed = name.to_ascii_lowercase();
            let nearest = aliases
                .iter()
                .map(|alias| {
                    let known = alias.as_str().to_ascii_lowercase();
                    (strsim::osa_distance(&known, &typed), alias)
                })
                .min()
                .filter(|(distance, _)| *distance <= 2);
            let hint = nearest.map(|(_, alias)| format!("; did you mean `{alias}`?"));
            let hint =
                hint.unwrap_or_else(|| "; `vaquita node list` shows what there is".to_owned());
            let what = format!("there is no node `{name}`{hint}");
            Refusal::NotFound { what }
        })
    }

    // ---- logs ----

    fn read_log(
        &mut self,
        now: Timestamp,
        request: RequestId,
        alias: Alias,
        generation: u32,
        range: LogRange,
    ) -> Option<Reply> {
        let range = match range {
            LogRange::From { offset, len } => LogRange::From {
                offset,
                len: len.min(self.limits.log_piece_max),
            },
            LogRange::Tail { len } => LogRange::Tail {
                len: len.min(self.limits.log_piece_max),
            },
        };
        self.last_log_read += 1;
        let id = RequestId(self.last_log_read);
        let until = now.after(self.limits.answer_timeout);
        if alias == self.site.alias {
            self.log_reads.insert(
                id,
                LogReadWaiting {
                    request,
                    until,
                    from: alias.clone(),
                },
            );
            let order = ProcessOrder::ReadLog {
                id,
                alias,
                generation,
                range,
            };
            self.out.push(Effect::Process(order));
            return None;
        }
        let slot = match self.find(alias.as_str()) {
            Ok(slot) => slot,
            Err(refusal) => return Some(Err(refusal)),
        };
        let keeper = self.members.all[slot].agent.unwrap_or(slot);
        let from = self.members.all[keeper].member.site.alias.clone();
        if self.members.all[keeper].presence == Presence::Away
            || self.members.all[keeper].member.role != Role::Agent
        {
            let reason = format!(
                "the log of {alias} is read through the agent of its host, which is not connected"
            );
            return Some(Err(Refusal::Unavailable { reason }));
        }
        self.log_reads.insert(
            id,
            LogReadWaiting {
                request,
                until,
                from,
            },
        );
        self.tell(
            keeper,
            Message::ReadLog(ReadLog {
                id,
                alias,
                generation,
                range,
            }),
        );
        None
    }

    pub(super) fn log_read(&mut self, read: LogRead) {
        if let Some(waiting) = self.log_reads.remove(&read.id) {
            let reply = match read.piece {
                Some(piece) => Ok(Response::Log(piece)),
                None => Err(Refusal::NotFound { what: read.error }),
            };
            self.reply(waiting.request, reply);
        }
    }

    pub(super) fn process(&mut self, event: ProcessEvent) {
        if let ProcessEvent::LogRead { id, result } = event {
            let (piece, error) = match result {
                Ok(piece) => (Some(piece), String::new()),
                Err(error) => (None, error),
            };
            self.log_read(LogRead { id, piece, error });
        }
    }

    // ---- the whole picture ----

    /// The state of the cluster.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> StatusReport {
        let nodes = self.rows(now);
        let is_orphan = |row: &NodeRow| row.conditions.iter().any(|it| it == ORPHANED);
        let data_nodes = nodes
            .iter()
            .filter(|row| row.mode == Role::DataNode && !is_orphan(row));
        let total = data_nodes.clone().count();
        let online = data_nodes
            .filter(|row| row.state == NodeState::Online)
            .count();
        let alarms = self.alarm_texts(now, &nodes);
        let summary = if self.phase != Phase::Serving {
            "starting".to_owned()
        } else if online == total && total > 0 {
            format!("all {total} data nodes are online")
        } else {
            format!("{online} of {total} data nodes are online")
        };
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        StatusReport {
            alias: self.site.alias.clone(),
            mode: Role::Controller,
            summary,
            ready: self.phase == Phase::Serving,
            nodes,
            alarms,
            first_password: !self.first_passwords().is_empty(),
            commit_index: Some(self.log.synced()),
            log_copies: self.mirror_rows(now),
            uptime_ms: millis(now.since(self.started)),
            all_green_after_ms: self.all_green_after.map(millis),
            figures: self.figures.measured(),
        }
    }
}
