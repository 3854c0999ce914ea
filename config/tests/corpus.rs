//! The corpus: each directory of `corpus` holds the files of a small cluster and, in
//! `expected.txt`, all that `check` has to say about them.
//!
//! A file `options` may hold lines: `strict`; `host CORES GIB`; `argument KEY VALUE`;
//! `explain ALIAS|controller|agent|single|node`; `settings KEY…` of the controller.
//!
//! `VAQUITA_UPDATE_EXPECTED=1 cargo test -p vaquita-config --test corpus` writes `expected.txt`
//! anew. Read the difference before you commit it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use vaquita_config::{
    CheckOptions, ClusterFiles, Diagnostic, FileKind, HostFacts, Resolved, check,
    parse_cluster_nodes, parse_key_value, resolve_agent, resolve_controller, resolve_node,
    resolve_node_file, resolve_single,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn sorted(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}

fn load(directory: &Path) -> ClusterFiles {
    let mut files = ClusterFiles::default();
    for path in sorted(directory) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let bytes = fs::read(&path).unwrap();
        if name == "cluster.nodes" {
            let parsed = parse_cluster_nodes(&name, &bytes);
            assert_eq!(
                parsed.document.print(),
                bytes,
                "{name} is kept byte for byte"
            );
            files.nodes = Some(parsed);
            continue;
        }
        let Some(kind) = FileKind::of_file_name(&name) else {
            continue;
        };
        let parsed = parse_key_value(kind, &name, &bytes);
        assert_eq!(
            parsed.document.print(),
            bytes,
            "{name} is kept byte for byte"
        );
        match kind {
            FileKind::Controller => files.controller = Some(parsed),
            FileKind::Cluster => files.cluster = Some(parsed),
            FileKind::Agent => files.agents.push(parsed),
            FileKind::Single | FileKind::Node => files.single = Some(parsed),
        }
    }
    files
}

fn resolve(
    whom: &str,
    files: &ClusterFiles,
    arguments: &[(String, String)],
    host: Option<&HostFacts>,
) -> Resolved {
    match whom {
        "controller" => resolve_controller(files, arguments, host),
        "agent" => resolve_agent(files.agents.first(), arguments, host),
        "single" => resolve_single(files.single.as_ref(), arguments, host),
        "node" => resolve_node_file(files.single.as_ref(), arguments, host),
        alias => resolve_node(alias, files, arguments, host).unwrap(),
    }
}

/// What the case prints: the report and what the options ask for besides.
fn transcript(directory: &Path) -> (String, Vec<Diagnostic>) {
    let files = load(directory);
    let options = fs::read_to_string(directory.join("options")).unwrap_or_default();
    let mut check_options = CheckOptions::default();
    let mut arguments = Vec::new();
    let mut wanted = Vec::new();
    for line in options.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["strict"] => check_options.strict = true,
            ["host", cores, gibibytes] => {
                let memory_bytes = gibibytes.parse::<u64>().unwrap() << 30;
                check_options.host = Some(HostFacts {
                    cores: cores.parse().unwrap(),
                    memory_bytes,
                });
            }
            ["argument", key, value] => arguments.push((key.to_string(), value.to_string())),
            ["explain", ..] | ["settings", ..] => wanted.push(words),
            other => panic!("no such option: {other:?}"),
        }
    }
    let report = check(&files, &check_options);
    let mut text = report.to_string();
    writeln!(
        text,
        "{} errors, {} warnings, exit status {}",
        report.errors(),
        report.warnings(),
        report.exit_status()
    )
    .unwrap();
    let host = check_options.host.as_ref();
    for words in wanted {
        writeln!(text, "\n{}:", words.join(" ")).unwrap();
        if words[0] == "explain" {
            let resolved = resolve(words[1], &files, &arguments, host);
            for diagnostic in &resolved.diagnostics {
                writeln!(text, "{diagnostic}").unwrap();
            }
            write!(text, "{}", resolved.explain()).unwrap();
        } else {
            let resolved = resolve_controller(&files, &arguments, host);
            for key in &words[1..] {
                let setting = resolved.setting(key).unwrap();
                let value = setting.value.as_ref().map(ToString::to_string);
                let value = value.as_deref().unwrap_or("-");
                writeln!(text, "{key} = {value}  ({})", setting.raw).unwrap();
            }
        }
    }
    (text, report.diagnostics)
}

