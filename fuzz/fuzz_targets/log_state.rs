//! Any bytes are a state that fits together, or none.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vaquita_core::state::fuzzing::fuzz_state(bytes));
