//! The controller: keeps the metadata, decides who belongs to the cluster and under which epoch,
//! and has agents start and stop data nodes. There is one in a cluster.
//!
//! What it decides is a record of its log. A record is applied to the state when it is appended, so
//! that the next decision sees it, but nobody is told before it is synced: every answer waits as a
//! *continuation* for the index it depends on. A controller that cannot sync says nothing more and
//! ends; the next one reads what the disk really has.
//!
//! What it merely sees (who is alive, what an agent's table says) is soft state. It starts empty
//! with each process, and nothing that happened while no controller ran counts as silence.

mod alarms;
mod audit;
mod commit;
mod figures;
mod files;
mod members;
mod mirrors;
mod orphans;
mod reach;
mod reload;
mod remove;
mod repair;
mod replace;
mod requests;
mod sessions;
#[cfg(test)]
mod tests;
mod watch;

use core::time::Duration;
use std::collections::BTreeMap;

pub use files::FilesConfig;
#[doc(hidden)]
pub use files::StockView;
pub use members::Member;
pub use reload::Reconfiguration;
#[cfg(test)]
pub(crate) use repair::home_with_log;
pub use repair::{HomeRepair, HomeRepairRefusal, HomeReport, inspect_home, plan_home_repair};

use audit::Auditing;
use commit::Continuation;
pub(crate) use commit::{HomeIdentity, home_file, index_floor, repair_file};
use figures::FiguresBook;
use files::Files;
use members::{Members, Outlook};
use mirrors::Mirrors;
use orphans::Orphans;

pub use crate::access::Bootstrap;
use crate::access::{Access, SetupFile};
use crate::admin::{NodeRow, Reply};
use crate::audit::AuditEntry;
use crate::dfs::namespace::Released;
use crate::disk::FileName;
use crate::event::Event;
use crate::ids::{
    Alias, ClusterId, ConnId, ControllerEpoch, DiskTicket, Incarnation, JobId, LineageId, LogIndex,
    RequestId, Role, Site,
};
use crate::io::{Effect, ExitCode, ExitReason, Input, Machine};
use crate::limits::Limits;
use crate::links::Links;
use crate::membership::{FailureDetector, Slot, Thresholds};
use crate::message::{Envelope, Message, RestartPolicy};
use crate::metalog::{self, Expected, MetaLog, Tail};
use crate::node_machine;
use crate::outbox::Outbox;
use crate::planted::Planted;
use crate::prng::{SecretPrng, Seed};
use crate::secret::ClusterSecret;
use crate::state::ClusterState;
use crate::state_file::StateFile;
use crate::time::Timestamp;
use crate::wire::codec;
use crate::wire::keys::Keyring;
use crate::wire::session::Introduction;

/// What a controller is started with.
#[derive(Clone, Debug)]
pub struct ControllerConfig {
    /// Its own site.
    pub site: Site,
    /// The rows of the nodes file, the controller's own left out.
    pub members: Vec<Member>,
    /// T: silence after which a node counts as offline.
    pub heartbeat_timeout: Duration,
    /// Time offline after which a node counts as lost; `None` waits for an operator.
    pub recovery_wait: Option<Duration>,
    /// Whether heartbeats go over UDP.
    pub lan_cluster: bool,
    /// What happens to data nodes that ended without being told to.
    pub restart: RestartPolicy,
    /// Whether data nodes that an operator stopped are started again too, after
    /// [`RestartPolicy::After`] (`datanodeRestartLevel=OFFLINE`).
    pub restart_stopped: bool,
    /// The cluster secret, if there is one.
    pub secret: Option<ClusterSecret>,
    /// The first account, for a cluster that is just being founded.
    pub bootstrap: Option<Bootstrap>,
    /// How files are kept.
    pub files: FilesConfig,
    /// `metaMirrors`: how many data nodes keep a copy of the log.
    pub mirrors: usize,
    /// Program version.
    pub build: String,
    /// Bounds and periods.
    pub limits: Limits,
    /// Bugs to be found by the simulator; none in production.
    #[doc(hidden)]
    pub planted: Planted,
}

/// A controller.
#[derive(Clone, Debug)]
pub struct Controller {
    site: Site,
    thresholds: Thresholds,
    lan_cluster: bool,
    restart: RestartPolicy,
    restart_stopped: bool,
    bootstrap: Option<Bootstrap>,
    limits: Limits,
    planted: Planted,
    instance: Incarnation,
    epoch: ControllerEpoch,
    identity: HomeIdentity,
    home: StateFile,
    /// What the home says of itself found no space: it is older than it should be.
    home_unsaved: bool,
    /// The newest change of the file with the setup code, while it is under way.
    setup_file: Option<DiskTicket>,
    phase: Phase,
    log: MetaLog,
    state: ClusterState,
    /// What waits for an index to be synced.
    waiting: BTreeMap<LogIndex, Vec<Continuation>>,

