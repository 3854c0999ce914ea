//! What happens to the segments of a connection between the two kernels.

use std::net::SocketAddr;

use vaquita_core::ids::ConnId;
use vaquita_core::io::{CloseReason, Input};

use super::event::ConnEvent;
use super::{Factory, World};
use crate::net::tcp::{ConnNumber, Segment, SideNo, SideState, Stall, other};
use crate::net::{Traffic, address};
use crate::picture::{Fate, Message, label};
use crate::streams::index;
use crate::time::nanos;

impl<F: Factory> World<F> {
    pub(super) fn push(&mut self, number: ConnNumber, side: SideNo, segment: Segment) {
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
    pub(super) fn transmit(&mut self, number: ConnNumber, side: SideNo, segment: u64) -> bool {
        let Some(conn) = self.connections.get_mut(&number) else {
            return false;
        };
        let (from, to) = (conn.sides[side], conn.sides[other(side)]);
        let after = self.net.segment(self.now, from.host, to.host);
        if let Some(recorder) = &self.recorder {
            let flow = &conn.flows[side];
            let at = index(segment.saturating_sub(flow.acknowledged));
            recorder.lock().sent(Message {
                sent: self.now,
                arrives: self.now.after_nanos(after.unwrap_or(0)),
                from: from.node,
                to: to.node,
                kind: match flow.segments.get(at) {
                    Some(Segment::Hello) => "connect",
                    Some(Segment::Bytes(bytes)) => label(bytes),
                    Some(Segment::Fin) => "close",
                    None => "bytes",
                },
                fate: after.map_or(Fate::Lost, |_| Fate::Arrived),
            });
        }
        let Some(after) = after else {
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
    pub(super) fn stall(&mut self, number: ConnNumber, side: SideNo, segment: u64) {
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

    pub(super) fn retry(&mut self, number: ConnNumber, side: SideNo, number_of_stall: u32) {
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

    pub(super) fn segment_arrives(&mut self, number: ConnNumber, side: SideNo, segment: u64) {
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
    pub(super) fn flow_on(&mut self, number: ConnNumber, side: SideNo) {
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

    pub(super) fn reset_arrives(&mut self, number: ConnNumber, side: SideNo) {
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
    pub(super) fn break_side(&mut self, number: ConnNumber, side: SideNo, words: &str) {
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
    pub(super) fn keep_alive(&mut self, number: ConnNumber, side: SideNo) {
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
}

/// The port from which a connection comes.
fn ephemeral_port(number: ConnNumber) -> u16 {
    32_768 + u16::try_from(number % 28_000).unwrap_or(0)
}
