//! What the nemesis does to a cluster, in words that its schedule and its log are made of.

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Kind {
    /// Processes are killed, one, a whole host's, or all.
    Kill,
    /// Processes are asked to end.
    Terminate,
    /// Processes stand still (SIGSTOP) and go on (SIGCONT).
    Stop,
    /// Links pass nothing: one direction of one, all of a host, or between two halves.
    Cut,
    /// Links are slow and disorderly.
    Delay,
    /// Links lose some of what they carry.
    Lose,
    /// A disk is filled to the last byte.
    Fill,
    /// A disk is unmounted under its node.
    Unmount,
    /// The kernel takes a file system for damaged and makes it read-only.
    ReadOnly,
    /// A disk is frozen for moments, again and again.
    Slow,
    /// A disk does not answer.
    Hang,
    /// The clock that people see jumps.
    Clock,
    /// No fault, but what operators do meanwhile: stop and start nodes, drain them.
    Operate,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Kill,
        Self::Terminate,
        Self::Stop,
        Self::Cut,
        Self::Delay,
        Self::Lose,
        Self::Fill,
        Self::Unmount,
        Self::ReadOnly,
        Self::Slow,
        Self::Hang,
        Self::Clock,
        Self::Operate,
    ];

    /// Those that need nothing of the machine.
    pub const PLAIN: [Self; 4] = [Self::Kill, Self::Terminate, Self::Stop, Self::Operate];

    /// Those of links between hosts.
    pub const NETWORK: [Self; 3] = [Self::Cut, Self::Delay, Self::Lose];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |it| it.get_name()))
    }
}

/// A process, or several. Hosts are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// The controller.
    Controller,
    /// The agent of a host.
    Agent(usize),
    /// The data node of a host; of two the first.
    Node(usize),
    /// Agent and data nodes of a host.
    Host(usize),
    /// Every process.
    All,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Controller => f.write_str("the controller"),
            Self::Agent(host) => write!(f, "agent {}", host + 1),
            Self::Node(host) => write!(f, "data node {}", host + 1),
            Self::Host(host) => write!(f, "agent and data node {}", host + 1),
            Self::All => f.write_str("every process"),
        }
    }
}

/// One end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Port {
    /// The controller's host.
    Controller,
    /// A host with an agent and a data node.
    Host(usize),
    /// Where the clients are.
    Clients,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Controller => f.write_str("the controller"),
            Self::Host(host) => write!(f, "host {}", host + 1),
            Self::Clients => f.write_str("the clients"),
        }
    }
}

/// What is done. Each lasts as long as its [`Strike`] says and is put right then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// SIGKILL; agents and the controller are started again at the end, data nodes by their agents.
    Kill(Who),
    /// SIGTERM, and the same.
    Terminate(Who),
    /// SIGSTOP, and SIGCONT at the end.
    Stop(Who),
    /// Nothing passes from the one to the other.
    Cut(Port, Port),
    /// Nothing passes from or to this host.
    Isolate(usize),
    /// Nothing passes between these hosts and everybody else.
    Split(Vec<usize>),
    /// What passes on any link takes so long, and up to as long again.
    Delay(Duration),
    /// Of what passes on any link, so many packets in a thousand are lost.
    Lose(u16),
    /// A host's disk is filled.
    Fill(usize),
    /// It is unmounted.
    Unmount(usize),
    /// It becomes read-only.
    ReadOnly(usize),
    /// It is slow.
    Slow(usize),
    /// It hangs.
    Hang(usize),
    /// The clock of this host is so many seconds ahead (or behind): of its agent, or of the controller.
    Clock(Port, i64),
    /// An operator stops the host's data node, and starts it at the end.
    StopNode(usize),
    /// An operator drains it, and has it serve again at the end.
    Drain(usize),
}

impl Deed {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Kill(_) => Kind::Kill,
            Self::Terminate(_) => Kind::Terminate,
            Self::Stop(_) => Kind::Stop,
            Self::Cut(..) | Self::Isolate(_) | Self::Split(_) => Kind::Cut,
            Self::Delay(_) => Kind::Delay,
            Self::Lose(_) => Kind::Lose,
            Self::Fill(_) => Kind::Fill,
            Self::Unmount(_) => Kind::Unmount,
            Self::ReadOnly(_) => Kind::ReadOnly,
            Self::Slow(_) => Kind::Slow,
            Self::Hang(_) => Kind::Hang,
            Self::Clock(..) => Kind::Clock,
            Self::StopNode(_) | Self::Drain(_) => Kind::Operate,
        }
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(who) => write!(f, "kill {who}"),
            Self::Terminate(who) => write!(f, "terminate {who}"),
            Self::Stop(who) => write!(f, "stop {who}"),
            Self::Cut(from, to) => write!(f, "cut the link from {from} to {to}"),
            Self::Isolate(host) => write!(f, "cut all links of host {}", host + 1),
            Self::Split(hosts) => {
                let hosts: Vec<String> = hosts.iter().map(|it| (it + 1).to_string()).collect();
                write!(f, "split hosts {} from all others", hosts.join(", "))
            }
            Self::Delay(time) => write!(f, "delay all links by {} ms and more", time.as_millis()),
            Self::Lose(share) => {
                write!(f, "lose {}.{} % on all links", share / 10, share % 10)
            }
            Self::Fill(host) => write!(f, "fill the disk of host {}", host + 1),
            Self::Unmount(host) => write!(f, "unmount the disk of host {}", host + 1),
            Self::ReadOnly(host) => write!(f, "make the disk of host {} read-only", host + 1),
            Self::Slow(host) => write!(f, "slow down the disk of host {}", host + 1),
            Self::Hang(host) => write!(f, "hang the disk of host {}", host + 1),
            Self::Clock(of, by) => write!(f, "set the clock of {of} {by:+} s"),
            Self::StopNode(host) => write!(f, "order data node {} to stop", host + 1),
            Self::Drain(host) => write!(f, "drain data node {}", host + 1),
        }
    }
}

/// Something that is done at a moment and put right some time later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strike {
    /// Since the load began.
    pub at: Duration,
    /// How long it lasts.
    pub lasts: Duration,
    /// What is done.
    pub deed: Deed,
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, lasts) = (self.at.as_secs_f64(), self.lasts.as_secs_f64());
        write!(f, "{at:8.3} s  {}, for {lasts:.1} s", self.deed)
    }
}
