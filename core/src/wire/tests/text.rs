use crate::wire::text::{cut, printable, printable_within};

#[test]
fn a_text_from_the_network_cannot_forge_a_log_line() {
    assert_eq!(
        printable("a\nERROR all lost\r\u{1b}[2J\0", 100),
        r"a\nERROR all lost\r\u{1b}[2J\0"
    );
    assert_eq!(
        printable("\u{202e}txt.exe \u{2028}", 100),
        r"\u{202e}txt.exe \u{2028}"
    );
    assert_eq!(printable(r"a\nb", 100), r"a\\nb");
    assert_eq!(
        printable("it's `P1-NODE1`, \"数据\"", 100),
        "it's `P1-NODE1`, \"数据\""
    );
}

#[test]
fn a_long_text_is_cut_and_shows_it() {
    assert_eq!(printable("abc", 3), "abc");
    assert_eq!(printable("abcd", 3), "abc…");
    assert_eq!(printable("", 0), "");
}

#[test]
fn a_text_to_send_is_cut_between_characters() {
    assert_eq!(cut("数据", 5), "数");
    assert_eq!(cut("数据", 6), "数据");
    assert_eq!(cut("数据", 2), "");
    assert_eq!(cut("ab", 100), "ab");
}

#[test]
fn what_is_bounded_is_bounded_with_its_escapes() {
    assert_eq!(printable_within("abc", 3), "abc");
    assert_eq!(printable_within("abcd", 3), "ab…");
    assert_eq!(printable_within("a\n", 3), "a\\n");
    assert_eq!(printable_within("a\nb", 3), "a…");
    assert_eq!(printable_within("", 3), "");
    for length in 1..40 {
        let text = "\u{1b}数".repeat(40);
        let shown = printable_within(&text, length);
        assert!(shown.chars().count() <= length, "{length}: {shown}");
    }
}
