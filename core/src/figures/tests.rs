use super::*;
use crate::ids::{NodeEpoch, Role};
use crate::limits::Limits;
use crate::time::Timestamp;

const EPOCH: NodeEpoch = NodeEpoch(7);

fn at(seconds: u64) -> Timestamp {
    Timestamp::ZERO.after(Duration::from_secs(seconds))
}

fn history() -> History {
    History::new(Rules::of(&Limits::default()))
}

/// A process that has run for so long, and does the same in every second.
fn steady(seconds: u64) -> Figures {
    Figures {
        uptime_ms: seconds * 1000,
        memory_bytes: 50_000_000,
        cpu_us: seconds * 250_000,
        load_milli: 1250,
        disk_read_bytes: seconds * 1000,
        disk_written_bytes: seconds * 2000,
        sent_bytes: seconds * 300,
        received_bytes: seconds * 400,
        chunks_read: seconds * 3,
        chunks_written: seconds / 5,
        ..Figures::default()
    }
}

fn row(history: &History, now: Timestamp) -> NodeFigures {
    history.row(now, EPOCH, Role::DataNode).expect("figures")
}

#[test]
fn rates_are_what_counters_grow_by_in_a_second_of_the_process_itself() {
    let mut history = history();
    assert_eq!(history.row(at(0), EPOCH, Role::DataNode), None);
    history.take(at(3), EPOCH, &steady(100));
    let first = row(&history, at(4));
    assert_eq!(first.age_ms, Some(1000));
    assert_eq!((first.cpu_milli, first.send_rate), (None, None));
    // It came three seconds late, which does not change what it says.
    history.take(at(11), EPOCH, &steady(105));
    let second = row(&history, at(11));
    assert_eq!(second.cpu_milli, Some(250));
    assert_eq!(second.disk_read_rate, Some(1000));
    assert_eq!(second.disk_write_rate, Some(2000));
    assert_eq!(
        (second.send_rate, second.receive_rate),
        (Some(300), Some(400))
    );
    assert_eq!(second.chunk_reads_milli, Some(3000));
    assert_eq!(second.chunk_writes_milli, Some(200));
}

#[test]
fn figures_that_are_lost_make_rates_coarser_and_not_wrong() {
    let mut history = history();
    history.take(at(0), EPOCH, &steady(100));
    history.take(at(25), EPOCH, &steady(125));
    let shown = row(&history, at(25));
    assert_eq!((shown.cpu_milli, shown.send_rate), (Some(250), Some(300)));
    assert_eq!(shown.last_minute_sent, Some(25 * 300));
}

#[test]
fn volumes_of_the_last_minute_cover_a_minute_and_no_more() {
    let mut history = history();
    for seconds in (5..=200).step_by(5) {
        history.take(at(seconds), EPOCH, &steady(seconds));
        let told = row(&history, at(seconds)).last_minute_disk_written;
        assert_eq!(told, Some(seconds.min(60) * 2000), "after {seconds} s");
    }
}

#[test]
fn of_a_minute_that_nobody_remembers_nothing_is_told() {
    let mut history = history();
    // The controller started later than the process.
    history.take(at(5), EPOCH, &steady(500));
    assert_eq!(row(&history, at(5)).last_minute_sent, None);
    history.take(at(10), EPOCH, &steady(505));
    assert_eq!(row(&history, at(10)).last_minute_sent, Some(5 * 300));
    // All figures of the minute before this were lost.
    history.take(at(110), EPOCH, &steady(605));
    assert_eq!(row(&history, at(110)).last_minute_sent, None);
}

#[test]
fn a_process_that_started_anew_has_no_rates_before_its_second_figures() {
    for epoch in [EPOCH, NodeEpoch(8)] {
        let mut history = history();
        for seconds in [100, 105, 110] {
            history.take(at(seconds), EPOCH, &steady(seconds));
        }
        let none = history.row(at(114), NodeEpoch(8), Role::DataNode);
        assert_eq!(none, None, "nothing of the new registration is known yet");
        // Its counters are lower than those of the process before.
        history.take(at(115), epoch, &steady(2));
        let shown = history.row(at(115), epoch, Role::DataNode).unwrap();
        assert_eq!((shown.cpu_milli, shown.disk_read_rate), (None, None));
        assert_eq!(shown.last_minute_sent, Some(600), "all that it has sent");
        history.take(at(120), epoch, &steady(7));
        let shown = history.row(at(120), epoch, Role::DataNode).unwrap();
        assert_eq!(shown.cpu_milli, Some(250));
    }
}

#[test]
fn a_counter_that_goes_back_gives_no_rate_and_the_others_theirs() {
    let mut history = history();
    history.take(at(0), EPOCH, &steady(100));
    let back = Figures {
        disk_read_bytes: 3,
        ..steady(105)
    };
    history.take(at(5), EPOCH, &back);
    let shown = row(&history, at(5));
    assert_eq!(shown.disk_read_rate, None);
    assert_eq!(shown.last_minute_disk_read, None);
    assert_eq!(shown.disk_write_rate, Some(2000));
    history.step(at(10), Some(EPOCH), Some(1));
    let read = history.points().series(NodeSeries::DiskRead as usize);
    assert_eq!(read, [None]);
}

