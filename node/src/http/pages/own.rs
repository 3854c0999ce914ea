//! The page of a data node of its own: as the node sees itself, on its own port, and through the controller
//! where a browser does not reach that.
//!
//! A node has no users. Whoever wants in asks the cluster manager, which makes a token for an hour that opens
//! nothing, and has the browser show it to the node.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::header::{HOST, HeaderMap, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{Request, StatusCode};
use serde::Deserialize;
use vaquita_core::access::TokenId;
use vaquita_core::admin::{
    Caller, NewToken, NodeRow, NodeState, Refusal, Response as Told, StatusReport, TokenRow, Verb,
};
use vaquita_core::dfs::digest::Digest;
use vaquita_core::ids::{Alias, Endpoint, Role};
use vaquita_web::pages::{EnterPage, OpenPage, OwnPage, OwnView};
use vaquita_web::words::fill;

use super::{Answer, Form, Reader, Segments, Shared, Visit, nodes, page};
use crate::http::app::{App, Peer};
use crate::http::front::Front;
use crate::http::gate::{FormTarget, unexpected};
use crate::http::handlers::away::authority;
use crate::http::handlers::config::desk;
use crate::http::passage;
use crate::http::problem::Problem;
use crate::http::session::session_cookie;

/// How long somebody may look at the page of a node before they have to come through the manager again.
const VISIT: Duration = Duration::from_secs(3600);
/// How long the token of a single look is good for, were it not void at once.
const LOOK: Duration = Duration::from_secs(60);
/// Visits of one user that may be under way at a time; the oldest gives way.
const VISITS_MAX: usize = 8;
/// What the tokens of visits are labelled with.
const LABEL: &str = "page of ";
/// Letters of a node's name that stand in a label, which has 64 at most.
const NAME_MAX: usize = 46;
/// Longest state of a node that is passed on, in bytes.
const STATE_MAX: usize = 256 * 1024;

/// What a node says of itself, as it comes over HTTP.
#[derive(Deserialize)]
struct Said {
    summary: String,
    ready: bool,
    uptime_ms: u64,
    alarms: Vec<String>,
}

/// The page of this very process.
pub(super) fn here<F: Front>(app: &App<F>, visit: Visit, status: StatusReport) -> Answer {
    let alias = status.alias.to_string();
    let view = OwnView {
        summary: status.summary,
        ready: status.ready,
        uptime_ms: status.uptime_ms,
        alarms: status.alarms,
    };
    let manager = app.settings.manager.as_ref();
    let manager = manager.map(|site| format!("{}://{site}/nodes/{alias}", app.settings.scheme()));
    let drawn = OwnPage::new(visit.frame, alias, view, manager);
    Ok(page(StatusCode::OK, &drawn))
}

/// The same of another process, as it answers this one.
pub(in crate::http) async fn through<F: Front>(
    State(app): Shared<F>,
    visit: Visit,
    path: Segments,
) -> Answer {
    let row = node(&app, &visit, path.named("alias")).await?;
    // By itself: whoever looks may go, and the token is to be void all the same.
    let looking = tokio::spawn(look(app, visit.caller.clone(), row.clone()));
    let answer = looking.await.map_err(|error| Refusal::Unavailable {
        reason: format!("the look at {} did not come to its end: {error}", row.alias),
    })??;
    let status = answer.status();
    let bytes = to_bytes(answer.into_body(), STATE_MAX).await;
    let said = bytes.ok().filter(|_| status == StatusCode::OK);
    let said = said.and_then(|bytes| serde_json::from_slice::<Said>(&bytes).ok());
    let Some(said) = said else {
        let reason = format!("{} did not tell its state: it answered {status}", row.alias);
        return Err(Refusal::Unavailable { reason }.into());
    };
    let view = OwnView {
        summary: said.summary,
        ready: said.ready,
        uptime_ms: said.uptime_ms,
        alarms: said.alarms,
    };
    let manager = Some(format!("/nodes/{}", row.alias));
    let drawn = OwnPage::new(visit.frame, row.alias.to_string(), view, manager);
    Ok(page(StatusCode::OK, &drawn))
}

/// Asks a node for its state, with a token that is void as soon as it has answered.
async fn look<F: Front>(
    app: Arc<App<F>>,
    caller: Caller,
    row: NodeRow,
) -> Result<axum::response::Response, Problem> {
    // Not the session: a node that was broken into could act as whoever looks at it.
    let label = format!("look at {}, {}", short(&row.alias), drawn(&app));
    let (token, id) = issue(&app, &caller, label, LOOK).await?;
    let asked = Request::get("/api/v1/status").body(Body::empty());
    let asked = asked.map_err(|error| Problem::invalid(error.to_string()))?;
    let still: passage::MovesOn = Arc::new(|| {});
    let at = [place(&row)];
    let answer = passage::carry(&app.settings.passage, &at, &token, asked, still).await;
    if let Some(token) = id {
        // Whether or not that is heard: it is over in a minute.
        drop(app.ask(caller, Verb::RevokeToken { token }).await);
    }
    answer
}

