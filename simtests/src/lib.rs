//! Simulators.

pub mod cluster;
