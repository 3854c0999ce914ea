//! What chunks lack, and what is being done about it.

use axum::Extension;
use axum::extract::State;
use vaquita_core::admin::{Caller, Response as Told};
use vaquita_core::dfs::ask::{Answer as Said, Ask};

use super::dfs::ask;
use super::{Answer, Shared, json};
use crate::http::app::{App, SignedIn};
use crate::http::front::Front;
use crate::http::gate::unexpected;

pub(super) async fn show<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
) -> Answer {
    status(&app, caller, Ask::Repairs).await
}

pub(super) async fn suspend<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
) -> Answer {
    status(&app, caller, Ask::SuspendRepair { suspend: true }).await
}

pub(super) async fn resume<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
) -> Answer {
    status(&app, caller, Ask::SuspendRepair { suspend: false }).await
}

pub(super) async fn settle<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
) -> Answer {
    status(&app, caller, Ask::SettleLoss).await
}

async fn status<F: Front>(app: &App<F>, caller: Caller, what: Ask) -> Answer {
    match ask(app, caller, what).await? {
        Said::Repairs(status) => Ok(json(&status)),
        other => Err(unexpected(&Told::Dfs(other))),
    }
}
