//! Any bytes to the `versions` decoder.
#![no_main]

#[path = "../../tests/decoders.rs"]
mod decoders;

libfuzzer_sys::fuzz_target!(|data: &[u8]| decoders::run("versions", data));
