//! Which faults come when, and to whom: a function of the seed.

use std::time::Duration;

use vaquita_core::prng::{Prng, mix};

use crate::fault::{Deed, Kind, Port, Strike, Who};

/// What a schedule is made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// From which everything follows.
    pub seed: u64,
    /// Within which every fault comes, and is put right again.
    pub time: Duration,
    /// The kinds that there may be.
    pub kinds: Vec<Kind>,
    /// How many hosts have a data node.
    pub hosts: usize,
}

/// The load is alone for so long.
const QUIET: Duration = Duration::from_secs(1);
/// Faults that are there at once, at most.
const AT_ONCE: usize = 3;

/// Makes the schedule: strikes in the order of their times.
///
/// Not more than three overlap, and never two that would hinder one another: those that concern the processes
/// of one host, its disk, or links as a whole.
#[must_use]
pub fn schedule(wanted: &Wanted) -> Vec<Strike> {
    let mut draw = Draw {
        prng: Prng::new(mix(wanted.seed ^ 0x6e65_6d65_7369_7300)),
        hosts: wanted.hosts.max(1),
    };
    let mut strikes: Vec<Strike> = Vec::new();
    let mut at = QUIET;
    // Each kind in turn, in an order that is drawn anew each time: a short run meets many kinds too.
    let mut turn: Vec<Kind> = Vec::new();
    while !wanted.kinds.is_empty() {
        at += Duration::from_millis(100 + draw.below(2_400));
        if at >= wanted.time {
            break;
        }
        if turn.is_empty() {
            turn = draw.shuffled(&wanted.kinds);
        }
        let Some(kind) = turn.pop() else { break };
        let strike = Strike {
            at,
            lasts: draw.lasts(kind).min(wanted.time - at),
            deed: draw.deed(kind),
        };
        let under_way = strikes.iter().filter(|it| it.at + it.lasts > at);
        let under_way: Vec<&Strike> = under_way.collect();
        let hinders = |other: &&Strike| hinder(&strike.deed, &other.deed);
        if under_way.len() < AT_ONCE && !under_way.iter().any(hinders) {
            strikes.push(strike);
        }
    }
    strikes
}

/// What a fault is done to: two that have one in common are not done at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Object {
    Controller,
    Processes(usize),
    Disk(usize),
    Links,
    Clock(Port),
}

fn objects(deed: &Deed) -> Vec<Object> {
    match deed {
        Deed::Kill(who) | Deed::Terminate(who) | Deed::Stop(who) => match *who {
            Who::Controller => vec![Object::Controller],
            Who::Agent(host) | Who::Node(host) | Who::Host(host) => vec![Object::Processes(host)],
            Who::All => Vec::new(),
        },
        Deed::StopNode(host) | Deed::Drain(host) => vec![Object::Processes(*host)],
        Deed::Cut(..) | Deed::Isolate(_) | Deed::Split(_) | Deed::Delay(_) | Deed::Lose(_) => {
            vec![Object::Links]
        }
        Deed::Fill(host) | Deed::Unmount(host) | Deed::Slow(host) | Deed::Hang(host) => {
            vec![Object::Disk(*host)]
        }
        // It is put right while its node is stopped.
        Deed::ReadOnly(host) => vec![Object::Disk(*host), Object::Processes(*host)],
        Deed::Clock(of, _) => vec![Object::Clock(*of)],
    }
}

/// Whether two faults are not to be there at once.
pub(crate) fn hinder(one: &Deed, other: &Deed) -> bool {
    let all = |deed: &Deed| {
        let (Deed::Kill(who) | Deed::Terminate(who) | Deed::Stop(who)) = deed else {
            return false;
        };
        *who == Who::All
    };
    let of_processes =
        |object: &Object| matches!(object, Object::Controller | Object::Processes(_));
    let (ones, others) = (objects(one), objects(other));
    (all(one) && (all(other) || others.iter().any(of_processes)))
        || (all(other) && ones.iter().any(of_processes))
        || ones.iter().any(|it| others.contains(it))
}

