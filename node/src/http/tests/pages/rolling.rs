//! Nodes restarted one after the other.

use std::time::Duration;

use vaquita_core::admin::{NodeRow, NodeState, Refusal, Reply, Response, Selection, Verb};
use vaquita_core::ids::Role;

use super::super::harness::{
    ADMIN, Answered, FakeFront, connect, loopback, node, request, server_with, settings,
};
use super::{FORM, cookie, location, ordered};
use crate::http::HttpServer;
use crate::http::session::csrf;

fn rows(first: NodeState, second: NodeState) -> Vec<NodeRow> {
    vec![
        node("P1-NODE1", Role::DataNode, first),
        node("P2-NODE1", Role::DataNode, second),
    ]
}

fn seen(first: NodeState, second: NodeState) -> Reply {
    Ok(Response::Nodes(rows(first, second)))
}

fn done() -> Reply {
    Ok(ordered("P1-NODE1", "is ordered"))
}

fn stop(alias: &str) -> Verb {
    Verb::StopNodes(Selection::Aliases(vec![alias.to_owned()]))
}

fn start(alias: &str) -> Verb {
    Verb::StartNodes(Selection::Aliases(vec![alias.to_owned()]))
}

fn both() -> String {
    let proof = csrf(ADMIN);
    format!("csrf={proof}&do=restart&node=P1-NODE1&node=P2-NODE1")
}

async fn restart(server: &HttpServer) -> Answered {
    request("POST", "/ui/nodes")
        .header("Cookie", &cookie(ADMIN))
        .header("Content-Type", FORM)
        .raw(&both())
        .to(server)
        .await
}

async fn overview(server: &HttpServer) -> String {
    let look = request("GET", "/").header("Cookie", &cookie(ADMIN));
    look.to(server).await.body
}

/// The orders that were given.
fn orders(front: &FakeFront) -> Vec<Verb> {
    let is_order = |verb: &Verb| matches!(verb, Verb::StartNodes(_) | Verb::StopNodes(_));
    front.verbs().into_iter().filter(is_order).collect()
}

const UP: NodeState = NodeState::Online;
const DOWN: NodeState = NodeState::Stopped;

#[tokio::test(start_paused = true)]
async fn each_is_back_before_the_next_one_ends() {
    let busy = || {
        Err(Refusal::Unavailable {
            reason: "a moment".to_owned(),
        })
    };
    let front = FakeFront::telling([
        seen(UP, UP),
        done(),
        // A machine that is busy for a moment ends nothing.
        busy(),
        done(),
        seen(NodeState::Stopping, UP),
        seen(DOWN, UP),
        busy(),
        done(),
        busy(),
        seen(NodeState::Joining, UP),
        seen(UP, UP),
        // Whether the next one is still to run.
        seen(UP, UP),
        done(),
        seen(UP, DOWN),
        done(),
        seen(UP, UP),
    ]);
    let server = server_with(&front, settings());
    let answer = restart(&server).await;
    assert_eq!((answer.status, location(&answer)), (303, "/"));
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(front.script.lock().unwrap().is_empty(), "all was asked");
    let mut given = orders(&front);
    given.dedup();
    let one_after_the_other = [
        stop("P1-NODE1"),
        start("P1-NODE1"),
        stop("P2-NODE1"),
        start("P2-NODE1"),
    ];
    assert_eq!(given, one_after_the_other);
    assert!(overview(&server).await.contains("Restarted: 2."));
}

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_ends_it_and_nothing_stays_stopped() {
    let mut failed = rows(NodeState::Failed, UP);
    failed[0].reason = "its port is taken".to_owned();
    let front = FakeFront::telling([
        seen(UP, UP),
        done(),
        done(),
        seen(DOWN, UP),
        done(),
        Ok(Response::Nodes(failed)),
        done(),
    ]);
    let server = server_with(&front, settings());
    restart(&server).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let page = overview(&server).await;
    assert!(page.contains("its port is taken") && page.contains("P1-NODE1"));
    assert_eq!(orders(&front).last(), Some(&start("P1-NODE1")));
    assert!(!orders(&front).contains(&stop("P2-NODE1")), "not touched");
}

