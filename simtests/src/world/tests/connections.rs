//! Connections: how they open, carry, stall and break.

use vaquita_core::ids::{ConnId, Endpoint};
use vaquita_core::io::CloseReason;

use super::*;

fn connect(conn: u64, host: &str, port: u16) -> Effect {
    Effect::Connect {
        conn: ConnId(conn),
        to: Endpoint {
            host: host.into(),
            port,
        },
    }
}

fn send(conn: u64, bytes: &[u8]) -> Effect {
    Effect::Send {
        conn: ConnId(conn),
        bytes: bytes.to_vec(),
    }
}

fn close(conn: u64) -> Effect {
    Effect::Close { conn: ConnId(conn) }
}

/// All bytes a probe received, joined.
fn received(bench: &Bench, alias: &str) -> Vec<u8> {
    let bytes = |input: &Input| match input {
        Input::Received { bytes, .. } => Some(bytes.clone()),
        _ => None,
    };
    bench
        .probe(alias)
        .inputs()
        .filter_map(bytes)
        .collect::<Vec<_>>()
        .concat()
}

/// Why and when (by its own clock) a probe's connection ended.
fn closed(bench: &Bench, alias: &str) -> Option<(Timestamp, CloseReason)> {
    let reason = |(at, input): &(Timestamp, Input)| match input {
        Input::Closed { reason, .. } => Some((*at, reason.clone())),
        _ => None,
    };
    let mut ends = bench.probe(alias).told.iter().filter_map(reason);
    let end = ends.next();
    assert_eq!(ends.next(), None, "a connection ends once");
    end
}

fn broken(words: &str) -> impl Fn(&Option<(Timestamp, CloseReason)>) -> bool {
    move |closed| matches!(closed, Some((_, CloseReason::Broken(text))) if text.contains(words))
}

#[test]
fn a_connection_carries_bytes_both_ways_in_order_and_ends() {
    let text: Vec<u8> = (0..40_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let mut bench = Bench::of(&["a", "b"])
        .script(
            "a",
            &[
                (50 * MS, connect(2, "h1", 7_000)),
                (50 * MS, send(2, b"early ")),
                (80 * MS, send(2, &text)),
                (300 * MS, close(2)),
            ],
        )
        .script("b", &[(200 * MS, send(1, b"hello"))])
        .start();
    bench.run(2 * SECOND);
    assert!(matches!(
        bench.inputs("a")[0],
        Input::Connected {
            conn: ConnId(2),
            ..
        }
    ));
    assert!(matches!(
        bench.inputs("b")[0],
        Input::Accepted {
            conn: ConnId(1),
            ..
        }
    ));
    assert_eq!(
        received(&bench, "b"),
        [b"early ".as_slice(), &text].concat()
    );
    assert_eq!(received(&bench, "a"), b"hello");
    assert_eq!(closed(&bench, "b").unwrap().1, CloseReason::Ended);
    assert_eq!(closed(&bench, "a"), None, "who closes is not told");
    assert_eq!(bench.world.connections(), 0);
    assert_eq!(bench.world.connection_bytes_in_flight(), 0);
}

#[test]
fn a_stream_is_cut_into_pieces_that_differ_from_seed_to_seed() {
    let mut shapes = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let mut world = World::new(seed, Settings::default(), Probes::default());
        for name in ["h0", "h1"] {
            world.add_host(name);
        }
        let script = vec![
            (50 * MS, connect(2, "h1", 7_000)),
            (90 * MS, send(2, &[5; 500])),
        ];
        world.factory_mut().scripts.insert("a", script);
        let hosts: Vec<HostIx> = world.hosts().collect();
        world.add_node(NodeSpec::new("a", hosts[0], 7_000));
        world.add_node(NodeSpec::new("b", hosts[1], 7_000));
        let mut bench = Bench { world }.start();
        bench.run(SECOND);
        assert_eq!(received(&bench, "b"), [5; 500]);
        shapes.insert(bench.inputs("b").len());
    }
    assert!(shapes.len() > 4, "{shapes:?}");
}

