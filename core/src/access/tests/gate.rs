use super::*;
use crate::admin::{LogRange, NewToken, Selection};
use crate::controller::{FilesConfig, Reconfiguration};
use crate::dfs::ask::Ask;
use crate::dfs::ids::OpId;
use crate::message::RestartPolicy;
use crate::state::Duty;

/// One of each request, in the order of the table.
fn every_verb() -> Vec<Verb> {
    let verbs = vec![
        login("admin", GOOD),
        Verb::Logout,
        Verb::WhoAmI,
        set_own_password(GOOD, BETTER),
        reset_password("plain", BETTER),
        reset_password("admin", BETTER),
        Verb::Status,
        Verb::ListNodes,
        Verb::Figures {
            node: None,
            names: Vec::new(),
        },
        Verb::ReadLog {
            alias: Alias::new("node1").unwrap(),
            generation: 0,
            range: LogRange::Tail { len: 1 },
        },
        Verb::StartNodes(Selection::All),
        Verb::StopNodes(Selection::All),
        Verb::ReplaceNode {
            node: "node1".to_owned(),
        },
        Verb::RemoveNode {
            node: "node1".to_owned(),
            accept_loss: None,
        },
        Verb::SetDuty {
            nodes: Selection::All,
            duty: Duty::Drain,
        },
        Verb::RescanVolumes(Selection::All),
        Verb::AdoptVolume {
            node: "node1".to_owned(),
            path: "/disk".to_owned(),
        },
        Verb::ForgetVolume {
            node: "node1".to_owned(),
            path: "/disk".to_owned(),
        },
        Verb::SetVolumeDuty {
            node: "node1".to_owned(),
            path: "/disk".to_owned(),
            drain: true,
        },
        Verb::Reconfigure {
            config: Box::new(Reconfiguration {
                members: Vec::new(),
                recovery_wait: None,
                restart: RestartPolicy::Backoff,
                restart_stopped: false,
                files: FilesConfig::default(),
            }),
            dry_run: false,
        },
        Verb::ListConfigurations,
        Verb::ListUsers,
        add_user("somebody", false),
        remove_user("plain"),
        grant("plain", Right::DfsRead),
        revoke("plain", Right::DfsRead),
        Verb::ListTokens { all: false },
        Verb::ListTokens { all: true },
        Verb::IssueToken(NewToken {
            label: "backup".to_owned(),
            valid_for: HOUR,
            rights: None,
            networks: Vec::new(),
        }),
        Verb::RevokeToken {
            token: TokenId::new(1),
        },
        Verb::ListAudit(crate::audit::AuditQuery::default()),
        Verb::NoteRefusal {
            what: "POST /api/v1/users".to_owned(),
            right: Right::Admin,
        },
        Verb::Dfs(Ask::Volumes),
        Verb::Dfs(Ask::Chunks {
            after: None,
            limit: 1,
            unwell_only: false,
            below: Some(crate::dfs::path::DfsPath::default()),
        }),
        Verb::Dfs(Ask::SuspendRepair { suspend: true }),
        Verb::Dfs(Ask::SettleLoss),
        Verb::Dfs(Ask::Abort {
            op: OpId([7; 16]),
            chunks: Vec::new(),
        }),
    ];
    // A verb that is added to the vocabulary has to be added to the list above as well.
    for verb in &verbs {
        match verb {
            Verb::Login { .. }
            | Verb::Logout
            | Verb::WhoAmI
            | Verb::Status
            | Verb::ListNodes
            | Verb::Figures { .. }
            | Verb::StartNodes(_)
            | Verb::StopNodes(_)
            | Verb::ReplaceNode { .. }
            | Verb::RemoveNode { .. }
            | Verb::SetDuty { .. }
            | Verb::RescanVolumes(_)
            | Verb::AdoptVolume { .. }
            | Verb::ForgetVolume { .. }
            | Verb::SetVolumeDuty { .. }
            | Verb::ReadLog { .. }
            | Verb::Reconfigure { .. }
            | Verb::ListConfigurations
            | Verb::ListUsers
            | Verb::AddUser { .. }
            | Verb::RemoveUser { .. }
            | Verb::ChangePassword { .. }
            | Verb::Grant { .. }
            | Verb::Revoke { .. }
            | Verb::ListTokens { .. }
            | Verb::IssueToken(_)
            | Verb::RevokeToken { .. }
            | Verb::ListAudit(_)
            | Verb::NoteRefusal { .. }
            | Verb::Dfs(_) => {}
        }
    }
    let kinds: std::collections::BTreeSet<String> = verbs
        .iter()
        .map(|verb| format!("{:?}", core::mem::discriminant(verb)))
        .collect();
    assert_eq!(kinds.len(), 30, "a kind of request is missing: {kinds:?}");
    verbs
}

