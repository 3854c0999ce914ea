//! Bodies of the fuzz targets. Each panics if a promise of this crate does not hold for the bytes.
//!
//! The property tests call them too, so that they run where no fuzzer does. They are compiled always, since
//! these tests, that of all corpora and the fuzzers are other packages, and a feature would build the crate
//! twice; programs have nothing of what they do not call.

use crate::alias_macro;
use crate::check::{CheckOptions, ClusterFiles, check};
use crate::cluster_nodes::parse_cluster_nodes;
use crate::diagnostic::Diagnostic;
use crate::document::Document;
use crate::edit;
use crate::file_kind::FileKind;
use crate::key_value::{Entry, parse_key_value};
use crate::mode::Mode;
use crate::pattern;
use crate::resolve;
use crate::site::{Site, SiteError};

/// A document is put together again as it was, and its lines cover it.
pub fn fuzz_document(bytes: &[u8]) {
    let document = Document::parse("fuzz", bytes);
    assert_eq!(
        document.print(),
        bytes,
        "printing is the inverse of parsing"
    );
    let mut end = if document.has_byte_order_mark() { 3 } else { 0 };
    for line in document.lines() {
        assert_eq!(
            line.span.start, end,
            "a line begins where the one before it ended"
        );
        end = line.span.end + line.ending.as_str().len();
    }
    assert_eq!(end, bytes.len(), "the last line ends with the file");
}

/// Parsing any file never panics and every problem has a place within the file.
pub fn fuzz_parsers(bytes: &[u8]) {
    for kind in FileKind::ALL {
        let parsed = parse_key_value(kind, kind.file_name(), bytes);
        assert_eq!(parsed.document.print(), bytes);
        sound(&parsed.document, &parsed.diagnostics);
        for entry in &parsed.value.entries {
            let written = &bytes[entry.value_span.start..entry.value_span.end];
            assert_eq!(
                written,
                entry.value.as_bytes(),
                "the value stands where its span says"
            );
            stands_alone(kind, &parsed.document, entry);
        }
    }
    let parsed = parse_cluster_nodes("cluster.nodes", bytes);
    assert_eq!(parsed.document.print(), bytes);
    sound(&parsed.document, &parsed.diagnostics);
}

/// Panics if a line says something else when the file has no other.
fn stands_alone(kind: FileKind, document: &Document, entry: &Entry) {
    let line = document.lines()[entry.line - 1];
    let alone = parse_key_value(kind, kind.file_name(), document.slice(line.span));
    let says = |entry: &Entry| {
        let qualifier = entry.qualifier.as_ref().map(|it| it.text.clone());
        (qualifier, entry.name.clone(), entry.value.clone())
    };
    let said: Vec<_> = alone.value.entries.iter().map(says).collect();
    assert_eq!(said, [says(entry)], "line {} by itself", entry.line);
}

fn sound(document: &Document, diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        let (start, end) = (diagnostic.span.start, diagnostic.span.end);
        assert!(
            start <= end && end <= document.bytes().len(),
            "{diagnostic}"
        );
        assert_eq!(diagnostic.place(), document.place(start), "{diagnostic}");
        assert!(!diagnostic.message.is_empty() && !diagnostic.help.is_empty());
        if let Some(fix) = &diagnostic.fix {
            assert!(fix.range.start <= fix.range.end && fix.range.end <= document.bytes().len());
        }
    }
}

/// Checking and resolving four files at once never panics, and a data node reads in its own file what was
/// resolved for it. The files are cut at `U+001E`.
pub fn fuzz_cluster(bytes: &[u8]) {
    let mut parts = bytes.splitn(4, |byte| *byte == 0x1e);
    let mut next = || parts.next().unwrap_or_default();
    let files = ClusterFiles {
        controller: Some(parse_key_value(
            FileKind::Controller,
            "controller.cfg",
            next(),
        )),
        nodes: Some(parse_cluster_nodes("cluster.nodes", next())),
        cluster: Some(parse_key_value(FileKind::Cluster, "cluster.cfg", next())),
        agents: vec![parse_key_value(FileKind::Agent, "agent.cfg", next())],
        single: None,
    };
    let report = check(
        &files,
        &CheckOptions {
            strict: true,
            host: None,
        },
    );
    assert_eq!(report.exit_status() == 0, report.errors() == 0);
    resolve::resolve_controller(&files, &[], None);
    for node in files.nodes.iter().flat_map(|parsed| parsed.value.nodes()) {
        if let Ok(resolved) = resolve::resolve_node(&node.site.alias, &files, &[], None) {
            let order = resolved.order();
            let written = crate::render_node_cfg(&order);
            let written = written.expect("what was read from a file can be written to one");
            let parsed = parse_key_value(FileKind::Node, "node.cfg", written.as_bytes());
            let read = resolve::resolve_node_file(Some(&parsed), &[], None);
            for (key, _) in &order {
                assert_eq!(read.value(key), resolved.value(key), "{key} in {written:?}");
            }
        }
    }
}

/// The matcher agrees with the rule written down as sets of places.
pub fn fuzz_pattern(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (pattern, alias) = text.split_once('\n').unwrap_or((&text, ""));
    assert_eq!(
        pattern::matches(pattern, alias),
        matches_naively(pattern, alias),
        "{pattern:?} against {alias:?}"
    );
}

/// Follows all ways through the pattern at once: how many characters of the alias may be behind each.
fn matches_naively(pattern: &str, alias: &str) -> bool {
    let alias: Vec<char> = alias.chars().collect();
    let mut behind = vec![false; alias.len() + 1];
    behind[0] = true;
    for wanted in pattern.chars() {
        let before = behind;
        behind = (0..=alias.len())
            .map(|end| match wanted {
                '%' => before[..=end].contains(&true),
                _ => end > 0 && before[end - 1] && (wanted == '?' || wanted == alias[end - 1]),
            })
            .collect();
    }
    behind[alias.len()]
}

