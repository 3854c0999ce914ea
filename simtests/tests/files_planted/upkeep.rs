//! Bugs planted in what keeps replicas as they should be: in repair and drain where things go wrong, in
//! giving up what is too many, in scrubbing, balance and the taking of stock.

use std::time::Duration;

use simtests::plan::{DiskStep, Step};
use simtests::vaquita::files::Clients;
use simtests::vaquita::{
    MASTER, Vaquita, VaquitaWorld, all_online, controller, nodes, order, wait_until,
};
use simtests::world::{Failure, StepKind};
use vaquita_core::admin::Verb;
use vaquita_core::dfs::ask::Ask;
use vaquita_core::state::Duty;
use vaquita_core::time::Timestamp;

use crate::repair::{NODE, WAIT, bytes_rot_unread, expect, is_drained, set, untrue, write_some};
use crate::{Hunt, named, put, remove, seconds};

fn power(world: &mut VaquitaWorld, names: &[&str], on: bool) {
    for name in names {
        let host = world.host(name).expect("it is there");
        match on {
            true => world.power_on(host),
            false => world.power_cut(host),
        }
    }
}

fn suspend(world: &mut VaquitaWorld, suspend: bool) {
    order(world, Verb::Dfs(Ask::SuspendRepair { suspend }));
}

fn slow(world: &mut VaquitaWorld, name: &str, factor: u32) {
    let node = format!("{name}/0");
    let what = DiskStep::Slow(factor);
    world.disturb(&Step::Disk { node, what });
}

/// A host is lost for good, and is made up for.
fn a_host_is_made_up_for(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    write_some(world, clients)?;
    power(world, &["h2"], false);
    clients.run_for(world, seconds(8) + WAIT + seconds(30))?;
    let made = world.mark("repair.copied") > 0;
    expect(world, made, "nobody makes up for a node that is lost")?;
    write_some(world, clients)?;
    power(world, &["h2"], true);
    wait_until(world, "all online", all_online)
}

/// The factor is lowered: every chunk has a replica too many, and one goes in each tick.
fn the_factor_is_lowered(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    write_some(world, clients)?;
    let cluster = &mut world.factory_mut().cluster;
    cluster.files.factor = 2;
    cluster.limits.surplus_per_tick = 1;
    world.kill(named(world, MASTER));
    let given_up = |world: &VaquitaWorld| {
        controller(world).map_or(0, |(_, it)| it.repairs(Timestamp::ZERO).given_up)
    };
    let mut before = 0;
    for _ in 0..20 {
        clients.run_for(world, seconds(1))?;
        let now = given_up(world).max(before);
        let what = format!("{} replicas were given up in a second", now - before);
        expect(world, now - before <= 6, &what)?;
        before = now;
    }
    let some = before > 0;
    expect(world, some, "what is too many is not given up")
}

/// A host is made up for, and nodes do not reach each other: copies fail for a quarter of an hour.
fn copies_fail(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    write_some(world, clients)?;
    power(world, &["h2"], false);
    for from in ["h1", "h3", "h4"] {
        for to in ["h1", "h3", "h4"].into_iter().filter(|to| *to != from) {
            world.disturb(&Step::Cut {
                from: from.to_owned(),
                to: to.to_owned(),
                what: simtests::net::Cut::All,
            });
        }
    }
    clients.run_for(world, seconds(8) + WAIT + seconds(900))?;
    let status = controller(world).map(|it| it.1.repairs(Timestamp::ZERO));
    let status = status.unwrap_or_default();
    let lacking = status.degraded + status.last_copy;
    expect(
        world,
        lacking > 4 && status.failed > lacking,
        "no copy has failed",
    )?;
    let what = format!("{} copies of {lacking} chunks were tried", status.failed);
    expect(world, status.failed <= 10 * lacking, &what)?;
    world.disturb(&Step::HealAll);
    power(world, &["h2"], true);
    wait_until(world, "all online", all_online)
}

