//! Plans out of a seed.

use std::time::Duration;

use super::{DiskStep, Plan, Step, Timed};
use crate::net::{Bursts, Cut, LinkProfile};
use crate::streams::{Draw, Rate, Stream, Streams, index};
use crate::time::SimTime;

/// What a plan may be about.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    /// Hosts that may lose power, be cut off, or have their clock disturbed.
    pub hosts: Vec<String>,
    /// Nodes that may be killed and paused, each with its host.
    pub nodes: Vec<(String, String)>,
    /// Nodes whose disk may fail in ways that a machine must survive: failed operations and syncs,
    /// no room, slowness, hanging.
    pub disks: Vec<String>,
    /// Nodes whose disk may do what no machine by itself can survive: lie, rot, vanish. Leave out
    /// whoever keeps the only copy of something.
    pub expendable: Vec<String>,
    /// Ports that another program may take, by host.
    pub ports: Vec<(String, u16)>,
    /// What clients may ask, of which node, in the words of the factory.
    pub asks: Vec<(String, String)>,
    /// How long the disturbed phase lasts.
    pub span: Duration,
    /// How many disturbances there are on average.
    pub disturbances: u64,
    /// How many requests there are.
    pub requests: u64,
}

/// One class of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Kill,
    Pause,
    PowerCut,
    AtOp,
    Cut,
    Isolate,
    Swizzle,
    Weather,
    Link,
    Clock,
    Disk,
    Expendable,
    Ports,
    Terminate,
    Pids,
    Forks,
}

const CLASSES: [Class; 14] = [
    Class::Kill,
    Class::Pause,
    Class::PowerCut,
    Class::AtOp,
    Class::Cut,
    Class::Isolate,
    Class::Swizzle,
    Class::Weather,
    Class::Link,
    Class::Clock,
    Class::Disk,
    Class::Expendable,
    Class::Ports,
    Class::Terminate,
];

/// What only hosts with an agent make sense of.
const OF_AGENTS: [Class; 2] = [Class::Pids, Class::Forks];

/// How a run's faults are mixed: each class has a weight, and many classes are left out of a run
/// altogether, since faults that always come together hide what one of them does alone (Groce et
/// al., "Swarm testing", ISSTA 2012).
#[derive(Debug)]
pub struct Swarm {
    draw: Draw,
    weights: Vec<(Class, u64)>,
}

impl Swarm {
    /// The mixture of a seed.
    #[must_use]
    pub fn of(streams: &Streams) -> Self {
        let mut draw = streams.at(Stream::Plan, 0, 0);
        let weights = weigh(&CLASSES, &mut draw);
        Self { draw, weights }
    }

    /// The mixture of a seed, with what only hosts with an agent make sense of: process ids that are given
    /// out again, and processes that cannot be started.
    #[must_use]
    pub fn with_agents(streams: &Streams) -> Self {
        let mut swarm = Self::of(streams);
        let more = weigh(&OF_AGENTS, &mut streams.at(Stream::Plan, 2, 0));
        swarm.weights.extend(more);
        swarm
    }

    /// The names of the classes that this mixture has.
    #[must_use]
    pub fn classes(&self) -> Vec<String> {
        let there = self.weights.iter().filter(|(_, weight)| *weight > 0);
        there.map(|(class, _)| format!("{class:?}")).collect()
    }

    /// A plan of this mixture. Most of what it disturbs it puts right again, sooner or later; what
    /// it leaves broken is healed when the plan is over.
    #[must_use]
    pub fn plan(mut self, shape: &Shape) -> Plan {
        let mut steps = Vec::new();
        let total: u64 = self.weights.iter().map(|(_, weight)| weight).sum();
        let disturbances = if total == 0 {
            0
        } else {
            self.draw.below(2 * shape.disturbances + 1)
        };
        for _ in 0..disturbances {
            let class = self.class(total);
            // Each disturbance has a generator of its own, so that its details do not move the next.
            let mut draw = Streams::new(self.draw.bits()).at(Stream::Plan, 1, 0);
            disturb(class, shape, &mut draw, &mut steps);
        }
        for _ in 0..shape.requests {
            if !shape.asks.is_empty() {
                let at = moment(shape.span, &mut self.draw);
                let (node, text) = self.draw.pick(&shape.asks).clone();
                steps.push(Timed {
                    at,
                    step: Step::Ask { node, text },
                });
            }
        }
        Plan::new(steps)
    }

    fn class(&mut self, total: u64) -> Class {
        let mut at = self.draw.below(total);
        for (class, weight) in &self.weights {
            if at < *weight {
                return *class;
            }
            at -= weight;
        }
        Class::Kill
    }
}

