use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use vaquita_core::admin::{Refusal, Response, Verb};
use vaquita_core::event::Event;
use vaquita_core::io::{Effect, ExitCode, ExitReason, Input};
use vaquita_core::time::Timestamp;

use super::{Setup, accepted, idle, read_to_end, request, request_id, soon};

#[tokio::test]
async fn a_question_gets_the_machines_answer() {
    let driver = Setup::new()
        .start(|toy, _, input| {
            if let Some(id) = request_id(input) {
                let reply = Ok(Response::Done);
                toy.emit(Effect::Reply { id, reply });
            }
        })
        .await;
    let reply = driver.front.ask(request(Verb::Status)).await;
    assert_eq!(reply, Ok(Response::Done));
}

#[tokio::test]
async fn the_machine_is_told_at_once_and_then_again_and_again_what_was_measured() {
    let mut driver = Setup::new()
        .limits(|limits| {
            limits.measure_period = Duration::from_millis(20);
            limits.connections_max = 77;
            limits.workers = 3;
            limits.memory_max = 1 << 30;
        })
        .start(idle)
        .await;
    let mut uptime = None;
    for _ in 0..3 {
        let figures = soon(driver.measured.recv()).await.unwrap();
        assert!(Some(figures.uptime_ms) > uptime, "{figures:?}");
        uptime = Some(figures.uptime_ms);
        assert!(figures.memory_bytes > 0 && figures.threads > 0);
        assert_eq!((figures.connections_max, figures.workers), (77, 3));
        assert_eq!(figures.memory_max_bytes, 1 << 30);
    }
}

#[tokio::test]
async fn the_first_call_ends_the_machine_in_good_order() {
    let driver = Setup::new()
        .start(|toy, _, input| {
            if *input == Input::Terminate {
                toy.exit("drained");
            }
        })
        .await;
    driver.terminator.terminate();
    let exit = driver.ended().await;
    assert_eq!(exit.code, ExitCode::Success);
    assert_eq!(exit.message, "drained");
}

#[tokio::test]
async fn a_second_call_ends_a_machine_that_does_not_come_to_an_end() {
    let mut driver = Setup::new().start(idle).await;
    driver.terminator.terminate();
    assert_eq!(driver.told().await, Input::Terminate);
    driver.terminator.terminate();
    let terminator = driver.terminator.clone();
    assert_eq!(driver.ended().await.code, ExitCode::Success);
    soon(terminator.ended()).await;
}

#[tokio::test]
async fn a_panic_of_the_machine_ends_the_process_as_a_bug() {
    let driver = Setup::new()
        .start(|_, _, input| {
            assert!(request_id(input).is_none(), "chunk 7 has two owners");
        })
        .await;
    let reply = driver.front.ask(request(Verb::Status)).await;
    assert!(
        matches!(reply, Err(Refusal::Unavailable { .. })),
        "{reply:?}"
    );
    let exit = driver.ended().await;
    assert_eq!(exit.code, ExitCode::Bug);
    assert!(exit.message.contains("chunk 7 has two owners"), "{exit:?}");
}

#[tokio::test]
async fn a_machine_that_never_stops_asking_is_a_bug_and_no_hang() {
    let driver = Setup::new()
        .limits(|limits| limits.effects_per_input = 100)
        .start(|toy, _, _| {
            for _ in 0..1000 {
                toy.emit(Effect::Notify(Event::debug("toy.loop", "again")));
            }
        })
        .await;
    driver.terminator.terminate();
    assert_eq!(driver.ended().await.code, ExitCode::Bug);
}

#[tokio::test]
async fn what_a_new_machine_wants_is_done_before_it_is_told_anything() {
    let mut driver = Setup::new()
        .first(vec![Effect::Notify(Event::info("toy.born", "here I am"))])
        .start(idle)
        .await;
    let event = soon(driver.events.recv()).await.unwrap();
    assert_eq!(event.name, "toy.born");
    assert!(driver.inputs.try_recv().is_err());
}

