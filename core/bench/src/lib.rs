//! What the protocol of a cluster costs, measured: `cargo bench -p vaquita-bench --features criterion`.
//!
//! A package of its own, so that neither the core nor its tests wait for the harness.