async fn node<F: Front>(app: &App<F>, visit: &Visit, alias: &str) -> Result<NodeRow, Problem> {
    let rows = nodes::rows(app, visit).await?;
    let is_it = |row: &NodeRow| row.alias.as_str() == alias && row.mode == Role::DataNode;
    let row = rows.into_iter().find(is_it).ok_or_else(|| {
        let alias: String = alias.chars().take(80).collect();
        let what = format!("there is no data node `{alias}`");
        Refusal::NotFound { what }
    })?;
    match row.state {
        NodeState::Online | NodeState::Suspect => Ok(row),
        state => {
            let reason = format!("{} is {}, and has no page", row.alias, state.as_str());
            Err(Refusal::Unavailable { reason }.into())
        }
    }
}

fn place(row: &NodeRow) -> Endpoint {
    Endpoint {
        host: row.host.clone(),
        port: row.port,
    }
}

/// Makes a token for the page of a node, and a page that has the browser show it there.
pub(in crate::http) async fn open<F: Front>(
    State(app): Shared<F>,
    visit: Visit,
    path: Segments,
    headers: HeaderMap,
    request: Request<Body>,
) -> Answer {
    Form::of(&visit, request, &app.settings.limits).await?;
    let row = node(&app, &visit, path.named("alias")).await?;
    let names = {
        let desk = desk(&app)?.clone();
        let _worker = app.worker().await?;
        desk.public_names(row.alias.to_string()).await?
    };
    let asked = headers.get(HOST).and_then(|it| it.to_str().ok());
    let host = nearest(without_port(asked.unwrap_or_default()), &names, &row.host);
    let at = authority(&Endpoint {
        host: host.to_owned(),
        port: row.port,
    });
    let origin = format!("{}://{at}", app.settings.scheme());
    let token = token_for(&app, &visit, &row.alias).await?;
    let title = fill(visit.frame.t.open_own_page, &[row.alias.as_str()]);
    let drawn = OpenPage {
        title,
        target: format!("{origin}/enter"),
        token,
        f: visit.frame,
    };
    let mut response = page(StatusCode::OK, &drawn);
    // The policy's grammar has no addresses in brackets.
    let target = match host.contains(':') {
        true => format!("{}:", app.settings.scheme()),
        false => origin,
    };
    response.extensions_mut().insert(FormTarget(target));
    Ok(response)
}

/// A token for one node's page; the one before it, if there is one, is void.
async fn token_for<F: Front>(
    app: &App<F>,
    visit: &Visit,
    alias: &Alias,
) -> Result<String, Problem> {
    let label = format!("{LABEL}{}", short(alias));
    let caller = || visit.caller.clone();
    let tokens = match app.work(caller(), Verb::ListTokens { all: false }).await? {
        Told::Tokens(tokens) => tokens,
        other => return Err(unexpected(&other)),
    };
    // Not what somebody has called so and given rights.
    let own = |it: &&TokenRow| {
        let opens_nothing = it.rights.as_ref().is_some_and(Vec::is_empty);
        opens_nothing && it.label.as_deref().is_some_and(|it| it.starts_with(LABEL))
    };
    let mut visits: Vec<&TokenRow> = tokens.iter().filter(own).collect();
    visits.sort_by_key(|it| it.issued_unix_ms);
    let same = visits.iter().find(|it| it.label.as_ref() == Some(&label));
    let full = visits.first().filter(|_| visits.len() >= VISITS_MAX);
    let gone = same.or(full).map(|it| it.id.as_str());
    if let Some(token) = gone.and_then(TokenId::parse) {
        app.work(caller(), Verb::RevokeToken { token }).await?;
    }
    let (token, _) = issue(app, &visit.caller, label, VISIT).await?;
    Ok(token)
}

/// A token that says who looks, and opens nothing; with its name.
async fn issue<F: Front>(
    app: &App<F>,
    caller: &Caller,
    label: String,
    valid_for: Duration,
) -> Result<(String, Option<TokenId>), Problem> {
    let wish = NewToken {
        label,
        valid_for,
        rights: Some(Vec::new()),
        networks: Vec::new(),
    };
    let issued = app.work(caller.clone(), Verb::IssueToken(wish)).await?;
    match issued {
        Told::TokenIssued { token, row } => Ok((token, TokenId::parse(&row.id))),
        other => Err(unexpected(&other)),
    }
}

