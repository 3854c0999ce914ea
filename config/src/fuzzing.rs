//! Bodies of the fuzz targets. Each panics if a promise of this crate does not hold for the bytes.
//!
//! The property tests call them too, so that they run where no fuzzer does.

use crate::check::{CheckOptions, ClusterFiles, check};
use crate::cluster_nodes::parse_cluster_nodes;
use crate::diagnostic::Diagnostic;
use crate::document::Document;
use crate::edit;
use crate::file_kind::FileKind;
use crate::key_value::parse_key_value;
use crate::pattern;
use crate::resolve;

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
        }
    }
    let parsed = parse_cluster_nodes("cluster.nodes", bytes);
    assert_eq!(parsed.document.print(), bytes);
    sound(&parsed.document, &parsed.diagnostics);
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

/// Checking and resolving four files at once never panics. The files are cut at `U+001E`.
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
            // What was read from a file can be written to one.
            assert!(crate::render_node_cfg(&order).is_ok(), "{order:?}");
        }
    }
}

/// The matcher agrees with the rule written down as a recursion.
pub fn fuzz_pattern(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (pattern, alias) = text.split_once('\n').unwrap_or((&text, ""));
    // The recursion takes exponential time.
    let short = |text: &str| -> String { text.chars().take(9).collect() };
    let (pattern, alias) = (short(pattern), short(alias));
    assert_eq!(
        pattern::matches(&pattern, &alias),
        matches_naively(&pattern, &alias),
        "{pattern:?} against {alias:?}"
    );
}

fn matches_naively(pattern: &str, alias: &str) -> bool {
    let rest = |text: &str| -> String { text.chars().skip(1).collect() };
    match (pattern.chars().next(), alias.chars().next()) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some('%'), None) => matches_naively(&rest(pattern), alias),
        (Some('%'), Some(_)) => {
            matches_naively(&rest(pattern), alias) || matches_naively(pattern, &rest(alias))
        }
        (Some(_), None) => false,
        (Some(wanted), Some(found)) => {
            (wanted == '?' || wanted == found) && matches_naively(&rest(pattern), &rest(alias))
        }
    }
}

/// An edit is refused or changes one line alone. The first line is what to write, the rest the
/// file.
pub fn fuzz_edit(bytes: &[u8]) {
    let end = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(bytes.len());
    let value = String::from_utf8_lossy(&bytes[..end]);
    let document = Document::parse("cluster.cfg", bytes.get(end + 1..).unwrap_or_default());
    let texts = |document: &Document| -> Vec<Vec<u8>> {
        document
            .lines()
            .iter()
            .map(|line| document.slice(line.span).to_vec())
            .collect()
    };
    let before = texts(&document);
    for line in 0..=before.len().min(20) + 2 {
        if let Ok(edited) = edit::set_value(FileKind::Cluster, &document, line, &value) {
            let mut after = texts(&edited);
            assert_eq!(after.len(), before.len());
            after[line - 1] = before[line - 1].clone();
            assert_eq!(after, before, "only line {line} changes");
        }
        if let Ok(edited) =
            edit::insert_entry(FileKind::Cluster, &document, line, "P1-%.volumes", &value)
        {
            let mut after = texts(&edited);
            assert_eq!(
                after.remove(line - 1),
                format!("P1-%.volumes={value}").into_bytes()
            );
            assert_eq!(after, before, "only line {line} is new");
        }
        if let Ok(edited) = edit::remove_line(&document, line) {
            let mut wanted = before.clone();
            wanted.remove(line - 1);
            assert_eq!(texts(&edited), wanted, "only line {line} goes");
        }
    }
}