#[test]
fn nobody_listening_refuses_and_a_cut_times_out_and_an_unknown_host_is_unknown() {
    let mut bench = Bench::of(&["a", "b", "c", "d"])
        .script("a", &[(200 * MS, connect(2, "h3", 7_001))])
        .script("b", &[(200 * MS, connect(2, "h3", 7_000))])
        .script("c", &[(200 * MS, connect(2, "nowhere", 7_000))])
        .start();
    bench.step("cut h3 h1 tcp");
    bench.run(10 * SECOND);
    assert_eq!(closed(&bench, "a").unwrap().1, CloseReason::Refused);
    let (at, reason) = closed(&bench, "b").unwrap();
    assert_eq!(reason, CloseReason::TimedOut);
    let dialled = bench.probe("b").told[0].0;
    assert!(at.since(dialled) >= 3 * SECOND && at.since(dialled) < 3_100 * MS);
    assert_eq!(closed(&bench, "c").unwrap().1, CloseReason::UnknownHost);
    assert_eq!(bench.inputs("d"), []);
    assert_eq!(bench.world.connections(), 0);
}

#[test]
fn a_lost_request_to_connect_is_sent_again() {
    let mut bench = Bench::of(&["a", "b"])
        .script("a", &[(200 * MS, connect(2, "h1", 7_000))])
        .start();
    bench.step("cut h0 h1 all");
    bench.run(500 * MS);
    bench.step("heal h0 h1");
    bench.run(2 * SECOND);
    let (at, connected) = bench.probe("a").told.last().unwrap().clone();
    assert!(
        matches!(connected, Input::Connected { .. }),
        "{connected:?}"
    );
    let took = at.since(bench.probe("a").told[0].0);
    assert!(
        took >= SECOND && took < 1_100 * MS,
        "connected after {took:?}"
    );
}

#[test]
fn a_host_without_power_does_not_even_refuse() {
    let mut bench = Bench::of(&["a", "b"])
        .script("a", &[(200 * MS, connect(2, "h1", 7_000))])
        .start();
    bench.step("power-cut h1");
    bench.run(10 * SECOND);
    assert_eq!(closed(&bench, "a").unwrap().1, CloseReason::TimedOut);
}

#[test]
fn loss_delays_a_stream_by_retransmissions_and_loses_nothing() {
    let chunk = |n: u8| send(2, &[n; 900]);
    let mut script = vec![(50 * MS, connect(2, "h1", 7_000))];
    script.extend((0..200_u8).map(|n| (SECOND + 20 * MS * u32::from(n), chunk(n))));
    let mut bench = Bench::of(&["a", "b"]).script("a", &script).start();
    bench.until(SECOND);
    bench.step("weather loss=20%");
    bench.until(5 * SECOND);
    let early = received(&bench, "b").len();
    assert!(
        early < 200 * 900,
        "20% loss shows as delay, and all {early} bytes are there in time"
    );
    bench.until(120 * SECOND);
    let expected: Vec<u8> = (0..200_u8).flat_map(|n| [n; 900]).collect();
    assert_eq!(received(&bench, "b"), expected);
    assert_eq!(closed(&bench, "b"), None);
}

#[test]
fn a_short_cut_stalls_and_a_long_one_breaks() {
    let script = [
        (50 * MS, connect(2, "h1", 7_000)),
        (2 * SECOND, send(2, b"x")),
    ];
    for (heals_after, breaks) in [(10, false), (60, true)] {
        let mut bench = Bench::of(&["a", "b"]).script("a", &script).start();
        bench.until(SECOND);
        bench.step("cut h0 h1 all");
        bench.until(Duration::from_secs(heals_after));
        assert_eq!(received(&bench, "b"), b"");
        bench.step("heal h0 h1");
        bench.until(Duration::from_secs(120));
        assert_eq!(received(&bench, "b") == b"x", !breaks);
        assert_eq!(broken("timed out")(&closed(&bench, "a")), breaks);
    }
}

#[test]
fn a_stream_whose_acknowledgements_are_cut_arrives_and_breaks_all_the_same() {
    let script = [
        (50 * MS, connect(2, "h1", 7_000)),
        (2 * SECOND, send(2, b"x")),
    ];
    let mut bench = Bench::of(&["a", "b"]).script("a", &script).start();
    bench.until(SECOND);
    bench.step("cut h1 h0 all");
    bench.until(20 * SECOND);
    assert_eq!(
        received(&bench, "b"),
        b"x",
        "once, although it is sent again and again"
    );
    assert_eq!(closed(&bench, "a"), None);
    bench.until(120 * SECOND);
    assert!(broken("timed out")(&closed(&bench, "a")));
}

