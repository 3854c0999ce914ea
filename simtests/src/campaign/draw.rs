//! Cases out of seeds.

use std::time::Duration;

use vaquita_core::planted::Planted;

use super::case::{Breakage, Broken, Case, Happening, What};
use super::setup::Setup;
use crate::plan::{Shape, Swarm};
use crate::streams::{Draw, Rate, Stream, Streams, index};
use crate::time::SimTime;
use crate::vaquita::files::{Expected, Order};
use crate::vaquita::{Cluster, MASTER};

/// Orders of clients in a case, at most: a search for an order of events that explains what they were
/// told has to come to an end.
const CLIENT_ORDERS_MAX: u64 = 150;

impl Case {
    /// The case of a seed.
    ///
    /// Whole classes of faults, of operators' orders and of what clients want are left out of many, so
    /// that what remains is not hidden by what always comes with it.
    #[must_use]
    pub fn drawn(seed: u64) -> Self {
        let streams = Streams::new(seed);
        let mut draw = streams.at(Stream::Settings, 0, 0);
        let setup = Setup::drawn(&mut draw);
        let cluster = setup.cluster();
        let span = Duration::from_secs(*draw.pick(&[20, 60, 100, 180]));
        let mut shape = shape(&cluster, span, &mut draw);
        shape.disturbances = *draw.pick(&[2, 6, 12, 25]);
        shape.requests = *draw.pick(&[0, 3, 10]);
        let plan = Swarm::with_agents(&streams).plan(&shape);
        let until = SimTime::ZERO.after(span);
        let plan = plan.before(until);
        let faults = plan.steps().iter().map(|timed| Happening {
            at: timed.at.since(SimTime::ZERO),
            what: What::Step(timed.step.clone()),
        });
        let mut steps: Vec<Happening> = faults.collect();
        steps.extend(clients(&streams, span, &mut draw));
        let broken = draw.chance(Rate::percent(25)).then(|| Broken {
            host: Cluster::host_name(cluster.hosts),
            how: draw.pick(&Breakage::ALL).1,
        });
        Self {
            story: Vec::new(),
            seed,
            setup,
            planted: Planted::default(),
            calm: std::collections::BTreeSet::new(),
            span,
            // Too few others would be left to get on.
            broken: broken.filter(|_| cluster.hosts > 3),
            steps,
        }
        .in_order()
    }
}

/// What may happen to such a cluster: its home disks fail in ways that a machine survives, and in some
/// runs volumes lose what they have, of one host at most.
fn shape(cluster: &Cluster, span: Duration, draw: &mut Draw) -> Shape {
    let mut shape = cluster.shape(span);
    let volumes = |name: &String| {
        let name = name.clone();
        (0..cluster.volumes).map(move |slot| format!("{name}/{slot}"))
    };
    let names: Vec<String> = cluster.node_names().collect();
    shape.disks.extend(names.iter().cloned());
    shape.disks.extend(names.iter().flat_map(volumes));
    if draw.chance(Rate::percent(40)) {
        let host = u32::try_from(1 + draw.below(u64::from(cluster.hosts))).unwrap_or(1);
        let nodes = 1..=cluster.nodes_on(host);
        let nodes = nodes.map(|number| Cluster::node_name(host, number));
        shape.expendable = nodes.flat_map(|name| volumes(&name)).collect();
    }
    let mut asks = vec!["start all".to_owned(), "status".to_owned()];
    let classes: [(u32, &[&str]); 4] = [
        (50, &["start", "stop"]),
        (40, &["drain", "serve", "maintain"]),
        (30, &["rescan"]),
        (30, &["volume"]),
    ];
    for (percent, verbs) in classes {
        let there = draw.chance(Rate::percent(percent));
        for verb in verbs.iter().filter(|_| there) {
            asks.extend(names.iter().flat_map(|name| match *verb {
                "volume" => vec![
                    format!("volume drain {name} /{name}/0"),
                    format!("volume serve {name} /{name}/0"),
                ],
                verb => vec![format!("{verb} {name}")],
            }));
        }
    }
    if draw.chance(Rate::percent(30)) {
        asks.extend(["repair suspend", "repair resume"].map(str::to_owned));
    }
    if draw.chance(Rate::percent(30)) {
        let changes = [
            "factor 2",
            "factor 3",
            "level 0",
            "level 1",
            "level 2",
            "min-write 1",
        ];
        asks.extend(changes.map(|change| format!("configure {change}")));
    }
    shape.asks = asks
        .into_iter()
        .map(|text| (MASTER.to_owned(), text))
        .collect();
    shape
}

