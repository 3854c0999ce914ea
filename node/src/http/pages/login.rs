//! Logging in and out, and changing one's own password.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::request::Parts;
use axum::http::{Request, StatusCode};
use vaquita_core::admin::{Response as Told, Verb};
use vaquita_web::pages::{LoginPage, PasswordPage, ProblemPage};
use vaquita_web::{Flash, Frame, Tone};

use super::visit::chosen;
use super::{Answer, Form, Reader, Shared, Visit, local, page, see_other};
use crate::http::app::{App, Peer};
use crate::http::front::Front;
use crate::http::gate::unexpected;
use crate::http::handlers::session::{password as bounded, warns_of_clear_text};
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::session::session_cookie;

pub(in crate::http) async fn show<F: Front>(
    State(app): Shared<F>,
    Extension(peer): Extension<Peer>,
    head: Parts,
) -> Answer {
    if let Some(answer) = chosen(&head) {
        return Ok(answer);
    }
    let frame = Reader::new(&app, &head).frame(&app);
    if let Some(manager) = &app.settings.manager {
        let manager = format!("{}://{manager}/", app.settings.scheme());
        return Ok(page(StatusCode::OK, &elsewhere(frame, manager)));
    }
    let query = Query::parse(head.uri.query(), &["next", "why"])?;
    let mut login = blank(&app, frame, peer).await;
    login.next = query.get("next").map_or("/", local).to_owned();
    let t = login.f.t;
    let (tone, line) = match query.get("why") {
        Some("ended") => (Tone::Warn, t.session_ended),
        Some("out") => (Tone::Good, t.logged_out),
        Some("changed") => (Tone::Good, t.password_changed),
        _ => return Ok(page(StatusCode::OK, &login)),
    };
    login.f.flashes.push(Flash {
        tone,
        lines: vec![line.to_owned()],
    });
    Ok(page(StatusCode::OK, &login))
}

/// What a process is that serves no cluster manager, and where that is.
fn elsewhere(f: Frame, manager: String) -> ProblemPage {
    ProblemPage {
        title: f.cluster.clone(),
        message: f.t.manager_elsewhere.to_owned(),
        link: Some((manager, f.t.ask_controller)),
        f,
    }
}

async fn blank<F: Front>(app: &App<F>, frame: Frame, Peer(peer): Peer) -> LoginPage {
    // Told only as long as it helps: whoever wants to try it tries it anyway.
    let first_time = app.has_first_password().await;
    let in_the_clear = app.settings.is_in_the_clear(peer) && !app.settings.allow_plain_http;
    LoginPage {
        problem: None,
        user: String::new(),
        next: "/".to_owned(),
        asks_code: false,
        first_time,
        warning: in_the_clear.then_some(frame.t.clear_text_warning),
        f: frame,
    }
}

pub(in crate::http) async fn submit<F: Front>(
    State(app): Shared<F>,
    Extension(peer): Extension<Peer>,
    request: Request<Body>,
) -> Answer {
    let (head, body) = request.into_parts();
    let frame = Reader::new(&app, &head).frame(&app);
    let request = Request::from_parts(head, body);
    let form = Form::unproven(request, &app.settings.limits).await?;
    let user = form.get("user").unwrap_or_default().to_owned();
    let next = form.get("next").map_or("/", local).to_owned();
    let shows_code = form.get("setup_code").is_some();
    match log_in(&app, peer, &form).await {
        Ok((token, must_change)) => {
            let next = if must_change { "/password" } else { &next };
            let mut response = see_other(next);
            let cookie = session_cookie(&app.settings.session_cookie, Some(&token));
            response.headers_mut().append(SET_COOKIE, cookie);
            Ok(response)
        }
        Err(problem) => {
            let asks_code = ["setup-code-required", "wrong-setup-code"].contains(&problem.kind());
            let drawn = LoginPage {
                problem: Some(problem.message().to_owned()),
                user,
                next,
                asks_code: asks_code || shows_code,
                ..blank(&app, frame, peer).await
            };
            let mut response = page(problem.status(), &drawn);
            for (name, value) in problem.headers() {
                response.headers_mut().append(name, value.clone());
            }
            Ok(response)
        }
    }
}

