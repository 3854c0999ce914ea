//! The protocol of a Vaquita cluster as state machines that do no I/O.
//!
//! A cluster is one controller, an agent on each host, and data nodes. Each role is a
//! [`Machine`](io::Machine). A machine has no clock, no randomness of its own, no file, no socket
//! and no thread: a *driver* tells it what happened and does what it asks for. The driver of a real
//! process and the simulators run the same machines.
//!
//! # The calling contract
//!
//! 1. `handle(now, input)` tells a machine one thing. `now` never goes back. Any input is legal in
//!    any state; what makes no sense is refused, counted and otherwise ignored.
//! 2. After each `handle`, `poll_effect` is called until it returns `None`, and the effects are
//!    carried out in that order. They need not be finished before the next input, only started.
//! 3. Then `poll_timeout` is asked. When that moment has come and nothing else has happened, the
//!    machine is handed [`Input::Deadline`](io::Input::Deadline). Being late is allowed, and noticed.
//! 4. A machine promises nothing that is not durable: an acknowledgement, a granted epoch, a reply
//!    that depends on the disk is emitted only after the [`Input::DiskDone`](io::Input::DiskDone)
//!    of what it depends on.
//! 5. After [`Effect::Exit`](io::Effect::Exit) the machine is dropped.
//!
//! ```
//! use vaquita_core::io::{Effect, Input, Machine};
//! use vaquita_core::time::Timestamp;
//!
//! fn tell(machine: &mut impl Machine, now: Timestamp, input: Input) -> Option<Timestamp> {
//!     machine.handle(now, input);
//!     while let Some(effect) = machine.poll_effect() {
//!         match effect {
//!             Effect::Notify(event) => println!("{event}"),
//!             other => println!("to do: {other:?}"),
//!         }
//!     }
//!     machine.poll_timeout()
//! }
//! ```
//!
//! Safety never rests on time. What decides whether a message counts is the
//! [epoch](ids::ControllerEpoch) it was sent under, compared at one place; a clock that stops or
//! jumps costs availability and nothing else.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod access;
pub mod admin;
pub mod agent;
pub mod audit;
pub mod controller;
pub mod datanode;
pub mod dfs;
pub mod disk;
pub mod event;
pub mod figures;
#[doc(hidden)]
pub mod fuzzing;
#[cfg(test)]
mod ideal;
pub mod ids;
pub mod io;
mod later_version;
pub mod limits;
mod links;
pub mod membership;
pub mod message;
pub mod metalog;
pub mod mirror;
pub mod node_machine;
mod outbox;
pub mod planted;
pub mod prng;
pub mod process;
pub mod rebuild;
pub mod secret;
pub mod state;
pub mod state_file;
pub mod store;
pub mod time;
pub mod uplink;
pub mod wire;
