use super::{Code, TABLE};
use crate::diagnostic::Severity;

#[test]
fn names_are_unique_kebab_words() {
    for (index, code) in TABLE.iter().enumerate() {
        let kebab = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-';
        assert!(code.name.chars().all(kebab), "{}", code.name);
        assert!(
            TABLE[..index].iter().all(|other| other.name != code.name),
            "{}",
            code.name
        );
        assert_eq!(Code::named(code.name), Some(code));
    }
}

#[test]
fn meanings_are_sentences_and_strictness_is_for_warnings() {
    for code in TABLE {
        assert!(code.meaning.ends_with('.'), "{}", code.name);
        assert!(
            !code.strict || code.severity == Severity::Warning,
            "{}",
            code.name
        );
    }
}
