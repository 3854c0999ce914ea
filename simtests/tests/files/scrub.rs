//! What nobody reads is read through.

use std::time::Duration;

use simtests::plan::{DiskStep, Step};
use simtests::vaquita::{Cluster, VaquitaWorld, wait_until};

use crate::repair::{expect_whole, impatient, read_all, write_some};
use crate::story::{expect, run, seconds};

const PERIOD: Duration = Duration::from_secs(120);

/// As many nodes as replicas, which read all that they have in two minutes.
fn scrubbing(seed: u64) -> Cluster {
    Cluster {
        hosts: 3,
        scrub_period: PERIOD,
        ..impatient(seed)
    }
}

/// 20: bytes rot on the disks of one node, and no client reads. They are found and made anew, and a
/// second look finds nothing any more.
#[test]
fn rot_that_nobody_reads_is_found_and_made_anew() {
    run(
        8,
        "scrub::rot_that_nobody_reads_is_found_and_made_anew",
        scrubbing,
        |world, clients| {
            write_some(world, clients, 8)?;
            for _ in 0..20 {
                let node = "P2-NODE1/0".to_owned();
                let what = DiskStep::Rot;
                world.disturb(&Step::Disk { node, what });
                clients.run_for(world, Duration::from_millis(1))?;
            }
            // A pass begins within the first pause, and the one that was under way may have been past it.
            clients.run_for(world, 2 * PERIOD + seconds(60))?;
            let found = world.mark("volume.damaged_chunk");
            expect(world, found > 0, "nobody has found what is rotten")?;
            expect_whole(world)?;
            let passes = world.mark("scrub.pass");
            wait_for_passes(world, passes + 6)?;
            let again = world.mark("volume.damaged_chunk");
            let what = format!(
                "{found} chunks were found damaged, and then {}",
                again - found
            );
            expect(world, again == found, &what)?;
            read_all(world, clients, 8)
        },
    );
}

fn wait_for_passes(world: &mut VaquitaWorld, passes: u64) -> Result<(), simtests::world::Failure> {
    for _ in 0..10 {
        if world.mark("scrub.pass") >= passes {
            return Ok(());
        }
        world.run_for(PERIOD / 2)?;
    }
    wait_until(world, "everything is read through twice more", |world| {
        world.mark("scrub.pass") >= passes
    })
}

/// Chunks come and go, nodes die and disks are slow: each pass ends, and finds nothing where nothing is
/// wrong.
#[test]
fn scrubbing_amid_work_finds_nothing_and_ends() {
    run(
        6,
        "scrub::scrubbing_amid_work_finds_nothing_and_ends",
        |seed| Cluster {
            hosts: 4,
            scrub_period: Duration::from_secs(5),
            ..impatient(seed)
        },
        |world, clients| {
            let work = crate::story::work(world, clients, 0..60, Duration::from_millis(300))?;
            world.kill(crate::story::named(world, "P3-NODE1"));
            let more = crate::story::work(world, clients, 60..90, Duration::from_millis(300))?;
            clients.finish(world)?;
            work.is_served(world, clients, 60)?;
            more.tell(world, clients);
            write_some(world, clients, 8)?;
            clients.run_for(world, seconds(20))?;
            let found = world.mark("volume.damaged_chunk");
            expect(
                world,
                found == 0,
                "a good chunk was taken for a damaged one",
            )?;
            let passes = world.mark("scrub.pass");
            expect(world, passes >= 8, &format!("{passes} passes have ended"))
        },
    );
}
