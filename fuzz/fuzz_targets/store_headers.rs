//! A header of a volume that was changed, or stands elsewhere, is refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vaquita_core::store::fuzz_headers(bytes));
