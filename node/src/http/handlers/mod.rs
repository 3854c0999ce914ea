//! What each endpoint does, once the gate has let a request through.

mod audit;
pub(super) mod away;
mod chunks;
pub(super) mod config;
pub(super) mod dfs;
mod figures;
mod files;
mod log;
mod nodes;
mod probes;
mod repair;
pub(super) mod session;
mod tokens;
mod users;
mod volumes;

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, RawPathParams, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use serde::Serialize;
use vaquita_core::admin::Refusal;

use super::app::App;
use super::files::Files;
use super::front::Front;
use super::pages as people;
use super::problem::Problem;
use super::routes::{Endpoint, ROUTES, Route};

/// What a handler returns.
pub(super) type Answer = Result<Response, Problem>;

/// The state that every handler is given.
pub(super) type Shared<F> = State<Arc<App<F>>>;

/// The handler of a route.
pub(super) fn method_router<F: Front, D: Files>(route: &Route) -> MethodRouter<Arc<App<F>>> {
    // The table is checked by a test, which walks it.
    let filter = match route.method {
        Method::GET => MethodFilter::GET,
        Method::POST => MethodFilter::POST,
        Method::PUT => MethodFilter::PUT,
        Method::DELETE => MethodFilter::DELETE,
        _ => MethodFilter::TRACE,
    };
    match route.endpoint {
        Endpoint::OverviewPage => on(filter, people::overview::show::<F>),
        Endpoint::LoginPage => on(filter, people::login::show::<F>),
        Endpoint::SubmitLogin => on(filter, people::login::submit::<F>),
        Endpoint::SubmitLogout => on(filter, people::login::log_out::<F>),
        Endpoint::PasswordPage => on(filter, people::login::password),
        Endpoint::SubmitPassword => on(filter, people::login::submit_password::<F>),
        Endpoint::AccountPage => on(filter, people::users::account::<F>),
        Endpoint::NodePage => on(filter, people::nodes::show::<F>),
        Endpoint::OwnPage => on(filter, people::own::through::<F>),
        Endpoint::OpenPage => on(filter, people::own::open::<F>),
        Endpoint::EnterPage => on(filter, people::own::enter::<F>),
        Endpoint::LogsPage => on(filter, people::logs::list::<F>),
        Endpoint::LogPage => on(filter, people::logs::show::<F>),
        Endpoint::FilesPage | Endpoint::FileTreePage => on(filter, people::files::show::<F>),
        Endpoint::ChunkPage => on(filter, people::files::chunk::<F>),
        Endpoint::VolumesPage => on(filter, people::storage::volumes::<F>),
        Endpoint::RepairPage => on(filter, people::storage::repair::<F>),
        Endpoint::UsersPage => on(filter, people::users::list::<F>),
        Endpoint::OrderNodes => on(filter, people::nodes::order::<F>),
        Endpoint::OrderVolume => on(filter, people::storage::order_volume::<F>),
        Endpoint::OrderRepair => on(filter, people::storage::order_repair::<F>),
        Endpoint::OrderFiles => on(filter, people::files::order::<F>),
        Endpoint::OrderUsers => on(filter, people::users::order::<F>),
        Endpoint::MakeToken => on(filter, people::users::make_token::<F>),
        Endpoint::OrderTokens => on(filter, people::users::order_tokens::<F>),
        Endpoint::AuditPage => on(filter, people::audit::show::<F>),
        Endpoint::ConfigPage => on(filter, people::config::overview::<F>),
        Endpoint::OrderConfig => on(filter, people::config::order::<F>),
        Endpoint::ConfigFilePage => on(filter, people::config::show::<F>),
        Endpoint::ChangeConfigFile => on(filter, people::config::change::<F>),
        Endpoint::Events => on(filter, people::events::stream::<F>),
        Endpoint::Asset => on(filter, people::assets::serve),
        Endpoint::Alive => on(filter, probes::alive),
        Endpoint::Ready => on(filter, probes::ready::<F>),
        Endpoint::Metrics => on(filter, probes::metrics::<F>),
        Endpoint::OpenApi => on(filter, probes::openapi),
        Endpoint::ShowTls => on(filter, probes::tls::<F>),
        Endpoint::Login => on(filter, session::login::<F>),
        Endpoint::Logout => on(filter, session::logout::<F>),
        Endpoint::Me => on(filter, session::me),
        Endpoint::Status => on(filter, nodes::status::<F>),
        Endpoint::ListNodes => on(filter, nodes::list::<F>),
        Endpoint::ShowFigures => on(filter, figures::show::<F>),
        Endpoint::StartNodes => on(filter, nodes::start::<F>),
        Endpoint::StopNodes => on(filter, nodes::stop::<F>),
        Endpoint::ReplaceNode => on(filter, nodes::replace::<F>),
        Endpoint::RemoveNode => on(filter, nodes::remove::<F>),
        Endpoint::DrainNodes => on(filter, nodes::drain::<F>),
        Endpoint::MaintainNodes => on(filter, nodes::maintain::<F>),
        Endpoint::ServeNodes => on(filter, nodes::serve::<F>),
        Endpoint::NodeLog => on(filter, log::read::<F>),
        Endpoint::ShowConfig => on(filter, config::overview::<F>),
        Endpoint::ShowConfigFile => on(filter, config::show::<F>),
        Endpoint::ConfigKeys => on(filter, config::keys),
        Endpoint::ReloadConfig => on(filter, config::reload::<F>),
        Endpoint::CheckConfig => on(filter, config::check::<F>),
        Endpoint::WriteConfig => on(filter, config::write::<F>),
        Endpoint::ConfigHistory => on(filter, config::history::<F>),
        Endpoint::UndoConfig => on(filter, config::undo::<F>),
        Endpoint::ListUsers => on(filter, users::list::<F>),
        Endpoint::AddUser => on(filter, users::add::<F>),
        Endpoint::RemoveUser => on(filter, users::remove::<F>),
        Endpoint::SetPassword => on(filter, users::set_password::<F>),
        Endpoint::Grant => on(filter, users::grant::<F>),
        Endpoint::Revoke => on(filter, users::revoke::<F>),
        Endpoint::ListTokens => on(filter, tokens::list::<F>),
        Endpoint::CreateToken => on(filter, tokens::create::<F>),
        Endpoint::RevokeToken => on(filter, tokens::revoke::<F>),
        Endpoint::ListAudit => on(filter, audit::list::<F>),
        Endpoint::StatPath => on(filter, dfs::stat::<F>),
        Endpoint::ListDirectory => on(filter, dfs::list::<F>),
        Endpoint::PathUsage => on(filter, dfs::usage::<F>),
        Endpoint::MakeDirectory => on(filter, dfs::make_directory::<F>),
        Endpoint::RemovePath => on(filter, dfs::remove::<F>),
        Endpoint::RenamePath => on(filter, dfs::rename::<F>),
        Endpoint::ListChunks => on(filter, chunks::list::<F>),
        Endpoint::ShowChunk => on(filter, chunks::show::<F>),
        Endpoint::ListVolumes => on(filter, volumes::list::<F>),
        Endpoint::RescanVolumes => on(filter, volumes::rescan::<F>),
        Endpoint::AdoptVolume => on(filter, volumes::adopt::<F>),
        Endpoint::ForgetVolume => on(filter, volumes::forget::<F>),
        Endpoint::DrainVolume => on(filter, volumes::drain::<F>),
        Endpoint::ServeVolume => on(filter, volumes::serve::<F>),
        Endpoint::ShowRepair => on(filter, repair::show::<F>),
        Endpoint::ListUnknown => on(filter, chunks::unknown::<F>),
        Endpoint::RepairHistory => on(filter, chunks::history::<F>),
        Endpoint::SettleLoss => on(filter, repair::settle::<F>),
        Endpoint::SuspendRepair => on(filter, repair::suspend::<F>),
        Endpoint::ResumeRepair => on(filter, repair::resume::<F>),
        Endpoint::ReadRoot | Endpoint::ReadFile => on(filter, files::read::<F, D>),
        Endpoint::WriteFile => on(filter, files::write::<F, D>),
        Endpoint::RemoveFile => on(filter, files::remove::<F, D>),
    }
}

