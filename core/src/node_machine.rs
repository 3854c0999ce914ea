//! What agents and data nodes have in common: a home, connections, and a controller.

use core::net::SocketAddr;
use std::collections::BTreeMap;

use crate::disk::{DiskOp, FileName};
use crate::figures::Figures;
use crate::ids::{DiskTicket, Incarnation, NodeId};
use crate::io::{ExitCode, ExitReason, Input};
use crate::limits::Limits;
use crate::links::{LinkEvent, Links};
use crate::message::{Envelope, Message};
use crate::outbox::Outbox;
use crate::planted::Planted;
use crate::prng::{SecretPrng, Seed};
use crate::secret::ClusterSecret;
use crate::state_file::{StateFileError, read_state_file};
use crate::time::Timestamp;
use crate::uplink::{NodeFacts, NodeIdentity, Uplink, UplinkAround};
use crate::wire::codec;
use crate::wire::keys::Keyring;
use crate::wire::session::Introduction;

/// The files that were in a machine's directory when it started.
pub type Files = BTreeMap<FileName, Vec<u8>>;

/// What every node machine is made of.
#[derive(Clone, Debug)]
pub(crate) struct Base {
    pub(crate) limits: Limits,
    pub(crate) planted: Planted,
    pub(crate) links: Links,
    pub(crate) uplink: Uplink,
    pub(crate) out: Outbox,
    pub(crate) started: Timestamp,
    /// What was measured last.
    pub(crate) measured: Option<Box<Figures>>,
    cleaning: Option<DiskTicket>,
}

/// A link event that is not the uplink's.
#[derive(Debug)]
pub(crate) enum Other {
    Up(crate::ids::ConnId, Introduction),
    Message(crate::ids::ConnId, Envelope, Box<Message>),
    Down(crate::ids::ConnId),
}

impl Base {
    /// Reads the home. The controller is not looked for before [`Uplink::start`].
    ///
    /// # Errors
    /// If a file of the home is damaged, or belongs to another node: nothing is changed.
    pub(crate) fn new(
        facts: NodeFacts,
        secret: Option<&ClusterSecret>,
        limits: Limits,
        planted: Planted,
        files: &Files,
        seed: Seed,
        now: Timestamp,
    ) -> Result<Self, ExitReason> {
        let identity: Option<NodeIdentity> = read(files, &NodeIdentity::file())?;
        if let Some(identity) = &identity
            && identity.alias != facts.site.alias
        {
            let message = format!(
                "this home belongs to {}, not to {}; give each node a home of its own",
                identity.alias, facts.site.alias
            );
            return Err(ExitReason {
                code: ExitCode::Usage,
                message,
            });
        }
        let mut secrets = SecretPrng::new(seed);
        let incarnation = Incarnation::new(secrets.next_16());
        let fresh = NodeId::new(secrets.next_16());
        let me = Introduction {
            role: facts.role,
            cluster: identity.as_ref().and_then(|identity| identity.cluster),
            alias: facts.site.alias.clone(),
            incarnation,
            build: facts.build.clone(),
        };
        let nonces = SecretPrng::new(Seed::new(secrets.next_32()));
        let jitter = secrets.next_u64();
        let links = Links::new(Keyring::new(secret), me, nonces).planted(&planted);
        let uplink = Uplink::new(facts, incarnation, identity, fresh, jitter, now);
        let out = Outbox::default();
        let started = now;
        let mut base = Self {
            limits,
            planted,
            links,
            uplink,
            out,
            started,
            measured: None,
            cleaning: None,
        };
        let leftovers: Vec<DiskOp> = files
            .keys()
            .filter(|name| name.is_temporary())
            .map(|name| DiskOp::Remove { file: name.clone() })
            .collect();
        if !leftovers.is_empty() {
            base.cleaning = Some(base.out.disk(leftovers));
        }
        Ok(base)
    }

    /// Lends the uplink what it needs.
    pub(crate) fn uplink(&mut self) -> (&mut Uplink, UplinkAround<'_>) {
        let around = UplinkAround {
            limits: &self.limits,
            planted: &self.planted,
            links: &mut self.links,
            out: &mut self.out,
        };
        (&mut self.uplink, around)
    }