#[tokio::test]
async fn a_deadline_is_told_when_it_has_come_and_not_before() {
    let mut setup = Setup::new();
    setup.due = Some(Timestamp::ZERO.after(Duration::from_millis(30)));
    let mut driver = setup
        .start(|toy, now, input| {
            if *input == Input::Deadline {
                let due = toy.due.expect("no deadline was asked for");
                assert!(now >= due, "told at {now}, due at {due}");
                // Once more, then never again.
                let last = Timestamp::ZERO.after(Duration::from_millis(60));
                toy.due = (due < last).then_some(last);
            }
        })
        .await;
    assert_eq!(driver.told().await, Input::Deadline);
    assert_eq!(driver.told().await, Input::Deadline);
    driver.terminator.terminate();
    assert_eq!(driver.told().await, Input::Terminate);
}

#[tokio::test]
async fn a_deadline_that_is_always_past_starves_nobody() {
    let mut setup = Setup::new();
    setup.due = Some(Timestamp::ZERO);
    let driver = setup
        .start(|toy, _, input| {
            if let Some(id) = request_id(input) {
                let reply = Ok(Response::Done);
                toy.emit(Effect::Reply { id, reply });
            }
        })
        .await;
    let reply = soon(driver.front.ask(request(Verb::Status))).await;
    assert_eq!(reply, Ok(Response::Done));
}

#[tokio::test]
async fn a_flood_on_an_urgent_source_does_not_starve_the_others() {
    const PEERS: usize = 8;
    const BYTES: usize = 50_000;
    let before = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&before);
    // Byte by byte, the flood is half a million inputs, all of them more urgent than a request.
    let mut driver = Setup::new()
        .limits(|limits| limits.read_bytes = 1)
        .start(move |toy, _, input| match input {
            Input::Received { bytes, .. } => {
                seen.fetch_add(bytes.len(), Ordering::Relaxed);
            }
            Input::Request { id, .. } => {
                let reply = Ok(Response::Done);
                toy.emit(Effect::Reply { id: *id, reply });
            }
            _ => {}
        })
        .await;
    let mut peers = Vec::new();
    for _ in 0..PEERS {
        let mut peer = driver.dial().await;
        peer.write_all(b"VQT1").await.unwrap();
        peer.write_all(&[0; BYTES]).await.unwrap();
        peers.push(peer);
    }
    while !matches!(driver.told().await, Input::Received { .. }) {}
    let reply = soon(driver.front.ask(request(Verb::Status))).await;
    assert_eq!(reply, Ok(Response::Done));
    let before = before.load(Ordering::Relaxed);
    assert!(
        before < PEERS * BYTES / 2,
        "the request waited behind {before} bytes"
    );
}

#[tokio::test]
async fn last_words_are_delivered() {
    let driver = Setup::new()
        .start(|toy, _, input| {
            if let Some(conn) = accepted(input) {
                let bytes = vec![7; 300_000];
                toy.emit(Effect::Send { conn, bytes });
            }
            if let Some(id) = request_id(input) {
                let reply = Ok(Response::Done);
                toy.emit(Effect::Reply { id, reply });
                toy.exit("said everything");
            }
        })
        .await;
    let mut stream = driver.dial().await;
    stream.write_all(b"VQT1").await.unwrap();
    let reading = tokio::spawn(async move { read_to_end(&mut stream).await });
    // The connection has been accepted once its bytes have arrived; ask only then.
    let mut driver = driver;
    while !matches!(driver.told().await, Input::Received { .. }) {}
    let reply = driver.front.ask(request(Verb::Status)).await;
    assert_eq!(reply, Ok(Response::Done));
    assert_eq!(driver.ended().await.message, "said everything");
    assert_eq!(soon(reading).await.unwrap().len(), 300_000);
}

#[tokio::test]
async fn what_follows_an_exit_is_not_done() {
    let mut driver = Setup::new()
        .first(vec![
            Effect::Exit(ExitReason {
                code: ExitCode::Refused,
                message: "unknown alias".to_owned(),
            }),
            Effect::Notify(Event::info("toy.after", "after the end")),
        ])
        .start(idle)
        .await;
    assert_eq!(soon(driver.exit).await.unwrap().code, ExitCode::Refused);
    assert!(driver.events.recv().await.is_none());
}