async fn log_in<F: Front>(
    app: &App<F>,
    Peer(peer): Peer,
    form: &Form,
) -> Result<(String, bool), Problem> {
    if app.settings.is_in_the_clear(peer) && app.settings.strict_defaults {
        return Err(crate::http::handlers::session::insecure());
    }
    let verb = Verb::Login {
        user: form.get("user").unwrap_or_default().to_owned(),
        password: bounded(form.get("password").unwrap_or_default().to_owned())?,
        valid_for: app.settings.limits.token_life,
        setup_code: match form.get("setup_code") {
            Some(code) => Some(bounded(code.trim().to_owned())?),
            None => None,
        },
    };
    match app.work(app.caller_with(peer, None), verb).await? {
        Told::LoggedIn {
            token,
            must_change_password,
        } => {
            warns_of_clear_text(app, peer);
            Ok((token, must_change_password))
        }
        other => Err(unexpected(&other)),
    }
}

pub(in crate::http) async fn log_out<F: Front>(
    State(app): Shared<F>,
    visit: Visit,
    request: Request<Body>,
) -> Answer {
    Form::of(&visit, request, &app.settings.limits).await?;
    // A node cannot void the token by which somebody looks at it: the manager can, and it ends by itself.
    if app.settings.manager.is_none() {
        app.work(visit.caller, Verb::Logout).await?;
    }
    if let Some(token) = &visit.token {
        app.sessions.forget(token);
    }
    let mut response = see_other("/login?why=out");
    let cookie = session_cookie(&app.settings.session_cookie, None);
    response.headers_mut().append(SET_COOKIE, cookie);
    Ok(response)
}

pub(in crate::http) async fn password(visit: Visit) -> Answer {
    Ok(page(StatusCode::OK, &password_page(visit, None)))
}

fn password_page(visit: Visit, problem: Option<String>) -> PasswordPage {
    let forced = visit.user.must_change_password;
    let mut f = visit.frame;
    if forced {
        // There is nowhere else to go.
        f.visitor = None;
    }
    PasswordPage {
        f,
        problem,
        user: visit.user.user,
        forced,
    }
}

pub(in crate::http) async fn submit_password<F: Front>(
    State(app): Shared<F>,
    visit: Visit,
    request: Request<Body>,
) -> Answer {
    let form = Form::of(&visit, request, &app.settings.limits).await?;
    match change(&app, &visit, &form).await {
        Ok(()) => {
            // The change has voided the session, as it has all others of this user.
            let mut response = see_other("/login?why=changed");
            let cookie = session_cookie(&app.settings.session_cookie, None);
            response.headers_mut().append(SET_COOKIE, cookie);
            Ok(response)
        }
        Err(problem) if problem.is_unauthenticated() => Err(problem),
        Err(problem) => {
            let status = problem.status();
            let drawn = password_page(visit, Some(problem.message().to_owned()));
            Ok(page(status, &drawn))
        }
    }
}

async fn change<F: Front>(app: &App<F>, visit: &Visit, form: &Form) -> Result<(), Problem> {
    let new = form.get("new").unwrap_or_default();
    if form.get("again").unwrap_or_default() != new {
        return Err(Problem::invalid(visit.frame.t.passwords_differ));
    }
    let verb = Verb::ChangePassword {
        user: None,
        old: Some(bounded(form.get("old").unwrap_or_default().to_owned())?),
        new: bounded(new.to_owned())?,
    };
    match app.work(visit.caller.clone(), verb).await? {
        Told::Done => Ok(()),
        other => Err(unexpected(&other)),
    }
}
