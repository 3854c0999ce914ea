//! What a step does to what is on its way between machines.

use std::collections::VecDeque;
use std::sync::Arc;

use vaquita_core::ids::ConnId;
use vaquita_core::io::{CloseReason, Destination, Input};

use super::Turn;
use crate::network::{End, Item, Pipe, PipeName};
use crate::process::Who;
use crate::setup::Place;

impl Turn<'_> {
    pub(super) fn send_datagram(&mut self, who: Who, to: &Destination, bytes: Vec<u8>) {
        let place = match to {
            Destination::Address(address) => self.setup.at(*address),
            Destination::Endpoint(endpoint) => self.setup.behind(endpoint),
        };
        if let Some(place) = place {
            self.datagrams.push((who, place));
            if !self.setup.beats_at_once {
                let datagrams = &mut self.site.network.datagrams;
                datagrams.insert((who, place), Arc::new(bytes));
            } else if let Some(to) = self.site.running(place)
                && !self.site.is_cut(who.place, place)
            {
                let from = self.setup.address(who.place);
                self.queue.push_back((to, Input::Datagram { from, bytes }));
            }
        }
    }

    /// A connection stands at once, with both sides' first words, or is refused at once.
    pub(super) fn connect(&mut self, who: Who, conn: ConnId, to: Place) {
        let Some(peer) = self.site.running(to) else {
            let reason = CloseReason::Refused;
            self.queue.push_back((who, Input::Closed { conn, reason }));
            return;
        };
        if self.site.is_cut(who.place, to) || self.site.is_cut(to, who.place) {
            let reason = CloseReason::TimedOut;
            self.queue.push_back((who, Input::Closed { conn, reason }));
            return;
        }
        let from = self.setup.address(who.place);
        let Some(process) = self.process_mut(peer) else {
            return;
        };
        process.accepted += 2;
        let accepted = ConnId(process.accepted - 1);
        let end = |who, conn| End {
            who,
            conn,
            open: true,
            inbox: VecDeque::new(),
            begun: false,
        };
        let pipe = Pipe([end(who, conn), end(peer, accepted)]);
        self.site.network.pipes.insert((who, conn), pipe);
        let conn_there = accepted;
        let input = Input::Accepted {
            conn: conn_there,
            from,
        };
        self.queue.push_back((peer, input));
        let peer = self.setup.address(to);
        self.queue.push_back((who, Input::Connected { conn, peer }));
    }

    pub(super) fn send(&mut self, who: Who, conn: ConnId, bytes: Vec<u8>) {
        let Some((name, side)) = self.site.network.find(who, conn) else {
            return;
        };
        let Some(other) = self.site.network.end_mut(name, 1 - side) else {
            return;
        };
        if !other.open {
            return;
        }
        if other.begun {
            other.inbox.push_back(Item::Bytes(Arc::new(bytes)));
            return;
        }
        // The first words of a side say who it is, and nothing rests on when they arrive.
        other.begun = true;
        let (to, conn) = (other.who, other.conn);
        self.queue.push_back((to, Input::Received { conn, bytes }));
    }

    pub(crate) fn close(&mut self, who: Who, conn: ConnId, reason: CloseReason) {
        let Some((name, side)) = self.site.network.find(who, conn) else {
            return;
        };
        if let Some(other) = self.site.network.end_mut(name, 1 - side)
            && other.open
        {
            let (to, conn) = (other.who, other.conn);
            if other.begun {
                other.inbox.push_back(Item::End(reason));
            } else {
                self.site.network.leave(name, 1 - side);
                self.queue.push_back((to, Input::Closed { conn, reason }));
            }
        }
        self.site.network.leave(name, side);
    }

    /// The next thing comes out of a connection.
    pub(crate) fn deliver(&mut self, name: PipeName, side: usize) {
        let Some(end) = self.site.network.end_mut(name, side) else {
            return;
        };
        let (who, conn) = (end.who, end.conn);
        match end.inbox.pop_front() {
            Some(Item::Bytes(bytes)) => {
                let bytes = bytes.to_vec();
                self.tell(who, Input::Received { conn, bytes });
            }
            Some(Item::End(reason)) => {
                self.site.network.leave(name, side);
                self.tell(who, Input::Closed { conn, reason });
            }
            None => {}
        }
    }

    /// What is on its way is lost, and both sides will find out, each at a time of its own.
    pub(crate) fn break_pipe(&mut self, name: PipeName) {
        if let Some(pipe) = self.site.network.pipes.get_mut(&name) {
            for end in pipe.0.iter_mut().filter(|end| end.open) {
                end.inbox.clear();
                let reason = CloseReason::Broken("connection reset by peer".to_owned());
                end.inbox.push_back(Item::End(reason));
            }
        }
    }

    pub(crate) fn deliver_datagram(&mut self, from: Who, to: Place, stays: bool) {
        let datagrams = &mut self.site.network.datagrams;
        let bytes = if stays {
            datagrams.get(&(from, to)).cloned()
        } else {
            datagrams.remove(&(from, to))
        };
        if let (Some(bytes), Some(who)) = (bytes, self.site.running(to)) {
            let from = self.setup.address(from.place);
            let bytes = bytes.to_vec();
            self.tell(who, Input::Datagram { from, bytes });
        }
    }
}
