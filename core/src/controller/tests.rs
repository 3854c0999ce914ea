mod alarms;
mod audit;

use core::time::Duration;

use crate::admin::{NodeState, Refusal, Response, SETUP_CODE_FILE, Selection, Verb};
use crate::ideal::Ideal;
use crate::ids::LineageId;
use crate::io::ExitCode;
use crate::message::RestartPolicy;
use crate::secret::Password;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn start(names: &[&str]) -> Verb {
    Verb::StartNodes(Selection::Aliases(
        names.iter().map(|&name| name.to_owned()).collect(),
    ))
}

fn stop(names: &[&str]) -> Verb {
    Verb::StopNodes(Selection::Aliases(
        names.iter().map(|&name| name.to_owned()).collect(),
    ))
}

#[test]
fn agents_before_the_controller_and_after_it_both_come_online() {
    let mut cluster = Ideal::of(4);
    for host in 2..4 {
        cluster.start_agent(host);
    }
    cluster.run_for(seconds(5));
    cluster.start_controller();
    for host in 4..6 {
        cluster.start_agent(host);
    }
    cluster.run_for(seconds(3));
    for row in cluster.rows() {
        let expected = if row.agent.is_none() {
            NodeState::Online
        } else {
            NodeState::Stopped
        };
        assert_eq!(row.state, expected, "{row:?}");
    }
}

/// The setup codes that the controller has told, oldest first.
fn told_codes(cluster: &Ideal) -> Vec<String> {
    let told = cluster
        .events
        .iter()
        .filter(|(_, event)| event.name == "access.setup_code");
    told.map(|(_, event)| event.message["Setup code ".len()..][..11].to_owned())
        .collect()
}

#[test]
fn the_setup_code_is_in_a_file_until_the_password_is_changed_and_is_another_at_each_start() {
    let mut cluster = Ideal::of(1);
    let file = |cluster: &Ideal| {
        let bytes = cluster.controllers_file(SETUP_CODE_FILE)?;
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    };
    for start in 1..=2 {
        cluster.start_controller();
        cluster.run_for(seconds(1));
        let codes = told_codes(&cluster);
        assert_eq!(codes.len(), start, "{codes:?}");
        assert_eq!(file(&cluster), Some(format!("{}\n", codes[start - 1])));
        cluster.kill(Ideal::controller_at());
    }
    let codes = told_codes(&cluster);
    assert_ne!(codes[0], codes[1]);

    cluster.start_controller();
    cluster.run_for(seconds(1));
    let new = Verb::ChangePassword {
        user: Some("admin".to_owned()),
        old: None,
        new: Password::new("seventeen wet otters".to_owned()),
    };
    cluster.ask(new).unwrap();
    assert_eq!(file(&cluster), None);
    cluster.kill(Ideal::controller_at());
    cluster.start_controller();
    cluster.run_for(seconds(1));
    assert_eq!(file(&cluster), None);
    assert_eq!(told_codes(&cluster).len(), 3);
}

#[test]
fn an_order_starts_a_node_and_another_stops_it_for_good() {
    let mut cluster = Ideal::running(2);
    let Ok(Response::Ordered(rows)) = cluster.ask(stop(&["P1-NODE1"])) else {
        panic!("refused")
    };
    assert!(rows[0].changed);
    cluster.run_for(seconds(1));
    assert_eq!(cluster.state("P1-NODE1"), NodeState::Stopped);
    assert!(!cluster.runs(Ideal::node_at(2)));
    cluster.run_for(seconds(120));
    assert_eq!(
        cluster.state("P1-NODE1"),
        NodeState::Stopped,
        "nobody starts it again"
    );
    cluster.ask(start(&["127.0.0.2:8961"])).unwrap();
    cluster.run_for(seconds(1));
    assert_eq!(
        cluster.state("P1-NODE1"),
        NodeState::Online,
        "host:port names it too"
    );
}

#[test]
fn a_killed_node_is_offline_at_once_and_restarted_at_once() {
    let mut cluster = Ideal::running(2);
    let pid = cluster.pid(Ideal::node_at(2));
    cluster.kill(Ideal::node_at(2));
    assert_eq!(cluster.count("node.offline"), 1, "its agent saw it end");
    cluster.run_for(Duration::from_millis(500));
    assert_eq!(cluster.state("P1-NODE1"), NodeState::Online);
    assert_ne!(cluster.pid(Ideal::node_at(2)), pid);
}

