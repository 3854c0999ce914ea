use super::last_lines;

fn last(text: &str, count: usize) -> &str {
    std::str::from_utf8(last_lines(text.as_bytes(), count)).unwrap()
}

#[test]
fn the_last_lines_are_counted_from_the_end() {
    assert_eq!(last("a\nb\nc\n", 2), "b\nc\n");
    assert_eq!(last("a\nb\nc", 2), "b\nc");
    assert_eq!(last("a\nb\nc\n", 3), "a\nb\nc\n");
    assert_eq!(last("a\nb\nc\n", 9), "a\nb\nc\n");
    assert_eq!(last("a\n\n\n", 2), "\n\n");
    assert_eq!(last("a\n", 0), "");
    assert_eq!(last("", 5), "");
}
