//! Tokens that users make for their programs.

use super::super::login::TOKEN_LIFE_MAX;
use super::*;
use crate::admin::{NewToken, TokenKind, TokenRow, UserRole};
use crate::wire::codec;

fn wish(label: &str) -> NewToken {
    NewToken {
        label: label.to_owned(),
        valid_for: HOUR,
        rights: None,
        networks: Vec::new(),
    }
}

fn issue(desk: &mut Desk, by: &Caller, wish: NewToken) -> (String, TokenRow) {
    match desk.ask(by, Verb::IssueToken(wish)) {
        Ok(Response::TokenIssued { token, row }) => (token, row),
        other => panic!("no token: {other:?}"),
    }
}

fn tokens(desk: &mut Desk, by: &Caller, all: bool) -> Vec<TokenRow> {
    match desk.ask(by, Verb::ListTokens { all }) {
        Ok(Response::Tokens(rows)) => rows,
        other => panic!("no tokens: {other:?}"),
    }
}

fn at(last: u8, token: &str, unix_ms: u64) -> Caller {
    Caller::Remote {
        address: address(last),
        token: Some(token.to_owned()),
        unix_ms,
    }
}

#[test]
fn a_program_is_its_user_until_its_token_expires() {
    let mut desk = Desk::with_users(&["bob"]);
    let bob = desk.session("bob", GOOD);
    let (token, row) = issue(&mut desk, &bob, wish("backup"));
    assert_eq!(
        (row.kind, row.label.as_deref(), row.user.as_str()),
        (TokenKind::Token, Some("backup"), "bob")
    );
    assert_eq!(row.expires_unix_ms, TODAY + 3_600_000);
    let Ok(Response::You(you)) = desk.who_am_i(&caller(1, Some(&token))) else {
        panic!("it is bob's");
    };
    assert_eq!((you.user.as_str(), you.role), ("bob", UserRole::Viewer));
    assert!(desk.who_am_i(&at(1, &token, TODAY + 3_599_999)).is_ok());
    assert_eq!(
        desk.who_am_i(&at(1, &token, TODAY + 3_600_000)),
        Err(Refusal::Unauthenticated)
    );
}

#[test]
fn a_token_is_good_in_its_networks_alone() {
    let mut desk = Desk::with_users(&["bob"]);
    let bob = desk.session("bob", GOOD);
    let networks = vec!["10.0.0.9/31".to_owned(), "::ffff:10.0.0.20".to_owned()];
    let (token, row) = issue(
        &mut desk,
        &bob,
        NewToken {
            networks,
            ..wish("backup")
        },
    );
    assert_eq!(row.networks, ["10.0.0.8/31", "10.0.0.20/32"]);
    for (last, good) in [(8, true), (9, true), (10, false), (20, true), (21, false)] {
        let reply = desk.who_am_i(&caller(last, Some(&token)));
        assert_eq!(reply.is_ok(), good, "10.0.0.{last}");
        let parsed = Token::parse(&token).unwrap();
        let astray = desk.state.is_astray(&parsed, address(last), TODAY);
        assert_eq!(astray, !good, "10.0.0.{last}");
    }
}

#[test]
fn a_token_carries_no_more_than_was_said_and_than_its_user_has() {
    let mut desk = Desk::with_users(&["bob"]);
    for right in [Right::Operate, Right::DfsRead] {
        assert_eq!(
            desk.ask(&Caller::CONSOLE, grant("bob", right)),
            Ok(Response::Done)
        );
    }
    let bob = desk.session("bob", GOOD);
    let too_much = NewToken {
        rights: Some(vec![Right::LogRead, Right::Admin]),
        ..wish("too much")
    };
    assert_eq!(
        desk.ask(&bob, Verb::IssueToken(too_much)),
        Err(Refusal::Forbidden {
            user: "bob".to_owned(),
            right: Right::Admin,
        })
    );
    // Operators read logs, so that they may let a program do so and nothing else.
    let reads_logs = desk.program(&bob, Some(vec![Right::LogRead]));
    let identity = |desk: &Desk| {
        let verb = Verb::WhoAmI;
        desk.access.authorize(&desk.state, &reads_logs, &verb)
    };
    let identity = identity(&desk).unwrap();
    let held = Right::ALL.map(|right| identity.has(&desk.state, right));
    assert_eq!(held, [false, false, false, false, true]);
    let Ok(Response::You(you)) = desk.who_am_i(&reads_logs) else {
        panic!("it is bob's");
    };
    assert_eq!(
        (you.role, you.rights),
        (UserRole::Viewer, vec![Right::LogRead])
    );
    // With the right of its user the token goes.
    assert_eq!(
        desk.ask(&Caller::CONSOLE, revoke("bob", Right::Operate)),
        Ok(Response::Done)
    );
    assert_eq!(desk.who_am_i(&reads_logs), Err(Refusal::Unauthenticated));
}