#[test]
fn crashes_in_a_row_are_restarted_after_one_two_and_four_seconds() {
    let mut cluster = Ideal::running(1);
    let mut waits = Vec::new();
    for _ in 0..5 {
        cluster.kill(Ideal::node_at(2));
        let killed = cluster.now;
        while !cluster.runs(Ideal::node_at(2)) {
            cluster.run_for(Duration::from_millis(100));
        }
        waits.push(cluster.now.since(killed).as_millis() / 1000);
    }
    assert_eq!(waits, [0, 1, 2, 4, 8]);
    assert!(
        cluster
            .row("P1-NODE1")
            .conditions
            .contains(&"crash-loop".to_owned())
    );
}

#[test]
fn a_sigterm_by_hand_stands_like_an_order() {
    let mut cluster = Ideal::running(1);
    cluster.terminate(Ideal::node_at(2));
    cluster.run_for(seconds(60));
    let row = cluster.row("P1-NODE1");
    assert_eq!(row.state, NodeState::Stopped);
    assert!(
        row.reason.contains("vaquita node start P1-NODE1"),
        "{}",
        row.reason
    );
    cluster.ask(start(&["P1-NODE1"])).unwrap();
    cluster.run_for(seconds(1));
    assert_eq!(cluster.state("P1-NODE1"), NodeState::Online);
}

#[test]
fn a_restart_interval_rules_where_it_is_given() {
    let mut cluster = Ideal::of(1);
    cluster.restart = RestartPolicy::After(5_000);
    cluster.start_controller();
    cluster.start_agent(2);
    cluster.run_for(seconds(6));
    assert_eq!(
        cluster.state("P1-NODE1"),
        NodeState::Online,
        "started by itself"
    );
    cluster.kill(Ideal::node_at(2));
    cluster.run_for(seconds(4));
    assert!(!cluster.runs(Ideal::node_at(2)));
    cluster.run_for(seconds(2));
    assert_eq!(cluster.state("P1-NODE1"), NodeState::Online);
    cluster.ask(stop(&["P1-NODE1"])).unwrap();
    cluster.run_for(seconds(60));
    assert_eq!(
        cluster.state("P1-NODE1"),
        NodeState::Stopped,
        "a stop by an operator stands"
    );
}

#[test]
fn a_restart_interval_of_zero_leaves_a_crashed_node_down() {
    let mut cluster = Ideal::of(1);
    cluster.restart = RestartPolicy::Never;
    cluster.start_controller();
    cluster.start_agent(2);
    cluster.run_for(seconds(1));
    cluster.ask(start(&["P1-NODE1"])).unwrap();
    cluster.run_for(seconds(1));
    cluster.kill(Ideal::node_at(2));
    cluster.run_for(seconds(120));
    let row = cluster.row("P1-NODE1");
    assert_eq!(row.state, NodeState::Stopped);
    assert!(
        row.reason.contains("datanodeRestartInterval=0"),
        "{}",
        row.reason
    );
}

#[test]
fn a_frozen_node_is_suspected_then_offline_and_comes_back_under_a_new_epoch() {
    let mut cluster = Ideal::running(2);
    let before = cluster.row("P1-NODE1").epoch;
    cluster.freeze(Ideal::node_at(2), true);
    cluster.run_for(seconds(4));
    assert_eq!(cluster.state("P1-NODE1"), NodeState::Suspect);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.state("P1-NODE1"), NodeState::Offline);
    cluster.freeze(Ideal::node_at(2), false);
    cluster.run_for(seconds(2));
    assert_eq!(cluster.state("P1-NODE1"), NodeState::Online);
    assert!(cluster.row("P1-NODE1").epoch > before);
}

#[test]
fn blocked_udp_is_noticed_named_and_worked_around() {
    let mut cluster = Ideal::running(2);
    cluster.udp_passes = false;
    cluster.run_for(seconds(7));
    for row in cluster.rows() {
        assert_eq!(row.state, NodeState::Online, "{row:?}");
        assert!(
            row.conditions.contains(&"udp-blocked".to_owned()),
            "{row:?}"
        );
    }
    let told = cluster.events.iter().find(|(at, event)| {
        *at == Ideal::controller_at()
            && event
                .message
                .contains("UDP heartbeats blocked from P1-NODE1")
    });
    assert!(told.is_some(), "the controller says it by name");
    cluster.run_for(seconds(600));
    assert_eq!(cluster.count("node.offline"), 0);
    cluster.udp_passes = true;
    cluster.run_for(seconds(65));
    for row in cluster.rows() {
        assert!(row.conditions.is_empty(), "a datagram comes back: {row:?}");
    }
}

