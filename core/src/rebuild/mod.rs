//! Rebuilding a controller's home from what nodes keep of its log.
//!
//! Runs in the place of the controller, while none runs: asks every member what it has of the log and
//! has seen of controllers, chooses the history that goes furthest, and, if it is told to, writes it
//! into the home. The log goes on under a new lineage, which says that an operator accepted that; so
//! nodes follow that were told of records which are lost.
//!
//! ```text
//!            all have answered,             every part of the copy        on the disk
//!  Asking ───────────────────────► Fetching ──────────────────────► Writing ──────────► ends
//!     │      or time is over          │  read back in memory
//!     └──► ends: refused, or nothing  └──► ends: nothing was changed
//!          to do, or only asked
//! ```
//!
//! Nothing in the home is touched before all that is to be there has been read back in memory. What
//! was in the home is kept under other names.

mod findings;
mod home;

use core::time::Duration;
use std::collections::BTreeMap;

use crate::disk::{DiskFault, FileName};
use crate::event::Event;
use crate::ids::{Alias, ConnId, DiskTicket, Incarnation, LineageId, LogIndex, Role, Site};
use crate::io::{Effect, ExitCode, Input, Machine};
use crate::limits::Limits;
use crate::links::{LinkEvent, Links};
use crate::message::{Envelope, Message};
use crate::metalog::LogPart;
use crate::mirror::words::{MirrorBytes, MirrorRead, MirrorSurvey, MirrorSurveyed, PartHeld};
use crate::outbox::Outbox;
use crate::prng::{SecretPrng, Seed};
use crate::secret::ClusterSecret;
use crate::time::Timestamp;
use crate::wire::keys::Keyring;
use crate::wire::session::Introduction;

use findings::{Choice, Findings, Source};
use home::OwnHome;

/// What a rebuild is started with.
#[derive(Clone, Debug)]
pub struct RebuildConfig {
    /// The controller's site: its alias is what nodes know it by.
    pub site: Site,
    /// The members that are asked, with what they are for.
    pub members: Vec<(Site, Role)>,
    /// The cluster secret, if there is one.
    pub secret: Option<ClusterSecret>,
    /// The history that a rebuilt log begins; no home may have had it.
    pub lineage: LineageId,
    /// Whether the home is written; else only what would be done is told.
    pub write: bool,
    /// Whether to go on although records are lost, or may be.
    pub accept_loss: bool,
    /// The node whose copy is to be taken, whatever else there is.
    pub from: Option<Alias>,
    /// How long members are waited for.
    pub patience: Duration,
    /// Program version.
    pub build: String,
    /// Bounds and periods.
    pub limits: Limits,
}

/// How often a member that does not answer is dialled again, and deadlines are looked at.
const TICK: Duration = Duration::from_millis(250);
/// Bytes that are asked for at a time.
const PIECE: u32 = 256 * 1024;

/// A rebuild under way.
#[derive(Debug)]
pub struct Rebuild {
    config: RebuildConfig,
    own: OwnHome,
    links: Links,
    asked: Vec<Asked>,
    phase: Phase,
    /// When the phase began, or last got on.
    since: Timestamp,
    next_tick: Timestamp,
    out: Outbox,
}

/// A member that is asked.
#[derive(Debug)]
struct Asked {
    site: Site,
    role: Role,
    conn: Option<ConnId>,
    /// Whether a question is on its way: looking through a long log takes a while.
    waiting: bool,
    answer: Option<Box<Answer>>,
    /// Why there is no answer.
    fault: String,
}

/// What a member answered.
#[derive(Debug)]
struct Answer {
    peer: Introduction,
    surveyed: MirrorSurveyed,
}

#[derive(Debug)]
enum Phase {
    Asking,
    Fetching(Box<Fetch>),
    Writing { ticket: DiskTicket, done: String },
    Over,
}

/// The parts of a copy, as they come.
#[derive(Debug)]
struct Fetch {
    choice: Choice,
    member: usize,
    aside: bool,
    /// Parts that are still to come, the next one last.
    left: Vec<PartHeld>,
    files: BTreeMap<FileName, Vec<u8>>,
    nonce: u64,
}

