//! Requests about files at a process that has none. The data nodes do: any of them serves every file.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{self, HeaderValue};
use axum::http::{Request, StatusCode, Uri};
use vaquita_core::admin::{NodeRow, NodeState, Refusal, Response as Told, Verb};
use vaquita_core::ids::{Endpoint, Role};

use super::Answer;
use crate::http::app::{App, SignedIn};
use crate::http::front::Front;
use crate::http::gate::unexpected;
use crate::http::passage;
use crate::http::problem::Problem;

/// Passes a browser's request on, and tells anybody else where to ask.
pub(super) async fn away<F: Front>(
    app: &App<F>,
    signed_in: SignedIn,
    request: Request<Body>,
) -> Answer {
    let SignedIn {
        caller, session, ..
    } = signed_in;
    let rows = match app.work(caller, Verb::ListNodes).await? {
        Told::Nodes(rows) => rows,
        other => return Err(unexpected(&other)),
    };
    let serves = |row: &&NodeRow| row.mode == Role::DataNode && row.state == NodeState::Online;
    let mut nodes: Vec<Endpoint> = rows
        .iter()
        .filter(serves)
        .map(|row| Endpoint {
            host: row.host.clone(),
            port: row.port,
        })
        .collect();
    // Another one each time, so that none has all the work.
    let drawn = usize::from(app.draw().0[0]);
    if !nodes.is_empty() {
        let first = drawn % nodes.len();
        nodes.rotate_left(first);
    }
    match session {
        Some(token) if app.settings.passage.is_open() => {
            // A file can take longer than a session may go unused.
            let (sessions, used) = (app.sessions.clone(), token.clone());
            let moves_on = Arc::new(move || sessions.used(&used));
            passage::carry(&app.settings.passage, &nodes, &token, request, moves_on).await
        }
        _ => Err(elsewhere(app.settings.scheme(), request.uri(), &nodes)),
    }
}

fn elsewhere(scheme: &str, uri: &Uri, nodes: &[Endpoint]) -> Problem {
    let Some(first) = nodes.first().map(authority) else {
        let reason =
            "files are served by data nodes, and none is online; `vaquita node list` says why";
        return Refusal::Unavailable {
            reason: reason.to_owned(),
        }
        .into();
    };
    let target = uri.path_and_query().map_or("/dfs/", |it| it.as_str());
    let problem = Problem::new(
        StatusCode::TEMPORARY_REDIRECT,
        "elsewhere",
        format!("files are served by data nodes: ask {first}, or any other one that is online"),
    );
    let all: Vec<String> = nodes.iter().map(authority).collect();
    let problem = problem.detail("nodes", all);
    match HeaderValue::try_from(format!("{scheme}://{first}{target}")) {
        Ok(place) => problem.header(header::LOCATION, place),
        Err(_) => problem,
    }
}

pub(in crate::http) fn authority(node: &Endpoint) -> String {
    if node.host.contains(':') {
        format!("[{}]:{}", node.host, node.port)
    } else {
        node.to_string()
    }
}
