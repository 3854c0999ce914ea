//! Processes, agents, ports and power.

use vaquita_core::admin::LogRange;
use vaquita_core::disk::{DiskBatch, DiskOp, FileName, Lane};
use vaquita_core::event::Event as Notice;
use vaquita_core::ids::{DiskTicket, Endpoint, RequestId};
use vaquita_core::io::ExitCode;
use vaquita_core::process::{
    Inspection, PortState, ProcessEvent, ProcessExit, ProcessIdentity, ProcessOrder, StopSignal,
};

use super::*;
use crate::plan::Plan;

fn alias(text: &str) -> Alias {
    Alias::new(text).unwrap()
}

fn launch(node: &str) -> Effect {
    Effect::Process(ProcessOrder::Launch {
        alias: alias(node),
        node_cfg: format!("cfg of {node}"),
    })
}

fn exit(code: ExitCode) -> Effect {
    Effect::Exit(ExitReason {
        code,
        message: "as the script says".into(),
    })
}

fn events(bench: &Bench, agent: &str) -> Vec<ProcessEvent> {
    let event = |input: &Input| match input {
        Input::Process(event) => Some(event.clone()),
        _ => None,
    };
    bench.probe(agent).inputs().filter_map(event).collect()
}

/// An agent `a` on h0 whose script this is, and data nodes `x` and `y` there on 7001 and 7002.
fn host_of_agent(script: &[(Duration, Effect)]) -> Bench {
    let mut bench = Bench::of(&["a"]).script("a", script);
    let host = bench.world.host("h0").unwrap();
    bench
        .world
        .add_node(NodeSpec::new("x", host, 7_001).launched());
    bench
        .world
        .add_node(NodeSpec::new("y", host, 7_002).launched());
    bench
}

/// Lets the agent give orders later than at its start.
fn give(bench: &mut Bench, order: ProcessOrder) {
    let agent = bench.node("a");
    bench.world.order(agent, order);
    bench.run(10 * MS);
}

fn identity_of(bench: &Bench, launch: usize) -> ProcessIdentity {
    let launched = |event: ProcessEvent| match event {
        ProcessEvent::Launched { result, .. } => Some(result.unwrap()),
        _ => None,
    };
    events(bench, "a")
        .into_iter()
        .filter_map(launched)
        .nth(launch)
        .unwrap()
}

#[test]
fn an_agent_launches_a_node_and_learns_how_it_ends() {
    let mut bench = host_of_agent(&[(60 * MS, launch("x"))])
        .script(
            "x",
            &[
                (
                    SECOND,
                    Effect::Notify(Notice::error("x.bad", "the last words")),
                ),
                (SECOND, exit(ExitCode::Refused)),
            ],
        )
        .start();
    bench.run(500 * MS);
    assert_eq!(bench.world.life(bench.node("x")), Life::Running);
    let identity = identity_of(&bench, 0);
    bench.run(SECOND);
    let ended = events(&bench, "a").pop().unwrap();
    let log_tail = vec!["the last words".to_owned(), "as the script says".to_owned()];
    assert_eq!(
        ended,
        ProcessEvent::Exited {
            alias: alias("x"),
            identity,
            exit: ProcessExit::Code(78),
            log_tail
        }
    );
    assert_eq!(bench.world.mark("x.bad"), 1);
}

#[test]
fn a_launched_node_is_told_the_configuration_that_the_agent_wrote() {
    let told = std::rc::Rc::new(std::cell::RefCell::new(String::new()));
    let seen = std::rc::Rc::clone(&told);
    let bench = host_of_agent(&[(10 * MS, launch("x"))])
        .make("x", move |start| {
            start.config.clone_into(&mut seen.borrow_mut());
            Ok(Probe::default())
        })
        .start();
    assert_eq!(*told.borrow(), "cfg of x");
    assert!(matches!(
        events(&bench, "a")[..],
        [ProcessEvent::Launched { result: Ok(_), .. }]
    ));
}

