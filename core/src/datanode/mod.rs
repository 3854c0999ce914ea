//! The data node: keeps chunks in volumes and serves clients.
//!
//! It registers with the controller, tells it what it has, beats, fences itself when it cannot hear
//! the controller, keeps its agent informed, and ends in good order. On the way of a chunk its driver
//! asks it: whether the bytes may come, where they go, whether they are on the disk, where they lie.
//! What clients ask about names it passes on to the controller.

mod labels;
mod mirror;
mod news;
mod pace;
mod relay;
mod scrub;
mod shelves;

use crate::admin::{NodeState, Refusal, Request, Response, StatusReport, Verb};
use crate::dfs::ask::{Ask, Holder};
use crate::dfs::ids::{ChunkVersion, CopyId};
use crate::dfs::token::{TokenKey, WriteToken};
use crate::disk::DiskFault;
use crate::event::Event;
use crate::ids::{ConnId, ControllerEpoch, DiskTicket, Endpoint, NodeEpoch, RequestId, Role};
use crate::io::{Effect, ExitCode, ExitReason, Input, Machine};
use crate::limits::Limits;
use crate::message::{
    Attach, CopyEnded, CopyReplica, Message, Pong, Release, ReplicaEntry, Report, VolumesNow,
};
use crate::node_machine::{self, Base, Files, Other};
use crate::planted::Planted;
use crate::prng::{Prng, SecretPrng, Seed};
use crate::secret::ClusterSecret;
use crate::store::{StoreAnswer, StoreAsk, StoreReply};
use crate::time::Timestamp;
use crate::uplink::{Inventory, NodeFacts, UplinkEvent};
use crate::wire::keys::Keyring;

use labels::Labels;
use mirror::{Mirror, Said};
use news::News;
use relay::Relay;
use scrub::Scrub;
use shelves::{Shelves, ShelvesAround};

pub use shelves::VolumesConfig;

/// What a data node is started with.
#[derive(Clone, Debug)]
pub struct DataNodeConfig {
    /// Who and where it is.
    pub facts: NodeFacts,
    /// The agent of its host; `None` for a node that runs without one.
    pub agent: Option<Endpoint>,
    /// The cluster secret, if there is one.
    pub secret: Option<ClusterSecret>,
    /// Where chunks are kept.
    pub volumes: VolumesConfig,
    /// Bounds and periods.
    pub limits: Limits,
    /// Bugs to be found by the simulator; none in production.
    #[doc(hidden)]
    pub planted: Planted,
}

/// A data node.
#[derive(Clone, Debug)]
pub struct DataNode {
    base: Base,
    agent: Option<Endpoint>,
    agent_link: AgentLink,
    shelves: Shelves,
    news: News,
    relay: Relay,
    scrub: Scrub,
    mirror: Mirror,
    /// Whether the controller is not looked for yet.
    held_back: bool,
    tokens: TokenKey,
    /// The report that the controller waits for, while the volumes are still being read.
    report_due: Option<u64>,
    volumes_told: Timestamp,
    /// Since when the node is to end.
    ending: Option<Timestamp>,
}

#[derive(Clone, Debug)]
enum AgentLink {
    /// Nobody to connect to.
    None,
    Waiting {
        until: Timestamp,
    },
    Dialing(ConnId),
    Up(ConnId),
}

