//! Connections: opening, carrying, breaking.

use std::net::SocketAddr;

use vaquita_core::ids::{ConnId, Endpoint};
use vaquita_core::io::{CloseReason, Input};

use super::event::{ConnEvent, Event};
use super::{Factory, HostIx, NodeIx, World};
use crate::host::PortHolder;
use crate::net::tcp::{ConnNumber, Connection, Flow, Segment, Side, SideNo, SideState, Stall};
use crate::net::{Traffic, address};
use crate::streams::{Draw, Rate, Stream, index};
use crate::time::{SimTime, nanos};

/// Bytes a process reads at once.
const READ: usize = 16 * 1024;
/// How often a request to connect is sent before the driver's patience ends anyway.
const DIALS_MAX: u32 = 6;

/// The other end.
const fn other(side: SideNo) -> SideNo {
    1 - side
}

impl<F: Factory> World<F> {
    pub(super) fn dial(&mut self, node: NodeIx, conn: ConnId, to: &Endpoint) {
        let spec = &self.nodes[node.index()].spec;
        let (host, port) = (spec.host, spec.port);
        let Some(process) = self.nodes[node.index()].process.as_mut() else {
            return;
        };
        let start = process.start;
        let number = self.next_connection;
        if conn.0 % 2 != 0 {
            self.fail(
                Some(node),
                format!("names its connection {conn}; it may use even numbers"),
            );
            return;
        }
        if process.connections.insert(conn, number).is_some() {
            self.fail(Some(node), format!("names two connections {conn}"));
            return;
        }
        self.next_connection += 1;
        let target = self.resolve(host, &to.host);
        let heard = self.now;
        let state = SideState::Dialling;
        let near = Side {
            host,
            port,
            node,
            start,
            conn,
            state,
            heard,
            questioned: false,
        };
        let far = Side {
            host: target.unwrap_or(host),
            port: to.port,
            // Until the other host has been reached, nobody is there.
            node,
            start: 0,
            conn: ConnId(0),
            state: SideState::Unknown,
            heard,
            questioned: false,
        };
        let flows = [Flow::default(), Flow::default()];
        self.connections.insert(
            number,
            Connection {
                sides: [near, far],
                flows,
                sends: 0,
            },
        );
        let at = self.now;
        if target.is_none() {
            self.later(
                node,
                at.after_nanos(500_000),
                number,
                ConnEvent::UnknownHost,
            );
            return;
        }
        let patience = self.settings.tcp.connect_timeout;
        self.later(node, at.after(patience), number, ConnEvent::DialTimeout);
        self.dial_again(number, 0);
    }

    fn later(&mut self, node: NodeIx, at: SimTime, number: ConnNumber, event: ConnEvent) {
        self.schedule(node, at, Event::Connection(number, event));
    }

    pub(super) fn connection_event(&mut self, number: ConnNumber, event: ConnEvent) {
        if !self.connections.contains_key(&number) {
            return;
        }
        match event {
            ConnEvent::Dial { attempt } => self.dial_again(number, attempt),
            ConnEvent::Request => self.dial_arrives(number),
            ConnEvent::Agreed => self.dial_agreed(number),
            ConnEvent::Refused => self.dial_fails(number, CloseReason::Refused),
            ConnEvent::DialTimeout => self.dial_fails(number, CloseReason::TimedOut),
            ConnEvent::UnknownHost => self.dial_fails(number, CloseReason::UnknownHost),
            ConnEvent::Arrive { side, segment } => self.segment_arrives(number, side, segment),
            ConnEvent::Retry { side, stall } => self.retry(number, side, stall),
            ConnEvent::Reset { side } => self.reset_arrives(number, side),
            ConnEvent::KeepAlive { side } => self.keep_alive(number, side),
        }
        if self
            .connections
            .get(&number)
            .is_some_and(Connection::is_over)
        {
            self.connections.remove(&number);
        }
    }

