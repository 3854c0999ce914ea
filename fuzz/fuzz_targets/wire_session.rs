//! No bytes establish a session or make it panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vaquita_core::wire::fuzzing::fuzz_session(bytes));
