//! Charts of what processes have measured of themselves.

use axum::Extension;
use axum::extract::{RawQuery, State};
use vaquita_core::admin::{Response as Told, Verb};

use super::{Answer, Shared, json};
use crate::http::app::SignedIn;
use crate::http::front::Front;
use crate::http::gate::unexpected;
use crate::http::query::Query;

/// `?node=P1-NODE1&names=cpu,memory`: the cluster where no node is named, and all there are where no
/// names are given.
pub(super) async fn show<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref(), &["node", "names"])?;
    let names = query.get("names").unwrap_or_default().split(',');
    let names = names.filter(|name| !name.is_empty());
    let verb = Verb::Figures {
        node: query.get("node").map(str::to_owned),
        names: names.map(str::to_owned).collect(),
    };
    match app.work(caller, verb).await? {
        Told::Figures(report) => Ok(json(&report)),
        other => Err(unexpected(&other)),
    }
}
