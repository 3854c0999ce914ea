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

/// Bytes of one input that is kept, and of all of a target; see `fuzz/README.md`.
const ONE_MAX: usize = 4096;
const ALL_MAX: usize = 40 * 1024;

/// How many inputs of a target are kept at most. Of messages there are fifty kinds, and an input is of one.
fn inputs_max(name: &str) -> usize {
    match name {
        "wire_message" => 256,
        _ => 80,
    }
}

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
            tests.iter().any(|test| calls(test, body)),
            "no property test calls {body}"
        );
    }
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

#[test]
fn every_corpus_is_as_small_as_the_page_says() {
    for target in TARGETS {
        let corpus = corpus(target);
        let (name, most) = (target.name, inputs_max(target.name));
        assert!(corpus.len() <= most, "{name} has {} inputs", corpus.len());
        let total: usize = corpus.iter().map(|(_, bytes)| bytes.len()).sum();
        assert!(total <= ALL_MAX, "{name} has {total} bytes");
        for (path, bytes) in corpus {
            assert!(bytes.len() <= ONE_MAX, "{} is too long", path.display());
        }
    }
}

/// All property tests of the packages that have bodies: what stands in each.
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
            } else if path.extension().is_some_and(|it| it == "rs") && is_built(&path) {
                let text = fs::read_to_string(&path).expect("sources are text");
                found.extend(property_tests_in(&text));
            }
        }
    }
    found
}

/// Whether a source belongs to a package: it is named by the module above it, or a program of its own.
fn is_built(path: &Path) -> bool {
    let folder = path.parent().expect("a file is in a folder");
    let stem = path.file_stem().and_then(|it| it.to_str());
    let stem = stem.expect("sources have such names");
    // Of a `mod.rs` the module above is one folder up.
    let (folder, stem) = match stem {
        "mod" => {
            let name = folder.file_name().and_then(|it| it.to_str());
            let above = folder.parent().expect("modules are below the sources");
            (above, name.expect("sources have such names"))
        }
        _ => (folder, stem),
    };
    let of_itself = matches!(stem, "lib" | "main") || folder.ends_with("config/tests");
    let above = ["mod.rs", "lib.rs", "main.rs"].map(|file| folder.join(file));
    let mut above = above.into_iter().chain([folder.with_extension("rs")]);
    let line = format!("mod {stem};");
    of_itself
        || above.any(|above| {
            let text = fs::read_to_string(above).unwrap_or_default();
            text.lines().any(|it| it.trim().ends_with(&line))
        })
}

/// What stands in each of the property tests of a source, without comments.
fn property_tests_in(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let begins = line.trim_start();
        if !matches!(begins, "proptest! {" | "proptest::proptest! {") {
            continue;
        }
        // A block ends with the brace that is indented as it is.
        let end = format!("{}}}", &line[..line.len() - begins.len()]);
        let block = lines.by_ref().take_while(|line| *line != end);
        let block = block.map(|line| line.split("//").next().unwrap_or_default());
        let block: Vec<&str> = block.collect();
        let block = block.join("\n");
        let tests = block.split("#[test]").skip(1);
        let tests = tests.filter(|test| !test.contains("#[ignore"));
        found.extend(tests.map(str::to_owned));
    }
    found
}

/// Whether a function of this name is called, and not one whose name ends so.
fn calls(text: &str, name: &str) -> bool {
    let is_of_a_name = |it: char| it.is_alphanumeric() || it == '_';
    let call = format!("{name}(");
    let mut places = text.match_indices(&call);
    places.any(|(at, _)| !text[..at].ends_with(is_of_a_name))
}

/// A call is a property test's only if it stands in one that runs.
#[test]
fn only_what_runs_with_drawn_bytes_is_a_property_test() {
    let file = "
fn helper() { fuzz_a(b\"\"); }

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn any_bytes(bytes: Vec<u8>) {
        // fuzz_b(&bytes);
        other_fuzz_c(&bytes);
        own::fuzz_d(&bytes);
    }

    #[test]
    #[ignore = \"slow\"]
    fn more_bytes(bytes: Vec<u8>) {
        fuzz_e(&bytes);
    }
}

#[test]
fn one() { fuzz_f(b\"\"); }
";
    let tests = property_tests_in(file);
    let of = |name| tests.iter().any(|test| calls(test, name));
    let names = ["fuzz_a", "fuzz_b", "fuzz_c", "fuzz_d", "fuzz_e", "fuzz_f"];
    assert_eq!(names.map(of), [false, false, false, true, false, false]);
    let here = root().join("core/src");
    assert!(is_built(&here.join("fuzzing/tests.rs")));
    assert!(is_built(&here.join("metalog/mod.rs")));
    assert!(!is_built(&here.join("fuzzing/nobody.rs")));
}
