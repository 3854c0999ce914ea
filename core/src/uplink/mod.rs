//! A node's relation to its controller, the same for agents and data nodes: register, report, beat,
//! doubt, fence, come back.
//!
//! ```text
//!            dial         proven            granted, on disk        applied
//!  Waiting ───────▶ Dialing ──────▶ Registering ──────────▶ Reporting ──────▶ Online
//!     ▲                │                 │    ▲                  │              │
//!     │   no answer    │    not now,     │    └──── fenced ──────┴──────────────┤
//!     └────────────────┴──── refused ────┴──────────── connection lost ─────────┘
//! ```
//!
//! This file has the whole of it: what an uplink is made of, which message goes where, and what is
//! due when. The parts are in `connection.rs`, `registration.rs`, `witness.rs` (is this controller
//! the one that was seen before?), `beats.rs` and `fence.rs`.

mod beats;
mod connection;
mod fence;
mod identity;
mod registration;
mod witness;

use core::time::Duration;

pub use identity::{NodeFacts, NodeIdentity};

use beats::Beats;

use crate::disk::DiskFault;
use crate::event::Event;
use crate::ids::{ConnId, DiskTicket, Incarnation, LineageId, LogIndex, NodeEpoch, NodeId};
use crate::io::ExitCode;
use crate::limits::Limits;
use crate::links::Links;
use crate::membership::Thresholds;
use crate::message::{Envelope, Message, Ping, Pong, VolumeOrders, Witness};
use crate::outbox::Outbox;
use crate::planted::Planted;
use crate::prng::Prng;
use crate::state_file::StateFile;
use crate::time::Timestamp;

/// What the owner of an uplink has to know.
#[derive(Clone, Debug)]
pub(crate) enum UplinkEvent {
    /// Registered: messages to the controller arrive from now on. It waits for a report with this
    /// number before the node is online, and has said which volumes were given to whom, and which are
    /// drained.
    Registered { report: u64, volumes: VolumeOrders },
    /// The controller has applied the report.
    Online,
    /// A message that is not the uplink's.
    Message(Box<Message>),
}

/// By what node and controller compare, in each heartbeat, what the node has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inventory {
    /// Sum of the fingerprints of what the node has.
    pub(crate) sum: u64,
    /// The newest change that is in the sum.
    pub(crate) news: u64,
}

#[derive(Clone, Debug)]
enum Phase {
    /// The controller is not looked for yet.
    NotBegun,
    /// The identity is being written for the first time.
    Founding,
    Waiting {
        until: Timestamp,
    },
    Dialing {
        conn: ConnId,
    },
    Registering {
        conn: ConnId,
        asked: Timestamp,
    },
    /// Registered; what was learnt is being written.
    Recording {
        conn: ConnId,
        save: u64,
    },
    Reporting {
        conn: ConnId,
        report: u64,
    },
    Online {
        conn: ConnId,
    },
    /// Nothing more is tried.
    GivenUp,
}

/// A question to a session for any sign of life.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    conn: ConnId,
    asked: Timestamp,
    /// How long that may take.
    patience: Duration,
}

/// A node's relation to its controller.
#[derive(Clone, Debug)]
pub(crate) struct Uplink {
    facts: NodeFacts,
    incarnation: Incarnation,
    identity: NodeIdentity,
    file: StateFile,
    /// Whether this node has no identity on disk yet.
    founding: bool,
    founding_save: Option<u64>,
    phase: Phase,
    attempt: u64,
    reports: u64,
    redial_wait: Duration,
    prng: Prng,
    thresholds: Thresholds,
    /// Whether the controller wants heartbeats over UDP.
    lan_cluster: bool,
    members: u64,
    /// Which volumes were given to which nodes, as the grant said.
    volumes: VolumeOrders,
    /// When the newest question was *sent* that the controller has answered, by whichever way. The
    /// controller heard this node no earlier, so that the node, which counts from here, fences
    /// itself before the controller gives it up, whichever direction is cut.
    answered: Timestamp,
    /// The unanswered question over TCP: when it was asked, and its nonce.
    asked: Option<(Timestamp, u64)>,
    /// When something last came over the connection to the controller.
    heard: Timestamp,
    /// The ping to a session of which it is doubted that it carries anything.
    doubted: Option<Doubt>,
    self_fenced: bool,
    /// Whether what was granted is on disk, and was not voided since.
    registered: bool,
    beats: Beats,
    witness_saved: Timestamp,
    inventory: Inventory,
    events: Vec<UplinkEvent>,
    /// The last trouble told, so that a retry every 50 ms does not fill the log.
    told: String,
    leaving: bool,
}

