//! Bugs planted in the copies of the controller's log.

use simtests::plan::{DiskStep, Step};
use simtests::vaquita::files::Clients;
use simtests::vaquita::{MASTER, VaquitaWorld, all_online, wait_until};
use simtests::world::Failure;

use crate::{Hunt, a_good_day};

/// Files come and go while two nodes keep copies of the log.
fn a_good_day_with_copies(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    world.factory_mut().cluster.mirrors = 2;
    world.disturb(&Step::Kill(MASTER.to_owned()));
    world.run_for(crate::seconds(2))?;
    wait_until(world, "all online", all_online)?;
    // What is written and not synced yet is there to be read for a while.
    world.disturb(&Step::Disk {
        node: MASTER.to_owned(),
        what: DiskStep::Slow(100),
    });
    for _ in 0..4 {
        a_good_day(world, clients)?;
    }
    Ok(())
}

pub(crate) const HUNTS: &[Hunt] = &[Hunt {
    bug: "mirror_unsynced",
    plant: |bugs| bugs.mirror_unsynced = true,
    drive: a_good_day_with_copies,
    shows: "has never promised so",
    without: &[],
    within: 10,
}];