#[tokio::test(start_paused = true)]
async fn who_logs_out_meanwhile_leaves_no_node_stopped() {
    let out = || Err(Refusal::Unauthenticated);
    let front = FakeFront::telling([seen(UP, UP), done(), done(), out(), out(), done()]);
    let server = server_with(&front, settings());
    restart(&server).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let asked = front.asked.lock().unwrap().clone();
    let last = asked
        .iter()
        .rfind(|request| request.verb == start("P1-NODE1"))
        .unwrap();
    assert_eq!(last.caller, vaquita_core::admin::Caller::PROCESS);
    assert!(front.script.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_at_once_blocks_no_later_restart() {
    use tokio::io::AsyncWriteExt as _;
    let refused = Err(Refusal::Conflict {
        reason: "not now".to_owned(),
    });
    let front = FakeFront::telling([seen(UP, UP), refused]);
    let server = server_with(&front, settings());
    let mut stream = connect(&server, loopback());
    let body = both();
    let asked = format!(
        "POST /ui/nodes HTTP/1.1\r\nHost: localhost\r\nCookie: {}\r\nContent-Type: {FORM}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        cookie(ADMIN),
        body.len()
    );
    stream.write_all(asked.as_bytes()).await.unwrap();
    drop(stream);
    tokio::time::sleep(Duration::from_secs(1)).await;
    *front.script.lock().unwrap() = [
        seen(UP, UP),
        done(),
        done(),
        seen(DOWN, UP),
        done(),
        seen(UP, UP),
        seen(UP, UP),
        done(),
        seen(UP, DOWN),
        done(),
        seen(UP, UP),
    ]
    .into();
    restart(&server).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(overview(&server).await.contains("Restarted: 2."));
}

#[tokio::test(start_paused = true)]
async fn stopped_ones_stay_so_and_two_restarts_at_a_time_are_refused() {
    let front = FakeFront::telling([seen(DOWN, DOWN)]);
    let server = server_with(&front, settings());
    restart(&server).await;
    assert!(orders(&front).is_empty());
    let page = overview(&server).await;
    assert!(page.contains("P1-NODE1, P2-NODE1"), "{page}");

    let front = FakeFront::telling([
        seen(UP, DOWN),
        done(),
        done(),
        // What the second one looks at.
        seen(UP, DOWN),
        seen(DOWN, DOWN),
        done(),
        seen(UP, DOWN),
    ]);
    let server = server_with(&front, settings());
    restart(&server).await;
    restart(&server).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(front.script.lock().unwrap().is_empty());
    let page = overview(&server).await;
    assert!(page.contains("being restarted already"), "{page}");
    assert!(page.contains("Restarted: 1."), "{page}");
}

#[tokio::test(start_paused = true)]
async fn who_is_stopped_meanwhile_stays_so() {
    let front = FakeFront::telling([
        seen(UP, UP),
        done(),
        done(),
        seen(DOWN, UP),
        done(),
        seen(UP, UP),
        seen(UP, DOWN),
    ]);
    let server = server_with(&front, settings());
    restart(&server).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(!orders(&front).contains(&start("P2-NODE1")));
    let page = overview(&server).await;
    assert!(
        page.contains("Restarted: 1.") && page.contains("stay so: P2-NODE1"),
        "{page}"
    );
}

#[tokio::test(start_paused = true)]
async fn whom_somebody_stops_while_it_comes_back_is_not_started_again() {
    let front = FakeFront::telling([
        seen(UP, UP),
        done(),
        done(),
        seen(DOWN, UP),
        done(),
        seen(NodeState::Joining, UP),
        seen(NodeState::Stopping, UP),
    ]);
    let server = server_with(&front, settings());
    restart(&server).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let starts = orders(&front)
        .into_iter()
        .filter(|it| *it == start("P1-NODE1"));
    assert_eq!(starts.count(), 1);
    assert!(!orders(&front).contains(&stop("P2-NODE1")), "not touched");
    assert!(
        overview(&server)
            .await
            .contains("somebody has stopped it meanwhile")
    );
}

#[tokio::test(start_paused = true)]
async fn a_first_order_that_may_be_carried_out_later_is_taken_back() {
    let busy = Err(Refusal::Unavailable {
        reason: "no answer".to_owned(),
    });
    let front = FakeFront::telling([seen(UP, UP), busy, done()]);
    let server = server_with(&front, settings());
    restart(&server).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(orders(&front), [stop("P1-NODE1"), start("P1-NODE1")]);
}