#[test]
fn a_node_that_nobody_knew_gets_a_place_when_it_is_launched() {
    let mut bench = Bench::of(&["a", "b"])
        .script("b", &[(10 * MS, launch("new")), (20 * MS, launch("other"))])
        .start();
    bench.run(SECOND);
    let ends: Vec<bool> = events(&bench, "b")
        .iter()
        .filter_map(|event| match event {
            ProcessEvent::Launched { result, .. } => Some(result.is_ok()),
            _ => None,
        })
        .collect();
    assert_eq!(ends, [true, false]);
    assert!(
        bench.world.node("new").is_some(),
        "it runs out of patience with the port only later"
    );
}

#[test]
fn an_agent_that_is_gone_is_not_told_and_the_next_one_can_adopt() {
    let mut bench = host_of_agent(&[(60 * MS, launch("x"))]).start();
    bench.run(SECOND);
    let identity = identity_of(&bench, 0);
    bench.step("kill a");
    assert_eq!(
        bench.world.life(bench.node("x")),
        Life::Running,
        "children outlive their agent"
    );
    bench.world.factory_mut().scripts.clear();
    bench.step("start a");
    bench.run(SECOND);
    let inspect = ProcessOrder::Inspect {
        alias: alias("x"),
        identity: identity.clone(),
    };
    give(&mut bench, inspect.clone());
    bench.step("kill x");
    bench.run(SECOND);
    give(&mut bench, inspect);
    let events = events(&bench, "a");
    assert_eq!(events.len(), 3, "{events:?}");
    let found = |at: usize| match &events[at] {
        ProcessEvent::Inspected { inspection, .. } => inspection.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        (found(0), found(2)),
        (Inspection::Running, Inspection::Gone)
    );
    // Only the parent learns the status from the kernel.
    assert!(matches!(
        &events[1],
        ProcessEvent::Exited {
            exit: ProcessExit::Unknown,
            ..
        }
    ));
}

#[test]
fn a_process_id_that_went_to_another_program_is_told_apart() {
    let mut bench = host_of_agent(&[(60 * MS, launch("x"))]).start();
    bench.run(SECOND);
    let identity = identity_of(&bench, 0);
    bench.step("reuse-pid x");
    bench.run(10 * MS);
    let host = bench.world.host("h0").unwrap();
    assert_eq!(
        bench.world.host_state(host).processes(),
        2,
        "the agent, and another with the pid"
    );
    give(
        &mut bench,
        ProcessOrder::Inspect {
            alias: alias("x"),
            identity: identity.clone(),
        },
    );
    let inspected = events(&bench, "a").pop().unwrap();
    assert!(
        matches!(
            inspected,
            ProcessEvent::Inspected {
                inspection: Inspection::Gone,
                ..
            }
        ),
        "its start time differs: {inspected:?}"
    );
    let signal = StopSignal::Kill;
    give(
        &mut bench,
        ProcessOrder::Signal {
            alias: alias("x"),
            identity,
            signal,
        },
    );
    assert_eq!(
        bench.world.host_state(host).processes(),
        2,
        "the signal went to nobody"
    );
    assert_eq!(bench.world.failure(), None);
}

#[test]
fn a_program_that_took_the_process_id_within_the_same_tick_is_unproven() {
    let mut bench = host_of_agent(&[(60 * MS, launch("x"))]).start();
    let identity = identity_of(&bench, 0);
    // So soon that the start tick is the same.
    let host = bench.world.host("h0").unwrap();
    let begun = bench.world.hosts[host.index()]
        .process(identity.pid)
        .unwrap()
        .clone();
    let same = bench.world.hosts[host.index()].identity(&begun) == identity;
    assert!(same);
    bench.world.hosts[host.index()].replace_program(identity.pid, "sleep");
    give(
        &mut bench,
        ProcessOrder::Inspect {
            alias: alias("x"),
            identity,
        },
    );
    let inspected = events(&bench, "a").pop().unwrap();
    assert!(
        matches!(
            inspected,
            ProcessEvent::Inspected {
                inspection: Inspection::Unproven { .. },
                ..
            }
        ),
        "{inspected:?}"
    );
}

