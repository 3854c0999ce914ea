//! An edit changes one line and no other, or nothing.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vaquita_config::fuzzing::fuzz_edit(bytes));
