//! What is kept of a run to draw it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vaquita_core::message;
use vaquita_core::wire::frame::MAGIC;

use crate::time::SimTime;
use crate::world::{Failure, HostIx, NodeIx};

/// A recording that a World and its observer write into.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<Recording>>);

impl Recorder {
    /// What was recorded so far.
    pub fn lock(&self) -> MutexGuard<'_, Recording> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was recorded of a run.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// The nodes, each with its host's name.
    pub nodes: Vec<(String, String)>,
    /// The hosts.
    pub hosts: Vec<String>,
    /// What travelled.
    pub messages: Vec<Message>,
    /// Changes of a node's state, in the words of the World's factory.
    pub states: Vec<(SimTime, NodeIx, String)>,
    /// What was disturbed, as in a plan.
    pub faults: Vec<(SimTime, String)>,
    /// What machines told their operators.
    pub told: Vec<Told>,
    /// Links that were cut, or are whole again.
    pub cuts: Vec<(SimTime, HostIx, HostIx, bool)>,
    /// Hosts that lost their power, or have it again.
    pub power: Vec<(SimTime, HostIx, bool)>,
    /// How many chunks were how: well, with too few replicas, on their last one, otherwise to be tended.
    pub chunks: Vec<(SimTime, [u64; 4])>,
    /// What clients wanted, and what became of it.
    pub orders: Vec<(SimTime, SimTime, String, Outcome, String)>,
    /// Packets that were lost at their end: when, from and to which host.
    pub(crate) dropped: Vec<(SimTime, HostIx, HostIx)>,
    /// How it ended, if it went wrong.
    pub failure: Option<Failure>,
    /// When it ended.
    pub ended: SimTime,
}

/// A packet.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// When it was sent.
    pub sent: SimTime,
    /// When it arrived, or would have been lost.
    pub arrives: SimTime,
    /// By whom.
    pub from: NodeIx,
    /// To whom.
    pub to: NodeIx,
    /// What it is, or begins with.
    pub kind: &'static str,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrived.
    Arrived,
    /// It was lost, by chance or by a cut.
    Lost,
}

/// Something that a machine told its operator.
#[derive(Clone, Debug)]
pub struct Told {
    /// When.
    pub at: SimTime,
    /// Who.
    pub node: NodeIx,
    /// Its kind.
    pub name: &'static str,
    /// How bad it is: 0 for whoever is looking for something, 3 for what does not work.
    pub severity: u8,
    /// What.
    pub words: String,
}

/// What became of a client's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// It was refused.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// What a picture says above everything else.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// What was played.
    pub title: String,
    /// Lines that say how to see it again.
    pub card: String,
    /// The case, or the plan.
    pub plan: String,
}

impl Recording {
    /// A packet that a node sent to a place.
    pub(crate) fn sent(&mut self, message: Message) {
        self.messages.push(message);
    }

    /// A packet was lost when it arrived: its link was cut meanwhile, or its host has no power.
    pub(crate) fn dropped(&mut self, at: SimTime, from: HostIx, to: HostIx) {
        self.dropped.push((at, from, to));
    }

    /// The packets, with what became of each.
    #[must_use]
    pub fn packets(&self) -> Vec<Message> {
        let host = |node: NodeIx| {
            let (_, name) = self.nodes.get(node.index())?;
            self.hosts.iter().position(|it| it == name)
        };
        let dropped: std::collections::BTreeSet<_> = self
            .dropped
            .iter()
            .map(|(at, from, to)| (*at, Some(from.index()), Some(to.index())))
            .collect();
        let mut packets = self.messages.clone();
        for packet in &mut packets {
            let end = (packet.arrives, host(packet.from), host(packet.to));
            if dropped.contains(&end) {
                packet.fate = Fate::Lost;
            }
        }
        packets
    }
}

/// What the bytes of a packet begin with: the name of a message, where they begin with a frame.
pub(crate) fn label(bytes: &[u8]) -> &'static str {
    let Some(([a, b], _)) = bytes
        .strip_prefix(&MAGIC)
        .and_then(|rest| rest.get(2..))
        .and_then(<[u8]>::split_first_chunk)
    else {
        return "bytes";
    };
    let kind = u16::from_le_bytes([*a, *b]);
    let named = message::Message::KINDS.iter().find(|(it, _)| *it == kind);
    match named {
        Some((_, name)) => name,
        None => match kind {
            1 => "Hello",
            2 => "Proof",
            3 => "Goodbye",
            _ => "unknown",
        },
    }
}
