//! Carrying out what a machine asks for.

use vaquita_core::admin::{Reply, Request};
use vaquita_core::event::Event as Notice;
use vaquita_core::ids::{JobId, RequestId};
use vaquita_core::io::{Effect, Input, Job, JobOutcome, Piece};
use vaquita_core::mirror::{self, Shelf};

use super::event::Event;
use super::{Answer, Factory, NodeIx, Told, World};
use crate::streams::Stream;

impl<F: Factory> World<F> {
    pub(super) fn carry_out(&mut self, node: NodeIx, effect: Effect) {
        match effect {
            Effect::SendDatagram { to, bytes } => self.send_datagram(node, to, bytes),
            Effect::Connect { conn, to } => self.dial(node, conn, &to),
            Effect::Send { conn, bytes } => self.send(node, conn, bytes),
            Effect::Close { conn } => self.close(node, conn),
            Effect::Disk(batch) => self.submit(node, batch),
            Effect::Process(order) => self.order(node, order),
            Effect::Reply { id, reply } => self.reply(node, id, reply),
            Effect::Job { job, work } => self.begin_job(node, job, work),
            Effect::Notify(notice) => self.notify(node, notice),
            Effect::StoreReply { id, reply } => self.store_replied(node, id, reply),
            Effect::OpenVolume { slot } => self.open_volume(node, slot),
            // A disk of the World is nobody's but its node's.
            Effect::CloseVolume { .. } => {}
            Effect::Volume { slot, batch, fills } => {
                self.submit_to_volume(node, slot, batch, fills);
            }
            Effect::DropStage { stage } => self.drop_stage(node, stage),
            Effect::Copy(order) => self.begin_copy(node, order),
            Effect::Scrub { version } => self.begin_scrub(node, version),
            Effect::ReadLabel { slot, ticket } => self.read_label(node, slot, ticket),
            Effect::Exit(reason) => {
                if let Some(process) = self.nodes[node.index()].process.as_mut() {
                    process.exit = Some(reason);
                }
            }
        }
    }

    fn reply(&mut self, node: NodeIx, id: RequestId, reply: Reply) {
        let Some((request, _)) = self.asked.remove(&(node, id)) else {
            self.fail(
                Some(node),
                format!("answers request {id}, which nobody waits for"),
            );
            return;
        };
        self.answers.push(Answer {
            node,
            id,
            request,
            at: self.now,
            reply: Some(reply),
        });
        self.record.answers += 1;
    }

    fn notify(&mut self, node: NodeIx, notice: Notice) {
        *self.marks.entry(notice.name).or_default() += 1;
        self.nodes[node.index()].log_line(notice.message.clone());
        self.told.push(Told {
            node,
            at: self.now,
            notice,
        });
        self.record.told += 1;
    }

    pub(super) fn schedule_request(&mut self, node: NodeIx, id: RequestId, request: Request) {
        // The way to the process takes a moment, and two requests may overtake each other.
        let moment = self.now.as_nanos();
        let mut draw = self
            .streams
            .at(Stream::Workload, node.index() as u64, moment);
        let at = self.now.after_nanos(1_000 + draw.below(100_000));
        self.schedule(node, at, Event::Request(Box::new((node, id, request))));
    }

    pub(super) fn request_arrives(&mut self, node: NodeIx, id: RequestId, request: Request) {
        match &self.nodes[node.index()].process {
            Some(process) => {
                let start = process.start;
                if let Some((_, told)) = self.asked.get_mut(&(node, id)) {
                    *told = true;
                }
                self.tell(node, start, Input::Request { id, request });
            }
            None => self.no_answer(node, id),
        }
    }

    /// Nobody will answer.
    fn no_answer(&mut self, node: NodeIx, id: RequestId) {
        if let Some((request, _)) = self.asked.remove(&(node, id)) {
            self.answers.push(Answer {
                node,
                id,
                request,
                at: self.now,
                reply: None,
            });
            self.record.answers += 1;
        }
    }

