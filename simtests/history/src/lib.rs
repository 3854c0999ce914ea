//! What clients of the file system were told, and whether any order of events explains it.
//!
//! A [`History`] is filled with what each client wanted, when it asked, when it was answered and what it was
//! told. [`History::check`] looks for an order in which each thing happened at one moment between its question
//! and its answer, and in which the plainest of all file systems, a table of names, gives the same answers:
//! whether the history is *linearizable* (Herlihy and Wing, 1990). What has an unknown outcome may have
//! happened at any moment since it was asked, or never.
//!
//! The World of the simulation and the nemesis on real processes both write such histories.

#![forbid(unsafe_code)]

mod history;
mod model;
mod search;
#[cfg(test)]
mod tests;

pub use history::{Checked, History, Moment, Wrong};
pub use model::{Act, Expected, Seen};