#[test]
fn nonsense_is_clamped_and_breaks_no_sum() {
    let most = Figures {
        uptime_ms: u64::MAX,
        memory_bytes: u64::MAX,
        cpu_us: u64::MAX,
        load_milli: u64::MAX,
        connections: u64::MAX,
        disk_read_bytes: u64::MAX,
        sent_bytes: u64::MAX,
        chunks_read: u64::MAX,
        reading: u64::MAX,
        beat_latency_ns: u64::MAX,
        ..Figures::default()
    };
    let soon = Figures {
        uptime_ms: 1,
        ..Figures::default()
    };
    let sudden = Figures {
        uptime_ms: 2,
        ..most
    };
    for second in [most, sudden] {
        let mut history = history();
        history.take(at(0), EPOCH, &soon);
        history.take(at(5), EPOCH, &second);
        let shown = row(&history, at(5));
        assert_eq!(shown.memory_bytes, HIGHEST);
        assert_eq!(shown.reading, Some(HIGHEST));
        for rate in [shown.cpu_milli, shown.send_rate, shown.chunk_reads_milli] {
            assert!(rate.is_some_and(|rate| rate <= HIGHEST), "{rate:?}");
        }
        history.step(at(10), Some(EPOCH), Some(u64::MAX - 1));
        for series in 0..NodeSeries::COUNT {
            let points = history.points().series(series);
            assert_eq!(points.len(), 1);
            assert!(points[0].is_none_or(|value| value <= HIGHEST), "{points:?}");
        }
        // Whatever comes behind it is taken as it is.
        history.take(at(10), EPOCH, &steady(100));
        history.take(at(15), EPOCH, &steady(105));
        assert_eq!(row(&history, at(15)).cpu_milli, Some(250));
    }
}

#[test]
fn what_is_remembered_never_grows_beyond_its_bounds() {
    let limits = Limits::default();
    let mut history = history();
    for second in 0..10_000 {
        // As fast as it likes.
        for part in 0..10 {
            let now = at(second).after(Duration::from_millis(100 * part));
            let mut figures = steady(second + 1);
            figures.uptime_ms += 100 * part;
            history.take(now, EPOCH, &figures);
        }
        if second % 10 == 0 {
            history.step(at(second), Some(EPOCH), Some(1));
        }
        assert!(history.points().len() <= limits.figures_points);
        let (bytes, recent) = history.size();
        assert!(recent <= 26, "{recent} figures are remembered");
        assert!(bytes < 48 * 1024, "{bytes} bytes");
    }
    assert_eq!(history.points().len(), limits.figures_points);
    let minute = row(&history, at(10_000)).last_minute_sent.unwrap();
    assert!((17_000..=18_600).contains(&minute), "{minute}");
}

#[test]
fn the_figures_of_two_hundred_members_take_less_than_ten_megabytes() {
    let mut bytes = 0;
    for _ in 0..200 {
        let mut history = history();
        for second in (0..3700).step_by(5) {
            history.take(at(second), EPOCH, &steady(second + 1));
            history.step(at(second), Some(EPOCH), Some(1));
        }
        bytes += history.size().0;
    }
    assert!(bytes < 10_000_000, "{bytes}");
}

#[test]
fn a_chart_has_gaps_where_a_process_was_away_and_nothing_before_its_first_point() {
    let mut history = history();
    history.step(at(10), None, None);
    assert_eq!(history.points().len(), 0);
    for seconds in [12, 17] {
        history.take(at(seconds), EPOCH, &steady(seconds));
    }
    history.step(at(20), Some(EPOCH), Some(5));
    history.step(at(30), None, None);
    // It is there, and has said nothing for too long.
    history.step(at(40), Some(EPOCH), Some(5));
    history.take(at(48), EPOCH, &steady(48));
    history.step(at(50), Some(EPOCH), Some(4));
    // It has registered anew, and its old figures are another process's.
    history.step(at(52), Some(NodeEpoch(8)), Some(4));
    let memory = history.points().series(NodeSeries::Memory as usize);
    let some = Some(50_000_000);
    assert_eq!(memory, [some, None, None, some, None]);
    let cpu = history.points().series(NodeSeries::Cpu as usize);
    assert_eq!(cpu, [Some(250), None, None, Some(250), None]);
    let free = history.points().series(NodeSeries::DiskFree as usize);
    assert_eq!(free, [Some(5), None, None, Some(4), None]);
}

#[test]
fn what_has_no_meaning_for_a_role_is_not_told() {
    let mut history = history();
    history.take(at(0), EPOCH, &steady(5));
    history.take(at(5), EPOCH, &steady(10));
    let of = |role| history.row(at(5), EPOCH, role).unwrap();
    let (node, agent) = (of(Role::DataNode), of(Role::Agent));
    let controller = of(Role::Controller);
    assert!(node.chunk_reads_milli.is_some() && node.reading.is_some());
    assert!(node.operation_median_10_ns.is_some());
    for other in [&agent, &controller] {
        assert_eq!((other.chunk_reads_milli, other.reading), (None, None));
        assert_eq!(
            (other.operation_max_100_ns, other.disk_capacity),
            (None, None)
        );
        assert_eq!(other.cpu_milli, Some(250));
    }
    assert_eq!(agent.last_msg_latency_ns, Some(0));
    assert_eq!(controller.last_msg_latency_ns, None);
}

#[test]
fn each_series_has_a_name_of_its_own() {
    let different = |names: &[&'static str]| {
        let names: std::collections::BTreeSet<&str> = names.iter().copied().collect();
        names.len()
    };
    assert_eq!(different(&NodeSeries::NAMES), NodeSeries::COUNT);
    assert_eq!(different(&ClusterSeries::NAMES), ClusterSeries::COUNT);
    for (number, series) in NodeSeries::ALL.into_iter().enumerate() {
        assert_eq!(series as usize, number);
    }
}
