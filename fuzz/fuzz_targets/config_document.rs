//! Printing what was parsed gives the same bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vaquita_config::fuzzing::fuzz_document(bytes));
