//! What waits to happen.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use vaquita_core::dfs::ids::VolumeSlot;
use vaquita_core::disk::Lane;
use vaquita_core::ids::{DiskTicket, JobId, RequestId};
use vaquita_core::io::{CloseReason, Input};
use vaquita_core::process::{ProcessEvent, ProcessOrder};

use super::data::{DataEvent, TransferId};
use super::disks::Which;
use super::{HostIx, NodeIx};
use crate::net::tcp::{ConnNumber, SideNo};
use crate::plan::Step;
use crate::time::SimTime;

/// Something that will happen. The frequent ones are small; the others are boxed.
#[derive(Debug)]
pub(super) enum Event {
    /// A timer of a process, if it is still the one that the process waits for.
    Wake { node: NodeIx, start: u32 },
    /// A datagram reaches its host.
    Datagram {
        from: (HostIx, u16),
        to: (HostIx, u16),
        bytes: Vec<u8>,
    },
    /// Something of a connection.
    Connection(ConnNumber, ConnEvent),
    /// An operation of a disk ends.
    Disk {
        node: NodeIx,
        start: u32,
        which: Which,
        lane: Lane,
    },
    /// A volume has been read.
    VolumeOpens {
        node: NodeIx,
        start: u32,
        slot: VolumeSlot,
        since: SimTime,
    },
    /// Both copies of a volume's label have been read.
    LabelRead {
        node: NodeIx,
        start: u32,
        slot: VolumeSlot,
        ticket: DiskTicket,
        since: SimTime,
    },
    /// A driver looks how much room there is on a volume.
    VolumeSpace {
        node: NodeIx,
        start: u32,
        slot: VolumeSlot,
    },
    /// A driver measures its process.
    Measure { node: NodeIx, start: u32 },
    /// Something of a transfer.
    Data(TransferId, Box<DataEvent>),
    /// Whoever drives the run wants to do something.
    Alarm,
    /// A computation ends.
    Job {
        node: NodeIx,
        start: u32,
        job: JobId,
    },
    /// Somebody asks a node something.
    Request(Box<(NodeIx, RequestId, vaquita_core::admin::Request)>),
    /// A host has got to an order of an agent.
    Order {
        node: NodeIx,
        start: u32,
        order: Box<ProcessOrder>,
    },
    /// A host reports to an agent.
    Report {
        node: NodeIx,
        start: u32,
        event: Box<ProcessEvent>,
    },
    /// A process that was forked is ready to take its port and its home.
    Ready {
        host: HostIx,
        pid: u32,
        since: SimTime,
    },
    /// A process is to begin that nobody launches.
    Start { node: NodeIx },
    /// The next of the inputs that waited while the process was paused.
    Mailbox { node: NodeIx, start: u32 },
    /// A step of the plan.
    Plan(Box<Step>),
}

/// Something that happens to a connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum ConnEvent {
    /// A request to connect is sent, for the n-th time.
    Dial { attempt: u32 },
    /// It has reached the other host.
    Request,
    /// The other kernel's agreement has come back.
    Agreed,
    /// The other kernel's refusal has come back.
    Refused,
    /// The driver waits no longer.
    DialTimeout,
    /// The host has no address.
    UnknownHost,
    /// A segment reaches the other side.
    Arrive { side: SideNo, segment: u64 },
    /// A segment that was lost is sent again.
    Retry { side: SideNo, stall: u32 },
    /// A reset reaches this side.
    Reset { side: SideNo },
    /// Look whether the other side is still there.
    KeepAlive { side: SideNo },
}

/// What a paused process will find.
#[derive(Debug)]
pub(super) enum Waiting {
    Input(Input),
    /// Its connection ended; told only if the machine has not closed it meanwhile.
    Closed(vaquita_core::ids::ConnId, CloseReason),
}

#[derive(Debug)]
struct Entry {
    at: u64,
    tie: u64,
    /// Only to order what even the hash does not tell apart.
    number: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// Reversed: the heap's greatest is the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.tie, other.number).cmp(&(self.at, self.tie, self.number))
    }
}

/// Everything that waits to happen, earliest first.
#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Entry>,
    next: u64,
}

impl Queue {
    pub(super) fn push(&mut self, at: SimTime, tie: u64, event: Event) {
        let number = self.next;
        self.next += 1;
        self.heap.push(Entry {
            at: at.as_nanos(),
            tie,
            number,
            event,
        });
    }

    /// The next event, if it happens no later than `until`.
    pub(super) fn pop_until(&mut self, until: SimTime) -> Option<(SimTime, Event)> {
        if self.heap.peek()?.at > until.as_nanos() {
            return None;
        }
        let entry = self.heap.pop()?;
        Some((SimTime::from_nanos(entry.at), entry.event))
    }

    pub(super) fn next_at(&self) -> Option<SimTime> {
        self.heap.peek().map(|entry| SimTime::from_nanos(entry.at))
    }

    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }
}
