//! Connections: opening, carrying, breaking.

use std::net::SocketAddr;

use vaquita_core::ids::{ConnId, Endpoint};
use vaquita_core::io::{CloseReason, Input};

use super::event::{ConnEvent, Event};
use super::{Factory, HostIx, NodeIx, World};
use crate::host::PortHolder;
use crate::net::tcp::{ConnNumber, Connection, Flow, Segment, Side, SideNo, SideState};
use crate::net::{Traffic, address};
use crate::streams::{Draw, Rate, Stream, index};
use crate::time::{SimTime, nanos};

/// Bytes a process reads at once.
const READ: usize = 16 * 1024;
/// How often a request to connect is sent before the driver's patience ends anyway.
const DIALS_MAX: u32 = 6;

impl<F: Factory> World<F> {
    pub(super) fn dial(&mut self, node: NodeIx, conn: ConnId, to: &Endpoint) {
        let spec = &self.nodes[node.index()].spec;
        let (host, port) = (spec.host, spec.port);
        let Some(process) = self.nodes[node.index()].process.as_mut() else {
            return;
        };
        let start = process.start;
        let number = self.next_connection;
        if !conn.0.is_multiple_of(2) {
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

    pub(super) fn later(
        &mut self,
        node: NodeIx,
        at: SimTime,
        number: ConnNumber,
        event: ConnEvent,
    ) {
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
