//! What a cluster costs, measured.
//!
//! ```text
//! cargo bench -p vaquita-bench --features criterion            the parts, in one process
//! cargo build --release
//! cargo run --release -p vaquita-bench --bin load              files of a cluster of real processes
//! cargo run --release -p vaquita-bench --bin million           the restart of a controller
//! cargo run --release -p vaquita-bench --bin faults            start, idling, and nodes that die
//! ```
//!
//! A package of its own, so that neither the core nor its tests wait for the harness. What was
//! measured, and what limits it, is in `docs/performance.md`. Nothing here is run as a test: time on
//! a machine that does something else as well is no reason to fail.

pub mod cluster;
pub mod command;
pub mod content;
pub mod cpu;
pub mod http;
pub mod load;
pub mod ratio;
pub mod rig;
pub mod servers;
pub mod stop;
