//! What is on its way between processes.
//!
//! A connection delivers in order what was sent on it, at any time later, until it breaks. Of the
//! datagrams of a process to another only the newest is kept, and it may arrive at any time, or never,
//! or twice: one that is older is lost when the next is sent.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use vaquita_core::ids::ConnId;
use vaquita_core::io::CloseReason;

use crate::fingerprint::{Fingerprint, Summing};
use crate::process::Who;
use crate::setup::Place;

/// Names a connection: who opened it, and what it is called there.
pub type PipeName = (Who, ConnId);

/// What comes out of a connection.
#[derive(Clone, Debug)]
pub enum Item {
    /// Bytes that were sent at once.
    Bytes(Arc<Vec<u8>>),
    /// Its end.
    End(CloseReason),
}

/// One side of a connection.
#[derive(Clone, Debug)]
pub struct End {
    /// Whose.
    pub who: Who,
    /// What it is called there.
    pub conn: ConnId,
    /// Whether the process there uses it.
    pub open: bool,
    /// What has not been delivered there.
    pub inbox: VecDeque<Item>,
    /// Whether anything was.
    pub begun: bool,
}

/// A connection: the side that opened it, then the other.
#[derive(Clone, Debug)]
pub struct Pipe(pub [End; 2]);

/// Everything on its way.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// Connections that at least one side uses.
    pub pipes: BTreeMap<PipeName, Pipe>,
    /// The newest datagram of a process to a place.
    pub datagrams: BTreeMap<(Who, Place), Arc<Vec<u8>>>,
}

impl Network {
    /// The connection that a process calls so, and on which side of it the process is.
    #[must_use]
    pub fn find(&self, who: Who, conn: ConnId) -> Option<(PipeName, usize)> {
        let is_end = |end: &End| end.who == who && end.conn == conn;
        self.pipes
            .iter()
            .find_map(|(name, pipe)| Some((*name, pipe.0.iter().position(is_end)?)))
    }

    /// One side of a connection.
    pub fn end_mut(&mut self, name: PipeName, side: usize) -> Option<&mut End> {
        self.pipes.get_mut(&name)?.0.get_mut(side)
    }

    /// One side uses the connection no more: it is told nothing further.
    pub fn leave(&mut self, name: PipeName, side: usize) {
        if let Some(end) = self.end_mut(name, side) {
            end.open = false;
            end.inbox.clear();
        }
        self.pipes
            .retain(|_, pipe| pipe.0.iter().any(|end| end.open));
    }

    /// Of all that is on its way.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut sum = Summing::default();
        sum.number(self.pipes.len() as u64);
        for end in self.pipes.values().flat_map(|pipe| &pipe.0) {
            sum.number(u64::from(end.who.place.0));
            sum.number(u64::from(end.who.start));
            sum.number(end.conn.0);
            sum.number(u64::from(end.open) * 2 + u64::from(end.begun));
            sum.number(end.inbox.len() as u64);
            for item in &end.inbox {
                match item {
                    Item::Bytes(bytes) => sum.add(bytes),
                    Item::End(reason) => sum.part(Fingerprint::of_debug(reason)),
                }
            }
        }
        for ((from, to), bytes) in &self.datagrams {
            sum.number(u64::from(from.place.0));
            sum.number(u64::from(from.start));
            sum.number(u64::from(to.0));
            sum.add(bytes);
        }
        sum.finish()
    }
}
