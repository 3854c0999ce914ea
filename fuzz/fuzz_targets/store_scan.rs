//! A scan of any volume invents nothing, and the volume can be gone on with.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vaquita_core::store::fuzz_scan(bytes));