#[test]
fn process_ids_are_given_out_again() {
    let mut bench = Bench::of(&["a"]);
    bench.world.start_all();
    let mut seen = Vec::new();
    for _ in 0..200 {
        bench.run(100 * MS);
        let host = bench.world.host("h0").unwrap();
        let node = bench.node("a");
        seen.push(bench.world.host_state(host).pid_of(node).unwrap());
        bench.step("kill a");
        bench.step("start a");
    }
    let distinct: std::collections::BTreeSet<u32> = seen.iter().copied().collect();
    assert_eq!(distinct.len(), 64);
    assert_eq!(bench.world.starts(bench.node("a")), 200);
}

#[test]
fn a_signal_ends_a_process_as_the_agent_asks() {
    let mut bench = host_of_agent(&[(60 * MS, launch("x")), (61 * MS, launch("y"))])
        .script("x", &[])
        .start();
    bench.run(SECOND);
    let (x, y) = (identity_of(&bench, 0), identity_of(&bench, 1));
    let signal = |node: &str, identity, signal| ProcessOrder::Signal {
        alias: alias(node),
        identity,
        signal,
    };
    give(&mut bench, signal("x", x, StopSignal::Terminate));
    assert_eq!(bench.inputs("x"), [Input::Terminate]);
    give(&mut bench, signal("y", y, StopSignal::Kill));
    assert_eq!(bench.world.life(bench.node("y")), Life::Down);
    bench.run(SECOND);
    let ended = events(&bench, "a").pop().unwrap();
    assert!(matches!(
        ended,
        ProcessEvent::Exited {
            exit: ProcessExit::Signal(9),
            ..
        }
    ));
}

#[test]
fn ports_are_free_held_or_not_of_this_host() {
    let mut bench = host_of_agent(&[]).start();
    let probe = |bench: &mut Bench, host: &str, port| {
        let endpoint = Endpoint {
            host: host.into(),
            port,
        };
        give(
            bench,
            ProcessOrder::ProbePort {
                alias: alias("x"),
                endpoint,
            },
        );
        match events(bench, "a").pop() {
            Some(ProcessEvent::PortProbed { state, .. }) => state,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(probe(&mut bench, "h0", 7_001), PortState::Free);
    assert_eq!(
        probe(&mut bench, "h0", 7_000),
        PortState::Held {
            holder: Some("vaquita a".into())
        }
    );
    bench.step("hold-port h0 7001");
    assert_eq!(
        probe(&mut bench, "127.0.0.1", 7_001),
        PortState::Held {
            holder: Some("pid 97001 (nginx)".into())
        }
    );
    bench.step("free-port h0 7001");
    assert_eq!(probe(&mut bench, "10.0.0.1", 7_001), PortState::Free);
    assert!(matches!(
        probe(&mut bench, "10.0.0.9", 7_001),
        PortState::Refused { .. }
    ));
}

#[test]
fn a_taken_port_is_waited_for_and_then_given_up() {
    let mut bench = host_of_agent(&[(10 * MS, launch("x")), (11 * MS, launch("y"))]);
    bench.step("hold-port h0 7001");
    bench.step("hold-port h0 7002");
    bench = bench.start();
    bench.until(10 * SECOND);
    bench.step("free-port h0 7001");
    bench.until(60 * SECOND);
    assert_eq!(bench.world.life(bench.node("x")), Life::Running);
    let ended = bench.world.ended();
    assert_eq!(ended.len(), 1);
    assert_eq!(
        (ended[0].node, ended[0].reason.code),
        (bench.node("y"), ExitCode::Unavailable)
    );
    assert!(ended[0].at.since(SimTime::ZERO) > 30 * SECOND);
}

#[test]
fn a_second_process_finds_the_home_locked() {
    let mut bench = host_of_agent(&[(10 * MS, launch("x")), (SECOND, launch("x"))]).start();
    bench.run(3 * SECOND);
    let ended = bench.world.ended();
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].reason.code, ExitCode::AlreadyRunning);
    assert_eq!(bench.world.starts(bench.node("x")), 1);
    assert_eq!(bench.world.life(bench.node("x")), Life::Running);
    let host = bench.world.host("h0").unwrap();
    assert_eq!(
        bench.world.host_state(host).processes_of(bench.node("x")),
        1
    );
}