/// Half of the classes, each with a weight.
fn weigh(classes: &[Class], draw: &mut Draw) -> Vec<(Class, u64)> {
    let mut weights = Vec::new();
    for class in classes {
        let weight = if draw.chance(Rate::percent(50)) {
            0
        } else {
            1 + draw.below(10)
        };
        weights.push((*class, weight));
    }
    weights
}

/// A moment within the span, in whole milliseconds.
fn moment(span: Duration, draw: &mut Draw) -> SimTime {
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    SimTime::from_millis(draw.below(millis.max(1)))
}

/// How long something lasts: mostly seconds, now and then a minute.
fn spell(draw: &mut Draw) -> Duration {
    let mean = *draw.pick(&[100, 1_000, 5_000, 20_000, 60_000]);
    Duration::from_millis(1 + draw.exponential(mean))
}

fn disturb(class: Class, shape: &Shape, draw: &mut Draw, steps: &mut Vec<Timed>) {
    let at = moment(shape.span, draw);
    let back = at.after(spell(draw));
    let mut push = |at: SimTime, step: Step| steps.push(Timed { at, step });
    let node = |draw: &mut Draw| one(&shape.nodes, draw).map(|(node, _)| node);
    match class {
        Class::Kill => {
            if let Some(node) = node(draw) {
                push(at, Step::Kill(node.clone()));
                push(back, Step::Start(node));
            }
        }
        Class::Terminate => {
            if let Some(node) = node(draw) {
                push(at, Step::Terminate(node.clone()));
                push(back, Step::Start(node));
            }
        }
        Class::Pause => {
            if let Some(node) = node(draw) {
                push(at, Step::Pause(node.clone()));
                push(back, Step::Resume(node));
            }
        }
        Class::PowerCut => {
            if let Some(host) = one(&shape.hosts, draw) {
                push(at, Step::PowerCut(host.clone()));
                push(back, Step::PowerOn(host));
            }
        }
        Class::AtOp => at_op(shape, at, back, draw, steps),
        Class::Cut => {
            if let (Some(from), Some(to)) = (one(&shape.hosts, draw), one(&shape.hosts, draw))
                && from != to
            {
                let what = *draw.pick(&[Cut::All, Cut::All, Cut::Udp, Cut::Tcp]);
                push(
                    at,
                    Step::Cut {
                        from: from.clone(),
                        to: to.clone(),
                        what,
                    },
                );
                if draw.chance(Rate::percent(90)) {
                    push(back, Step::Heal { from, to });
                }
            }
        }
        Class::Isolate => {
            if let Some(host) = one(&shape.hosts, draw) {
                push(at, Step::Isolate(host.clone()));
                push(back, Step::Rejoin(host));
            }
        }
        Class::Swizzle => swizzle(shape, at, draw, steps),
        Class::Weather => {
            push(at, Step::Weather(weather(draw)));
            push(back, Step::Weather(LinkProfile::default()));
        }
        Class::Link => {
            if let (Some(from), Some(to)) = (one(&shape.hosts, draw), one(&shape.hosts, draw))
                && from != to
            {
                let profile = Some(weather(draw));
                push(
                    at,
                    Step::Link {
                        from: from.clone(),
                        to: to.clone(),
                        profile,
                    },
                );
                push(
                    back,
                    Step::Link {
                        from,
                        to,
                        profile: None,
                    },
                );
            }
        }
        Class::Clock => {
            if let Some(host) = one(&shape.hosts, draw) {
                clock(host, at, back, draw, steps);
            }
        }
        Class::Disk => {
            if let Some(node) = one(&shape.disks, draw) {
                let what = match draw.below(5) {
                    0 => DiskStep::FailSync,
                    1 => DiskStep::FailOp,
                    2 => DiskStep::Room(draw.below(4_096)),
                    3 => DiskStep::Slow(u32::try_from(10 + draw.below(200)).unwrap_or(10)),
                    _ => DiskStep::Hang,
                };
                push(
                    at,
                    Step::Disk {
                        node: node.clone(),
                        what,
                    },
                );
                push(
                    back,
                    Step::Disk {
                        node,
                        what: DiskStep::Well,
                    },
                );
            }
        }
        Class::Expendable => {
            if let Some(disk) = one(&shape.expendable, draw) {
                // A volume is named behind its node.
                let (node, is_volume) = match disk.split_once('/') {
                    Some((node, _)) => (node.to_owned(), true),
                    None => (disk.clone(), false),
                };
                let what = match draw.below(if is_volume { 4 } else { 3 }) {
                    0 => DiskStep::Lie,
                    1 => DiskStep::Rot,
                    2 => DiskStep::Wipe,
                    _ => DiskStep::Die,
                };
                if what == DiskStep::Wipe {
                    push(at, Step::Kill(node.clone()));
                    push(back, Step::Start(node));
                }
                push(at, Step::Disk { node: disk, what });
            }
        }
        Class::Pids => {
            if let Some(node) = node(draw) {
                push(at, Step::ReusePid(node.clone()));
                push(back, Step::Start(node));
            }
        }
        Class::Forks => {
            if let Some(host) = one(&shape.hosts, draw) {
                let forks = |host, fail| Step::ForksFail { host, fail };
                push(at, forks(host.clone(), true));
                push(back, forks(host, false));
            }
        }
        Class::Ports => {
            if !shape.ports.is_empty() {
                let (host, port) = draw.pick(&shape.ports).clone();
                push(
                    at,
                    Step::HoldPort {
                        host: host.clone(),
                        port,
                    },
                );
                push(back, Step::FreePort { host, port });
            }
        }
    }
}

