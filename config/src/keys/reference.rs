//! The reference page of the book.

use std::fmt::Write as _;

use super::{FileKind, Files, Key, Status, TABLE};
use crate::codes;

/// The page of the book that lists every key and every rule, as Markdown.
pub fn reference_markdown() -> String {
    let mut page = String::from(
        "# Configuration keys\n\n\
         <!-- Generated from the key table of the package `vaquita-config`. Do not edit. -->\n\n\
         C is `controller.cfg`, A `agent.cfg`, N `cluster.cfg` (and the `node.cfg` that an agent \
         writes from it), S the `dolphindb.cfg` of a stand-alone process; a dash means the command \
         line only. Every key can also be given on the command line, as `-key value`, and that \
         rules. \"Change\" is what it takes for a changed value to have an effect; \"reload\" is \
         `vaquita config reload`, which a change over the API does by itself. A key marked \
         with * cannot be changed in the browser.\n\n\
         ## Keys of this system\n\n\
         [Which of them act](../configuration.md#which-keys-act-in-this-version) in this version: not \
         yet all.\n\n\
         | key | files | value | default | range | change | meaning |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for key in TABLE.iter().filter(|key| key.status == Status::Active) {
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "| `{}`{} | {} | {} | {} | {} | {} | {} |",
            key.name,
            if key.web_editable { "" } else { " *" },
            letters(key.files),
            key.kind.description(),
            default(key),
            key.range.map_or(String::new(), |range| range.to_string()),
            key.change.description(),
            key.meaning,
        );
    }
    page.push_str(
        "\n## Keys that are accepted and change nothing\n\n\
         Existing files have them; `vaquita check` names each with a warning.\n\n\
         | key | files | why |\n|---|---|---|\n",
    );
    for key in TABLE {
        let why = match key.status {
            Status::Active => continue,
            Status::NoEffect { why } => why.to_owned(),
            Status::Retired { why } => format!("no longer read: {why}"),
            Status::Renamed { to } => format!("read as `{to}`"),
        };
        let _ = writeln!(page, "| `{}` | {} | {why} |", key.name, letters(key.files));
    }
    page.push_str(
        "\n## Rules\n\n\
         Each problem that `vaquita check` reports carries the name of its rule. With `--strict` \
         the warnings marked with + are errors.\n\n\
         | rule | severity | meaning |\n|---|---|---|\n",
    );
    for code in codes::TABLE {
        let plus = if code.strict { " +" } else { "" };
        let _ = writeln!(
            page,
            "| `{}` | {}{plus} | {} |",
            code.name, code.severity, code.meaning
        );
    }
    page
}

fn default(key: &Key) -> String {
    match key.default {
        super::KeyDefault::Value(text) => format!("`{text}`"),
        other => other.description().to_owned(),
    }
}

fn letters(files: Files) -> String {
    let letters: Vec<&str> = files
        .iter()
        .filter_map(|kind| match kind {
            FileKind::Controller => Some("C"),
            FileKind::Agent => Some("A"),
            FileKind::Cluster => Some("N"),
            FileKind::Single => Some("S"),
            FileKind::Node => (files == Files::NODE).then_some("node.cfg"),
        })
        .collect();
    if letters.is_empty() {
        "-".to_owned()
    } else {
        letters.join(" ")
    }
}
