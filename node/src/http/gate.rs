//! What every request passes before a handler sees it, in this order:
//!
//! 1. the host it is for ([`super::hosts`]): 421;
//! 2. who sends it, and whether that user may use the route ([`super::routes`]): 401, 403;
//! 3. whether a page of somebody else's sends it: 403. A browser shows its session in a cookie, which it
//!    sends along whoever made it ask; so whatever changes something has to show more than that
//!    ([`super::session`]);
//! 4. what it claims to carry: 413 to 415.
//!
//! Nothing of the body has been read by then, a path that does not exist was not told from one
//! that does, and no limit was counted: whoever may not ask learns nothing else.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts as _, MatchedPath, RawPathParams, State};
use axum::http::header::{self, CONTENT_ENCODING, HeaderName, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Method, Request, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use vaquita_core::admin::{self, Caller, Refusal, Right, UserRow, Verb};
use vaquita_core::dfs::ask::{Answer, Ask};

use super::app::{App, Peer, SignedIn};
use super::basic::Credentials;
use super::front::Front;
use super::hosts;
use super::pages::Reader;
use super::problem::Problem;
use super::reenter;
use super::routes::{self, Endpoint, Permission, Route};
use super::session;

/// The headers of every answer. They forbid the browser whatever this interface does not need.
const SECURITY_HEADERS: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // `no-referrer` would have browsers hide the origin of our own forms, too.
    (header::REFERRER_POLICY, "same-origin"),
    (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (header::X_FRAME_OPTIONS, "DENY"),
];

const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                              font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
                              frame-ancestors 'none'; require-trusted-types-for 'script'";

/// Put beside a page whose form goes to another process of the cluster: that process.
#[derive(Clone, Debug)]
pub(super) struct FormTarget(pub(super) String);

/// Counts the answer and gives it the headers that every answer has.
pub(super) async fn account<F: Front>(
    State(app): State<Arc<App<F>>>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let method = request.method().clone();
    let mut response = next.run(request).await;
    app.metrics.answered(&method, route, response.status());
    let target = response.extensions_mut().remove::<FormTarget>();
    let headers = response.headers_mut();
    for (name, value) in SECURITY_HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Some(FormTarget(origin)) = target {
        let own = "form-action 'self'";
        let policy = CONTENT_POLICY.replacen(own, &format!("{own} {origin}"), 1);
        if let Ok(policy) = HeaderValue::try_from(policy) {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Lets a request through, or answers it. Whoever reads pages is answered with a page.
pub(super) async fn admit<F: Front>(
    State(app): State<Arc<App<F>>>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let (mut head, body) = request.into_parts();
    let reader = Reader::of(&app, &head);
    let mut session = None;
    let mut response = match decide(&app, &mut head).await {
        Ok(signed_in) => {
            if let Some(signed_in) = signed_in {
                session.clone_from(&signed_in.session);
                head.extensions.insert(signed_in);
            }
            next.run(Request::from_parts(head, body)).await
        }
        Err(problem) => problem.into_response(),
    };
    let Some(reader) = reader else {
        return response;
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        return reader.told(&app, problem);
    }
    if let Some(token) = session
        && reader.is_told()
        && response.status() == StatusCode::OK
    {
        app.sessions.was_told(&token);
    }
    response
}

async fn decide<F: Front>(app: &App<F>, head: &mut Parts) -> Result<Option<SignedIn>, Problem> {
    admit_host(app, head)?;
    let template = head.extensions.get::<MatchedPath>();
    let route = template.and_then(|path| routes::find(&head.method, path.as_str()));
    // What is in no row needs a login before anything is told about it.
    let permission = route.map_or(Permission::SignedIn, |route| route.permission);
    let about_files = route.is_some_and(|route| route.names_files());
    let is_page = route.is_some_and(Route::is_page);
    let signed_in = if route.is_some_and(|route| route.is_file()) {
        identify_by_any(app, head, permission).await?
    } else {
        identify_by_token(app, head, permission).await?
    };
    // The page of the cluster manager has the browser show a node a token, which proves itself.
    let from_elsewhere = route.is_some_and(|route| route.endpoint == Endpoint::EnterPage);
    if changes_something(&head.method)
        && !from_elsewhere
        && !hosts::is_of_this_origin(&head.headers, app.settings.https.is_some())
    {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "cross-origin",
            "a page of another origin may not change anything here",
        ));
    }
    // The form of a page proves itself when its body has been read.
    if changes_something(&head.method)
        && !is_page
        && let Some(signed_in) = &signed_in
    {
        let shown = head.headers.get(session::CSRF_HEADER);
        signed_in.proves_its_page(shown.and_then(|it| it.to_str().ok()))?;
    }
    let by_session = signed_in.as_ref().is_some_and(|it| it.session.is_some());
    if by_session && route.is_some_and(Route::takes_password) {
        return Err(reenter::needed());
    }
    let limits = &app.settings.limits;
    let target_bytes = if about_files {
        limits.file_target_bytes
    } else {
        limits.target_bytes
    };
    if head.uri.to_string().len() > target_bytes {
        return Err(Problem::new(
            StatusCode::URI_TOO_LONG,
            "too-long",
            format!("a path with its query may be {target_bytes} bytes long"),
        ));
    }
    if head.headers.contains_key(CONTENT_ENCODING) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-encoding",
            "send the body as it is, without `Content-Encoding`",
        )
        .and_close());
    }
    Ok(signed_in)
}

