//! What the controller shows of what processes measure.

use simtests::plan::Step;
use simtests::vaquita::checkers::FiguresOfTheLiving;
use simtests::vaquita::{
    Cluster, VaquitaWorld, all_online, bring_online, controller, row, wait_until,
};
use vaquita_core::admin::NodeState;

use crate::story::{Story, expect, run, seconds};

fn measured(_: u64) -> Cluster {
    let mut cluster = Cluster::of(3);
    cluster.settings.measures = true;
    cluster
}

/// Whether a member is shown with figures of a process that lives.
fn is_shown(world: &VaquitaWorld, name: &str) -> bool {
    let Some((master, controller)) = controller(world) else {
        return false;
    };
    let now = world.local_time(master).unwrap_or_default();
    let shown = controller.figures_shown(now);
    shown
        .iter()
        .any(|(alias, age)| alias.as_str() == name && age.is_some())
}

/// A node that stands still is given up, and nothing of it is shown until it has registered and measured
/// anew. A checker holds that nobody is shown who does not run, and nothing of an earlier process.
#[test]
fn figures_go_with_the_registration_and_come_back_with_the_next() {
    run(
        4,
        Story {
            name: "figures::figures_go_with_the_registration_and_come_back_with_the_next",
            cluster: measured,
            prepare: |world| world.add_checker(FiguresOfTheLiving::default()),
            drive: |world| {
                bring_online(world)?;
                wait_until(world, "all are shown", |world| {
                    ["P1-agent", "P1-NODE1", "P2-NODE1", "P3-NODE1"]
                        .iter()
                        .all(|name| is_shown(world, name))
                })?;
                world.disturb(&Step::Pause("P2-NODE1".to_owned()));
                world.run_for(seconds(30))?;
                let gone = row(world, "P2-NODE1").map(|row| row.state);
                expect(
                    world,
                    gone == Some(NodeState::Offline),
                    "a node that stands still is given up",
                )?;
                let hidden = !is_shown(world, "P2-NODE1") && is_shown(world, "P1-NODE1");
                expect(world, hidden, "its figures have gone with it")?;
                world.disturb(&Step::Resume("P2-NODE1".to_owned()));
                wait_until(world, "all online again", all_online)?;
                wait_until(world, "it is shown again", |world| {
                    is_shown(world, "P2-NODE1")
                })?;
                // One that is started again at once is a member all the time, and is another one.
                if let Some(node) = world.node("P3-NODE1") {
                    world.kill(node);
                }
                world.run_for(seconds(20))?;
                wait_until(world, "all are online once more", all_online)?;
                wait_until(world, "it is shown with its own", |world| {
                    is_shown(world, "P3-NODE1")
                })
            },
        },
    );
}
