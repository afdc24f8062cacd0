//! Any bytes to the `zone_header` decoder.
#![no_main]

#[path = "../../tests/decoders.rs"]
mod decoders;

libfuzzer_sys::fuzz_target!(|data: &[u8]| decoders::run("zone_header", data));
