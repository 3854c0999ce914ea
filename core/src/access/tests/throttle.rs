use std::net::Ipv6Addr;

use super::*;
use crate::access::throttle::Source;

const WRONG: &str = "not the password";

/// A wrong guess that must be let in.
#[track_caller]
fn guess_wrong(desk: &mut Desk, last: u8, user: &str) {
    let reply = desk.ask(&caller(last, None), login(user, WRONG));
    assert_eq!(reply, Err(Refusal::WrongPassword), "at {}", desk.now);
}

#[test]
fn an_account_waits_twice_as_long_after_each_guess_beyond_the_fifth() {
    let mut desk = Desk::settled();
    for last in 1..=5 {
        guess_wrong(&mut desk, last, "admin");
    }
    let mut last = 5;
    for delay in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
        last += 1;
        let wait = assert_busy(desk.ask(&caller(last, None), login("admin", WRONG)));
        assert_eq!(wait, seconds(delay));
        desk.wait(seconds(delay) - Duration::from_nanos(1));
        assert_busy(desk.ask(&caller(last, None), login("admin", GOOD)));
        desk.wait(Duration::from_nanos(1));
        guess_wrong(&mut desk, last, "admin");
    }
}

#[test]
fn guesses_that_are_not_looked_at_make_nothing_worse() {
    let mut desk = Desk::settled();
    for last in 1..=5 {
        guess_wrong(&mut desk, last, "admin");
    }
    for _ in 0..1000 {
        assert_busy(desk.ask(&caller(9, None), login("admin", WRONG)));
    }
    desk.wait(seconds(1));
    assert!(desk.ask(&caller(9, None), login("admin", GOOD)).is_ok());
}

#[test]
fn a_login_that_succeeds_clears_the_account() {
    let mut desk = Desk::settled();
    for last in 1..=4 {
        guess_wrong(&mut desk, last, "admin");
    }
    desk.token("admin", GOOD);
    for last in 5..=9 {
        guess_wrong(&mut desk, last, "admin");
    }
    assert_busy(desk.ask(&caller(10, None), login("admin", WRONG)));
}

#[test]
fn an_account_is_forgiven_after_a_quarter_of_an_hour() {
    let mut desk = Desk::settled();
    for last in 1..=5 {
        guess_wrong(&mut desk, last, "admin");
    }
    desk.wait(seconds(15 * 60));
    for last in 11..=15 {
        guess_wrong(&mut desk, last, "admin");
    }
    assert_busy(desk.ask(&caller(16, None), login("admin", WRONG)));
}

#[test]
fn one_account_does_not_hold_up_another() {
    let mut desk = Desk::with_users(&["bob"]);
    for last in 1..=5 {
        guess_wrong(&mut desk, last, "admin");
    }
    assert!(desk.ask(&caller(6, None), login("bob", GOOD)).is_ok());
}

#[test]
fn a_held_account_is_guessed_at_once_a_delay_however_many_arrive_together() {
    let mut desk = Desk::settled();
    for last in 1..=5 {
        guess_wrong(&mut desk, last, "admin");
    }
    desk.wait(seconds(1));
    let (job, pending) = desk.begin_job(&caller(6, None), login("admin", WRONG));
    assert_busy(desk.ask(&caller(7, None), login("admin", WRONG)));
    let step = desk.finish(pending, compute(&job));
    assert_eq!(desk.conclude(step), Err(Refusal::WrongPassword));
    let wait = assert_busy(desk.ask(&caller(7, None), login("admin", WRONG)));
    assert_eq!(wait, seconds(2));
}

#[test]
fn guessing_from_elsewhere_does_not_keep_a_user_from_the_usual_desk() {
    let mut desk = Desk::settled();
    desk.token("admin", GOOD);
    for last in 11..=15 {
        guess_wrong(&mut desk, last, "admin");
    }
    desk.wait(seconds(1));
    let (_, _guess_under_way) = desk.begin_job(&caller(16, None), login("admin", WRONG));
    assert!(desk.ask(&caller(1, None), login("admin", GOOD)).is_ok());
}

#[test]
fn another_users_desk_is_no_way_around_an_accounts_delay() {
    let mut desk = Desk::with_users(&["mallory"]);
    desk.token("mallory", GOOD);
    for last in 11..=15 {
        guess_wrong(&mut desk, last, "admin");
    }
    assert_busy(desk.ask(&caller(1, None), login("admin", WRONG)));
}

