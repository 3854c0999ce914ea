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
//! Heartbeats go over UDP. Where nothing comes back over UDP while TCP answers, the node beats over
//! TCP too, on a connection of its own so that a long report does not delay a beat, until a datagram
//! comes back.
//!
//! The node doubts the silence before it acts on it: after 3/8 T it asks over TCP, and only at
//! 4/5 T, before the controller gives it up at T, does it fence itself.

use core::time::Duration;
use std::collections::VecDeque;

use minicbor::{Decode, Encode};

use crate::disk::{DiskFault, FileName};
use crate::event::Event;
use crate::ids::{
    Alias, ClusterId, ConnId, ControllerEpoch, DiskTicket, HostId, Incarnation, NodeEpoch, NodeId,
    Role, Site,
};
use crate::io::{Destination, Effect, ExitCode};
use crate::later_version;
use crate::limits::Limits;
use crate::links::{LinkFault, Links};
use crate::membership::Thresholds;
use crate::message::{
    Beat, BeatAck, Envelope, Fenced, Message, Ping, Pong, Probe, ProbeReply, Register, Registered,
    RegistrationRefusal, RegistrationRefused, Report, RollbackSeen, Witness,
};
use crate::outbox::Outbox;
use crate::planted::Planted;
use crate::prng::Prng;
use crate::process::ProcessIdentity;
use crate::state_file::StateFile;
use crate::time::Timestamp;
use crate::wire::datagram::{self, DatagramKey, Direction};

/// What a node's driver knows before the node starts.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    /// Its site, as configured.
    pub site: Site,
    /// What it is for.
    pub role: Role,
    /// The controller's site, as configured.
    pub controller_site: Site,
    /// `lanCluster`, as configured.
    pub lan_cluster: bool,
    /// The physical host.
    pub host: HostId,
    /// Its process.
    pub process: ProcessIdentity,
    /// Program version.
    pub build: String,
}

/// What a node keeps on disk about itself and its controller.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NodeIdentity {
    /// Drawn at the first start.
    #[n(0)]
    pub node: NodeId,
    /// The name under which it was drawn.
    #[n(1)]
    pub alias: Alias,
    /// The cluster, once joined.
    #[n(2)]
    pub cluster: Option<ClusterId>,
    /// The newest registration.
    #[n(3)]
    pub epoch: NodeEpoch,
    /// The newest state of the controller that was seen.
    #[n(4)]
    pub witness: Witness,
}

impl NodeIdentity {
    /// Name of the file it is kept in.
    #[must_use]
    pub fn file() -> FileName {
        FileName::fixed("node.id")
    }
}

/// What the owner of an uplink has to know.
#[derive(Debug)]
pub(crate) enum UplinkEvent {
    /// Registered: messages to the controller arrive from now on.
    Registered,
    /// The controller has applied the report.
    Online,
    /// A message that is not the uplink's.
    Message(Box<Message>),
}

