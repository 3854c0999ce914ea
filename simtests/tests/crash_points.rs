//! The power is cut, or the process killed, at every single operation of a disk: instead of it, and
//! after it before anybody is told.

use std::time::Duration;

use simtests::disk::{DiskProfile, Tear};
use simtests::toys::{Acknowledged, Bug, Toy, ToyFactory};
use simtests::world::{AtOp, Failure, NodeIx, NodeSpec, Settings, TRAP_SPRUNG, World};

const SECOND: Duration = Duration::from_secs(1);

fn world(seed: u64, tear: Tear, bug: Option<Bug>) -> (World<ToyFactory>, NodeIx) {
    let disk = DiskProfile {
        tear,
        ..DiskProfile::default()
    };
    let settings = Settings {
        disk,
        ..Settings::default()
    };
    let mut world = World::new(seed, settings, ToyFactory { bug });
    let host = world.add_host("h0");
    let node = world.add_node(NodeSpec::new("l1", host, 9_000).config("ledger"));
    world.add_checker(Acknowledged::default());
    world.start_all();
    (world, node)
}

/// Ten names, with some time between them.
fn workload(world: &mut World<ToyFactory>) -> Result<(), Failure> {
    for _ in 0..16 {
        world.disturb(&"ask l1 add".parse().expect("a step"));
        world.run_for(Duration::from_millis(5))?;
    }
    world.run_for(SECOND)
}

/// Lets it happen at one operation, then starts the ledger again, twice, and looks.
fn crash_at(seed: u64, tear: Tear, trap: AtOp, bug: Option<Bug>) -> Result<(), Failure> {
    let (mut world, node) = world(seed, tear, bug);
    world.at_op(node, trap);
    workload(&mut world)?;
    // One with a mistake may have fewer operations.
    let sprung = bug.is_some() || world.mark(TRAP_SPRUNG) == 1;
    assert!(sprung, "seed {seed}: {trap:?} did not happen");
    for _ in 0..2 {
        world.disturb(&"power-cut h0".parse().expect("a step"));
        world.disturb(&"power-on h0".parse().expect("a step"));
        world.run_for(SECOND)?;
        world.disturb(&"ask l1 list".parse().expect("a step"));
        world.run_for(SECOND)?;
    }
    assert!(matches!(world.machine(node), Some(Toy::Ledger(ledger)) if ledger.serves()));
    Ok(())
}

/// Every operation that there is under this seed: how many writes go together is a matter of time.
fn traps(seed: u64) -> impl Iterator<Item = AtOp> {
    let (mut world, node) = world(seed, Tear::Subset, None);
    workload(&mut world).expect("nothing goes wrong where nothing is disturbed");
    let ops = world.disk(node).ops_done();
    assert!(ops > 20, "{ops} operations are too few to be worth it");
    (0..ops).flat_map(|op| {
        [(false, false), (false, true), (true, false), (true, true)].map(|(after, power)| AtOp {
            op,
            after,
            power,
        })
    })
}

#[test]
fn a_ledger_forgets_nothing_whatever_operation_is_the_last() {
    for tear in [Tear::Prefix, Tear::Subset, Tear::Garbage] {
        for seed in 0..5 {
            for trap in traps(seed) {
                if let Err(failure) = crash_at(seed, tear, trap, None) {
                    panic!("seed {seed}, {tear:?}, {trap:?}: {failure}");
                }
            }
        }
    }
}

#[test]
fn each_planted_mistake_of_a_ledger_shows_at_some_operation() {
    for bug in [
        Bug::AnswersBeforeSync,
        Bug::ForgetsDirectory,
        Bug::CutsTooMuch,
    ] {
        let found = (0..5).any(|seed| {
            traps(seed).any(|trap| crash_at(seed, Tear::Subset, trap, Some(bug)).is_err())
        });
        assert!(found, "{bug:?} was found at no operation");
    }
}
