//! Any bytes to the `record` decoder.
#![no_main]

#[path = "../../tests/decoders.rs"]
mod decoders;

libfuzzer_sys::fuzz_target!(|data: &[u8]| decoders::run("record", data));
