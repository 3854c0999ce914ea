//! The processes of a Vaquita cluster, and the program that starts and operates them.

#![forbid(unsafe_code)]

pub mod cli;
pub mod http;
