//! What must not be seen.

use std::time::Duration;

use simtests::plan::Step;
use simtests::trace::TraceMode;
use simtests::vaquita::{MASTER, VaquitaWorld, all_online, bring_online, order, wait_until};
use vaquita_core::admin::{Caller, Request, Response, Verb};
use vaquita_core::secret::Password;

use crate::story::{seconds, small};

const PASSWORD: &str = "canary-password-1";

fn ask(world: &mut VaquitaWorld, verb: Verb, token: Option<&str>) -> Option<Response> {
    let master = world.node(MASTER).expect("it runs");
    let caller = Caller::Remote {
        address: [10, 9, 9, 9].into(),
        token: token.map(str::to_owned),
        unix_ms: world.unix_ms(world.host_of(master)),
    };
    let id = world.request(master, Request { caller, verb });
    world.run_for(seconds(2)).expect("nothing is wrong");
    world.answer(master, id)?.reply.clone()?.ok()
}

/// The cluster's secret, passwords and tokens stand in no notice, no answer but the one that hands a
/// token out, no dump of a machine, and no line of the trace, which has everything that a machine was
/// told and asked for.
#[test]
fn secrets_stand_nowhere() {
    let mut cluster = small(1);
    cluster.settings.trace = TraceMode::All;
    let mut world = cluster.build(1);
    bring_online(&mut world).expect("nothing is wrong");
    let password = |text: &str| Password::new(text.to_owned());
    order(
        &mut world,
        Verb::AddUser {
            user: "bob".to_owned(),
            password: password(PASSWORD),
            admin: true,
        },
    );
    world.run_for(seconds(2)).expect("nothing is wrong");
    let login = |text: &str| Verb::Login {
        user: "bob".to_owned(),
        password: password(text),
        setup_code: None,
        valid_for: Duration::from_secs(600),
    };
    assert_eq!(
        ask(&mut world, login("canary-password-2"), None),
        None,
        "a wrong one"
    );
    let token = match ask(&mut world, login(PASSWORD), None) {
        Some(Response::LoggedIn { token, .. }) => token,
        other => panic!("bob is not let in: {other:?}"),
    };
    assert!(ask(&mut world, Verb::Status, Some(&token)).is_some());
    assert!(ask(&mut world, Verb::ListUsers, Some(&token)).is_some());
    world.disturb(&Step::Kill(MASTER.to_owned()));
    world.run_for(seconds(20)).expect("nothing is wrong");
    wait_until(&mut world, "all online again", all_online).expect("nothing is wrong");

    let secret: Vec<u8> = (0..32).collect();
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let numbers = format!("{secret:?}");
    let needles = [
        ("the secret in hexadecimal", &hex[..32]),
        ("the secret in numbers", &numbers[1..40]),
        ("a password", "canary-password"),
        ("a token", token.as_str()),
    ];
    let mut places: Vec<(String, String)> = vec![
        (
            "the trace".to_owned(),
            world.trace().lines().collect::<Vec<_>>().join("\n"),
        ),
        ("a notice".to_owned(), format!("{:?}", world.told())),
        ("an answer".to_owned(), format!("{:?}", world.answers())),
    ];
    for node in world.nodes() {
        let name = format!("the dump of {}", world.alias(node));
        places.push((name, format!("{:?}", world.machine(node))));
        for (file, bytes) in world.disk(node).files() {
            let name = format!("{file} of {}", world.alias(node));
            let plain = [PASSWORD.as_bytes(), token.as_bytes(), &secret];
            for needle in plain {
                let there = bytes.windows(needle.len()).any(|window| window == needle);
                assert!(!there, "a secret stands in {name}");
            }
        }
    }
    assert!(places[0].1.len() > 100_000, "there is a trace to look into");
    for (place, text) in &places {
        for (what, needle) in needles {
            assert!(!text.contains(needle), "{what} stands in {place}");
        }
    }
}
