//! What clients and controllers were told, and whether it stands.

use std::time::Duration;

use simtests::run::check;
use simtests::streams::Stream;
use simtests::vaquita::files::{Clients, Done, Expected, Order};
use simtests::vaquita::{MASTER, VaquitaWorld, all_online, wait_until};
use simtests::world::Failure;
use vaquita_core::dfs::ask::{Answer, Ask, Outcome};

use crate::story::{Story, chunks_on_disks, expect, get, named, put, run, seconds, small};

/// Two clients replace one file, both of what they have read: one of them is refused.
#[test]
fn of_two_who_replace_the_same_content_one_is_refused() {
    run(
        10,
        "told::of_two_who_replace_the_same_content_one_is_refused",
        small,
        |world, clients| {
            clients.have(world, put("/d/f", 1, 5_000))?;
            for round in 1..6 {
                let replace = |number| Order::Put {
                    path: "/d/f".to_owned(),
                    number,
                    len: 5_000,
                    expect: Expected::Number(round),
                };
                let one = clients.begin(world, None, replace(round + 1));
                let other = clients.begin(world, None, replace(round + 100));
                clients.finish(world)?;
                let written = |ticket| matches!(clients.done(ticket), Some(Done::Written(_)));
                let count = usize::from(written(one)) + usize::from(written(other));
                expect(world, count == 1, "not exactly one of two was taken")?;
                let expect = Expected::Anything;
                let path = "/d/f".to_owned();
                let (number, len) = (round + 1, 5_000);
                let again = Order::Put {
                    path,
                    number,
                    len,
                    expect,
                };
                clients.have(world, again)?;
            }
            Ok(())
        },
    );
}

/// Ruling 6: the controller's home is an old copy. Nodes refuse to give up what it does not know,
/// and report it; what was written since is still on the disks.
#[test]
fn a_controller_from_an_old_copy_deletes_nothing() {
    let story = Story {
        name: "told::a_controller_from_an_old_copy_deletes_nothing",
        cluster: small,
        drive: |world, clients| {
            clients.have(world, put("/d/old", 1, 9_000))?;
            let master = named(world, MASTER);
            let copy = world.disk(master).files();
            for name in ["logs keep promises", "promises are durable", "epochs grow"] {
                world.remove_checker(name);
            }
            for number in 2..6 {
                clients.have(world, put(&format!("/d/f{number}"), number, 9_000))?;
            }
            clients.run_for(world, seconds(5))?;
            let before = chunks_on_disks(world);
            let host = world.host("h0").expect("there is a host");
            world.power_cut(host);
            world.disk_mut(master).wipe();
            for (file, bytes) in copy {
                world.disk_mut(master).install(file, bytes);
            }
            world.power_on(host);
            for _ in 0..3 {
                clients.run_for(world, seconds(50))?;
            }
            let after = chunks_on_disks(world);
            expect(
                world,
                before == after,
                "an old controller had chunks removed",
            )?;
            let said = world
                .told()
                .iter()
                .any(|it| it.notice.name == "controller.rollback_seen");
            expect(
                world,
                said,
                "nobody says that the controller is an old copy",
            )
        },
        rests: false,
    };
    check(&story, 6);
}

/// Ruling 2: who asks what became of a write is told that it was not carried out only when it never
/// can be, whoever still has it on the way; and that it was, only when that is durable.
fn an_outcome_stands(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    let entry = named(world, "P4-NODE1");
    clients.tries = 1;
    let ticket = clients.begin(world, Some(entry), put("/d/f", 1, 6_000));
    let mut draw = world.streams().at(Stream::Workload, 0x0c0e, 0);
    clients.run_for(world, Duration::from_micros(200 + draw.below(4_000)))?;
    match world.seed() % 3 {
        0 => world.kill(entry),
        1 => {
            let master = named(world, MASTER);
            world.kill(master);
        }
        _ => world.pause(entry),
    }
    let op = clients.op(ticket).expect("it was asked for");
    let mut outcome = Outcome::Unknown;
    for _ in 0..60 {
        let asker = named(world, "P1-NODE1");
        let asked = clients.begin(world, Some(asker), Order::Ask(Ask::Outcome { op }));
        if let Done::Answered(answer) = clients.wait(world, asked)?
            && let Answer::Outcome(told) = *answer
        {
            outcome = told;
        }
        if matches!(outcome, Outcome::Done { .. } | Outcome::Aborted) {
            break;
        }
        clients.run_for(world, seconds(3))?;
    }
    let told = matches!(outcome, Outcome::Done { .. } | Outcome::Aborted);
    expect(world, told, "an outcome stays unknown")?;
    world.resume(entry);
    clients.run_for(world, seconds(40))?;
    clients.finish(world)?;
    wait_until(world, "all online", all_online)?;
    clients.tries = 6;
    let again = clients.again(world, ticket);
    let again = clients.wait(world, again)?;
    let read = clients.have(world, get("/d/f"))?;
    let (written, there) = (matches!(again, Done::Written(_)), read == Done::Read(1));
    let done = matches!(outcome, Outcome::Done { .. });
    let stands = written == done && there == done;
    let what = format!("told {outcome:?}, and then {again:?}, {read:?}");
    expect(world, stands, &what)
}

/// Ruling 2, the client's side.
#[test]
fn what_was_told_of_an_outcome_stands() {
    run(
        24,
        "told::what_was_told_of_an_outcome_stands",
        small,
        an_outcome_stands,
    );
}
