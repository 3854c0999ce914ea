//! The program from outside: what it prints, where, and with which exit status.

mod check;
mod client;
mod cluster;
mod explain;
mod program;
mod secret;
mod server_process;
mod usage;
