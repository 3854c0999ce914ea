//! Any records of a log leave a state that fits together, on every replay the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vaquita_core::state::fuzzing::fuzz_records(bytes));
