//! Recovery of any bytes gives a prefix or refuses.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vaquita_core::metalog::fuzz_recovery(bytes));