impl Uplink {
    pub(crate) fn new(
        facts: NodeFacts,
        incarnation: Incarnation,
        found: Option<NodeIdentity>,
        fresh: NodeId,
        seed: u64,
        now: Timestamp,
    ) -> Self {
        let founding = found.is_none();
        let identity = found.unwrap_or_else(|| NodeIdentity {
            node: fresh,
            alias: facts.site.alias.clone(),
            cluster: None,
            epoch: NodeEpoch(0),
            witness: Witness::default(),
        });
        Self {
            lan_cluster: facts.lan_cluster,
            facts,
            incarnation,
            identity,
            file: StateFile::new(NodeIdentity::file()),
            founding,
            founding_save: None,
            phase: Phase::NotBegun,
            attempt: 1,
            reports: 0,
            redial_wait: Duration::ZERO,
            prng: Prng::new(seed),
            thresholds: Thresholds::from_timeout(Duration::from_secs(8), None),
            members: 0,
            volumes: VolumeOrders::default(),
            answered: now,
            asked: None,
            heard: now,
            doubted: None,
            self_fenced: false,
            registered: false,
            beats: Beats::default(),
            witness_saved: now,
            inventory: Inventory::default(),
            events: Vec::new(),
            told: String::new(),
            leaving: false,
        }
    }

    /// Begins.
    pub(crate) fn start(&mut self, now: Timestamp, links: &mut Links, out: &mut Outbox) {
        if let Some(cluster) = self.identity.cluster {
            links.join_cluster(cluster);
        }
        if self.founding {
            self.phase = Phase::Founding;
            self.founding_save = Some(self.save(out));
        } else {
            self.dial(now, links, out);
        }
    }

    /// The registration under which this node speaks; 0 while it has none.
    ///
    /// It outlives the connection that it was granted on: only the controller voids it, and beats
    /// go on under it while a lost connection is dialled again.
    pub(crate) const fn epoch(&self) -> NodeEpoch {
        if self.registered {
            self.identity.epoch
        } else {
            NodeEpoch(0)
        }
    }

    pub(crate) const fn identity(&self) -> &NodeIdentity {
        &self.identity
    }

    pub(crate) const fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    pub(crate) const fn facts(&self) -> &NodeFacts {
        &self.facts
    }

    pub(crate) const fn is_online(&self) -> bool {
        matches!(self.phase, Phase::Online { .. })
    }

    /// Whether the node has lost its controller for so long that it must not take writes.
    pub(crate) const fn is_self_fenced(&self) -> bool {
        self.self_fenced
    }

    /// How long the newest answered heartbeat took to be answered, and all of them together.
    pub(crate) const fn beat_latency(&self) -> (Duration, Duration) {
        (self.beats.latency, self.beats.latency_total)
    }

    pub(crate) const fn udp_blocked(&self) -> bool {
        self.beats.udp_blocked
    }

    /// What the node is doing about its controller, in words.
    pub(crate) fn describe(&self) -> String {
        let site = &self.facts.controller_site;
        match &self.phase {
            Phase::NotBegun => "looking at what it has of the controller's log".to_owned(),
            Phase::Founding => "writing its identity for the first time".to_owned(),
            Phase::Waiting { .. } | Phase::Dialing { .. } if self.told.is_empty() => {
                format!("connecting to the controller at {site}")
            }
            Phase::Waiting { .. } | Phase::Dialing { .. } | Phase::GivenUp => self.told.clone(),
            Phase::Registering { .. } | Phase::Recording { .. } => {
                format!("registering with the controller at {site}")
            }
            Phase::Reporting { .. } => format!("reporting to the controller at {site}"),
            Phase::Online { .. } => format!("online at the controller {site}"),
        }
    }

    pub(crate) fn take_events(&mut self) -> Vec<UplinkEvent> {
        core::mem::take(&mut self.events)
    }