#[derive(Debug)]
enum Phase {
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

/// A node's relation to its controller.
#[derive(Debug)]
pub(crate) struct Uplink {
    facts: NodeFacts,
    incarnation: Incarnation,
    identity: NodeIdentity,
    file: StateFile,
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
    /// When the newest question was *sent* that the controller has answered, by whichever way. The
    /// controller heard this node no earlier, so that the node, which counts from here, fences
    /// itself before the controller gives it up, whichever direction is cut.
    answered: Timestamp,
    /// The unanswered question over TCP: when it was asked, and its nonce.
    asked: Option<(Timestamp, u64)>,
    self_fenced: bool,
    /// Whether what was granted is on disk, and was not voided since.
    registered: bool,
    beats: Beats,
    witness_saved: Timestamp,
    events: Vec<UplinkEvent>,
    /// The last trouble told, so that a retry every 50 ms does not fill the log.
    told: String,
    leaving: bool,
}

#[derive(Debug, Default)]
struct Beats {
    key: Option<DatagramKey>,
    ack_key: Option<DatagramKey>,
    seq: u64,
    acked: u64,
    /// When the newest beats were sent, oldest first.
    sent: VecDeque<(u64, Timestamp)>,
    /// The newest beat that was acknowledged over UDP.
    udp_acked: u64,
    next: Timestamp,
    /// The last datagram that came back.
    udp_heard: Timestamp,
    /// Datagrams sent since then.
    udp_unanswered: u32,
    udp_blocked: bool,
    tcp: TcpBeats,
    planned: Timestamp,
}

#[derive(Debug, Default)]
enum TcpBeats {
    #[default]
    Off,
    Waiting {
        until: Timestamp,
    },
    Dialing(ConnId),
    Up(ConnId),
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
        let phase = if founding {
            Phase::Founding
        } else {
            Phase::Waiting { until: now }
        };
        Self {
            lan_cluster: facts.lan_cluster,
            facts,
            incarnation,
            identity,
            file: StateFile::new(NodeIdentity::file()),
            founding_save: None,
            phase,
            attempt: 1,
            reports: 0,
            redial_wait: Duration::ZERO,
            prng: Prng::new(seed),
            thresholds: Thresholds::from_timeout(Duration::from_secs(8), None),
            members: 0,
            answered: now,
            asked: None,
            self_fenced: false,
            registered: false,
            beats: Beats::default(),
            witness_saved: now,
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
        if matches!(self.phase, Phase::Founding) {
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

    pub(crate) const fn udp_blocked(&self) -> bool {
        self.beats.udp_blocked
    }

    /// What the node is doing about its controller, in words.
    pub(crate) fn describe(&self) -> String {
        let site = &self.facts.controller_site;
        match &self.phase {
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

    /// What this node puts on everything it says.
    pub(crate) const fn envelope(&self) -> Envelope {
        Envelope {
            cluster: self.identity.cluster,
            controller_epoch: self.identity.witness.epoch,
            node: Some(self.identity.node),
            node_epoch: self.epoch(),
        }
    }

    // ---- connections ----

    /// Whether this connection is one of the uplink's.
    pub(crate) fn owns(&self, conn: ConnId) -> bool {
        self.control() == Some(conn)
            || matches!(self.beats.tcp, TcpBeats::Dialing(c) | TcpBeats::Up(c) if c == conn)
    }

    const fn control(&self) -> Option<ConnId> {
        match self.phase {
            Phase::Dialing { conn }
            | Phase::Registering { conn, .. }
            | Phase::Recording { conn, .. }
            | Phase::Reporting { conn, .. }
            | Phase::Online { conn } => Some(conn),
            Phase::Founding | Phase::Waiting { .. } | Phase::GivenUp => None,
        }
    }

    pub(crate) fn link_up(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        peer: Role,
        links: &mut Links,
        out: &mut Outbox,
    ) {
        if let TcpBeats::Dialing(dialed) = self.beats.tcp
            && dialed == conn
        {
            self.beats.tcp = TcpBeats::Up(conn);
            self.beats.next = now;
            return;
        }
        if matches!(self.phase, Phase::Dialing { conn: dialed } if dialed == conn) {
            if peer != Role::Controller {
                let text = format!(
                    "{} answers as a {peer}, not as a controller; correct controllerSite",
                    self.facts.controller_site
                );
                links.close(conn, out);
                self.trouble(now, "uplink.not_a_controller", text, out);
                return;
            }
            self.register(now, conn, links, out);
        }
    }

    pub(crate) fn link_down(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        reason: &str,
        fault: LinkFault,
        limits: &Limits,
        out: &mut Outbox,
    ) {
        if matches!(self.beats.tcp, TcpBeats::Dialing(c) | TcpBeats::Up(c) if c == conn) {
            self.beats.tcp = TcpBeats::Waiting {
                until: now.after(limits.redial_min),
            };
            return;
        }
        if self.control() != Some(conn) {
            return;
        }
        let site = &self.facts.controller_site;
        let was_up = matches!(self.phase, Phase::Reporting { .. } | Phase::Online { .. });
        let text = match fault {
            _ if was_up => format!("lost the controller at {site} ({reason}); trying again"),
            LinkFault::Refused => format!(
                "nothing listens at {site}: start the controller there, or correct controllerSite; \
                 it must be the same as localSite in controller.cfg"
            ),
            LinkFault::Silent => format!(
                "no answer from the controller at {site}: a firewall between the hosts (open TCP \
                 and UDP port {}), a wrong address in controllerSite, or the host is down",
                site.endpoint.port
            ),
            LinkFault::UnknownHost => format!(
                "the host name `{}` of controllerSite has no address; correct it or the name \
                 service",
                site.endpoint.host
            ),
            LinkFault::Protocol | LinkFault::Ended => {
                format!("the controller at {site} ended the connection: {reason}")
            }
        };
        if was_up && self.members > u64::try_from(limits.redial_spread_above).unwrap_or(u64::MAX) {
            let spread = u64::try_from(limits.redial_spread.as_nanos()).unwrap_or(u64::MAX);
            self.redial_wait = Duration::from_nanos(self.prng.below(spread));
        }
        self.trouble(now, "uplink.down", text, out);
    }

    /// Notes what is wrong, tells it once, and tries again after a growing while.
    fn trouble(&mut self, now: Timestamp, name: &'static str, text: String, out: &mut Outbox) {
        if self.told != text && !self.leaving {
            out.notify(Event::warning(name, text.clone()));
            self.told = text;
        }
        self.phase = Phase::Waiting {
            until: now.after(self.redial_wait),
        };
    }

    fn dial(&mut self, now: Timestamp, links: &mut Links, out: &mut Outbox) {
        let conn = links.dial(now, self.facts.controller_site.endpoint.clone(), out);
        self.phase = Phase::Dialing { conn };
    }

    fn register(&mut self, now: Timestamp, conn: ConnId, links: &mut Links, out: &mut Outbox) {
        let register = Register {
            role: self.facts.role,
            site: self.facts.site.clone(),
            incarnation: self.incarnation,
            attempt: self.attempt,
            host: self.facts.host,
            controller_site: self.facts.controller_site.clone(),
            lan_cluster: self.facts.lan_cluster,
            build: self.facts.build.clone(),
            process: self.facts.process.clone(),
            witness: self.identity.witness,
        };
        self.phase = Phase::Registering { conn, asked: now };
        let envelope = Envelope {
            node_epoch: NodeEpoch(0),
            ..self.envelope()
        };
        links.send(conn, envelope, Message::Register(register), out);
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
                     Restore the newest home, or stop the wrong one",
                    self.facts.controller_site, envelope.controller_epoch
                );
                self.contradict(now, conn, text, around);
                return;
            }
            self.tell(Event::warning("uplink.stale_controller", text), around.out);
            return;
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

    fn registered(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        envelope: &Envelope,
        granted: Registered,
        around: &mut UplinkAround<'_>,
    ) {
        let ours = matches!(self.phase, Phase::Registering { conn: asked, .. } if asked == conn)
            && granted.incarnation == self.incarnation
            && granted.attempt == self.attempt;
        if !ours {
            return;
        }
        if let Some(contradiction) = self.contradiction(envelope.controller_epoch, &granted)
            && !around.planted.ignore_witness
        {
            self.contradict(now, conn, contradiction, around);
            return;
        }
        let timeout = Duration::from_millis(granted.timeout_ms);
        self.thresholds = Thresholds::from_timeout(timeout, None);
        if around.planted.never_fence {
            self.thresholds.self_fence = Duration::MAX;
        }
        self.lan_cluster = granted.lan_cluster;
        self.members = granted.members;
        self.identity.cluster = Some(granted.cluster);
        let before = core::mem::replace(&mut self.identity.epoch, granted.node_epoch);
        if before != granted.node_epoch {
            self.registered = false;
        }
        self.identity.witness = Witness {
            lineage: Some(granted.lineage),
            epoch: envelope.controller_epoch,
            instance: Some(granted.instance),
            index: granted.commit_index.max(self.identity.witness.index),
        };
        around.links.join_cluster(granted.cluster);
        if let Phase::Registering { asked, .. } = self.phase {
            self.renew(now, asked, around.out);
        }
        for remark in &granted.remarks {
            around
                .out
                .notify(Event::warning("uplink.remark", remark.clone()));
        }
        self.start_beats(now, before, around);
        // The node must not speak under what it would have forgotten after a crash.
        let save = self.save(around.out);
        self.witness_saved = now;
        self.phase = Phase::Recording { conn, save };
    }

    /// Refuses a controller that is behind what this node has seen, and tells it so.
    fn contradict(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        contradiction: String,
        around: &mut UplinkAround<'_>,
    ) {
        let seen = RollbackSeen {
            witness: self.identity.witness,
            text: contradiction.clone(),
        };
        let message = Message::RollbackSeen(seen);
        around
            .links
            .send(conn, self.envelope(), message, around.out);
        around.links.close(conn, around.out);
        self.redial_wait = around.limits.redial_max;
        self.trouble(now, "uplink.rollback_seen", contradiction, around.out);
    }

    /// Whether this controller is behind, or beside, the one that was seen before.
    fn contradiction(&self, epoch: ControllerEpoch, granted: &Registered) -> Option<String> {
        let seen = &self.identity.witness;
        if seen
            .lineage
            .is_some_and(|lineage| lineage != granted.lineage)
        {
            return Some(format!(
                "the controller at {} continues another history of this cluster than the one this \
                 node has seen; it may have been restored from a copy",
                self.facts.controller_site
            ));
        }
        if epoch == seen.epoch && seen.instance.is_some_and(|known| known != granted.instance) {
            return Some(format!(
                "two controllers have epoch {epoch}; one of them runs on a copied home and has to \
                 be stopped"
            ));
        }
        let forgotten = granted
            .epoch_starts
            .iter()
            .find(|(later, start)| *later > seen.epoch && *start <= seen.index)
            .map(|(_, start)| *start);
        forgotten.map(|start| {
            format!(
                "the controller at {} has lost log records: this node has seen index {} confirmed, \
                 and the controller went on from {start}. Restore the controller's newest metadata",
                self.facts.controller_site, seen.index
            )
        })
    }

    fn refused(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        refused: RegistrationRefused,
        around: &mut UplinkAround<'_>,
    ) {
        let ours = matches!(self.phase, Phase::Registering { conn: asked, .. } if asked == conn)
            && refused.incarnation == self.incarnation
            && refused.attempt == self.attempt;
        if !ours {
            return;
        }
        around.links.close(conn, around.out);
        let text = format!(
            "the controller refuses {}: {}",
            self.facts.site, refused.text
        );
        let for_good = !refused.refusal.is_temporary() && self.facts.role == Role::DataNode;
        if for_good {
            around
                .out
                .notify(Event::error("uplink.refused", text.clone()));
            self.told.clone_from(&text);
            self.phase = Phase::GivenUp;
            let code = match refused.refusal {
                RegistrationRefusal::StaleIncarnation | RegistrationRefusal::StaleAttempt => {
                    ExitCode::AlreadyRunning
                }
                _ => ExitCode::Refused,
            };
            around.out.exit(code, text);
            return;
        }
        self.redial_wait = if refused.refusal.is_temporary() {
            Duration::from_millis(refused.retry_after_ms)
                .clamp(around.limits.redial_min, around.limits.redial_max)
        } else {
            around.limits.redial_max
        };
        self.trouble(now, "uplink.refused", text, around.out);
    }

    /// The registration is void: ask for a new one, on the same connection.
    fn fenced(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        envelope: &Envelope,
        fenced: Fenced,
        around: &mut UplinkAround<'_>,
    ) {
        if self.control() != Some(conn) || envelope.node_epoch < self.identity.epoch {
            return;
        }
        let text = format!(
            "fenced by the controller ({}); registering anew",
            fenced.reason
        );
        around.out.notify(Event::warning("uplink.fenced", text));
        self.registered = false;
        self.attempt += 1;
        self.register(now, conn, around.links, around.out);
    }

    /// Answers a controller that asks whose this node is, and says so here if it is not the one
    /// this node was configured with.
    pub(crate) fn probed(
        &mut self,
        conn: ConnId,
        probe: &Probe,
        links: &mut Links,
        out: &mut Outbox,
    ) {
        let mine = &self.facts.controller_site;
        if probe.controller.endpoint != mine.endpoint {
            let text = format!(
                "a controller at {} counts {} among its nodes, but controllerSite here is {mine}; \
                 write the same site in localSite of controller.cfg and in controllerSite here",
                probe.controller, probe.expected
            );
            self.tell(Event::warning("uplink.other_controller", text), out);
        }
        let reply = ProbeReply {
            site: self.facts.site.clone(),
            controller_site: self.facts.controller_site.clone(),
            lan_cluster: self.facts.lan_cluster,
            state: self.describe(),
        };
        links.send(conn, self.envelope(), Message::ProbeReply(reply), out);
    }

    // ---- heartbeats ----

    /// Prepares the beats of a granted registration. Under the same registration as before they go
    /// on being counted: a number that was used is never used again.
    fn start_beats(&mut self, now: Timestamp, before: NodeEpoch, around: &UplinkAround<'_>) {
        let keyring = around.links.keyring();
        let node = self.identity.node;
        self.beats.key = Some(keyring.datagram_key(Direction::ToController, node));
        self.beats.ack_key = Some(keyring.datagram_key(Direction::ToNode, node));
        if self.identity.epoch != before {
            self.beats.seq = 0;
            self.beats.acked = 0;
            self.beats.udp_acked = 0;
            self.beats.sent.clear();
        }
        self.beats.next = now;
        self.beats.planned = now;
        self.beats.udp_heard = now;
        self.beats.udp_unanswered = 0;
        if !self.lan_cluster {
            self.beats.udp_blocked = false;
        }
    }

    const fn over_tcp(&self) -> bool {
        !self.lan_cluster || self.beats.udp_blocked
    }

    fn beat(&mut self, now: Timestamp, around: &mut UplinkAround<'_>) {
        let lag = now.since(self.beats.planned);
        // An unanswered node asks more often for as long as it may still be heard in time: under
        // heavy loss the chance that all of many datagrams are lost is what decides.
        let silence = now.since(self.answered);
        let hurried = silence >= self.thresholds.suspect && silence < self.thresholds.offline;
        let period = around.limits.heartbeat_period / if hurried { HURRY } else { 1 };
        let period = self
            .prng
            .jitter(period, around.limits.heartbeat_jitter_percent);
        self.beats.next = now.after(period);
        self.beats.planned = self.beats.next;
        if self.over_tcp() {
            match self.beats.tcp {
                TcpBeats::Up(conn) => {
                    let message = Message::Beat(self.next_beat(now, lag));
                    around
                        .links
                        .send(conn, self.envelope(), message, around.out);
                }
                TcpBeats::Off => self.dial_beats(now, around),
                TcpBeats::Waiting { until } if now >= until => self.dial_beats(now, around),
                TcpBeats::Waiting { .. } | TcpBeats::Dialing(_) => {}
            }
        }
        // Datagrams go on even where nothing comes back: they cost nothing, they show at once when
        // UDP passes again, and a network that loses much is easily taken for one that passes
        // nothing, where the better transport must not be given up.
        if self.lan_cluster {
            let beat = self.next_beat(now, lag);
            let message = Message::Beat(beat);
            let kind = message.kind();
            let later = around.planted.speak_later_version;
            let body = message.encode_for(self.envelope(), later);
            if let Some(key) = &self.beats.key {
                let bytes = datagram::seal(key, kind, beat.seq, &body);
                let to = Destination::Endpoint(self.facts.controller_site.endpoint.clone());
                if later {
                    let (kind, body) = (later_version::UNKNOWN_KIND, later_version::UNKNOWN_BODY);
                    let bytes = datagram::seal(key, kind, beat.seq, body);
                    let to = to.clone();
                    around.out.push(Effect::SendDatagram { to, bytes });
                }
                around.out.push(Effect::SendDatagram { to, bytes });
                self.beats.udp_unanswered = self.beats.udp_unanswered.saturating_add(1);
            }
        }
    }

    /// The next beat. Each has a number of its own, whichever way it takes: the controller drops
    /// the second of two alike.
    fn next_beat(&mut self, now: Timestamp, lag: Duration) -> Beat {
        self.beats.seq += 1;
        self.beats.sent.push_back((self.beats.seq, now));
        if self.beats.sent.len() > SENT_BEATS_MAX {
            self.beats.sent.pop_front();
        }
        Beat {
            seq: self.beats.seq,
            acked: self.beats.acked,
            udp_blocked: self.beats.udp_blocked,
            self_fenced: self.self_fenced,
            lag_ms: u32::try_from(lag.as_millis()).unwrap_or(u32::MAX),
            seen_index: self.identity.witness.index,
        }
    }

    fn dial_beats(&mut self, now: Timestamp, around: &mut UplinkAround<'_>) {
        let to = self.facts.controller_site.endpoint.clone();
        self.beats.tcp = TcpBeats::Dialing(around.links.dial(now, to, around.out));
    }

    /// A datagram arrived.
    pub(crate) fn datagram(&mut self, now: Timestamp, bytes: &[u8], around: &mut UplinkAround<'_>) {
        let Some(key) = &self.beats.ack_key else {
            return;
        };
        let Ok(unverified) = datagram::parse(bytes) else {
            return;
        };
        let Ok(letter) = unverified.verify(key) else {
            return;
        };
        let Ok(Some((envelope, Message::BeatAck(ack)))) = Message::decode(letter.kind, letter.body)
        else {
            return;
        };
        let current = envelope.controller_epoch == self.identity.witness.epoch
            && envelope.node_epoch == self.identity.epoch
            && self.epoch() != NodeEpoch(0);
        if current && ack.seq <= self.beats.seq && ack.seq > self.beats.udp_acked {
            self.beats.udp_acked = ack.seq;
            self.beats.udp_heard = now;
            self.beats.udp_unanswered = 0;
            if self.beats.udp_blocked {
                self.beats.udp_blocked = false;
                if let TcpBeats::Dialing(conn) | TcpBeats::Up(conn) = self.beats.tcp {
                    around.links.close(conn, around.out);
                }
                self.beats.tcp = TcpBeats::Off;
                let text = "UDP passes again; heartbeats are back on it";
                around.out.notify(Event::info("uplink.udp_back", text));
            }
            self.beat_acked(now, ack, around.out);
        }
    }

    fn beat_acked(&mut self, now: Timestamp, ack: BeatAck, out: &mut Outbox) {
        if ack.seq > self.beats.seq || ack.seq <= self.beats.acked {
            return;
        }
        self.beats.acked = ack.seq;
        let sent = self
            .beats
            .sent
            .iter()
            .find(|(seq, _)| *seq == ack.seq)
            .map(|(_, at)| *at);
        self.beats.sent.retain(|(seq, _)| *seq > ack.seq);
        let witness = &mut self.identity.witness;
        witness.index = witness.index.max(ack.commit_index);
        if let Some(sent) = sent {
            self.renew(now, sent, out);
        }
    }

    /// The controller has answered something that was sent at `sent`.
    fn renew(&mut self, now: Timestamp, sent: Timestamp, out: &mut Outbox) {
        self.answered = self.answered.max(sent);
        self.asked = None;
        self.alive(now, out);
    }

    /// The controller is there: what went wrong before is over.
    fn alive(&mut self, now: Timestamp, out: &mut Outbox) {
        self.redial_wait = Duration::ZERO;
        self.told.clear();
        if self.self_fenced && now.since(self.answered) < self.thresholds.self_fence {
            self.self_fenced = false;
            out.notify(Event::info(
                "uplink.unfenced",
                "the controller answers again",
            ));
        }
    }

    // ---- time ----

    /// Does what is due.
    pub(crate) fn tick(&mut self, now: Timestamp, around: &mut UplinkAround<'_>) {
        let silence = now.since(self.answered);
        if silence >= self.thresholds.self_fence && !self.self_fenced && self.attempt_made() {
            self.self_fenced = true;
            let text = format!(
                "nothing answered by the controller for {} ms; this node takes no writes until it \
                 answers",
                silence.as_millis()
            );
            around
                .out
                .notify(Event::warning("uplink.self_fenced", text));
        }
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

    /// Whether this process was ever registered.
    const fn attempt_made(&self) -> bool {
        self.beats.key.is_some()
    }

    /// Asks over TCP when nothing was answered for 3/8 T, and gives the connection up when nothing
    /// was for 4/5 T: the peer is gone and its kernel cannot say so.
    fn ask_if_silent(&mut self, now: Timestamp, conn: ConnId, around: &mut UplinkAround<'_>) {
        let silence = now.since(self.answered);
        match self.asked {
            None if silence >= self.thresholds.suspect => {
                let nonce = self.prng.next_u64();
                self.asked = Some((now, nonce));
                let ping = Message::Ping(Ping { nonce });
                around.links.send(conn, self.envelope(), ping, around.out);
            }
            Some((asked, _))
                if silence >= self.thresholds.self_fence
                    && now.since(asked) >= around.limits.answer_timeout =>
            {
                self.asked = None;
                around.links.close(conn, around.out);
                let text = format!(
                    "the controller at {} has not answered for {} ms; connecting anew",
                    self.facts.controller_site,
                    silence.as_millis()
                );
                self.trouble(now, "uplink.silent", text, around.out);
            }
            _ => {}
        }
    }

    /// Leaves UDP when nothing comes back over it while TCP answers.
    fn choose_transport(&mut self, now: Timestamp, around: &mut UplinkAround<'_>) {
        let udp_silence = now.since(self.beats.udp_heard);
        let tcp_answers = now.since(self.answered) < self.thresholds.suspect;
        if self.lan_cluster
            && !self.beats.udp_blocked
            && udp_silence >= around.limits.udp_blocked_after
            && self.beats.udp_unanswered >= around.limits.udp_blocked_probes
            && tcp_answers
            && !around.planted.no_tcp_beats
        {
            self.beats.udp_blocked = true;
            self.beats.next = now;
            let text = format!(
                "no heartbeat comes back over UDP from {} for {} ms while TCP answers: UDP is \
                 blocked. Heartbeats go over TCP from now on; open UDP port {}, or set lanCluster=0 \
                 in controller.cfg, agent.cfg and cluster.cfg",
                self.facts.controller_site,
                udp_silence.as_millis(),
                self.facts.controller_site.endpoint.port
            );
            around
                .out
                .notify(Event::warning("uplink.udp_blocked", text));
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

    fn report(&mut self, now: Timestamp, conn: ConnId, around: &mut UplinkAround<'_>) {
        self.registered = true;
        self.reports += 1;
        self.phase = Phase::Reporting {
            conn,
            report: self.reports,
        };
        let report = Report {
            report: self.reports,
            page: 0,
            pages: 1,
            chunks: 0,
        };
        around
            .links
            .send(conn, self.envelope(), Message::Report(report), around.out);
        self.events.push(UplinkEvent::Registered);
        self.beats.next = now;
        self.tick(now, around);
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

/// How many times as often an unanswered node beats.
const HURRY: u32 = 5;
/// Unacknowledged beats whose times are remembered: more than fit into any time-out.
const SENT_BEATS_MAX: usize = 256;
/// How often what was seen of the controller is written down, if it has changed.
const WITNESS_PERIOD: Duration = Duration::from_secs(5);

/// What the owner of an uplink lends it while it acts.
pub(crate) struct UplinkAround<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) planted: &'a Planted,
    pub(crate) links: &'a mut Links,
    pub(crate) out: &'a mut Outbox,
}
