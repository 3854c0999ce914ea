//! Some hosts are well, and the rest stays broken.

use std::time::Duration;

use simtests::net::Cut;
use simtests::plan::Step;
use simtests::run::check;
use simtests::vaquita::files::{Clients, Done};
use simtests::vaquita::{VaquitaWorld, all_online, controller, nodes, order, wait_until};
use simtests::world::Failure;
use vaquita_core::admin::Verb;
use vaquita_core::dfs::ask::{Answer, Ask, ChunkState};
use vaquita_core::time::Timestamp;

use crate::repair::{impatient, repairs};
use crate::story::{Story, expect, get, named, put, seconds, stop};

const CORE: [&str; 4] = ["P1-NODE1", "P2-NODE1", "P3-NODE1", "P4-NODE1"];
const BROKEN: [&str; 3] = ["P5-NODE1", "P6-NODE1", "P7-NODE1"];

/// Files that every node may have, and two that only those have which are going to break.
fn write_on_both_sides(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    stop(world, &CORE)?;
    for number in 100..102 {
        let done = clients.have(world, put(&format!("/d/g{number}"), number, 3_000))?;
        expect(
            world,
            matches!(done, Done::Written(_)),
            &format!("{done:?}"),
        )?;
    }
    order(world, Verb::StartNodes(nodes(&CORE)));
    wait_until(world, "all online", all_online)?;
    for number in 0..12 {
        let done = clients.have(world, put(&format!("/d/f{number}"), number, 9_000))?;
        expect(
            world,
            matches!(done, Done::Written(_)),
            &format!("{done:?}"),
        )?;
    }
    Ok(())
}

/// How many chunks have a replica on a node of the core.
fn in_the_core(world: &VaquitaWorld) -> usize {
    let Some((_, machine)) = controller(world) else {
        return 0;
    };
    let names = &machine.state().namespace;
    let registry = &machine.state().registry;
    let core = registry.iter();
    let core: Vec<_> = core
        .filter(|(alias, _)| CORE.contains(&alias.as_str()))
        .collect();
    let chunks = names.chunks_after(None);
    chunks
        .filter(|chunk| core.iter().any(|(_, it)| chunk.is_held_by(it.node)))
        .count()
}

/// 45: one host dies, one is cut off, and one hears or is heard no more, for good. The others serve what
/// they have and take new files, make anew what they can once it is plain that nobody comes back, and say
/// of the rest that it cannot be read, and why.
#[test]
fn a_core_serves_repairs_and_says_what_it_cannot() {
    let story = Story {
        name: "healthy_core::a_core_serves_repairs_and_says_what_it_cannot",
        cluster: |seed| {
            let mut cluster = impatient(seed);
            cluster.hosts = 7;
            cluster
        },
        drive: |world, clients| {
            write_on_both_sides(world, clients)?;
            let kept = in_the_core(world);
            let dead = world.host("h5").expect("it is there");
            world.power_cut(dead);
            clients.run_for(world, seconds(5))?;
            world.disturb(&Step::Isolate("h6".to_owned()));
            clients.run_for(world, seconds(5))?;
            let mut ends = ["h7".to_owned(), "h0".to_owned()];
            if world.seed() % 2 == 0 {
                ends.reverse();
            }
            let [from, to] = ends;
            let what = Cut::All;
            world.disturb(&Step::Cut { from, to, what });
            clients.run_for(world, seconds(20))?;
            let status = repairs(world).unwrap_or_default();
            let held = status.holds.iter().any(|it| it.contains("many nodes"));
            let what = format!("three of seven are away, and nothing is held back: {status:?}");
            expect(world, held, &what)?;
            // It serves at once, and as fast as a replica can be told to be silent.
            for number in 0..6 {
                let since = world.now();
                let entry = named(world, CORE[number as usize % 4]);
                let path = format!("/d/new{number}");
                let write = clients.begin(world, Some(entry), put(&path, 200 + number, 9_000));
                let done = clients.wait(world, write)?;
                let whole = matches!(&done, Done::Written(it) if it.degraded_chunks == 0);
                expect(world, whole, &format!("{path}: {done:?}"))?;
                let read = clients.begin(world, Some(entry), get(&path));
                let read = clients.wait(world, read)?;
                let took = world.now().since(since);
                let so = read == Done::Read(200 + number) && took < seconds(10);
                expect(world, so, &format!("{path} after {took:?}: {read:?}"))?;
            }
            // After half an hour it is no event any more, but how things are.
            clients.run_for(world, seconds(30 * 60) + seconds(120))?;
            let status = repairs(world).unwrap_or_default();
            let lacks = status.last_copy + status.degraded;
            let done = status.holds.is_empty() && lacks == 0 && status.copied > 0;
            expect(
                world,
                done,
                &format!("what can be is not made anew: {status:?}"),
            )?;
            expect(
                world,
                in_the_core(world) >= kept,
                "the core has lost something",
            )?;
            says_what_it_cannot(world, clients)
        },
        rests: false,
    };
    check(&story, 4);
}

/// The chunks of two files are nowhere in the core: their rows say so and name the nodes, and who reads
/// them is told within the time that a reader has.
fn says_what_it_cannot(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    let page = clients.have(
        world,
        simtests::vaquita::files::Order::Ask(Ask::Chunks {
            after: None,
            limit: 1000,
            unwell_only: true,
            below: None,
        }),
    )?;
    let rows = match &page {
        Done::Answered(answer) => match &**answer {
            Answer::Chunks(page) => page.rows.clone(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    let named = rows.iter().filter(|row| {
        let who = BROKEN.iter().all(|name| row.reason.contains(name));
        row.state == ChunkState::Unavailable && who
    });
    let there = controller(world).map_or(0, |it| it.1.state().namespace.chunks_after(None).count());
    let (told, all, beyond) = (named.count(), rows.len(), there - in_the_core(world));
    let what =
        format!("of {beyond} chunks that are not in the core {told} are said to be: {rows:?}");
    expect(world, beyond >= 2 && told == beyond && all == beyond, &what)?;
    clients.tries = 1;
    let since = world.now();
    let entry = crate::story::named(world, CORE[0]);
    let read = clients.begin(world, Some(entry), get("/d/g100"));
    let read = clients.wait(world, read)?;
    let took = world.now().since(since);
    // The node that is cut off from the controller in one direction may be reached by others.
    let wrong = matches!(read, Done::Read(number) if number != 100) || read == Done::Nothing;
    let what = format!("after {took:?}: {read:?}");
    expect(world, !wrong && took < Duration::from_secs(60), &what)?;
    let known = controller(world).is_some_and(|it| it.1.repairs(Timestamp::ZERO).holds.is_empty());
    expect(world, known, "the core is held back by something")
}
