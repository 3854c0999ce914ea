use super::*;

#[test]
fn the_right_password_gives_a_token_that_is_told_once_it_is_logged() {
    let mut desk = Desk::settled();
    let (job, pending) = desk.begin_job(&caller(1, None), login("admin", GOOD));
    let step = desk.finish(pending, compute(&job));
    let Step::Append(records, Response::LoggedIn { token, .. }) = step else {
        panic!("no token: {step:?}");
    };
    let admin = caller(1, Some(&token));
    assert_eq!(
        desk.who_am_i(&admin),
        Err(Refusal::Unauthenticated),
        "the record is not applied yet"
    );
    desk.append(records);
    assert!(desk.who_am_i(&admin).is_ok());
}

#[test]
fn an_unknown_user_costs_what_a_known_one_does() {
    let mut desk = Desk::settled();
    let mut transcript = |user: &str, last| {
        let mut steps = Vec::new();
        for _ in 0..7 {
            let step = desk.begin(&caller(last, None), login(user, "not the password"));
            steps.push(match step {
                Step::Compute(job, pending) => {
                    assert!(matches!(job, Job::VerifyPassword { .. }), "{job:?}");
                    format!("{job:?} {:?}", desk.finish(pending, compute(&job)))
                }
                other => format!("{other:?}"),
            });
        }
        steps
    };
    let known = transcript("admin", 1);
    let unknown = transcript("nobody", 2);
    assert_eq!(known, unknown);
    assert!(known[6].contains("Busy"), "{known:?}");
}

#[test]
fn no_outcome_of_a_job_lets_an_unknown_user_in() {
    let mut desk = Desk::settled();
    let (job, pending) = desk.begin_job(&caller(1, None), login("nobody", GOOD));
    assert_eq!(
        job,
        Job::VerifyPassword {
            password: password(GOOD),
            stored: None
        }
    );
    let step = desk.finish(pending, JobOutcome::PasswordVerified(true));
    assert!(
        matches!(step, Step::Reply(Err(Refusal::WrongPassword))),
        "{step:?}"
    );
}

#[test]
fn a_name_or_password_that_nobody_can_have_is_not_hashed() {
    let mut desk = Desk::settled();
    let long = "x".repeat(Password::MAX_LEN + 1);
    for (user, text) in [
        ("", GOOD),
        ("no body", GOOD),
        ("1admin", GOOD),
        ("console", GOOD),
        ("admin\nroot", GOOD),
        ("admin", ""),
        ("admin", &long),
    ] {
        let step = desk.begin(&caller(1, None), login(user, text));
        assert!(
            matches!(step, Step::Reply(Err(Refusal::WrongPassword))),
            "{user:?}: {step:?}"
        );
    }
}

#[test]
fn the_life_of_a_token_is_between_a_millisecond_and_a_year() {
    let mut desk = Desk::settled();
    let year = seconds(365 * 24 * 3600);
    let mut ask = |valid_for| {
        let verb = Verb::Login {
            user: "admin".to_owned(),
            password: password(GOOD),
            valid_for,
            setup_code: None,
        };
        desk.ask(&caller(1, None), verb)
    };
    assert!(ask(year).is_ok());
    assert!(ask(Duration::from_nanos(1)).is_ok());
    for wrong in [
        Duration::ZERO,
        year + Duration::from_nanos(1),
        Duration::MAX,
    ] {
        let reply = ask(wrong);
        assert!(matches!(reply, Err(Refusal::Invalid { .. })), "{reply:?}");
    }
}

#[test]
fn a_date_at_the_end_of_time_does_not_overflow() {
    let mut desk = Desk::settled();
    let late = Caller::Remote {
        address: address(1),
        token: None,
        unix_ms: u64::MAX,
    };
    assert!(desk.ask(&late, login("admin", GOOD)).is_ok());
}

#[test]
fn a_password_changed_while_it_was_checked_lets_nobody_in() {
    let mut desk = Desk::settled();
    let (job, pending) = desk.begin_job(&caller(1, None), login("admin", GOOD));
    let reset = desk.ask(&Caller::CONSOLE, reset_password("admin", BETTER));
    assert_eq!(reset, Ok(Response::Done));
    let step = desk.finish(pending, compute(&job));
    assert_eq!(desk.conclude(step), Err(Refusal::WrongPassword));
}

