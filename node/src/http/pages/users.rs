//! Users, and the one who reads.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use vaquita_core::access::TokenId;
use vaquita_core::admin::{NewToken, Refusal, Response as Told, Right, Verb};
use vaquita_web::pages::{AccountPage, UsersPage};
use vaquita_web::words::fill;

use super::{Answer, Form, Shared, Visit, page, tell};
use crate::http::app::App;
use crate::http::front::Front;
use crate::http::gate::unexpected;
use crate::http::handlers::session::password as bounded;
use crate::http::problem::Problem;
use crate::http::reenter;

pub(in crate::http) async fn account<F: Front>(State(app): Shared<F>, visit: Visit) -> Answer {
    account_page(&app, visit, None).await
}

/// The account, with a token that was just made.
async fn account_page<F: Front>(app: &App<F>, visit: Visit, fresh: Option<String>) -> Answer {
    let all = visit.has(Right::Admin);
    let verb = Verb::ListTokens { all };
    let tokens = match app.work(visit.caller.clone(), verb).await? {
        Told::Tokens(tokens) => tokens,
        other => return Err(unexpected(&other)),
    };
    let visitor = visit.frame.visitor.clone();
    let visitor = visitor.ok_or(Refusal::Unauthenticated)?;
    let drawn = AccountPage::new(visit.frame, &visitor, tokens, all, fresh);
    Ok(page(StatusCode::OK, &drawn))
}

pub(in crate::http) async fn make_token<F: Front>(
    State(app): Shared<F>,
    visit: Visit,
    request: Request<Body>,
) -> Answer {
    let form = Form::of(&visit, request, &app.settings.limits).await?;
    match token(&app, &visit, &form).await {
        // The page itself tells it, and not a redirect: nothing keeps the secret for a next page.
        Ok(token) => account_page(&app, visit, Some(token)).await,
        Err(problem) => tell(&app, &visit, Err(problem), "/account"),
    }
}

fn right(key: &str) -> Result<Right, Problem> {
    let right = Right::ALL.into_iter().find(|right| right.as_str() == key);
    right.ok_or_else(|| Problem::invalid("there is no such right"))
}

/// Whether the visitor has a token of that label. Sending the form again, as loading its page anew does,
/// must not make another one that nobody has written down.
async fn has_token_called<F: Front>(
    app: &App<F>,
    visit: &Visit,
    label: &str,
) -> Result<bool, Problem> {
    let verb = Verb::ListTokens { all: false };
    match app.work(visit.caller.clone(), verb).await? {
        Told::Tokens(tokens) => Ok(tokens
            .iter()
            .any(|token| token.label.as_deref() == Some(label))),
        other => Err(unexpected(&other)),
    }
}

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn token<F: Front>(app: &App<F>, visit: &Visit, form: &Form) -> Result<String, Problem> {
    let days: u32 = form
        .need("days")?
        .parse()
        .map_err(|_| Problem::invalid("a token is good for a whole number of days"))?;
    // One that is not known must not be left out: a token without a list has all rights.
    let rights: Vec<Right> = form.all("right").map(right).collect::<Result<_, _>>()?;
    if rights.is_empty() || rights.contains(&Right::Admin) {
        reenter::prove(app, visit, form).await?;
    }
    let label = form.need("label")?;
    if has_token_called(app, visit, label).await? {
        return Err(Problem::invalid(fill(visit.frame.t.token_exists, &[label])));
    }
    let networks = form.get("networks").unwrap_or_default().split(',');
    let wish = NewToken {
        label: label.to_owned(),
        valid_for: DAY * days,
        rights: (!rights.is_empty()).then_some(rights),
        networks: networks
            .map(str::trim)
            .filter(|it| !it.is_empty())
            .map(str::to_owned)
            .collect(),
    };
    match app
        .work(visit.caller.clone(), Verb::IssueToken(wish))
        .await?
    {
        Told::TokenIssued { token, .. } => Ok(token),
        other => Err(unexpected(&other)),
    }
}

pub(in crate::http) async fn order_tokens<F: Front>(
    State(app): Shared<F>,
    visit: Visit,
    request: Request<Body>,
) -> Answer {
    let form = Form::of(&visit, request, &app.settings.limits).await?;
    let token = TokenId::parse(form.need("token")?)
        .ok_or_else(|| Problem::invalid("there is no such token"))?;
    let verb = match form.need("do")? {
        "revoke" => Verb::RevokeToken { token },
        _ => return Err(form.no_such_order()),
    };
    let outcome = app.work(visit.caller.clone(), verb).await;
    let said = vec![visit.frame.t.token_revoked.to_owned()];
    tell(&app, &visit, outcome.map(|_| said), "/account")
}

pub(in crate::http) async fn list<F: Front>(State(app): Shared<F>, visit: Visit) -> Answer {
    let users = match app.work(visit.caller.clone(), Verb::ListUsers).await? {
        Told::Users(users) => users,
        other => return Err(unexpected(&other)),
    };
    Ok(page(StatusCode::OK, &UsersPage::new(visit.frame, users)))
}

pub(in crate::http) async fn order<F: Front>(
    State(app): Shared<F>,
    visit: Visit,
    request: Request<Body>,
) -> Answer {
    let form = Form::of(&visit, request, &app.settings.limits).await?;
    let outcome = carry_out(&app, &visit, &form).await;
    tell(&app, &visit, outcome, "/users")
}

async fn carry_out<F: Front>(
    app: &App<F>,
    visit: &Visit,
    form: &Form,
) -> Result<Vec<String>, Problem> {
    let t = visit.frame.t;
    if form.need("do")? == "prove" {
        reenter::prove(app, visit, form).await?;
        return Ok(vec![t.password_confirmed.to_owned()]);
    }
    let user = form.need("user")?.to_owned();
    let password = || bounded(form.get("password").unwrap_or_default().to_owned());
    let makes_a_master = match form.need("do")? {
        "add" => form.get("admin").is_some(),
        "grant" => form.get("right") == Some(Right::Admin.as_str()),
        what => what == "password",
    };
    if makes_a_master {
        reenter::prove(app, visit, form).await?;
    }
    let name = user.clone();
    let (verb, said) = match form.need("do")? {
        "add" => {
            let admin = form.get("admin").is_some();
            let password = password()?;
            let verb = Verb::AddUser {
                user,
                password,
                admin,
            };
            (verb, t.user_added)
        }
        "remove" => (Verb::RemoveUser { user }, t.user_removed),
        "password" => {
            let verb = Verb::ChangePassword {
                user: Some(user),
                old: None,
                new: password()?,
            };
            (verb, t.user_changed)
        }
        "grant" => {
            let right = right(form.need("right")?)?;
            (Verb::Grant { user, right }, t.user_changed)
        }
        "revoke" => {
            let right = right(form.need("right")?)?;
            (Verb::Revoke { user, right }, t.user_changed)
        }
        _ => return Err(form.no_such_order()),
    };
    match app.work(visit.caller.clone(), verb).await? {
        Told::Done => Ok(vec![fill(said, &[&name])]),
        other => Err(unexpected(&other)),
    }
}