/// What became of a request at the door, in one letter.
fn verdict(outcome: &Result<Identity, Refusal>) -> char {
    match outcome {
        Ok(_) => 'y',
        Err(Refusal::Unauthenticated) => '-',
        Err(Refusal::PasswordChangeRequired { .. }) => 'c',
        Err(Refusal::Forbidden {
            right: Right::Admin,
            ..
        }) => 'A',
        Err(Refusal::Forbidden {
            right: Right::LogRead,
            ..
        }) => 'L',
        Err(Refusal::Forbidden {
            right: Right::DfsRead,
            ..
        }) => 'R',
        Err(Refusal::Forbidden {
            right: Right::DfsWrite,
            ..
        }) => 'W',
        Err(Refusal::Forbidden {
            right: Right::Operate,
            ..
        }) => 'O',
        Err(Refusal::LoginRequired) => 'l',
        Err(other) => panic!("not for the door to say: {other:?}"),
    }
}

#[test]
fn each_kind_of_caller_may_ask_what_the_table_says_and_nothing_else() {
    let mut desk = Desk::with_users(&["plain", "reader", "files", "operator"]);
    for (user, right) in [
        ("reader", Right::LogRead),
        ("files", Right::DfsRead),
        ("files", Right::DfsWrite),
        ("operator", Right::Operate),
    ] {
        assert_eq!(
            desk.ask(&Caller::CONSOLE, grant(user, right)),
            Ok(Response::Done)
        );
    }
    desk.append(vec![user_added("fresh", "123456", true)]);
    let admin = desk.session("admin", GOOD);
    let all = desk.program(&admin, None);
    let limited = desk.program(&admin, Some(vec![Right::Operate]));
    let callers = [
        Caller::CONSOLE,
        caller(1, None),
        caller(1, Some("vqt_0_0")),
        desk.session("fresh", "123456"),
        desk.session("plain", GOOD),
        desk.session("files", GOOD),
        desk.session("reader", GOOD),
        desk.session("operator", GOOD),
        admin,
        all,
        limited,
    ];
    // y: let in; -: not logged in; c: change the password first; l: log in yourself; A, O, L, R, W: lacks
    // that right. The programs are the administrator's: one that may do what its user may, and one that
    // may operate.
    #[rustfmt::skip]
    let table = [
        //        console, nobody, bad token, fresh, plain, files, reader, operator, admin, programs
        ("login",               "y y y y y y y y y y y"),
        ("logout",              "y - - y y y y y y y y"),
        ("who am i",            "y - - y y y y y y y y"),
        ("own password",        "y - - y y y y y y l l"),
        ("password of plain",   "y - - c y A A A y l l"),
        ("password of admin",   "y - - c A A A A y l l"),
        ("status",              "y - - c y y y y y y y"),
        ("list nodes",          "y - - c y y y y y y y"),
        ("see charts",          "y - - c y y y y y y y"),
        ("read a log",          "y - - c L L y y y y y"),
        ("start nodes",         "y - - c O O O y y y y"),
        ("stop nodes",          "y - - c O O O y y y y"),
        ("replace a node",      "y - - c A A A A y y A"),
        ("remove a node",       "y - - c A A A A y y A"),
        ("drain nodes",         "y - - c O O O y y y y"),
        ("open volumes again",  "y - - c O O O y y y y"),
        ("adopt a volume",      "y - - c A A A A y y A"),
        ("forget a volume",     "y - - c A A A A y y A"),
        ("drain a volume",      "y - - c O O O y y y y"),
        ("reconfigure",         "y - - c A A A A y y A"),
        ("list configurations", "y - - c L L y y y y y"),
        ("list users",          "y - - c A A A A y y A"),
        ("add a user",          "y - - c A A A A y y A"),
        ("remove a user",       "y - - c A A A A y y A"),
        ("grant",               "y - - c A A A A y y A"),
        ("revoke",              "y - - c A A A A y y A"),
        ("list own tokens",     "y - - c y y y y y y y"),
        ("list all tokens",     "y - - c A A A A y y A"),
        ("make a token",        "y - - c y y y y y l l"),
        ("revoke a token",      "y - - c y y y y y y y"),
        ("read the audit",      "y - - c A A A A y y A"),
        ("tell of a refusal",   "y - - y y y y y y y y"),
        ("see volumes",         "y - - c R y R y y y y"),
        ("see chunks of a file", "y - - c R y R R y y R"),
        ("suspend repair",      "y - - c O O O y y y y"),
        ("settle a loss",       "y - - c A A A A y y A"),
        ("give up a write",     "y - - c W y W W y y W"),
    ];
    let verbs = every_verb();
    assert_eq!(verbs.len(), table.len());
    for (verb, (what, expected)) in verbs.iter().zip(table) {
        let row: Vec<String> = callers
            .iter()
            .map(|caller| verdict(&desk.access.authorize(&desk.state, caller, verb)).to_string())
            .collect();
        assert_eq!(row.join(" "), expected, "{what}: {verb:?}");
    }
}

