//! Any bytes to the decoder of any record of a vector index: the first byte says which.
#![no_main]

use bytes::Bytes;

/// In the order of the golden bytes, which are good to begin with.
const NAMES: [&[u8]; 7] = [
    b"d\0\0\0\0\0\0\0\x01",
    b"m",
    b"s\0\0\0\0\0\0\0\x01r",
    b"s\0\0\0\0\0\0\0\x01p",
    b"s\0\0\0\0\0\0\0\x01f",
    b"s\0\0\0\0\0\0\0\x01ten/text",
    b"x\0\0\0\0\0\0\0\x01",
];

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((which, value)) = data.split_first() else { return };
    let name = NAMES[usize::from(*which) % NAMES.len()];
    // Whether it is right is another question.
    let _ = vector_engine::decode_record(name, &Bytes::copy_from_slice(value), 2);
});