    links: Links,
    members: Members,
    detector: FailureDetector,
    access: Access,
    files: Files,
    figures: FiguresBook,
    mirrors: Mirrors,
    orphans: Orphans,
    /// What the record that was just applied gave up.
    released: Released,
    auditing: Auditing,
    secrets: SecretPrng,
    jobs: BTreeMap<JobId, JobPurpose>,
    log_reads: BTreeMap<RequestId, LogReadWaiting>,
    last_log_read: u64,
    /// What was told about refused registrations, and when.
    refusals_told: BTreeMap<Alias, (String, Timestamp)>,

    out: Outbox,
    started: Timestamp,
    next_tick: Timestamp,
    all_green_after: Option<Duration>,
    mass_event: bool,
    /// Messages under void epochs, and beats seen before, that were acted on all the same: none, or
    /// the rules above are broken.
    wrongly_taken: u64,
    /// When the disk was last tried for space.
    space_asked: Timestamp,
    /// Whether it was found full, and has not been found otherwise since.
    disk_full: bool,
    /// What an operator has to look at until a restart, such as a history that went back.
    alarms: Vec<String>,
}

/// How far the start has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The identity of a new cluster is being written.
    Founding,
    /// The new epoch is being synced; nobody is answered before it is.
    Opening,
    /// At work.
    Serving,
    /// A fault of the disk: nothing more is said.
    Dead,
}

/// What the outcome of a job is for.
#[derive(Clone, Debug)]
enum JobPurpose {
    /// The first account's password.
    FirstPassword,
    /// A login, or another request that has to hash.
    Access(RequestId, crate::access::Pending, Option<Box<AuditEntry>>),
    /// A checkpoint of the log.
    Checkpoint,
    /// A piece of the log for a copy.
    Mirror(Slot),
}

#[derive(Clone, Debug)]
struct LogReadWaiting {
    request: RequestId,
    until: Timestamp,
    from: Alias,
}

