//! A process refuses a home and changes nothing, or can be started from it again.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vaquita_core::fuzzing::fuzz_home(bytes));
