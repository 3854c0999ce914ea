//! Clocks, timers and pauses.

use vaquita_core::ids::Endpoint;
use vaquita_core::io::Destination;

use super::*;

fn to_b(bytes: &[u8]) -> Effect {
    let to = Destination::Endpoint(Endpoint {
        host: "h1".into(),
        port: 7_000,
    });
    Effect::SendDatagram {
        to,
        bytes: bytes.to_vec(),
    }
}

fn beats(count: u8, every: Duration) -> Vec<(Duration, Effect)> {
    (1..=count)
        .map(|n| (every * u32::from(n), to_b(&[n])))
        .collect()
}

fn datagrams(bench: &Bench, alias: &str) -> Vec<u8> {
    let first = |input: &Input| match input {
        Input::Datagram { bytes, .. } => Some(bytes[0]),
        _ => None,
    };
    bench.probe(alias).inputs().filter_map(first).collect()
}

#[test]
fn timers_fire_when_asked_and_no_more_than_a_millisecond_late() {
    let bench = {
        let mut bench = Bench::of(&["a", "b"])
            .script("a", &beats(50, 20 * MS))
            .start();
        bench.run(2 * SECOND);
        bench
    };
    let probe = bench.probe("a");
    let fired: Vec<Timestamp> = probe.told.iter().map(|(at, _)| *at).collect();
    assert_eq!(fired.len(), 50);
    for (fired, (asked, _)) in fired.iter().zip(&probe.script) {
        assert!(
            fired >= asked && fired.since(*asked) <= MS,
            "asked for {asked}, fired at {fired}"
        );
    }
    assert_eq!(datagrams(&bench, "b").len(), 50);
}

#[test]
fn a_process_does_not_see_that_its_clock_did_not_begin_at_zero() {
    let starts: std::collections::BTreeSet<u64> = (0..5)
        .map(|seed| {
            let mut world = World::new(seed, Settings::default(), Probes::default());
            let host = world.add_host("h0");
            let node = world.add_node(NodeSpec::new("a", host, 7_000));
            world.start_all();
            world.run_for(100 * MS).unwrap();
            world.local_time(node).unwrap().as_nanos()
        })
        .collect();
    assert_eq!(starts.len(), 5);
}

#[test]
fn a_paused_process_finds_what_came_and_its_timers_late() {
    let mut bench = Bench::of(&["a", "b"])
        .script("a", &beats(30, 100 * MS))
        .script("b", &[(1_500 * MS, to_b(&[99]))])
        .start();
    bench.until(SECOND);
    let before = datagrams(&bench, "b").len();
    bench.step("pause b");
    bench.until(6 * SECOND);
    assert_eq!(
        datagrams(&bench, "b").len(),
        before,
        "a paused process is told nothing"
    );
    assert_eq!(bench.world.mailbox(bench.node("b")), 30 - before);
    assert_eq!(bench.world.life(bench.node("b")), Life::Paused);
    bench.step("resume b");
    bench.until(7 * SECOND);
    let mut came = datagrams(&bench, "b");
    came.retain(|byte| *byte != 99);
    assert_eq!(
        came,
        (1..=30).collect::<Vec<u8>>(),
        "in the order in which they arrived"
    );
    // Its own timer of 1.5 s sends it a 99.
    let own = |input: &Input| matches!(input, Input::Datagram { bytes, .. } if bytes == &[99]);
    let late = bench
        .probe("b")
        .told
        .iter()
        .find(|(_, input)| own(input))
        .unwrap()
        .0;
    assert!(
        late.since(Timestamp::ZERO) > 5 * SECOND,
        "the timer of 1.5 s fired by {late}"
    );
}

#[test]
fn datagrams_beyond_the_buffer_are_dropped_and_the_process_is_told_how_many() {
    let mut bench = Bench::of(&["a", "b"])
        .script("a", &beats(30, 100 * MS))
        .start();
    bench.world.settings_mut().datagram_buffer = 4;
    bench.step("pause b");
    bench.until(5 * SECOND);
    bench.step("resume b");
    bench.until(6 * SECOND);
    assert_eq!(datagrams(&bench, "b"), [1, 2, 3, 4]);
    assert!(
        bench
            .inputs("b")
            .contains(&Input::DatagramsDropped { count: 26 })
    );
}

#[test]
fn a_frozen_clock_fires_nothing_and_goes_on_where_it_stood() {
    let mut bench = Bench::of(&["a", "b"])
        .script("a", &beats(10, 100 * MS))
        .start();
    bench.until(500 * MS);
    bench.step("clock-freeze h0");
    let before = datagrams(&bench, "b").len();
    bench.until(10 * SECOND);
    assert!(datagrams(&bench, "b").len() <= before + 1);
    bench.step("clock-thaw h0");
    bench.until(12 * SECOND);
    assert_eq!(datagrams(&bench, "b").len(), 10);
    let last = bench.probe("a").told.last().unwrap().0;
    assert!(
        last.since(Timestamp::ZERO) < 2 * SECOND,
        "the machine saw nothing of the 9.5 s"
    );
}

#[test]
fn a_clock_that_jumps_fires_everything_at_once() {
    let mut bench = Bench::of(&["a", "b"])
        .script("a", &beats(10, 600 * SECOND))
        .start();
    bench.step("clock-jump h0 1h");
    bench.run(10 * MS);
    assert_eq!(datagrams(&bench, "b").len(), 6, "one in ten minutes");
}

#[test]
fn a_fast_clock_fires_early_and_a_slow_one_late() {
    for (ppm, expected) in [(200_000, 59), (-200_000, 39)] {
        let mut bench = Bench::of(&["a", "b"])
            .script("a", &beats(200, SECOND))
            .start();
        bench.step(&format!("clock-drift h0 {ppm}"));
        bench.run(49_500 * MS);
        let came = datagrams(&bench, "b").len();
        assert!(came.abs_diff(expected) <= 1, "{ppm} ppm: {came} in 49.5 s");
    }
}

#[test]
fn a_wall_clock_is_nothing_to_a_machine() {
    let run = |jump: &str| {
        let mut bench = Bench::of(&["a", "b"])
            .script("a", &beats(10, 100 * MS))
            .start();
        let before = bench.world.unix_ms(bench.world.host_of(bench.node("a")));
        if !jump.is_empty() {
            bench.step(jump);
        }
        bench.run(2 * SECOND);
        let after = bench.world.unix_ms(bench.world.host_of(bench.node("a")));
        (
            format!("{:?}", bench.probe("a").told),
            after.abs_diff(before),
        )
    };
    let (plain, passed) = run("");
    let (jumped, moved) = run("wall-jump h0 -86400000");
    assert_eq!((plain, passed), (jumped, 2_000));
    assert_eq!(moved, 86_400_000 - 2_000);
}