#[test]
fn the_door_is_asked_again_when_a_request_is_taken_up() {
    let mut desk = Desk::with_users(&["plain"]);
    let plain = desk.session("plain", GOOD);
    let verb = Verb::WhoAmI;
    let identity = desk.access.authorize(&desk.state, &plain, &verb).unwrap();
    for verb in every_verb() {
        if need(&verb) != Need::Right(Right::Admin) {
            continue;
        }
        let step = desk.access.begin(
            desk.now,
            &desk.state,
            &identity,
            &plain,
            verb,
            &[],
            &mut desk.secrets,
        );
        assert!(
            matches!(step, Step::Reply(Err(Refusal::Forbidden { .. }))),
            "an identity that was let in for another request: {step:?}"
        );
    }
}

#[test]
fn a_request_about_nodes_is_not_the_user_administrations() {
    let mut desk = Desk::settled();
    let step = desk.begin(&Caller::CONSOLE, Verb::Status);
    assert!(matches!(
        step,
        Step::Reply(Err(Refusal::Unavailable { .. }))
    ));
}

#[test]
fn the_first_password_opens_only_the_door_to_another() {
    let mut desk = Desk::founded();
    let code = desk.setup_code();
    let reply = desk.ask(&caller(1, None), first_login(Some(&code)));
    let Ok(Response::LoggedIn {
        token,
        must_change_password,
    }) = reply
    else {
        panic!("no login: {reply:?}");
    };
    assert!(must_change_password);
    let admin = caller(1, Some(&token));
    let must_change = Err(Refusal::PasswordChangeRequired {
        user: "admin".to_owned(),
    });
    assert_eq!(desk.ask(&admin, add_user("bob", false)), must_change);
    assert_eq!(desk.ask(&admin, reset_password("bob", GOOD)), must_change);
    let changed = desk.ask(&admin, set_own_password("123456", GOOD));
    assert_eq!(changed, Ok(Response::Done));

    let admin = desk.session("admin", GOOD);
    assert_eq!(desk.ask(&admin, add_user("bob", false)), Ok(Response::Done));
    assert_eq!(
        desk.ask(&caller(2, None), login("admin", "123456")),
        Err(Refusal::WrongPassword)
    );
}