#[test]
fn a_program_neither_makes_tokens_nor_changes_passwords() {
    let mut desk = Desk::with_users(&["bob"]);
    let admin = desk.session("admin", GOOD);
    let program = desk.program(&admin, None);
    for verb in [
        Verb::IssueToken(wish("another")),
        set_own_password(GOOD, BETTER),
        reset_password("admin", BETTER),
        reset_password("bob", BETTER),
    ] {
        assert_eq!(desk.ask(&program, verb), Err(Refusal::LoginRequired));
    }
    assert_eq!(
        desk.ask(&program, add_user("eve", false)),
        Ok(Response::Done)
    );
}

#[test]
fn what_is_no_token_is_refused_with_what_would_be_right() {
    let mut desk = Desk::with_users(&["bob"]);
    let bob = desk.session("bob", GOOD);
    let long = "x".repeat(65);
    let mut wrong: Vec<NewToken> = ["", "  ", "a\nb", &long].map(wish).to_vec();
    wrong.extend(
        [Duration::ZERO, TOKEN_LIFE_MAX + seconds(1)].map(|valid_for| NewToken {
            valid_for,
            ..wish("backup")
        }),
    );
    wrong.extend(
        ["10.0.0.0/33", "10.0.0", "localhost", "", &long].map(|network| NewToken {
            networks: vec![network.to_owned()],
            ..wish("backup")
        }),
    );
    wrong.push(NewToken {
        networks: vec!["10.0.0.0/8".to_owned(); 17],
        ..wish("backup")
    });
    for wish in wrong {
        let reply = desk.ask(&bob, Verb::IssueToken(wish.clone()));
        assert!(
            matches!(reply, Err(Refusal::Invalid { .. })),
            "{wish:?}: {reply:?}"
        );
    }
    issue(&mut desk, &bob, wish("backup"));
    let twice = desk.ask(&bob, Verb::IssueToken(wish("backup")));
    assert!(matches!(twice, Err(Refusal::Conflict { .. })), "{twice:?}");
    let nobody = desk.ask(&Caller::CONSOLE, Verb::IssueToken(wish("console")));
    assert!(
        matches!(nobody, Err(Refusal::Conflict { .. })),
        "{nobody:?}"
    );
}

#[test]
fn logins_push_out_no_token_and_there_is_an_end_to_tokens() {
    let mut desk = Desk::with_users(&["bob"]);
    let bob = desk.session("bob", GOOD);
    for number in 0..SERVICE_TOKENS_PER_USER_MAX {
        issue(&mut desk, &bob, wish(&format!("program {number}")));
    }
    let more = desk.ask(&bob, Verb::IssueToken(wish("one more")));
    assert!(matches!(more, Err(Refusal::Conflict { .. })), "{more:?}");
    for _ in 0..TOKENS_PER_USER_MAX + 3 {
        desk.token("bob", GOOD);
        desk.wait(seconds(60));
    }
    let last = desk.session("bob", GOOD);
    let rows = tokens(&mut desk, &last, false);
    let count = |kind| rows.iter().filter(|row| row.kind == kind).count();
    assert_eq!(count(TokenKind::Token), SERVICE_TOKENS_PER_USER_MAX);
    assert_eq!(count(TokenKind::Session), TOKENS_PER_USER_MAX);
}

#[test]
fn tokens_that_have_expired_are_in_nobodys_way() {
    let mut desk = Desk::with_users(&["bob"]);
    let bob = desk.session("bob", GOOD);
    let short = |label: &str| NewToken {
        valid_for: seconds(60),
        ..wish(label)
    };
    issue(&mut desk, &bob, short("again"));
    for number in 1..SERVICE_TOKENS_PER_USER_MAX {
        issue(&mut desk, &bob, short(&format!("program {number}")));
    }
    let later = Caller::Remote {
        address: address(1),
        token: match &bob {
            Caller::Remote { token, .. } => token.clone(),
            other => panic!("{other:?}"),
        },
        unix_ms: TODAY + 120_000,
    };
    // The label is free again, and no more go than have to.
    issue(&mut desk, &later, wish("again"));
    let count = |desk: &mut Desk| {
        let rows = tokens(desk, &bob, false);
        let rows = rows.iter().filter(|row| row.kind == TokenKind::Token);
        rows.count()
    };
    assert_eq!(count(&mut desk), SERVICE_TOKENS_PER_USER_MAX);
    issue(&mut desk, &later, wish("one more"));
    assert_eq!(count(&mut desk), SERVICE_TOKENS_PER_USER_MAX);
    let twice = desk.ask(&later, Verb::IssueToken(wish("again")));
    assert!(matches!(twice, Err(Refusal::Conflict { .. })), "{twice:?}");
}

