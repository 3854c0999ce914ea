//! Real processes of Vaquita under faults, and what must hold of them.
//!
//! ```text
//! cargo build --release
//! cargo run --release -p vaquita-nemesis -- --seconds 600 --seed 7
//! ```
//!
//! A seed decides which faults come when and to whom ([`schedule`]); what the machine makes of it is real, and
//! different each time. Clients write and read meanwhile, and what they are told is held against a table of names
//! (package `vaquita-history`). At the end everything is put right and has to be well again; what was acknowledged
//! has to be there, through every data node and on the disks.
//!
//! How to run it, what it does and what it cannot do is in `docs/nemesis.md`.

mod api;
mod clients;
mod cluster;
mod director;
mod end;
mod fault;
pub mod ground;
mod options;
mod outcome;
mod report;
mod run;
mod schedule;
mod stop;
mod watch;

pub use fault::{Deed, Kind, Port, Strike, Who};
pub use options::{Options, Plant};
pub use outcome::{NoVerdict, Outcome};
pub use report::{Rule, Violation};
pub use run::run;
pub use schedule::{Wanted, schedule};
pub use stop::Stop;
