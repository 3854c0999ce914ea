use super::{Document, LineEnding};

fn endings(text: &str) -> Vec<LineEnding> {
    let document = Document::parse("x", text.as_bytes());
    document.lines().iter().map(|line| line.ending).collect()
}

#[test]
fn each_line_keeps_its_own_end() {
    use LineEnding::{Cr, CrLf, Lf, None};
    assert_eq!(endings("a\nb\r\nc\rd"), [Lf, CrLf, Cr, None]);
    assert_eq!(endings("\n\r\r\n"), [Lf, Cr, CrLf]);
    assert_eq!(endings("a"), [None]);
}

#[test]
fn a_file_that_ends_with_a_line_end_has_no_empty_last_line() {
    assert_eq!(endings("a\n").len(), 1);
    assert_eq!(endings("a\n\n").len(), 2);
    assert_eq!(endings("").len(), 0);
    assert_eq!(endings("\u{feff}").len(), 0);
}

#[test]
fn columns_count_characters_and_skip_the_byte_order_mark() {
    let document = Document::parse("x.cfg", "\u{feff}数=é1\n".as_bytes());
    let offset = "\u{feff}数=é".len();
    assert_eq!(document.place(offset).to_string(), "x.cfg:1:4");
    assert_eq!(document.line_text(1), Some("数=é1"));
}

#[test]
fn an_offset_behind_the_text_belongs_to_the_line_it_ends() {
    let document = Document::parse("x", b"ab\r\ncd");
    assert_eq!(document.place(3).to_string(), "x:1:3");
    assert_eq!(document.place(4).to_string(), "x:2:1");
    assert_eq!(document.place(6).to_string(), "x:2:3");
    assert_eq!(Document::parse("x", b"").place(0).to_string(), "x:1:1");
}

#[test]
fn debugging_a_document_shows_no_text() {
    let document = Document::parse("agent.cfg", b"clusterSecretFile=/secret\n");
    assert_eq!(
        format!("{document:?}"),
        "Document(\"agent.cfg\", 26 bytes, 1 lines)"
    );
}
