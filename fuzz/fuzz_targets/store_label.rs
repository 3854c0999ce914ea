//! A volume is used by its owner alone.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vaquita_core::store::fuzz_label(bytes));
