//! What an entry does: writing and reading whole files on behalf of a client.
//!
//! The decisions are the core's ([`Put`](vaquita_core::dfs::put::Put),
//! [`Fetch`](vaquita_core::dfs::fetch::Fetch)); the bytes go through the
//! [data plane](crate::data); names are asked of the controller, through this process's own machine.

mod get;
mod put;

use std::sync::Arc;

use vaquita_core::admin::{Caller, Refusal, Request, Response, Verb};
use vaquita_core::dfs::ask::{Answer, Ask, Committed};
use vaquita_core::dfs::path::DfsPath;
use vaquita_core::limits::Limits;

use crate::data::Data;
use crate::driver::Front;
use crate::env::Env;
use crate::http::{Files, Put, PutError, Upload};

pub use get::{OpenedFile, Reading};

/// Writes and reads files through this data node. Clones are the same.
pub struct Coordinator<E: Env> {
    shared: Arc<Shared<E>>,
}

impl<E: Env> Clone for Coordinator<E> {
    fn clone(&self) -> Self {
        let shared = Arc::clone(&self.shared);
        Self { shared }
    }
}

impl<E: Env> std::fmt::Debug for Coordinator<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Coordinator")
            .field("data", &self.shared.data)
            .finish_non_exhaustive()
    }
}

struct Shared<E: Env> {
    env: E,
    front: Front,
    data: Data<E>,
    limits: Limits,
}

impl<E: Env> Coordinator<E> {
    /// `front` leads to this process's machine, `data` to its data plane.
    pub fn new(env: E, front: Front, data: Data<E>, limits: Limits) -> Self {
        Self {
            shared: Arc::new(Shared {
                env,
                front,
                data,
                limits,
            }),
        }
    }

    /// Asks the controller, through this process's machine.
    async fn ask(&self, caller: &Caller, ask: Ask) -> Result<Answer, Refusal> {
        let request = Request {
            caller: caller.clone(),
            verb: Verb::Dfs(ask),
        };
        match self.shared.front.ask(request).await? {
            Response::Dfs(answer) => Ok(answer),
            other => Err(Refusal::Unavailable {
                reason: format!(
                    "the machine answered {other:?} to a question about files; this is a bug, \
                     please report it"
                ),
            }),
        }
    }
}

impl<E: Env> Files for Coordinator<E> {
    type File = OpenedFile<E>;

    async fn open(&self, caller: Caller, path: DfsPath) -> Result<OpenedFile<E>, Refusal> {
        get::open(self, &caller, path).await
    }

    async fn put(&self, put: Put, body: Upload) -> Result<Committed, PutError> {
        put::put(self, put, body).await
    }
}
