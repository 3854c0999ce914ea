//! One command a file.

pub(super) mod check;
pub(super) mod chunk;
pub(super) mod completions;
pub(super) mod dfs;
pub(super) mod explain;
pub(super) mod login;
pub(super) mod logout;
pub(super) mod meta;
pub(super) mod node;
pub(super) mod repair;
pub(super) mod secret;
pub(super) mod status;
pub(super) mod user;
pub(super) mod volume;
