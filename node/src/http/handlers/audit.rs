//! Who did what.

use axum::Extension;
use axum::extract::{RawQuery, State};
use vaquita_core::admin::{Response as Told, Verb};
use vaquita_core::audit::AuditQuery;

use super::{Answer, Shared, json};
use crate::http::app::SignedIn;
use crate::http::front::Front;
use crate::http::gate::unexpected;
use crate::http::problem::Problem;
use crate::http::query::Query;

/// The longest name or word that is looked for, in bytes.
const FILTER_MAX: usize = 64;

pub(super) async fn list<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref(), &["before", "limit", "actor", "action"])?;
    let before = match query.get("before") {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| {
            Problem::invalid("`before` takes the number of an entry, as a page shows it")
        })?),
    };
    let wanted = AuditQuery {
        before,
        limit: query.count("limit", app.settings.limits.page_rows)?,
        actor: filter(&query, "actor")?,
        action: filter(&query, "action")?,
    };
    match app.work(caller, Verb::ListAudit(wanted)).await? {
        Told::Audit(page) => Ok(json(&page)),
        other => Err(unexpected(&other)),
    }
}

fn filter(query: &Query, name: &str) -> Result<Option<String>, Problem> {
    match query.get(name) {
        Some(text) if text.len() > FILTER_MAX => Err(Problem::invalid(format!(
            "`{name}` has at most {FILTER_MAX} bytes"
        ))),
        text => Ok(text.map(str::to_owned)),
    }
}