/// What clients want: a mixture of everything on a few paths, at a pace of its own.
fn clients(streams: &Streams, span: Duration, draw: &mut Draw) -> Vec<Happening> {
    let most = CLIENT_ORDERS_MAX + 1;
    let count = match draw.below(4) {
        0 => draw.below(10),
        _ => draw.below(most),
    };
    let paths = count / 8 + 1 + draw.below(4);
    // Weights of puts, conditional puts, gets, removals and renamings; some are left out.
    let weights = [4, 1, 3, 1, 1].map(|weight| {
        if draw.chance(Rate::percent(25)) {
            0
        } else {
            weight * (1 + draw.below(3))
        }
    });
    let largest = *draw.pick(&[200, 8 * 1024, 30 * 1024]);
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    // In bursts or spread evenly: conflicts need company.
    let bursts = draw.chance(Rate::percent(30)).then(|| 1 + draw.below(5));
    let orders = (0..count).map(|nth| {
        let mut draw = streams.at(Stream::Workload, 0xca5e, nth);
        let at = match bursts {
            Some(bursts) => {
                let burst = draw.below(bursts) * millis / bursts;
                (burst + draw.below(300)).min(millis.saturating_sub(1))
            }
            None => draw.below(millis),
        };
        Happening {
            at: Duration::from_millis(at),
            what: What::Client(order(nth, paths, largest, &weights, &mut draw)),
        }
    });
    orders.collect()
}

fn order(nth: u64, paths: u64, largest: u64, weights: &[u64; 5], draw: &mut Draw) -> Order {
    let path = format!("/d/f{}", draw.below(paths));
    let len = match draw.below(6) {
        0 => 0,
        1 => 16 + draw.below(200),
        // The length up to which a chunk is packed with others, and one byte more.
        2 => 3 * 1024 + draw.below(2),
        _ => 16 + draw.below(largest),
    };
    let put = |path, expect| Order::Put {
        path,
        number: 1000 + nth,
        len: index(len),
        expect,
    };
    let total: u64 = weights.iter().sum();
    let mut at = draw.below(total);
    let kind = weights.iter().position(|weight| {
        let here = at < *weight;
        at = at.saturating_sub(*weight);
        here
    });
    match kind {
        Some(1) => {
            let expect = *draw.pick(&[Expected::Nothing, Expected::Something]);
            put(path, expect)
        }
        Some(2) => Order::Get { path },
        Some(3) => Order::Remove { path },
        Some(4) => Order::Rename {
            to: format!("{path}r"),
            from: path,
            replace: draw.chance(Rate::percent(50)),
        },
        _ => put(path, Expected::Anything),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_case_reads_as_it_is_written() {
        for seed in 0..100 {
            let case = Case::drawn(seed);
            assert_eq!(case.to_string().parse(), Ok(case));
        }
    }

    #[test]
    fn cases_differ_in_what_they_leave_out() {
        let texts: Vec<String> = (0..60).map(|seed| Case::drawn(seed).to_string()).collect();
        for words in [
            "client remove",
            "client rename",
            "drain P",
            "configure",
            "power-cut",
            "isolate",
            "disk P1-NODE1/0",
            "clock-",
            "weather",
            "broken h",
            " kill ",
            "factor=2",
            "mirrors=",
            "forks ",
            "reuse-pid",
        ] {
            let with = texts.iter().filter(|text| text.contains(words)).count();
            assert!(
                0 < with && with < texts.len(),
                "{words}: {with} of {}",
                texts.len()
            );
        }
    }
}
