//! What holds for all texts and all edits.

use proptest::prelude::*;
use vaquita_config::{FileKind, parse_key_value};

use super::*;

/// Lines of all kinds, good and bad ones.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("# a comment".to_owned()),
        "[a-zA-Z]{1,8}(=| = )[ -~]{0,12}",
        "(P1-%|P1-NODE1|%)\\.workerNum=[0-9]{1,3}( # why)?",
        "[ -~\t]{0,20}",
        Just("volumes=/disk1/<ALIAS>".to_owned()),
    ]
}

fn text() -> impl Strategy<Value = String> {
    let end = prop_oneof![Just("\n"), Just("\r\n")];
    (
        proptest::collection::vec(line(), 0..12),
        end,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(lines, end, mark, last)| {
            let mut text = lines.join(end);
            if last {
                text.push_str(end);
            }
            match mark {
                true => format!("\u{feff}{text}"),
                false => text,
            }
        })
}

fn arbitrary_edit() -> impl Strategy<Value = Edit> {
    let key = prop_oneof![
        Just("workerNum".to_owned()),
        Just("P1-NODE1.workerNum".to_owned()),
        Just("P1-%.volumes".to_owned()),
        "[ -~]{0,10}",
        any::<String>(),
    ];
    let value = prop_oneof![Just("8".to_owned()), "[ -~]{0,12}", any::<String>()];
    (key, value, 0_usize..14, 0..4).prop_map(|(key, value, line, which)| match which {
        0 => Edit::Set {
            key,
            value,
            line: None,
        },
        1 => Edit::Insert { line, key, value },
        2 => Edit::RemoveLine { line },
        _ => Edit::Unset { key },
    })
}

fn entries(bytes: &[u8]) -> Vec<(Option<String>, String, String)> {
    let read = parse_key_value(FileKind::Cluster, "cluster.cfg", bytes).value;
    let one = |entry: vaquita_config::Entry| {
        let qualifier = entry.qualifier.map(|it| it.text);
        (qualifier, entry.name, entry.value)
    };
    read.entries.into_iter().map(one).collect()
}

proptest! {
    /// An edit that is taken changes the entry that it names, or takes lines away, and no other.
    #[test]
    fn an_edit_changes_what_it_names_and_nothing_else(text in text(), edit in arbitrary_edit()) {
        let before = entries(text.as_bytes());
        let change = Change::Edits(vec![edit.clone()]);
        let Ok(after) = change.make(ConfigFile::Cluster, text.as_bytes()) else {
            return Ok(());
        };
        let after = entries(&after);
        let full = |it: &(Option<String>, String, String)| match &it.0 {
            Some(qualifier) => format!("{qualifier}.{}", it.1),
            None => it.1.clone(),
        };
        match edit {
            Edit::Set { value, .. } if after.len() == before.len() => {
                let changed: Vec<_> = before.iter().zip(&after).filter(|(a, b)| a != b).collect();
                prop_assert!(changed.len() <= 1);
                prop_assert!(changed.iter().all(|(_, new)| new.2 == value));
            }
            Edit::Set { key, value, .. } | Edit::Insert { key, value, .. } => {
                prop_assert_eq!(after.len(), before.len() + 1);
                let new = after.iter().zip(before.iter().map(Some).chain([None]));
                let new = new.filter(|(a, b)| Some(*a) != *b).map(|(a, _)| a).next();
                let new = new.expect("one more entry than before");
                prop_assert_eq!(full(new), key);
                prop_assert_eq!(&new.2, &value);
            }
            Edit::RemoveLine { .. } => prop_assert!(before.len() - after.len() <= 1),
            Edit::Unset { .. } => {
                prop_assert!(after.len() < before.len());
                let mut rest = before.iter();
                prop_assert!(after.iter().all(|it| rest.any(|own| own == it)));
            }
            _ => {}
        }
    }

    /// The text that is written is the text that was sent, byte for byte, and is shown so.
    #[test]
    fn a_text_is_written_and_shown_as_it_is(text in text()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let office = Office::new();
            let desk = office.desk();
            match write(&desk, ConfigFile::Cluster, &text).await {
                Ok(written) => {
                    let shown = desk.show(ConfigFile::Cluster).await.unwrap();
                    assert_eq!(shown.text, text);
                    assert_eq!(shown.row.etag, written.etag);
                    assert_eq!(office.text(ConfigFile::Cluster), text);
                    assert!(shown.findings.iter().all(|it| !it.is_error()));
                }
                Err(DeskError::Unacceptable { .. } | DeskError::Protected { .. }) => {
                    assert_eq!(office.text(ConfigFile::Cluster), CLUSTER);
                }
                Err(other) => panic!("{other:?}"),
            }
        });
    }

    /// No bytes whatever make the desk fail.
    #[test]
    fn any_bytes_can_be_shown(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let office = Office::new();
            for file in ConfigFile::ALL {
                office.put(file, &bytes);
            }
            let desk = office.desk();
            for file in ConfigFile::ALL {
                let shown = desk.show(file).await.unwrap();
                assert_eq!(shown.exact, std::str::from_utf8(&bytes).is_ok());
            }
        });
    }
}