impl DataNode {
    /// Reads the home and begins.
    ///
    /// # Errors
    /// If a file of the home is damaged or belongs to another node. Nothing was changed.
    pub fn new(
        config: DataNodeConfig,
        files: &Files,
        seed: Seed,
        now: Timestamp,
    ) -> Result<Self, ExitReason> {
        let DataNodeConfig {
            facts,
            agent,
            secret,
            volumes,
            limits,
            planted,
        } = config;
        let mut secrets = SecretPrng::new(seed);
        let remembered = node_machine::read(files, &labels::file())?;
        let labels = Labels::new(remembered, SecretPrng::new(Seed::new(secrets.next_32())));
        let draws = secrets.next_u64();
        let seed = Seed::new(secrets.next_32());
        let tokens = TokenKey::new(&Keyring::new(secret.as_ref()));
        let mut base = Base::new(facts, secret.as_ref(), limits, planted, files, seed, now)?;
        let identity = base.uplink.identity();
        let (node, cluster) = (identity.node, identity.cluster);
        let alias = base.uplink.facts().site.alias.clone();
        let shelves = Shelves::new(volumes, labels, node, alias, cluster, draws, &mut base.out);
        let agent_link = match agent {
            Some(_) => AgentLink::Waiting { until: now },
            None => AgentLink::None,
        };
        let mut node = Self {
            base,
            agent,
            agent_link,
            shelves,
            news: News::default(),
            relay: Relay::new(now),
            scrub: Scrub::new(Prng::new(secrets.next_u64())),
            mirror: Mirror::default(),
            held_back: true,
            tokens,
            report_due: None,
            volumes_told: now,
            ending: None,
        };
        // A controller that has lost records is known by what the mirror has of them; the file in which
        // the newest record that was seen is kept is a few seconds old.
        let has_mirror = files.keys().any(crate::mirror::is_mirror);
        if let (true, Some(cluster)) = (has_mirror, cluster) {
            node.mirror.look(cluster, &mut node.base.out);
        }
        node.register_once_looked(now);
        node.tick(now);
        Ok(node)
    }

    fn tick(&mut self, now: Timestamp) {
        self.base.tick(now);
        self.follow_controller(now);
        if let (AgentLink::Waiting { until }, Some(agent)) = (&self.agent_link, &self.agent)
            && now >= *until
            && self.ending.is_none()
        {
            let conn = self.base.links.dial(now, agent.clone(), &mut self.base.out);
            self.agent_link = AgentLink::Dialing(conn);
        }
        let (shelves, mut around) = self.shelves();
        shelves.tick(now, &mut around);
        if self.ending.is_none() {
            let Base { planted, out, .. } = &mut self.base;
            self.scrub.tick(now, &self.shelves, planted, out);
        }
        let Base {
            uplink,
            limits,
            out,
            ..
        } = &mut self.base;
        if self.relay.tick(now, uplink, limits, out) {
            let (uplink, mut around) = self.base.uplink();
            uplink.doubt_session(now, &mut around);
        }
        self.report_if_due(now);
        self.tell_changes(now);
        self.end_if_done(now);
    }

    /// Lends the shelves what they need.
    fn shelves(&mut self) -> (&mut Shelves, ShelvesAround<'_>) {
        let Base {
            limits,
            planted,
            out,
            ..
        } = &mut self.base;
        let around = ShelvesAround {
            limits,
            planted,
            news: &mut self.news,
            out,
        };
        (&mut self.shelves, around)
    }

    fn sort(&mut self, now: Timestamp) {
        for other in self.base.sort_link_events(now) {
            match other {
                Other::Up(conn, peer) => self.link_up(conn, peer.role),
                Other::Message(conn, _, message) => self.message(conn, *message),
                Other::Down(conn) => {
                    let agents = matches!(
                        self.agent_link,
                        AgentLink::Dialing(c) | AgentLink::Up(c) if c == conn
                    );
                    if agents {
                        let until = now.after(self.base.limits.redial_min * 4);
                        self.agent_link = AgentLink::Waiting { until };
                    }
                }
            }
        }
        for event in self.base.uplink.take_events() {
            match event {
                UplinkEvent::Registered { report, volumes } => {
                    self.report_due = Some(report);
                    let identity = self.base.uplink.identity();
                    let (epoch, cluster) = (identity.epoch, identity.cluster);
                    let (shelves, mut around) = self.shelves();
                    shelves.take_orders(now, volumes, &mut around);
                    shelves.registered(now, epoch, cluster, &mut around);
                }
                UplinkEvent::Online => {}
                UplinkEvent::Message(message) => self.controller_says(now, *message),
            }
        }
        self.follow_controller(now);
    }

    /// Has clients' questions follow the controller's coming and going.
    fn follow_controller(&mut self, now: Timestamp) {
        let Base {
            uplink, links, out, ..
        } = &mut self.base;
        self.relay.follow(now, uplink, links, out);
    }

    // ---- the controller ----