/// A node that was replaced comes back while another is away.
fn one_comes_back_while_another_is_away(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
) -> Result<(), Failure> {
    write_some(world, clients)?;
    power(world, &["h2"], false);
    clients.run_for(world, seconds(8) + WAIT + seconds(20))?;
    power(world, &["h3"], false);
    clients.run_for(world, seconds(11))?;
    power(world, &["h2"], true);
    clients.run_for(world, seconds(8))?;
    power(world, &["h3"], true);
    wait_until(world, "all online", all_online)
}

/// A write has left something, and neither its entry nor its controller lives any more.
fn leave_something(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    for name in ["P3-NODE1", "P4-NODE1"] {
        slow(world, name, 4_000);
    }
    clients.tries = 1;
    let entry = named(world, "P4-NODE1");
    clients.begin(world, Some(entry), put("/f", 1, 2_000));
    let has = |world: &VaquitaWorld, name: &str| {
        let node = world.machine(named(world, name));
        matches!(node, Some(Vaquita::DataNode(it)) if !it.entries().is_empty())
    };
    let first = ["P1-NODE1", "P1-NODE2", NODE];
    let mut left = false;
    for _ in 0..2_000 {
        clients.run_for(world, Duration::from_micros(200))?;
        left = first.iter().any(|name| has(world, name));
        if left {
            break;
        }
    }
    expect(world, left, "nothing is left of the write")?;
    world.kill(entry);
    world.kill(named(world, MASTER));
    for name in ["P3-NODE1", "P4-NODE1"] {
        slow(world, name, 1);
    }
    wait_until(world, "all online", all_online)
}

fn what_is_left_may_be_committed(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
) -> Result<(), Failure> {
    leave_something(world, clients)?;
    clients.run_for(world, seconds(30))
}

fn what_is_left_meets_a_mass_failure(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
) -> Result<(), Failure> {
    leave_something(world, clients)?;
    clients.run_for(world, seconds(35))?;
    power(world, &["h3", "h4"], false);
    clients.run_for(world, seconds(60))?;
    power(world, &["h3", "h4"], true);
    wait_until(world, "all online", all_online)
}

fn a_drain_while_another_is_away(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
) -> Result<(), Failure> {
    write_some(world, clients)?;
    power(world, &["h3"], false);
    clients.run_for(world, seconds(10))?;
    set(world, Duty::Drain);
    clients.run_for(world, seconds(8))?;
    power(world, &["h3"], true);
    wait_until(world, "all online", all_online)
}

/// A node that is drained has what others lost meanwhile, beside what the log says.
fn a_drained_node_is_needed(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
) -> Result<(), Failure> {
    write_some(world, clients)?;
    power(world, &["h2"], false);
    clients.run_for(world, seconds(8) + WAIT + seconds(20))?;
    set(world, Duty::Drain);
    wait_until(world, "it is drained", is_drained)?;
    suspend(world, true);
    power(world, &["h3"], false);
    clients.run_for(world, seconds(10) + WAIT)?;
    power(world, &["h2"], true);
    clients.run_for(world, seconds(8))?;
    let drained = is_drained(world);
    expect(
        world,
        !drained,
        "what others lack is on a node that is drained",
    )?;
    suspend(world, false);
    power(world, &["h3"], true);
    wait_until(world, "all online", all_online)
}

/// An empty node comes to full ones, and takes its time.
fn an_empty_node_comes(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    order(world, Verb::StopNodes(nodes(&[NODE])));
    clients.run_for(world, seconds(2))?;
    for number in 0..40 {
        clients.have(world, put(&format!("/f{number}"), number + 1, 30_000))?;
    }
    order(world, Verb::StartNodes(nodes(&[NODE])));
    wait_until(world, "all online", all_online)?;
    slow(world, NODE, 300);
    for _ in 0..200 {
        clients.run_for(world, Duration::from_millis(50))?;
        if let Some(what) = untrue(world) {
            world.fail(None, what);
            return world.finish();
        }
    }
    let moved = world.mark("repair.copied") > 0;
    expect(world, moved, "nothing is moved to an empty node")?;
    slow(world, NODE, 1);
    clients.run_for(world, seconds(60))
}

