//! One step: something happens to a process, and all that its machines ask for is begun.

mod disks;
mod processes;
mod wires;

use std::collections::{BTreeSet, VecDeque};

use vaquita_core::io::{CloseReason, Effect, Input, Job, JobOutcome};

use crate::fingerprint::Fingerprint;
use crate::panics;
use crate::process::{Directory, Process, Who};
use crate::setup::{Place, Setup};
use crate::site::Site;

/// What a machine may have due at one moment: one that has more is in a loop.
pub(crate) const AT_ONCE: u32 = 100;

/// A step under way.
#[derive(Debug)]
pub struct Turn<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) site: &'a mut Site,
    pub(crate) queue: VecDeque<(Who, Input)>,
    touched: BTreeSet<Place>,
    /// What machines told operators: whose machine, the name of the event, and its words.
    pub notices: Vec<(Place, &'static str, String)>,
    /// Who sent a datagram to whom.
    pub datagrams: Vec<(Who, Place)>,
}

impl<'a> Turn<'a> {
    /// Begins.
    pub fn new(setup: &'a Setup, site: &'a mut Site) -> Self {
        Self {
            setup,
            site,
            queue: VecDeque::new(),
            touched: BTreeSet::new(),
            notices: Vec::new(),
            datagrams: Vec::new(),
        }
    }

    /// Whatever else is wrong came first.
    pub(crate) fn fail(&mut self, what: String) {
        self.site.wrong.get_or_insert(what);
    }

    /// A process, to be changed.
    pub(crate) fn process_mut(&mut self, who: Who) -> Option<&mut Process> {
        let spot = self.site.spot_mut(who.place);
        let process = spot.process.as_mut().filter(|it| it.start == who.start)?;
        self.touched.insert(who.place);
        Some(process.open())
    }

    // ---- what happens ----

    /// Something is told to a process, and everything follows from it that takes no time.
    pub(crate) fn tell(&mut self, who: Who, input: Input) {
        self.queue.push_back((who, input));
        self.run();
    }

    pub(crate) fn run(&mut self) {
        let mut handled = 0;
        while let Some((who, input)) = self.queue.pop_front() {
            handled += 1;
            if handled > 10_000 {
                self.fail("machines talk without end".to_owned());
                return;
            }
            let now = self.site.now;
            let Some(process) = self.process_mut(who) else {
                continue;
            };
            let outcome = panics::caught(|| {
                process.machine.handle(now, input);
                process.machine.check_invariants();
            });
            if let Err(panic) = outcome {
                let name = self.setup.name(who.place);
                self.fail(format!("{name} panics: {panic}"));
                return;
            }
            self.drain(who);
        }
    }

    fn drain(&mut self, who: Who) {
        while let Some(effect) = self
            .process_mut(who)
            .and_then(|process| process.machine.poll_effect())
        {
            self.begin(who, effect);
        }
    }

    fn begin(&mut self, who: Who, effect: Effect) {
        match effect {
            Effect::SendDatagram { to, bytes } => self.send_datagram(who, &to, bytes),
            Effect::Connect { conn, to } => match self.setup.behind(&to) {
                Some(place) => self.connect(who, conn, place),
                None => self.fail(format!("nobody is at {to}")),
            },
            Effect::Send { conn, bytes } => self.send(who, conn, bytes),
            Effect::Close { conn } => self.close(who, conn, CloseReason::Ended),
            Effect::Disk(batch) => self.queue_batch(who, Directory::Home, batch),
            Effect::Volume {
                batch, mut fills, ..
            } => {
                let batch = self.filled(who, batch, &mut fills);
                self.queue_batch(who, Directory::Volume, batch);
            }
            Effect::OpenVolume { slot } => self.open_volume(who, slot),
            Effect::DropStage { stage } => {
                if let Some(process) = self.process_mut(who) {
                    process.stages.remove(&stage);
                }
            }
            Effect::StoreReply { id, reply } => self.store_replied(who, id, reply),
            Effect::Reply { id, reply } => self.client_answered(who, id, reply),
            Effect::Copy(order) => self.begin_copy(who, order),
            Effect::Notify(event) => {
                (self.notices).push((who.place, event.name, event.message));
            }
            Effect::Exit(reason) => {
                (self.notices).push((who.place, "exit", reason.message));
                self.end(who, "it ended");
                // Who ends by itself is not started again: no operator is in the model.
                self.site.spot_mut(who.place).may_start = false;
            }
            Effect::Job { job, work } => {
                let outcome = match work {
                    Job::HashPassword { .. } => JobOutcome::PasswordHashed("hash".to_owned()),
                    Job::VerifyPassword { .. } => JobOutcome::PasswordVerified(true),
                    Job::BuildCheckpoint(_) | Job::ReadPiece(_) | Job::SurveyMirrors { .. } => {
                        return self.fail("a job that no model has".to_owned());
                    }
                };
                self.queue.push_back((who, Input::JobDone { job, outcome }));
            }
            // Nothing is scrubbed in the models.
            Effect::Process(_)
            | Effect::CloseVolume { .. }
            | Effect::Scrub { .. }
            | Effect::ReadLabel { .. } => {}
        }
    }

    /// Ends the step.
    pub(crate) fn settle(&mut self) {
        for place in core::mem::take(&mut self.touched) {
            if let Some(process) = self.site.spot_mut(place).process.as_mut() {
                process.settle(Fingerprint::of_debug);
            }
        }
    }
}
