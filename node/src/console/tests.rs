use proptest::prelude::*;
use tokio::sync::mpsc;
use vaquita_core::admin::{
    Caller, NodeRow, NodeState, OrderRow, Refusal, Reply, Request, Response, Selection,
    StatusReport, Verb,
};
use vaquita_core::ids::{Alias, Role};

use super::command::{Command, parse};
use super::run;
use crate::driver::{DriverLimits, Front, front, terminator};

fn start(names: &[&str]) -> Command {
    Command::Start(names.iter().map(|&name| name.to_owned()).collect())
}

#[test]
fn commands_are_read_as_the_manual_writes_them() {
    let parsed = |line| parse(line).unwrap().unwrap();
    assert_eq!(parsed("quit"), Command::Quit);
    assert_eq!(parsed("  quit;  "), Command::Quit);
    assert_eq!(parsed("help"), Command::Help);
    assert_eq!(parsed("status()"), Command::Status);
    assert_eq!(
        parsed(r#"startDataNode(["P1-NODE1", "P2-NODE1","P3-NODE1","P5-NODE1"])"#),
        start(&["P1-NODE1", "P2-NODE1", "P3-NODE1", "P5-NODE1"])
    );
    assert_eq!(
        parsed("startDataNode( [ 'A' ,\"B\" ] ) ;"),
        start(&["A", "B"])
    );
    assert_eq!(
        parsed("startDataNode('10.1.0.2:8961')"),
        start(&["10.1.0.2:8961"])
    );
    let stop = Command::Stop(vec!["A".to_owned()]);
    assert_eq!(parsed("stopDataNode(\"A\")"), stop);
    assert_eq!(parse("   ").unwrap(), None);
    assert_eq!(parse("").unwrap(), None);
}

#[test]
fn what_is_no_command_is_told_what_there_is() {
    let error = parse("stat; rm -rf").unwrap_err().to_string();
    assert!(error.starts_with("`stat;` is no command."), "{error}");
    for command in ["quit", "help", "status", "startDataNode", "stopDataNode"] {
        assert!(error.contains(command), "{error}");
    }
}

#[test]
fn a_malformed_order_is_told_what_is_wrong_and_how_it_is_written() {
    for (line, problem) in [
        ("startDataNode", "stand in parentheses"),
        ("startDataNode()", "no node is named"),
        ("startDataNode([])", "no node is named"),
        ("startDataNode([\"A\")", "no closing bracket"),
        ("startDataNode([\"A])", "no closing quote"),
        ("startDataNode([A])", "in quotes"),
        ("startDataNode([\"A\" \"B\"])", "a comma"),
        ("startDataNode(\"A\", \"B\")", "in brackets"),
        ("startDataNode([\" \"])", "is empty"),
        ("startDataNode([“A”])", "ASCII"),
        ("startDataNode（[\"A\"]）", "ASCII"),
        ("quit now", "takes nothing after it"),
    ] {
        let error = parse(line).unwrap_err().to_string();
        assert!(error.contains(problem), "{line}: {error}");
        assert!(error.contains("Write it so: "), "{line}: {error}");
    }
}

proptest! {
    #[test]
    fn no_line_is_too_strange(line: String) {
        let _ = parse(&line);
    }

    #[test]
    fn nor_is_one_that_begins_well(rest: String) {
        let _ = parse(&format!("startDataNode({rest}"));
        let _ = parse(&format!("stopDataNode([\"{rest}"));
    }

    #[test]
    fn names_come_back_as_they_were_written(names in prop::collection::vec("[A-Za-z0-9:._-]{1,20}", 1..6)) {
        let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
        let line = format!("stopDataNode([{}])", quoted.join(", "));
        prop_assert_eq!(parse(&line), Ok(Some(Command::Stop(names))));
    }
}

/// A console with somebody who types and a machine that answers everything with `reply`.
struct Session {
    lines: mpsc::Sender<String>,
    texts: mpsc::Receiver<String>,
    asked: mpsc::UnboundedReceiver<Request>,
    ends: tokio::task::JoinHandle<bool>,
}

fn session(reply: Reply) -> Session {
    let (front, mut questions) = front(&DriverLimits::default());
    let (asked_sender, asked) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(question) = questions.receiver.recv().await {
            asked_sender.send(question.request).unwrap();
            let _ = question.reply.send(reply.clone());
        }
    });
    session_with(front, asked)
}