#[test]
fn a_member_of_which_only_heartbeats_come_is_told_of_and_fenced_by_nobody() {
    let mut cluster = Ideal::running(2);
    let before = cluster.row("P1-NODE1").epoch;
    cluster.without_tcp = Some(Ideal::node_at(2));
    cluster.run_for(seconds(24));
    let row = cluster.row("P1-NODE1");
    assert_eq!((row.state, row.epoch), (NodeState::Online, before));
    assert_eq!(row.conditions, ["tcp-blocked"]);
    let told = (cluster.events.iter()).find(|(_, event)| event.name == "node.tcp_blocked");
    let (at, event) = told.expect("it is told of");
    assert_eq!(*at, Ideal::controller_at());
    assert!(event.message.contains("P1-NODE1"), "{}", event.message);
    cluster.run_for(seconds(600));
    assert!(cluster.row("P2-NODE1").conditions.is_empty());
    assert_eq!(cluster.count("node.tcp_blocked"), 1, "once");
    assert_eq!(cluster.count("node.offline"), 0);
    cluster.without_tcp = None;
    cluster.run_for(seconds(24));
    let row = cluster.row("P1-NODE1");
    assert_eq!((row.state, row.epoch), (NodeState::Online, before));
    assert!(row.conditions.is_empty(), "{row:?}");
    assert_eq!(cluster.count("node.tcp_back"), 1);
}

#[test]
fn a_controller_that_stood_still_blames_no_session() {
    let mut cluster = Ideal::running(2);
    cluster.freeze(Ideal::controller_at(), true);
    cluster.run_for(seconds(60));
    cluster.freeze(Ideal::controller_at(), false);
    cluster.run_for(seconds(60));
    assert_eq!(cluster.count("node.tcp_blocked"), 0);
}

#[test]
fn who_stands_still_for_a_moment_keeps_its_session() {
    for still in [Ideal::controller_at(), Ideal::node_at(2)] {
        // At each moment of the time between two questions.
        for moment in 0..10 {
            let mut cluster = Ideal::running(2);
            cluster.run_for(seconds(20 + moment));
            let before = cluster.count("node.registered");
            cluster.freeze(still, true);
            // Less than 4/5 T, behind which a node acts.
            cluster.run_for(seconds(5));
            cluster.freeze(still, false);
            cluster.run_for(seconds(30));
            assert_eq!(
                cluster.count("node.registered"),
                before,
                "{still}, {moment}"
            );
            assert_eq!(cluster.count("uplink.mute"), 0);
        }
    }
}

#[test]
fn a_quiet_hour_changes_nothing() {
    let mut cluster = Ideal::running(3);
    let events = cluster.events.len();
    cluster.run_for(seconds(3600));
    assert_eq!(cluster.events.len(), events, "{:?}", cluster.events.last());
}

#[test]
fn an_agents_restart_adopts_its_nodes_and_restarts_none() {
    let mut cluster = Ideal::running(2);
    let pid = cluster.pid(Ideal::node_at(2));
    cluster.kill(Ideal::agent_at(2));
    cluster.run_for(seconds(1));
    cluster.start_agent(2);
    cluster.run_for(seconds(12));
    assert_eq!(cluster.pid(Ideal::node_at(2)), pid);
    assert_eq!(cluster.state("P1-NODE1"), NodeState::Online);
    assert_eq!(cluster.state("P1-agent"), NodeState::Online);
    assert_eq!(cluster.count("child.adopted"), 1);
    cluster.kill(Ideal::node_at(2));
    cluster.run_for(seconds(1));
    assert_eq!(
        cluster.state("P1-NODE1"),
        NodeState::Online,
        "an adopted node is watched too"
    );
}

#[test]
fn a_node_that_ended_while_its_agent_was_away_is_started_again() {
    let mut cluster = Ideal::running(1);
    cluster.kill(Ideal::agent_at(2));
    cluster.kill(Ideal::node_at(2));
    cluster.run_for(seconds(1));
    cluster.start_agent(2);
    cluster.run_for(seconds(2));
    assert_eq!(cluster.state("P1-NODE1"), NodeState::Online);
}

#[test]
fn an_end_by_hand_is_still_told_after_its_agents_restart() {
    let mut cluster = Ideal::running(1);
    cluster.terminate(Ideal::node_at(2));
    cluster.run_for(seconds(1));
    cluster.kill(Ideal::agent_at(2));
    cluster.run_for(seconds(1));
    cluster.start_agent(2);
    cluster.run_for(seconds(2));
    let row = cluster.row("P1-NODE1");
    assert_eq!(row.state, NodeState::Stopped, "{}", row.reason);
    assert!(
        row.reason.contains("vaquita node start P1-NODE1"),
        "{}",
        row.reason
    );
}

