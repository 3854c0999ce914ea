//! A plan: which faults and requests happen when. One step a line, as text.
//!
//! ```text
//! # the controller loses power while its first node is cut off
//! at 12s     isolate h1
//! at 12500ms power-cut h0
//! at 14s     power-on h0
//! at 20s     rejoin h1
//! ```
//!
//! A plan is kept apart from the noise of network and disk, which comes from the seed: a step can
//! be removed and the rest stays the same run. A plan that once found a bug outlives the code that
//! it was found in; a seed does not.

mod generate;
mod minimise;
mod parse;
#[cfg(test)]
mod tests;
pub mod text;

use std::fmt;
use std::time::Duration;

use crate::net::{Cut, LinkProfile};
use crate::time::SimTime;

pub use generate::{Shape, Swarm};
pub use minimise::{minimise, minimise_list};
pub use parse::PlanError;

use text::DurationText;

/// Something that is done to a World.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A node's process is started.
    Start(String),
    /// A node's process is killed.
    Kill(String),
    /// A node's process is asked to end.
    Terminate(String),
    /// A node's process is stopped without its knowledge.
    Pause(String),
    /// It goes on.
    Resume(String),
    /// A host loses power.
    PowerCut(String),
    /// A host gets it back.
    PowerOn(String),
    /// A link is cut, in one direction.
    Cut {
        /// The sending host.
        from: String,
        /// The receiving host.
        to: String,
        /// Which traffic.
        what: Cut,
    },
    /// A link is whole again.
    Heal {
        /// The sending host.
        from: String,
        /// The receiving host.
        to: String,
    },
    /// All links from and to a host are cut.
    Isolate(String),
    /// They are whole again.
    Rejoin(String),
    /// All links that have no profile of their own get this one.
    Weather(LinkProfile),
    /// A link gets a profile of its own, or follows the weather again.
    Link {
        /// The sending host.
        from: String,
        /// The receiving host.
        to: String,
        /// The profile.
        profile: Option<LinkProfile>,
    },
    /// A host's monotonic clock jumps ahead, as after a suspension.
    ClockJump {
        /// The host.
        host: String,
        /// How far.
        ahead: Duration,
    },
    /// A host's monotonic clock runs fast or slow.
    ClockDrift {
        /// The host.
        host: String,
        /// By how much; slow if negative.
        ppm: i32,
    },
    /// A host's monotonic clock stands.
    ClockFreeze(String),
    /// It goes on.
    ClockThaw(String),
    /// Somebody sets a host's wall clock.
    WallJump {
        /// The host.
        host: String,
        /// By how much, in milliseconds; back if negative.
        ms: i64,
    },
    /// Something about a disk.
    Disk {
        /// The node whose home it is; with `/0` behind it, the node's first volume, and so on.
        node: String,
        /// What.
        what: DiskStep,
    },
    /// At an operation of a node's disk its host loses power, or its process is killed.
    AtOp {
        /// The node.
        node: String,
        /// After so many further operations.
        skip: u64,
        /// The operation is carried out and nobody is told; else it is not carried out.
        after: bool,
        /// Power is lost; else the process is killed.
        power: bool,
    },
    /// A client asks something.
    Ask {
        /// The node asked.
        node: String,
        /// The request, in the words of the World's factory.
        text: String,
    },
    /// Another program takes a port, if it is free.
    HoldPort {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
    /// It gives the port back.
    FreePort {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
    /// A node's process is killed and its process id goes to another program.
    ReusePid(String),
    /// No process can be started on a host, or they can again.
    ForksFail {
        /// The host.
        host: String,
        /// Whether they fail.
        fail: bool,
    },
    /// Everything is put right.
    HealAll,
}

/// What happens to a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskStep {
    /// The next sync fails.
    FailSync,
    /// The next operation fails.
    FailOp,
    /// There is room for so many bytes more.
    Room(u64),
    /// Everything takes so many times as long.
    Slow(u32),
    /// Nothing ends any more.
    Hang,
    /// Syncs succeed and do nothing.
    Lie,
    /// A bit flips in some file.
    Rot,
    /// Every file is gone, if no process has them: a new disk.
    Wipe,
    /// The device is gone: everything fails, reading too.
    Die,
    /// All of that is over.
    Well,
}

