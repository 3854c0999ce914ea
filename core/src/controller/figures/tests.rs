use core::time::Duration;

use crate::admin::{NodeRow, Refusal, Response, Verb};
use crate::figures::{ClusterSeries, Figures, FiguresReport, NodeFigures, NodeSeries};
use crate::ideal::Ideal;
use crate::ids::Role;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// What a process measures that has run for so long.
fn after(seconds: u64) -> Figures {
    Figures {
        uptime_ms: seconds * 1000,
        memory_bytes: 1 << 20,
        cpu_us: seconds * 6_000,
        sent_bytes: seconds * 100,
        chunks_read: seconds,
        ..Figures::default()
    }
}

fn rows(cluster: &mut Ideal) -> Vec<NodeRow> {
    match cluster.ask(Verb::ListNodes) {
        Ok(Response::Nodes(rows)) => rows,
        other => panic!("{other:?}"),
    }
}

fn figures(cluster: &mut Ideal, name: &str) -> Option<NodeFigures> {
    let rows = rows(cluster).into_iter();
    let mut row = rows.filter(|row| row.alias.as_str() == name);
    row.next().expect("a known alias").figures.map(|it| *it)
}

fn charts(cluster: &mut Ideal, node: Option<&str>, names: &[&str]) -> FiguresReport {
    let verb = Verb::Figures {
        node: node.map(str::to_owned),
        names: names.iter().map(|&name| name.to_owned()).collect(),
    };
    match cluster.ask(verb) {
        Ok(Response::Figures(report)) => report,
        other => panic!("{other:?}"),
    }
}

/// Has the controller and a data node measure themselves for a while.
fn run(cluster: &mut Ideal, from: u64, times: u64) -> u64 {
    for n in 1..=times {
        cluster.run_for(seconds(5));
        cluster.measure(Ideal::controller_at(), after(from + 5 * n));
        cluster.measure(Ideal::node_at(2), after(from + 5 * n));
    }
    from + 5 * times
}

#[test]
fn the_controller_lists_itself_first_and_every_member_with_its_figures() {
    let mut cluster = Ideal::running(2);
    let told = rows(&mut cluster);
    assert_eq!(told.len(), 5);
    assert_eq!(told[0].mode, Role::Controller);
    assert!(
        told.iter().all(|row| row.figures.is_none()),
        "nothing is known"
    );
    run(&mut cluster, 0, 2);
    let node = figures(&mut cluster, "P1-NODE1").unwrap();
    assert_eq!(node.cpu_milli, Some(6));
    assert_eq!(node.send_rate, Some(100));
    assert_eq!(node.chunk_reads_milli, Some(1000));
    assert!(node.last_msg_latency_ns.is_some() && node.disk_capacity.is_some());
    let own = rows(&mut cluster)[0].figures.clone().unwrap();
    assert_eq!((own.cpu_milli, own.disk_capacity), (Some(6), None));
    assert_eq!(
        figures(&mut cluster, "P2-NODE1"),
        None,
        "it has not measured"
    );
}

#[test]
fn a_node_that_was_given_up_keeps_its_row_with_zeros_and_comes_back_with_its_own() {
    let mut cluster = Ideal::running(2);
    let uptime = run(&mut cluster, 0, 3);
    cluster.freeze(Ideal::node_at(2), true);
    cluster.run_for(seconds(60));
    let gone = figures(&mut cluster, "P1-NODE1").unwrap();
    assert_eq!(gone, NodeFigures::gone(true));
    cluster.freeze(Ideal::node_at(2), false);
    cluster.run_for(seconds(5));
    let back = figures(&mut cluster, "P1-NODE1");
    assert_eq!(
        back, None,
        "what it said under the void registration is not shown"
    );
    run(&mut cluster, uptime + 60, 2);
    let back = figures(&mut cluster, "P1-NODE1").unwrap();
    assert_eq!(back.send_rate, Some(100));
}

