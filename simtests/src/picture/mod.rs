//! Pictures of runs: what was sent and lost, who was how and when, what was cut, and where it went wrong.
//!
//! A [`Recording`] takes in what happens while a World runs: the World tells of packets and faults, an
//! [`Observer`] of all that can be seen from outside. [`html`] makes one page of it that needs nothing
//! else, [`transcript`] a text.

mod html;
mod observer;
mod recording;
mod transcript;

pub use html::html;
pub use observer::Observer;
pub use recording::{Fate, Head, Message, Outcome, Recorder, Recording, Told};
pub use transcript::transcript;

pub(crate) use recording::label;
