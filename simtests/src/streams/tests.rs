use super::*;

#[test]
fn a_decision_depends_on_seed_stream_key_and_counter_and_nothing_else() {
    let streams = Streams::new(7);
    let first = streams.at(Stream::Datagram, 3, 4).bits();
    assert_eq!(first, Streams::new(7).at(Stream::Datagram, 3, 4).bits());
    for other in [
        Streams::new(8).at(Stream::Datagram, 3, 4).bits(),
        streams.at(Stream::Segment, 3, 4).bits(),
        streams.at(Stream::Datagram, 4, 4).bits(),
        streams.at(Stream::Datagram, 3, 5).bits(),
    ] {
        assert_ne!(first, other);
    }
}

#[test]
fn neighbouring_decisions_are_not_alike() {
    let streams = Streams::new(1);
    let heads = (0..10_000)
        .filter(|&counter| {
            streams
                .at(Stream::Datagram, 1, counter)
                .chance(Rate::percent(25))
        })
        .count();
    assert!((2_300..2_700).contains(&heads), "{heads} of 10000 at 25%");
}

#[test]
fn an_exponential_draw_has_its_mean_and_its_tail() {
    let streams = Streams::new(3);
    let draws: Vec<u64> = (0..20_000)
        .map(|n| streams.at(Stream::Burst, 0, n).exponential(1_000))
        .collect();
    let mean = draws.iter().sum::<u64>() / 20_000;
    assert!((950..1_100).contains(&mean), "mean {mean}");
    let tail = draws.iter().filter(|&&draw| draw > 3_000).count();
    // e^-3 is 5 %.
    assert!(
        (700..1_300).contains(&tail),
        "{tail} of 20000 above three times the mean"
    );
}

#[test]
fn a_rate_prints_as_it_is_read() {
    for text in ["0%", "100%", "40%", "2.5%", "0.0001%", "99.9999%"] {
        assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
    }
    for text in ["", "5", "101%", "100.1%", "-1%", "1.00001%", "1.x%"] {
        assert!(text.parse::<Rate>().is_err(), "{text}");
    }
}

#[test]
fn rates_of_zero_and_one_are_never_and_always() {
    let streams = Streams::new(9);
    for n in 0..1_000 {
        assert!(!streams.at(Stream::Fault, 0, n).chance(Rate::NEVER));
        assert!(streams.at(Stream::Fault, 0, n).chance(Rate::ALWAYS));
    }
}