impl Controller {
    /// Reads the home and begins. `files` are all files of the controller's directory.
    ///
    /// # Errors
    /// If the home is damaged, incomplete or written by a newer version. Nothing was changed.
    pub fn new<B: AsRef<[u8]>>(
        config: ControllerConfig,
        files: &BTreeMap<FileName, B>,
        seed: Seed,
        now: Timestamp,
    ) -> Result<Self, ExitReason> {
        let mut secrets = SecretPrng::new(seed);
        let found: Option<HomeIdentity> = node_machine::read(files, &commit::home_file())?;
        if found.is_none() && files.contains_key(&commit::repair_file()) {
            let message =
                "a repair of this home was begun and not finished: run the same `vaquita \
                           meta repair` again. Nothing was changed"
                    .to_owned();
            return Err(ExitReason {
                code: ExitCode::CorruptData,
                message,
            });
        }
        if found.is_none() && files.keys().any(metalog::belongs_to_log) {
            let message = format!(
                "there is a metadata log and no {}: the home is incomplete. Copy all of it, or \
                 restore a backup; nothing was changed",
                commit::home_file()
            );
            return Err(ExitReason {
                code: ExitCode::CorruptData,
                message,
            });
        }
        let is_new = found.is_none();
        let identity = found.unwrap_or_else(|| HomeIdentity {
            cluster: ClusterId::new(secrets.next_16()),
            lineage: LineageId::new(secrets.next_16()),
            durable: None,
            accepted: None,
            index_floor: LogIndex(0),
        });
        let expected = Expected {
            cluster: identity.cluster,
            durable: (identity.durable).filter(|_| !config.planted.forget_history),
        };
        let recovered = metalog::recover(files, &expected).map_err(|refusal| ExitReason {
            code: ExitCode::CorruptData,
            message: refusal.to_string(),
        })?;
        let state = commit::replay(&recovered)?;
        // Epochs that the lost end of the log gave out are not given out again.
        let given = (identity.accepted.as_ref())
            .filter(|_| state.lineage != Some(identity.lineage))
            .map_or_else(Default::default, |accepted| accepted.epochs);
        let epoch = state.controller_epoch().max(given).next();
        let instance = Incarnation::new(secrets.next_16());
        let me = Introduction {
            role: Role::Controller,
            cluster: Some(identity.cluster),
            alias: config.site.alias.clone(),
            incarnation: instance,
            build: config.build.clone(),
        };
        let nonces = SecretPrng::new(Seed::new(secrets.next_32()));
        let keyring = Keyring::new(config.secret.as_ref());
        let orphans = if config.planted.forget_orphans {
            Vec::new()
        } else {
            orphans::find(&state, &config.members, &config.site.alias)
        };
        let members_len = config.members.len() + orphans.len();
        let soft = Files::new(
            config.files,
            &keyring,
            epoch,
            members_len,
            secrets.next_u64(),
            now,
        );
        let thresholds = Thresholds::from_timeout(config.heartbeat_timeout, config.recovery_wait);
        let mut detector = FailureDetector::new(members_len, thresholds, &config.limits, now);
        if config.planted.never_doubt_itself {
            detector.plant_certainty();
        }
        let mut out = Outbox::default();
        if recovered.tail != Tail::Clean {
            out.notify(Event::warning("metalog.torn", recovered.tail.to_string()));
        }
        for (file, fault) in &recovered.damaged_checkpoints {
            let text = format!("checkpoint {file} is damaged ({fault}); an older one is used");
            out.notify(Event::error("metalog.damaged_checkpoint", text));
        }
        let log = MetaLog::resume(
            recovered.end,
            identity.lineage,
            &config.limits,
            config.planted,
        );
        let mut controller = Self {
            site: config.site,
            thresholds,
            lan_cluster: config.lan_cluster,
            restart: config.restart,
            restart_stopped: config.restart_stopped,
            bootstrap: config.bootstrap,
            instance,
            epoch,
            identity,
            home: StateFile::new(commit::home_file()),
            home_unsaved: false,
            setup_file: None,
            phase: Phase::Founding,
            log,
            state,
            waiting: BTreeMap::new(),
            links: Links::new(keyring, me, nonces).planted(&config.planted),
            members: Members::new(config.members, orphans, now),
            detector,
            access: Access::new(),
            files: soft,
            figures: FiguresBook::new(&config.limits, members_len, now),
            mirrors: Mirrors::new(config.mirrors),
            orphans: Orphans::default(),
            released: Released::new(),
            auditing: Auditing::new(now),
            secrets,
            jobs: BTreeMap::new(),
            log_reads: BTreeMap::new(),
            last_log_read: 0,
            refusals_told: BTreeMap::new(),
            out,
            started: now,
            next_tick: now.after(FailureDetector::TICK),
            all_green_after: None,
            mass_event: false,
            alarms: Vec::new(),
            wrongly_taken: 0,
            space_asked: now,
            disk_full: false,
            limits: config.limits,
            planted: config.planted,
        };
        if let Err(broken) = controller.state.audit.verify() {
            let text = format!(
                "{broken}. What it says up to there is not to be trusted; compare it with the log files of \
                 the controller and with the copies of its log"
            );
            controller
                .out
                .notify(Event::error("audit.broken", text.clone()));
            controller.alarms.push(text);
        }
        let left_over = files.contains_key(&commit::setup_code_file());
        if left_over && !controller.state.access.has_well_known_password() {
            // The password was changed, and the process ended before the file was gone.
            controller.change_setup_file(SetupFile::Remove);
        }
        if !is_new {
            controller.open(now);
            controller.write_log();
        } else {
            // Which cluster this is has to be on disk before the first record names it.
            controller
                .home
                .save(&codec::encode(&controller.identity), &mut controller.out);
        }
        Ok(controller)
    }

    /// The envelope of what is said to, or about, a member.
    fn envelope(&self, slot: Option<Slot>) -> Envelope {
        let registration = slot.and_then(|slot| {
            self.state
                .registry
                .get(&self.members.all[slot].member.site.alias)
        });
        Envelope {
            cluster: self.state.cluster,
            controller_epoch: self.epoch,
            node: registration.map(|registration| registration.node),
            node_epoch: registration.map_or_else(Default::default, |r| r.epoch),
        }
    }

    /// Sends a message to a registered member.
    fn tell(&mut self, slot: Slot, message: Message) {
        if let Some(conn) = self.members.all[slot].session {
            self.say(conn, Some(slot), message);
        }
    }

    /// Returns whether the message fitted into a frame.
    fn say(&mut self, conn: ConnId, slot: Option<Slot>, message: Message) -> bool {
        let envelope = self.envelope(slot);
        self.links.send(conn, envelope, message, &mut self.out)
    }

