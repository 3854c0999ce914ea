//! Recovery of any bytes gives a prefix or refuses, and so does a cut by order.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vaquita_core::metalog::fuzz_recovery(bytes));