    /// Sends a message to the controller, if there is one at present.
    pub(crate) fn send(&self, message: Message, links: &mut Links, out: &mut Outbox) -> bool {
        let conn = match self.phase {
            Phase::Reporting { conn, .. } | Phase::Online { conn } => conn,
            _ => return false,
        };
        links.send(conn, self.envelope(), message, out);
        true
    }

    /// Tells the controller that the node ends, and stops beating.
    pub(crate) fn leave(&mut self, reason: &str, links: &mut Links, out: &mut Outbox) {
        self.leaving = true;
        let message = Message::Leaving(crate::message::Leaving {
            reason: reason.to_owned(),
        });
        self.send(message, links, out);
    }

    /// The number of a report that was not asked for by a registration.
    pub(crate) fn next_report(&mut self) -> u64 {
        self.reports += 1;
        self.reports
    }

    /// What heartbeats tell of what the node has.
    pub(crate) const fn set_inventory(&mut self, inventory: Inventory) {
        self.inventory = inventory;
    }

    /// Whether the node is at the service of a controller, on a connection that stands.
    pub(crate) fn hears_controller(&self) -> bool {
        let member = matches!(
            self.phase,
            Phase::Recording { .. } | Phase::Reporting { .. } | Phase::Online { .. }
        );
        member && !self.self_fenced
    }

    /// The node has on its disk what the controller's log says up to `index`, in the history named if
    /// one is.
    pub(crate) fn has_mirrored(&mut self, lineage: Option<LineageId>, index: LogIndex) {
        let witness = &mut self.identity.witness;
        if lineage.is_none() || lineage == witness.lineage {
            witness.index = witness.index.max(index);
        }
    }

    /// What this node puts on everything it says.
    pub(crate) const fn envelope(&self) -> Envelope {
        Envelope {
            cluster: self.identity.cluster,
            controller_epoch: self.identity.witness.epoch,
            node: Some(self.identity.node),
            node_epoch: self.epoch(),
        }
    }

    // ---- messages ----

    /// A message of the controller arrived on one of the uplink's connections.
    pub(crate) fn message(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        envelope: &Envelope,
        message: Message,
        around: &mut UplinkAround<'_>,
    ) {
        let known = self.identity.witness.epoch;
        if envelope.controller_epoch < known && !around.planted.ignore_witness {
            let text = format!(
                "refused {} of controller epoch {}: epoch {known} has been seen since. Two \
                 controllers of one cluster must not run",
                message.name(),
                envelope.controller_epoch
            );
            if matches!(message, Message::Registered(_))
                && matches!(self.phase, Phase::Registering { conn: asked, .. } if asked == conn)
            {
                // A controller from a copy, then, that takes itself for the present one.
                let text = format!(
                    "the controller at {} has epoch {}, and this node has seen epoch {known} since: \
                     it was started from an old copy of its home, or a second controller was. \
                     Stop the wrong one; `vaquita meta rebuild` brings an old home up to date",
                    self.facts.controller_site, envelope.controller_epoch
                );
                self.contradict(now, conn, text, around);
                return;
            }
            self.tell(Event::warning("uplink.stale_controller", text), around.out);
            return;
        }
        if self.control() == Some(conn) {
            self.heard = now;
            self.doubted = None;
        }
        match message {
            Message::Registered(granted) => self.registered(now, conn, envelope, granted, around),
            Message::RegistrationRefused(refused) => self.refused(now, conn, refused, around),
            _ if self.control() != Some(conn) && !matches!(message, Message::BeatAck(_)) => {}
            Message::Fenced(fenced) => self.fenced(now, conn, envelope, fenced, around),
            _ if envelope.node_epoch != self.identity.epoch => {}
            Message::ReportApplied(applied) => {
                if let Phase::Reporting { report, .. } = self.phase
                    && applied.report == report
                {
                    self.alive(now, around.out);
                    self.phase = Phase::Online { conn };
                    self.events.push(UplinkEvent::Online);
                    let text = format!("online at the controller {}", self.facts.controller_site);
                    around.out.notify(Event::info("uplink.online", text));
                }
            }
            Message::BeatAck(ack) => self.beat_acked(now, ack, around.out),
            Message::Ping(Ping { nonce }) => {
                let pong = Message::Pong(Pong { nonce });
                around.links.send(conn, self.envelope(), pong, around.out);
            }
            Message::Pong(Pong { nonce }) => {
                if let Some((asked, expected)) = self.asked
                    && expected == nonce
                {
                    self.renew(now, asked, around.out);
                }
            }
            other => {
                self.events.push(UplinkEvent::Message(Box::new(other)));
            }
        }
    }

