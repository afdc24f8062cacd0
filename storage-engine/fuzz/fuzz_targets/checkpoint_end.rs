//! Any bytes to the `checkpoint_end` decoder.
#![no_main]

#[path = "../../tests/decoders.rs"]
mod decoders;

libfuzzer_sys::fuzz_target!(|data: &[u8]| decoders::run("checkpoint_end", data));