/// A step and its moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timed {
    /// When, since the beginning of the World.
    pub at: SimTime,
    /// What.
    pub step: Step,
}

/// Steps in the order of their moments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    steps: Vec<Timed>,
}

impl Plan {
    /// The plan of these steps, put in order; those of one moment stay in theirs.
    #[must_use]
    pub fn new(mut steps: Vec<Timed>) -> Self {
        steps.sort_by_key(|timed| timed.at);
        Self { steps }
    }

    /// The steps.
    #[must_use]
    pub fn steps(&self) -> &[Timed] {
        &self.steps
    }

    /// The steps before a moment.
    #[must_use]
    pub fn before(&self, end: SimTime) -> Self {
        let before = self.steps.iter().filter(|timed| timed.at < end);
        Self {
            steps: before.cloned().collect(),
        }
    }

    /// The same steps, all of them so much later.
    #[must_use]
    pub fn later(&self, by: Duration) -> Self {
        let later = self.steps.iter().map(|timed| Timed {
            at: timed.at.after(by),
            step: timed.step.clone(),
        });
        Self {
            steps: later.collect(),
        }
    }

    /// Adds a step.
    #[must_use]
    pub fn with(mut self, at: SimTime, step: Step) -> Self {
        self.steps.push(Timed { at, step });
        Self::new(self.steps)
    }
}

impl Step {
    /// The hosts it names.
    #[must_use]
    pub fn hosts(&self) -> Vec<&str> {
        match self {
            Self::PowerCut(host)
            | Self::PowerOn(host)
            | Self::Isolate(host)
            | Self::Rejoin(host)
            | Self::ClockJump { host, .. }
            | Self::ClockDrift { host, .. }
            | Self::ClockFreeze(host)
            | Self::ClockThaw(host)
            | Self::WallJump { host, .. }
            | Self::HoldPort { host, .. }
            | Self::FreePort { host, .. }
            | Self::ForksFail { host, .. } => vec![host],
            Self::Cut { from, to, .. } | Self::Heal { from, to } | Self::Link { from, to, .. } => {
                vec![from, to]
            }
            Self::Start(_)
            | Self::Kill(_)
            | Self::Terminate(_)
            | Self::Pause(_)
            | Self::Resume(_)
            | Self::Weather(_)
            | Self::Disk { .. }
            | Self::AtOp { .. }
            | Self::Ask { .. }
            | Self::ReusePid(_)
            | Self::HealAll => Vec::new(),
        }
    }

    /// The nodes it names.
    #[must_use]
    pub fn nodes(&self) -> Vec<&str> {
        match self {
            Self::Start(node)
            | Self::Kill(node)
            | Self::Terminate(node)
            | Self::Pause(node)
            | Self::Resume(node)
            | Self::ReusePid(node)
            | Self::Disk { node, .. }
            | Self::AtOp { node, .. }
            | Self::Ask { node, .. } => vec![node],
            _ => Vec::new(),
        }
    }
}