    // ---- time ----

    /// Does what is due.
    pub(crate) fn tick(&mut self, now: Timestamp, around: &mut UplinkAround<'_>) {
        self.fence_itself_if_unanswered(now, around.out);
        if self.leaving {
            return;
        }
        if self.registered {
            self.choose_transport(now, around);
            if now >= self.beats.next {
                self.beat(now, around);
            }
            // What has been seen of the controller is kept on disk, not at each beat but soon.
            if now.since(self.witness_saved) >= WITNESS_PERIOD {
                self.witness_saved = now;
                self.save_if_changed(around.out);
            }
        }
        match self.phase {
            Phase::Registering { conn, asked }
                if now.since(asked) >= around.limits.answer_timeout =>
            {
                around.links.close(conn, around.out);
                let text = format!(
                    "the controller at {} takes connections and does not answer",
                    self.facts.controller_site
                );
                self.trouble(now, "uplink.mute", text, around.out);
            }
            Phase::Reporting { conn, .. } | Phase::Online { conn } => {
                self.ask_if_silent(now, conn, around);
                self.doubt_if_quiet(now, around);
                self.close_if_mute(now, conn, around);
            }
            _ => {}
        }
        // Last, since what was just given up may be due at once.
        if let Phase::Waiting { until } = self.phase
            && now >= until
        {
            self.redial_wait =
                (self.redial_wait * 2).clamp(around.limits.redial_min, around.limits.redial_max);
            self.dial(now, around.links, around.out);
        }
    }

    /// When [`Uplink::tick`] has something to do.
    pub(crate) fn next_deadline(&self, limits: &Limits) -> Option<Timestamp> {
        let fence = (!self.self_fenced && self.attempt_made())
            .then(|| self.answered.after(self.thresholds.self_fence));
        if self.leaving {
            return fence;
        }
        let beat = self.registered.then_some(self.beats.next);
        let phase = match self.phase {
            Phase::Waiting { until } => Some(until),
            Phase::Registering { asked, .. } => Some(asked.after(limits.answer_timeout)),
            _ => None,
        };
        [fence, beat, phase].into_iter().flatten().min()
    }

    // ---- disk ----

    /// A disk completion. Returns `false` if it is not the uplink's.
    pub(crate) fn disk_done(
        &mut self,
        now: Timestamp,
        ticket: DiskTicket,
        result: &Result<(), DiskFault>,
        around: &mut UplinkAround<'_>,
    ) -> bool {
        match self.file.disk_done(ticket, result, around.out) {
            None => false,
            Some(Err(fault)) => {
                let text = format!(
                    "the identity of {} could not be written: {fault}. Mend the disk or free space, \
                     then start it again",
                    self.facts.site.alias
                );
                around.out.notify(Event::error("uplink.disk", text.clone()));
                around.out.exit(ExitCode::DiskFault, text);
                true
            }
            Some(Ok(())) => {
                let durable = self.file.durable();
                if self.founding_save.is_some_and(|save| save <= durable) {
                    self.founding_save = None;
                    self.dial(now, around.links, around.out);
                }
                if let Phase::Recording { conn, save } = self.phase
                    && save <= durable
                {
                    self.report(now, conn, around);
                }
                true
            }
        }
    }

    fn save(&mut self, out: &mut Outbox) -> u64 {
        self.file
            .save(&crate::wire::codec::encode(&self.identity), out)
    }

    fn save_if_changed(&mut self, out: &mut Outbox) {
        let bytes = crate::wire::codec::encode(&self.identity);
        self.file.save_if_changed(&bytes, out);
    }

    fn tell(&mut self, event: Event, out: &mut Outbox) {
        if self.told != event.message {
            self.told.clone_from(&event.message);
            out.notify(event);
        }
    }
}

/// How often what was seen of the controller is written down, if it has changed.
const WITNESS_PERIOD: Duration = Duration::from_secs(5);

/// What the owner of an uplink lends it while it acts.
pub(crate) struct UplinkAround<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) planted: &'a Planted,
    pub(crate) links: &'a mut Links,
    pub(crate) out: &'a mut Outbox,
}