/// The macro is replaced wherever it stands, and nothing else. The first line is the alias, the rest the
/// value.
pub fn fuzz_macro(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (alias, value) = text.split_once('\n').unwrap_or(("P1-NODE1", &text));
    let mut expected = String::new();
    let mut rest = value;
    while let Some(first) = rest.chars().next() {
        match rest.get(..alias_macro::MACRO.len()) {
            Some(word) if word.eq_ignore_ascii_case(alias_macro::MACRO) => {
                expected.push_str(alias);
                rest = &rest[word.len()..];
            }
            _ => {
                expected.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    assert_eq!(alias_macro::expand(value, alias), expected, "{value:?}");
    let mut end = 0;
    for occurrence in alias_macro::occurrences(value) {
        let word = &value[occurrence.range.clone()];
        assert!(occurrence.range.start >= end, "words do not overlap");
        assert!(word.starts_with('<') && word.ends_with('>'), "{word:?}");
        end = occurrence.range.end;
    }
}

/// A site that can be read is written as it reads, alone and as a row of the nodes file.
pub fn fuzz_site(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let site: Site = match text.parse() {
        Ok(site) => site,
        Err(error) => {
            let error: SiteError = error;
            assert!(!error.message.is_empty() && !error.help.is_empty());
            return;
        }
    };
    let written = site.to_string();
    assert_eq!(written.parse().as_ref(), Ok(&site), "{text:?}");
    let alias = site.alias.as_bytes();
    let is_legal = |it: &u8| it.is_ascii_alphanumeric() || b"_-".contains(it);
    assert!(
        (1..=63).contains(&alias.len())
            && alias.iter().all(is_legal)
            && alias[0].is_ascii_alphanumeric(),
        "{text:?}"
    );
    same_place(&site);
    let file = format!("localSite,mode\n{written},datanode\n");
    let parsed = parse_cluster_nodes("cluster.nodes", file.as_bytes());
    let read: Vec<_> = parsed.value.nodes().map(|member| &member.site).collect();
    assert_eq!(read, [&site], "{:?}", parsed.diagnostics);
}

/// Capital letters and the alias make no other address of it; another port does.
fn same_place(site: &Site) {
    let other_case = |it: char| match it.is_ascii_uppercase() {
        true => it.to_ascii_lowercase(),
        false => it.to_ascii_uppercase(),
    };
    let host: String = site.host.chars().map(other_case).collect();
    let elsewhere = site.port % u16::MAX + 1;
    for (port, is_same) in [(site.port, true), (elsewhere, false)] {
        let other = format!("{host}:{port}:other").parse::<Site>();
        let other = other.expect("a host has no case");
        assert_eq!(site.same_address(&other), is_same, "{site} and {other}");
    }
}

/// An edit is refused or changes one line alone, and what was inserted can be removed again. The first byte
/// says at which line, the rest of the first line is what to write, the rest the file.
pub fn fuzz_edit(bytes: &[u8]) {
    let Some((line, bytes)) = bytes.split_first() else {
        return;
    };
    let end = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(bytes.len());
    let value = String::from_utf8_lossy(&bytes[..end]);
    let document = Document::parse("cluster.cfg", bytes.get(end + 1..).unwrap_or_default());
    let before = texts(&document);
    let line = usize::from(*line) % (before.len() + 3);
    if let Ok(edited) = edit::set_value(FileKind::Cluster, &document, line, &value) {
        let mut after = texts(&edited);
        assert_eq!(after.len(), before.len());
        after[line - 1] = before[line - 1].clone();
        assert_eq!(after, before, "only line {line} changes");
    }
    let key = "P1-%.volumes";
    if let Ok(edited) = edit::insert_entry(FileKind::Cluster, &document, line, key, &value) {
        inserted(&edited, &before, line, &format!("{key}={value}"));
    }
    if let Ok(edited) = edit::remove_line(&document, line) {
        let mut wanted = before.clone();
        wanted.remove(line - 1);
        assert_eq!(texts(&edited), wanted, "only line {line} goes");
    }
    if let Ok(site) = value.parse() {
        edit_members(&document, line, &site);
    }
}

/// The same for the nodes file.
fn edit_members(document: &Document, line: usize, site: &Site) {
    let before = texts(document);
    if let Ok(edited) = edit::insert_member(document, line, site, Mode::Datanode) {
        inserted(&edited, &before, line, &format!("{site},datanode"));
    }
    if let Ok(edited) = edit::set_site(document, line, site) {
        let mut after = texts(&edited);
        assert_eq!(after.len(), before.len());
        let changed = std::mem::replace(&mut after[line - 1], before[line - 1].clone());
        assert_eq!(after, before, "only line {line} changes");
        let changed = String::from_utf8_lossy(&changed);
        assert!(changed.contains(&site.to_string()), "{changed:?}");
    }
}

/// Panics if something else is new than this line, or if it cannot be removed alone.
fn inserted(edited: &Document, before: &[Vec<u8>], line: usize, text: &str) {
    let mut after = texts(edited);
    assert_eq!(after.remove(line - 1), text.as_bytes());
    assert_eq!(after, before, "only line {line} is new");
    let undone = edit::remove_line(edited, line).expect("what was inserted can be removed");
    assert_eq!(texts(&undone), before, "line {line} is gone again");
}

fn texts(document: &Document) -> Vec<Vec<u8>> {
    let lines = document.lines().iter();
    lines
        .map(|line| document.slice(line.span).to_vec())
        .collect()
}