impl Rebuild {
    /// Begins. `files` are all files of the directory that the log is in, or is to be in.
    #[must_use]
    pub fn new<B: AsRef<[u8]>>(
        config: RebuildConfig,
        files: &BTreeMap<FileName, B>,
        seed: Seed,
        now: Timestamp,
    ) -> Self {
        let mut secrets = SecretPrng::new(seed);
        let own = OwnHome::read(files);
        let me = Introduction {
            role: Role::Controller,
            cluster: own.cluster(),
            alias: config.site.alias.clone(),
            incarnation: Incarnation::new(secrets.next_16()),
            build: config.build.clone(),
        };
        let links = Links::new(Keyring::new(config.secret.as_ref()), me, secrets);
        let asked = (config.members.iter())
            .map(|(site, role)| Asked {
                site: site.clone(),
                role: *role,
                conn: None,
                waiting: false,
                answer: None,
                fault: "it was not reached".to_owned(),
            })
            .collect();
        let mut rebuild = Self {
            config,
            own,
            links,
            asked,
            phase: Phase::Asking,
            since: now,
            next_tick: now,
            out: Outbox::default(),
        };
        let text = format!("the home: {}", rebuild.own);
        rebuild.out.notify(Event::info("rebuild.home", text));
        rebuild.tick(now);
        rebuild
    }

    fn tick(&mut self, now: Timestamp) {
        self.next_tick = now.after(TICK);
        self.links.expire(now, &self.config.limits, &mut self.out);
        let waited = now.since(self.since) >= self.config.patience;
        match &self.phase {
            Phase::Asking if waited => self.judge(now),
            Phase::Asking => {
                for (member, asked) in self.asked.iter_mut().enumerate() {
                    // A controller that was just stopped is missed a moment later.
                    if let (Some(answer), Some(conn), false) =
                        (&asked.answer, asked.conn, asked.waiting)
                        && answer.surveyed.hears_controller
                    {
                        asked.waiting = true;
                        let nonce = member as u64;
                        let survey = Message::MirrorSurvey(MirrorSurvey { nonce });
                        (self.links).send(conn, Envelope::default(), survey, &mut self.out);
                    }
                    if asked.answer.is_none() && asked.conn.is_none() {
                        let endpoint = asked.site.endpoint.clone();
                        asked.conn = Some(self.links.dial(now, endpoint, &mut self.out));
                    }
                }
            }
            Phase::Fetching(fetch) if waited => {
                let from = self.asked[fetch.member].site.alias.clone();
                self.fail(
                    ExitCode::Unavailable,
                    format!(
                        "{from} does not send its copy any more. Nothing was changed; try again"
                    ),
                );
            }
            Phase::Fetching(_) | Phase::Writing { .. } | Phase::Over => {}
        }
    }

    fn take_link_events(&mut self, now: Timestamp) {
        for event in self.links.take_events() {
            let conn = match &event {
                LinkEvent::Up { conn, .. }
                | LinkEvent::Message { conn, .. }
                | LinkEvent::Down { conn, .. } => *conn,
            };
            let Some(member) = self.asked.iter().position(|it| it.conn == Some(conn)) else {
                continue;
            };
            match event {
                LinkEvent::Up { peer, .. } => self.met(member, conn, &peer),
                LinkEvent::Message { message, .. } => self.heard(now, member, *message),
                LinkEvent::Down { reason, .. } => self.lost(member, reason),
            }
        }
    }

    /// A member has proven itself.
    fn met(&mut self, member: usize, conn: ConnId, peer: &Introduction) {
        let asked = &mut self.asked[member];
        if peer.alias != asked.site.alias || peer.role != asked.role {
            asked.fault = format!("{} ({}) answers there", peer.alias, peer.role);
            return;
        }
        asked.waiting = true;
        let nonce = member as u64;
        let survey = Message::MirrorSurvey(MirrorSurvey { nonce });
        (self.links).send(conn, Envelope::default(), survey, &mut self.out);
    }

    fn lost(&mut self, member: usize, reason: String) {
        let asked = &mut self.asked[member];
        asked.conn = None;
        asked.waiting = false;
        asked.fault = reason;
        if let Phase::Fetching(fetch) = &self.phase
            && fetch.member == member
        {
            let text = format!(
                "the connection to {} was lost ({}). Nothing was changed; try again",
                self.asked[member].site.alias, self.asked[member].fault
            );
            self.fail(ExitCode::Unavailable, text);
        }
    }