    fn controller_says(&mut self, now: Timestamp, message: Message) {
        match message {
            Message::DfsAnswer(answer) => self.relay.answered(answer, &mut self.base.out),
            Message::NewsApplied(applied) => self.news.applied(applied.upto),
            Message::Release(release) => self.release(now, &release),
            Message::CopyReplica(order) => self.copy(order),
            Message::MirrorOpen(open) => {
                let cluster = self.base.uplink.identity().cluster;
                self.mirror.open(open, cluster, &mut self.base.out);
            }
            Message::MirrorPiece(piece) => {
                let lineage = self.base.uplink.identity().witness.lineage;
                let said = self.mirror.piece(piece, lineage, &mut self.base.out);
                self.mirror_says(said);
            }
            Message::MirrorSettled(settled) => self.mirror.settled(settled, &mut self.base.out),
            Message::VolumeOrders(told) => {
                let (shelves, mut around) = self.shelves();
                shelves.take_orders(now, told, &mut around);
            }
            Message::RescanVolumes(order) => {
                let (shelves, mut around) = self.shelves();
                shelves.rescan(now, order, &mut around);
            }
            Message::WantReport(want) => {
                let text = format!("the controller wants a full report: {}", want.reason);
                self.base.out.notify(Event::info("report.wanted", text));
                self.report_due = Some(self.base.uplink.next_report());
            }
            _ => {}
        }
    }

    /// The controller gives contents up. One that is behind what this node has seen of the history
    /// does not know what it gives up.
    fn release(&mut self, now: Timestamp, release: &Release) {
        let seen = self.base.uplink.identity().witness.index;
        if release.as_of < seen && !self.base.planted.obey_old_releases {
            let text = format!(
                "refused to give up {} chunks: the controller says so as of log index {}, and {seen} \
                 has been seen",
                release.versions.len(),
                release.as_of
            );
            let event = Event::warning("release.refused", text);
            self.base.out.notify(event);
            return;
        }
        for version in &release.versions {
            let (shelves, mut around) = self.shelves();
            shelves.release(now, *version, &mut around);
        }
        let (shelves, mut around) = self.shelves();
        shelves.drain_at(now, &mut around);
    }

    /// Tells the controller all that the node has, once it knows that itself.
    fn report_if_due(&mut self, now: Timestamp) {
        let Some(report) = self.report_due else {
            return;
        };
        if !self.shelves.are_settled() {
            return;
        }
        self.report_due = None;
        let entries = self.shelves.report();
        let sum = entries
            .iter()
            .fold(0_u64, |sum, entry| sum.wrapping_add(entry.fingerprint()));
        let as_of = self.news.begin(sum);
        let size = self.base.limits.report_page_entries.max(1);
        let damaged = self.shelves.damaged_only(&entries);
        let longest = entries.len().max(damaged.len());
        let pages = u32::try_from(longest.div_ceil(size).max(1)).unwrap_or(u32::MAX);
        let chunks = entries.len() as u64;
        let (mut parts, mut damaged) = (entries.chunks(size), damaged.chunks(size));
        for page in 0..pages {
            let mut report = Report::page_of(report, page, pages);
            report.chunks = chunks;
            report.as_of = as_of;
            report.entries = parts.next().unwrap_or_default().to_vec();
            report.damaged = damaged.next().unwrap_or_default().to_vec();
            if page == 0 {
                report.volumes = self.shelves.facts(now);
            }
            self.say(Message::Report(report));
        }
        self.volumes_told = now;
        self.shelves.take_facts_changed();
        self.tell_sum();
    }

    /// Tells the controller what has changed since the report.
    fn tell_changes(&mut self, now: Timestamp) {
        let changed = self.shelves.take_contents_changed();
        if (changed || self.news.has_overflowed()) && self.report_due.is_none() {
            self.report_due = Some(self.base.uplink.next_report());
            self.report_if_due(now);
        }
        self.tell_sum();
        if !self.base.uplink.is_online() {
            return;
        }
        if let Some(news) = self.news.poll(now, &self.base.limits) {
            self.say(Message::ReplicaNews(news));
        }
        let period = self.base.limits.volumes_period;
        if self.shelves.take_facts_changed()
            || now.since(self.volumes_told) >= period
            || self.base.planted.tell_volumes_always
        {
            self.volumes_told = now;
            let volumes = self.shelves.facts(now);
            self.say(Message::VolumesNow(VolumesNow { volumes }));
        }
        for done in self.shelves.take_rescanned(now) {
            self.say(Message::VolumesRescanned(done));
        }
    }

