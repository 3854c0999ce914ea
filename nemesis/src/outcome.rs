//! What a run comes to.

use std::collections::BTreeMap;
use std::fmt;

use crate::fault::Kind;
use crate::report::Violation;

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What must not be.
    pub violations: Vec<Violation>,
    /// Operations of clients.
    pub operations: u64,
    /// Puts that were acknowledged.
    pub puts: u64,
    /// Gets that were answered, with a content or with that there is none.
    pub gets: u64,
    /// Faults by kind.
    pub struck: BTreeMap<Kind, u64>,
    /// Kinds that were wanted and cannot be had on this machine, and why.
    pub left_out: Vec<(Kind, String)>,
    /// Files whose histories were checked.
    pub histories: usize,
}

/// Why a run has come to no verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoVerdict {
    /// Somebody had it stop, and nothing was violated up to then.
    Stopped,
    /// What has not worked; or what was violated before somebody had it stop is in the log.
    Failed(String),
}

impl fmt::Display for NoVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("stopped; nothing was violated up to then"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}
