//! Datagrams on their way from one process to another.

use std::net::{IpAddr, SocketAddr};

use vaquita_core::io::{Destination, Input};

use super::event::{Event, Waiting};
use super::{Factory, HostIx, NodeIx, World};
use crate::host::PortHolder;
use crate::net::{Traffic, address, host_at};
use crate::picture::{Fate, Message, Recorder, label};
use crate::time::SimTime;

/// A datagram that is recorded: each copy that arrives, or that none does.
struct Sending {
    recorder: Recorder,
    now: SimTime,
    from: NodeIx,
    to: NodeIx,
    kind: &'static str,
    arrives: bool,
}

impl Sending {
    fn arrives(&mut self, at: SimTime) {
        self.arrives = true;
        self.note(at, Fate::Arrived);
    }

    fn note(&self, arrives: SimTime, fate: Fate) {
        self.recorder.lock().sent(Message {
            sent: self.now,
            arrives,
            from: self.from,
            to: self.to,
            kind: self.kind,
            fate,
        });
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if !self.arrives {
            // As long as it would have taken, about.
            self.note(self.now.after_nanos(WIRE), Fate::Lost);
        }
    }
}

/// How long an injected datagram is on its way, in nanoseconds.
const WIRE: u64 = 100_000;

impl<F: Factory> World<F> {
    /// The host behind a name or an address, as `from` sees it.
    pub(super) fn resolve(&self, from: HostIx, name: &str) -> Option<HostIx> {
        if name == "localhost" {
            return Some(from);
        }
        if let Ok(address) = name.parse::<IpAddr>() {
            return self.host_of_address(from, address);
        }
        self.host(name)
    }

    fn host_of_address(&self, from: HostIx, address: IpAddr) -> Option<HostIx> {
        if address.is_loopback() {
            return Some(from);
        }
        host_at(address).filter(|host| host.index() < self.hosts.len())
    }

    pub(super) fn send_datagram(&mut self, node: NodeIx, to: Destination, bytes: Vec<u8>) {
        if bytes.len() > self.settings.datagram_max {
            let (len, max) = (bytes.len(), self.settings.datagram_max);
            self.fail(
                Some(node),
                format!("sends a datagram of {len} bytes; {max} is the most"),
            );
            return;
        }
        let spec = &self.nodes[node.index()].spec;
        let (from, port) = (spec.host, spec.port);
        let (host, to_port) = match &to {
            Destination::Address(at) => (self.host_of_address(from, at.ip()), at.port()),
            Destination::Endpoint(endpoint) => (self.resolve(from, &endpoint.host), endpoint.port),
        };
        let Some(host) = host else {
            self.net.stats.sent += 1;
            self.net.stats.unreceived += 1;
            return;
        };
        let (now, streams) = (self.now, self.streams);
        let mut recorded =
            self.recorder
                .clone()
                .zip(self.node_at(host, to_port))
                .map(|(it, to)| {
                    let kind = label(&bytes);
                    Sending {
                        recorder: it,
                        now,
                        from: node,
                        to,
                        kind,
                        arrives: false,
                    }
                });
        let (queue, counters) = (&mut self.queue, &mut self.nodes[node.index()].counters);
        self.net.datagram(now, from, host, bytes, |arrival| {
            if let Some(sending) = &mut recorded {
                sending.arrives(now.after_nanos(arrival.after));
            }
            counters.ties += 1;
            let at = now.after_nanos(arrival.after);
            let tie = streams
                .at(
                    crate::streams::Stream::Tie,
                    node.index() as u64,
                    counters.ties,
                )
                .bits();
            let event = Event::Datagram {
                from: (from, port),
                to: (host, to_port),
                bytes: arrival.bytes,
            };
            queue.push(at, tie, event);
        });
    }

    /// Sends a node a datagram that no process has sent: a stranger's, a forged or a recorded one.
    /// It arrives in a moment, unless its link is cut.
    pub fn inject(&mut self, from: (HostIx, u16), to: NodeIx, bytes: Vec<u8>) {
        let stats = &mut self.net.stats;
        stats.sent += 1;
        stats.in_flight += 1;
        stats.bytes_in_flight += bytes.len() as u64;
        let spec = &self.nodes[to.index()].spec;
        let to_port = (spec.host, spec.port);
        let at = self.now.after_nanos(WIRE);
        self.schedule(
            to,
            at,
            Event::Datagram {
                from,
                to: to_port,
                bytes,
            },
        );
    }

    pub(super) fn datagram_arrives(
        &mut self,
        from: (HostIx, u16),
        to: (HostIx, u16),
        bytes: Vec<u8>,
    ) {
        let stats = &mut self.net.stats;
        stats.in_flight -= 1;
        stats.bytes_in_flight -= bytes.len() as u64;
        let host = &self.hosts[to.0.index()];
        if !host.powered || self.net.is_cut(from.0, to.0, Traffic::Udp) {
            self.net.stats.cut += 1;
            if let Some(recorder) = &self.recorder {
                recorder.lock().dropped(self.now, from.0, to.0);
            }
            return;
        }
        let Some(PortHolder::Node(node)) = host.port(to.1) else {
            self.net.stats.unreceived += 1;
            return;
        };
        let node = *node;
        let buffer = self.settings.datagram_buffer;
        let Some(process) = self.nodes[node.index()].process.as_mut() else {
            return;
        };
        let from = SocketAddr::new(address(from.0), from.1);
        let input = Input::Datagram { from, bytes };
        if !process.paused && process.mailbox.is_empty() {
            self.net.stats.delivered += 1;
            self.feed(node, Some(input));
            return;
        }
        if process.datagrams_waiting >= buffer {
            process.datagrams_dropped += 1;
            self.net.stats.unreceived += 1;
            return;
        }
        process.datagrams_waiting += 1;
        process.mailbox.push_back(Waiting::Input(input));
        self.net.stats.delivered += 1;
    }

    /// Moves one process's waiting events to the present, as it goes on after a pause.
    pub(super) fn thaw(&mut self, node: NodeIx) {
        let Some(process) = self.nodes[node.index()].process.as_mut() else {
            return;
        };
        let start = process.start;
        if process.datagrams_dropped > 0 {
            let count = std::mem::take(&mut process.datagrams_dropped);
            process
                .mailbox
                .push_back(Waiting::Input(Input::DatagramsDropped { count }));
        }
        let frozen = std::mem::take(&mut process.frozen);
        process.wake_at = SimTime::NEVER;
        let any = !process.mailbox.is_empty();
        for event in frozen {
            self.schedule(node, self.now, event);
        }
        if any {
            self.schedule(node, self.now, Event::Mailbox { node, start });
        }
        self.arm(node);
    }
}
