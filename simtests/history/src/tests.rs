//! Histories that somebody made up, right ones and wrong ones, and a plainer search to be compared with.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use crate::history::Deed;
use crate::model::{Move, Table};
use crate::search::{self, Found};
use crate::{Act, Expected, History, Moment, Seen};

fn at(s: u64) -> Moment {
    Moment::after(Duration::from_secs(s))
}

fn put(number: u64) -> Act {
    put_if(Expected::Anything, number)
}

fn put_if(expect: Expected, number: u64) -> Act {
    Act::Put {
        path: "a".to_owned(),
        number,
        expect,
    }
}

fn get_of(path: &str) -> Act {
    Act::Get {
        path: path.to_owned(),
    }
}

fn get() -> Act {
    get_of("a")
}

fn remove() -> Act {
    Act::Remove {
        path: "a".to_owned(),
    }
}

fn rename(replace: bool) -> Act {
    Act::Rename {
        from: "a".to_owned(),
        to: "b".to_owned(),
        replace,
    }
}

fn value(number: u64) -> Seen {
    Seen::Value(Some(number))
}

fn history(deeds: &[(Act, u64, u64, Seen)]) -> History {
    let mut history = History::default();
    for (act, began, ended, seen) in deeds {
        history.note(act.clone(), at(*began), at(*ended), *seen);
    }
    history
}

fn explained(deeds: &[(Act, u64, u64, Seen)]) -> bool {
    let checked = history(deeds).check();
    if let Err(wrongs) = &checked {
        assert!(wrongs.iter().all(|wrong| !wrong.undecided), "{wrongs:?}");
    }
    checked.is_ok()
}

#[test]
fn what_was_acknowledged_is_read_afterwards() {
    let mut deeds = vec![(put(1), 0, 1, Seen::Done), (get(), 2, 3, value(1))];
    assert!(explained(&deeds));
    deeds.push((get(), 4, 5, Seen::Value(None)));
    assert!(!explained(&deeds), "it is gone and nobody removed it");
}

#[test]
fn a_stale_read_is_found() {
    let mut deeds = vec![
        (put(1), 0, 1, Seen::Done),
        (put(2), 2, 3, Seen::Done),
        (get(), 2, 4, value(1)),
    ];
    assert!(explained(&deeds), "it was read while it was replaced");
    deeds.push((get(), 5, 6, value(1)));
    assert!(
        !explained(&deeds),
        "it was replaced, and that was acknowledged"
    );
}

#[test]
fn a_removed_file_does_not_come_back() {
    let mut deeds = vec![
        (put(1), 0, 1, Seen::Done),
        (remove(), 2, 3, Seen::Done),
        (get(), 4, 5, Seen::Value(None)),
    ];
    assert!(explained(&deeds));
    deeds.push((get(), 6, 7, value(1)));
    assert!(!explained(&deeds), "nobody wrote it again");
}

#[test]
fn a_content_that_nobody_wrote_is_found() {
    assert!(!explained(&[
        (put(1), 0, 1, Seen::Done),
        (get(), 2, 3, value(7))
    ]));
}

#[test]
fn two_readers_see_two_writes_in_one_order() {
    let mut deeds = vec![
        (put(1), 0, 9, Seen::Done),
        (put(2), 0, 9, Seen::Done),
        (get(), 1, 2, value(1)),
        (get(), 3, 4, value(2)),
    ];
    assert!(explained(&deeds));
    deeds.push((get(), 5, 6, value(1)));
    assert!(!explained(&deeds), "it went back");
}

#[test]
fn an_unknown_write_may_show_at_any_time_or_never() {
    let mut deeds = vec![
        (put(1), 0, 1, Seen::Unknown),
        (get(), 2, 3, Seen::Value(None)),
        (get(), 4, 5, value(1)),
    ];
    assert!(explained(&deeds));
    deeds.push((get(), 6, 7, Seen::Value(None)));
    assert!(!explained(&deeds), "it came and went");
}

#[test]
fn an_unknown_write_does_not_show_before_it_is_asked_for() {
    assert!(!explained(&[
        (get(), 0, 1, value(1)),
        (put(1), 2, 3, Seen::Unknown)
    ]));
}

#[test]
fn an_unknown_write_happens_once() {
    assert!(!explained(&[
        (put(1), 0, 1, Seen::Unknown),
        (get(), 2, 3, value(1)),
        (put(2), 4, 5, Seen::Done),
        (get(), 6, 7, value(2)),
        (get(), 8, 9, value(1)),
    ]));
}

#[test]
fn a_refusal_needs_a_reason() {
    let create = || put_if(Expected::Nothing, 1);
    assert!(!explained(&[(create(), 0, 1, Seen::Refused)]));
    assert!(!explained(&[
        (put(2), 0, 1, Seen::Done),
        (remove(), 2, 3, Seen::Refused)
    ]));
    assert!(explained(&[
        (put(2), 0, 1, Seen::Unknown),
        (create(), 2, 3, Seen::Refused)
    ]));
}

#[test]
fn of_two_who_expect_the_same_one_is_refused() {
    let replace = |number| put_if(Expected::Number(1), number);
    let told = |seen| {
        [
            (put(1), 0, 1, Seen::Done),
            (replace(2), 2, 5, Seen::Done),
            (replace(3), 2, 5, seen),
        ]
    };
    assert!(explained(&told(Seen::Refused)));
    assert!(!explained(&told(Seen::Done)), "both were taken");
}

#[test]
fn a_rename_moves_the_content() {
    let mut deeds = vec![
        (put(1), 0, 1, Seen::Done),
        (rename(false), 2, 3, Seen::Done),
        (get(), 4, 5, Seen::Value(None)),
        (get_of("b"), 4, 5, value(1)),
    ];
    assert!(explained(&deeds));
    deeds.push((get(), 6, 7, value(1)));
    assert!(!explained(&deeds), "a renamed file is still there");
}

