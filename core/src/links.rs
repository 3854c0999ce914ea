//! The connections of a machine: each a [`Session`] that proves who the other side is.

use core::net::SocketAddr;
use std::collections::BTreeMap;

use crate::event::Event;
use crate::ids::{ConnId, Endpoint};
use crate::io::{CloseReason, Effect};
use crate::later_version;
use crate::limits::Limits;
use crate::message::{Envelope, Message};
use crate::outbox::Outbox;
use crate::planted::Planted;
use crate::prng::SecretPrng;
use crate::time::Timestamp;
use crate::wire::keys::Keyring;
use crate::wire::session::{Introduction, Session, SessionEvent};

/// What happened on a connection.
#[derive(Clone, Debug)]
pub(crate) enum LinkEvent {
    /// The other side has proven itself.
    Up { conn: ConnId, peer: Introduction },
    /// A message arrived.
    Message {
        conn: ConnId,
        envelope: Envelope,
        message: Box<Message>,
    },
    /// The connection is gone, or never came about.
    Down {
        conn: ConnId,
        reason: String,
        fault: LinkFault,
    },
}

/// What kind of trouble ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkFault {
    /// Nothing listens there.
    Refused,
    /// No answer at all.
    Silent,
    /// The host has no address.
    UnknownHost,
    /// The other side speaks wrongly, or may not speak.
    Protocol,
    /// It was up and ended.
    Ended,
}

#[derive(Clone, Debug)]
struct Link {
    session: Session,
    opened: Timestamp,
    peer: Option<Introduction>,
    remote: Option<SocketAddr>,
    connected: bool,
}

/// The connections of a machine.
#[derive(Clone, Debug)]
pub(crate) struct Links {
    keyring: Keyring,
    me: Introduction,
    secrets: SecretPrng,
    links: BTreeMap<ConnId, Link>,
    events: Vec<LinkEvent>,
    /// See [`Planted::speak_later_version`].
    later_version: bool,
}

impl Links {
    pub(crate) const fn new(keyring: Keyring, me: Introduction, secrets: SecretPrng) -> Self {
        Self {
            keyring,
            me,
            secrets,
            links: BTreeMap::new(),
            events: Vec::new(),
            later_version: false,
        }
    }

    /// The same, with what a test has planted.
    pub(crate) const fn planted(mut self, planted: &Planted) -> Self {
        self.later_version = planted.speak_later_version;
        self
    }

    /// Tells the sessions opened from now on which cluster this process belongs to.
    pub(crate) fn join_cluster(&mut self, cluster: crate::ids::ClusterId) {
        self.me.cluster = Some(cluster);
    }

    pub(crate) const fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Starts a connection to `to`.
    pub(crate) fn dial(&mut self, now: Timestamp, to: Endpoint, out: &mut Outbox) -> ConnId {
        let conn = out.connect(to);
        let nonce = self.secrets.next_32();
        let session = Session::dial(&self.keyring, self.me.clone(), nonce);
        let link = Link {
            session,
            opened: now,
            peer: None,
            remote: None,
            connected: false,
        };
        self.links.insert(conn, link);
        conn
    }

    /// Somebody connected.
    pub(crate) fn accepted(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        from: SocketAddr,
        limits: &Limits,
        out: &mut Outbox,
    ) {
        if self.links.len() >= limits.connections_max {
            // The oldest that has proven nothing gives way; if all have, the new one does.
            let unproven = self.links.iter().filter(|(_, link)| link.peer.is_none());
            match unproven.map(|(&conn, link)| (link.opened, conn)).min() {
                Some((_, oldest)) => self.close(oldest, out),
                None => {
                    out.push(Effect::Close { conn });
                    return;
                }
            }
        }
        let nonce = self.secrets.next_32();
        let session = Session::accept(&self.keyring, self.me.clone(), nonce);
        let remote = Some(from);
        let link = Link {
            session,
            opened: now,
            peer: None,
            remote,
            connected: true,
        };
        self.links.insert(conn, link);
        self.flush(conn, out);
    }

    /// A dialled connection stands.
    pub(crate) fn connected(&mut self, conn: ConnId, peer: SocketAddr, out: &mut Outbox) {
        if let Some(link) = self.links.get_mut(&conn) {
            link.connected = true;
            link.remote = Some(peer);
            self.flush(conn, out);
        }
    }