    fn tell_sum(&mut self) {
        self.base.uplink.set_inventory(Inventory {
            sum: self.news.sum(),
            news: self.news.newest(),
        });
    }

    fn say(&mut self, message: Message) {
        let Base {
            uplink, links, out, ..
        } = &mut self.base;
        uplink.send(message, links, out);
    }

    // ---- the mirror of the controller's log ----

    fn mirror_says(&mut self, said: impl IntoIterator<Item = Said>) {
        for said in said {
            match said {
                Said::Controller(message) => self.say(message),
                Said::Asker(conn, message) => self.answer(conn, message),
                // Whoever says one day that it goes on from an earlier record is contradicted.
                Said::Reaches(lineage, index) => self.base.uplink.has_mirrored(lineage, index),
            }
        }
    }

    /// Begins to look for the controller once it is known what to hold it to.
    fn register_once_looked(&mut self, now: Timestamp) {
        if self.held_back && !self.mirror.is_looking() {
            self.held_back = false;
            let Base {
                uplink, links, out, ..
            } = &mut self.base;
            uplink.start(now, links, out);
        }
    }

    fn mirror_disk_done(&mut self, ticket: DiskTicket, result: &Result<(), DiskFault>) -> bool {
        let cluster = self.base.uplink.identity().cluster;
        let said = self
            .mirror
            .disk_done(ticket, result, cluster, &mut self.base.out);
        let mine = said.is_some();
        self.mirror_says(said.into_iter().flatten());
        mine
    }

    // ---- chunks ----

    /// The driver asks on the way of a chunk.
    fn store(&mut self, now: Timestamp, id: RequestId, ask: StoreAsk) {
        let reply = match ask {
            StoreAsk::Admit { token, len } => match self.check_token(&token) {
                Ok(()) => {
                    let (shelves, mut around) = self.shelves();
                    shelves.admit(id, &token, len, &mut around)
                }
                Err(refusal) => Some(Err(refusal)),
            },
            StoreAsk::Staged { stage, summary } => {
                let (shelves, mut around) = self.shelves();
                shelves.staged(id, stage, &summary, &mut around)
            }
            StoreAsk::Cancel { stage } => {
                let (shelves, mut around) = self.shelves();
                shelves.cancel(stage, &mut around);
                Some(Ok(StoreAnswer::Done))
            }
            StoreAsk::Find {
                version,
                even_damaged,
            } => Some(self.shelves.find(version, even_damaged, &self.base.planted)),
            StoreAsk::Damaged {
                volume,
                version,
                reason,
            } => {
                let (shelves, mut around) = self.shelves();
                shelves.damaged(now, volume, version, &reason, &mut around);
                Some(Ok(StoreAnswer::Done))
            }
        };
        if let Some(reply) = reply {
            self.reply_store(id, reply);
        }
        let (shelves, mut around) = self.shelves();
        shelves.drain_at(now, &mut around);
    }

    /// The controller wants a chunk to be kept here, too.
    fn copy(&mut self, order: CopyReplica) {
        match self.check_token(&order.token) {
            Ok(()) => self.base.out.push(Effect::Copy(order)),
            Err(refusal) => {
                let token = &order.token;
                let (epoch, version) = (token.controller_epoch, token.version);
                self.copy_ended(order.copy, epoch, version, Err(refusal.to_string()));
            }
        }
    }

    /// A copy is here, or is not. If the controller cannot be told, it finds out by the next report.
    fn copy_ended(
        &mut self,
        copy: CopyId,
        epoch: ControllerEpoch,
        version: ChunkVersion,
        result: Result<Holder, String>,
    ) {
        let (holder, reason) = match result {
            Ok(holder) => (Some(holder), String::new()),
            Err(reason) => (None, reason),
        };
        self.say(Message::CopyEnded(CopyEnded {
            copy,
            epoch,
            version,
            holder,
            reason,
        }));
    }

