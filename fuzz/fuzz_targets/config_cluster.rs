//! Checking and resolving a whole cluster never panics.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vaquita_config::fuzzing::fuzz_cluster(bytes));
