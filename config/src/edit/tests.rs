use super::{EditError, insert_entry, insert_member, remove_line, set_site, set_value};
use crate::document::Document;
use crate::file_kind::FileKind::Cluster;
use crate::mode::Mode;

fn document(text: &str) -> Document {
    Document::parse("cluster.cfg", text.as_bytes())
}

fn text(document: Result<Document, EditError>) -> String {
    String::from_utf8(document.unwrap().bytes().to_vec()).unwrap()
}

#[test]
fn a_value_is_replaced_and_blanks_and_comment_stay() {
    let before = document("\u{feff}# a\r\n  workerNum\t= 4   // four\r\n\r\nmaxMemSize=8");
    let after = set_value(Cluster, &before, 2, "16");
    assert_eq!(
        text(after),
        "\u{feff}# a\r\n  workerNum\t= 16   // four\r\n\r\nmaxMemSize=8"
    );
}

#[test]
fn an_empty_value_is_filled_and_a_value_emptied() {
    assert_eq!(
        text(set_value(Cluster, &document("a= # c"), 1, "5")),
        "a=5 # c"
    );
    assert_eq!(
        text(set_value(Cluster, &document("a=5 # c"), 1, "")),
        "a= # c"
    );
}

#[test]
fn a_value_cannot_smuggle_in_a_line() {
    let before = document("workerNum=4\n");
    for value in [
        "4\nlocalSite=evil:1:master",
        "4\r",
        "4\0",
        "\u{1b}[0m",
        "4\u{2028}x",
    ] {
        let refused = set_value(Cluster, &before, 1, value);
        assert!(
            matches!(refused, Err(EditError::BadCharacter { .. })),
            "{value:?}"
        );
    }
}

#[test]
fn a_value_that_would_be_read_otherwise_is_refused() {
    let before = document("publicName=a\n");
    for value in [" a", "a ", "a # b", "a // b", "\ta"] {
        assert_eq!(
            set_value(Cluster, &before, 1, value),
            Err(EditError::ReadsDifferently)
        );
    }
    assert_eq!(
        text(set_value(Cluster, &before, 1, "a#b//c")),
        "publicName=a#b//c\n"
    );
    let long = "x".repeat(5_000);
    assert_eq!(
        set_value(Cluster, &before, 1, &long),
        Err(EditError::TooLong)
    );
}

#[test]
fn only_an_entry_has_a_value() {
    let before = document("# workerNum=4\n\nheading\n");
    for line in 0..5 {
        assert_eq!(
            set_value(Cluster, &before, line, "4"),
            Err(EditError::NotAnEntry { line })
        );
    }
}

#[test]
fn a_line_is_inserted_with_the_line_end_of_its_neighbours() {
    let before = document("a=1\r\nb=2\r\n");
    let insert = |line| text(insert_entry(Cluster, &before, line, "P1-%.c", "3"));
    assert_eq!(insert(1), "P1-%.c=3\r\na=1\r\nb=2\r\n");
    assert_eq!(insert(2), "a=1\r\nP1-%.c=3\r\nb=2\r\n");
    assert_eq!(insert(3), "a=1\r\nb=2\r\nP1-%.c=3\r\n");
    let beyond = insert_entry(Cluster, &before, 4, "c", "3");
    assert_eq!(beyond, Err(EditError::NoSuchLine { line: 4 }));
}

#[test]
fn a_file_without_a_last_line_end_stays_without() {
    assert_eq!(
        text(insert_entry(Cluster, &document("a=1"), 2, "b", "2")),
        "a=1\nb=2"
    );
    assert_eq!(
        text(insert_entry(Cluster, &document(""), 1, "b", "2")),
        "b=2\n"
    );
    assert_eq!(
        text(insert_entry(Cluster, &document("\u{feff}"), 1, "b", "2")),
        "\u{feff}b=2\n"
    );
}

#[test]
fn a_bad_key_is_refused() {
    for key in [
        "", "a=b", "a b", "1a", "a.b.c", "é", "P1\n.a", ".a", "a.", "#a", "P1：.a", "-.a",
    ] {
        let refused = insert_entry(Cluster, &document(""), 1, key, "1");
        assert_eq!(
            refused,
            Err(EditError::BadKey {
                key: key.to_owned()
            }),
            "{key:?}"
        );
    }
}

#[test]
fn a_line_is_removed_and_the_byte_order_mark_stays() {
    let before = document("\u{feff}a=1\n# b\nc=3");
    assert_eq!(text(remove_line(&before, 1)), "\u{feff}# b\nc=3");
    assert_eq!(text(remove_line(&before, 3)), "\u{feff}a=1\n# b\n");
    assert_eq!(
        remove_line(&before, 4),
        Err(EditError::NoSuchLine { line: 4 })
    );
    assert_eq!(
        remove_line(&before, 0),
        Err(EditError::NoSuchLine { line: 0 })
    );
}

#[test]
fn line_ends_that_would_merge_keep_a_line_where_it_is() {
    assert_eq!(
        remove_line(&document("a\rb\n\n"), 2),
        Err(EditError::ReadsDifferently)
    );
}

#[test]
fn a_member_is_inserted_as_a_row() {
    let before = Document::parse("cluster.nodes", b"localSite,mode\nh:1:a,agent");
    let site = "h:2:b".parse().unwrap();
    let after = insert_member(&before, 3, &site, Mode::Datanode);
    assert_eq!(text(after), "localSite,mode\nh:1:a,agent\nh:2:b,datanode");
    let turned = Document::parse("cluster.nodes", b"mode,localSite\nagent,h:1:a\n");
    let refused = insert_member(&turned, 3, &site, Mode::Datanode);
    assert_eq!(refused, Err(EditError::ReadsDifferently));
}

#[test]
fn a_member_that_moves_keeps_its_columns_blanks_and_comment() {
    let site = "10.1.1.9:8970:P1-NODE1".parse().unwrap();
    for (before, after) in [
        (
            "localSite,mode,computeGroup,zone\r\n  10.1.1.1 : 8961:P1-NODE1 , datanode,,z1  # rack 4\r\n",
            "localSite,mode,computeGroup,zone\r\n  10.1.1.9:8970:P1-NODE1 , datanode,,z1  # rack 4\r\n",
        ),
        (
            "mode,localSite\ndatanode,10.1.1.1:8961:P1-NODE1 // rack 4",
            "mode,localSite\ndatanode,10.1.1.9:8970:P1-NODE1 // rack 4",
        ),
    ] {
        assert_eq!(text(set_site(&document(before), 2, &site)), after);
        assert_eq!(
            set_site(&document(before), 1, &site),
            Err(EditError::NotAnEntry { line: 1 })
        );
    }
}
