//! The machines of `vaquita-core`, searched: every order of events, within small bounds.
//!
//! A state is all machines, with their disks and everything that is on its way between them; what can
//! happen in it are the actions of [`action`]. The [stateright] checker goes through all states that
//! can be reached, the nearest first, and holds each against [`rules`]. What is searched are the real
//! machines, cloned: there is no second telling of the protocol that could differ from the first.
//!
//! [stateright]: https://www.stateright.rs

pub mod action;
pub mod bounds;
pub mod data;
pub mod disk;
mod drivers;
pub mod fingerprint;
pub mod model;
pub mod network;
mod panics;
pub mod process;
pub mod rules;
pub mod scenes;
pub mod search;
pub mod setup;
pub mod site;
pub mod turn;
