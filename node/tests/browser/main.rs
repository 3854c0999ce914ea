//! The cluster manager as somebody sees it: a real browser before a cluster of real processes, deployed from
//! real files.
//!
//! The browser is Chromium with its driver. Where these are not installed, the tests say so and end; the gate
//! installs them. `VAQUITA_SCREENSHOTS=DIR` has the tests leave pictures of what they saw there: those of
//! the book are made so.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    dead_code,
    reason = "what the tests stand on is shared with those of clusters"
)]

#[path = "../cli/program.rs"]
mod program;
#[allow(unused_imports, reason = "as above")]
#[path = "../cluster/rig/mod.rs"]
mod rig;

mod driver;
mod webdriver;

mod accessibility;
mod configuration;
mod files;
mod https;
mod sessions;
mod tutorial;