fn one<T: Clone>(of: &[T], draw: &mut Draw) -> Option<T> {
    (!of.is_empty()).then(|| of[index(draw.below(of.len() as u64))].clone())
}

fn at_op(shape: &Shape, at: SimTime, back: SimTime, draw: &mut Draw, steps: &mut Vec<Timed>) {
    let Some((node, host)) = one(&shape.nodes, draw) else {
        return;
    };
    let (skip, after) = (draw.below(40), draw.chance(Rate::percent(50)));
    let power = shape.hosts.contains(&host) && draw.chance(Rate::percent(50));
    steps.push(Timed {
        at,
        step: Step::AtOp {
            node: node.clone(),
            skip,
            after,
            power,
        },
    });
    // Once more a minute later: it may have taken that long until the disk had something to do.
    for at in [back, back.after(Duration::from_secs(60))] {
        let again = if power {
            Step::PowerOn(host.clone())
        } else {
            Step::Start(node.clone())
        };
        steps.push(Timed { at, step: again });
    }
}

/// Hosts are cut off one by one and come back in another order.
fn swizzle(shape: &Shape, at: SimTime, draw: &mut Draw, steps: &mut Vec<Timed>) {
    let mut at = at;
    let mut cut: Vec<String> = Vec::new();
    for host in &shape.hosts {
        if draw.chance(Rate::percent(40)) {
            steps.push(Timed {
                at,
                step: Step::Isolate(host.clone()),
            });
            cut.push(host.clone());
            at = at.after(spell(draw) / 4);
        }
    }
    while !cut.is_empty() {
        let host = cut.swap_remove(index(draw.below(cut.len() as u64)));
        steps.push(Timed {
            at,
            step: Step::Rejoin(host),
        });
        at = at.after(spell(draw) / 4);
    }
}

fn clock(host: String, at: SimTime, back: SimTime, draw: &mut Draw, steps: &mut Vec<Timed>) {
    let mut push = |at: SimTime, step: Step| steps.push(Timed { at, step });
    match draw.below(4) {
        0 => {
            let ahead = Duration::from_millis(draw.exponential(20_000));
            push(at, Step::ClockJump { host, ahead });
        }
        1 => {
            let ppm = i32::try_from(draw.below(401)).unwrap_or(0) - 200;
            push(at, Step::ClockDrift { host, ppm });
        }
        2 => {
            push(at, Step::ClockFreeze(host.clone()));
            push(back, Step::ClockThaw(host));
        }
        _ => {
            let hour = 3_600_000;
            let ms = i64::try_from(draw.below(48 * hour)).unwrap_or(0) - 24 * 3_600_000;
            push(at, Step::WallJump { host, ms });
        }
    }
}

/// Bad weather of some kind; each property is there in some of it only.
fn weather(draw: &mut Draw) -> LinkProfile {
    let mut profile = LinkProfile::default();
    let some = Rate::percent(40);
    let rate =
        |draw: &mut Draw, most: u64| Rate::millionths(u32::try_from(draw.below(most)).unwrap_or(0));
    if draw.chance(some) {
        profile.loss = rate(draw, 500_000);
    }
    if draw.chance(some) {
        profile.bursts = Some(Bursts {
            good: Duration::from_millis(500 + draw.below(10_000)),
            bad: Duration::from_millis(100 + draw.below(3_000)),
            loss: Rate::percent(50 + u32::try_from(draw.below(51)).unwrap_or(0)),
        });
    }
    if draw.chance(some) {
        profile.duplicates = rate(draw, 300_000);
    }
    if draw.chance(some) {
        profile.corruption = rate(draw, 100_000);
    }
    if draw.chance(some) {
        profile.truncation = rate(draw, 50_000);
    }
    if draw.chance(some) {
        profile.stragglers = rate(draw, 50_000);
        profile.straggling = Duration::from_millis(100 + draw.below(120_000));
    }
    if draw.chance(some) {
        profile.jitter = Duration::from_micros(draw.below(200_000));
    }
    if draw.chance(some) {
        profile.latency = Duration::from_micros(100 + draw.below(100_000));
    }
    profile
}
