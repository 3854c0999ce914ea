use super::*;

#[track_caller]
fn assert_conflict(reply: Reply, says: &str) {
    match reply {
        Err(Refusal::Conflict { reason }) => assert!(reason.contains(says), "{reason}"),
        other => panic!("expected a conflict, got {other:?}"),
    }
}

#[track_caller]
fn assert_invalid(reply: Reply, says: &str) {
    match reply {
        Err(Refusal::Invalid { reason }) => assert!(reason.contains(says), "{reason}"),
        other => panic!("expected an invalid request, got {other:?}"),
    }
}

#[test]
fn a_new_user_has_no_rights_and_may_log_in_at_once() {
    let mut desk = Desk::with_users(&["bob"]);
    let bob = desk.session("bob", GOOD);
    let Ok(Response::You(row)) = desk.who_am_i(&bob) else {
        panic!("bob is somebody");
    };
    assert!(!row.admin && row.rights.is_empty() && !row.must_change_password);
}

#[test]
fn a_later_administrator_may_not_read_files_until_granted() {
    let mut desk = Desk::settled();
    desk.ask(&Caller::CONSOLE, add_user("boss", true)).unwrap();
    let boss = desk.state.user("boss").unwrap();
    assert!(boss.has(Right::Admin) && boss.has(Right::LogRead));
    assert!(!boss.has(Right::DfsRead) && !boss.has(Right::DfsWrite));
    let session = desk.session("boss", GOOD);
    desk.ask(&session, grant("boss", Right::DfsRead)).unwrap();
    assert!(desk.state.user("boss").unwrap().has(Right::DfsRead));
}

#[test]
fn a_name_has_one_owner_whatever_its_case() {
    let mut desk = Desk::with_users(&["bob"]);
    assert_conflict(
        desk.ask(&Caller::CONSOLE, add_user("bob", false)),
        "`bob` already",
    );
    assert_conflict(
        desk.ask(&Caller::CONSOLE, add_user("Bob", false)),
        "`bob` already",
    );
}

#[test]
fn a_malformed_name_is_refused_before_anything_is_hashed() {
    let mut desk = Desk::settled();
    let long = "a".repeat(31);
    for user in [
        "", "1a", "-a", "a b", "a/b", "ä", "console", "Console", &long,
    ] {
        let step = desk.begin(&Caller::CONSOLE, add_user(user, false));
        assert!(
            matches!(step, Step::Reply(Err(Refusal::Invalid { .. }))),
            "{user:?}: {step:?}"
        );
    }
    let longest = "a".repeat(30);
    for user in ["a", "A1_-z", &longest] {
        let added = desk.ask(&Caller::CONSOLE, add_user(user, false));
        assert_eq!(added, Ok(Response::Done), "{user}");
    }
}

#[test]
fn two_who_add_the_same_user_do_not_both_succeed() {
    let mut desk = Desk::settled();
    let (one_job, one) = desk.begin_job(&Caller::CONSOLE, add_user("bob", false));
    let (other_job, other) = desk.begin_job(&Caller::CONSOLE, add_user("BOB", true));
    let step = desk.finish(one, compute(&one_job));
    assert_eq!(desk.conclude(step), Ok(Response::Done));
    let step = desk.finish(other, compute(&other_job));
    assert_conflict(desk.conclude(step), "`bob` already");
    assert!(!desk.state.user("bob").unwrap().is_admin());
}

#[test]
fn an_administrator_deprived_while_hashing_changes_nothing() {
    type Loss = fn(&mut Desk, &Caller);
    let losses: [Loss; 4] = [
        |desk, _| drop(desk.ask(&Caller::CONSOLE, revoke("boss", Right::Admin))),
        |desk, _| drop(desk.ask(&Caller::CONSOLE, remove_user("boss"))),
        |desk, _| drop(desk.ask(&Caller::CONSOLE, reset_password("boss", BETTER))),
        |desk, boss| drop(desk.ask(boss, Verb::Logout)),
    ];
    for loss in losses {
        for verb in [add_user("evil", true), reset_password("admin", BETTER)] {
            let mut desk = Desk::settled();
            desk.ask(&Caller::CONSOLE, add_user("boss", true)).unwrap();
            let boss = desk.session("boss", GOOD);
            let (job, pending) = desk.begin_job(&boss, verb);
            loss(&mut desk, &boss);
            let before = desk.state.clone();
            let step = desk.finish(pending, compute(&job));
            assert_eq!(desk.conclude(step), Err(Refusal::Unauthenticated));
            assert_eq!(desk.state, before);
        }
    }
}

