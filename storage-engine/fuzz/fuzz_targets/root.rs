//! Any bytes to the `root` decoder.
#![no_main]

#[path = "../../tests/decoders.rs"]
mod decoders;

libfuzzer_sys::fuzz_target!(|data: &[u8]| decoders::run("root", data));