pub(super) fn admit_host<F>(app: &App<F>, head: &Parts) -> Result<(), Problem> {
    let mut hosts = head.headers.get_all(header::HOST).into_iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "malformed",
            "a request carries one `Host` header",
        )
        .and_close());
    };
    let host = host.to_str().unwrap_or_default();
    let target = head.uri.authority();
    let admitted = app.settings.allowed_hosts.admits(host)
        && target.is_none_or(|it| app.settings.allowed_hosts.admits(it.as_str()));
    if admitted {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::MISDIRECTED_REQUEST,
        "unknown-host",
        "this process does not answer to the name in the `Host` header; use the address of \
         `localSite`, or add the name to `allowedHosts` (or `publicName`)",
    ))
}

/// The address that the connection comes from.
fn peer(head: &Parts) -> Result<SocketAddr, Problem> {
    match head.extensions.get::<Peer>() {
        Some(Peer(peer)) => Ok(*peer),
        None => Err(Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "bug",
            "the connection's address is not known",
        )),
    }
}

/// As [`identify`], with the token that the request brings: in a header, or in a browser's cookie.
async fn identify_by_token<F: Front>(
    app: &App<F>,
    head: &mut Parts,
    permission: Permission,
) -> Result<Option<SignedIn>, Problem> {
    if permission == Permission::Public {
        return Ok(None);
    }
    let peer = peer(head)?;
    let mut caller = app.caller(peer, &head.headers);
    let mut session = None;
    if matches!(&caller, Caller::Remote { token: None, .. })
        && let Some(token) = session::cookie(&head.headers, &app.settings.session_cookie)
    {
        caller = app.caller_with(peer, Some(token.to_owned()));
        let by_somebody = is_by_somebody(head);
        if !app.sessions.admits(token, by_somebody) {
            // Whether or not that is heard: here it is over.
            drop(app.ask(caller, Verb::Logout).await);
            return Err(Refusal::Unauthenticated.into());
        }
        session = Some(token.to_owned());
    }
    let confirm = |session: &Option<String>| {
        if let Some(token) = session {
            app.sessions.confirm(token);
        }
    };
    if asked_of_files(&permission)
        .iter()
        .any(|right| app.recent.has(&caller, *right))
    {
        confirm(&session);
        return Ok(Some(SignedIn {
            caller,
            user: None,
            session,
        }));
    }
    let signed_in = identify(app, head, permission, caller).await?;
    confirm(&session);
    Ok(signed_in.map(|it| SignedIn { session, ..it }))
}

/// Whether somebody does this, and not a page that is merely open.
fn is_by_somebody(head: &Parts) -> bool {
    let template = head.extensions.get::<MatchedPath>();
    let route = template.and_then(|path| routes::find(&head.method, path.as_str()));
    let listens = route.is_some_and(|route| route.endpoint == Endpoint::Events);
    !listens && !head.headers.contains_key(session::LIVE_HEADER)
}

/// As [`identify`], and takes a name and a password too.
async fn identify_by_any<F: Front>(
    app: &App<F>,
    head: &mut Parts,
    permission: Permission,
) -> Result<Option<SignedIn>, Problem> {
    let Some(credentials) = Credentials::of(&head.headers) else {
        return identify_by_token(app, head, permission).await;
    };
    let peer = peer(head)?;
    let exchanged = &app.exchanged;
    let caller = exchanged.exchange(app, peer, &credentials, false).await?;
    match identify(app, head, permission, caller).await {
        // The token was voided, by a change of the password for example: is it still the password?
        Err(problem) if problem.is_unauthenticated() => {
            let caller = exchanged.exchange(app, peer, &credentials, true).await?;
            identify(app, head, permission, caller).await
        }
        other => other,
    }
}

