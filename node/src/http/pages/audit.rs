//! Who did what.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use vaquita_core::admin::{Response as Told, Verb};
use vaquita_core::audit::AuditQuery;
use vaquita_web::pages::AuditPage;

use super::{Answer, Shared, Visit, page};
use crate::http::front::Front;
use crate::http::gate::unexpected;
use crate::http::query::Query;

/// Entries on a page.
const ROWS: u32 = 100;

pub(in crate::http) async fn show<F: Front>(
    State(app): Shared<F>,
    visit: Visit,
    uri: Uri,
) -> Answer {
    let query = Query::parse(uri.query(), &["before", "actor", "action"])?;
    let text = |name| {
        let text: String = query
            .get(name)
            .unwrap_or_default()
            .trim()
            .chars()
            .take(100)
            .collect();
        text
    };
    let (actor, action) = (text("actor"), text("action"));
    let asked = AuditQuery {
        before: query.get("before").and_then(|text| text.parse().ok()),
        limit: ROWS,
        actor: (!actor.is_empty()).then(|| actor.clone()),
        action: (!action.is_empty()).then(|| action.clone()),
    };
    let entries = match app.work(visit.caller, Verb::ListAudit(asked)).await? {
        Told::Audit(entries) => entries,
        other => return Err(unexpected(&other)),
    };
    let last = entries.rows.last().filter(|_| entries.more);
    let older = last.map(|last| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("before", &last.sequence.to_string());
        for (name, value) in [("actor", &actor), ("action", &action)] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        format!("/audit?{}", query.finish())
    });
    let drawn = AuditPage::new(visit.frame, entries, actor, action, older);
    Ok(page(StatusCode::OK, &drawn))
}
