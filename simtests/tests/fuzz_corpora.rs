//! The bodies of the fuzz targets over what fuzzers have found, and over changes of it; and that each target
//! has all that belongs to it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::test_runner::{RngAlgorithm, TestRng};

/// A target of `fuzz/`: its name, the path of its body, the body.
struct Target {
    name: &'static str,
    path: &'static str,
    body: fn(&[u8]),
}

macro_rules! targets {
    ($($name:ident = $($part:ident)::+;)+) => {
        &[$(Target {
            name: stringify!($name),
            path: concat!($("::", stringify!($part)),+),
            body: $($part)::+,
        }),+]
    };
}

const TARGETS: &[Target] = targets! {
    config_document = vaquita_config::fuzzing::fuzz_document;
    config_parsers = vaquita_config::fuzzing::fuzz_parsers;
    config_cluster = vaquita_config::fuzzing::fuzz_cluster;
    config_pattern = vaquita_config::fuzzing::fuzz_pattern;
    config_macro = vaquita_config::fuzzing::fuzz_macro;
    config_site = vaquita_config::fuzzing::fuzz_site;
    config_edit = vaquita_config::fuzzing::fuzz_edit;
    wire_frames = vaquita_core::wire::fuzzing::fuzz_frames;
    wire_session = vaquita_core::wire::fuzzing::fuzz_session;
    wire_datagram = vaquita_core::wire::fuzzing::fuzz_datagram;
    wire_message = vaquita_core::message::fuzzing::fuzz_message;
    wire_names = vaquita_core::fuzzing::fuzz_names;
    log_recovery = vaquita_core::metalog::fuzz_recovery;
    log_checkpoint = vaquita_core::metalog::fuzz_checkpoint;
    log_records = vaquita_core::state::fuzzing::fuzz_records;
    log_state = vaquita_core::state::fuzzing::fuzz_state;
    log_mirror = vaquita_core::mirror::fuzzing::fuzz_survey;
    store_scan = vaquita_core::store::fuzz_scan;
    store_headers = vaquita_core::store::fuzz_headers;
    store_label = vaquita_core::store::fuzz_label;
    home_files = vaquita_core::fuzzing::fuzz_home;
    http_requests = vaquita_node::http::fuzzing::fuzz_requests;
    command_line = vaquita_node::cli::fuzzing::fuzz_command_line;
    command_flags = vaquita_node::cli::fuzzing::fuzz_flags;
    command_console = vaquita_node::cli::fuzzing::fuzz_console;
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The inputs that are kept for a target, in the order of their names.
fn corpus(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = root().join("fuzz/corpus").join(target.name);
    let entries =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|it| it.expect("it is there").path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).expect("it is there");
        (path, bytes)
    };
    paths.into_iter().map(read).collect()
}

/// Runs a body, and says over what it was if it panics.
fn run(target: &Target, bytes: &[u8], what: &str) {
    let outcome = std::panic::catch_unwind(|| (target.body)(bytes));
    assert!(
        outcome.is_ok(),
        "{} does not hold for {what}: {bytes:?}",
        target.name
    );
}

#[test]
fn every_target_holds_for_its_corpus() {
    for target in TARGETS {
        let corpus = corpus(target);
        assert!(!corpus.is_empty(), "{} has no corpus", target.name);
        for (path, bytes) in corpus {
            run(target, &bytes, &path.display().to_string());
        }
    }
}

/// How many changed inputs each target is run over.
const CHANGES: usize = 60;

/// What a fuzzer would try next: a part of one input and a part of another one, with some bytes changed.
fn changed(corpus: &[(PathBuf, Vec<u8>)], rng: &mut TestRng) -> Vec<u8> {
    use proptest::prelude::Rng as _;
    let mut below = |bound: usize| (rng.next_u64() % bound.max(1) as u64) as usize;
    let one = &corpus[below(corpus.len())].1;
    let other = &corpus[below(corpus.len())].1;
    let mut bytes = one[..below(one.len() + 1)].to_vec();
    bytes.extend(&other[below(other.len() + 1)..]);
    for _ in 0..below(4) {
        let at = below(bytes.len());
        if let Some(byte) = bytes.get_mut(at) {
            *byte = below(256) as u8;
        }
    }
    bytes
}

#[test]
fn every_target_holds_for_changes_of_its_corpus() {
    for target in TARGETS {
        let corpus = corpus(target);
        let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        for _ in 0..CHANGES {
            run(
                target,
                &changed(&corpus, &mut rng),
                "a change of its corpus",
            );
        }
    }
}

/// Bytes of all that is kept, and of one input.
const ALL_MAX: u64 = 1_500_000;
const ONE_MAX: u64 = 4096;

#[test]
fn every_target_has_a_corpus_a_row_and_a_property_test() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("it is there");
    let manifest = read("fuzz/Cargo.toml");
    let behind = manifest.split("[[bin]]").skip(1);
    let listed: BTreeSet<&str> = behind.filter_map(|bin| bin.split('"').nth(1)).collect();
    let known: BTreeSet<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(
        listed, known,
        "fuzz/Cargo.toml has the targets of this table"
    );

    let rows = read("fuzz/README.md");
    let row_of = |name: &str| format!("| `{name}` |");
    let tests = property_tests();
    let mut total = 0;
    for target in TARGETS {
        let name = target.name;
        let source = read(&format!("fuzz/fuzz_targets/{name}.rs"));
        let path = target.path.trim_start_matches("::");
        assert!(
            source.contains(&format!("{path}(bytes)")),
            "{name} does not run {path}"
        );
        assert!(
            rows.contains(&row_of(name)),
            "{name} has no row in fuzz/README.md"
        );
        let body = path.rsplit("::").next().unwrap_or(path);
        assert!(
            tests.iter().any(|text| text.contains(&format!("{body}("))),
            "no property test calls {body}"
        );
        for (path, bytes) in corpus(target) {
            let len = bytes.len() as u64;
            assert!(len <= ONE_MAX, "{} is too long", path.display());
            total += len;
        }
    }
    assert!(total <= ALL_MAX, "the corpora have {total} bytes");
    let folders = fs::read_dir(root().join("fuzz/corpus")).expect("it is there");
    for folder in folders {
        let folder = folder.expect("it is there").file_name();
        assert!(
            known.contains(folder.to_str().unwrap_or_default()),
            "{} is nobody's corpus",
            folder.display()
        );
    }
}

/// The sources of the packages that have property tests, from the first of those in each on.
fn property_tests() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = ["config/tests", "core/src", "node/src"]
        .map(|folder| root().join(folder))
        .into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the sources are there") {
            let path = entry.expect("the sources are there").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let text = fs::read_to_string(&path).expect("sources are text");
                if let Some((_, tests)) = text.split_once("proptest! {") {
                    found.push(tests.to_owned());
                }
            }
        }
    }
    found
}
