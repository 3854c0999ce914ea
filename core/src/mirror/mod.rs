//! Copies of the controller's log on data nodes.
//!
//! A cluster has one controller, and its home is the one place where names are. So some data nodes
//! keep a *mirror*: the files of the log, byte for byte, under other names in the node's own home. The
//! controller sends what it has synced, a fraction of a second later; a lost home is fetched back from
//! the mirror that reaches furthest ([`rebuild`](crate::rebuild)).
//!
//! This module has what both sides share: the words ([`words`]), what a directory holds of a mirror
//! ([`survey()`]), and what a mirror needs next (`next_step`). All of it is computed from names,
//! lengths and bytes; who reads and writes them is elsewhere.
//!
//! # What always holds
//!
//! 1. A mirror has nothing that was not durable at the controller before.
//! 2. A mirror that goes further than the controller's own log is evidence that records were lost
//!    there. It is never overwritten by that controller.
//! 3. A mirror that cannot be continued is put aside, and removed only when a new one is complete.
//! 4. What a new checkpoint replaces is removed when the mirror, with the checkpoint in it, has been
//!    read back.

#[doc(hidden)]
pub mod fuzzing;
mod plan;
mod survey;
pub mod words;

pub(crate) use plan::{Held, Step, next_step};
pub use survey::survey;

use crate::disk::FileName;
use crate::metalog::LogPart;

/// In front of the name of each file of a mirror.
const PRESENT: &str = "mirror-";
/// In front of the name of each file of a mirror that was put aside.
const ASIDE: &str = "aside-";

/// Which of the two mirrors a node may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shelf {
    /// The one that is kept up to date.
    Present,
    /// An earlier one that could not be continued, until the present one is complete.
    Aside,
}

impl Shelf {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Present => PRESENT,
            Self::Aside => ASIDE,
        }
    }

    /// The file that holds a part on this shelf.
    #[must_use]
    pub fn file(self, part: LogPart) -> FileName {
        FileName::new(&format!("{}{}", self.prefix(), part.file()))
            .expect("a prefix in front of a file name is a file name")
    }

    /// The part that a file of a node's home holds on this shelf, if it does.
    #[must_use]
    pub fn part(self, file: &FileName) -> Option<LogPart> {
        let name = file.as_str().strip_prefix(self.prefix())?;
        LogPart::of(&FileName::new(name)?)
    }
}

/// Whether a file of a node's home belongs to a mirror. There may be many of them, and large ones:
/// they are not read with the rest of the home.
#[must_use]
pub fn is_mirror(file: &FileName) -> bool {
    let name = file.as_str();
    name.starts_with(PRESENT) || name.starts_with(ASIDE)
}