#[test]
fn the_story_names_the_file_and_the_answer() {
    let wrongs = history(&[
        (put(1), 0, 1, Seen::Done),
        (get(), 2, 3, value(1)),
        (get(), 4, 5, Seen::Value(None)),
    ])
    .check()
    .unwrap_err();
    assert_eq!(wrongs[0].paths, ["a"]);
    let story = wrongs[0].to_string();
    assert!(
        story.contains("4.000000s to 5.000000s: get a: not there   <- this fits none of it"),
        "{story}"
    );
    assert!(story.contains("there can have been 1\n"), "{story}");
}

/// A day of one file with many clients at once, of whose writes each seventh has an unknown outcome.
#[test]
fn tens_of_thousands_of_deeds_about_one_file_are_quickly_checked() {
    let mut history = History::default();
    let ms = |ms: u64| Moment::after(Duration::from_millis(ms));
    let mut there = None;
    for number in 0..30_000 {
        let begun = number * 10;
        let (act, seen) = match number % 7 {
            0 => {
                // Every other one of them happens.
                if number % 2 == 0 {
                    there = Some(number);
                }
                (put(number), Seen::Unknown)
            }
            1 | 2 => {
                there = Some(number);
                (put(number), Seen::Done)
            }
            3 if number % 5 == 0 => match there.take() {
                Some(_) => (remove(), Seen::Done),
                None => (remove(), Seen::Refused),
            },
            _ => (get(), Seen::Value(there)),
        };
        // Each waits until the next four were asked for.
        history.note(act, ms(begun), ms(begun + 45), seen);
    }
    let checked = history.check().unwrap();
    assert_eq!(checked.most, 30_000);
    // With five that wait at a time there are some ways for each deed, and not more as the day goes on.
    assert!(checked.ways < 100 * checked.deeds, "{checked:?}");
    let (last, told) = (ms(9_000_000), Seen::Value(Some(17)));
    history.note(get(), last, ms(9_000_001), told);
    assert!(!history.check().unwrap_err()[0].undecided);
}

/// The search of Wing and Gong ("Testing and verifying concurrent objects", 1993), every order one by one.
fn some_order_explains(deeds: &[&Deed], moves: &[Move], files: usize) -> bool {
    let goal = deeds.iter().enumerate();
    let goal = goal.filter(|(_, deed)| deed.seen != Seen::Unknown);
    let goal = goal.fold(0_u32, |goal, (at, _)| goal | 1 << at);
    let mut tried: BTreeSet<(u32, Table)> = BTreeSet::new();
    let mut open = vec![(0_u32, vec![None; files])];
    while let Some((done, table)) = open.pop() {
        if done & goal == goal {
            return true;
        }
        if !tried.insert((done, table.clone())) {
            continue;
        }
        let missing = (0..deeds.len()).filter(|at| done & (1 << at) == 0);
        let ends = missing.clone().map(|at| deeds[at].ended);
        let first_end = ends.min().unwrap_or(Moment::NEVER);
        for at in missing {
            // A read without an answer may be left out.
            if deeds[at].began <= first_end
                && let Some(next) = moves[at].happen(deeds[at].seen, &table)
            {
                open.push((done | 1 << at, next));
            }
        }
    }
    false
}

fn any_deed() -> impl Strategy<Value = Deed> {
    let number = 1..4_u64;
    let expect = prop_oneof![
        4 => Just(Expected::Anything),
        1 => Just(Expected::Nothing),
        1 => Just(Expected::Something),
        1 => number.clone().prop_map(Expected::Number),
    ];
    let path = prop_oneof![2 => Just("a".to_owned()), 1 => Just("b".to_owned())];
    let act = prop_oneof![
        3 => (path.clone(), number.clone(), expect)
            .prop_map(|(path, number, expect)| Act::Put { path, number, expect }),
        3 => path.clone().prop_map(|path| Act::Get { path }),
        2 => path.prop_map(|path| Act::Remove { path }),
        1 => any::<bool>().prop_map(rename),
    ];
    let seen =
        prop_oneof![3 => Just(Seen::Done), 1 => Just(Seen::Refused), 2 => Just(Seen::Unknown)];
    let value = prop::option::of(number).prop_map(Seen::Value);
    (act, seen, value, 0..12_u64, 0..6_u64).prop_map(|(act, seen, value, began, takes)| {
        let seen = match &act {
            Act::Get { .. } if seen == Seen::Unknown => seen,
            Act::Get { .. } => value,
            _ => seen,
        };
        let ended = match seen {
            Seen::Unknown => Moment::NEVER,
            _ => at(began + takes),
        };
        Deed {
            act,
            began: at(began),
            ended,
            seen,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn the_search_agrees_with_trying_every_order(
        deeds in prop::collection::vec(any_deed(), 1..9)
    ) {
        let deeds: Vec<&Deed> = deeds.iter().collect();
        let paths = ["a", "b"];
        let place = |path: &str| paths.iter().position(|it| *it == path).unwrap();
        let moves: Vec<Move> = deeds.iter().map(|deed| match &deed.act {
            Act::Put { path, number, expect } => Move::Put(place(path), *number, *expect),
            Act::Get { path } => Move::Get(place(path)),
            Act::Remove { path } => Move::Remove(place(path)),
            Act::Rename { from, to, replace } => Move::Rename(place(from), place(to), *replace),
        }).collect();
        let plain = some_order_explains(&deeds, &moves, paths.len());
        let found = search::run(&deeds, &paths);
        prop_assert_eq!(matches!(found, Found::Order(_)), plain, "{:?}", found);
        prop_assert!(!matches!(found, Found::TooMuch(_)));
    }
}