    fn reply_store(&mut self, id: RequestId, reply: StoreReply) {
        self.base.out.push(Effect::StoreReply { id, reply });
    }

    /// Whether a write token is in force here.
    fn check_token(&self, token: &WriteToken) -> Result<(), Refusal> {
        let identity = self.base.uplink.identity();
        let epoch = self.base.uplink.epoch();
        let stale = |reason: String| Err(Refusal::Stale { reason });
        if self.ending.is_some() {
            return Err(Refusal::Unavailable {
                reason: "this node is ending and takes no new chunks".to_owned(),
            });
        }
        if self.base.uplink.is_self_fenced() {
            return Err(Refusal::Unavailable {
                reason: "this node does not hear its controller and takes no chunks until it does"
                    .to_owned(),
            });
        }
        if identity.cluster != Some(token.cluster) {
            return stale("the token is another cluster's".to_owned());
        }
        if token.controller_epoch != identity.witness.epoch && !self.base.planted.take_old_tokens {
            return stale(format!(
                "the token is of controller epoch {}, and {} is in force here",
                token.controller_epoch, identity.witness.epoch
            ));
        }
        let mine = token
            .replicas
            .iter()
            .find(|(node, _)| *node == identity.node);
        match mine {
            None => return stale("the token names other nodes".to_owned()),
            Some((_, named)) if *named != epoch && !self.base.planted.take_old_tokens => {
                return stale(format!(
                    "the token is for this node's registration {named}, and {epoch} is in force"
                ));
            }
            Some(_) => {}
        }
        if !self.tokens.is_signed(token) {
            return Err(Refusal::Invalid {
                reason: "the token was not signed by this cluster's controller".to_owned(),
            });
        }
        Ok(())
    }

    // ---- the agent ----

    fn link_up(&mut self, conn: ConnId, peer: Role) {
        let dialed = matches!(self.agent_link, AgentLink::Dialing(c) if c == conn);
        if dialed && peer == Role::Agent {
            self.agent_link = AgentLink::Up(conn);
            let attach = Attach {
                alias: self.base.uplink.facts().site.alias.clone(),
                incarnation: self.base.uplink.incarnation(),
                process: self.base.uplink.facts().process.clone(),
            };
            let envelope = self.base.uplink.envelope();
            let Base { links, out, .. } = &mut self.base;
            links.send(conn, envelope, Message::Attach(attach), out);
        }
    }

    fn message(&mut self, conn: ConnId, message: Message) {
        let peer = self.base.links.peer(conn).map(|peer| peer.role);
        match message {
            Message::Ping(ping) => {
                // The agent asks on behalf of the controller: the answer says under which epoch this
                // node lives, which no kernel and no pid could say for it.
                // One that has fenced itself lives under none: its agent's word must not keep it half
                // alive at the controller.
                let pong = Message::Pong(Pong { nonce: ping.nonce });
                let mut envelope = self.base.uplink.envelope();
                if self.base.uplink.is_self_fenced() {
                    envelope.node_epoch = NodeEpoch(0);
                }
                let Base { links, out, .. } = &mut self.base;
                links.send(conn, envelope, pong, out);
            }
            // Whoever rebuilds a controller's home speaks for the controller that is gone.
            Message::MirrorSurvey(ask) if peer == Some(Role::Controller) => {
                let uplink = &self.base.uplink;
                let cluster = uplink.identity().cluster;
                let seen = (uplink.identity().witness, uplink.hears_controller());
                let said = self
                    .mirror
                    .survey(conn, ask, seen, cluster, &mut self.base.out);
                self.mirror_says(said);
            }
            Message::MirrorRead(ask) if peer == Some(Role::Controller) => {
                let said = self.mirror.read(conn, ask, &mut self.base.out);
                self.mirror_says(said);
            }
            _ => {}
        }
    }

    fn answer(&mut self, conn: ConnId, message: Message) {
        let envelope = self.base.uplink.envelope();
        let Base { links, out, .. } = &mut self.base;
        links.send(conn, envelope, message, out);
    }

