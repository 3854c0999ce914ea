//! From a proven connection to a member of the cluster: ask, be granted an epoch, write it down,
//! report.

use core::time::Duration;

use super::{Phase, Uplink, UplinkAround, UplinkEvent};
use crate::event::Event;
use crate::ids::{ConnId, NodeEpoch, Role};
use crate::io::ExitCode;
use crate::links::Links;
use crate::membership::Thresholds;
use crate::message::{
    Envelope, Message, Register, Registered, RegistrationRefusal, RegistrationRefused,
    RollbackSeen, VolumeOrders, Witness,
};
use crate::outbox::Outbox;
use crate::time::Timestamp;

impl Uplink {
    pub(super) fn register(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        links: &mut Links,
        out: &mut Outbox,
    ) {
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

    pub(super) fn registered(
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
        self.volumes = VolumeOrders {
            owners: granted.owners,
            draining: granted.draining,
        };
        self.identity.cluster = Some(granted.cluster);
        let before = core::mem::replace(&mut self.identity.epoch, granted.node_epoch);
        if before != granted.node_epoch {
            self.registered = false;
        }
        let seen = self.identity.witness;
        self.identity.witness = Witness {
            lineage: Some(granted.lineage),
            epoch: envelope.controller_epoch,
            instance: Some(granted.instance),
            // Another history has records of its own under the numbers of those that it gave up.
            index: if seen.lineage == Some(granted.lineage) {
                granted.commit_index.max(seen.index)
            } else {
                granted.commit_index
            },
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
    pub(super) fn contradict(
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

    pub(super) fn refused(
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

    pub(super) fn report(&mut self, now: Timestamp, conn: ConnId, around: &mut UplinkAround<'_>) {
        self.registered = true;
        self.reports += 1;
        self.phase = Phase::Reporting {
            conn,
            report: self.reports,
        };
        self.events.push(UplinkEvent::Registered {
            report: self.reports,
            volumes: core::mem::take(&mut self.volumes),
        });
        self.beats.next = now;
        self.tick(now, around);
    }
}
