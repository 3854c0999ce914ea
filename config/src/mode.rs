//! What a process of a cluster is.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::nearest;

/// The role of a process or of a row of `cluster.nodes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Keeps the metadata; one in a cluster.
    Controller,
    /// Starts and stops the data nodes of its host; one on a host.
    Agent,
    /// Keeps chunks in volumes.
    Datanode,
    /// Computes without volumes of its own.
    Computenode,
    /// A stand-alone process.
    Single,
}

impl Mode {
    /// All modes.
    pub const ALL: [Mode; 5] = [
        Mode::Controller,
        Mode::Agent,
        Mode::Datanode,
        Mode::Computenode,
        Mode::Single,
    ];

    /// The word for it in files and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Controller => "controller",
            Mode::Agent => "agent",
            Mode::Datanode => "datanode",
            Mode::Computenode => "computenode",
            Mode::Single => "single",
        }
    }

    /// Whether the settings of `cluster.cfg` are for such a member.
    pub fn reads_cluster_cfg(self) -> bool {
        matches!(self, Mode::Datanode | Mode::Computenode)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownMode {
    /// The word.
    pub word: String,
    /// The mode that was perhaps meant.
    pub suggestion: Option<Mode>,
}

impl fmt::Display for UnknownMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no mode `{}`", self.word)?;
        match self.suggestion {
            Some(mode) => write!(f, "; did you mean `{mode}`?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for UnknownMode {}

impl FromStr for Mode {
    type Err = UnknownMode;

    /// Reads the word in any case; files write it in lower case.
    fn from_str(word: &str) -> Result<Mode, UnknownMode> {
        let known = |text: &str| Mode::ALL.into_iter().find(|mode| mode.as_str() == text);
        let lower = word.to_ascii_lowercase();
        known(&lower).ok_or_else(|| UnknownMode {
            word: word.to_owned(),
            suggestion: nearest::nearest(&lower, Mode::ALL.iter().map(|mode| mode.as_str()))
                .and_then(known),
        })
    }
}