#[test]
fn an_address_guesses_five_times_at_once_and_then_every_six_seconds() {
    let mut desk = Desk::settled();
    for user in ["a", "b", "c", "d", "e"] {
        guess_wrong(&mut desk, 1, user);
    }
    let wait = assert_busy(desk.ask(&caller(1, None), login("f", WRONG)));
    assert_eq!(wait, seconds(6));
    desk.wait(seconds(6) - Duration::from_nanos(1));
    assert_busy(desk.ask(&caller(1, None), login("f", WRONG)));
    desk.wait(Duration::from_nanos(1));
    guess_wrong(&mut desk, 1, "f");
    assert_busy(desk.ask(&caller(1, None), login("g", WRONG)));
    // Ten a minute, whatever the pattern.
    let mut looked_at = 0;
    for _ in 0..600 {
        desk.wait(seconds(1));
        let user = format!("u{looked_at}");
        let reply = desk.ask(&caller(1, None), login(&user, WRONG));
        looked_at += u32::from(reply == Err(Refusal::WrongPassword));
    }
    assert_eq!(looked_at, 100);
}

#[test]
fn the_same_desk_too_has_its_limit() {
    let mut desk = Desk::settled();
    desk.token("admin", GOOD);
    for _ in 0..5 {
        guess_wrong(&mut desk, 1, "admin");
    }
    let wait = assert_busy(desk.ask(&caller(1, None), login("admin", GOOD)));
    assert_eq!(wait, seconds(6));
}

#[test]
fn guesses_let_in_together_are_paid_for_afterwards() {
    let mut desk = Desk::settled();
    let jobs: Vec<_> = (0..10)
        .map(|n| desk.begin_job(&caller(1, None), login(&format!("u{n}"), WRONG)))
        .collect();
    for (job, pending) in jobs {
        let step = desk.finish(pending, compute(&job));
        assert_eq!(desk.conclude(step), Err(Refusal::WrongPassword));
    }
    let wait = assert_busy(desk.ask(&caller(1, None), login("v", WRONG)));
    assert_eq!(
        wait,
        seconds(36),
        "five of ten were too many, at six seconds each"
    );
}

#[test]
fn right_passwords_are_never_too_many() {
    let mut desk = Desk::with_users(&["bob"]);
    for n in 0..500 {
        let user = ["admin", "bob"][n % 2];
        let reply = desk.ask(&caller(1, None), login(user, GOOD));
        assert!(reply.is_ok(), "login {n}: {reply:?}");
    }
}

#[test]
fn ten_passwords_are_checked_at_once_and_no_more() {
    let mut desk = Desk::settled();
    let mut under_way: Vec<_> = (0..10)
        .map(|n| desk.begin_job(&caller(n, None), login("admin", GOOD)))
        .collect();
    assert_busy(desk.ask(&caller(20, None), login("admin", GOOD)));
    let (job, pending) = under_way.pop().unwrap();
    let step = desk.finish(pending, compute(&job));
    assert!(desk.conclude(step).is_ok());
    desk.begin_job(&caller(20, None), login("admin", GOOD));
}

#[test]
fn checks_that_nobody_answers_are_given_up_after_a_minute() {
    let mut desk = Desk::settled();
    for last in 0..10 {
        drop(desk.begin_job(&caller(last, None), login("admin", GOOD)));
    }
    desk.wait(seconds(60) - Duration::from_nanos(1));
    assert_busy(desk.ask(&caller(20, None), login("admin", GOOD)));
    desk.wait(Duration::from_nanos(1));
    assert!(desk.ask(&caller(20, None), login("admin", GOOD)).is_ok());
}

#[test]
fn sixty_wrong_passwords_a_minute_leave_only_known_addresses() {
    let mut desk = Desk::with_users(&["bob"]);
    desk.token("bob", GOOD);
    for n in 0..60 {
        guess_wrong(&mut desk, 100 + n, &format!("u{n}"));
    }
    assert_busy(desk.ask(&caller(200, None), login("admin", GOOD)));
    assert!(
        desk.ask(&caller(1, None), login("admin", GOOD)).is_ok(),
        "bob was here"
    );
    let told = desk.events();
    let told: Vec<_> = told
        .iter()
        .filter(|(name, _)| *name == "access.throttled")
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    desk.wait(seconds(1));
    assert!(desk.ask(&caller(200, None), login("admin", GOOD)).is_ok());
}

