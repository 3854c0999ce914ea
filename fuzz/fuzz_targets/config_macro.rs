//! The macro for a node's alias is replaced as a naive reading has it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vaquita_config::fuzzing::fuzz_macro(bytes));
