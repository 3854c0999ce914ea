//! What is done and looked at when the schedule is over.

mod heal;
mod plant;
mod read_back;
mod remains;

pub(crate) use heal::{begin, heal, wait_until_stopped};
pub(crate) use plant::destroy_a_file;
pub(crate) use read_back::{placed, read_back};
pub(crate) use remains::look;