    fn dial_again(&mut self, number: ConnNumber, attempt: u32) {
        let Some(conn) = self.connections.get(&number) else {
            return;
        };
        let [near, far] = conn.sides;
        if near.state != SideState::Dialling || attempt >= DIALS_MAX {
            return;
        }
        if let Some(after) = self.net.segment(self.now, near.host, far.host) {
            self.later(
                near.node,
                self.now.after_nanos(after),
                number,
                ConnEvent::Request,
            );
        }
        let wait = nanos(self.settings.tcp.syn_rto).saturating_mul(1 << attempt);
        let next = ConnEvent::Dial {
            attempt: attempt + 1,
        };
        self.later(near.node, self.now.after_nanos(wait), number, next);
    }

    /// A request to connect has reached the host.
    fn dial_arrives(&mut self, number: ConnNumber) {
        let Some(conn) = self.connections.get(&number) else {
            return;
        };
        let [near, far] = conn.sides;
        let host = &self.hosts[far.host.index()];
        if near.state != SideState::Dialling
            || !host.powered
            || self.net.is_cut(near.host, far.host, Traffic::Tcp)
        {
            return;
        }
        let listener = match host.port(far.port) {
            Some(PortHolder::Node(node)) => Some(*node),
            // A program that does not speak the protocol ends the connection sooner or later; here
            // at once.
            Some(PortHolder::Foreign(_)) | None => None,
        };
        let Some(back) = self.net.segment(self.now, far.host, near.host) else {
            return;
        };
        let at = self.now.after_nanos(back);
        let accepted = listener.and_then(|node| {
            let process = self.nodes[node.index()].process.as_mut()?;
            Some((node, process.start))
        });
        let Some((node, start)) = accepted else {
            self.later(near.node, at, number, ConnEvent::Refused);
            return;
        };
        if far.state == SideState::Unknown
            && let Some(conn) = self.connections.get_mut(&number)
        {
            let far = &mut conn.sides[1];
            far.node = node;
            far.start = start;
            far.state = SideState::Arriving;
            far.heard = self.now;
        }
        self.later(near.node, at, number, ConnEvent::Agreed);
    }

    fn dial_agreed(&mut self, number: ConnNumber) {
        let now = self.now;
        let Some(conn) = self.connections.get_mut(&number) else {
            return;
        };
        let [near, far] = conn.sides;
        if near.state != SideState::Dialling {
            return;
        }
        let cut = self.net.is_cut(far.host, near.host, Traffic::Tcp);
        if cut || !self.hosts[near.host.index()].powered {
            return;
        }
        conn.sides[0].state = SideState::Open;
        conn.sides[0].heard = now;
        conn.flows[0].segments.push_front(Segment::Hello);
        self.flow_on(number, 0);
        let idle = self.settings.tcp.keepalive_idle;
        for (side, node) in [(0, near.node), (1, far.node)] {
            self.later(node, now.after(idle), number, ConnEvent::KeepAlive { side });
        }
        let peer = SocketAddr::new(address(far.host), far.port);
        self.tell(
            near.node,
            near.start,
            Input::Connected {
                conn: near.conn,
                peer,
            },
        );
    }

    fn dial_fails(&mut self, number: ConnNumber, reason: CloseReason) {
        let Some(conn) = self.connections.get_mut(&number) else {
            return;
        };
        let near = conn.sides[0];
        if near.state != SideState::Dialling {
            return;
        }
        conn.sides[0].state = SideState::Unknown;
        self.tell_closed(near.node, near.start, near.conn, reason);
    }

