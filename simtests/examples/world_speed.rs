//! Prints how many seconds of a cluster's life the World simulates in a second.
//!
//! `cargo run --release -p simtests --example world_speed`: first beacons that beat twice a second to
//! a hub that answers, then a quiet cluster of the real machines (a controller, and an agent and a
//! data node on each host), with all checkers and invariants after every event. Run it on an idle
//! machine.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::time::{Duration, Instant};

use simtests::checker::Bounds;
use simtests::net::LinkProfile;
use simtests::plan::Step;
use simtests::streams::Rate;
use simtests::toys::{BeatsCountOnce, ToyFactory};
use simtests::vaquita::{Cluster, bring_online};
use simtests::world::{NodeSpec, Settings, World};

/// Real time a measurement takes.
const MEASURE: Duration = Duration::from_secs(2);

fn main() {
    println!(
        "{:>6} {:>6} {:>14} {:>14} {:>12}",
        "nodes", "loss", "simulated s/s", "events/s", "ns/event"
    );
    for nodes in [5, 50, 500] {
        for loss in [0, 40] {
            measure(nodes, Rate::percent(loss));
        }
    }
    println!("\na cluster: data nodes, each with an agent");
    for nodes in [5, 100] {
        for loss in [0, 40] {
            measure_cluster(nodes, Rate::percent(loss));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "it measures real time")]
fn measure_cluster(nodes: u32, loss: Rate) {
    let mut world = Cluster::of(nodes).build(1);
    if let Err(failure) = bring_online(&mut world) {
        println!("{failure}");
        return;
    }
    world.disturb(&Step::Weather(LinkProfile {
        loss,
        ..LinkProfile::default()
    }));
    let (begin, steps) = (Instant::now(), world.steps());
    let mut simulated = 0_u32;
    while begin.elapsed() < MEASURE {
        if let Err(failure) = world.run_for(Duration::from_secs(10)) {
            println!("{failure}");
            return;
        }
        simulated += 10;
    }
    say(
        nodes,
        loss,
        simulated,
        world.steps() - steps,
        begin.elapsed(),
    );
}

#[expect(clippy::disallowed_methods, reason = "it measures real time")]
fn measure(nodes: u32, loss: Rate) {
    let weather = LinkProfile {
        loss,
        ..LinkProfile::default()
    };
    let settings = Settings {
        weather,
        ..Settings::default()
    };
    let mut world = World::new(1, settings, ToyFactory::default());
    let host = world.add_host("h0");
    world.add_node(NodeSpec::new("hub", host, 9_000).config("hub"));
    for number in 1..=nodes {
        let host = world.add_host(&format!("h{number}"));
        let spec = NodeSpec::new(&format!("b{number}"), host, 9_000);
        world.add_node(spec.config("beacon h0 9000"));
    }
    world.add_checker(Bounds::default());
    if nodes <= 50 {
        world.add_checker(BeatsCountOnce);
    }
    world.start_all();
    let begin = Instant::now();
    let mut simulated = 0_u32;
    while begin.elapsed() < MEASURE {
        if let Err(failure) = world.run_for(Duration::from_secs(10)) {
            println!("{failure}");
            return;
        }
        simulated += 10;
    }
    say(nodes, loss, simulated, world.steps(), begin.elapsed());
}

fn say(nodes: u32, loss: Rate, simulated: u32, steps: u64, took: Duration) {
    let took = took.as_secs_f64();
    let (rate, events) = (f64::from(simulated) / took, steps as f64 / took);
    let loss = loss.to_string();
    println!(
        "{nodes:>6} {loss:>6} {rate:>14.0} {events:>14.0} {:>12.0}",
        1e9 / events
    );
}
