use super::{AliasError, MAX_LENGTH, check};

#[test]
fn letters_digits_underscores_and_hyphens_make_an_alias() {
    for alias in [
        "P1-NODE1", "master", "1", "a_b", "P5-agent", "comm", "com", "com10",
    ] {
        assert_eq!(check(alias), Ok(()), "{alias}");
    }
}

#[test]
fn each_reason_against_an_alias_is_told() {
    assert_eq!(check(""), Err(AliasError::Empty));
    assert_eq!(check("a.b"), Err(AliasError::Character('.', 1)));
    assert_eq!(check("a/../b"), Err(AliasError::Character('/', 1)));
    assert_eq!(check("节点"), Err(AliasError::Character('节', 0)));
    assert_eq!(check("-a"), Err(AliasError::Start('-')));
    for name in ["con", "NUL", "Com1", "lpt9"] {
        assert_eq!(check(name), Err(AliasError::DeviceName), "{name}");
    }
}

#[test]
fn the_length_ends_at_its_limit() {
    assert_eq!(check(&"a".repeat(MAX_LENGTH)), Ok(()));
    assert_eq!(check(&"a".repeat(MAX_LENGTH + 1)), Err(AliasError::TooLong));
}
