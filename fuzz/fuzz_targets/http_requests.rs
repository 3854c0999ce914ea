//! Requests change nothing without a login, and no answer is a bug.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vaquita_node::http::fuzzing::fuzz_requests(bytes));
