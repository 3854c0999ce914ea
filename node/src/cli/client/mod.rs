//! The cluster as a command sees it: which server, as whom, and what it answers.

mod address;
mod api;
mod carrier;
mod config;
mod dfs;
mod dial;
mod entries;
mod logins;
mod transport;
mod upload;
mod verify;
mod views;

pub(super) use address::ServerOption;
pub(super) use api::{Api, ApiError};
pub(super) use carrier::{Carrier, Condition, Sink, Trouble, Wanted};
pub(super) use entries::{Entries, new_key};
pub(super) use upload::Source;
pub(super) use verify::FileSumming;
pub(super) use views::{
    AuditFilter, AuditView, ChunkView, CommittedView, DeedView, EntryView, FiguresView,
    LogCopyView, NodeView, OrderView, RepairView, RescanView, StatusView, TokenRowView, TokenView,
    UnknownView, UsageView, UserView, VolumeView,
};

use std::future::Future;

use super::exit::{Failure, Status};

/// Runs a client command's waiting, on one thread: a command does one thing after the other.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::new(
                Status::Unavailable,
                format!("no event loop can be had: {error}"),
            )
        })?;
    runtime.block_on(work)
}

#[cfg(test)]
mod tests;