    /// A machine sends on a connection.
    pub(super) fn send(&mut self, node: NodeIx, conn: ConnId, bytes: Vec<u8>) {
        let Some((number, side)) = self.find(node, conn) else {
            return;
        };
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        connection.sends += 1;
        let key = (number << 1) | side as u64;
        let mut draw = self.streams.at(Stream::Cut, key, connection.sends);
        // Bytes handed over in the same moment may travel together, as a stream has no seams.
        let flow = &mut connection.flows[side];
        let mut rest = bytes;
        if flow.last_push == self.now
            && draw.chance(Rate::percent(30))
            && let Some(Segment::Bytes(last)) = flow.segments.back_mut()
            && last.len() + rest.len() <= READ
        {
            last.append(&mut rest);
            return;
        }
        for piece in cut(rest, &mut draw) {
            self.push(number, side, Segment::Bytes(piece));
        }
    }

    /// A machine closes a connection: what it sent is still delivered.
    pub(super) fn close(&mut self, node: NodeIx, conn: ConnId) {
        let Some((number, side)) = self.find(node, conn) else {
            return;
        };
        if let Some(process) = self.nodes[node.index()].process.as_mut() {
            process.connections.remove(&conn);
        }
        let read_until = self.now.after(self.settings.tcp.linger);
        self.shut(number, side, read_until);
    }

    /// This side's process is done with the connection.
    fn shut(&mut self, number: ConnNumber, side: SideNo, read_until: SimTime) {
        let Some(conn) = self.connections.get_mut(&number) else {
            return;
        };
        match conn.sides[side].state {
            SideState::Dialling | SideState::Arriving => {
                conn.sides[side].state = SideState::Unknown;
            }
            SideState::Open => {
                conn.sides[side].state = SideState::Closed { read_until };
                self.push(number, side, Segment::Fin);
            }
            SideState::Closed { .. } => {
                conn.sides[side].state = SideState::Closed { read_until };
            }
            SideState::Unknown => {}
        }
        if self
            .connections
            .get(&number)
            .is_some_and(Connection::is_over)
        {
            self.connections.remove(&number);
        }
    }

    fn find(&self, node: NodeIx, conn: ConnId) -> Option<(ConnNumber, SideNo)> {
        let process = self.nodes[node.index()].process.as_ref()?;
        let number = *process.connections.get(&conn)?;
        let connection = self.connections.get(&number)?;
        let side = connection.sides.iter().position(|side| {
            side.node == node && side.start == process.start && side.conn == conn
        })?;
        Some((number, side))
    }

    fn push(&mut self, number: ConnNumber, side: SideNo, segment: Segment) {
        let now = self.now;
        let Some(conn) = self.connections.get_mut(&number) else {
            return;
        };
        let flow = &mut conn.flows[side];
        if flow.ended {
            return;
        }
        flow.ended = matches!(segment, Segment::Fin);
        flow.last_push = now;
        flow.segments.push_back(segment);
        let newest = flow.end() - 1;
        // What is sent before the connection is open waits for it.
        let open = conn.sides[side].state != SideState::Dialling;
        if open && flow.stalled.is_none() {
            self.transmit(number, side, newest);
        }
    }

    /// Sends a segment, which may be lost. Returns whether it is on its way.
    fn transmit(&mut self, number: ConnNumber, side: SideNo, segment: u64) -> bool {
        let Some(conn) = self.connections.get_mut(&number) else {
            return false;
        };
        let (from, to) = (conn.sides[side], conn.sides[other(side)]);
        let Some(after) = self.net.segment(self.now, from.host, to.host) else {
            self.stall(number, side, segment);
            return false;
        };
        let flow = &mut conn.flows[side];
        let at = self
            .now
            .after_nanos(after)
            .max(flow.last_arrival.after_nanos(1));
        flow.last_arrival = at;
        self.later(from.node, at, number, ConnEvent::Arrive { side, segment });
        true
    }