    fn heard(&mut self, now: Timestamp, member: usize, message: Message) {
        match message {
            Message::MirrorSurveyed(surveyed) if matches!(self.phase, Phase::Asking) => {
                let asked = &mut self.asked[member];
                asked.waiting = false;
                let peer = asked.conn.and_then(|conn| self.links.peer(conn)).cloned();
                if let (Some(peer), true) = (peer, surveyed.nonce == member as u64) {
                    asked.answer = Some(Box::new(Answer { peer, surveyed }));
                }
                let ready = |answer: &Answer| !answer.surveyed.hears_controller;
                let mut answers = self.asked.iter().map(|asked| asked.answer.as_deref());
                if answers.all(|answer| answer.is_some_and(ready)) {
                    self.judge(now);
                }
            }
            Message::MirrorBytes(bytes) => self.fetched(now, member, bytes),
            _ => {}
        }
    }

    /// All that can answer has: what is to be done?
    fn judge(&mut self, now: Timestamp) {
        let findings = Findings::of(&self.own, &self.asked);
        for line in findings.lines() {
            self.out.notify(Event::info("rebuild.found", line));
        }
        let choice = match findings.choose(self.config.accept_loss, self.config.from.as_ref()) {
            Ok(choice) => choice,
            Err(refusal) => {
                self.fail(ExitCode::Refused, refusal);
                return;
            }
        };
        self.out
            .notify(Event::info("rebuild.choice", choice.to_string()));
        if choice.is_nothing_to_do() {
            self.end("nothing is to be done: start the controller".to_owned());
        } else if !self.config.write {
            self.end("nothing was changed: the same with --write does it".to_owned());
        } else {
            self.begin(now, choice);
        }
    }

    fn begin(&mut self, now: Timestamp, choice: Choice) {
        let (member, aside) = match choice.source {
            Source::Home => {
                self.write(choice, BTreeMap::new());
                return;
            }
            Source::Node { member, aside } => (member, aside),
        };
        let mut left = choice.parts.clone();
        left.reverse();
        self.phase = Phase::Fetching(Box::new(Fetch {
            choice,
            member,
            aside,
            left,
            files: BTreeMap::new(),
            nonce: 0,
        }));
        self.fetch_on(now);
    }

    /// Asks for the next piece, or goes on when all are there.
    fn fetch_on(&mut self, now: Timestamp) {
        let Phase::Fetching(fetch) = &mut self.phase else {
            return;
        };
        self.since = now;
        let Some(next) = fetch.left.last() else {
            let Phase::Fetching(fetch) = core::mem::replace(&mut self.phase, Phase::Over) else {
                return;
            };
            self.write(fetch.choice, fetch.files);
            return;
        };
        let there = fetch.files.entry(next.part.file()).or_default().len() as u64;
        fetch.nonce += 1;
        let read = MirrorRead {
            nonce: fetch.nonce,
            aside: fetch.aside,
            part: next.part,
            offset: there,
            len: u32::try_from(next.len - there).map_or(PIECE, |left| left.min(PIECE)),
        };
        if let Some(conn) = self.asked[fetch.member].conn {
            let message = Message::MirrorRead(read);
            (self.links).send(conn, Envelope::default(), message, &mut self.out);
        }
    }

    fn fetched(&mut self, now: Timestamp, member: usize, piece: MirrorBytes) {
        let Phase::Fetching(fetch) = &mut self.phase else {
            return;
        };
        let Some(next) = fetch.left.last().copied() else {
            return;
        };
        if fetch.member != member || piece.nonce != fetch.nonce {
            return;
        }
        let file = fetch.files.entry(next.part.file()).or_default();
        let left = next.len - file.len() as u64;
        if !piece.fault.is_empty() || piece.bytes.is_empty() || piece.bytes.len() as u64 > left {
            let text = format!(
                "{} could not send all of {} ({}). Nothing was changed; try again",
                self.asked[member].site.alias,
                next.part.file(),
                if piece.fault.is_empty() {
                    "its length has changed"
                } else {
                    &piece.fault
                }
            );
            self.fail(ExitCode::Unavailable, text);
            return;
        }
        file.extend_from_slice(&piece.bytes);
        if file.len() as u64 == next.len {
            fetch.left.pop();
        }
        self.fetch_on(now);
    }

