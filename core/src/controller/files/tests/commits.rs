//! Which replicas a commit takes for good.

use super::*;
use crate::dfs::ask::ReplicaState;

#[test]
fn the_writers_word_counts_for_who_has_said_nothing_since() {
    let mut cluster = Ideal::running(2);
    let chunk = open_write(&mut cluster);
    let now = cluster.now;
    let answer = try_commit(cluster.controller(), now, &[chunk]);
    assert!(answer.is_none(), "{answer:?}");
}

/// A volume failed between the answer to the writer and the commit: the node reports anew, without
/// the chunk, under the registration that it prepared it under.
#[test]
fn a_replica_that_a_later_report_does_not_have_does_not_count() {
    let mut cluster = Ideal::running(2);
    let chunk = open_write(&mut cluster);
    let now = cluster.now;
    let controller = cluster.controller();
    let (slot, ..) = data_nodes(controller)[0];
    controller.report(now, ConnId(0), slot, report(Vec::new()));
    let answer = try_commit(controller, now, &[chunk]);
    assert!(is_put_off(&answer), "{answer:?}");
    // What it prepares after the report it says itself.
    controller.news(
        now,
        ConnId(0),
        slot,
        &ReplicaNews {
            first: 1,
            changes: vec![ReplicaChange::Added(entry(chunk))],
        },
    );
    let answer = try_commit(controller, now, &[chunk]);
    assert!(answer.is_none(), "{answer:?}");
}

#[test]
fn a_replica_that_its_node_has_found_damaged_or_lost_does_not_count() {
    for change in [ReplicaChange::Corrupt, ReplicaChange::Removed] {
        let mut cluster = Ideal::running(2);
        let chunk = open_write(&mut cluster);
        let now = cluster.now;
        let controller = cluster.controller();
        let (slot, ..) = data_nodes(controller)[0];
        let first = controller.files.stocks[slot].applied + 1;
        let changes = vec![ReplicaChange::Added(entry(chunk)), change(entry(chunk))];
        controller.news(now, ConnId(0), slot, &ReplicaNews { first, changes });
        let answer = try_commit(controller, now, &[chunk]);
        assert!(is_put_off(&answer), "{answer:?}");
    }
}

/// A chunk that an earlier controller allocated counts by the word of the nodes, until they are told
/// to throw it away: from then on they may have, and say so later.
#[test]
fn a_replica_that_was_released_does_not_count() {
    for released in [false, true] {
        let mut cluster = Ideal::running(2);
        let now = cluster.now;
        let controller = cluster.controller();
        let earlier = ControllerEpoch(controller.epoch.0 - 1);
        let chunk = ChunkVersion::first(ChunkId::new(earlier, 3).unwrap());
        for (slot, ..) in data_nodes(controller) {
            controller.report(now, ConnId(0), slot, report(vec![entry(chunk)]));
        }
        if released {
            let later = now.after(controller.limits.orphan_grace + Duration::from_secs(1));
            controller.sweep_files(later);
        }
        let answer = try_commit(controller, now, &[chunk]);
        assert_eq!(is_put_off(&answer), released, "{answer:?}");
        assert_eq!(answer.is_none(), !released);
    }
}

#[test]
fn a_chunk_is_in_a_file_once() {
    let mut cluster = Ideal::running(2);
    let chunk = open_write(&mut cluster);
    let now = cluster.now;
    let controller = cluster.controller();
    let before = controller.log.appended();
    let answer = try_commit(controller, now, &[chunk, chunk]);
    let refused = matches!(answer, Some(Err(Refusal::Invalid { .. })));
    assert!(refused, "{answer:?}");
    assert_eq!(controller.log.appended(), before);
}

/// With fewer replicas needed than wanted, a commit that crosses a report must not throw away what the
/// node has prepared since.
#[test]
fn a_commit_waits_a_moment_for_the_word_of_a_node_that_has_just_reported() {
    for says_so in [true, false] {
        let mut cluster = Ideal::running(2);
        let chunk = open_write(&mut cluster);
        let now = cluster.now;
        let controller = cluster.controller();
        controller.files.config.min_write = 1;
        let (slot, node, _) = data_nodes(controller)[0];
        controller.report(now, ConnId(0), slot, report(Vec::new()));
        let answer = try_commit(controller, now, &[chunk]);
        assert!(is_put_off(&answer), "{answer:?}");
        if says_so {
            let changes = vec![ReplicaChange::Added(entry(chunk))];
            controller.news(now, ConnId(0), slot, &ReplicaNews { first: 1, changes });
        }
        let later = now.after(match says_so {
            true => Duration::from_millis(50),
            false => 2 * controller.limits.news_resend,
        });
        let answer = try_commit(controller, later, &[chunk]);
        assert!(answer.is_none(), "{answer:?}");
        let view = controller.names().chunk_version(chunk).unwrap();
        assert_eq!(view.is_held_by(node), says_so);
    }
}

/// A report says what is damaged as well: a node may report anew while a chunk of which it has a damaged
/// replica waits to be put together, or to be thrown away.
#[test]
fn what_is_damaged_is_known_after_a_report_and_thrown_away_once_nobody_needs_it() {
    let mut cluster = Ideal::running(2);
    let chunk = open_write(&mut cluster);
    let now = cluster.now;
    let controller = cluster.controller();
    assert!(try_commit(controller, now, &[chunk]).is_none());
    cluster.run_for(Duration::from_secs(1));
    let controller = cluster.controller();
    let (slot, node, _) = data_nodes(controller)[0];
    let unheld = ChunkVersion::first(ChunkId(chunk.chunk.0 + 7));
    let told = Report {
        damaged: vec![chunk, unheld],
        ..report(Vec::new())
    };
    controller.report(now, ConnId(0), slot, told);
    assert_eq!(controller.replica_state(node, chunk), ReplicaState::Corrupt);
    let stock = &controller.files.stocks[slot];
    let extras: Vec<ChunkVersion> = stock.extras.keys().copied().collect();
    assert_eq!(
        extras,
        [unheld],
        "what the log places there is not in the way"
    );
    // Nobody needs it once no write can be under way that it is of.
    let later = now.after(controller.limits.orphan_grace + Duration::from_secs(1));
    controller.sweep_files(later);
    let extras = &controller.files.stocks[slot].extras;
    let released: Vec<_> = extras.values().map(|it| it.released).collect();
    assert_eq!(released, [Some(later)], "its node is told to throw it away");
    let gone = ReplicaChange::Cleared(entry(unheld));
    let changes = vec![gone];
    controller.news(now, ConnId(0), slot, &ReplicaNews { first: 1, changes });
    assert!(controller.files.stocks[slot].extras.is_empty());
    controller.report(now, ConnId(0), slot, report(vec![entry(chunk)]));
    assert_ne!(controller.replica_state(node, chunk), ReplicaState::Corrupt);
}
