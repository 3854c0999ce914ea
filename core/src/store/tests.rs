//! What a volume claims, held against a disk that keeps of a crash whatever it is allowed to keep.

mod crash;
mod faults;
mod format;
mod label;
mod label_copies;
mod properties;
pub(crate) mod rig;
mod scan;
mod volume;
