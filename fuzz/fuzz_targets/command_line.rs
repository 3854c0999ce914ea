//! A command line is a command that reads the same when written anew, or a usage error.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vaquita_node::cli::fuzzing::fuzz_command_line(bytes));