#[test]
fn a_user_removed_while_the_password_was_checked_gets_no_token() {
    let mut desk = Desk::with_users(&["bob"]);
    let (job, pending) = desk.begin_job(&caller(1, None), login("bob", GOOD));
    let removed = desk.ask(&Caller::CONSOLE, remove_user("bob"));
    assert_eq!(removed, Ok(Response::Done));
    let step = desk.finish(pending, compute(&job));
    assert_eq!(desk.conclude(step), Err(Refusal::WrongPassword));
}

#[test]
fn a_right_given_while_the_password_was_checked_does_no_harm() {
    let mut desk = Desk::with_users(&["bob"]);
    let (job, pending) = desk.begin_job(&caller(1, None), login("bob", GOOD));
    desk.ask(&Caller::CONSOLE, grant("bob", Right::LogRead))
        .unwrap();
    let step = desk.finish(pending, compute(&job));
    assert!(desk.conclude(step).is_ok());
}

#[test]
fn a_pool_that_is_full_is_no_wrong_password() {
    let mut desk = Desk::settled();
    for _ in 0..20 {
        let (_, pending) = desk.begin_job(&caller(1, None), login("admin", "not the password"));
        let step = desk.finish(pending, JobOutcome::Overloaded);
        assert_busy(desk.conclude(step));
    }
    assert!(desk.ask(&caller(1, None), login("admin", GOOD)).is_ok());
    assert!(
        desk.events()
            .iter()
            .all(|(name, _)| *name != "access.login_failed")
    );
}

#[test]
fn an_outcome_of_another_job_changes_nothing() {
    let mut desk = Desk::settled();
    for outcome in [
        JobOutcome::PasswordHashed(phc(GOOD)),
        JobOutcome::CheckpointBuilt(Ok(Vec::new())),
    ] {
        let (_, pending) = desk.begin_job(&caller(1, None), login("admin", GOOD));
        let step = desk.finish(pending, outcome);
        assert!(
            matches!(step, Step::Reply(Err(Refusal::Unavailable { .. }))),
            "{step:?}"
        );
    }
    for outcome in [
        JobOutcome::PasswordVerified(true),
        JobOutcome::CheckpointBuilt(Ok(Vec::new())),
    ] {
        let (_, pending) = desk.begin_job(&Caller::CONSOLE, add_user("bob", true));
        let step = desk.finish(pending, outcome);
        assert!(
            matches!(step, Step::Reply(Err(Refusal::Unavailable { .. }))),
            "{step:?}"
        );
    }
}

#[test]
fn every_login_gets_another_token() {
    let mut desk = Desk::settled();
    let tokens: std::collections::BTreeSet<String> =
        (0..20).map(|_| desk.token("admin", GOOD)).collect();
    assert_eq!(tokens.len(), 20);
}

#[test]
fn an_id_that_is_taken_is_drawn_again() {
    let mut desk = Desk::settled();
    let first = desk.token("admin", GOOD);
    // A second generator from the same seed draws the first token again.
    desk.secrets = SecretPrng::new(Seed::from_number(7));
    let second = desk.token("admin", GOOD);
    assert_ne!(first, second);
    for token in [first, second] {
        assert!(desk.who_am_i(&caller(1, Some(&token))).is_ok());
    }
}

#[test]
fn the_operator_is_told_of_logins_and_of_failures() {
    let mut desk = Desk::settled();
    desk.events();
    desk.token("admin", GOOD);
    desk.ask(&caller(3, None), login("admin", "not the password"))
        .unwrap_err();
    let events = desk.events();
    let names: Vec<&str> = events.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["access.login", "access.login_failed"]);
    assert!(events[1].1.contains("`admin`") && events[1].1.contains("10.0.0.3"));
}

#[test]
fn events_that_nobody_fetches_are_bounded() {
    let mut desk = Desk::settled();
    for _ in 0..2000 {
        desk.ask(&caller(1, None), login("admin", GOOD)).unwrap();
    }
    assert_eq!(desk.events().len(), 256);
}
