use std::time::Duration;

use tokio::time::Instant;
use vaquita_core::admin::{Caller, Refusal, Request, Response, Verb};
use vaquita_core::io::{Effect, Input};

use super::{Setup, idle, request, request_id, soon};
use crate::driver::{DriverLimits, front};

#[tokio::test(start_paused = true)]
async fn a_question_without_an_answer_ends_in_time() {
    let limits = DriverLimits {
        request_timeout: Duration::from_secs(30),
        ..DriverLimits::default()
    };
    let (front, _questions) = front(&limits);
    let asked = Instant::now();
    let reply = front.ask(request(Verb::Status)).await;
    let Err(Refusal::Unavailable { reason }) = reply else {
        panic!("{reply:?}");
    };
    assert!(reason.contains("no answer within 30 s"), "{reason}");
    assert_eq!(asked.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_of_questions_does_not_hang_either() {
    let limits = DriverLimits {
        requests_max: 1,
        ..DriverLimits::default()
    };
    let (front, _questions) = front(&limits);
    let (first, second) = tokio::join!(
        front.ask(request(Verb::Status)),
        front.ask(request(Verb::Status))
    );
    assert!(first.is_err() && second.is_err());
}

#[tokio::test]
async fn a_process_that_is_gone_says_so() {
    let (front, questions) = front(&DriverLimits::default());
    drop(questions);
    let reply = front.ask(request(Verb::Status)).await;
    let Err(Refusal::Unavailable { reason }) = reply else {
        panic!("{reply:?}");
    };
    assert!(reason.contains("is ending"), "{reason}");
}

#[tokio::test]
async fn one_question_too_many_is_refused_and_not_queued_for_ever() {
    let mut driver = Setup::new()
        .limits(|limits| limits.replies_max = 1)
        .start(idle)
        .await;
    let waiting = tokio::spawn({
        let front = driver.front.clone();
        async move { front.ask(request(Verb::Status)).await }
    });
    assert!(request_id(&driver.told().await).is_some());
    let reply = soon(driver.front.ask(request(Verb::Status))).await;
    assert!(matches!(reply, Err(Refusal::Busy { .. })), "{reply:?}");
    // Who gives up makes room.
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    let asking = tokio::spawn({
        let front = driver.front.clone();
        async move { front.ask(request(Verb::WhoAmI)).await }
    });
    let told = driver.told().await;
    assert!(
        matches!(&told, Input::Request { request, .. } if request.verb == Verb::WhoAmI),
        "{told:?}"
    );
    asking.abort();
}

#[tokio::test]
async fn the_date_of_a_request_is_the_drivers() {
    let mut driver = Setup::new()
        .start(|toy, _, input| {
            if let Some(id) = request_id(input) {
                let reply = Ok(Response::Done);
                toy.emit(Effect::Reply { id, reply });
            }
        })
        .await;
    let caller = Caller::Remote {
        address: [127, 0, 0, 1].into(),
        token: None,
        unix_ms: u64::MAX,
    };
    let verb = Verb::WhoAmI;
    driver.front.ask(Request { caller, verb }).await.unwrap();
    let Input::Request { request, .. } = driver.told().await else {
        panic!("no request");
    };
    let Caller::Remote { unix_ms, .. } = request.caller else {
        panic!("no remote caller");
    };
    // Between the first days of 2024 and of 2100.
    assert!((1_704_000_000_000..4_102_000_000_000).contains(&unix_ms));
}