/// There is no such path.
pub(super) async fn no_such_path(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    let help = match nearest_path(&path) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "/api/v1/openapi.json lists what there is".to_owned(),
    };
    Problem::new(
        StatusCode::NOT_FOUND,
        "not-found",
        format!("there is no `{path}` here; {help}"),
    )
}

/// The path exists, and takes other methods.
pub(super) async fn no_such_method(method: Method, uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        format!(
            "`{path}` does not take {method}; the header `Allow` and /api/v1/openapi.json say what \
             it takes"
        ),
    )
}

/// The fixed path that is spelt most like this one, if it is close.
fn nearest_path(path: &str) -> Option<&'static str> {
    ROUTES
        .iter()
        .map(|route| route.path)
        .filter(|known| !known.contains('{'))
        .map(|known| (strsim::osa_distance(known, path), known))
        .filter(|(distance, _)| *distance <= 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// The parts of the path that vary, decoded. A path that cannot be decoded names nothing.
pub(super) struct Segments(RawPathParams);

impl<S: Send + Sync> FromRequestParts<S> for Segments {
    type Rejection = Problem;

    async fn from_request_parts(head: &mut Parts, state: &S) -> Result<Self, Problem> {
        RawPathParams::from_request_parts(head, state)
            .await
            .map(Self)
            .map_err(|_| {
                let what = "the path names nothing: its `%` signs do not spell UTF-8".to_owned();
                Refusal::NotFound { what }.into()
            })
    }
}

impl Segments {
    /// The part that the route's template calls `name`.
    pub(super) fn named(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(key, _)| *key == name)
            .map_or("", |(_, value)| value)
    }
}

fn json<T: Serialize>(value: &T) -> Response {
    Json(value).into_response()
}

fn done() -> Response {
    StatusCode::NO_CONTENT.into_response()
}