    /// A segment was lost: everything behind it waits for its retransmission.
    fn stall(&mut self, number: ConnNumber, side: SideNo, segment: u64) {
        let (now, rto_max) = (self.now, nanos(self.settings.tcp.rto_max));
        let rto_min = nanos(self.settings.tcp.rto_min);
        let Some(conn) = self.connections.get_mut(&number) else {
            return;
        };
        let node = conn.sides[side].node;
        let flow = &mut conn.flows[side];
        if flow.given_up() {
            return;
        }
        flow.stalls += 1;
        let stall = match flow.stalled {
            Some(stall) => Stall {
                at: stall.at.min(segment),
                number: flow.stalls,
                since: stall.since,
                rto: stall.rto.saturating_mul(2).min(rto_max),
            },
            None => Stall {
                at: segment,
                number: flow.stalls,
                since: now,
                rto: rto_min,
            },
        };
        flow.stalled = Some(stall);
        let retry = ConnEvent::Retry {
            side,
            stall: stall.number,
        };
        self.later(node, now.after_nanos(stall.rto), number, retry);
    }

    fn retry(&mut self, number: ConnNumber, side: SideNo, number_of_stall: u32) {
        let Some(conn) = self.connections.get_mut(&number) else {
            return;
        };
        let flow = &conn.flows[side];
        let Some(stall) = flow.stalled.filter(|stall| stall.number == number_of_stall) else {
            return;
        };
        let (from, to) = (conn.sides[side], conn.sides[other(side)]);
        if !self.hosts[from.host.index()].powered {
            return;
        }
        if self.now.since(stall.since) >= self.settings.tcp.user_timeout {
            self.break_side(number, side, "Connection timed out (os error 110)");
            return;
        }
        let segment = flow.acknowledged;
        match self.net.segment(self.now, from.host, to.host) {
            Some(after) => {
                let at = self.now.after_nanos(after);
                self.later(from.node, at, number, ConnEvent::Arrive { side, segment });
                // Should it be lost on arrival, or its acknowledgement: the next try.
                self.stall(number, side, segment);
            }
            None => self.stall(number, side, segment),
        }
    }

    fn segment_arrives(&mut self, number: ConnNumber, side: SideNo, segment: u64) {
        let now = self.now;
        let Some(conn) = self.connections.get_mut(&number) else {
            return;
        };
        let (from, to) = (conn.sides[side], conn.sides[other(side)]);
        let flow = &mut conn.flows[side];
        if flow.given_up() || segment > flow.delivered {
            // Something before it is missing.
            return;
        }
        let host = &self.hosts[to.host.index()];
        if !host.powered || self.net.is_cut(from.host, to.host, Traffic::Tcp) {
            if flow.stalled.is_none() {
                self.stall(number, side, segment);
            }
            return;
        }
        let knows = match to.state {
            SideState::Open | SideState::Arriving => true,
            SideState::Closed { read_until } => now <= read_until,
            SideState::Dialling | SideState::Unknown => false,
        };
        if !knows {
            self.answer_with_reset(number, side);
            return;
        }
        conn.sides[other(side)].heard = now;
        conn.sides[other(side)].questioned = false;
        let fresh = segment == flow.delivered;
        let at = index(segment.saturating_sub(flow.acknowledged));
        let acknowledged = !self.net.is_cut(to.host, from.host, Traffic::Tcp);
        let payload = if fresh && segment >= flow.acknowledged {
            flow.delivered += 1;
            // The bytes are needed again only if the acknowledgement is lost, and then only to be
            // recognised as old.
            flow.segments
                .get_mut(at)
                .map(|slot| std::mem::replace(slot, Segment::Bytes(Vec::new())))
        } else {
            None
        };
        if acknowledged {
            let resumes = flow.stalled.take_if(|stall| stall.at <= segment).is_some();
            flow.acknowledge(segment);
            conn.sides[side].heard = now;
            conn.sides[side].questioned = false;
            if resumes {
                self.flow_on(number, side);
            }
        } else if flow.stalled.is_none() {
            self.stall(number, side, segment);
        }
        if let Some(payload) = payload {
            self.deliver(number, other(side), payload);
        }
    }

