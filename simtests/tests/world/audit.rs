//! Who ordered what, when the power fails.

use simtests::plan::Step;
use simtests::vaquita::{
    MASTER, VaquitaWorld, all_settled, bring_online, controller, nodes, order, wait_until,
};
use simtests::world::TRAP_SPRUNG;
use vaquita_core::admin::{Response, Verb};
use vaquita_core::ids::{Alias, LogIndex};

use crate::story::{Story, expect, ready, run, seconds, tiny};

const NODE: &str = "P1-NODE1";

/// The orders for the node that the controller's log has: how often it was ordered by the entries of the
/// audit, and whether its newest order is the change that the newest entry came with. `None` while there is
/// no controller, or none that knows of an order; an order without any entry is told of as such.
fn orders_and_entries(world: &VaquitaWorld) -> Option<(usize, bool)> {
    let (_, controller) = controller(world)?;
    let state = controller.state();
    let order = state.orders.get(&Alias::new(NODE).ok()?)?;
    let mine = state.audit.entries().filter(|(_, _, entry)| {
        entry.action.starts_with("node.") && [NODE, "all"].contains(&&*entry.object)
    });
    let indexes: Vec<LogIndex> = mine.map(|(_, index, _)| index).collect();
    let Some(newest) = indexes.last().copied() else {
        return Some((0, false));
    };
    // Of an order for all nodes each has a record, and the first has the entry.
    let together = newest == order.version || (newest < order.version && indexes.len() == 1);
    Some((indexes.len(), together && state.audit.verify().is_ok()))
}

/// 15: the power of the controller fails at an operation of its disk while orders are given, one after the
/// other. An order that was acknowledged is there with its entry in the audit; of one that was not, both are
/// there or neither.
#[test]
fn an_order_and_its_entry_in_the_audit_are_both_there_or_neither() {
    run(
        100,
        Story {
            name: "audit::an_order_and_its_entry_in_the_audit_are_both_there_or_neither",
            cluster: tiny,
            prepare: ready,
            drive: |world| {
                bring_online(world)?;
                let node = MASTER.to_owned();
                world.disturb(&Step::AtOp {
                    node,
                    skip: world.seed() % 40,
                    after: world.seed().is_multiple_of(3),
                    power: true,
                });
                // The order by which all were started.
                let (mut least, mut most) = (1, 1);
                let mut looked = 0;
                for round in 0..8 {
                    let verb = match round % 2 {
                        0 => Verb::StopNodes(nodes(&[NODE])),
                        _ => Verb::StartNodes(nodes(&[NODE])),
                    };
                    let asked = order(world, verb);
                    most += 1;
                    world.run_for(seconds(2))?;
                    let master = world.node(MASTER).expect("there is a controller");
                    let answer = asked.and_then(|id| world.answer(master, id));
                    let acknowledged = answer.is_some_and(|it| match &it.reply {
                        // One that changed nothing has no record.
                        Some(Ok(Response::Ordered(rows))) => rows.iter().any(|row| row.changed),
                        _ => false,
                    });
                    least += usize::from(acknowledged);
                    if let Some(host) = world.host("h0") {
                        world.power_on(host);
                    }
                    world.run_for(seconds(8))?;
                    let Some((entries, together)) = orders_and_entries(world) else {
                        continue;
                    };
                    looked += 1;
                    let text = format!("{entries} entries of {least} to {most} orders");
                    expect(world, (least..=most).contains(&entries), &text)?;
                    expect(world, together, "an order is there and its entry is not")?;
                }
                let sprung = world.mark(TRAP_SPRUNG) == 1;
                expect(world, sprung, "there was no such operation of the disk")?;
                wait_until(world, "all as ordered", all_settled)?;
                // The controller is there at the end, whatever it was amid the orders.
                let told = orders_and_entries(world);
                let so =
                    told.is_some_and(|(it, together)| together && (least..=most).contains(&it));
                expect(
                    world,
                    so && looked > 3,
                    &format!("{told:?}, seen {looked} times"),
                )
            },
        },
    );
}