/// A file of so many chunks goes that each node reports anew instead of telling of each.
fn much_is_removed_at_once(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    write_some(world, clients)?;
    clients.have(world, put("/large", 77, 800_000))?;
    clients.run_for(world, seconds(2))?;
    clients.have(world, remove("/large"))?;
    clients.run_for(world, seconds(2))
}

/// Ten minutes in which nothing happens.
fn nothing_happens(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    write_some(world, clients)?;
    clients.run_for(world, seconds(60))?;
    let until = world.now().after(seconds(600));
    let mut pieces = 0_u64;
    while world.step(until)? {
        pieces += u64::from(world.last_step().kind == StepKind::Connection);
    }
    // Nine members have something to say, or are told something, every 5 s.
    let most = 9 * 600 / 5 * PIECES;
    let what = format!("{pieces} pieces came on connections, where {most} are many");
    expect(world, pieces <= most, &what)
}

/// Pieces of which a short message comes at most, on the average.
const PIECES: u64 = 12;

pub(crate) const HUNTS: &[Hunt] = &[
    Hunt {
        bug: "await_for_ever",
        plant: |bugs| bugs.await_for_ever = true,
        drive: a_host_is_made_up_for,
        shows: "nobody makes up for a node that is lost",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "retry_at_once",
        plant: |bugs| bugs.retry_at_once = true,
        drive: copies_fail,
        shows: "chunks were tried",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "copy_without_bound",
        plant: |bugs| bugs.copy_without_bound = true,
        drive: a_host_is_made_up_for,
        shows: "copies are under way, and 4 may be",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "trim_without_bound",
        plant: |bugs| bugs.trim_without_bound = true,
        drive: the_factor_is_lowered,
        shows: "replicas were given up in a second",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "trim_in_hope",
        plant: |bugs| bugs.trim_in_hope = true,
        drive: one_comes_back_while_another_is_away,
        shows: "other replicas are good",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "trim_in_mass_event",
        plant: |bugs| bugs.trim_in_mass_event = true,
        drive: what_is_left_meets_a_mass_failure,
        shows: "many nodes are away at once",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "sweep_at_once",
        plant: |bugs| bugs.sweep_at_once = true,
        drive: what_is_left_may_be_committed,
        shows: "a write of before may still commit it",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "drain_in_hope",
        plant: |bugs| bugs.drain_in_hope = true,
        drive: a_drain_while_another_is_away,
        shows: "other replicas are good",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "drained_with_needed",
        plant: |bugs| bugs.drained_with_needed = true,
        drive: a_drained_node_is_needed,
        shows: "what others lack is on a node that is drained",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "move_without_copies",
        plant: |bugs| bugs.move_without_copies = true,
        drive: an_empty_node_comes,
        shows: "the log names 2 replicas",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "pass_over_losses",
        plant: |bugs| bugs.pass_over_losses = true,
        drive: bytes_rot_unread,
        shows: "and the controller knows of {}",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "keep_damage_quiet",
        plant: |bugs| bugs.keep_damage_quiet = true,
        drive: bytes_rot_unread,
        shows: "the sums of what P2-NODE1 has differ",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "keep_old_extras",
        plant: |bugs| bugs.keep_old_extras = true,
        drive: much_is_removed_at_once,
        shows: "beside what the log says",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "change_past_log",
        plant: |bugs| bugs.change_past_log = true,
        drive: a_host_is_made_up_for,
        shows: "the state is what the log says",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "tell_volumes_always",
        plant: |bugs| bugs.tell_volumes_always = true,
        drive: nothing_happens,
        shows: "pieces came on connections",
        without: &[],
        within: 2,
    },
];