/// What must hold of every diagnostic, whatever its rule.
fn is_well_formed(directory: &Path, diagnostic: &Diagnostic) {
    let Diagnostic {
        file,
        line,
        column,
        span,
        text,
        message,
        help,
        fix,
        ..
    } = diagnostic;
    assert!(!message.is_empty() && !help.is_empty(), "{diagnostic}");
    let bytes = fs::read(directory.join(file)).unwrap();
    assert!(
        span.start <= span.end && span.end <= bytes.len(),
        "{diagnostic}"
    );
    // The line and the column lead to the first byte of the span.
    let lead: String = text.chars().take(column - 1).collect();
    let found = String::from_utf8_lossy(&bytes[..span.start]).into_owned();
    assert!(
        found.ends_with(&lead),
        "column {column} of line {line}: {diagnostic}"
    );
    // What is offered as a cure must cure: the problem is gone when it is applied.
    if let Some(fix) = fix {
        let mut cured = bytes.clone();
        cured.splice(fix.range.start..fix.range.end, fix.text.bytes());
        let same = |other: &Diagnostic| {
            other.code == diagnostic.code && other.line == *line && other.column == *column
        };
        let by_itself: Vec<Diagnostic> = match FileKind::of_file_name(file) {
            Some(kind) => parse_key_value(kind, file, &cured).diagnostics,
            None => parse_cluster_nodes(file, &cured).diagnostics,
        };
        assert!(
            !by_itself.iter().any(same),
            "the fix does not help: {diagnostic}\n{by_itself:?}"
        );
    }
}

#[test]
fn every_case_prints_what_is_expected() {
    let update = std::env::var_os("VAQUITA_UPDATE_EXPECTED").is_some();
    let mut failures = String::new();
    let cases: Vec<PathBuf> = sorted(&root().join("tests/corpus"))
        .into_iter()
        .filter(|path| path.is_dir())
        .collect();
    assert!(
        cases.len() >= 70,
        "the corpus has shrunk to {} cases",
        cases.len()
    );
    for case in &cases {
        let (text, diagnostics) = transcript(case);
        for diagnostic in &diagnostics {
            is_well_formed(case, diagnostic);
        }
        let expected = case.join("expected.txt");
        if update {
            fs::write(&expected, &text).unwrap();
        } else {
            let wanted = fs::read_to_string(&expected).unwrap_or_default();
            if wanted != text {
                writeln!(
                    failures,
                    "{}:\n--- expected\n{wanted}--- found\n{text}",
                    case.display()
                )
                .unwrap();
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn every_rule_has_a_case() {
    let mut shown: BTreeSet<&str> = BTreeSet::new();
    for case in sorted(&root().join("tests/corpus"))
        .into_iter()
        .filter(|path| path.is_dir())
    {
        shown.extend(transcript(&case).1.iter().map(|diagnostic| diagnostic.code));
    }
    // Files too large for a corpus are made by the unit tests.
    let made_elsewhere = ["file-too-large", "too-many-lines", "too-many-problems"];
    let missing: Vec<&str> = vaquita_config::codes::TABLE
        .iter()
        .map(|code| code.name)
        .filter(|name| !shown.contains(name) && !made_elsewhere.contains(name))
        .collect();
    assert!(missing.is_empty(), "no case shows {missing:?}");
}

#[test]
fn the_examples_are_clean() {
    let examples = sorted(&root().join("examples"));
    assert_eq!(examples.len(), 3);
    for example in examples {
        let report = check(
            &load(&example),
            &CheckOptions {
                strict: true,
                host: None,
            },
        );
        assert_eq!(report.to_string(), "", "{}", example.display());
    }
}
