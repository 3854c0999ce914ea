//! The file system in the World: clients, what they saw, and what must hold of it.
//!
//! [`Clients`] drive the same machines as an entry does, [`Put`](vaquita_core::dfs::put::Put) and
//! [`Fetch`](vaquita_core::dfs::fetch::Fetch), within the processes of data nodes. [`History`] is what
//! they were told, and whether there is an order of events that explains it (package `vaquita-history`). [`checkers`] looks at
//! the disks.

pub mod checkers;
mod clients;
mod content;
pub mod drained;
pub mod given_up;
mod settled;
mod words;

pub use clients::{Clients, Done, Order, Ticket};
pub use content::content;
pub use settled::{READ_BACK_REQUIRED, bring_to_rest, unrest};
pub use vaquita_history::{Act, Expected, History, Seen};
pub use words::{order_text, parse_order};