    /// Reads back what is to be in the home, and has it written.
    fn write(&mut self, choice: Choice, files: BTreeMap<FileName, Vec<u8>>) {
        let lineage = self.config.lineage;
        match self.own.plan(&choice, files, lineage) {
            Ok((ops, told)) => {
                for line in told {
                    self.out.notify(Event::info("rebuild.plan", line));
                }
                let done = format!(
                    "the log ends with record {} and goes on under lineage {lineage}: start the \
                     controller. Chunks that lost records may have named are kept; `vaquita chunk list \
                     --unknown` shows them, `vaquita repair settle` gives them up",
                    choice.end
                );
                let ticket = self.out.disk(ops);
                self.phase = Phase::Writing { ticket, done };
            }
            Err(fault) => self.fail(ExitCode::CorruptData, fault),
        }
    }

    fn disk_done(&mut self, ticket: DiskTicket, result: Result<(), DiskFault>) {
        match core::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Writing { ticket: mine, done } if mine == ticket => match result {
                Ok(()) => self.end(done),
                Err(fault) => self.fail(
                    ExitCode::DiskFault,
                    format!(
                        "the home was not written to its end: {fault}. What was in it is kept there, \
                         and no controller starts from it before the same command has succeeded: mend \
                         the disk, then run it again"
                    ),
                ),
            },
            phase => self.phase = phase,
        }
    }

    fn end(&mut self, message: String) {
        self.phase = Phase::Over;
        self.out.exit(ExitCode::Success, message);
    }

    fn fail(&mut self, code: ExitCode, message: String) {
        self.phase = Phase::Over;
        self.out.exit(code, message);
    }
}

impl Machine for Rebuild {
    fn handle(&mut self, now: Timestamp, input: Input) {
        if self.out.is_exiting() {
            return;
        }
        match input {
            Input::Connected { conn, peer } => self.links.connected(conn, peer, &mut self.out),
            Input::Received { conn, bytes } => self.links.received(conn, &bytes, &mut self.out),
            Input::Closed { conn, reason } => self.links.closed(conn, &reason),
            // Whoever knocks looks for a controller that is not there yet.
            Input::Accepted { conn, .. } => self.out.push(Effect::Close { conn }),
            Input::DiskDone { ticket, result } => self.disk_done(ticket, result),
            Input::Terminate if !matches!(self.phase, Phase::Writing { .. }) => {
                let text = "ended before it was done. Nothing was changed";
                self.fail(ExitCode::Unavailable, text.to_owned());
            }
            _ => {}
        }
        self.take_link_events(now);
        if now >= self.next_tick && !self.out.is_exiting() {
            self.tick(now);
            self.take_link_events(now);
        }
    }

    fn poll_effect(&mut self) -> Option<Effect> {
        self.out.pop()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        (!matches!(self.phase, Phase::Over)).then_some(self.next_tick)
    }

    fn check_invariants(&self) {
        if let Phase::Fetching(fetch) = &self.phase {
            for held in &fetch.left {
                let there = fetch.files.get(&held.part.file()).map_or(0, Vec::len);
                assert!(
                    there as u64 <= held.len,
                    "more was fetched of {} than there is",
                    held.part.file()
                );
            }
        }
    }
}

/// The parts that make up a log which ends with `end`, in the order in which they are written:
/// checkpoints first, as the copy lists them.
fn parts_in_order(parts: &[PartHeld]) -> Vec<PartHeld> {
    let mut parts = parts.to_vec();
    parts.sort_by_key(|held| match held.part {
        LogPart::Checkpoint(last) => (0, last),
        LogPart::Segment(first) => (1, first),
    });
    parts
}

/// The index in words, for a log that may have none.
fn up_to(index: LogIndex) -> String {
    match index {
        LogIndex(0) => "no record".to_owned(),
        index => format!("record {index}"),
    }
}
