//! Fair turns between the sources of inputs.
//!
//! The loop looks at its sources in a fixed order, the urgent ones first. Alone, that would let a
//! flood on an early source starve the later ones; so each source may be served only so many times
//! in a round, and the next round begins when nobody who still may be served has anything.

/// Where inputs come from, in the order in which they are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Timer,
    Datagrams,
    Lookups,
    Connections,
    Disk,
    Volumes,
    Processes,
    Jobs,
    Chunks,
    Requests,
    Figures,
}

const SOURCES: usize = 11;
/// How often each source is served in a round. Datagrams carry the heartbeats: a burst of them has
/// to be taken before the operating system drops some.
const ROUND: [u16; SOURCES] = [4, 64, 4, 32, 16, 16, 16, 8, 16, 16, 4];

/// The turns that are left in this round.
#[derive(Debug)]
pub(super) struct Turns {
    left: [u16; SOURCES],
}

impl Turns {
    pub(super) const fn new() -> Self {
        Self { left: ROUND }
    }

    /// Whether the source may be served in this round.
    pub(super) const fn may(&self, source: Source) -> bool {
        self.left[source as usize] > 0
    }

    /// Counts a turn.
    pub(super) const fn took(&mut self, source: Source) {
        let left = &mut self.left[source as usize];
        *left = left.saturating_sub(1);
    }

    /// Whether some source has to wait for the next round.
    pub(super) fn somebody_waits(&self) -> bool {
        self.left.contains(&0)
    }

    /// Begins the next round.
    pub(super) const fn next_round(&mut self) {
        self.left = ROUND;
    }
}
