//! The flags of a server process read the same when written anew, or what is wrong is said.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vaquita_node::cli::fuzzing::fuzz_flags(bytes));