fn session_with(front: Front, asked: mpsc::UnboundedReceiver<Request>) -> Session {
    let (lines, typed) = mpsc::channel(16);
    let (out, texts) = mpsc::channel(16);
    let (terminator, mut termination) = terminator();
    let ends = tokio::spawn(async move {
        run(front, typed, out, terminator).await;
        termination.calls.try_recv().is_ok()
    });
    Session {
        lines,
        texts,
        asked,
        ends,
    }
}

impl Session {
    async fn answer(&mut self, line: &str) -> String {
        self.lines.send(line.to_owned()).await.unwrap();
        self.texts.recv().await.unwrap()
    }
}

#[tokio::test]
async fn orders_go_to_the_machine_and_their_outcome_is_shown() {
    let row = |alias: &str, note: &str| OrderRow {
        alias: Alias::new(alias).unwrap(),
        changed: true,
        note: note.to_owned(),
    };
    let rows = vec![
        row("P1-NODE1", "starting"),
        row("P10-NODE1", "runs already"),
    ];
    let mut session = session(Ok(Response::Ordered(rows)));
    let text = session
        .answer("startDataNode([\"P1-NODE1\", \"P10-NODE1\"])")
        .await;
    assert_eq!(text, "P1-NODE1   starting\nP10-NODE1  runs already\n");
    let aliases = vec!["P1-NODE1".to_owned(), "P10-NODE1".to_owned()];
    let asked = session.asked.recv().await.unwrap();
    assert_eq!(asked.caller, Caller::CONSOLE);
    assert_eq!(asked.verb, Verb::StartNodes(Selection::Aliases(aliases)));
}

#[tokio::test]
async fn the_status_is_a_sentence_alarms_and_a_table() {
    let node = NodeRow {
        alias: Alias::new("P1-NODE1").unwrap(),
        mode: Role::DataNode,
        host: "10.1.0.2".to_owned(),
        port: 8961,
        site: "10.1.0.2:8961:P1-NODE1".to_owned(),
        state: NodeState::Offline,
        agent: None,
        reason: "not heard for 9 s".to_owned(),
        admin: "none",
        admin_reason: String::new(),
        conditions: Vec::new(),
        pid: None,
        epoch: None,
        silent_ms: Some(9000),
        figures: None,
    };
    let report = StatusReport {
        alias: Alias::new("master").unwrap(),
        mode: Role::Controller,
        summary: "0 of 1 data nodes are online".to_owned(),
        ready: true,
        nodes: vec![node],
        alarms: vec!["P1-NODE1 is offline".to_owned()],
        first_password: false,
        commit_index: None,
        log_copies: Vec::new(),
        uptime_ms: 3_725_000,
        all_green_after_ms: None,
        figures: None,
    };
    let mut session = session(Ok(Response::Status(Box::new(report))));
    assert_eq!(
        session.answer("status").await,
        "master (controller), up for 1 h 2 min: 0 of 1 data nodes are online\n\
         ! P1-NODE1 is offline\n\
         P1-NODE1  datanode  10.1.0.2:8961  offline  not heard for 9 s\n"
    );
}

#[tokio::test]
async fn refusals_and_mistakes_are_shown_and_the_console_goes_on() {
    let reason = "no agent runs on that host".to_owned();
    let mut session = session(Err(Refusal::Unavailable { reason }));
    let text = session.answer("startDataNode('A')").await;
    assert_eq!(text, "no agent runs on that host\n");
    assert!(session.answer("whatever").await.contains("is no command"));
    assert!(session.answer("help").await.contains("stopDataNode"));
}

#[tokio::test]
async fn quit_ends_the_process() {
    let session = session(Ok(Response::Done));
    session.lines.send("quit".to_owned()).await.unwrap();
    assert!(
        session.ends.await.unwrap(),
        "the process was not asked to end"
    );
}

#[tokio::test]
async fn the_end_of_the_input_does_not_end_the_process() {
    let session = session(Ok(Response::Done));
    drop(session.lines);
    assert!(!session.ends.await.unwrap(), "the process was asked to end");
}

#[tokio::test]
async fn the_end_of_the_process_ends_the_console() {
    let (front, _questions) = front(&DriverLimits::default());
    let (_lines, typed) = mpsc::channel(16);
    let (out, _texts) = mpsc::channel(16);
    let (terminator, termination) = terminator();
    drop(termination);
    run(front, typed, out, terminator).await;
}