#[test]
fn a_start_ordered_while_the_agent_is_away_outweighs_an_end_by_hand_before_it() {
    let mut cluster = Ideal::running(1);
    cluster.terminate(Ideal::node_at(2));
    cluster.run_for(seconds(1));
    cluster.kill(Ideal::agent_at(2));
    cluster.run_for(seconds(20));
    let Ok(Response::Ordered(rows)) = cluster.ask(start(&["P1-NODE1"])) else {
        panic!("refused")
    };
    assert!(rows[0].changed, "{rows:?}");
    cluster.start_agent(2);
    cluster.run_for(seconds(2));
    assert_eq!(cluster.state("P1-NODE1"), NodeState::Online);
}

#[test]
fn a_held_port_names_its_holder_and_the_node_starts_once_it_is_free() {
    let mut cluster = Ideal::of(1);
    cluster.held.insert(8961, "pid 4711 (nginx)".to_owned());
    cluster.start_controller();
    cluster.start_agent(2);
    cluster.run_for(seconds(1));
    cluster.ask(start(&["P1-NODE1"])).unwrap();
    cluster.run_for(seconds(5));
    let row = cluster.row("P1-NODE1");
    assert_eq!(row.state, NodeState::Failed);
    assert!(
        row.reason.contains("Failed to bind the socket on 8961"),
        "{}",
        row.reason
    );
    assert!(row.reason.contains("pid 4711 (nginx)"), "{}", row.reason);
    cluster.held.clear();
    cluster.run_for(seconds(2));
    assert_eq!(cluster.state("P1-NODE1"), NodeState::Online);
}

#[test]
fn a_controllers_restart_keeps_epochs_and_restarts_nobody() {
    let mut cluster = Ideal::running(3);
    let before: Vec<_> = cluster
        .rows()
        .iter()
        .map(|row| (row.epoch, row.pid))
        .collect();
    cluster.kill(Ideal::controller_at());
    cluster.run_for(seconds(20));
    cluster.start_controller();
    cluster.run_for(seconds(4));
    let after: Vec<_> = cluster
        .rows()
        .iter()
        .map(|row| (row.epoch, row.pid))
        .collect();
    assert_eq!(after, before);
    for row in cluster.rows() {
        assert_eq!(row.state, NodeState::Online, "{row:?}");
    }
    assert_eq!(
        cluster.count("child.started"),
        3,
        "each node was started once"
    );
}

#[test]
fn an_unknown_node_is_named_with_the_nearest_one() {
    let mut cluster = Ideal::running(1);
    for name in ["P1-NODE2", "p1-node1", "P1_node1"] {
        let refused = cluster.ask(start(&[name]));
        let Err(Refusal::NotFound { what }) = refused else {
            panic!("{refused:?}")
        };
        assert!(what.contains("did you mean `P1-NODE1`?"), "{what}");
    }
}

#[test]
fn an_agent_that_does_not_run_is_found_out() {
    let mut cluster = Ideal::of(1);
    cluster.start_controller();
    cluster.run_for(seconds(3));
    let row = cluster.row("P1-agent");
    assert_eq!(row.state, NodeState::Stopped);
    assert!(
        row.reason.contains("nothing listens at 127.0.0.2:8960"),
        "{}",
        row.reason
    );
}

#[test]
fn a_handshake_that_comes_to_nothing_is_tried_again() {
    let mut cluster = Ideal::of(1);
    cluster.start_controller();
    cluster.run_for(seconds(1));
    // It takes connections and says nothing, like a host under a heavy load.
    cluster.freeze(Ideal::controller_at(), true);
    cluster.start_agent(2);
    cluster.run_for(seconds(60));
    cluster.freeze(Ideal::controller_at(), false);
    cluster.run_for(seconds(10));
    assert_eq!(cluster.state("P1-agent"), NodeState::Online);
}

/// Damages the record that begins nearest before the last `back` bytes of the controller's log.
fn damage_the_log(cluster: &mut Ideal, back: usize) {
    let files = cluster.disk(Ideal::controller_at());
    let (_, segment) = files
        .iter_mut()
        .rfind(|(name, _)| name.as_str().starts_with("seg-"))
        .expect("there is a log");
    let at = segment.len() - back;
    segment[at] ^= 1;
}

