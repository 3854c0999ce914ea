//! Scenarios of the real machines in the World, one a test, sorted by what goes wrong. The numbers
//! are those of the list in `docs/simulation.md`.

mod audit;
mod clocks;
mod damage;
mod disk;
mod figures;
mod mirrors;
mod network;
mod replaced;
mod secrets;
mod starts;
mod story;
mod swarm;
mod versions;