#[test]
fn there_are_at_most_a_thousand_users() {
    let mut desk = Desk::settled();
    for n in 1..USERS_MAX - 1 {
        desk.state.apply(&user_added(&format!("u{n}"), GOOD, false));
    }
    let last = desk.ask(&Caller::CONSOLE, add_user("last", false));
    assert_eq!(last, Ok(Response::Done));
    assert_eq!(desk.state.user_count(), USERS_MAX);
    assert_conflict(
        desk.ask(&Caller::CONSOLE, add_user("more", false)),
        "1000 users",
    );
}

#[test]
fn the_last_administrator_can_be_neither_removed_nor_deprived() {
    let mut desk = Desk::with_users(&["bob"]);
    let admin = desk.session("admin", GOOD);
    for verb in [remove_user("admin"), revoke("admin", Right::Admin)] {
        assert_conflict(desk.ask(&admin, verb), "only administrator");
    }
    desk.ask(&admin, grant("bob", Right::Admin)).unwrap();
    assert_eq!(
        desk.ask(&admin, revoke("admin", Right::Admin)),
        Ok(Response::Done)
    );
    assert_conflict(
        desk.ask(&Caller::CONSOLE, remove_user("bob")),
        "only administrator",
    );
    assert_eq!(
        desk.ask(&Caller::CONSOLE, remove_user("admin")),
        Ok(Response::Done),
        "the first account is one like any other"
    );
}

#[test]
fn every_change_to_a_user_voids_that_users_tokens_and_nobody_elses() {
    let changes = [
        remove_user("bob"),
        reset_password("bob", BETTER),
        grant("bob", Right::DfsRead),
        revoke("bob", Right::LogRead),
        grant("bob", Right::Admin),
    ];
    for change in changes {
        let mut desk = Desk::with_users(&["bob", "eve"]);
        desk.ask(&Caller::CONSOLE, grant("bob", Right::LogRead))
            .unwrap();
        let bob = [desk.session("bob", GOOD), desk.session("bob", GOOD)];
        let eve = desk.session("eve", GOOD);
        let version = desk.state.grant_version();
        desk.ask(&Caller::CONSOLE, change.clone()).unwrap();
        for bob in bob {
            assert_eq!(
                desk.who_am_i(&bob),
                Err(Refusal::Unauthenticated),
                "{change:?}"
            );
        }
        assert!(desk.who_am_i(&eve).is_ok(), "{change:?}");
        assert!(desk.state.grant_version() > version, "{change:?}");
    }
}

#[test]
fn what_changes_nothing_is_not_logged_and_logs_nobody_out() {
    let mut desk = Desk::with_users(&["bob"]);
    desk.ask(&Caller::CONSOLE, grant("bob", Right::DfsRead))
        .unwrap();
    let bob = desk.session("bob", GOOD);
    let before = desk.log.len();
    for verb in [
        grant("bob", Right::DfsRead),
        revoke("bob", Right::DfsWrite),
        revoke("bob", Right::Admin),
        grant("admin", Right::Admin),
    ] {
        assert_eq!(desk.ask(&Caller::CONSOLE, verb), Ok(Response::Done));
    }
    assert_eq!(desk.log.len(), before);
    assert!(desk.who_am_i(&bob).is_ok());
}

#[test]
fn a_right_that_comes_with_another_is_not_taken_by_itself() {
    let mut desk = Desk::settled();
    assert_conflict(
        desk.ask(&Caller::CONSOLE, revoke("admin", Right::LogRead)),
        "with the right `admin`",
    );
}

#[test]
fn an_unknown_user_is_named_with_the_nearest_one() {
    let mut desk = Desk::with_users(&["bob"]);
    for verb in [
        remove_user("bop"),
        grant("bop", Right::DfsRead),
        revoke("bop", Right::DfsRead),
        reset_password("bop", BETTER),
    ] {
        let reply = desk.ask(&Caller::CONSOLE, verb);
        let what = "there is no user `bop`; did you mean `bob`?".to_owned();
        assert_eq!(reply, Err(Refusal::NotFound { what }));
    }
    let reply = desk.ask(&Caller::CONSOLE, remove_user(&"\u{1b}[2J".repeat(10_000)));
    let Err(Refusal::NotFound { what }) = reply else {
        panic!("there is no such user: {reply:?}");
    };
    assert!(what.len() < 300 && !what.contains('\u{1b}'), "{what}");
}

