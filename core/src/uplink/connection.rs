//! The connection to the controller: dialled, proven, lost, and dialled again; and the one on which
//! a controller asks whose this node is.

use core::time::Duration;

use super::beats::TcpBeats;
use super::{Phase, Uplink};
use crate::event::Event;
use crate::ids::{ConnId, Role};
use crate::limits::Limits;
use crate::links::{LinkFault, Links};
use crate::message::{Message, Probe, ProbeReply};
use crate::outbox::Outbox;
use crate::time::Timestamp;

impl Uplink {
    /// Whether this connection is one of the uplink's.
    pub(crate) fn owns(&self, conn: ConnId) -> bool {
        self.control() == Some(conn)
            || matches!(self.beats.tcp, TcpBeats::Dialing(c) | TcpBeats::Up(c) if c == conn)
    }

    pub(super) const fn control(&self) -> Option<ConnId> {
        match self.phase {
            Phase::Dialing { conn }
            | Phase::Registering { conn, .. }
            | Phase::Recording { conn, .. }
            | Phase::Reporting { conn, .. }
            | Phase::Online { conn } => Some(conn),
            Phase::NotBegun | Phase::Founding | Phase::Waiting { .. } | Phase::GivenUp => None,
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
        let spread = self.redial_spread(limits);
        if was_up && !spread.is_zero() {
            let spread = u64::try_from(spread.as_nanos()).unwrap_or(u64::MAX);
            self.redial_wait = Duration::from_nanos(self.prng.below(spread));
        }
        self.trouble(now, "uplink.down", text, out);
    }

    /// Over how long the members dial a lost controller again; zero in a small cluster.
    pub(crate) fn redial_spread(&self, limits: &Limits) -> Duration {
        let above = u64::try_from(limits.redial_spread_above).unwrap_or(u64::MAX);
        match self.members > above {
            true => limits.redial_spread,
            false => Duration::ZERO,
        }
    }

    /// Notes what is wrong, tells it once, and tries again after a growing while.
    pub(super) fn trouble(
        &mut self,
        now: Timestamp,
        name: &'static str,
        text: String,
        out: &mut Outbox,
    ) {
        if self.told != text && !self.leaving {
            out.notify(Event::warning(name, text.clone()));
            self.told = text;
        }
        self.phase = Phase::Waiting {
            until: now.after(self.redial_wait),
        };
    }

    pub(super) fn dial(&mut self, now: Timestamp, links: &mut Links, out: &mut Outbox) {
        let conn = links.dial(now, self.facts.controller_site.endpoint.clone(), out);
        self.phase = Phase::Dialing { conn };
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
}
