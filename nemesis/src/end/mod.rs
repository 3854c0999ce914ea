//! What is done and looked at when the schedule is over.

mod heal;
mod plant;
mod read_back;
mod remains;

use std::time::Duration;

/// How long an answer of the controller is asked for when all is well: one that is slow decides nothing.
const ANSWER: Duration = Duration::from_secs(30);

pub(crate) use heal::{begin, heal, wait_until_stopped};
pub(crate) use plant::destroy_a_file;
pub(crate) use read_back::{placed, read_back};
pub(crate) use remains::look;