    /// A process has ended: what it was asked stays unanswered.
    pub(super) fn drop_requests(&mut self, node: NodeIx) {
        let gone: Vec<RequestId> = self
            .asked
            .range((node, RequestId(0))..=(node, RequestId(u64::MAX)))
            .filter(|(_, (_, told))| *told)
            .map(|((_, id), _)| *id)
            .collect();
        for id in gone {
            self.no_answer(node, id);
        }
    }

    fn begin_job(&mut self, node: NodeIx, job: JobId, work: Job) {
        let slot = &mut self.nodes[node.index()];
        let Some(process) = slot.process.as_mut() else {
            return;
        };
        slot.counters.jobs += 1;
        let mut draw = self
            .streams
            .at(Stream::Job, node.index() as u64, slot.counters.jobs);
        let latency = match &work {
            Job::HashPassword { .. } | Job::VerifyPassword { .. } => self.settings.password,
            Job::BuildCheckpoint(_) | Job::SurveyMirrors { .. } => self.settings.checkpoint,
            Job::ReadPiece(_) => self.settings.password,
        };
        let start = process.start;
        process.jobs.insert(job, work);
        let at = self.now.after_nanos(latency.draw(&mut draw));
        self.schedule(node, at, Event::Job { node, start, job });
    }

    pub(super) fn job_ends(&mut self, node: NodeIx, start: u32, job: JobId) {
        let slot = &mut self.nodes[node.index()];
        let Some(process) = slot.process_of(start) else {
            return;
        };
        if process.paused {
            process.frozen.push(Event::Job { node, start, job });
            return;
        }
        let Some(work) = process.jobs.remove(&job) else {
            return;
        };
        let mut draw = self.streams.at(Stream::Job, !(node.index() as u64), job.0);
        let overloaded = draw.chance(self.settings.overload);
        let outcome = match &work {
            Job::HashPassword { .. } | Job::VerifyPassword { .. } if overloaded => {
                JobOutcome::Overloaded
            }
            // The files are read when the work is done, as the work of a real process would.
            Job::BuildCheckpoint(plan) => {
                let files = slot.disk.files();
                self.factory.job(&work, &files).unwrap_or_else(|| {
                    JobOutcome::CheckpointBuilt(self.factory.build_checkpoint(plan, &files))
                })
            }
            Job::ReadPiece(ask) => JobOutcome::PieceRead(match slot.disk.files().get(&ask.file) {
                Some(bytes) => Ok(Piece::cut(bytes.as_ref(), ask)),
                None => Err(format!("cannot read {}: there is no such file", ask.file)),
            }),
            Job::SurveyMirrors { cluster, deep } => {
                let files = slot.disk.files();
                let survey = |shelf| mirror::survey(&files, shelf, *cluster, *deep);
                let copies = (survey(Shelf::Present), survey(Shelf::Aside));
                JobOutcome::MirrorsSurveyed(Ok(Box::new(copies)))
            }
            Job::HashPassword { .. } | Job::VerifyPassword { .. } => {
                let none = crate::disk::Files::new();
                self.factory
                    .job(&work, &none)
                    .unwrap_or_else(|| password(&work))
            }
        };
        self.tell(node, start, Input::JobDone { job, outcome });
    }
}

/// A stand-in for a password hash: as fast as it is insecure.
fn password(work: &Job) -> JobOutcome {
    let hash = |text: &str| {
        format!(
            "$sim${:08x}${}",
            crc32fast::hash(text.as_bytes()),
            text.len()
        )
    };
    match work {
        Job::HashPassword { password } => JobOutcome::PasswordHashed(hash(password.reveal())),
        Job::VerifyPassword { password, stored } => {
            let right = stored.as_deref() == Some(hash(password.reveal()).as_str());
            JobOutcome::PasswordVerified(right)
        }
        Job::BuildCheckpoint(_) | Job::ReadPiece(_) | Job::SurveyMirrors { .. } => {
            JobOutcome::CheckpointBuilt(Err("that is no password".to_owned()))
        }
    }
}
