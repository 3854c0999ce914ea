//! How something is, at a glance: by colour, by shape, and by a word beside.

use vaquita_core::admin::NodeState;
use vaquita_core::dfs::ask::{ChunkState, ReplicaState, VolumeState};

use crate::words::{self, Words};

/// How good or bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Neither good nor bad: it does not run, and should not.
    Idle,
    /// Something goes on.
    Busy,
    /// Worth a look.
    Warn,
    /// Wrong.
    Bad,
}

impl Tone {
    /// Its class in the style sheet.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }

    /// Its icon; no two look alike without colours.
    #[must_use]
    pub const fn icon(self) -> &'static str {
        self.class()
    }
}

/// A state as a page shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// How good it is.
    pub tone: Tone,
    /// The word for it.
    pub word: &'static str,
}

impl State {
    /// A node's.
    #[must_use]
    pub const fn of_node(t: &Words, state: NodeState) -> Self {
        let tone = match state {
            NodeState::Online => Tone::Good,
            NodeState::Stopped => Tone::Idle,
            NodeState::Starting | NodeState::Joining | NodeState::Stopping => Tone::Busy,
            NodeState::Suspect | NodeState::Draining => Tone::Warn,
            NodeState::Offline | NodeState::Lost | NodeState::Failed => Tone::Bad,
        };
        let word = words::node_state(t, state);
        Self { tone, word }
    }

    /// A volume's.
    #[must_use]
    pub const fn of_volume(t: &Words, state: VolumeState) -> Self {
        let tone = match state {
            VolumeState::Good => Tone::Good,
            VolumeState::Opening => Tone::Busy,
            VolumeState::High | VolumeState::Slow => Tone::Warn,
            VolumeState::Full
            | VolumeState::Missing
            | VolumeState::Foreign
            | VolumeState::Failed => Tone::Bad,
        };
        let word = words::volume_state(t, state);
        Self { tone, word }
    }

    /// A chunk's.
    #[must_use]
    pub const fn of_chunk(t: &Words, state: ChunkState) -> Self {
        let tone = match state {
            ChunkState::Healthy => Tone::Good,
            ChunkState::Unconfirmed => Tone::Busy,
            ChunkState::Degraded | ChunkState::Misplaced | ChunkState::Surplus => Tone::Warn,
            ChunkState::Unavailable => Tone::Bad,
        };
        let word = words::chunk_state(t, state);
        Self { tone, word }
    }

    /// A replica's.
    #[must_use]
    pub const fn of_replica(t: &Words, state: ReplicaState) -> Self {
        let tone = match state {
            ReplicaState::Good => Tone::Good,
            ReplicaState::Unconfirmed => Tone::Busy,
            ReplicaState::Suspect => Tone::Warn,
            ReplicaState::Away | ReplicaState::Missing | ReplicaState::Corrupt => Tone::Bad,
        };
        let word = words::replica_state(t, state);
        Self { tone, word }
    }
}
