//! Whole clusters are checked and resolved, and a node's own file says what was resolved.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vaquita_config::fuzzing::fuzz_cluster(bytes));
