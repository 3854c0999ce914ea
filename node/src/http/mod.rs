//! The HTTP interface of a process: the administration API, the probes and the metrics.
//!
//! It knows users, nodes and logs only as [`vaquita_core::admin`] speaks of them: each handler
//! turns a request into a [`Verb`](vaquita_core::admin::Verb), asks the machine through a
//! [`Front`], and turns the answer into JSON. It opens no socket: [`serve_connection`] is handed a
//! byte stream, so that the very same code answers a TCP connection, a simulated one, and the
//! in-memory pipe of a test. Of the bytes of files it knows only how they come and go ([`Files`]).
//!
//! | what | where |
//! |---|---|
//! | who may use which route | [`ROUTES`], the only list of routes there is |
//! | what every request passes first | `gate` |
//! | what a client may send and how slowly | [`HttpLimits`] |
//! | how a refusal looks | `problem` |

#![forbid(unsafe_code)]

mod app;
mod basic;
mod body;
mod clear;
mod conditions;
mod connection;
mod download;
mod figures;
mod files;
mod front;
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod handlers;
mod hosts;
mod limits;
mod metrics;
mod openapi;
mod operation;
mod pages;
mod passage;
mod problem;
mod pulse;
mod query;
mod recent;
mod reenter;
mod rolling;
mod routes;
mod seat;
mod session;
mod stream;
#[cfg(test)]
mod tests;

pub use app::HttpSettings;
pub use connection::{HttpServer, serve_connection};
pub use files::{FileBytes, Files, NoFiles, OpenFile, Put, PutError, Upload, UploadError};
pub use front::Front;
pub use hosts::AllowedHosts;
pub use limits::HttpLimits;
pub use metrics::Metrics;
pub use openapi::DOCUMENT as OPENAPI;
pub use passage::{Duplex, Passage, Reach, Secured};
pub use routes::{Endpoint, Permission, ROUTES, Route};