/// Who sends the request, if the route wants to know; a refusal if that user may not use it.
async fn identify<F: Front>(
    app: &App<F>,
    head: &mut Parts,
    permission: Permission,
    caller: Caller,
) -> Result<Option<SignedIn>, Problem> {
    let needed = match &permission {
        Permission::Public => return Ok(None),
        Permission::SignedIn | Permission::Settled | Permission::SettledLogin => &[],
        Permission::Needs(right) | Permission::OneselfOr(right) => core::slice::from_ref(right),
        Permission::NeedsAny(rights) => *rights,
    };
    if matches!(&caller, Caller::Remote { token: None, .. }) {
        return Err(Refusal::Unauthenticated.into());
    }
    let mut refused = None;
    for right in asked_of_files(&permission) {
        // The one question about users that a data node answers too.
        let verb = Verb::Dfs(Ask::Authorize { right: *right });
        match app.ask(caller.clone(), verb).await {
            Ok(admin::Response::Dfs(Answer::Done)) => {
                app.recent.add(&caller, *right);
                return Ok(Some(SignedIn::with_token(caller, None)));
            }
            Ok(other) => return Err(unexpected(&other)),
            // The next one may do.
            Err(refusal @ Refusal::Forbidden { .. }) => {
                refused.get_or_insert(refusal);
            }
            Err(refusal) => return Err(refusal.into()),
        }
    }
    if let Some(refusal) = refused {
        return Err(refusal.into());
    }
    let user = match app.ask(caller.clone(), Verb::WhoAmI).await? {
        admin::Response::You(user) => user,
        other => return Err(unexpected(&other)),
    };
    let enough = match permission {
        Permission::SignedIn => true,
        Permission::OneselfOr(_) => names(head, &user.user).await,
        _ => false,
    };
    if !enough && user.must_change_password {
        return Err(Refusal::PasswordChangeRequired { user: user.user }.into());
    }
    if let Some(right) = needed.first()
        && !enough
        && !needed.iter().any(|right| has(&user, *right))
    {
        let (user, right) = (user.user, *right);
        let what = format!("{} {}", head.method, head.uri.path());
        // The machine counts it in the audit; whether it could makes no difference here. Pages of others
        // put nothing into anybody's name there.
        if hosts::is_of_this_origin(&head.headers, app.settings.https.is_some()) {
            let note = Verb::NoteRefusal { what, right };
            drop(app.ask(caller, note).await);
        }
        return Err(Refusal::Forbidden { user, right }.into());
    }
    Ok(Some(SignedIn::with_token(caller, Some(user))))
}

/// Whether the path names this user.
async fn names(head: &mut Parts, user: &str) -> bool {
    match RawPathParams::from_request_parts(head, &()).await {
        Ok(path) => path
            .iter()
            .any(|(key, value)| key == "user" && value == user),
        Err(_) => false,
    }
}

/// The rights of which the machine is asked for one, where a route is about files: there is a list of
/// users at the controller alone, and files are at data nodes too.
fn asked_of_files(permission: &Permission) -> &[Right] {
    match permission {
        Permission::Needs(right @ (Right::DfsRead | Right::DfsWrite)) => {
            core::slice::from_ref(right)
        }
        Permission::NeedsAny(rights) => rights,
        _ => &[],
    }
}

/// Whether a user has a right, as it is or with another one. The machine's own table has the last word.
fn has(user: &UserRow, right: Right) -> bool {
    let admin = user.admin.then_some(Right::Admin);
    let held = user.rights.iter().copied().chain(admin);
    held.into_iter().any(|held| held.implies(right))
}

fn changes_something(method: &Method) -> bool {
    !(method == Method::GET || method == Method::HEAD || method == Method::OPTIONS)
}

/// The machine answered something else than was asked: a bug, told without the answer itself.
pub(super) fn unexpected(response: &admin::Response) -> Problem {
    let what = match response {
        admin::Response::Done => "a confirmation",
        admin::Response::LoggedIn { .. } => "a token",
        admin::Response::You(_) => "a user",
        admin::Response::Status(_) => "a state",
        admin::Response::Figures(_) => "charts",
        admin::Response::Nodes(_) => "nodes",
        admin::Response::Ordered(_) => "orders",
        admin::Response::Rescanned(_) => "volumes",
        admin::Response::Reconfigured(_) => "changes of the configuration",
        admin::Response::Configurations(_) => "configurations",
        admin::Response::Log(_) => "a piece of a log",
        admin::Response::Users(_) => "users",
        admin::Response::TokenIssued { .. } => "a new token",
        admin::Response::Tokens(_) => "tokens",
        admin::Response::Audit(_) => "the audit",
        admin::Response::Dfs(_) => "something about files",
    };
    tracing::error!(
        "the HTTP interface was answered with {what} where it had asked for another thing; this is a bug"
    );
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "bug",
        format!("the process answered with {what}, which was not asked for; please report it"),
    )
}