#[test]
fn the_peers_of_a_killed_process_are_told() {
    let mut bench = Bench::of(&["a", "b"])
        .script("a", &[(50 * MS, connect(2, "h1", 7_000))])
        .start();
    bench.until(SECOND);
    bench.step("kill b");
    bench.run(MS);
    assert_eq!(closed(&bench, "a").unwrap().1, CloseReason::Ended);
    assert_eq!(bench.world.connections(), 0);
}

#[test]
fn the_peers_of_a_host_without_power_are_not_told_until_they_send() {
    let script = [
        (50 * MS, connect(2, "h1", 7_000)),
        (20 * SECOND, send(2, b"x")),
    ];
    let mut bench = Bench::of(&["a", "b"]).script("a", &script).start();
    bench.until(SECOND);
    bench.step("power-cut h1");
    bench.until(19 * SECOND);
    assert_eq!(closed(&bench, "a"), None);
    bench.step("power-on h1");
    bench.until(21 * SECOND);
    assert!(
        broken("reset by peer")(&closed(&bench, "a")),
        "the new kernel does not know it"
    );
    assert_eq!(received(&bench, "b"), b"");
}

#[test]
fn an_idle_connection_to_a_vanished_host_is_noticed_by_keepalive() {
    let mut bench = Bench::of(&["a", "b"])
        .script("a", &[(50 * MS, connect(2, "h1", 7_000))])
        .start();
    bench.until(SECOND);
    bench.step("power-cut h1");
    bench.until(29 * SECOND);
    assert_eq!(closed(&bench, "a"), None);
    bench.until(50 * SECOND);
    assert!(broken("timed out")(&closed(&bench, "a")));
    assert_eq!(bench.world.connections(), 0);
}

#[test]
fn an_idle_connection_to_a_living_host_stays() {
    let mut bench = Bench::of(&["a", "b"])
        .script("a", &[(50 * MS, connect(2, "h1", 7_000))])
        .start();
    bench.until(600 * SECOND);
    assert_eq!((closed(&bench, "a"), closed(&bench, "b")), (None, None));
    assert_eq!(bench.world.connections(), 1);
}

#[test]
fn who_sends_to_one_that_has_closed_long_ago_is_reset() {
    let mut bench = Bench::of(&["a", "b"])
        .script(
            "a",
            &[
                (50 * MS, connect(2, "h1", 7_000)),
                (5 * SECOND, send(2, b"x")),
            ],
        )
        .script("b", &[(2 * SECOND, close(1))])
        .start();
    bench.until(SECOND);
    // The end of the stream cannot reach a; what a sends can reach b.
    bench.step("cut h1 h0 tcp");
    bench.until(10 * SECOND);
    assert_eq!(closed(&bench, "a"), None);
    bench.step("heal h1 h0");
    bench.until(60 * SECOND);
    assert!(closed(&bench, "a").is_some());
    assert_eq!(bench.world.connections(), 0);
}

#[test]
fn what_arrives_after_a_machine_has_closed_is_not_told() {
    // b closes while paused bytes wait for it; they are gone when it goes on.
    let mut bench = Bench::of(&["a", "b"])
        .script(
            "a",
            &[
                (50 * MS, connect(2, "h1", 7_000)),
                (2 * SECOND, send(2, b"x")),
            ],
        )
        .script("b", &[(1_500 * MS, close(1))])
        .start();
    bench.until(SECOND);
    bench.step("pause b");
    bench.until(3 * SECOND);
    bench.step("resume b");
    bench.until(20 * SECOND);
    let inputs = bench.inputs("b");
    let closes = inputs
        .iter()
        .any(|input| matches!(input, Input::Closed { .. }));
    assert!(!closes, "{inputs:?}");
    assert_eq!(bench.world.connections(), 0);
}

#[test]
fn many_connections_leave_nothing_behind() {
    let mut bench = Bench::of(&["a", "b"])
        .script(
            "a",
            &(1..=100_u64)
                .flat_map(|n| {
                    let at = 20 * MS * u32::try_from(n).unwrap();
                    [
                        (at, connect(2 * n, "h1", 7_000)),
                        (at + 10 * MS, send(2 * n, b"some bytes")),
                        (at + 15 * MS, close(2 * n)),
                    ]
                })
                .collect::<Vec<_>>(),
        )
        .start();
    bench.step("weather loss=30%");
    bench.until(300 * SECOND);
    assert_eq!(bench.world.connections(), 0);
    assert_eq!(bench.world.connection_bytes_in_flight(), 0);
}