#[test]
fn a_user_who_must_change_may_name_themselves_to_do_so() {
    let mut desk = Desk::founded();
    let admin = desk.session("admin", "123456");
    let verb = Verb::ChangePassword {
        user: Some("admin".to_owned()),
        old: Some(password("123456")),
        new: password(GOOD),
    };
    assert_eq!(desk.ask(&admin, verb), Ok(Response::Done));
}

#[test]
fn everybody_is_told_who_they_are() {
    let mut desk = Desk::with_users(&["plain"]);
    let plain = desk.session("plain", GOOD);
    let Ok(Response::You(row)) = desk.who_am_i(&plain) else {
        panic!("plain is somebody");
    };
    assert_eq!((row.user.as_str(), row.admin), ("plain", false));
    let Ok(Response::You(row)) = desk.who_am_i(&Caller::CONSOLE) else {
        panic!("the console is somebody");
    };
    assert_eq!((row.user.as_str(), row.admin), ("console", true));
}

#[test]
fn the_console_neither_logs_in_nor_out() {
    let mut desk = Desk::settled();
    for verb in [login("admin", GOOD), Verb::Logout] {
        let reply = desk.ask(&Caller::CONSOLE, verb);
        assert!(matches!(reply, Err(Refusal::Conflict { .. })), "{reply:?}");
    }
    let reply = desk.ask(&Caller::CONSOLE, set_own_password(GOOD, BETTER));
    assert!(matches!(reply, Err(Refusal::Invalid { .. })), "{reply:?}");
}

#[test]
fn a_token_that_was_logged_out_is_nobodys() {
    let mut desk = Desk::with_users(&["plain"]);
    let (one, other) = (desk.session("plain", GOOD), desk.session("plain", GOOD));
    assert_eq!(desk.ask(&one, Verb::Logout), Ok(Response::Done));
    assert_eq!(desk.who_am_i(&one), Err(Refusal::Unauthenticated));
    assert!(desk.who_am_i(&other).is_ok());
}

#[test]
fn a_token_is_valid_until_its_last_millisecond() {
    let mut desk = Desk::with_users(&["plain"]);
    let token = desk.token("plain", GOOD);
    let at = |unix_ms| Caller::Remote {
        address: address(9),
        token: Some(token.clone()),
        unix_ms,
    };
    let end = TODAY + 3_600_000;
    assert!(desk.who_am_i(&at(TODAY)).is_ok());
    assert!(desk.who_am_i(&at(end - 1)).is_ok());
    assert_eq!(desk.who_am_i(&at(end)), Err(Refusal::Unauthenticated));
    assert_eq!(desk.who_am_i(&at(u64::MAX)), Err(Refusal::Unauthenticated));
    // A clock that was wrong for a moment has voided nothing.
    assert!(desk.who_am_i(&at(TODAY)).is_ok());
}

#[test]
fn the_right_id_with_another_secret_is_nobodys() {
    let mut desk = Desk::with_users(&["plain"]);
    let token = desk.token("plain", GOOD);
    for position in "vqt_".len()..token.len() {
        let mut forged = token.clone().into_bytes();
        forged[position] = match forged[position] {
            b'0' => b'1',
            b'_' => b'-',
            _ => b'0',
        };
        let forged = String::from_utf8(forged).unwrap();
        assert_eq!(
            desk.who_am_i(&caller(1, Some(&forged))),
            Err(Refusal::Unauthenticated),
            "changed at {position}"
        );
    }
}
