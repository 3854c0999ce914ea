//! The program from outside: what it prints, where, and with which exit status.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod check;
mod client;
mod cluster;
mod dfs;
mod explain;
mod files;
mod local;
mod meta;
mod program;
mod secret;
mod server_process;
mod usage;