#[test]
fn a_host_that_cannot_fork_says_so() {
    let mut bench = host_of_agent(&[(SECOND, launch("x"))]).start();
    bench.step("forks h0 fail");
    bench.run(2 * SECOND);
    let launched = events(&bench, "a").pop().unwrap();
    assert!(
        matches!(launched, ProcessEvent::Launched { result: Err(_), .. }),
        "{launched:?}"
    );
}

#[test]
fn a_log_is_read_whether_the_node_runs_or_not() {
    let say = |at, text: &str| (at, Effect::Notify(Notice::info("x.says", text)));
    let mut bench = host_of_agent(&[(10 * MS, launch("x"))])
        .script("x", &[say(100 * MS, "one"), say(200 * MS, "two")])
        .start();
    bench.run(SECOND);
    bench.step("kill x");
    bench.run(10 * MS);
    let mut read = |range| {
        let id = RequestId(5);
        give(
            &mut bench,
            ProcessOrder::ReadLog {
                id,
                alias: alias("x"),
                generation: 0,
                range,
            },
        );
        match events(&bench, "a").pop() {
            Some(ProcessEvent::LogRead { result, .. }) => {
                let piece = result.unwrap();
                (
                    piece.offset,
                    piece.file_len,
                    String::from_utf8(piece.bytes).unwrap(),
                )
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(read(LogRange::Tail { len: 4 }), (4, 8, "two\n".into()));
    assert_eq!(
        read(LogRange::From { offset: 1, len: 3 }),
        (1, 8, "ne\n".into())
    );
    assert_eq!(
        read(LogRange::From { offset: 99, len: 3 }),
        (8, 8, String::new())
    );
}

#[test]
fn a_service_manager_restarts_what_is_worth_it() {
    for (code, restarts) in [(ExitCode::DiskFault, true), (ExitCode::CorruptData, false)] {
        let mut world = World::new(1, Settings::default(), Probes::default());
        let host = world.add_host("h0");
        world.add_node(NodeSpec::new("a", host, 7_000).restarted_after(SECOND));
        let mut bench = Bench { world }.script("a", &[(SECOND, exit(code))]).start();
        bench.run(3 * SECOND);
        assert_eq!(
            bench.world.starts(bench.node("a")) > 1,
            restarts,
            "{code:?}"
        );
    }
}

#[test]
fn a_machine_that_refuses_to_start_ends_its_process_with_its_status() {
    let mut bench = Bench::of(&["a"]).make("a", |_| {
        let message = "the home is damaged".to_owned();
        Err(ExitReason {
            code: ExitCode::CorruptData,
            message,
        })
    });
    bench = bench.start();
    assert_eq!(bench.world.life(bench.node("a")), Life::Down);
    assert_eq!(bench.world.ended()[0].reason.code, ExitCode::CorruptData);
    let host = bench.world.host("h0").unwrap();
    assert_eq!(bench.world.host_state(host).processes(), 0);
}

#[test]
fn power_takes_every_process_and_brings_back_what_starts_at_boot() {
    let mut bench = host_of_agent(&[(10 * MS, launch("x"))]).start();
    let host = bench.world.host("h0").unwrap();
    let boot = bench.world.host_state(host).boot_id();
    bench.step("power-cut h0");
    assert_eq!(bench.world.life(bench.node("a")), Life::Down);
    assert_eq!(bench.world.life(bench.node("x")), Life::Down);
    bench.step("start a");
    bench.run(SECOND);
    assert_eq!(
        bench.world.life(bench.node("a")),
        Life::Down,
        "nothing starts without power"
    );
    bench.world.factory_mut().scripts.clear();
    bench.step("power-on h0");
    bench.run(SECOND);
    assert_eq!(bench.world.life(bench.node("a")), Life::Running);
    assert_eq!(
        bench.world.life(bench.node("x")),
        Life::Down,
        "only its agent starts it"
    );
    assert_ne!(bench.world.host_state(host).boot_id(), boot);
}

/// A node that writes three records, each with its own sync.
fn writer() -> Bench {
    let file = || FileName::fixed("log");
    let batch = |ticket, ops| {
        Effect::Disk(DiskBatch {
            ticket: DiskTicket(ticket),
            lane: Lane::Foreground,
            ops,
        })
    };
    let write = |n: u64| {
        let bytes = vec![u8::try_from(n).unwrap(); 4];
        let append = DiskOp::Append {
            file: file(),
            offset: 4 * (n - 1),
            bytes,
        };
        batch(n, vec![append, DiskOp::Sync { file: file() }])
    };
    let create = batch(9, vec![DiskOp::CreateNew { file: file() }, DiskOp::SyncDir]);
    let script: Vec<(Duration, Effect)> = std::iter::once((10 * MS, create))
        .chain((1..=3).map(|n| (10 * MS * u32::try_from(n + 1).unwrap(), write(n))))
        .collect();
    Bench::of(&["a"]).script("a", &script)
}

#[test]
fn power_can_be_cut_at_each_operation_before_and_after_it() {
    for op in 0..8 {
        for after in [false, true] {
            let mut bench = writer();
            let node = bench.node("a");
            bench.world.at_op(
                node,
                AtOp {
                    op,
                    after,
                    power: true,
                },
            );
            bench = bench.start();
            bench.run(SECOND);
            assert_eq!(bench.world.life(node), Life::Down, "operation {op}");
            assert_eq!(bench.world.disk(node).ops_done(), op + u64::from(after));
            let read = bench.world.disk(node).read(&FileName::fixed("log"));
            // Operations 3, 5 and 7 are the syncs of the three records.
            let synced = usize::try_from((op + u64::from(after)).saturating_sub(2) / 2).unwrap();
            let len = read.map_or(0, <[u8]>::len);
            assert!(
                len >= 4 * synced && len <= 4 * (synced + 1),
                "operation {op}: {len} bytes"
            );
        }
    }
}

#[test]
fn a_kill_at_an_operation_keeps_what_was_written() {
    let mut bench = writer();
    let node = bench.node("a");
    bench.world.at_op(
        node,
        AtOp {
            op: 5,
            after: false,
            power: false,
        },
    );
    bench = bench.start();
    bench.run(SECOND);
    assert_eq!(bench.world.life(node), Life::Down);
    let read = bench
        .world
        .disk(node)
        .read(&FileName::fixed("log"))
        .unwrap();
    assert_eq!(
        read,
        [1, 1, 1, 1, 2, 2, 2, 2],
        "the second record was written and not synced"
    );
}

#[test]
fn a_disk_that_hangs_answers_when_it_goes_on() {
    let mut bench = writer();
    bench.step("disk a hang");
    bench = bench.start();
    bench.run(60 * SECOND);
    let done = |bench: &Bench| {
        bench
            .inputs("a")
            .iter()
            .filter(|input| matches!(input, Input::DiskDone { .. }))
            .count()
    };
    assert_eq!(done(&bench), 0);
    bench.step("disk a well");
    bench.run(SECOND);
    assert_eq!(done(&bench), 4);
}

#[test]
fn a_plan_that_names_nobody_is_refused_before_it_begins() {
    let mut bench = Bench::of(&["a"]);
    for (text, words) in [
        ("at 1s start z", "there is no node z"),
        ("at 1s power-cut h7", "there is no host h7"),
        ("at 1s ask a anything", "knows no request"),
    ] {
        let plan: Plan = text.parse().unwrap();
        let error = bench.world.load(&plan).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(bench.world.events_waiting(), 0);
}

#[test]
fn what_is_healed_for_some_stays_broken_for_the_others() {
    let mut bench = Bench::of(&["a", "b", "c"]).start();
    for step in [
        "isolate h0",
        "isolate h2",
        "kill a",
        "power-cut h2",
        "pause b",
        "weather loss=50%",
    ] {
        bench.step(step);
    }
    let core = ["h0", "h1"].map(|host| bench.world.host(host).unwrap());
    bench.world.heal_core(&core);
    bench.run(SECOND);
    let [h0, h1] = core;
    let h2 = bench.world.host("h2").unwrap();
    let cut = |from, to| bench.world.net().is_cut(from, to, crate::net::Traffic::Udp);
    assert!(!cut(h0, h1) && !cut(h1, h0) && cut(h0, h2) && cut(h2, h1));
    assert_eq!(bench.world.life(bench.node("a")), Life::Running);
    assert_eq!(bench.world.life(bench.node("b")), Life::Running);
    assert_eq!(bench.world.life(bench.node("c")), Life::Down);
}
