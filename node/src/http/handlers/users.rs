//! Users, their passwords and their rights.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{HeaderValue, LOCATION};
use axum::http::{Request, StatusCode};
use axum::response::IntoResponse;
use serde::Deserialize;
use vaquita_core::admin::{Caller, Refusal, Response as Told, Right, Verb};

use super::session::password;
use super::{Answer, Segments, Shared, done, json};
use crate::http::app::{App, SignedIn};
use crate::http::body::read_json;
use crate::http::front::Front;
use crate::http::gate::unexpected;
use crate::http::problem::Problem;

pub(super) async fn list<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
) -> Answer {
    match app.work(caller, Verb::ListUsers).await? {
        Told::Users(users) => Ok(json(&users)),
        other => Err(unexpected(&other)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUser {
    user: String,
    password: String,
    #[serde(default)]
    admin: bool,
}

pub(super) async fn add<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    request: Request<Body>,
) -> Answer {
    let new: NewUser = read_json(request, &app.settings.limits).await?;
    let location = HeaderValue::try_from(format!("/api/v1/users/{}", new.user)).ok();
    let verb = Verb::AddUser {
        user: new.user,
        password: password(new.password)?,
        admin: new.admin,
    };
    order(&app, caller, verb).await?;
    let mut response = StatusCode::CREATED.into_response();
    if let Some(location) = location {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

pub(super) async fn remove<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    path: Segments,
) -> Answer {
    let user = user(&path)?;
    order(&app, caller, Verb::RemoveUser { user }).await?;
    Ok(done())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PasswordChange {
    old: Option<String>,
    new: String,
}

pub(super) async fn set_password<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    path: Segments,
    request: Request<Body>,
) -> Answer {
    let user = user(&path)?;
    let change: PasswordChange = read_json(request, &app.settings.limits).await?;
    let verb = Verb::ChangePassword {
        user: Some(user),
        old: change.old.map(password).transpose()?,
        new: password(change.new)?,
    };
    order(&app, caller, verb).await?;
    Ok(done())
}

pub(super) async fn grant<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    path: Segments,
) -> Answer {
    let (user, right) = (user(&path)?, right(&path)?);
    order(&app, caller, Verb::Grant { user, right }).await?;
    Ok(done())
}

pub(super) async fn revoke<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    path: Segments,
) -> Answer {
    let (user, right) = (user(&path)?, right(&path)?);
    order(&app, caller, Verb::Revoke { user, right }).await?;
    Ok(done())
}

async fn order<F: Front>(app: &App<F>, caller: Caller, verb: Verb) -> Result<(), Problem> {
    match app.work(caller, verb).await? {
        Told::Done => Ok(()),
        other => Err(unexpected(&other)),
    }
}

/// The user that a path names. Which names users may have is the machine's to say; here it only
/// must not be longer than any name.
fn user(path: &Segments) -> Result<String, Problem> {
    let user = path.named("user");
    if user.is_empty() || user.len() > 200 {
        let what = "there is no user of such a name".to_owned();
        return Err(Refusal::NotFound { what }.into());
    }
    Ok(user.to_owned())
}

fn right(path: &Segments) -> Result<Right, Problem> {
    let text = path.named("right");
    right_of(text).ok_or_else(|| {
        let known = Right::ALL.map(Right::as_str).join("`, `");
        let text: String = text.chars().take(40).collect();
        let what = format!("there is no right `{text}`; there are `{known}`");
        Refusal::NotFound { what }.into()
    })
}

/// The right of this word.
pub(super) fn right_of(text: &str) -> Option<Right> {
    let mut rights = Right::ALL.into_iter();
    rights.find(|right| right.as_str() == text)
}
