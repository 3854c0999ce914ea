//! Chunks and volumes, as an operator looks at them.

use axum::Extension;
use axum::extract::{RawQuery, State};
use vaquita_core::admin::{Refusal, Response as Told};
use vaquita_core::dfs::ask::{self, Ask};
use vaquita_core::dfs::ids::ChunkId;

use super::dfs::ask;
use super::{Answer, Segments, Shared, json};
use crate::http::app::SignedIn;
use crate::http::front::Front;
use crate::http::gate::unexpected;
use crate::http::problem::Problem;
use crate::http::query::Query;

pub(super) async fn list<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref(), &["after", "limit", "unwell", "below"])?;
    let verb = Ask::Chunks {
        after: after(&query)?,
        limit: query.count("limit", app.settings.limits.page_rows)?,
        unwell_only: query.flag("unwell")?,
        below: query.path("below")?,
    };
    match ask(&app, caller, verb).await? {
        ask::Answer::Chunks(page) => Ok(json(&page)),
        other => Err(unexpected(&Told::Dfs(other))),
    }
}

pub(super) async fn unknown<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref(), &["after", "limit"])?;
    let verb = Ask::Unknown {
        after: after(&query)?,
        limit: query.count("limit", app.settings.limits.page_rows)?,
    };
    match ask(&app, caller, verb).await? {
        ask::Answer::Unknown(page) => Ok(json(&page)),
        other => Err(unexpected(&Told::Dfs(other))),
    }
}

pub(super) async fn history<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref(), &["chunk", "before", "limit"])?;
    let before = match query.get("before") {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| {
            Problem::invalid("`before` takes the number of a row, as a page shows it")
        })?),
    };
    let verb = Ask::History {
        chunk: chunk_in(&query, "chunk")?,
        before,
        limit: query.count("limit", app.settings.limits.page_rows)?,
    };
    match ask(&app, caller, verb).await? {
        ask::Answer::History(page) => Ok(json(&page)),
        other => Err(unexpected(&Told::Dfs(other))),
    }
}

/// The chunk behind which a page begins.
fn after(query: &Query) -> Result<Option<ChunkId>, Problem> {
    chunk_in(query, "after")
}

fn chunk_in(query: &Query, name: &str) -> Result<Option<ChunkId>, Problem> {
    match query.get(name) {
        None => Ok(None),
        Some(text) => ChunkId::parse(text).map(Some).ok_or_else(|| {
            Problem::invalid(format!(
                "`{name}` takes a chunk as a list shows it, 16 hexadecimal digits"
            ))
        }),
    }
}

pub(super) async fn show<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    path: Segments,
) -> Answer {
    let no_such = |text: &str| {
        let text: String = text.chars().take(40).collect();
        let what = format!(
            "there is no chunk `{text}`; a chunk is named by 16 hexadecimal digits, and \
             `vaquita chunk list` shows those there are"
        );
        Problem::from(Refusal::NotFound { what })
    };
    let text = path.named("chunk");
    let chunk = ChunkId::parse(text).ok_or_else(|| no_such(text))?;
    match ask(&app, caller, Ask::Chunk { chunk }).await? {
        ask::Answer::Chunks(page) => match page.rows.first() {
            Some(row) => Ok(json(row)),
            None => Err(no_such(text)),
        },
        other => Err(unexpected(&Told::Dfs(other))),
    }
}
