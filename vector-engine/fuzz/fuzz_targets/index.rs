//! An index with damage in one of its records, and everything that can be asked of it: the first byte
//! says which record, the second whether the rest is its value, or patches of three bytes, a place and
//! what is there.
#![no_main]

#[path = "../../tests/reference.rs"]
#[allow(dead_code, reason = "the tests use it all")]
mod reference;
#[path = "../../tests/rot.rs"]
mod rot;
#[path = "../../tests/subject.rs"]
#[allow(dead_code, reason = "the tests use it all")]
mod subject;

use std::sync::OnceLock;

use rot::Whole;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    static WHOLE: OnceLock<Whole> = OnceLock::new();
    let [record, how, rest @ ..] = data else { return };
    let whole = WHOLE.get_or_init(Whole::new);
    let (name, value) = &whole.records[usize::from(*record) % whole.records.len()];
    let mut value = value.to_vec();
    if how % 2 == 0 {
        value = rest.to_vec();
    } else {
        for patch in rest.chunks_exact(3) {
            let at = usize::from(u16::from_le_bytes([patch[0], patch[1]]));
            let len = value.len();
            if let Some(byte) = value.get_mut(at % len.max(1)) {
                *byte = patch[2];
            }
        }
    }
    whole.ask_with(name, value.into());
});