    /// A retransmission got through: what waited behind it follows.
    fn flow_on(&mut self, number: ConnNumber, side: SideNo) {
        let Some(flow) = self.connections.get(&number).map(|conn| &conn.flows[side]) else {
            return;
        };
        for segment in flow.acknowledged..flow.end() {
            if !self.transmit(number, side, segment) {
                break;
            }
        }
    }

    fn deliver(&mut self, number: ConnNumber, side: SideNo, segment: Segment) {
        let Some(conn) = self.connections.get_mut(&number) else {
            return;
        };
        let (here, peer) = (conn.sides[side], conn.sides[other(side)]);
        match (segment, here.state) {
            (Segment::Hello, SideState::Arriving) => {
                let slot = &mut self.nodes[here.node.index()];
                let Some(process) = slot.process_of(here.start) else {
                    return;
                };
                let id = ConnId(process.next_accepted);
                process.next_accepted += 2;
                process.connections.insert(id, number);
                conn.sides[side].conn = id;
                conn.sides[side].state = SideState::Open;
                let from = SocketAddr::new(address(peer.host), ephemeral_port(number));
                self.tell(here.node, here.start, Input::Accepted { conn: id, from });
            }
            (Segment::Bytes(bytes), SideState::Open) if !bytes.is_empty() => {
                let input = Input::Received {
                    conn: here.conn,
                    bytes,
                };
                self.tell(here.node, here.start, input);
            }
            (Segment::Fin, SideState::Open) => {
                // The driver tells the machine and lets go of the connection.
                self.forget(number, side);
                let now = self.now;
                if let Some(conn) = self.connections.get_mut(&number) {
                    conn.sides[side].state = SideState::Closed { read_until: now };
                    conn.flows[side].give_up();
                }
                self.tell_closed(here.node, here.start, here.conn, CloseReason::Ended);
            }
            _ => {}
        }
    }

    /// The kernel knows no such connection and says so.
    fn answer_with_reset(&mut self, number: ConnNumber, side: SideNo) {
        let Some(conn) = self.connections.get(&number) else {
            return;
        };
        let (to, from) = (conn.sides[side], conn.sides[other(side)]);
        let segment = conn.flows[side].acknowledged;
        if conn.flows[side].stalled.is_none() {
            // Should the reset be lost: the sender tries again and is told again.
            self.stall(number, side, segment);
        }
        if let Some(after) = self.net.segment(self.now, from.host, to.host) {
            let at = self.now.after_nanos(after);
            self.later(to.node, at, number, ConnEvent::Reset { side });
        }
    }

    fn reset_arrives(&mut self, number: ConnNumber, side: SideNo) {
        let Some(conn) = self.connections.get(&number) else {
            return;
        };
        let (here, peer) = (conn.sides[side], conn.sides[other(side)]);
        let powered = self.hosts[here.host.index()].powered;
        if powered && !self.net.is_cut(peer.host, here.host, Traffic::Tcp) {
            self.break_side(number, side, "Connection reset by peer (os error 104)");
        }
    }

    /// This side's kernel gives the connection up and tells its process.
    fn break_side(&mut self, number: ConnNumber, side: SideNo, words: &str) {
        let Some(conn) = self.connections.get_mut(&number) else {
            return;
        };
        let here = conn.sides[side];
        conn.flows[side].give_up();
        conn.sides[side].state = SideState::Unknown;
        if matches!(here.state, SideState::Open) {
            let reason = CloseReason::Broken(words.to_owned());
            self.tell_closed(here.node, here.start, here.conn, reason);
        }
    }

    /// Nothing more that this side sent will arrive, and nothing more comes to it.
    fn forget(&mut self, number: ConnNumber, side: SideNo) {
        if let Some(conn) = self.connections.get_mut(&number) {
            conn.flows[other(side)].give_up();
        }
    }