#[test]
fn ones_own_password_takes_the_present_one() {
    let mut desk = Desk::with_users(&["bob"]);
    let bob = desk.session("bob", GOOD);
    let without = Verb::ChangePassword {
        user: None,
        old: None,
        new: password(BETTER),
    };
    assert_invalid(desk.ask(&bob, without), "present password");
    let wrong = desk.ask(&bob, set_own_password("not the password", BETTER));
    assert_eq!(wrong, Err(Refusal::WrongPassword));
    assert_invalid(
        desk.ask(&bob, set_own_password(GOOD, GOOD)),
        "is the present one",
    );
    assert_eq!(
        desk.ask(&bob, set_own_password(GOOD, BETTER)),
        Ok(Response::Done)
    );
    assert!(desk.ask(&caller(1, None), login("bob", BETTER)).is_ok());
    assert_eq!(
        desk.ask(&caller(1, None), login("bob", GOOD)),
        Err(Refusal::WrongPassword)
    );
}

#[test]
fn an_administrator_changes_the_own_password_as_everybody_does() {
    let mut desk = Desk::settled();
    let admin = desk.session("admin", GOOD);
    assert_invalid(
        desk.ask(&admin, reset_password("admin", BETTER)),
        "present password",
    );
}

#[test]
fn of_two_changes_of_one_password_the_later_one_is_told_so() {
    let mut desk = Desk::with_users(&["bob"]);
    let bob = desk.session("bob", GOOD);
    let (job, pending) = desk.begin_job(&bob, set_own_password(GOOD, BETTER));
    let Step::Compute(job, pending) = desk.finish(pending, compute(&job)) else {
        panic!("the new password is hashed next");
    };
    assert!(matches!(job, Job::HashPassword { .. }), "{job:?}");
    // The token is void with the first change: that is what the later one learns.
    desk.ask(&Caller::CONSOLE, reset_password("bob", "three brown bears"))
        .unwrap();
    let step = desk.finish(pending, compute(&job));
    assert_eq!(desk.conclude(step), Err(Refusal::Unauthenticated));
    assert!(
        desk.ask(&caller(2, None), login("bob", "three brown bears"))
            .is_ok()
    );
}

#[test]
fn a_full_pool_leaves_the_password_as_it_was() {
    let mut desk = Desk::with_users(&["bob"]);
    let bob = desk.session("bob", GOOD);
    let (_, pending) = desk.begin_job(&bob, set_own_password(GOOD, BETTER));
    let step = desk.finish(pending, JobOutcome::Overloaded);
    assert_busy(desk.conclude(step));
    let (job, pending) = desk.begin_job(&bob, set_own_password(GOOD, BETTER));
    let Step::Compute(_, pending) = desk.finish(pending, compute(&job)) else {
        panic!("the new password is hashed next");
    };
    let step = desk.finish(pending, JobOutcome::Overloaded);
    assert_busy(desk.conclude(step));
    assert!(desk.ask(&caller(1, None), login("bob", GOOD)).is_ok());
}

#[test]
fn a_user_removed_while_the_new_password_is_hashed_stays_removed() {
    let mut desk = Desk::with_users(&["bob"]);
    let (job, pending) = desk.begin_job(&Caller::CONSOLE, reset_password("bob", BETTER));
    desk.ask(&Caller::CONSOLE, remove_user("bob")).unwrap();
    let step = desk.finish(pending, compute(&job));
    let reply = desk.conclude(step);
    assert!(matches!(reply, Err(Refusal::NotFound { .. })), "{reply:?}");
    assert!(desk.state.user("bob").is_none());
}

#[test]
fn a_user_removed_and_added_again_is_not_the_same() {
    let mut desk = Desk::with_users(&["bob"]);
    let old = desk.session("bob", GOOD);
    desk.ask(&Caller::CONSOLE, grant("bob", Right::DfsWrite))
        .unwrap();
    desk.ask(&Caller::CONSOLE, remove_user("bob")).unwrap();
    desk.ask(&Caller::CONSOLE, add_user("bob", false)).unwrap();
    assert_eq!(desk.who_am_i(&old), Err(Refusal::Unauthenticated));
    assert!(!desk.state.user("bob").unwrap().has(Right::DfsWrite));
}

#[test]
fn the_operator_is_told_who_changed_what() {
    let mut desk = Desk::with_users(&["bob"]);
    let admin = desk.session("admin", GOOD);
    desk.events();
    for verb in [
        add_user("eve", true),
        grant("bob", Right::DfsRead),
        revoke("bob", Right::DfsRead),
        reset_password("bob", BETTER),
        remove_user("bob"),
        Verb::Logout,
    ] {
        desk.ask(&admin, verb).unwrap();
    }
    let events = desk.events();
    let names: Vec<&str> = events.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "access.user_added",
            "access.granted",
            "access.revoked",
            "access.password_set",
            "access.user_removed",
            "access.logout"
        ]
    );
    for (_, message) in events {
        assert!(message.contains("by `admin` at 10.0.0.1"), "{message}");
    }
}