#[test]
fn everybody_lists_their_own_tokens_and_an_administrator_all() {
    let mut desk = Desk::with_users(&["bob", "eve"]);
    let (bob, eve) = (desk.session("bob", GOOD), desk.session("eve", GOOD));
    let admin = desk.session("admin", GOOD);
    let (_, made) = issue(&mut desk, &bob, wish("backup"));
    let users = |rows: &[TokenRow]| rows.iter().map(|it| it.user.clone()).collect::<Vec<_>>();
    let own = tokens(&mut desk, &bob, false);
    assert_eq!(users(&own), ["bob", "bob"]);
    assert_eq!(own.iter().filter(|it| it.current).count(), 1);
    assert!(own.iter().any(|it| it.id == made.id && !it.current));
    assert_eq!(users(&tokens(&mut desk, &eve, false)), ["eve"]);
    assert_eq!(tokens(&mut desk, &admin, true).len(), 4);
    let all = desk.ask(&bob, Verb::ListTokens { all: true });
    assert!(matches!(all, Err(Refusal::Forbidden { .. })), "{all:?}");
}

#[test]
fn one_revokes_ones_own_tokens_a_program_its_own_and_an_administrator_any() {
    let mut desk = Desk::with_users(&["bob", "eve"]);
    let (bob, eve) = (desk.session("bob", GOOD), desk.session("eve", GOOD));
    let admin = desk.session("admin", GOOD);
    let revoke = |row: &TokenRow| Verb::RevokeToken {
        token: TokenId::parse(&row.id).unwrap(),
    };
    let (first, first_row) = issue(&mut desk, &bob, wish("first"));
    let (_, second_row) = issue(&mut desk, &bob, wish("second"));
    let program = caller(1, Some(&first));
    for (who, row) in [(&eve, &first_row), (&program, &second_row)] {
        let reply = desk.ask(who, revoke(row));
        assert!(matches!(reply, Err(Refusal::NotFound { .. })), "{reply:?}");
    }
    for (who, row) in [(&program, &first_row), (&admin, &second_row)] {
        assert_eq!(desk.ask(who, revoke(row)), Ok(Response::Done));
        let again = desk.ask(&admin, revoke(row));
        assert!(matches!(again, Err(Refusal::NotFound { .. })), "{again:?}");
    }
    assert_eq!(desk.who_am_i(&program), Err(Refusal::Unauthenticated));
    let session = tokens(&mut desk, &bob, false).remove(0);
    assert_eq!(desk.ask(&bob, revoke(&session)), Ok(Response::Done));
    assert_eq!(desk.who_am_i(&bob), Err(Refusal::Unauthenticated));
}

#[test]
fn nothing_that_is_shown_of_a_token_gives_it_away() {
    let mut desk = Desk::with_users(&["bob"]);
    let bob = desk.session("bob", GOOD);
    let reply = desk.ask(&bob, Verb::IssueToken(wish("backup")));
    let Ok(Response::TokenIssued { token, row }) = &reply else {
        panic!("no token: {reply:?}");
    };
    let secret = token.rsplit_once('_').unwrap().1;
    let mut shown = format!("{reply:?} {row:?} {:?}", desk.log);
    shown.push_str(&format!("{:?}", tokens(&mut desk, &bob, false)));
    shown.push_str(&format!("{:?}", desk.events()));
    assert!(!shown.contains(secret), "{shown}");
}

#[test]
fn a_network_is_read_as_it_is_written() {
    for text in ["10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32", "::1/128"] {
        let network = Network::parse(text).unwrap();
        assert_eq!(network.to_string(), text);
        let bytes = codec::encode(&network);
        assert_eq!(codec::decode::<Network>("Network", &bytes), Ok(network));
    }
    assert_eq!(
        Network::parse("::ffff:10.1.2.3/104").unwrap(),
        Network::parse("10.0.0.0/8").unwrap()
    );
}