    /// Looks whether an idle connection still has another side.
    fn keep_alive(&mut self, number: ConnNumber, side: SideNo) {
        let Some(conn) = self.connections.get_mut(&number) else {
            return;
        };
        let (here, peer) = (conn.sides[side], conn.sides[other(side)]);
        if !matches!(here.state, SideState::Open | SideState::Arriving) {
            return;
        }
        let settings = self.settings.tcp;
        let idle = self.now.since(here.heard);
        let quiet = idle >= settings.keepalive_idle;
        if quiet && here.questioned && idle >= settings.user_timeout {
            self.break_side(number, side, "Connection timed out (os error 110)");
            return;
        }
        let next = if quiet {
            conn.sides[side].questioned = true;
            let there = self.hosts[peer.host.index()].powered;
            let forth = self.net.segment(self.now, here.host, peer.host);
            let back = self.net.segment(self.now, peer.host, here.host);
            if there && let (Some(forth), Some(back)) = (forth, back) {
                let knows = match peer.state {
                    SideState::Open | SideState::Arriving => true,
                    SideState::Closed { .. } => !conn.flows[other(side)].segments.is_empty(),
                    SideState::Dialling | SideState::Unknown => false,
                };
                if knows && let Some(conn) = self.connections.get_mut(&number) {
                    conn.sides[side].heard = self.now;
                    conn.sides[side].questioned = false;
                } else {
                    let at = self.now.after_nanos(forth.saturating_add(back));
                    self.later(here.node, at, number, ConnEvent::Reset { side });
                }
            }
            settings.keepalive_interval
        } else {
            settings.keepalive_idle - idle
        };
        self.later(
            here.node,
            self.now.after(next),
            number,
            ConnEvent::KeepAlive { side },
        );
    }

    /// The process is gone; its kernel ends its connections in good order.
    pub(super) fn process_leaves_connections(&mut self, node: NodeIx, start: u32) {
        let now = self.now;
        for (number, side) in self.sides_of(|side| side.node == node && side.start == start) {
            self.shut(number, side, now);
        }
    }

    /// The host is off: nobody there knows of any connection, and nobody is told.
    pub(super) fn host_forgets_connections(&mut self, host: HostIx) {
        for (number, side) in self.sides_of(|side| side.host == host) {
            let Some(conn) = self.connections.get_mut(&number) else {
                continue;
            };
            conn.sides[side].state = SideState::Unknown;
            conn.flows[side].give_up();
            if conn.is_over() {
                self.connections.remove(&number);
            }
        }
    }

    fn sides_of(&self, is: impl Fn(&Side) -> bool) -> Vec<(ConnNumber, SideNo)> {
        self.connections
            .iter()
            .flat_map(|(number, conn)| [(*number, 0, conn.sides[0]), (*number, 1, conn.sides[1])])
            .filter(|(_, _, side)| side.state != SideState::Unknown && is(side))
            .map(|(number, at, _)| (number, at))
            .collect()
    }
}

/// Cuts bytes into the pieces in which the other side will read them.
fn cut(mut bytes: Vec<u8>, draw: &mut Draw) -> Vec<Vec<u8>> {
    let most = match draw.below(8) {
        0 => 1 + draw.below(16),
        1 | 2 => 1 + draw.below(512),
        _ => READ as u64,
    };
    let mut pieces = Vec::new();
    while bytes.len() > 1 {
        // At most 32 small pieces, so that a megabyte does not become a million events.
        let most = if pieces.len() < 32 { most } else { READ as u64 };
        let len = index(1 + draw.below(most)).max(if most == READ as u64 { READ } else { 1 });
        if len >= bytes.len() {
            break;
        }
        let rest = bytes.split_off(len);
        pieces.push(std::mem::replace(&mut bytes, rest));
    }
    if !bytes.is_empty() {
        pieces.push(bytes);
    }
    pieces
}

fn ephemeral_port(number: ConnNumber) -> u16 {
    32_768 + u16::try_from(number % 28_000).unwrap_or(0)
}
