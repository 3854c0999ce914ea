use super::{is_pattern, literal_characters, matches};

#[test]
fn percent_is_any_text_and_question_mark_one_character() {
    for (pattern, alias, expected) in [
        ("%", "", true),
        ("%", "P1", true),
        ("P1-%", "P1-", true),
        ("P1-%", "P1", false),
        ("%-NODE1", "P1-NODE1", true),
        ("%-NODE1", "P1-NODE11", false),
        ("P?-NODE?", "P1-NODE2", true),
        ("P?-NODE?", "P12-NODE2", false),
        ("?", "", false),
        ("?", "节", true),
        ("%N%N%", "P-NON", true),
        ("p%", "P1", false),
        ("a%a", "a", false),
    ] {
        assert_eq!(
            matches(pattern, alias),
            expected,
            "{pattern:?} against {alias:?}"
        );
    }
}

#[test]
fn many_wildcards_take_no_exponential_time() {
    // A matcher that tries every division of the alias would not come back from this.
    let pattern = format!("{}a", "%b".repeat(200));
    assert!(!matches(&pattern, &"b".repeat(5_000)));
    assert!(matches(&"%".repeat(5_000), &"b".repeat(5_000)));
}

#[test]
fn wildcards_are_not_literal() {
    assert_eq!(literal_characters("P?-%"), 2);
    assert!(is_pattern("P?") && is_pattern("%") && !is_pattern("P1-NODE1"));
}
