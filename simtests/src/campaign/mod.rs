//! Campaigns: as many different cases as there is time for, and what to do with one that fails.
//!
//! A [`Case`] is everything that decides a run: the cluster and its limits, what goes wrong and when, what
//! clients and operators want, and the seed of the noise. [`Case::drawn`] makes one of a seed, [`Play`]
//! plays it, [`campaign`] plays many, [`shrink()`] makes a failing one small enough to be told as a story.
//! Those are kept in `simtests/regressions/`, each a text, and played by every test run.

mod act;
mod case;
mod crash_points;
mod draw;
mod hunts;
mod many;
mod marks;
mod places;
mod report;
mod setup;
mod shrink;
mod states;

pub use act::{Play, READ, WRITTEN};
pub use case::{Breakage, Broken, Case, Happening, Noise, What};
pub use crash_points::{CrashPoints, crash_points, disks};
pub use hunts::{Hunted, hunt};
pub use many::{Campaign, Failing, Plan, campaign};
pub use marks::{ELSEWHERE, KNOWN, never_reached};
pub use report::report;
pub use setup::Setup;
pub use shrink::{Shrunk, kind_of, shrink};
pub use states::States;
