use super::*;

fn at(ms: u64) -> Timestamp {
    Timestamp::ZERO.after(Duration::from_millis(ms))
}

fn effects(fetch: &mut Fetch) -> Vec<FetchEffect> {
    std::iter::from_fn(|| fetch.poll_effect()).collect()
}

fn start(attempt: usize, replica: usize, offset: u64) -> FetchEffect {
    FetchEffect::Start {
        attempt,
        replica,
        offset,
    }
}

fn arrived(attempt: usize, bytes: u64) -> FetchInput {
    FetchInput::Arrived { attempt, bytes }
}

fn failed(attempt: usize) -> FetchInput {
    let reason = format!("attempt {attempt} broke");
    FetchInput::Failed { attempt, reason }
}

fn begin(replicas: usize) -> Fetch {
    let mut fetch = Fetch::new(1000, replicas, &Limits::default(), at(0));
    assert_eq!(effects(&mut fetch), [start(0, 0, 0)]);
    fetch
}

#[test]
fn the_first_replica_delivers_all_of_it() {
    let mut fetch = begin(2);
    fetch.handle(at(5), arrived(0, 600));
    assert_eq!(effects(&mut fetch), []);
    fetch.handle(at(9), arrived(0, 400));
    assert_eq!(effects(&mut fetch), [FetchEffect::Finished]);
    assert_eq!(fetch.poll_timeout(), None);
}

#[test]
fn nothing_to_read_is_read_at_once() {
    let mut fetch = Fetch::new(0, 0, &Limits::default(), at(0));
    assert_eq!(effects(&mut fetch), [FetchEffect::Finished]);
}

#[test]
fn a_silent_replica_is_hedged_and_whoever_delivers_first_leads() {
    let mut fetch = begin(3);
    assert_eq!(fetch.poll_timeout(), Some(at(50)));
    fetch.handle(at(50), FetchInput::Deadline);
    assert_eq!(effects(&mut fetch), [start(1, 1, 0)]);
    assert_eq!(fetch.poll_timeout(), Some(at(150)), "the wait doubles");
    fetch.handle(at(60), arrived(1, 300));
    assert_eq!(effects(&mut fetch), [FetchEffect::Stop { attempt: 0 }]);
    assert!(fetch.leads(1) && !fetch.leads(0));
    fetch.handle(at(61), arrived(0, 999));
    assert_eq!(fetch.done(), 300, "a stopped stream counts no more");
    // It stands still in the middle: the next one goes on from there.
    fetch.handle(at(110), FetchInput::Deadline);
    assert_eq!(effects(&mut fetch), [start(2, 2, 300)]);
    fetch.handle(at(111), arrived(1, 300));
    assert_eq!(effects(&mut fetch), [FetchEffect::Stop { attempt: 2 }]);
    fetch.handle(at(112), arrived(1, 400));
    assert_eq!(effects(&mut fetch), [FetchEffect::Finished]);
}

#[test]
fn a_failure_in_the_middle_goes_on_elsewhere_from_there() {
    let mut fetch = begin(2);
    fetch.handle(at(1), arrived(0, 640));
    fetch.handle(at(2), failed(0));
    assert_eq!(effects(&mut fetch), [start(1, 1, 640)]);
    fetch.handle(at(3), arrived(1, 360));
    assert_eq!(effects(&mut fetch), [FetchEffect::Finished]);
}

#[test]
fn when_all_have_failed_the_first_is_asked_once_more_and_then_all_reasons_are_told() {
    let mut fetch = begin(2);
    fetch.handle(at(1), failed(0));
    assert_eq!(effects(&mut fetch), [start(1, 1, 0)]);
    fetch.handle(at(2), failed(1));
    assert_eq!(effects(&mut fetch), [start(2, 0, 0)]);
    fetch.handle(at(3), failed(2));
    let [FetchEffect::GaveUp(reasons)] = &effects(&mut fetch)[..] else {
        panic!("it goes on");
    };
    let replicas: Vec<usize> = reasons.iter().map(|(replica, _)| *replica).collect();
    assert_eq!(replicas, [0, 1, 0]);
}

#[test]
fn silence_of_all_ends_the_reading() {
    let mut fetch = begin(1);
    let mut now = at(0);
    for _ in 0..20 {
        let Some(next) = fetch.poll_timeout() else {
            break;
        };
        assert!(next > now, "it is woken at {next:?} again");
        now = next;
        fetch.handle(now, FetchInput::Deadline);
    }
    assert_eq!(now, at(5000));
    let last = effects(&mut fetch).pop();
    assert!(matches!(last, Some(FetchEffect::GaveUp(reasons)) if reasons.len() == 1));
}

#[test]
fn no_replica_at_all_is_an_end_and_no_panic() {
    let mut fetch = Fetch::new(10, 0, &Limits::default(), at(0));
    assert_eq!(effects(&mut fetch), [FetchEffect::GaveUp(Vec::new())]);
}

mod any_input {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever comes, at most as many attempts as replicas and one are made, all running ones
        /// are stopped or finished at the end, and what counts never exceeds what was asked for by
        /// more than one delivery.
        #[test]
        fn ends_and_stays_within_bounds(
            replicas in 0_usize..4,
            steps in proptest::collection::vec((0_usize..5, 0_u64..400, any::<bool>(), 0_u64..300), 0..60),
        ) {
            let mut fetch = Fetch::new(1000, replicas, &Limits::default(), at(0));
            let mut now = 0;
            let mut started = 0;
            let mut open = std::collections::BTreeSet::new();
            let mut ended = false;
            for (attempt, bytes, fails, wait) in steps {
                for effect in effects(&mut fetch) {
                    prop_assert!(!ended, "an effect after the end");
                    match effect {
                        FetchEffect::Start { attempt, replica, offset } => {
                            prop_assert_eq!(attempt, started);
                            prop_assert!(replica < replicas);
                            prop_assert_eq!(offset, fetch.done());
                            started += 1;
                            open.insert(attempt);
                        }
                        FetchEffect::Stop { attempt } => prop_assert!(open.remove(&attempt)),
                        FetchEffect::Finished => {
                            prop_assert!(fetch.done() >= 1000);
                            ended = true;
                        }
                        FetchEffect::GaveUp(_) => ended = true,
                    }
                }
                now += wait;
                let input = if !open.contains(&attempt) {
                    FetchInput::Deadline
                } else if fails {
                    open.remove(&attempt);
                    FetchInput::Failed { attempt, reason: "broke".to_owned() }
                } else {
                    FetchInput::Arrived { attempt, bytes }
                };
                fetch.handle(at(now), input);
            }
            prop_assert!(started <= replicas + 1);
            prop_assert!(ended || fetch.poll_timeout().is_some() || !effects(&mut fetch).is_empty());
        }
    }
}
