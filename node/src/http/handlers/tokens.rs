//! Tokens: logins, and those that users make for their programs.

use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header::{HeaderValue, LOCATION};
use axum::http::{Request, StatusCode};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use vaquita_core::access::TokenId;
use vaquita_core::admin::{NewToken, Refusal, Response as Told, Right, TokenRow, Verb};

use super::users::right_of;
use super::{Answer, Segments, Shared, done, json};
use crate::http::app::SignedIn;
use crate::http::body::read_json;
use crate::http::front::Front;
use crate::http::gate::unexpected;
use crate::http::problem::Problem;
use crate::http::query::Query;

pub(super) async fn list<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    RawQuery(query): RawQuery,
) -> Answer {
    let all = Query::parse(query.as_deref(), &["all"])?.flag("all")?;
    match app.work(caller, Verb::ListTokens { all }).await? {
        Told::Tokens(rows) => Ok(json(&rows)),
        other => Err(unexpected(&other)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    label: String,
    valid_for_s: Option<u64>,
    rights: Option<Vec<String>>,
    #[serde(default)]
    networks: Vec<String>,
}

/// How long a token for a program is good for if nobody says.
const LIFE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

#[derive(Serialize)]
struct Made {
    /// Told this once.
    token: String,
    #[serde(flatten)]
    row: TokenRow,
}

pub(super) async fn create<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    request: Request<Body>,
) -> Answer {
    let wish: Wish = read_json(request, &app.settings.limits).await?;
    let rights = wish.rights.map(|words| {
        let rights = words.iter().map(|word| right_of(word));
        rights.collect::<Option<Vec<Right>>>().ok_or_else(|| {
            let known = Right::ALL.map(Right::as_str).join("`, `");
            Problem::invalid(format!("`rights` lists some of `{known}`"))
        })
    });
    let new = NewToken {
        label: wish.label,
        valid_for: wish.valid_for_s.map_or(LIFE, Duration::from_secs),
        rights: rights.transpose()?,
        networks: wish.networks,
    };
    match app.work(caller, Verb::IssueToken(new)).await? {
        Told::TokenIssued { token, row } => {
            let location = HeaderValue::try_from(format!("/api/v1/tokens/{}", row.id)).ok();
            let made = json(&Made { token, row });
            let mut response = (StatusCode::CREATED, made).into_response();
            if let Some(location) = location {
                response.headers_mut().insert(LOCATION, location);
            }
            Ok(response)
        }
        other => Err(unexpected(&other)),
    }
}

pub(super) async fn revoke<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    path: Segments,
) -> Answer {
    let Some(token) = TokenId::parse(path.named("id")) else {
        let what = "there is no such token: an id has 16 hexadecimal digits".to_owned();
        return Err(Refusal::NotFound { what }.into());
    };
    match app.work(caller, Verb::RevokeToken { token }).await? {
        Told::Done => Ok(done()),
        other => Err(unexpected(&other)),
    }
}
