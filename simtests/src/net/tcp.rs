//! Connections: what the two kernels know of one, and what is between them.
//!
//! A connection is two *flows*, one in each direction, of segments that arrive in order or not at
//! all. A flow loses a segment at the same rates as a datagram is lost; then nothing behind it
//! arrives until a retransmission got through, 200 ms later, then 400, and so on. The peer's
//! acknowledgement needs the other direction: while that is cut, the sender sends the same segment
//! again and again, and at last gives up.

use std::collections::VecDeque;
use std::time::Duration;

use vaquita_core::ids::ConnId;

use crate::time::SimTime;
use crate::world::{HostIx, NodeIx};

/// The times of the simulated kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpSettings {
    /// How long the driver waits for a connection to open.
    pub connect_timeout: Duration,
    /// First wait before a lost segment is sent again; doubles up to [`TcpSettings::rto_max`].
    pub rto_min: Duration,
    /// Longest wait between retransmissions.
    pub rto_max: Duration,
    /// First wait before a lost request to connect is sent again; doubles.
    pub syn_rto: Duration,
    /// How long sent bytes stay unacknowledged before the connection counts as broken.
    pub user_timeout: Duration,
    /// Silence after which a kernel asks whether the other is still there.
    pub keepalive_idle: Duration,
    /// Time between two such questions.
    pub keepalive_interval: Duration,
    /// How long a driver that has closed a connection still reads what arrives on it. What arrives
    /// later is answered by a reset, which takes from the peer what has not reached it yet.
    pub linger: Duration,
}

impl Default for TcpSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            rto_min: Duration::from_millis(200),
            rto_max: Duration::from_secs(120),
            syn_rto: Duration::from_secs(1),
            user_timeout: Duration::from_secs(30),
            keepalive_idle: Duration::from_secs(30),
            keepalive_interval: Duration::from_secs(10),
            linger: Duration::from_secs(1),
        }
    }
}

/// The number of a connection in the World, never used twice.
pub(crate) type ConnNumber = u64;

/// Which end: 0 dialled, 1 was dialled.
pub(crate) type SideNo = usize;

/// The other end.
pub(crate) const fn other(side: SideNo) -> SideNo {
    1 - side
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) sides: [Side; 2],
    /// `flows[n]` leads away from `sides[n]`.
    pub(crate) flows: [Flow; 2],
    /// Sends so far, which number the decisions about where they are cut.
    pub(crate) sends: u64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Side {
    pub(crate) host: HostIx,
    pub(crate) port: u16,
    pub(crate) node: NodeIx,
    /// Which start of that node.
    pub(crate) start: u32,
    /// How the machine calls the connection.
    pub(crate) conn: ConnId,
    pub(crate) state: SideState,
    pub(crate) heard: SimTime,
    /// Whether a keepalive question is unanswered.
    pub(crate) questioned: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SideState {
    /// Asked to connect; no answer yet.
    Dialling,
    /// The kernel has accepted; the process has not been told.
    Arriving,
    /// Open, and the machine knows it.
    Open,
    /// Closed by this side. What arrives until then is read and dropped, what arrives later is
    /// answered by a reset.
    Closed { read_until: SimTime },
    /// The kernel knows nothing of it: a power cut, or a reset.
    Unknown,
}

#[derive(Debug)]
pub(crate) enum Segment {
    /// Completes the handshake: the other side learns that it has a connection.
    Hello,
    Bytes(Vec<u8>),
    /// Nothing more follows.
    Fin,
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    /// Segments that are not acknowledged, oldest first.
    pub(crate) segments: VecDeque<Segment>,
    /// The number of the oldest of them.
    pub(crate) acknowledged: u64,
    /// The number of the next one the receiver has not got.
    pub(crate) delivered: u64,
    /// When the newest segment arrives; none overtakes it.
    pub(crate) last_arrival: SimTime,
    /// When the newest segment was handed over.
    pub(crate) last_push: SimTime,
    pub(crate) stalled: Option<Stall>,
    pub(crate) stalls: u32,
    /// Whether a `Fin` was sent, or the flow was given up: nothing more may be pushed.
    pub(crate) ended: bool,
}

/// A segment was lost, and everything behind it waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stall {
    /// The segment.
    pub(crate) at: u64,
    /// Tells the timer of this stall from those of earlier ones.
    pub(crate) number: u32,
    pub(crate) since: SimTime,
    pub(crate) rto: u64,
}

impl Flow {
    pub(crate) fn bytes(&self) -> usize {
        let len = |segment: &Segment| match segment {
            Segment::Bytes(bytes) => bytes.len(),
            Segment::Hello | Segment::Fin => 0,
        };
        self.segments.iter().map(len).sum()
    }

    pub(crate) fn end(&self) -> u64 {
        self.acknowledged + self.segments.len() as u64
    }

    /// Everything up to and including `segment` has arrived, and the sender knows.
    pub(crate) fn acknowledge(&mut self, segment: u64) {
        while self.acknowledged <= segment && self.segments.pop_front().is_some() {
            self.acknowledged += 1;
        }
    }

    /// Nothing more will arrive.
    pub(crate) fn give_up(&mut self) {
        self.segments.clear();
        self.stalled = None;
        self.ended = true;
        self.acknowledged = u64::MAX;
        self.delivered = u64::MAX;
    }

    pub(crate) const fn given_up(&self) -> bool {
        self.delivered == u64::MAX
    }
}

impl Connection {
    /// Whether nothing can come of it any more: no process knows it, and no kernel has anything
    /// left to deliver to one that will.
    pub(crate) fn is_over(&self) -> bool {
        let [near, far] = &self.sides;
        let waits_for = |here: &Side, peer: &Side| match here.state {
            SideState::Dialling | SideState::Open => true,
            SideState::Arriving => peer.state != SideState::Unknown,
            SideState::Closed { .. } | SideState::Unknown => false,
        };
        !waits_for(near, far) && !waits_for(far, near)
    }
}
