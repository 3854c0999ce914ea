//! Clusters of real processes, deployed from real files: what an operator does, what goes wrong on
//! a host, and what is said about it.
//!
//! Each test has a directory, addresses of 127.0.0.0/8 and a login of its own, so that all of them
//! may run at once; see [`rig`].

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../cli/program.rs"]
mod program;
mod rig;

mod canaries;
mod causes;
mod crashes;
mod crowds;
mod duties;
mod exit_statuses;
mod files;
mod files_commands;
mod files_crashes;
mod files_hosts;
mod files_labels;
mod files_volumes;
mod firewalls;
mod homes;
mod https;
mod keys;
mod local;
mod nemesis;
mod rebuilt;
mod reloads;
mod repair;
mod rpc_ssl;
mod seed;
mod setup_code;
mod sites;
mod users;
