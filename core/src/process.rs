//! Processes as an agent sees them: what identifies one, what may be asked, what is reported.
//!
//! A process id alone proves nothing, since it is given out again; [`ProcessIdentity`] is what an
//! agent has to match before it sends a signal.

use core::fmt;

use minicbor::{Decode, Encode};

use crate::admin::{LogPiece, LogRange};
use crate::ids::{Alias, Endpoint, RequestId};

/// What tells one process from every other that this host ever ran.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ProcessIdentity {
    /// Process id.
    #[n(0)]
    pub pid: u32,
    /// Start time in clock ticks since boot: the kernel's own, unaffected by a set clock.
    #[n(1)]
    pub start_ticks: u64,
    /// The kernel's random id of this boot.
    #[n(2)]
    pub boot_id: String,
    /// Device and inode of the executable.
    #[n(3)]
    pub executable: (u64, u64),
}

impl fmt::Display for ProcessIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {}", self.pid)
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ProcessExit {
    /// It returned a status.
    #[n(0)]
    Code(#[n(0)] i32),
    /// A signal ended it.
    #[n(1)]
    Signal(#[n(0)] i32),
    /// It is gone, and whoever started it before us knows how.
    #[n(2)]
    Unknown,
}

impl fmt::Display for ProcessExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(9) => f.write_str("signal 9 (KILL)"),
            Self::Signal(15) => f.write_str("signal 15 (TERM)"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::Unknown => f.write_str("an unknown status"),
        }
    }
}

/// A signal that an agent sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGTERM: finish running requests, then end.
    Terminate,
    /// SIGKILL: end now.
    Kill,
}

/// What an agent asks of its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessOrder {
    /// Find out whether a port can be bound, and who holds it if not.
    ProbePort {
        /// The node that wants the port.
        alias: Alias,
        /// The port.
        endpoint: Endpoint,
    },
    /// Write the node's configuration file, then start this same program as that data node.
    ///
    /// The program, its arguments and its folders follow from the alias alone.
    Launch {
        /// The node.
        alias: Alias,
        /// Whole text of its configuration file.
        node_cfg: String,
    },
    /// Tell whether this process still runs, and watch it from now on if so.
    Inspect {
        /// The node it is thought to be.
        alias: Alias,
        /// The process.
        identity: ProcessIdentity,
    },
    /// Send a signal, to this process and no other.
    Signal {
        /// The node.
        alias: Alias,
        /// The process.
        identity: ProcessIdentity,
        /// The signal.
        signal: StopSignal,
    },
    /// Read a piece of a node's log file, whether the node runs or not.
    ReadLog {
        /// Under which [`ProcessEvent::LogRead`] is expected.
        id: RequestId,
        /// The node; the file follows from it.
        alias: Alias,
        /// 0 for the present file, 1 for the one before the last rotation, and so on.
        generation: u32,
        /// Which piece.
        range: LogRange,
    },
}

/// Whether a port can be bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortState {
    /// It can.
    Free,
    /// Another process listens there.
    Held {
        /// That process in words (`pid 4711 (nginx)`), where the host tells.
        holder: Option<String>,
    },
    /// It cannot be bound for another reason, in the operating system's words.
    Refused {
        /// The reason.
        reason: String,
    },
}

/// What an inspection found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inspection {
    /// The same process still runs and is watched: its end will be reported.
    Running,
    /// It is certain that the process has ended: no such pid, another start time, or another boot.
    Gone,
    /// The pid, start time and boot match, and the rest does not. Nobody may signal it.
    Unproven {
        /// What differs.
        reason: String,
    },
}

/// What the host reports to an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessEvent {
    /// Answers [`ProcessOrder::ProbePort`].
    PortProbed {
        /// The node that wants the port.
        alias: Alias,
        /// What was found.
        state: PortState,
    },
    /// Answers [`ProcessOrder::Launch`].
    Launched {
        /// The node.
        alias: Alias,
        /// The new process, or why there is none.
        result: Result<ProcessIdentity, String>,
    },
    /// Answers [`ProcessOrder::Inspect`].
    Inspected {
        /// The node.
        alias: Alias,
        /// The process asked about.
        identity: ProcessIdentity,
        /// What was found.
        inspection: Inspection,
    },
    /// A process that was launched, or inspected and found running, has ended.
    Exited {
        /// The node.
        alias: Alias,
        /// The process.
        identity: ProcessIdentity,
        /// How it ended.
        exit: ProcessExit,
        /// The last lines of its log, oldest first.
        log_tail: Vec<String>,
    },
    /// Answers [`ProcessOrder::ReadLog`].
    LogRead {
        /// The order's id.
        id: RequestId,
        /// The piece, or why there is none.
        result: Result<LogPiece, String>,
    },
}
