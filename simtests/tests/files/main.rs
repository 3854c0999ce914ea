//! Scenarios of the file system in the World, one a test. The numbers are those of the list in
//! `docs/simulation.md`; rulings are those of the architecture.

mod balance;
mod changed;
mod crashes;
mod duties;
mod everyday;
mod given_up;
mod healthy_core;
mod liveness;
mod lost_rack;
mod many;
mod orphans;
mod placement;
mod rebuilt;
mod reloads;
mod repair;
mod rescans;
mod scrub;
mod story;
mod told;
mod volume_drains;
mod volumes;
mod wrong_disks;
