//! The log file: written line by line, rotated by size, read in pieces.
//!
//! ```text
//! 2023-10-26 09:01:31.349118 <ERROR> :Failed to bind the socket on 8961
//! ```
//!
//! Local time, the level between angle brackets, a blank, a colon, the text. One event is one line:
//! control characters are escaped, so that nobody can forge a line or a terminal's command, and
//! what is longer than [`LINE_MAX`] is cut.
//!
//! Whoever logs does not wait for the disk. Lines go through a bounded queue to a thread; when the
//! disk is too slow or full, lines are lost, counted, and the count is logged. No failure to write
//! the log ever ends the process.

mod file;
mod format;
mod layer;
mod names;
mod reader;
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;
use tracing::Level;

pub use format::{LINE_MAX, escape};
pub use layer::LogLayer;
pub use reader::{LogFile, LogReadError, last_lines};
pub use writer::{LogHandle, install, start};

/// Where lines go (`stdoutLog`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// To the log file.
    #[default]
    File,
    /// To standard output.
    Stdout,
    /// To both.
    Both,
}

impl Target {
    /// What the values of the key `stdoutLog` mean; `None` for one that means nothing.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::File),
            1 => Some(Self::Stdout),
            2 => Some(Self::Both),
            _ => None,
        }
    }

    const fn to_file(self) -> bool {
        matches!(self, Self::File | Self::Both)
    }

    const fn to_stdout(self) -> bool {
        matches!(self, Self::Stdout | Self::Both)
    }
}

/// How a process logs.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// The log file (`-logFile`). Its folder is created if need be.
    pub file: PathBuf,
    /// Where lines go (`stdoutLog`).
    pub target: Target,
    /// The least severe lines that are written (`logLevel`).
    pub level: Level,
    /// Length at which the file is put aside and a new one begun (`maxLogSize`), in bytes.
    pub max_bytes: u64,
    /// Age at which a file that was put aside is removed (`logRetentionTime`); `None` for never.
    pub retention: Option<Duration>,
}

impl LogSettings {
    /// The settings with their defaults: to the file, from INFO on, 1,024 MB, 30 days.
    #[must_use]
    pub const fn new(file: PathBuf) -> Self {
        Self {
            file,
            target: Target::File,
            level: Level::INFO,
            max_bytes: 1024 * 1024 * 1024,
            retention: Some(Duration::from_secs(30 * 24 * 3600)),
        }
    }
}

/// The level of a `logLevel` word: DEBUG, INFO, WARNING or ERROR.
#[must_use]
pub fn level_from_word(word: &str) -> Option<Level> {
    match word {
        "DEBUG" => Some(Level::DEBUG),
        "INFO" => Some(Level::INFO),
        "WARNING" => Some(Level::WARN),
        "ERROR" => Some(Level::ERROR),
        _ => None,
    }
}

/// Why logging cannot begin.
#[derive(Debug, Error)]
pub enum LogStartError {
    /// The file cannot be opened for writing.
    #[error(
        "cannot open the log file {file}: {source}; give a file in a folder that the user of this \
         process may write to: -logFile FILE"
    )]
    File {
        /// The file.
        file: String,
        /// The operating system's words.
        source: io::Error,
    },
    /// The thread that writes cannot be started.
    #[error("cannot start the thread that writes the log: {0}")]
    Thread(io::Error),
}