    /// Bytes arrived.
    pub(crate) fn received(&mut self, conn: ConnId, bytes: &[u8], out: &mut Outbox) {
        let Some(link) = self.links.get_mut(&conn) else {
            return;
        };
        let result = link.session.receive(bytes);
        while let Some(event) = link.session.poll_event() {
            match event {
                SessionEvent::Established { peer } => {
                    link.peer = Some(peer.clone());
                    self.events.push(LinkEvent::Up { conn, peer });
                }
                SessionEvent::Frame { kind, body } => match Message::decode(kind, &body) {
                    Ok(Some((envelope, message))) => {
                        let message = Box::new(message);
                        self.events.push(LinkEvent::Message {
                            conn,
                            envelope,
                            message,
                        });
                    }
                    Ok(None) => {
                        let text = format!("skipped a message of unknown kind {kind:#06x}");
                        out.notify(Event::debug("wire.unknown_kind", text));
                    }
                    Err(malformed) => {
                        let text = format!(
                            "skipped a malformed message{}: {malformed}",
                            link.remote
                                .map(|at| format!(" from {at}"))
                                .unwrap_or_default()
                        );
                        out.notify(Event::warning("wire.malformed", text));
                    }
                },
            }
        }
        self.flush(conn, out);
        if let Err(fault) = result {
            self.end(conn, fault.to_string(), LinkFault::Protocol);
            out.push(Effect::Close { conn });
        }
    }

    /// The driver says that a connection is gone.
    pub(crate) fn closed(&mut self, conn: ConnId, reason: &CloseReason) {
        let fault = match reason {
            CloseReason::Refused => LinkFault::Refused,
            CloseReason::TimedOut => LinkFault::Silent,
            CloseReason::UnknownHost => LinkFault::UnknownHost,
            CloseReason::Ended | CloseReason::Broken(_) => LinkFault::Ended,
        };
        self.end(conn, reason.to_string(), fault);
    }

    /// Sends a message on an established connection; a connection that is gone swallows it. Returns
    /// whether it fitted into a frame: if not, nothing was sent.
    pub(crate) fn send(
        &mut self,
        conn: ConnId,
        envelope: Envelope,
        message: Message,
        out: &mut Outbox,
    ) -> bool {
        let mut fitted = true;
        if let Some(link) = self.links.get_mut(&conn)
            && link.peer.is_some()
        {
            let (kind, name) = (message.kind(), message.name());
            let body = message.encode_for(envelope, self.later_version);
            match link.session.try_seal(kind, &body) {
                Ok(bytes) => out.push(Effect::Send { conn, bytes }),
                Err(too_long) => {
                    let text = format!("{name} was not sent: {too_long}");
                    out.notify(Event::error("wire.too_long", text));
                    fitted = false;
                }
            }
            if self.later_version {
                let bytes =
                    (link.session).seal(later_version::UNKNOWN_KIND, later_version::UNKNOWN_BODY);
                out.push(Effect::Send { conn, bytes });
            }
        }
        fitted
    }

    /// Ends a connection from this side. No [`LinkEvent::Down`] follows.
    pub(crate) fn close(&mut self, conn: ConnId, out: &mut Outbox) {
        if self.links.remove(&conn).is_some() {
            out.push(Effect::Close { conn });
        }
    }

    /// Who is on the other side, once proven.
    pub(crate) fn peer(&self, conn: ConnId) -> Option<&Introduction> {
        self.links.get(&conn)?.peer.as_ref()
    }

    /// The other side's address.
    pub(crate) fn remote(&self, conn: ConnId) -> Option<SocketAddr> {
        self.links.get(&conn)?.remote
    }

    /// Ends what has not proven itself in time.
    pub(crate) fn expire(&mut self, now: Timestamp, limits: &Limits, out: &mut Outbox) {
        let late: Vec<(ConnId, bool)> = self
            .links
            .iter()
            .filter(|(_, link)| {
                link.peer.is_none() && now.since(link.opened) >= limits.handshake_timeout
            })
            .map(|(&conn, link)| (conn, link.connected))
            .collect();
        for (conn, connected) in late {
            let reason = if connected {
                "it did not prove itself in time"
            } else {
                "no answer in time"
            };
            self.end(conn, reason.to_owned(), LinkFault::Silent);
            out.push(Effect::Close { conn });
        }
    }

    /// When [`Links::expire`] has something to do.
    pub(crate) fn next_deadline(&self, limits: &Limits) -> Option<Timestamp> {
        let unproven = self.links.values().filter(|link| link.peer.is_none());
        unproven
            .map(|link| link.opened.after(limits.handshake_timeout))
            .min()
    }

    /// What happened since the last call, in order.
    pub(crate) fn take_events(&mut self) -> Vec<LinkEvent> {
        core::mem::take(&mut self.events)
    }

    pub(crate) fn len(&self) -> usize {
        self.links.len()
    }

    fn end(&mut self, conn: ConnId, reason: String, fault: LinkFault) {
        if self.links.remove(&conn).is_some() {
            self.events.push(LinkEvent::Down {
                conn,
                reason,
                fault,
            });
        }
    }

    fn flush(&mut self, conn: ConnId, out: &mut Outbox) {
        if let Some(link) = self.links.get_mut(&conn)
            && link.connected
        {
            while let Some(bytes) = link.session.poll_output() {
                out.push(Effect::Send { conn, bytes });
            }
        }
    }
}
