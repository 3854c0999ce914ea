//! Deterministic simulation of Vaquita.
//!
//! [`world`] runs the machines of the core, any number of them, in one thread and in simulated time,
//! under the faults of a [`plan`] and the noise of [`net`] and [`disk`]; [`checker`]s look on;
//! [`run`] repeats it under many seeds. `docs/simulation.md` says how to use it and what it does not
//! model.
//!
//! [`toys`] are small machines that the World is tested with.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod campaign;
pub mod checker;
pub mod cluster;
pub mod disk;
pub mod host;
pub mod hunt;
pub mod net;
pub mod picture;
pub mod plan;
pub mod run;
pub mod seeds;
pub mod streams;
pub mod time;
pub mod toys;
pub mod trace;
pub mod vaquita;
pub mod world;