#[test]
fn figures_are_no_sign_of_life() {
    let mut cluster = Ideal::running(2);
    let index = cluster.controller().log_positions();
    let silence = |cluster: &Ideal| cluster.row("P1-NODE1").silent_ms;
    cluster.run_for(Duration::from_millis(300));
    let before = silence(&cluster);
    cluster.measure(Ideal::node_at(2), after(5));
    assert_eq!(silence(&cluster), before);
    let told = figures(&mut cluster, "P1-NODE1");
    assert_eq!(told.and_then(|it| it.age_ms), Some(0));
    assert_eq!(
        cluster.controller().log_positions(),
        index,
        "nor in the log"
    );
}

#[test]
fn charts_have_a_point_each_ten_seconds_and_gaps_where_the_controller_stood_still() {
    let mut cluster = Ideal::running(2);
    let none = charts(&mut cluster, Some("P1-NODE1"), &["cpu"]);
    assert_eq!((none.step_ms, none.newest_age_ms), (10_000, None));
    let uptime = run(&mut cluster, 0, 13);
    let told = charts(&mut cluster, Some("P1-NODE1"), &["cpu", "memory"]);
    assert_eq!(
        told.series.keys().copied().collect::<Vec<_>>(),
        ["cpu", "memory"]
    );
    assert_eq!(told.series["memory"], [Some(1 << 20); 6]);
    assert!(
        told.newest_age_ms.is_some_and(|age| age < 10_000),
        "{told:?}"
    );
    cluster.freeze(Ideal::controller_at(), true);
    cluster.run_for(seconds(40));
    cluster.freeze(Ideal::controller_at(), false);
    run(&mut cluster, uptime + 40, 6);
    let told = charts(&mut cluster, Some("P1-NODE1"), &["memory"]);
    let memory = &told.series["memory"];
    let gaps = memory.iter().filter(|it| it.is_none()).count();
    assert_eq!(memory.len(), 13, "{memory:?}");
    assert!((3..=5).contains(&gaps), "{memory:?}");
    assert_eq!(memory.last(), Some(&Some(1 << 20)));
}

#[test]
fn charts_of_the_cluster_say_what_it_has_and_does() {
    let mut cluster = Ideal::running(2);
    run(&mut cluster, 0, 4);
    let told = charts(&mut cluster, None, &[]);
    assert_eq!(told.node, None);
    assert_eq!(told.series.len(), ClusterSeries::COUNT);
    assert_eq!(told.series["online"].last(), Some(&Some(2)));
    assert_eq!(told.series["files"].last(), Some(&Some(0)));
    assert_eq!(told.series["degraded"].last(), Some(&Some(0)));
    // Two processes have measured: of what they use the sum is told, of their hosts' load the highest.
    let last = |name: &str| told.series[name].last().copied().flatten();
    assert_eq!(last("cpu"), Some(12));
    assert_eq!(last("memory"), Some(2 << 20));
    assert_eq!(last("sent"), Some(200));
    assert_eq!(last("load"), Some(0));
    assert_eq!(told.series["commits"].last(), Some(&Some(0)));
    assert!(told.series["log_bytes"].last().unwrap().is_some());
    let own = charts(&mut cluster, Some("master"), &[]);
    assert_eq!(own.series.len(), NodeSeries::COUNT);
    assert_eq!(own.series["disk_free"].last(), Some(&None));
}

#[test]
fn charts_that_are_not_there_are_refused_by_name() {
    let mut cluster = Ideal::running(1);
    let mut ask = |node: Option<&str>, name: &str| {
        cluster.ask(Verb::Figures {
            node: node.map(str::to_owned),
            names: vec![name.to_owned()],
        })
    };
    for (node, name) in [(None, "latency"), (Some("P1-NODE1"), "commits"), (None, "")] {
        let refused = ask(node, name);
        assert!(
            matches!(refused, Err(Refusal::Invalid { .. })),
            "{refused:?}"
        );
    }
    let unknown = ask(Some("P1-NODE9"), "cpu");
    assert!(
        matches!(unknown, Err(Refusal::NotFound { .. })),
        "{unknown:?}"
    );
}
