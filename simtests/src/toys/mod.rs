//! Small machines that the World is tested with, and that show how a machine is plugged in.
//!
//! Each uses one kind of effect: beacons and a hub send datagrams, a caller and an echo use a
//! connection, a ledger a disk, a keeper processes. Each can be given a [`Bug`], so that a test can
//! show that the World finds it.

mod beacon;
mod factory;
mod keeper;
mod ledger;
mod stream;

use std::collections::VecDeque;

use vaquita_core::disk::{DiskBatch, DiskOp, Lane};
use vaquita_core::event::Event;
use vaquita_core::ids::DiskTicket;
use vaquita_core::io::{Effect, ExitCode, ExitReason, Input, Machine};
use vaquita_core::time::Timestamp;

pub use beacon::{Beacon, Hub};
pub use factory::{Acknowledged, BeatsCountOnce, Everything, ToyFactory};
pub use keeper::{Keeper, Worker};
pub use ledger::Ledger;
pub use stream::{Caller, Echo};

/// A mistake that a toy makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// The ledger answers when it has asked for the sync, not when it is done.
    AnswersBeforeSync,
    /// The ledger never syncs the directory.
    ForgetsDirectory,
    /// The ledger takes for durable what it reads after a failed sync.
    TrustsCache,
    /// The ledger takes the last whole record for part of a torn tail.
    CutsTooMuch,
    /// The hub counts copies of a beat.
    CountsCopies,
    /// The hub believes a beat whose checksum is wrong.
    IgnoresChecksum,
    /// The beacon's jitter depends on where the allocator put something.
    DependsOnAddress,
    /// The beacon goes through a table in the order of a seed that the operating system drew.
    DependsOnHashOrder,
}

/// One of the toys.
#[derive(Debug)]
pub enum Toy {
    /// Sends beats.
    Beacon(Beacon),
    /// Counts beats.
    Hub(Hub),
    /// Sends back what it receives.
    Echo(Echo),
    /// Compares what comes back with what it sent.
    Caller(Caller),
    /// Keeps names.
    Ledger(Ledger),
    /// Keeps workers running.
    Keeper(Keeper),
    /// Is kept running.
    Worker(Worker),
}

macro_rules! each {
    ($self:expr, $toy:ident => $body:expr) => {
        match $self {
            Toy::Beacon($toy) => $body,
            Toy::Hub($toy) => $body,
            Toy::Echo($toy) => $body,
            Toy::Caller($toy) => $body,
            Toy::Ledger($toy) => $body,
            Toy::Keeper($toy) => $body,
            Toy::Worker($toy) => $body,
        }
    };
}

impl Machine for Toy {
    fn handle(&mut self, now: Timestamp, input: Input) {
        each!(self, toy => toy.handle(now, input));
    }

    fn poll_effect(&mut self) -> Option<Effect> {
        each!(self, toy => toy.poll_effect())
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        each!(self, toy => toy.poll_timeout())
    }

    fn check_invariants(&self) {
        each!(self, toy => toy.check_invariants());
    }
}

/// The effects of a toy that have not been asked for yet.
#[derive(Debug, Default)]
struct Out {
    effects: VecDeque<Effect>,
    tickets: u64,
}

impl Out {
    fn push(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    fn notify(&mut self, name: &'static str, message: impl Into<String>) {
        self.push(Effect::Notify(Event::info(name, message)));
    }

    fn ticket(&mut self) -> DiskTicket {
        self.tickets += 1;
        DiskTicket(self.tickets)
    }

    fn disk(&mut self, ops: Vec<DiskOp>) -> DiskTicket {
        let ticket = self.ticket();
        self.push(Effect::Disk(DiskBatch {
            ticket,
            lane: Lane::Foreground,
            ops,
        }));
        ticket
    }

    fn exit(&mut self, code: ExitCode, message: impl Into<String>) {
        self.push(Effect::Exit(ExitReason {
            code,
            message: message.into(),
        }));
    }

    fn next(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }
}

/// Bytes with a checksum in front.
fn seal(body: &[u8]) -> Vec<u8> {
    let mut bytes = crc32fast::hash(body).to_le_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes
}

/// The bytes behind the checksum, and whether it matches; `None` if there is none.
fn unseal(bytes: &[u8]) -> Option<(&[u8], bool)> {
    let (crc, body) = bytes.split_first_chunk::<4>()?;
    Some((body, u32::from_le_bytes(*crc) == crc32fast::hash(body)))
}