    /// Answers a request, or returns `None` if the answer comes later.
    fn request(
        &mut self,
        now: Timestamp,
        id: RequestId,
        request: Request,
    ) -> Option<Result<Response, Refusal>> {
        match request.verb {
            Verb::Status => Some(Ok(Response::Status(Box::new(self.status(now))))),
            Verb::WhoAmI => self.request(
                now,
                id,
                Request {
                    caller: request.caller,
                    verb: Verb::Dfs(Ask::WhoAmI),
                },
            ),
            Verb::Dfs(ask) => {
                let Base {
                    limits,
                    uplink,
                    links,
                    out,
                    ..
                } = &mut self.base;
                let asked =
                    self.relay
                        .ask(now, id, &request.caller, ask, uplink, limits, links, out);
                asked.err().map(Err)
            }
            _ => Some(Err(Refusal::NotHere {
                here: format!("data node {}", self.base.uplink.facts().site.alias),
                site: Some(self.base.uplink.facts().controller_site.to_string()),
            })),
        }
    }

    /// The node's own view of itself.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> StatusReport {
        let facts = self.base.uplink.facts();
        let ready = self.base.uplink.is_online() && !self.base.uplink.is_self_fenced();
        let mut alarms = Vec::new();
        if self.base.uplink.is_self_fenced() {
            alarms.push("the controller is not heard: no writes are taken".to_owned());
        }
        if self.base.uplink.udp_blocked() {
            alarms.push("UDP is blocked: heartbeats go over TCP".to_owned());
        }
        StatusReport {
            alias: facts.site.alias.clone(),
            mode: Role::DataNode,
            summary: self.base.uplink.describe(),
            ready,
            nodes: Vec::new(),
            alarms,
            first_password: false,
            commit_index: None,
            log_copies: Vec::new(),
            uptime_ms: u64::try_from(now.since(self.base.started).as_millis()).unwrap_or(u64::MAX),
            all_green_after_ms: None,
            figures: self.base.measured.clone(),
        }
    }

    /// Where the node believes itself to be in its life.
    #[must_use]
    pub const fn state(&self) -> NodeState {
        if self.ending.is_some() {
            NodeState::Stopping
        } else if self.base.uplink.is_online() {
            NodeState::Online
        } else {
            NodeState::Joining
        }
    }

    /// What the node knows of itself and its controller, for the checkers of the simulators.
    #[doc(hidden)]
    #[must_use]
    pub fn identity(
        &self,
    ) -> (
        &crate::uplink::NodeIdentity,
        crate::ids::Incarnation,
        NodeEpoch,
        bool,
    ) {
        let uplink = &self.base.uplink;
        (
            uplink.identity(),
            uplink.incarnation(),
            uplink.epoch(),
            uplink.is_self_fenced(),
        )
    }

    /// What the node has and counts, for the checkers of the simulators.
    #[doc(hidden)]
    #[must_use]
    pub fn entries(&self) -> Vec<ReplicaEntry> {
        self.shelves.entries()
    }

    /// Chunks on one of its volumes, whether or not they count, for the checkers of the simulators.
    #[doc(hidden)]
    #[must_use]
    pub fn count_on(&self, slot: crate::dfs::ids::VolumeSlot) -> usize {
        self.shelves.count_on(slot)
    }

    /// Sum of what the node has by its own word and the number of the newest change in it, for the
    /// checkers of the simulators: where neither has changed, [`DataNode::entries`] has not.
    #[doc(hidden)]
    #[must_use]
    pub fn inventory(&self) -> (u64, u64) {
        (self.news.sum(), self.news.newest())
    }

    /// Whether nothing is on its way to a disk, for the checkers of the simulators.
    #[doc(hidden)]
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.shelves.are_idle() && self.relay.is_idle()
    }

    fn terminate(&mut self, now: Timestamp) {
        if self.ending.is_some() {
            return;
        }
        self.ending = Some(now);
        self.base
            .out
            .notify(Event::info("node.ending", "ending: no new work is taken"));
        self.end_if_done(now);
    }

    /// Ends once what runs is finished, or has taken too long.
    fn end_if_done(&mut self, now: Timestamp) {
        let Some(since) = self.ending else { return };
        let done = self.shelves.are_idle() && self.relay.is_idle();
        if !done && now.since(since) < self.base.limits.drain_timeout {
            return;
        }
        let (uplink, around) = self.base.uplink();
        uplink.leave("SIGTERM", around.links, around.out);
        self.base.out.exit(ExitCode::Success, "ended as ordered");
    }
}