    fn outlook(&self, now: Timestamp) -> Outlook<'_> {
        Outlook {
            now,
            members: &self.members,
            detector: &self.detector,
            state: &self.state,
        }
    }

    /// Every member as lists show it, in the order of the nodes file; those that have no row there come
    /// last, as long as anything is to be done about them.
    #[must_use]
    pub fn rows(&self, now: Timestamp) -> Vec<NodeRow> {
        let outlook = self.outlook(now);
        let slots = self.members.in_order().into_iter();
        slots
            .filter(|slot| !self.is_forgotten(*slot))
            .map(|slot| {
                let mut row = outlook.row(slot);
                self.tell_duty(now, slot, &mut row);
                row
            })
            .collect()
    }

    /// The state that the log stands for.
    #[must_use]
    pub const fn state(&self) -> &ClusterState {
        &self.state
    }

    /// The epoch of this process, and whether it may act under it yet.
    #[must_use]
    pub fn epoch(&self) -> (ControllerEpoch, bool) {
        (self.epoch, self.phase == Phase::Serving)
    }

    /// Newest synced and newest appended index of the log.
    #[must_use]
    pub fn log_positions(&self) -> (LogIndex, LogIndex) {
        (self.log.synced(), self.log.appended())
    }

    /// This process among the controllers of the cluster.
    #[must_use]
    pub const fn instance(&self) -> Incarnation {
        self.instance
    }

    /// What the detector thinks of a member, for the checkers of the simulators.
    #[doc(hidden)]
    #[must_use]
    pub fn health_of(&self, alias: &Alias) -> Option<crate::membership::Health> {
        self.members
            .slot(alias)
            .map(|slot| self.detector.health(slot))
    }

    /// Sums that must stay bounded, for the checkers of the simulators.
    #[doc(hidden)]
    #[must_use]
    pub fn load(&self) -> usize {
        self.waiting.len()
            + self.jobs.len()
            + self.log_reads.len()
            + self.links.len()
            + self.files.load()
    }

    fn reply(&mut self, id: RequestId, reply: Reply) {
        self.note_outcome(id, &reply);
        self.out.reply(id, reply);
    }
}

impl Machine for Controller {
    fn handle(&mut self, now: Timestamp, input: Input) {
        if self.phase == Phase::Dead || self.out.is_exiting() {
            return;
        }
        match input {
            Input::Deadline => {}
            Input::Datagram { from, bytes } => self.datagram(now, from, &bytes),
            Input::DatagramsDropped { count } => {
                self.detector.lost_datagrams(now);
                let text = format!(
                    "the operating system dropped {count} datagrams: silence proves nothing for {} \
                     s. Raise net.core.rmem_max if it happens again",
                    self.limits.drop_freeze.as_secs()
                );
                self.out
                    .notify(Event::warning("controller.datagrams_dropped", text));
            }
            Input::Accepted { conn, from } if self.phase == Phase::Serving => {
                self.links
                    .accepted(now, conn, from, &self.limits, &mut self.out);
            }
            // Before its epoch is on disk a controller says nothing; who knocks comes again.
            Input::Accepted { conn, .. } => self.out.push(Effect::Close { conn }),
            Input::Connected { conn, peer } => self.links.connected(conn, peer, &mut self.out),
            Input::Received { conn, bytes } => self.links.received(conn, &bytes, &mut self.out),
            Input::Closed { conn, reason } => self.links.closed(conn, &reason),
            Input::DiskDone { ticket, result } => self.disk_done(now, ticket, result),
            Input::Process(event) => self.process(event),
            Input::Request { id, request } => self.request(now, id, request),
            Input::JobDone { job, outcome } => self.job_done(now, job, outcome),
            Input::Measured(figures) => self.measured(now, figures),
            Input::Terminate => self.terminate(),
            // A controller has no volumes.
            Input::Store { .. }
            | Input::VolumeOpened { .. }
            | Input::VolumeDone { .. }
            | Input::VolumeSpace { .. }
            | Input::CopyEnded { .. }
            | Input::Scrubbed { .. }
            | Input::LabelRead { .. } => {}
        }
        while let Some(event) = self.access.poll_event() {
            self.out.notify(event);
        }
        self.take_link_events(now);
        if now >= self.next_tick {
            self.tick(now);
            self.take_link_events(now);
        }
        self.write_log();
    }

    fn poll_effect(&mut self) -> Option<Effect> {
        self.out.pop()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        (self.phase != Phase::Dead).then_some(self.next_tick)
    }

    fn check_invariants(&self) {
        self.log.check_invariants();
        self.files.check_invariants();
        self.check_duties();
        assert!(
            self.wrongly_taken == 0,
            "a message under a void epoch, or a beat seen before, changed the state"
        );
        for index in self.waiting.keys() {
            assert!(
                *index > self.log.synced(),
                "an answer waits for index {index}, which is synced already"
            );
        }
        for (alias, registration) in self.state.registry.iter() {
            assert!(
                registration.epoch.0 <= self.log.appended().0,
                "{alias} has epoch {} beyond the end of the log",
                registration.epoch
            );
        }
    }
}
