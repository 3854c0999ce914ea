//! A line of the console reads the same when written anew, or what is wrong is said.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vaquita_node::cli::fuzzing::fuzz_console(bytes));
