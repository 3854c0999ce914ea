//! Who belongs to the cluster, and who of them is alive.

mod failure_detector;
mod flap;
mod registry;
#[cfg(test)]
mod tests;

pub use failure_detector::{FailureDetector, Health, Slot, Thresholds, Verdict};
pub use flap::FlapDamper;
pub use registry::{
    Admission, Circumstances, NodeRegistered, NodeRemoved, NodeReplaced, Registration, Registry,
};
