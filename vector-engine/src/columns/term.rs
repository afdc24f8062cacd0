//! A value as bytes that order as values do, one form for each value.
//!
//! | first byte | then | stands for |
//! |---|---|---|
//! | 0 | nothing | the key is there at all |
//! | 1, 2 | nothing | false, true |
//! | 3 | 10 bytes, see `Number::sort_key` | a number |
//! | 4 | UTF-8 | a string |

use crate::metadata::{NUMBER_KEY_BYTES, Number, Scalar};

/// Every row that has the key.
pub(crate) const PRESENT: &[u8] = &[0];
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const NUMBER: u8 = 3;
const STRING: u8 = 4;

/// Below all numbers and strings, above the booleans.
pub(crate) const NUMBERS: &[u8] = &[NUMBER];
/// Below all strings, above all else.
pub(crate) const STRINGS: &[u8] = &[STRING];

/// The term of a value.
pub(crate) fn of(value: Scalar<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    write(value, &mut out);
    out
}

/// Appends the term of a value.
pub(crate) fn write(value: Scalar<'_>, out: &mut Vec<u8>) {
    match value {
        Scalar::Boolean(value) => out.push(if value { TRUE } else { FALSE }),
        Scalar::Number(number) => out.extend_from_slice(&of_number(number)),
        Scalar::String(text) => {
            out.push(STRING);
            out.extend_from_slice(text.as_bytes());
        }
    }
}

/// The term of a number.
pub(crate) fn of_number(number: Number) -> [u8; NUMBER_KEY_BYTES + 1] {
    let mut term = [NUMBER; NUMBER_KEY_BYTES + 1];
    term[1..].copy_from_slice(&number.sort_key());
    term
}

/// The first term above all that begin with `prefix`; `None` if there is none.
pub(crate) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut after = prefix.get(..=kept)?.to_vec();
    *after.last_mut()? += 1;
    Some(after)
}
