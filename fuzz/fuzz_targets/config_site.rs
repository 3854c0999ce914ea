//! A site that can be read is written as it reads.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vaquita_config::fuzzing::fuzz_site(bytes));
