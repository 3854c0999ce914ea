//! Why does a member not come? The controller calls it, and asks.

use crate::controller::Controller;
use crate::controller::members::Presence;
use crate::event::Event;
use crate::ids::ConnId;
use crate::links::LinkFault;
use crate::membership::Slot;
use crate::message::{Message, Probe, ProbeReply};
use crate::time::Timestamp;

impl Controller {
    pub(super) fn probe_up(&mut self, conn: ConnId) {
        let probed = self
            .members
            .all
            .iter()
            .position(|m| m.probing.conn == Some(conn));
        if let Some(slot) = probed {
            let probe = Probe {
                controller: self.site.clone(),
                expected: self.members.all[slot].member.site.clone(),
            };
            self.say(conn, None, Message::Probe(probe));
        }
    }

    pub(super) fn probe_answered(&mut self, conn: ConnId, reply: &ProbeReply) {
        let probed = self
            .members
            .all
            .iter()
            .position(|m| m.probing.conn == Some(conn));
        let Some(slot) = probed else { return };
        let expected = self.members.all[slot].member.site.clone();
        let finding = if reply.site != expected {
            format!(
                "cluster.nodes has `{expected}`, and the process that listens there calls itself \
                 `{}`; write the same in both places",
                reply.site
            )
        } else if reply.controller_site.endpoint != self.site.endpoint {
            format!(
                "its controllerSite is {}, localSite of this controller is {}; write the same in \
                 both places",
                reply.controller_site, self.site
            )
        } else {
            format!("it runs and is not registered: {}", reply.state)
        };
        self.probe_found(slot, finding);
        self.members.all[slot].probing.conn = None;
        self.links.close(conn, &mut self.out);
    }

    pub(super) fn probe_down(
        &mut self,
        _now: Timestamp,
        conn: ConnId,
        reason: &str,
        fault: LinkFault,
    ) {
        let probed = self
            .members
            .all
            .iter()
            .position(|m| m.probing.conn == Some(conn));
        let Some(slot) = probed else { return };
        self.members.all[slot].probing.conn = None;
        let endpoint = self.members.all[slot].member.site.endpoint.clone();
        let finding = match fault {
            LinkFault::Refused => format!(
                "nothing listens at {endpoint}: start the agent on that host, or correct its row in \
                 cluster.nodes"
            ),
            LinkFault::Silent => format!(
                "no answer from {endpoint}: a firewall between the hosts (open TCP and UDP port {}), \
                 a wrong address in cluster.nodes, or the host is down",
                endpoint.port
            ),
            LinkFault::UnknownHost => format!(
                "the host name `{}` in cluster.nodes has no address; correct it or the name service",
                endpoint.host
            ),
            LinkFault::Protocol | LinkFault::Ended => {
                format!("{endpoint} takes connections and ended this one: {reason}")
            }
        };
        self.probe_found(slot, finding);
    }

    fn probe_found(&mut self, slot: Slot, finding: String) {
        let member = &mut self.members.all[slot];
        if member.presence != Presence::Away || member.probing.finding == finding {
            return;
        }
        let text = format!("{} does not come: {finding}", member.member.site.alias);
        self.out.notify(Event::warning("node.absent", text));
        member.probing.finding = finding;
    }
}
