use super::text::parse_duration;
use super::*;
use crate::streams::{Rate, Streams};

const ONE_OF_EACH: &str = "\
at 0s start D1
at 1s kill D1
at 1500ms terminate D1
at 2s pause D1
at 3s resume D1
at 4s power-cut h1
at 5s power-on h1
at 6s cut h1 h2 udp
at 6s cut h2 h1 all
at 7s heal h1 h2
at 8s isolate h1
at 9s rejoin h1
at 10s weather jitter=20ms loss=40% bursts=2s,500ms,90%
at 10s weather calm
at 11s link h1 h2 latency=5ms stragglers=0.5%
at 12s link h1 h2 as-weather
at 13s clock-jump h1 1h
at 14s clock-drift h1 -200
at 15s clock-freeze h1
at 16s clock-thaw h1
at 17s wall-jump h1 -86400000
at 18s disk D1 fail-sync
at 18s disk D1 fail-op
at 18s disk D1 room 4096
at 18s disk D1 slow 100
at 18s disk D1 hang
at 18s disk D1 lie
at 18s disk D1 rot
at 18s disk D1 wipe
at 18s disk D1 well
at 19s at-op D1 17 power-cut after
at 20s at-op D1 0 kill before
at 21s ask D1 add user x
at 22s hold-port h1 8960
at 23s free-port h1 8960
at 24s reuse-pid D1
at 25s forks h1 fail
at 26s forks h1 work
at 27s heal-all
";

#[test]
fn a_plan_prints_as_it_is_read() {
    let plan: Plan = ONE_OF_EACH.parse().unwrap();
    assert_eq!(plan.to_string(), ONE_OF_EACH);
    assert_eq!(plan.steps().len(), ONE_OF_EACH.lines().count());
}

#[test]
fn comments_blanks_and_disorder_are_read_too() {
    let plan: Plan = "# why\n\n  at 2s   kill  D1  \nat 1s start D1\n"
        .parse()
        .unwrap();
    assert_eq!(plan.to_string(), "at 1s start D1\nat 2s kill D1\n");
}

#[test]
fn generated_plans_can_be_read_back() {
    let shape = Shape {
        hosts: ["h1", "h2", "h3"].map(str::to_owned).to_vec(),
        nodes: vec![("D1".into(), "h1".into()), ("D2".into(), "h2".into())],
        disks: vec!["D1".into()],
        expendable: vec!["D2".into()],
        ports: vec![("h1".into(), 8_960)],
        asks: vec![("D1".into(), "status".into())],
        span: Duration::from_secs(600),
        disturbances: 50,
        requests: 5,
    };
    let mut verbs = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let plan = Swarm::of(&Streams::new(seed)).plan(&shape);
        let text = plan.to_string();
        assert_eq!(text.parse::<Plan>().unwrap(), plan, "seed {seed}:\n{text}");
        assert!(plan.steps().is_sorted_by_key(|timed| timed.at));
        verbs.extend(plan.steps().iter().map(|timed| {
            timed
                .step
                .to_string()
                .split(' ')
                .next()
                .unwrap_or_default()
                .to_owned()
        }));
    }
    assert!(verbs.len() >= 22, "the generator knows only {verbs:?}");
}

#[test]
fn whole_classes_of_faults_are_left_out_of_many_runs() {
    let missing = |class: &str| {
        (0..200)
            .filter(|seed| {
                !Swarm::of(&Streams::new(*seed))
                    .classes()
                    .iter()
                    .any(|there| there == class)
            })
            .count()
    };
    for class in ["Kill", "PowerCut", "Disk", "Clock", "Weather"] {
        let missing = missing(class);
        assert!(
            (60..140).contains(&missing),
            "{class} is left out of {missing} of 200 runs"
        );
    }
}

#[test]
fn what_is_wrong_with_a_plan_is_said_with_its_line() {
    for (text, line, words) in [
        ("at 1s start D1\nkill D1", 2, "is no step; write it as"),
        ("at 1 kill D1", 1, "is no duration"),
        ("at 1s", 1, "is no step"),
        ("at 1s explode D1", 1, "there is no step `explode`"),
        ("at 1s kill", 1, "lacks a name"),
        ("at 1s kill D1 D2", 1, "`D2` is too much"),
        ("at 1s cut h1 h2 icmp", 1, "is none of all, udp, tcp"),
        ("at 1s weather loss=200%", 1, "is no rate"),
        ("at 1s weather fog=1%", 1, "a link has no `fog`"),
        ("at 1s weather bursts=1s,2s", 1, "is no burst"),
        ("at 1s disk D1 melt", 1, "nothing called `melt`"),
        ("at 1s disk D1 room much", 1, "is no number of bytes"),
        ("at 1s at-op D1 3 kill now", 1, "is none of after, before"),
    ] {
        let error = text.parse::<Plan>().unwrap_err();
        assert_eq!(error.line, line, "{text}");
        assert!(error.what.contains(words), "{text}: {error}");
    }
}

#[test]
fn a_duration_prints_in_the_largest_unit_that_fits() {
    for text in ["0s", "1h", "90s", "1500ms", "20us", "7ns", "86400h"] {
        let shown = DurationText(parse_duration(text).unwrap()).to_string();
        assert_eq!(shown, text);
    }
    for text in [
        "",
        "5",
        "s",
        "1d",
        "-1s",
        "99999999999999999999s",
        "99999999999h",
    ] {
        assert!(parse_duration(text).is_err(), "{text}");
    }
}

#[test]
fn a_failing_plan_is_reduced_to_the_steps_that_matter() {
    let mut steps: Vec<Timed> = (0..100)
        .map(|n| Timed {
            at: SimTime::from_secs(n),
            step: Step::Start(format!("n{n}")),
        })
        .collect();
    steps[17].step = Step::PowerCut("h1".into());
    steps[63].step = Step::Kill("D1".into());
    let mut tries = 0;
    let small = minimise(&Plan::new(steps), |plan| {
        tries += 1;
        let has = |step: &Step| plan.steps().iter().any(|timed| timed.step == *step);
        has(&Step::PowerCut("h1".into())) && has(&Step::Kill("D1".into()))
    });
    assert_eq!(small.to_string(), "at 17s power-cut h1\nat 63s kill D1\n");
    assert!(tries < 200, "{tries} runs");
}

#[test]
fn a_plan_that_fails_whatever_it_does_is_reduced_to_nothing() {
    let plan: Plan = ONE_OF_EACH.parse().unwrap();
    assert_eq!(minimise(&plan, |_| true), Plan::default());
}

#[test]
fn weather_says_only_what_is_not_calm() {
    let weather = LinkProfile {
        loss: Rate::percent(5),
        ..LinkProfile::default()
    };
    assert_eq!(weather.to_string(), "loss=5%");
    assert_eq!(LinkProfile::default().to_string(), "calm");
}