impl Machine for DataNode {
    fn handle(&mut self, now: Timestamp, input: Input) {
        if self.base.out.is_exiting() {
            return;
        }
        match self.base.handle(now, input) {
            Some(Input::Request { id, request }) => {
                if let Some(reply) = self.request(now, id, request) {
                    self.base.out.reply(id, reply);
                }
            }
            Some(Input::Store { id, ask }) => self.store(now, id, ask),
            Some(Input::VolumeOpened { slot, result }) => {
                self.scrub.volume_opened(slot);
                let (shelves, mut around) = self.shelves();
                shelves.opened(now, slot, result, &mut around);
            }
            Some(Input::VolumeDone {
                slot,
                ticket,
                result,
            }) => {
                let (shelves, mut around) = self.shelves();
                shelves.disk_done(now, slot, ticket, result, &mut around);
            }
            Some(Input::VolumeSpace {
                slot,
                capacity,
                free,
            }) => {
                let (shelves, mut around) = self.shelves();
                shelves.space(now, slot, capacity, free, &mut around);
            }
            Some(Input::DiskDone { ticket, result }) => {
                if !self.mirror_disk_done(ticket, &result) {
                    self.shelves
                        .memory_saved(ticket, &result, &mut self.base.out);
                }
            }
            Some(Input::JobDone { job, outcome }) => {
                let cluster = self.base.uplink.identity().cluster;
                let said = self
                    .mirror
                    .job_done(job, outcome, cluster, &mut self.base.out);
                self.mirror_says(said.into_iter().flatten());
                self.register_once_looked(now);
            }
            Some(Input::Scrubbed { version, result }) => {
                self.scrub.scrubbed(now, version, &result, &self.shelves);
            }
            Some(Input::LabelRead {
                slot,
                ticket,
                result,
            }) => {
                if self.scrub.label_awaited(slot, ticket) {
                    let (shelves, mut around) = self.shelves();
                    let soon = match result {
                        Ok(copies) => shelves.label_read(slot, &copies, &mut around),
                        Err(_) => true,
                    };
                    self.scrub.label_read(now, slot, soon, &self.shelves);
                }
            }
            Some(Input::CopyEnded {
                copy,
                epoch,
                version,
                result,
            }) => self.copy_ended(copy, epoch, version, result),
            Some(Input::Terminate) => self.terminate(now),
            Some(_) | None => {}
        }
        self.sort(now);
        self.tick(now);
    }

    fn poll_effect(&mut self) -> Option<Effect> {
        self.base.out.pop()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        if self.base.out.is_exiting() {
            return None;
        }
        let agent = match &self.agent_link {
            AgentLink::Waiting { until } if self.ending.is_none() => Some(*until),
            _ => None,
        };
        let limits = &self.base.limits;
        let online = self.base.uplink.is_online();
        let news = online.then(|| self.news.next_deadline(limits)).flatten();
        let volumes = online.then(|| self.volumes_told.after(limits.volumes_period));
        let ending = self.ending.map(|since| since.after(limits.drain_timeout));
        let relay = self.relay.next_deadline(&self.base.uplink, limits);
        let shelves = self.shelves.next_deadline();
        let scrub = self.scrub.next_deadline().filter(|_| self.ending.is_none());
        let parts = [
            self.base.next_deadline(),
            agent,
            news,
            volumes,
            ending,
            relay,
            shelves,
            scrub,
        ];
        parts.into_iter().flatten().min()
    }

    fn check_invariants(&self) {
        assert!(
            !self.base.uplink.is_online() || self.base.uplink.identity().cluster.is_some(),
            "a node that is online knows its cluster"
        );
        self.shelves.check_invariants();
    }
}
