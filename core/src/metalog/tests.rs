//! What the log claims, held against a disk that keeps of a crash whatever it is allowed to keep.

mod changed_bytes;
pub(crate) mod choices;
mod crash;
pub(crate) mod disk;
mod format;
mod properties;
mod recovery;
mod refusals;
mod repair;
mod reserve;
mod rig;
mod space;
mod writer;
