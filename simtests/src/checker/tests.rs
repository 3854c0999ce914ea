use vaquita_core::disk::DiskOp;

use super::*;
use crate::toys::ToyFactory;
use crate::world::{NodeSpec, Settings};

fn world() -> (World<ToyFactory>, NodeIx) {
    let mut world = World::new(1, Settings::default(), ToyFactory::default());
    let host = world.add_host("h0");
    let node = world.add_node(NodeSpec::new("l1", host, 9_000).config("ledger"));
    world.start_all();
    world
        .run_for(std::time::Duration::from_millis(100))
        .unwrap();
    (world, node)
}

fn ask(world: &mut World<ToyFactory>, node: NodeIx, text: &str) {
    let step = format!("ask {} {text}", world.alias(node));
    world.disturb(&step.parse().unwrap());
}

#[test]
fn a_log_that_loses_what_was_promised_is_found_even_if_its_machine_is_content() {
    let (mut world, node) = world();
    world.add_checker(LogsKeepPromises::new(|name| name == "ledger.log"));
    for _ in 0..5 {
        ask(&mut world, node, "add");
    }
    world.run_for(std::time::Duration::from_secs(1)).unwrap();
    world.kill(node);
    // Somebody cuts the file, in a way that the disk has no part in.
    let file = FileName::fixed("ledger.log");
    let len = world.disk(node).read(&file).unwrap().len() as u64;
    assert!(len > 0);
    let truncate = DiskOp::Truncate { file, len: len - 1 };
    world.disk_mut(node).carry_out_for_test(&truncate);
    world.start(node);
    let failure = world
        .run_for(std::time::Duration::from_secs(1))
        .unwrap_err();
    assert!(failure.what.contains("no longer begins with"), "{failure}");
}

#[test]
fn a_log_that_the_disk_itself_damaged_is_not_held_against_the_machine() {
    let (mut world, node) = world();
    world.add_checker(LogsKeepPromises::new(|name| name == "ledger.log"));
    for _ in 0..5 {
        ask(&mut world, node, "add");
    }
    world.run_for(std::time::Duration::from_secs(1)).unwrap();
    world.kill(node);
    world.disturb(&"disk l1 rot".parse().unwrap());
    world.start(node);
    world.run_for(std::time::Duration::from_secs(1)).unwrap();
    assert_eq!(world.disk(node).incidents().len(), 1);
}

#[test]
fn what_grows_without_end_is_found() {
    let (mut world, node) = world();
    world.add_checker(Bounds {
        events: 10,
        ..Bounds::default()
    });
    for _ in 0..50 {
        ask(&mut world, node, "add");
    }
    let failure = world
        .run_for(std::time::Duration::from_secs(1))
        .unwrap_err();
    assert!(
        failure.what.contains("events waiting; 10 is the most"),
        "{failure}"
    );
}