/// A node's name as it stands in a label: whole, or its beginning and what tells it from others.
fn short(alias: &Alias) -> String {
    let alias = alias.as_str();
    if alias.len() <= NAME_MAX {
        return alias.to_owned();
    }
    let digest = Digest::of(alias.as_bytes()).to_string();
    let digest: String = digest.chars().take(8).collect();
    let begins: String = alias.chars().take(NAME_MAX - 9).collect();
    format!("{begins}~{digest}")
}

/// Tells one look from another: two of one name at a time would be refused.
fn drawn<F: Front>(app: &App<F>) -> String {
    let bytes = app.draw().0;
    bytes[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Begins a session with a token that the cluster manager has made for it.
pub(in crate::http) async fn enter<F: Front>(
    State(app): Shared<F>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request<Body>,
) -> Answer {
    let (head, body): (Parts, Body) = request.into_parts();
    let frame = Reader::new(&app, &head).frame(&app);
    if app.settings.manager.is_none() {
        return Err(Problem::invalid(
            "sessions of the cluster manager begin at its login",
        ));
    }
    let request = Request::from_parts(head, body);
    let form = Form::unproven(request, &app.settings.limits).await?;
    let token = form.need("token")?;
    let caller = app.caller_with(peer, Some(token.to_owned()));
    match app.work(caller, Verb::WhoAmI).await? {
        Told::You(_) => {}
        other => return Err(unexpected(&other)),
    }
    // A page, and no redirect: a cookie of this kind does not go along where another site has led.
    let mut response = page(StatusCode::OK, &EnterPage { f: frame });
    let cookie = session_cookie(&app.settings.session_cookie, Some(token));
    response.headers_mut().append(SET_COOKIE, cookie);
    Ok(response)
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|it| it.is_ascii_digit()) => name,
        _ => host,
    }
}

/// The name by which a browser that reached the manager as `asked` likely reaches a node: the same, or what has
/// most of it, of its public names and the host of its site.
fn nearest<'a>(asked: &str, names: &'a [String], host: &'a str) -> &'a str {
    let all = names.iter().map(String::as_str).chain([host]);
    // Of equals the last counts for `max_by_key`: public names are meant to be preferred.
    let all: Vec<&str> = all.rev().collect();
    let key = |name: &&&str| (**name == asked, common(asked, name));
    all.iter().max_by_key(key).copied().unwrap_or(host)
}

/// How long the longest text is that is part of both.
fn common(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut longest = 0;
    let mut row = vec![0; b.len() + 1];
    for x in a {
        for at in (0..b.len()).rev() {
            row[at + 1] = if *x == b[at] { row[at] + 1 } else { 0 };
            longest = longest.max(row[at + 1]);
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_begin_alike_are_told_apart_in_labels() {
        let alias = |last: &str| Alias::new(&format!("{}{last}", "n".repeat(62))).unwrap();
        let (one, other) = (short(&alias("1")), short(&alias("2")));
        assert_ne!(one, other);
        assert_eq!(one.len(), NAME_MAX);
        assert_eq!(short(&Alias::new("P1-NODE1").unwrap()), "P1-NODE1");
    }

    #[test]
    fn a_node_is_opened_by_the_name_that_is_most_like_the_managers() {
        let public = ["19.56.128.21".to_owned()];
        assert_eq!(nearest("19.56.128.24", &public, "10.1.1.1"), "19.56.128.21");
        assert_eq!(nearest("10.1.1.7", &public, "10.1.1.1"), "10.1.1.1");
        assert_eq!(nearest("localhost", &[], "10.1.1.1"), "10.1.1.1");
        let both = ["p1.in.example".to_owned(), "p1.example.org".to_owned()];
        assert_eq!(
            nearest("vq.example.org", &both, "10.1.1.1"),
            "p1.example.org"
        );
        assert_eq!(nearest("p1.in.example", &both, "10.1.1.1"), "p1.in.example");
        // What has nothing in common tells nothing: a public name is there for a reason.
        assert_eq!(nearest("[::1]", &public, "10.1.1.1"), "19.56.128.21");
    }

    #[test]
    fn a_host_is_told_from_its_port() {
        assert_eq!(without_port("10.1.1.7:8990"), "10.1.1.7");
        assert_eq!(without_port("[::1]:8990"), "[::1]");
        assert_eq!(without_port("[::1]"), "[::1]");
        assert_eq!(without_port("vq.example"), "vq.example");
    }
}