impl Step {
    /// What kind of step it is, as the first words of its text: `power-cut`, `disk hang`.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::Kill(_) => "kill",
            Self::Terminate(_) => "terminate",
            Self::Pause(_) => "pause",
            Self::Resume(_) => "resume",
            Self::PowerCut(_) => "power-cut",
            Self::PowerOn(_) => "power-on",
            Self::Cut { .. } => "cut",
            Self::Heal { .. } => "heal",
            Self::Isolate(_) => "isolate",
            Self::Rejoin(_) => "rejoin",
            Self::Weather(_) => "weather",
            Self::Link { .. } => "link",
            Self::ClockJump { .. } => "clock-jump",
            Self::ClockDrift { .. } => "clock-drift",
            Self::ClockFreeze(_) => "clock-freeze",
            Self::ClockThaw(_) => "clock-thaw",
            Self::WallJump { .. } => "wall-jump",
            Self::Disk { what, .. } => match what {
                DiskStep::FailSync => "disk fail-sync",
                DiskStep::FailOp => "disk fail-op",
                DiskStep::Room(_) => "disk room",
                DiskStep::Slow(_) => "disk slow",
                DiskStep::Hang => "disk hang",
                DiskStep::Lie => "disk lie",
                DiskStep::Rot => "disk rot",
                DiskStep::Wipe => "disk wipe",
                DiskStep::Die => "disk die",
                DiskStep::Well => "disk well",
            },
            Self::AtOp { power: true, .. } => "at-op power-cut",
            Self::AtOp { power: false, .. } => "at-op kill",
            Self::Ask { .. } => "ask",
            Self::HoldPort { .. } => "hold-port",
            Self::FreePort { .. } => "free-port",
            Self::ReusePid(_) => "reuse-pid",
            Self::ForksFail { fail: true, .. } => "forks fail",
            Self::ForksFail { fail: false, .. } => "forks work",
            Self::HealAll => "heal-all",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(node) => write!(f, "start {node}"),
            Self::Kill(node) => write!(f, "kill {node}"),
            Self::Terminate(node) => write!(f, "terminate {node}"),
            Self::Pause(node) => write!(f, "pause {node}"),
            Self::Resume(node) => write!(f, "resume {node}"),
            Self::PowerCut(host) => write!(f, "power-cut {host}"),
            Self::PowerOn(host) => write!(f, "power-on {host}"),
            Self::Cut { from, to, what } => write!(f, "cut {from} {to} {what}"),
            Self::Heal { from, to } => write!(f, "heal {from} {to}"),
            Self::Isolate(host) => write!(f, "isolate {host}"),
            Self::Rejoin(host) => write!(f, "rejoin {host}"),
            Self::Weather(profile) => write!(f, "weather {profile}"),
            Self::Link {
                from,
                to,
                profile: Some(profile),
            } => {
                write!(f, "link {from} {to} {profile}")
            }
            Self::Link {
                from,
                to,
                profile: None,
            } => write!(f, "link {from} {to} as-weather"),
            Self::ClockJump { host, ahead } => {
                write!(f, "clock-jump {host} {}", DurationText(*ahead))
            }
            Self::ClockDrift { host, ppm } => write!(f, "clock-drift {host} {ppm}"),
            Self::ClockFreeze(host) => write!(f, "clock-freeze {host}"),
            Self::ClockThaw(host) => write!(f, "clock-thaw {host}"),
            Self::WallJump { host, ms } => write!(f, "wall-jump {host} {ms}"),
            Self::Disk { node, what } => write!(f, "disk {node} {what}"),
            Self::AtOp {
                node,
                skip,
                after,
                power,
            } => {
                let what = if *power { "power-cut" } else { "kill" };
                let when = if *after { "after" } else { "before" };
                write!(f, "at-op {node} {skip} {what} {when}")
            }
            Self::Ask { node, text } => write!(f, "ask {node} {text}"),
            Self::HoldPort { host, port } => write!(f, "hold-port {host} {port}"),
            Self::FreePort { host, port } => write!(f, "free-port {host} {port}"),
            Self::ReusePid(node) => write!(f, "reuse-pid {node}"),
            Self::ForksFail { host, fail } => {
                write!(f, "forks {host} {}", if *fail { "fail" } else { "work" })
            }
            Self::HealAll => f.write_str("heal-all"),
        }
    }
}

impl fmt::Display for DiskStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FailSync => f.write_str("fail-sync"),
            Self::FailOp => f.write_str("fail-op"),
            Self::Room(bytes) => write!(f, "room {bytes}"),
            Self::Slow(times) => write!(f, "slow {times}"),
            Self::Hang => f.write_str("hang"),
            Self::Lie => f.write_str("lie"),
            Self::Rot => f.write_str("rot"),
            Self::Wipe => f.write_str("wipe"),
            Self::Die => f.write_str("die"),
            Self::Well => f.write_str("well"),
        }
    }
}

impl fmt::Display for Timed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = DurationText(Duration::from_nanos(self.at.as_nanos()));
        write!(f, "at {at} {}", self.step)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps
            .iter()
            .try_for_each(|timed| writeln!(f, "{timed}"))
    }
}
