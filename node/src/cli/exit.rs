//! How a command ends: one table of statuses, each with one meaning.
//!
//! The numbers of [`vaquita_core::io::ExitCode`] belong to the same table: an agent relies on those
//! of a server process, a script on those of a command. `docs/operations/exit-codes.md` explains
//! them; a test holds that the page lists exactly these.

use std::fmt;

use vaquita_core::io::ExitCode;

/// The exit status of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Status {
    /// Done.
    Success = 0,
    /// The command was understood and the answer is no: the checked files have errors, the cluster
    /// refused the order, a node that was waited for did not come up.
    No = 1,
    /// A local file that was to be looked at cannot be read.
    Unreadable = 2,
    /// The command line is wrong, or a configuration file of a server process.
    Usage = ExitCode::Usage.number(),
    /// A file is damaged, or was on its way; nothing was changed.
    Damaged = ExitCode::CorruptData.number(),
    /// Something that is needed cannot be had: the server does not answer, a port is taken.
    Unavailable = ExitCode::Unavailable.number(),
    /// A bug: what came back makes no sense.
    Bug = ExitCode::Bug.number(),
    /// What was to be created, or started, is there already.
    Exists = ExitCode::AlreadyRunning.number(),
    /// A file cannot be written, or the disk met a fault.
    Disk = ExitCode::DiskFault.number(),
    /// Too much at once; the same command may succeed later.
    Busy = 75,
    /// Not logged in, wrong password, a right is missing, or a secret that others can read.
    Denied = ExitCode::Denied.number(),
    /// The controller refuses this node for good.
    Refused = ExitCode::Refused.number(),
    /// Ended by Ctrl-C at a prompt.
    Interrupted = 130,
}

impl Status {
    /// Every status, in the order of the numbers.
    pub const ALL: [Self; 13] = [
        Self::Success,
        Self::No,
        Self::Unreadable,
        Self::Usage,
        Self::Damaged,
        Self::Unavailable,
        Self::Bug,
        Self::Exists,
        Self::Disk,
        Self::Busy,
        Self::Denied,
        Self::Refused,
        Self::Interrupted,
    ];

    /// The number that the operating system is given.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// Why a command did not do what it was to do: one sentence for the terminal that says what to do
/// next, and the status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit status.
    pub status: Status,
    /// The sentence. Empty if everything was said already.
    pub message: String,
}

impl Failure {
    /// A failure with its sentence.
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    /// A failure whose reasons were written already.
    #[must_use]
    pub const fn told(status: Status) -> Self {
        Self {
            status,
            message: String::new(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Writing to the terminal, or to the pipe in its place, failed.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        // `vaquita node list | head -1` closes the pipe: that is no failure to speak of.
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Self::told(Status::Success)
        } else {
            Self::new(
                Status::Disk,
                format!("the output cannot be written: {error}"),
            )
        }
    }
}

/// What a command returns.
pub type Outcome = Result<(), Failure>;
