//! Users, and the one who reads.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use vaquita_core::admin::{Response as Told, Right, Verb};
use vaquita_web::pages::{AccountPage, UsersPage};
use vaquita_web::words::{self, fill};

use super::{Answer, Form, Shared, Visit, page, tell};
use crate::http::app::App;
use crate::http::front::Front;
use crate::http::gate::unexpected;
use crate::http::handlers::session::password as bounded;
use crate::http::problem::Problem;

pub(in crate::http) async fn account<F: Front>(State(_): Shared<F>, visit: Visit) -> Answer {
    let t = visit.frame.t;
    let (role, rights) = match &visit.frame.visitor {
        None => ("", String::new()),
        Some(visitor) => {
            let held = Right::ALL.into_iter().filter(|right| visitor.has(*right));
            let held: Vec<&str> = held.map(|right| words::right(t, right)).collect();
            (visitor.role_word(t), held.join(", "))
        }
    };
    let user = visit.user.user;
    let f = visit.frame;
    let drawn = AccountPage {
        f,
        user,
        role,
        rights,
    };
    Ok(page(StatusCode::OK, &drawn))
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
    let user = form.need("user")?.to_owned();
    let password = || bounded(form.get("password").unwrap_or_default().to_owned());
    let right = || {
        let key = form.get("right").unwrap_or_default();
        let right = Right::ALL.into_iter().find(|right| right.as_str() == key);
        right.ok_or_else(|| Problem::invalid("there is no such right"))
    };
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
            let right = right()?;
            (Verb::Grant { user, right }, t.user_changed)
        }
        "revoke" => {
            let right = right()?;
            (Verb::Revoke { user, right }, t.user_changed)
        }
        _ => return Err(form.no_such_order()),
    };
    match app.work(visit.caller.clone(), verb).await? {
        Told::Done => Ok(vec![fill(said, &[&name])]),
        other => Err(unexpected(&other)),
    }
}
