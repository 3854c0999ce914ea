//! Any cut of a stream gives the same frames, and no bytes make the reader panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vaquita_core::wire::fuzzing::fuzz_frames(bytes));
