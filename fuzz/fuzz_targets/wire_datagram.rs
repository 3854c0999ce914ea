//! No bytes pass for a datagram or make its reader panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vaquita_core::wire::fuzzing::fuzz_datagram(bytes));
