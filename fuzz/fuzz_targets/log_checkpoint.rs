//! A checkpoint that was changed in any byte is refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vaquita_core::metalog::fuzz_checkpoint(bytes));