struct Draw {
    prng: Prng,
    hosts: usize,
}

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.prng.below(bound)
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    fn host(&mut self) -> usize {
        usize::try_from(self.below(self.hosts as u64)).unwrap_or_default()
    }

    fn shuffled(&mut self, kinds: &[Kind]) -> Vec<Kind> {
        let mut kinds = kinds.to_vec();
        for last in (1..kinds.len()).rev() {
            let other = usize::try_from(self.below(last as u64 + 1)).unwrap_or_default();
            kinds.swap(last, other);
        }
        kinds
    }

    /// Shorter than anybody judges, about as long as the bounds are, or clearly longer.
    fn lasts(&mut self, kind: Kind) -> Duration {
        let ms = match (self.below(10), kind) {
            (0..4, _) => 100 + self.below(1_500),
            (4..8, _) => 1_500 + self.below(5_000),
            // A volume is given up after half a minute without an answer.
            (_, Kind::Hang) => 20_000 + self.below(20_000),
            _ => 6_000 + self.below(10_000),
        };
        Duration::from_millis(ms)
    }

    fn who(&mut self) -> Who {
        match self.below(12) {
            0..2 => Who::Controller,
            2..4 => Who::Agent(self.host()),
            4..6 => Who::Host(self.host()),
            _ => Who::Node(self.host()),
        }
    }

    fn port(&mut self) -> Port {
        match self.below(6) {
            0 => Port::Controller,
            1 => Port::Clients,
            _ => Port::Host(self.host()),
        }
    }

    fn deed(&mut self, kind: Kind) -> Deed {
        match kind {
            Kind::Kill if self.one_in(12) => Deed::Kill(Who::All),
            Kind::Kill => Deed::Kill(self.who()),
            Kind::Terminate => Deed::Terminate(self.who()),
            Kind::Stop => Deed::Stop(self.who()),
            Kind::Cut => match self.below(6) {
                0 => Deed::Isolate(self.host()),
                1 => {
                    let first = self.host();
                    let hosts = (0..self.hosts / 2).map(|nth| (first + nth) % self.hosts);
                    Deed::Split(hosts.collect())
                }
                _ => loop {
                    let (from, to) = (self.port(), self.port());
                    if from != to {
                        break Deed::Cut(from, to);
                    }
                },
            },
            Kind::Delay => Deed::Delay(Duration::from_millis(5 + self.below(400))),
            Kind::Lose => Deed::Lose(u16::try_from(5 + self.below(250)).unwrap_or(u16::MAX)),
            Kind::Fill => Deed::Fill(self.host()),
            Kind::Unmount => Deed::Unmount(self.host()),
            Kind::ReadOnly => Deed::ReadOnly(self.host()),
            Kind::Slow => Deed::Slow(self.host()),
            Kind::Hang => Deed::Hang(self.host()),
            Kind::Clock => {
                let of = match self.one_in(3) {
                    true => Port::Controller,
                    false => Port::Host(self.host()),
                };
                let by = 10_i64.pow(u32::try_from(self.below(8)).unwrap_or_default());
                Deed::Clock(of, if self.one_in(2) { by } else { -by })
            }
            Kind::Operate if self.one_in(3) => Deed::Drain(self.host()),
            Kind::Operate => Deed::StopNode(self.host()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn of(seed: u64, secs: u64) -> Vec<Strike> {
        schedule(&Wanted {
            seed,
            time: Duration::from_secs(secs),
            kinds: Kind::ALL.to_vec(),
            hosts: 5,
        })
    }

    #[test]
    fn a_seed_has_one_schedule_and_another_seed_another_one() {
        assert_eq!(of(7, 600), of(7, 600));
        assert_ne!(of(7, 600), of(8, 600));
    }

    #[test]
    fn every_kind_comes_within_a_minute_or_two() {
        for seed in 0..50 {
            let kinds: BTreeSet<Kind> = of(seed, 120).iter().map(|it| it.deed.kind()).collect();
            assert!(kinds.len() >= Kind::ALL.len() - 1, "seed {seed}: {kinds:?}");
        }
    }

    #[test]
    fn all_is_put_right_by_the_end_and_no_two_hinder_one_another() {
        for seed in 0..50 {
            let strikes = of(seed, 300);
            for (nth, strike) in strikes.iter().enumerate() {
                assert!(strike.at + strike.lasts <= Duration::from_secs(300));
                for later in &strikes[nth + 1..] {
                    let at_once = later.at < strike.at + strike.lasts;
                    assert!(
                        !at_once || !hinder(&later.deed, &strike.deed),
                        "seed {seed}"
                    );
                }
            }
        }
    }

    #[test]
    fn only_what_is_wanted_comes() {
        let wanted = Wanted {
            seed: 3,
            time: Duration::from_secs(60),
            kinds: vec![Kind::Fill],
            hosts: 2,
        };
        let strikes = schedule(&wanted);
        assert!(!strikes.is_empty());
        assert!(strikes.iter().all(|it| it.deed.kind() == Kind::Fill));
    }
}
