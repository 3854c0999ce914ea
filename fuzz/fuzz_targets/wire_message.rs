//! A message of any kind that can be read is written as it reads.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vaquita_core::message::fuzzing::fuzz_message(bytes));
