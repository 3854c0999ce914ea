use std::time::Duration;

use super::*;

const A: HostIx = HostIx::new(0);
const B: HostIx = HostIx::new(1);
const C: HostIx = HostIx::new(2);

fn net(weather: LinkProfile) -> SimNet {
    SimNet::new(Streams::new(5), weather)
}

/// What becomes of a datagram of 100 bytes: its copies, with their delays.
fn send(net: &mut SimNet, at: SimTime, from: HostIx, to: HostIx) -> Vec<Arrival> {
    let mut copies = Vec::new();
    net.datagram(at, from, to, vec![7; 100], |arrival| copies.push(arrival));
    copies
}

fn count(net: &mut SimNet, times: u64, mut good: impl FnMut(&[Arrival]) -> bool) -> usize {
    (0..times)
        .filter(|n| good(&send(net, SimTime::from_millis(*n), A, B)))
        .count()
}

#[test]
fn datagrams_are_lost_at_their_rate() {
    let mut net = net(LinkProfile {
        loss: Rate::percent(40),
        ..LinkProfile::default()
    });
    let arrived = count(&mut net, 10_000, |copies| !copies.is_empty());
    assert!(
        (5_700..6_300).contains(&arrived),
        "{arrived} of 10000 at 40% loss"
    );
    assert_eq!(net.stats.lost, 10_000 - arrived as u64);
}

#[test]
fn a_quiet_network_delivers_each_datagram_once_and_whole() {
    let mut net = net(LinkProfile::default());
    let good = count(
        &mut net,
        1_000,
        |copies| matches!(copies, [one] if one.bytes == [7; 100] && one.after >= 100_000),
    );
    assert_eq!(good, 1_000);
}

#[test]
fn bursts_last_for_a_time_and_not_for_a_number_of_datagrams() {
    let bursts = Bursts {
        good: Duration::from_secs(5),
        bad: Duration::from_secs(2),
        loss: Rate::ALWAYS,
    };
    let weather = LinkProfile {
        bursts: Some(bursts),
        ..LinkProfile::default()
    };
    let longest_gap = |every: u64| {
        let mut net = net(weather);
        let mut last = 0;
        let mut longest = 0;
        for n in 0..600_000 / every {
            if !send(&mut net, SimTime::from_millis(n * every), A, B).is_empty() {
                longest = longest.max(n * every - last);
                last = n * every;
            }
        }
        longest
    };
    for every in [10, 500] {
        let silence = longest_gap(every);
        assert!(
            (3_000..20_000).contains(&silence),
            "{silence} ms with one in {every} ms"
        );
    }
}

#[test]
fn a_share_of_time_is_bad_as_the_means_say() {
    let bursts = Bursts {
        good: Duration::from_secs(3),
        bad: Duration::from_secs(1),
        loss: Rate::ALWAYS,
    };
    let mut net = net(LinkProfile {
        bursts: Some(bursts),
        ..LinkProfile::default()
    });
    let arrived = (0..100_000)
        .filter(|n| !send(&mut net, SimTime::from_millis(n * 50), A, B).is_empty())
        .count();
    assert!(
        (70_000..80_000).contains(&arrived),
        "{arrived} of 100000 at 3 s good and 1 s bad"
    );
}

#[test]
fn a_cut_is_one_way_and_stays() {
    let mut net = net(LinkProfile {
        loss: Rate::percent(5),
        ..LinkProfile::default()
    });
    net.set_cut(A, B, Cut::All, true);
    for n in 0..1_000 {
        let at = SimTime::from_secs(n);
        assert!(send(&mut net, at, A, B).is_empty());
        assert!(net.segment(at, A, B).is_none());
    }
    assert!((0..100).any(|n| !send(&mut net, SimTime::from_secs(n), B, A).is_empty()));
    assert!(net.any_cut());
    net.set_cut(A, B, Cut::All, false);
    assert!((0..100).any(|n| !send(&mut net, SimTime::from_secs(n), A, B).is_empty()));
    assert!(!net.any_cut());
}

#[test]
fn a_firewall_can_stop_datagrams_alone_or_connections_alone() {
    let mut net = net(LinkProfile::default());
    net.set_cut(A, B, Cut::Udp, true);
    assert!(send(&mut net, SimTime::ZERO, A, B).is_empty());
    assert!(net.segment(SimTime::ZERO, A, B).is_some());
    net.set_cut(A, C, Cut::Tcp, true);
    assert!(!send(&mut net, SimTime::ZERO, A, C).is_empty());
    assert!(net.segment(SimTime::ZERO, A, C).is_none());
}

