//! No bytes make a parser of a configuration file panic, and what it reads stands where it says.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vaquita_config::fuzzing::fuzz_parsers(bytes));
