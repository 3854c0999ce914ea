//! Those who use the cluster meanwhile, and what they were told.

mod content;
mod http;
mod load;
mod told;

pub(crate) use content::number_of;
pub(crate) use http::{Ask, Server};
pub(crate) use load::{Load, paths, work};
