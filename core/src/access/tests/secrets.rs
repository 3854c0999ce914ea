//! Secrets that are easy to recognise, looked for in everything that is printed.

use super::*;

/// In every password here, and by [`phc`] in every hash.
const CANARY: &str = "canary";
const OLD: &str = "old canary password";
const NEW: &str = "new canary password";

/// Everything that was printed.
#[derive(Default)]
struct Printed(Vec<String>);

impl Printed {
    fn print(&mut self, value: &impl core::fmt::Debug) {
        self.0.push(format!("{value:?}"));
        self.0.push(format!("{value:#?}"));
    }

    fn assert_clean(&self, tokens: &[String]) {
        assert!(
            self.0.len() > 50,
            "only {} texts were looked at",
            self.0.len()
        );
        let secrets: Vec<&str> = tokens
            .iter()
            .map(|token| token.rsplit('_').next().unwrap())
            .chain([CANARY])
            .collect();
        for text in &self.0 {
            for secret in &secrets {
                assert!(!text.contains(secret), "{secret:?} was printed in {text}");
            }
        }
    }
}

/// Asks, prints all that comes by, and returns the token of a login.
fn ask(desk: &mut Desk, printed: &mut Printed, caller: &Caller, verb: Verb) -> Option<String> {
    printed.print(caller);
    printed.print(&verb);
    let mut step = desk.begin(caller, verb);
    let reply = loop {
        printed.print(&step);
        printed.print(&desk.access);
        step = match step {
            Step::Reply(reply) => break reply,
            Step::Append(records, response) => {
                printed.print(&records);
                desk.append(records);
                break Ok(response);
            }
            Step::Compute(job, pending) => {
                let outcome = compute(&job);
                printed.print(&job);
                printed.print(&pending);
                printed.print(&outcome);
                desk.finish(pending, outcome)
            }
        };
    };
    printed.print(&reply);
    printed.print(&desk.state);
    printed.print(&desk.secrets);
    for event in core::iter::from_fn(|| desk.access.poll_event()) {
        printed.0.push(event.to_string());
        printed.print(&event);
    }
    match reply {
        Ok(Response::LoggedIn { token, .. }) => Some(token),
        Err(refusal) => {
            printed.0.push(refusal.to_string());
            None
        }
        Ok(_) => None,
    }
}

#[test]
fn nothing_that_is_printed_contains_a_password_a_hash_or_a_token() {
    let mut desk = Desk::founded();
    let printed = &mut Printed::default();
    let console = &Caller::CONSOLE;
    let add = Verb::AddUser {
        user: "bob".to_owned(),
        password: password(OLD),
        admin: true,
    };
    ask(&mut desk, printed, console, add.clone());
    ask(&mut desk, printed, console, add);
    let mut tokens = Vec::new();
    for text in [OLD, NEW, "123456canary", ""] {
        tokens.extend(ask(
            &mut desk,
            printed,
            &caller(1, None),
            login("bob", text),
        ));
    }
    assert_eq!(tokens.len(), 1);
    let bob = caller(1, Some(&tokens[0]));
    for verb in [
        Verb::WhoAmI,
        Verb::ListUsers,
        set_own_password(NEW, "other canary password"),
        set_own_password(OLD, OLD),
        set_own_password(OLD, "canary"),
        set_own_password(OLD, NEW),
        Verb::WhoAmI,
    ] {
        ask(&mut desk, printed, &bob, verb);
    }
    for n in 0..9 {
        let text = format!("canary {n}");
        ask(&mut desk, printed, &caller(2, None), login("bob", &text));
    }
    ask(&mut desk, printed, console, reset_password("bob", OLD));
    let new = ask(&mut desk, printed, &caller(1, None), login("bob", OLD));
    tokens.extend(new);
    assert_eq!(tokens.len(), 2);
    let bob = caller(1, Some(&tokens[1]));
    ask(&mut desk, printed, &bob, Verb::Logout);

    let token = Token::parse(&tokens[0]).unwrap();
    printed.print(&token);
    printed.print(&token.digest());
    let hash = PasswordHash::new(phc(OLD));
    let bootstrap = Bootstrap {
        password_hash: phc(OLD),
        token: tokens[0].clone(),
        token_expires_unix_ms: TODAY,
    };
    printed.print(&hash);
    printed.print(&bootstrap);
    printed.print(&bootstrap_records(&bootstrap));
    printed.print(&JobOutcome::CheckpointBuilt(Ok(CANARY.into())));
    printed.assert_clean(&tokens);
}

#[test]
fn the_search_finds_what_it_looks_for() {
    let mut printed = Printed::default();
    for _ in 0..60 {
        printed.print(&"nothing of interest");
    }
    printed.assert_clean(&[]);
    printed.print(&format!("a {CANARY} sang"));
    let caught = std::panic::catch_unwind(|| printed.assert_clean(&[]));
    assert!(caught.is_err());
}

#[test]
fn what_is_logged_of_a_token_does_not_give_it_away() {
    let mut desk = Desk::settled();
    let text = desk.token("admin", GOOD);
    let token = Token::parse(&text).unwrap();
    let bytes = crate::wire::codec::encode(&desk.state);
    let secret: Vec<u8> = text
        .rsplit('_')
        .next()
        .unwrap()
        .as_bytes()
        .chunks_exact(2)
        .map(|digits| u8::from_str_radix(str::from_utf8(digits).unwrap(), 16).unwrap())
        .collect();
    assert!(!bytes.windows(32).any(|window| window == secret));
    assert!(desk.state.token(token.id()).is_some());
}
