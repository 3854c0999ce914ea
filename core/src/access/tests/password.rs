use super::*;
use crate::access::password::{COMMON, COMMON_WORDS};

/// What is said against a password for `bob`; nothing if it is fine.
fn said(text: &str) -> String {
    let aliases = [
        Alias::new("storage-node-one").unwrap(),
        Alias::new("master").unwrap(),
    ];
    match check_new_password(&password(text), "bob-the-builder", &aliases) {
        Ok(()) => String::new(),
        Err(Refusal::Invalid { reason }) => reason,
        Err(other) => panic!("not about the password: {other:?}"),
    }
}

#[test]
fn a_password_has_ten_to_128_bytes() {
    assert!(said("ninebytes").contains("has 9 bytes"));
    assert_eq!(said("tenbytes!!"), "");
    assert_eq!(said(&"x7".repeat(64)), "");
    assert!(said(&"x7".repeat(65)).contains("has 130 bytes"));
    assert_eq!(said("äöüéè"), "", "bytes, not characters");
    assert!(said("").contains("has 0 bytes"));
}

#[test]
fn the_first_password_and_what_starts_like_it_is_refused() {
    assert!(said(first_password().reveal()).contains("123456"));
    assert!(said("123456 and more").contains("123456"));
    assert_eq!(said("and more 123456"), "");
}

#[test]
fn a_password_is_not_the_name_of_the_user_or_of_a_node() {
    assert!(said("Bob-The-Builder").contains("the user's name"));
    assert!(said("storage-NODE-one").contains("the node storage-node-one"));
    assert_eq!(said("bob-the-builder2"), "");
}

#[test]
fn a_password_has_no_control_characters_and_may_have_blanks() {
    assert!(said("tab\tin the middle").contains("control character"));
    assert!(said("with a line end\n").contains("control character"));
    assert_eq!(said("blanks are fine"), "");
}

#[test]
fn each_common_password_is_refused_in_any_case() {
    for common in COMMON.lines() {
        assert!(said(common).contains("try first"), "{common}");
        let shouted = common.to_uppercase();
        assert!(said(&shouted).contains("try first"), "{shouted}");
    }
}

#[test]
fn a_common_word_in_digits_and_punctuation_is_refused() {
    for dressed in [
        "password2031",
        "!!Password!!",
        "2031-qwerty-2031",
        "vaquita:8990",
        "__admin__99",
    ] {
        assert!(said(dressed).contains("try first"), "{dressed}");
    }
    assert_eq!(said("password and horse"), "", "one word of several");
    for word in COMMON_WORDS.lines() {
        let dressed = format!("{word}{}", "9".repeat(10));
        assert!(said(&dressed).contains("try first"), "{dressed}");
    }
}

#[test]
fn one_character_over_and_over_is_refused() {
    for text in ["~~~~~~~~~~", "kkkkkkkkkkkkkkkkkkkk", "ßßßßßßßßßß"] {
        assert!(said(text).contains("try first"), "{text}");
    }
    assert_eq!(said("~~~~~~~~~-"), "");
}

#[test]
fn the_list_is_sorted_and_has_nothing_that_another_rule_refuses() {
    let lines: Vec<&str> = COMMON.lines().collect();
    assert!(lines.len() >= 300, "{} lines", lines.len());
    assert!(lines.is_sorted_by(|a, b| a < b), "sorted, no line twice");
    for line in lines {
        assert!((10..=Password::MAX_LEN).contains(&line.len()), "{line}");
        assert!(!line.starts_with("123456"), "{line}");
        assert_eq!(line, line.to_lowercase());
        assert_eq!(line, line.trim());
    }
    let words: Vec<&str> = COMMON_WORDS.lines().collect();
    assert!(words.is_sorted_by(|a, b| a < b), "sorted, no word twice");
    for word in words {
        assert!(word.bytes().all(|byte| byte.is_ascii_lowercase()), "{word}");
    }
}

#[test]
fn no_refusal_repeats_the_password() {
    for text in ["canary", "123456canary", "canary\tcanary", "qwertyuiop123"] {
        let reason = said(text);
        assert!(!reason.is_empty() && !reason.contains(text), "{reason}");
    }
}

#[test]
fn the_rule_holds_wherever_a_password_is_set() {
    let mut desk = Desk::with_users(&["bob"]);
    let bob = desk.session("bob", GOOD);
    for weak in ["123456", "short", "storage-node-one", "password123"] {
        let add = Verb::AddUser {
            user: "new".to_owned(),
            password: password(weak),
            admin: false,
        };
        for (caller, verb) in [
            (&Caller::CONSOLE, add),
            (&Caller::CONSOLE, reset_password("bob", weak)),
            (&bob, set_own_password(GOOD, weak)),
        ] {
            let step = desk.begin(caller, verb);
            assert!(
                matches!(step, Step::Reply(Err(Refusal::Invalid { .. }))),
                "{weak}: {step:?}"
            );
        }
    }
}