#[test]
fn nodes_that_were_told_of_a_lost_record_refuse_a_repaired_controller_and_say_so() {
    let mut cluster = Ideal::running(2);
    cluster.run_for(seconds(6));
    let (lost, _) = cluster.controller().log_positions();
    cluster.kill(Ideal::controller_at());
    damage_the_log(&mut cluster, 300);
    let report = super::inspect_home(cluster.disk(Ideal::controller_at())).expect("a home");
    assert!(report.verdict.is_err(), "{report:?}");
    assert!(report.durable > report.last_good || !report.would_lose.is_empty());

    let lineage = LineageId::new([7; 16]);
    cluster.repair(report.last_good, lineage);
    cluster.start_controller();
    cluster.run_for(seconds(10));
    assert!(
        cluster.count("metalog.lineage") == 1,
        "the operator hears of it"
    );
    assert!(cluster.count("controller.rollback_seen") > 0);
    let epochs = cluster.controller().state().epoch_starts.clone();
    let begun = *epochs.values().last().expect("it serves");
    assert!(
        begun > lost,
        "{begun} is an index that a lost record had, up to {lost}"
    );
    let Ok(Response::Status(status)) = cluster.ask(Verb::Status) else {
        panic!("no status");
    };
    let refuses = |alarm: &String| {
        alarm.contains("refuses this controller") && alarm.contains("another history")
    };
    assert!(status.alarms.iter().any(refuses), "{:?}", status.alarms);

    cluster.kill(Ideal::controller_at());
    cluster.start_controller();
    cluster.run_for(seconds(1));
    assert_eq!(
        cluster.count("metalog.lineage"),
        1,
        "one new history, and not one a start"
    );
    assert_eq!(
        cluster.count("metalog.skip"),
        1,
        "and indexes left out once"
    );
}

#[test]
fn nodes_that_were_told_of_none_of_the_lost_records_go_on_with_a_repaired_controller() {
    let mut cluster = Ideal::running(2);
    for host in 2..4 {
        cluster.kill(Ideal::agent_at(host));
        cluster.kill(Ideal::node_at(host));
    }
    for _ in 0..10 {
        cluster.ask(stop(&["P1-NODE1"])).expect("an order");
        cluster.ask(start(&["P1-NODE1"])).expect("an order");
    }
    cluster.kill(Ideal::controller_at());
    damage_the_log(&mut cluster, 300);
    let report = super::inspect_home(cluster.disk(Ideal::controller_at())).expect("a home");
    assert!(report.verdict.is_err(), "{report:?}");
    cluster.repair(report.last_good, LineageId::new([7; 16]));
    cluster.start_controller();
    for host in 2..4 {
        cluster.start_agent(host);
    }
    cluster.run_for(seconds(5));
    cluster
        .ask(Verb::StartNodes(Selection::All))
        .expect("an order");
    cluster.run_for(seconds(5));
    for row in cluster.rows() {
        assert_eq!(row.state, NodeState::Online, "{row:?}");
    }
    assert_eq!(cluster.count("controller.rollback_seen"), 0);
}

#[test]
fn a_home_whose_repair_was_not_finished_is_not_opened() {
    let mut cluster = Ideal::running(1);
    cluster.kill(Ideal::controller_at());
    let files = cluster.disk(Ideal::controller_at());
    let identity = files
        .remove(&super::commit::home_file())
        .expect("there is one");
    files.insert(super::commit::repair_file(), identity);
    let files = files.clone();
    let report = super::inspect_home(&files).expect("a home");
    assert!(report.unfinished && report.verdict.is_ok());
    let refusal = cluster
        .try_start_controller()
        .expect_err("it is not opened");
    assert_eq!(refusal.code, ExitCode::CorruptData);
    assert!(refusal.message.contains("meta repair"), "{refusal:?}");
    assert_eq!(
        *cluster.disk(Ideal::controller_at()),
        files,
        "nothing was changed"
    );
}

#[test]
fn a_node_that_is_online_is_not_replaced_and_an_agent_never() {
    let mut cluster = Ideal::running(1);
    let replace = |node: &str| Verb::ReplaceNode {
        node: node.to_owned(),
    };
    let Err(Refusal::Conflict { reason }) = cluster.ask(replace("P1-NODE1")) else {
        panic!("it is online");
    };
    assert!(
        reason.contains("is online") && reason.contains("node stop"),
        "{reason}"
    );
    assert!(matches!(
        cluster.ask(replace("P1-agent")),
        Err(Refusal::Invalid { .. })
    ));
    assert!(matches!(
        cluster.ask(replace("P9-NODE1")),
        Err(Refusal::NotFound { .. })
    ));
    cluster.ask(stop(&["P1-NODE1"])).expect("an order");
    cluster.run_for(seconds(1));
    for changed in [true, false] {
        let Ok(Response::Ordered(rows)) = cluster.ask(replace("P1-NODE1")) else {
            panic!("it is stopped");
        };
        assert_eq!(rows[0].changed, changed, "{rows:?}");
    }
}
