//! What the World holds a machine to.

use vaquita_core::ids::Endpoint;
use vaquita_core::io::Destination;

use super::*;

fn failing(make: impl Fn(&Start<'_>) -> Probe + 'static) -> Failure {
    let mut bench = Bench::of(&["a"]).make("a", move |start| Ok(make(start)));
    bench.world.start_all();
    bench.world.run_for(SECOND).unwrap_err()
}

fn datagram(len: usize) -> Effect {
    let to = Destination::Endpoint(Endpoint {
        host: "h0".into(),
        port: 7_000,
    });
    Effect::SendDatagram {
        to,
        bytes: vec![0; len],
    }
}

#[test]
fn a_machine_that_asks_to_be_woken_in_the_past_is_found() {
    let failure = failing(|start| Probe {
        stubborn: Some(start.now.after(50 * MS)),
        ..Probe::default()
    });
    assert!(failure.what.contains("it would spin"), "{failure}");
    assert_eq!(failure.node.as_deref(), Some("a"));
}

#[test]
fn a_machine_that_wants_to_go_on_at_once_may_do_so_but_not_for_ever() {
    for (times, fails) in [(3, false), (u32::MAX, true)] {
        let mut bench = Bench::of(&["a"]).make("a", move |_| {
            Ok(Probe {
                eager: times,
                ..Probe::default()
            })
        });
        bench.world.start_all();
        let ran = bench.world.run_for(SECOND);
        assert_eq!(ran.is_err(), fails, "{ran:?}");
        assert!(!fails || ran.is_err_and(|failure| failure.what.contains("it spins")));
    }
}

#[test]
fn a_machine_that_panics_fails_the_run_with_its_words() {
    let failure = failing(|start| Probe {
        panics: true,
        stubborn: Some(start.now.after(MS)),
        ..Probe::default()
    });
    assert!(
        failure.what.contains("the probe was told to panic"),
        "{failure}"
    );
}

#[test]
fn a_machine_that_never_stops_asking_is_found() {
    let failure = failing(|start| Probe {
        floods: true,
        script: vec![(start.now, datagram(1))],
        ..Probe::default()
    });
    assert!(
        failure.what.contains("more than 10000 effects"),
        "{failure}"
    );
}

#[test]
fn a_datagram_that_is_too_long_is_found() {
    let failure = failing(|start| Probe {
        script: vec![(start.now.after(MS), datagram(1_201))],
        ..Probe::default()
    });
    assert!(failure.what.contains("1201 bytes"), "{failure}");
}

#[test]
fn an_answer_to_nobody_is_found() {
    let reply = Effect::Reply {
        id: vaquita_core::ids::RequestId(9),
        reply: Ok(vaquita_core::admin::Response::Done),
    };
    let failure = failing(move |start| Probe {
        script: vec![(start.now.after(MS), reply.clone())],
        ..Probe::default()
    });
    assert!(failure.what.contains("which nobody waits for"), "{failure}");
}

#[test]
fn a_run_that_has_failed_goes_no_further() {
    let mut bench = Bench::of(&["a"]);
    bench.world.fail(None, "first");
    bench.world.fail(None, "second");
    for _ in 0..2 {
        let failure = bench.world.run_for(SECOND).unwrap_err();
        assert_eq!(
            (failure.at, failure.what.as_str()),
            (SimTime::ZERO, "first")
        );
    }
}

struct Objects;

impl Checker<Probes> for Objects {
    fn name(&self) -> &'static str {
        "objector"
    }

    fn after_step(&mut self, world: &World<Probes>, step: &StepRecord) -> Result<(), String> {
        assert_eq!(step.at, world.now());
        if step.kind == StepKind::Deadline {
            Err("not at this hour".into())
        } else {
            Ok(())
        }
    }
}

#[test]
fn a_checker_that_objects_fails_the_run_under_its_name() {
    let mut bench = Bench::of(&["a"]).script("a", &[(10 * MS, datagram(1))]);
    bench.world.add_checker(Objects);
    bench.world.start_all();
    let failure = bench.world.run_for(SECOND).unwrap_err();
    assert_eq!(failure.what, "objector: not at this hour");
    assert_eq!(failure.node.as_deref(), Some("a"));
}

#[test]
fn requests_are_answered_by_who_was_asked_or_stay_without_an_answer() {
    let request = || vaquita_core::admin::Request {
        caller: vaquita_core::admin::Caller::CONSOLE,
        verb: vaquita_core::admin::Verb::Status,
    };
    let mut bench = Bench::of(&["a", "b"]).start();
    let (a, b) = (bench.node("a"), bench.node("b"));
    bench.world.kill(b);
    let lost = bench.world.request(b, request());
    let asked = bench.world.request(a, request());
    bench.run(SECOND);
    assert_eq!(
        bench.world.answer(b, lost).unwrap().reply,
        None,
        "nobody is there"
    );
    assert_eq!(
        bench.world.answer(a, asked),
        None,
        "a probe does not answer"
    );
    assert_eq!(bench.world.unanswered(), 1);
    bench.world.kill(a);
    assert_eq!(
        bench.world.answer(a, asked).unwrap().reply,
        None,
        "it has died over it"
    );
    assert_eq!(bench.world.unanswered(), 0);
}

#[test]
fn taking_a_fault_out_leaves_the_rest_of_the_run_as_it_was() {
    let lines = |plan: &str| -> Vec<String> {
        let scenario = crate::toys::Everything {
            name: "",
            target: "lib",
            bug: None,
            span: 60 * SECOND,
        };
        let mut world = crate::run::Scenario::build(&scenario, 3, crate::trace::TraceMode::All);
        world.start_all();
        let weather = "at 1s weather loss=30% duplicates=20% jitter=30ms\n";
        world
            .load(&format!("{weather}{plan}").parse().unwrap())
            .unwrap();
        world.run_for(60 * SECOND).unwrap();
        let of_beacon = |line: &&str| line.contains(" b2 ") || line.contains(" c1 ");
        world
            .trace()
            .lines()
            .filter(of_beacon)
            .map(str::to_owned)
            .collect()
    };
    let quiet = lines("");
    assert!(quiet.len() > 500);
    let disturbed = lines("at 9s kill l1\nat 12s start l1\nat 20s pause b3\nat 30s resume b3\n");
    assert_eq!(
        quiet, disturbed,
        "what happens to l1 and b3 is nothing to b2 and c1"
    );
}