    /// Handles what is common; hands back what is left for the role.
    pub(crate) fn handle(&mut self, now: Timestamp, input: Input) -> Option<Input> {
        // Before the link events are sorted: an end that waited for the next input might wait for
        // ever.
        self.links.expire(now, &self.limits, &mut self.out);
        match input {
            Input::Deadline => {}
            Input::Datagram { bytes, .. } => {
                let (uplink, mut around) = self.uplink();
                uplink.datagram(now, &bytes, &mut around);
            }
            Input::DatagramsDropped { .. } => {}
            Input::Measured(figures) => self.measured(*figures),
            Input::Accepted { conn, from } => {
                self.links
                    .accepted(now, conn, from, &self.limits, &mut self.out);
            }
            Input::Connected { conn, peer } => self.connected(conn, peer),
            Input::Received { conn, bytes } => self.links.received(conn, &bytes, &mut self.out),
            Input::Closed { conn, reason } => self.links.closed(conn, &reason),
            Input::DiskDone { ticket, result } => {
                if self.cleaning == Some(ticket) {
                    // A left-over that stays means nothing.
                    self.cleaning = None;
                    return None;
                }
                let (uplink, mut around) = self.uplink();
                if !uplink.disk_done(now, ticket, &result, &mut around) {
                    return Some(Input::DiskDone { ticket, result });
                }
            }
            Input::Process(_)
            | Input::Request { .. }
            | Input::JobDone { .. }
            | Input::Store { .. }
            | Input::VolumeOpened { .. }
            | Input::VolumeDone { .. }
            | Input::VolumeSpace { .. }
            | Input::CopyEnded { .. }
            | Input::Scrubbed { .. }
            | Input::LabelRead { .. }
            | Input::Terminate => {
                return Some(input);
            }
        }
        None
    }

    /// Sends what was measured on to the controller, if there is one; the next ones follow soon.
    fn measured(&mut self, mut figures: Figures) {
        let (latency, total) = self.uplink.beat_latency();
        let nanos = |span: core::time::Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        figures.beat_latency_ns = nanos(latency);
        figures.beat_latency_total_ns = nanos(total);
        self.measured = Some(Box::new(figures));
        if self.uplink.is_online() {
            let message = Message::Figures(figures);
            self.uplink.send(message, &mut self.links, &mut self.out);
        }
    }

    fn connected(&mut self, conn: crate::ids::ConnId, peer: SocketAddr) {
        self.links.connected(conn, peer, &mut self.out);
    }

    /// Hands link events to the uplink; returns those that concern the role.
    pub(crate) fn sort_link_events(&mut self, now: Timestamp) -> Vec<Other> {
        let mut others = Vec::new();
        for event in self.links.take_events() {
            match event {
                LinkEvent::Up { conn, peer } if self.uplink.owns(conn) => {
                    let (uplink, around) = self.uplink();
                    uplink.link_up(now, conn, peer.role, around.links, around.out);
                }
                LinkEvent::Up { conn, peer } => others.push(Other::Up(conn, peer)),
                LinkEvent::Message {
                    conn,
                    envelope,
                    message,
                } if self.uplink.owns(conn) => {
                    let (uplink, mut around) = self.uplink();
                    uplink.message(now, conn, &envelope, *message, &mut around);
                }
                LinkEvent::Message {
                    conn,
                    envelope,
                    message,
                } => match *message {
                    Message::Probe(probe) => {
                        let (uplink, around) = self.uplink();
                        uplink.probed(conn, &probe, around.links, around.out);
                    }
                    _ => others.push(Other::Message(conn, envelope, message)),
                },
                LinkEvent::Down {
                    conn,
                    reason,
                    fault,
                } if self.uplink.owns(conn) => {
                    let (uplink, around) = self.uplink();
                    uplink.link_down(now, conn, &reason, fault, around.limits, around.out);
                }
                LinkEvent::Down { conn, .. } => others.push(Other::Down(conn)),
            }
        }
        others
    }

    /// Does what is due by time.
    pub(crate) fn tick(&mut self, now: Timestamp) {
        let (uplink, mut around) = self.uplink();
        uplink.tick(now, &mut around);
    }

    /// When [`Base::tick`] has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        let links = self.links.next_deadline(&self.limits);
        let uplink = self.uplink.next_deadline(&self.limits);
        [links, uplink].into_iter().flatten().min()
    }
}

/// Reads one state file of a home, if it is there.
pub(crate) fn read<T, B>(
    files: &BTreeMap<FileName, B>,
    name: &FileName,
) -> Result<Option<T>, ExitReason>
where
    B: AsRef<[u8]>,
    T: for<'b> minicbor::Decode<'b, ()>,
{
    let damaged = |error: StateFileError| ExitReason {
        code: ExitCode::CorruptData,
        message: error.to_string(),
    };
    let Some(bytes) = files.get(name) else {
        return Ok(None);
    };
    let payload = read_state_file(name, bytes.as_ref()).map_err(damaged)?;
    let value = codec::decode(name.as_str(), payload).map_err(|malformed| {
        damaged(StateFileError {
            file: name.clone(),
            reason: malformed.to_string(),
        })
    })?;
    Ok(Some(value))
}
