//! The settings of a file, as its page shows them.

use vaquita_config::keys::{self, Key};
use vaquita_web::pages::SettingView;
use vaquita_web::words::{Words, fill};

use crate::config_desk::{ConfigFile, LineMeaning, Shown};

/// What a key does, its unit and range, and what a change of it takes.
fn described(key: &Key) -> String {
    let range = key
        .range
        .map_or_else(String::new, |range| format!(", {range}"));
    format!("{} ({}{range})", key.meaning, key.kind.description())
}

/// The settings of a file: of the controller's all keys that count, of the data nodes' what stands there.
pub(super) fn settings(t: &Words, file: ConfigFile, shown: &Shown) -> Vec<SettingView> {
    let lines = shown.lines.iter().filter_map(|line| match &line.meaning {
        LineMeaning::Setting {
            key,
            qualifier,
            value,
            protected,
            rules_for,
            ..
        } => {
            let known = keys::find(key);
            let rules = match rules_for {
                None => String::new(),
                Some(rules) if rules.count == 0 => t.rules_nobody.to_owned(),
                Some(rules) => {
                    let names = rules.names.join(", ");
                    fill(t.rules_for, &[&rules.count.to_string(), &names])
                }
            };
            Some(SettingView {
                key: match qualifier {
                    Some(qualifier) => format!("{qualifier}.{key}"),
                    None => key.clone(),
                },
                line: Some(line.line),
                value: value.clone(),
                running: String::new(),
                about: known.map(described).unwrap_or_default(),
                default: known.map_or("", |key| key.default.description()).to_owned(),
                rules,
                protected: *protected,
            })
        }
        _ => None,
    });
    let lines: Vec<SettingView> = lines.collect();
    if file != ConfigFile::Controller {
        return lines;
    }
    let rows = shown.keys.iter().map(|row| {
        // The last line of a key is the one that counts.
        let line = lines.iter().rev().find(|line| line.key == row.key);
        let known = keys::find(row.key);
        SettingView {
            key: row.key.to_owned(),
            line: line.and_then(|it| it.line),
            value: line.map(|it| it.value.clone()).unwrap_or_default(),
            running: row.running.clone(),
            about: known.map(described).unwrap_or_default(),
            default: row.default.to_owned(),
            rules: match row.pending {
                true => format!("{}: {}", t.needs, row.needs),
                false => String::new(),
            },
            protected: row.protected,
        }
    });
    let mut rows: Vec<SettingView> = rows.collect();
    // What stands in the file comes first.
    rows.sort_by_key(|row| row.line.is_none());
    rows
}
