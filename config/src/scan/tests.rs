use super::{content, split, trimmed};
use crate::file_kind::FileKind;
use crate::key_value::parse_key_value;
use crate::limits;

fn configuration(line: &str) -> &str {
    content(line).map_or("", |range| &line[range])
}

#[test]
fn a_comment_begins_a_line_or_follows_a_blank() {
    for (line, expected) in [
        ("# x", ""),
        ("  // x", ""),
        ("a=1 # x", "a=1"),
        ("a=1\t// x", "a=1"),
        ("a=s3://b", "a=s3://b"),
        ("a=/disk#1", "a=/disk#1"),
        ("a= // x", "a="),
        ("a=/ / b", "a=/ / b"),
        ("   ", ""),
        ("", ""),
    ] {
        assert_eq!(configuration(line), expected, "{line:?}");
    }
}

#[test]
fn parts_come_without_their_blanks() {
    let text = " a , b,, c ";
    let parts: Vec<&str> = split(text, ',')
        .into_iter()
        .map(|range| &text[range])
        .collect();
    assert_eq!(parts, ["a", "b", "", "c"]);
    assert_eq!(trimmed("  ", 0..2), 2..2);
}

#[test]
fn a_file_at_the_limit_is_read_and_one_above_is_not() {
    let entry = "workerNum=4\n";
    let mut text = entry.to_owned();
    text.push_str(&"#".repeat(limits::FILE_BYTES - text.len()));
    let parsed = parse_key_value(FileKind::Cluster, "cluster.cfg", text.as_bytes());
    assert_eq!(
        (parsed.value.entries.len(), parsed.diagnostics.len()),
        (1, 0)
    );
    text.push('#');
    let parsed = parse_key_value(FileKind::Cluster, "cluster.cfg", text.as_bytes());
    assert_eq!(parsed.value.entries.len(), 0);
    assert_eq!(parsed.diagnostics[0].code, "file-too-large");
    assert_eq!(
        parsed.document.print(),
        text.as_bytes(),
        "the bytes are kept all the same"
    );
}

#[test]
fn lines_above_the_limit_are_not_read() {
    let text = "\n".repeat(limits::FILE_LINES) + "workerNum=4\n";
    let parsed = parse_key_value(FileKind::Controller, "controller.cfg", text.as_bytes());
    let codes: Vec<&str> = parsed.diagnostics.iter().map(|it| it.code).collect();
    assert_eq!(codes, ["blank-first-line", "too-many-lines"]);
    assert!(parsed.value.entries.is_empty());
}

#[test]
fn of_too_many_problems_the_errors_are_listed() {
    let text = "wrokerNum=4\n".repeat(2_000) + "workerNum=x\n";
    let parsed = parse_key_value(FileKind::Cluster, "cluster.cfg", text.as_bytes());
    assert_eq!(parsed.diagnostics.len(), limits::FILE_DIAGNOSTICS + 1);
    assert!(parsed.diagnostics.iter().any(|it| it.is_error()));
    let last = parsed.diagnostics.last().unwrap();
    assert_eq!(
        last.message,
        "1001 more problems of this file are not listed"
    );
}

#[test]
fn one_value_cannot_flood_the_report() {
    let text = format!("volumes={}\n", "a,".repeat(2_000));
    let parsed = parse_key_value(FileKind::Cluster, "cluster.cfg", text.as_bytes());
    assert_eq!(parsed.diagnostics.len(), limits::VALUE_FINDINGS);
}
