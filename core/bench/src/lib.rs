//! What a cluster costs, measured.
//!
//! ```text
//! cargo bench -p vaquita-bench --features criterion            the parts, in one process
//! ```
//!
//! A package of its own, so that neither the core nor its tests wait for the harness. What was
//! measured, and what limits it, is in `docs/performance.md`. Nothing here is run as a test: time on
//! a machine that does something else as well is no reason to fail.

pub mod content;
pub mod ratio;
pub mod rig;
