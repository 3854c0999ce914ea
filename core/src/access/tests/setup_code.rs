use std::collections::BTreeSet;

use super::*;

/// Somebody on the controller's own machine.
fn at_home() -> Caller {
    Caller::Remote {
        address: Ipv4Addr::LOCALHOST.into(),
        token: None,
        unix_ms: TODAY,
    }
}

fn elsewhere() -> Caller {
    caller(9, None)
}

/// A code that is not this one.
fn other_than(code: &str) -> String {
    let first = if code.starts_with('A') { "B" } else { "A" };
    format!("{first}{}", &code[1..])
}

#[test]
fn a_first_login_from_another_machine_needs_the_code_and_one_from_this_machine_does_not() {
    let mut desk = Desk::founded();
    let without = desk.ask(&elsewhere(), first_login(None));
    assert_eq!(without, Err(Refusal::SetupCodeRequired));
    assert!(desk.ask(&at_home(), first_login(None)).is_ok());
    let mapped = Caller::Remote {
        address: "::ffff:127.0.0.1".parse().unwrap(),
        token: None,
        unix_ms: TODAY,
    };
    assert!(desk.ask(&mapped, first_login(None)).is_ok());
    let code = desk.setup_code();
    assert!(desk.ask(&elsewhere(), first_login(Some(&code))).is_ok());
    // It is for the setting up, however often that is begun.
    assert!(desk.ask(&elsewhere(), first_login(Some(&code))).is_ok());
}

#[test]
fn a_missing_code_costs_no_hash_and_counts_as_no_guess() {
    let mut desk = Desk::founded();
    for _ in 0..100 {
        let step = desk.begin(&elsewhere(), first_login(None));
        assert!(
            matches!(step, Step::Reply(Err(Refusal::SetupCodeRequired))),
            "{step:?}"
        );
    }
    let code = desk.setup_code();
    assert!(desk.ask(&elsewhere(), first_login(Some(&code))).is_ok());
}

#[test]
fn the_code_says_nothing_to_whoever_does_not_know_the_password() {
    let mut desk = Desk::founded();
    let code = desk.setup_code();
    let verb = Verb::Login {
        user: "admin".to_owned(),
        password: password("a wild guess"),
        valid_for: HOUR,
        setup_code: Some(password(&code)),
    };
    assert_eq!(desk.ask(&elsewhere(), verb), Err(Refusal::WrongPassword));
}

#[test]
fn a_code_is_ten_characters_of_base32_drawn_anew_each_time() {
    let mut secrets = SecretPrng::new(Seed::from_number(1));
    let codes: BTreeSet<String> = (0..500)
        .map(|_| SetupCode::draw(&mut secrets).reveal())
        .collect();
    assert_eq!(codes.len(), 500);
    let mut used = BTreeSet::new();
    for code in &codes {
        let (left, right) = code.split_once('-').unwrap();
        assert_eq!((left.len(), right.len()), (5, 5), "{code}");
        used.extend(code.bytes());
    }
    let alphabet = BTreeSet::from(*b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567-");
    assert_eq!(used, alphabet);
}

#[test]
fn a_code_may_be_typed_in_lower_case_and_without_its_hyphen() {
    let code = SetupCode::draw(&mut SecretPrng::new(Seed::from_number(3)));
    let shown = code.reveal();
    let plain = shown.replace('-', "");
    for typed in [
        shown.clone(),
        shown.to_lowercase(),
        plain.clone(),
        plain.to_lowercase(),
        format!(" {shown} "),
    ] {
        assert!(code.is(&password(&typed)), "{typed:?}");
    }
    for typed in [
        "",
        "AAAAA",
        &plain[1..],
        &format!("{plain}A"),
        &other_than(&shown),
    ] {
        assert!(!code.is(&password(typed)), "{typed:?}");
    }
}

#[test]
fn five_wrong_codes_make_a_new_one() {
    let mut desk = Desk::founded();
    let first = desk.setup_code();
    let wrong = other_than(&first);
    for guess in 1..=5 {
        let reply = desk.ask(&elsewhere(), first_login(Some(&wrong)));
        let replaced = guess == 5;
        assert_eq!(reply, Err(Refusal::WrongSetupCode { replaced }), "{guess}");
    }
    let second = desk.setup_code();
    assert_ne!(first, second);
    let told: Vec<String> = desk
        .events()
        .into_iter()
        .filter(|(name, _)| *name == "access.setup_code")
        .map(|(_, text)| text)
        .collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].contains(&first) && told[1].contains(&second),
        "{told:?}"
    );

    desk.wait(HOUR);
    let reply = desk.ask(&elsewhere(), first_login(Some(&first)));
    assert_eq!(reply, Err(Refusal::WrongSetupCode { replaced: false }));
    assert!(desk.ask(&elsewhere(), first_login(Some(&second))).is_ok());
}

#[test]
fn wrong_codes_are_slowed_like_wrong_passwords() {
    let mut desk = Desk::founded();
    for _ in 0..5 {
        let wrong = other_than(&desk.setup_code());
        desk.ask(&elsewhere(), first_login(Some(&wrong)))
            .unwrap_err();
    }
    let wrong = other_than(&desk.setup_code());
    assert_busy(desk.ask(&caller(77, None), first_login(Some(&wrong))));
}

#[test]
fn a_changed_password_takes_the_code_away_and_no_login_asks_for_one() {
    let mut desk = Desk::founded();
    let code = desk.setup_code();
    let Ok(Response::LoggedIn { token, .. }) = desk.ask(&elsewhere(), first_login(Some(&code)))
    else {
        panic!("no login");
    };
    let admin = caller(9, Some(&token));
    assert_eq!(
        desk.ask(&admin, set_own_password("123456", GOOD)),
        Ok(Response::Done)
    );
    assert_eq!(desk.setup_file, None);
    assert!(desk.ask(&elsewhere(), login("admin", GOOD)).is_ok());
    let reply = desk.ask(&elsewhere(), first_login(Some(&code)));
    assert_eq!(reply, Err(Refusal::WrongPassword));
}

#[test]
fn a_process_that_starts_with_the_first_password_draws_another_code() {
    let mut desk = Desk::founded();
    let before = desk.setup_code();
    desk.access = Access::new();
    desk.tend_setup_code();
    assert_ne!(desk.setup_code(), before);

    let mut settled = Desk::settled();
    settled.access = Access::new();
    settled.tend_setup_code();
    assert_eq!(settled.setup_file, None);
    assert!(settled.events().is_empty());
}

#[test]
fn a_code_is_printed_where_it_is_meant_to_be_and_nowhere_else() {
    let mut desk = Desk::founded();
    let code = desk.setup_code();
    let events = desk.events();
    let refusals = [
        Refusal::SetupCodeRequired.to_string(),
        Refusal::WrongSetupCode { replaced: false }.to_string(),
        Refusal::WrongSetupCode { replaced: true }.to_string(),
    ];
    let printed = [
        format!("{:?}", desk.access),
        format!("{:?}", SetupFile::Write(code.clone())),
        format!("{:?}", first_login(Some(&code))),
    ];
    for text in printed.iter().chain(&refusals) {
        assert!(!text.contains(&code), "{text}");
    }
    for text in &refusals {
        assert!(
            text.contains("meta/setup-code") && text.contains("log"),
            "{text}"
        );
    }
    let told: Vec<_> = events
        .into_iter()
        .filter(|(_, text)| text.contains(&code))
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
}
