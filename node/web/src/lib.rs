//! The pages of the cluster manager: values in, HTML out.
//!
//! Nothing here asks a question, opens a socket or reads a clock: the program's HTTP interface asks the
//! machine, puts what it is told into a page of this crate, and sends what comes out. So each page can be
//! drawn in a test from made-up values, and a change of a template rebuilds little.
//!
//! | what | where |
//! |---|---|
//! | what surrounds each page: navigation, language, theme, notices | [`Frame`] |
//! | the pages | [`pages`], with a template each in `templates/` |
//! | every text, in English and Chinese | [`words`] |
//! | style sheet, scripts, icon | [`assets`] |
//!
//! Templates escape whatever they are given; nothing is marked as safe. The scripts make the pages live and
//! pleasant, and no page needs them.

#![forbid(unsafe_code)]

pub mod assets;
mod chart;
pub mod format;
mod frame;
mod measures;
pub mod pages;
mod tone;
pub mod words;

pub use chart::{Chart, charts};
pub use frame::{Flash, Frame, Lang, Live, NavItem, Theme, Visitor};
pub use tone::{State, Tone};
