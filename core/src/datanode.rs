//! The data node: keeps chunks in volumes and serves clients.
//!
//! This is its control half. It registers with the controller, tells it what it holds, beats, fences
//! itself when it cannot hear the controller, keeps its agent informed, and ends in good order.

use crate::admin::{NodeState, Refusal, Request, Response, StatusReport, Verb};
use crate::event::Event;
use crate::ids::{ConnId, Endpoint, NodeEpoch, Role};
use crate::io::{Effect, ExitCode, ExitReason, Input, Machine};
use crate::limits::Limits;
use crate::message::{Attach, Message, Pong};
use crate::node_machine::{Base, Files, Other};
use crate::planted::Planted;
use crate::prng::Seed;
use crate::secret::ClusterSecret;
use crate::time::Timestamp;
use crate::uplink::{NodeFacts, UplinkEvent};

/// What a data node is started with.
#[derive(Clone, Debug)]
pub struct DataNodeConfig {
    /// Who and where it is.
    pub facts: NodeFacts,
    /// The agent of its host; `None` for a node that runs without one.
    pub agent: Option<Endpoint>,
    /// The chunks that its volumes held when they were read.
    pub chunks: u64,
    /// The cluster secret, if there is one.
    pub secret: Option<ClusterSecret>,
    /// Bounds and periods.
    pub limits: Limits,
    /// Bugs to be found by the simulator; none in production.
    #[doc(hidden)]
    pub planted: Planted,
}

/// A data node.
#[derive(Debug)]
pub struct DataNode {
    base: Base,
    agent: Option<Endpoint>,
    agent_link: AgentLink,
    ending: bool,
}

#[derive(Debug)]
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
            chunks,
            secret,
            limits,
            planted,
        } = config;
        let mut base = Base::new(facts, secret.as_ref(), limits, planted, files, seed, now)?;
        base.uplink.holds(chunks);
        let agent_link = match agent {
            Some(_) => AgentLink::Waiting { until: now },
            None => AgentLink::None,
        };
        let mut node = Self {
            base,
            agent,
            agent_link,
            ending: false,
        };
        node.tick(now);
        Ok(node)
    }

    fn tick(&mut self, now: Timestamp) {
        self.base.tick(now);
        if let (AgentLink::Waiting { until }, Some(agent)) = (&self.agent_link, &self.agent)
            && now >= *until
            && !self.ending
        {
            let conn = self.base.links.dial(now, agent.clone(), &mut self.base.out);
            self.agent_link = AgentLink::Dialing(conn);
        }
    }

    fn sort(&mut self, now: Timestamp) {
        for other in self.base.sort_link_events(now) {
            match other {
                Other::Up(conn, peer) => self.link_up(conn, peer.role),
                Other::Message(conn, _, message) => self.message(conn, &message),
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
                UplinkEvent::Registered | UplinkEvent::Online | UplinkEvent::Message(_) => {}
            }
        }
    }

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

    fn message(&mut self, conn: ConnId, message: &Message) {
        if let Message::Ping(ping) = message {
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
    }

    fn request(&mut self, now: Timestamp, request: &Request) -> Result<Response, Refusal> {
        match request.verb {
            Verb::Status => Ok(Response::Status(Box::new(self.status(now)))),
            _ => Err(Refusal::NotHere {
                here: format!("data node {}", self.base.uplink.facts().site.alias),
                site: Some(self.base.uplink.facts().controller_site.to_string()),
            }),
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
            commit_index: None,
            uptime_ms: u64::try_from(now.since(self.base.started).as_millis()).unwrap_or(u64::MAX),
            all_green_after_ms: None,
        }
    }

    /// Where the node believes itself to be in its life.
    #[must_use]
    pub const fn state(&self) -> NodeState {
        if self.ending {
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

    fn terminate(&mut self) {
        if self.ending {
            return;
        }
        self.ending = true;
        let (uplink, around) = self.base.uplink();
        uplink.leave("SIGTERM", around.links, around.out);
        self.base
            .out
            .notify(Event::info("node.ending", "ending: no new work is taken"));
        // Nothing runs yet that would have to be waited for.
        self.base.out.exit(ExitCode::Success, "ended as ordered");
    }
}

impl Machine for DataNode {
    fn handle(&mut self, now: Timestamp, input: Input) {
        match self.base.handle(now, input) {
            Some(Input::Request { id, request }) => {
                let reply = self.request(now, &request);
                self.base.out.reply(id, reply);
            }
            Some(Input::Terminate) => self.terminate(),
            Some(_) | None => {}
        }
        self.sort(now);
        self.tick(now);
    }

    fn poll_effect(&mut self) -> Option<Effect> {
        self.base.out.pop()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        let agent = match &self.agent_link {
            AgentLink::Waiting { until } if !self.ending => Some(*until),
            _ => None,
        };
        [self.base.next_deadline(), agent]
            .into_iter()
            .flatten()
            .min()
    }

    fn check_invariants(&self) {
        assert!(
            !self.base.uplink.is_online() || self.base.uplink.identity().cluster.is_some(),
            "a node that is online knows its cluster"
        );
    }
}
