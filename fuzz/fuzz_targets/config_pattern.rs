//! The wildcard matcher agrees with a naive one.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vaquita_config::fuzzing::fuzz_pattern(bytes));