#[test]
fn copies_damage_and_stragglers_come_at_their_rates() {
    let rate = Rate::percent(10);
    let mut net = net(LinkProfile {
        duplicates: rate,
        corruption: rate,
        truncation: rate,
        stragglers: rate,
        straggling: Duration::from_secs(60),
        ..LinkProfile::default()
    });
    let (mut copies, mut flipped, mut cut, mut late) = (0, 0, 0, 0);
    for n in 0..10_000 {
        let arrivals = send(&mut net, SimTime::from_millis(n), A, B);
        copies += usize::from(arrivals.len() > 1);
        cut += usize::from(arrivals.iter().any(|one| one.bytes.len() < 100));
        flipped += usize::from(
            arrivals
                .iter()
                .any(|one| one.bytes.iter().any(|byte| *byte != 7)),
        );
        late += usize::from(arrivals.iter().any(|one| one.after > 1_000_000_000));
    }
    for (what, count) in [
        ("copies", copies),
        ("flips", flipped),
        ("cuts", cut),
        ("late", late),
    ] {
        assert!(
            (800..1_200).contains(&count),
            "{count} {what} of 10000 at 10%"
        );
    }
}

#[test]
fn jitter_lets_datagrams_overtake_each_other() {
    let jitter = Duration::from_millis(50);
    let mut net = net(LinkProfile {
        jitter,
        ..LinkProfile::default()
    });
    let arrivals: Vec<u64> = (0..1_000)
        .flat_map(|n| {
            let sent = SimTime::from_millis(n * 10);
            send(&mut net, sent, A, B)
                .into_iter()
                .map(move |one| sent.as_nanos() + one.after)
        })
        .collect();
    let overtaken = arrivals.windows(2).filter(|pair| pair[0] > pair[1]).count();
    assert!(overtaken > 100, "{overtaken} of 999");
}

#[test]
fn the_fate_of_a_datagram_does_not_depend_on_other_links() {
    let weather = LinkProfile {
        loss: Rate::percent(50),
        ..LinkProfile::default()
    };
    let fates = |others: bool| -> Vec<bool> {
        let mut net = net(weather);
        let mut fates = Vec::new();
        for n in 0..500 {
            if others {
                send(&mut net, SimTime::from_millis(n), B, A);
                send(&mut net, SimTime::from_millis(n), A, C);
                net.segment(SimTime::from_millis(n), A, B);
            }
            fates.push(send(&mut net, SimTime::from_millis(n), A, B).is_empty());
        }
        fates
    };
    assert_eq!(fates(false), fates(true));
}

#[test]
fn turning_one_property_off_leaves_the_others_as_they_were() {
    let some = Rate::percent(30);
    let both = LinkProfile {
        loss: some,
        corruption: some,
        ..LinkProfile::default()
    };
    let lost = |profile: LinkProfile| -> Vec<bool> {
        let mut net = net(profile);
        (0..500)
            .map(|n| send(&mut net, SimTime::from_millis(n), A, B).is_empty())
            .collect()
    };
    assert_eq!(
        lost(both),
        lost(LinkProfile {
            corruption: Rate::NEVER,
            ..both
        })
    );
}

#[test]
fn a_host_always_reaches_itself() {
    let mut net = net(LinkProfile {
        loss: Rate::ALWAYS,
        ..LinkProfile::default()
    });
    net.set_cut(A, A, Cut::All, true);
    assert_eq!(send(&mut net, SimTime::ZERO, A, A).len(), 1);
    assert!(net.segment(SimTime::ZERO, A, A).is_some());
    assert!(!net.is_cut(A, A, Traffic::Udp));
}

#[test]
fn a_link_may_differ_from_the_weather() {
    let mut net = net(LinkProfile::default());
    net.set_profile(
        A,
        B,
        Some(LinkProfile {
            loss: Rate::ALWAYS,
            ..LinkProfile::default()
        }),
    );
    assert!(send(&mut net, SimTime::ZERO, A, B).is_empty());
    assert_eq!(send(&mut net, SimTime::ZERO, A, C).len(), 1);
    net.set_profile(A, B, None);
    assert_eq!(send(&mut net, SimTime::ZERO, A, B).len(), 1);
}

#[test]
fn addresses_and_hosts_belong_together() {
    for number in [0, 1, 254, 255, 256, 70_000] {
        let host = HostIx::new(number);
        assert_eq!(host_at(address(host)), Some(host));
    }
    for other in ["127.0.0.1", "192.168.0.1", "10.0.0.0", "::1"] {
        assert_eq!(host_at(other.parse().unwrap()), None, "{other}");
    }
}
