//! What a changed copy of the log is said to have was written.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vaquita_core::mirror::fuzzing::fuzz_survey(bytes));