#[test]
fn an_address_is_known_for_a_day() {
    let exhausted_after = |time| {
        let mut desk = Desk::settled();
        desk.token("admin", GOOD);
        desk.wait(time);
        for n in 0..60 {
            guess_wrong(&mut desk, 100 + n, &format!("u{n}"));
        }
        desk.ask(&caller(1, None), login("admin", GOOD))
    };
    let day = seconds(24 * 3600);
    assert!(exhausted_after(day - Duration::from_nanos(1)).is_ok());
    assert_busy(exhausted_after(day));
}

#[test]
fn ipv6_customers_are_told_apart_by_their_first_64_bits() {
    let source = |text: &str| Source::from(text.parse::<Ipv6Addr>().map(IpAddr::V6).unwrap());
    assert_eq!(source("2001:db8:1:2::1"), source("2001:db8:1:2:ffff::9"));
    assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
    assert_eq!(
        source("::ffff:10.0.0.7"),
        Source::from(address(7)),
        "an IPv4 address in IPv6 clothes"
    );
}

#[test]
fn a_stolen_token_is_no_way_to_guess_the_password() {
    let mut desk = Desk::with_users(&["bob"]);
    let bob = desk.session("bob", GOOD);
    for _ in 0..5 {
        let reply = desk.ask(&bob, set_own_password(WRONG, BETTER));
        assert_eq!(reply, Err(Refusal::WrongPassword));
    }
    assert_busy(desk.ask(&bob, set_own_password(GOOD, BETTER)));
    assert!(
        desk.who_am_i(&bob).is_ok(),
        "the token itself is not held up"
    );
}

#[test]
fn refusal_for_want_of_a_token_is_never_a_matter_of_throttles() {
    let mut desk = Desk::settled();
    for user in ["a", "b", "c", "d", "e"] {
        guess_wrong(&mut desk, 1, user);
    }
    for _ in 0..100 {
        assert_eq!(
            desk.ask(&caller(1, Some("vqt_1_2")), Verb::ListUsers),
            Err(Refusal::Unauthenticated)
        );
    }
}

#[test]
fn what_is_remembered_is_bounded_and_forgotten() {
    for table in [1, 2, 16] {
        let mut desk = Desk::settled();
        desk.access = Access::with_rules(ThrottleRules {
            table,
            whole_burst: 1_000_000,
            ..ThrottleRules::default()
        });
        for n in 0..100 {
            guess_wrong(&mut desk, n, &format!("u{n}"));
            let (accounts, sources, checks) = desk.access.throttle.sizes();
            assert!(accounts <= table, "{accounts} accounts of {table}");
            assert!(sources <= table, "{sources} addresses of {table}");
            assert_eq!(checks, 0);
        }
        desk.wait(seconds(24 * 3600));
        guess_wrong(&mut desk, 200, "late");
        assert_eq!(desk.access.throttle.sizes(), (1, 1, 0));
    }
}

#[test]
fn a_full_table_gives_up_whoever_was_quiet_longest() {
    let mut desk = Desk::settled();
    desk.access = Access::with_rules(ThrottleRules {
        table: 2,
        account_free: 1,
        ..ThrottleRules::default()
    });
    for (last, user) in [(1, "first"), (2, "second"), (3, "third")] {
        guess_wrong(&mut desk, last, user);
        desk.wait(Duration::from_millis(1));
    }
    assert_busy(desk.ask(&caller(9, None), login("second", WRONG)));
    assert_busy(desk.ask(&caller(9, None), login("third", WRONG)));
    guess_wrong(&mut desk, 9, "first");
}

#[test]
fn an_attack_from_everywhere_is_let_through_at_the_rate_of_the_whole() {
    let mut desk = Desk::settled();
    let mut looked_at = 0;
    // A thousand a second from as many addresses, for thirty seconds.
    for n in 0..30_000_u32 {
        desk.wait(Duration::from_millis(1));
        let [_, high, middle, low] = n.to_be_bytes();
        let from = Caller::Remote {
            address: IpAddr::V4(Ipv4Addr::new(11, high, middle, low)),
            token: None,
            unix_ms: TODAY,
        };
        let reply = desk.ask(&from, login(&format!("u{n}"), WRONG));
        looked_at += u32::from(reply == Err(Refusal::WrongPassword));
    }
    assert_eq!(looked_at, 60 + 29, "sixty at once and one a second");
    let (accounts, sources, _) = desk.access.throttle.sizes();
    assert!(accounts <= 90 && sources <= 90, "{accounts} {sources}");
}
