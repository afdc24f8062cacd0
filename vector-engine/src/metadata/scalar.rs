//! One value of a metadata key or of its list, and how two of them compare.
//!
//! Types never mix: a string is not a number, `true` is not 1. Numbers compare by their exact
//! value whatever their form: 1 is 1.0, but 2^53 + 1 is not 2^53.

use std::cmp::Ordering;

use serde_json::Value;

use super::varint::{self, Reader};

/// A number as it was given: integers keep all their digits.
#[derive(Debug, Clone, Copy)]
pub enum Number {
    /// Zero or above.
    Unsigned(u64),
    /// Below zero.
    Negative(i64),
    /// Anything else; finite.
    Float(f64),
}

impl Number {
    /// The number of a JSON document; `None` for one that is not finite.
    pub fn from_json(number: &serde_json::Number) -> Option<Self> {
        if let Some(value) = number.as_u64() {
            return Some(Self::Unsigned(value));
        }
        if let Some(value) = number.as_i64() {
            return Some(Self::Negative(value));
        }
        number.as_f64().filter(|value| value.is_finite()).map(Self::Float)
    }

    /// The greatest float at or below the number, and how far below it lies: 64 bit integers lie
    /// less than 2048 above a float.
    fn parts(self) -> (f64, u16) {
        match self {
            Self::Float(value) => (value + 0.0, 0),
            Self::Unsigned(value) => floor(i128::from(value), value as f64),
            Self::Negative(value) => floor(i128::from(value), value as f64),
        }
    }

    /// Ten bytes that order as the numbers do; equal for equal numbers only.
    pub(crate) fn sort_key(self) -> [u8; NUMBER_KEY_BYTES] {
        let (float, above) = self.parts();
        let bits = float.to_bits();
        let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
        let mut key = [0; NUMBER_KEY_BYTES];
        key[..8].copy_from_slice(&ordered.to_be_bytes());
        key[8..].copy_from_slice(&above.to_be_bytes());
        key
    }

    fn to_json(self) -> Value {
        match self {
            Self::Unsigned(value) => Value::from(value),
            Self::Negative(value) => Value::from(value),
            Self::Float(value) => Value::from(value),
        }
    }
}

/// Length of [`Number::sort_key`].
pub(crate) const NUMBER_KEY_BYTES: usize = 10;

/// `nearest` is the float nearest to `exact`.
fn floor(exact: i128, nearest: f64) -> (f64, u16) {
    let float = if nearest as i128 > exact { nearest.next_down() } else { nearest };
    (float, (exact - float as i128) as u16)
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Number {}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let ((mine, above), (theirs, others_above)) = (self.parts(), other.parts());
        mine.total_cmp(&theirs).then(above.cmp(&others_above))
    }
}

/// A boolean, number or string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar<'a> {
    /// True or false.
    Boolean(bool),
    /// A number.
    Number(Number),
    /// Text.
    String(&'a str),
}

/// What a [`Scalar`] begins with in an encoding.
pub(super) const FALSE: u8 = 0;
pub(super) const TRUE: u8 = 1;
pub(super) const UNSIGNED: u8 = 2;
pub(super) const NEGATIVE: u8 = 3;
pub(super) const FLOAT: u8 = 4;
pub(super) const STRING: u8 = 5;
/// What a list begins with, where a scalar could stand.
pub(super) const LIST: u8 = 6;

impl<'a> Scalar<'a> {
    /// The scalar of a JSON document; `None` for null, lists, objects.
    pub fn from_json(value: &'a Value) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(Self::Boolean(*value)),
            Value::Number(number) => Number::from_json(number).map(Self::Number),
            Value::String(text) => Some(Self::String(text)),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// As JSON.
    pub fn to_json(self) -> Value {
        match self {
            Self::Boolean(value) => Value::from(value),
            Self::Number(number) => number.to_json(),
            Self::String(text) => Value::from(text),
        }
    }

    /// What the value counts towards the limits of metadata (see [`super::MetadataLimits`]).
    pub(super) fn counted_bytes(self) -> usize {
        match self {
            Self::Boolean(_) => 0,
            Self::Number(_) => 4,
            Self::String(text) => text.len(),
        }
    }

    pub(super) fn encode_into(self, out: &mut Vec<u8>) {
        match self {
            Self::Boolean(value) => out.push(if value { TRUE } else { FALSE }),
            Self::Number(Number::Unsigned(value)) => {
                out.push(UNSIGNED);
                varint::write(out, value);
            }
            Self::Number(Number::Negative(value)) => {
                out.push(NEGATIVE);
                varint::write(out, !(value as u64));
            }
            Self::Number(Number::Float(value)) => {
                out.push(FLOAT);
                out.extend_from_slice(&value.to_le_bytes());
            }
            Self::String(text) => {
                out.push(STRING);
                varint::write(out, text.len() as u64);
                out.extend_from_slice(text.as_bytes());
            }
        }
    }

    /// The value behind `tag`; `None` if there is none.
    pub(super) fn decode(tag: u8, reader: &mut Reader<'a>) -> Option<Self> {
        Some(match tag {
            FALSE => Self::Boolean(false),
            TRUE => Self::Boolean(true),
            UNSIGNED => Self::Number(Number::Unsigned(reader.varint()?)),
            NEGATIVE => {
                let value = i64::try_from(reader.varint()?).ok()?;
                Self::Number(Number::Negative(!value))
            }
            FLOAT => {
                let value = f64::from_le_bytes(reader.array()?);
                Self::Number(Number::Float(Some(value).filter(|value| value.is_finite())?))
            }
            STRING => Self::String(std::str::from_utf8(reader.sized()?).ok()?),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In ascending order.
    const ASCENDING: &[Number] = &[
        Number::Float(f64::MIN),
        Number::Negative(i64::MIN),
        Number::Negative(i64::MIN + 1),
        Number::Negative(-(1 << 53) - 1),
        Number::Float(-9_007_199_254_740_992.0),
        Number::Negative(-1),
        Number::Float(-0.5),
        Number::Float(-5e-324),
        Number::Float(-0.0),
        Number::Float(5e-324),
        Number::Float(0.5),
        Number::Unsigned(1),
        Number::Float(1.5),
        Number::Float(9_007_199_254_740_992.0),
        Number::Unsigned((1 << 53) + 1),
        Number::Unsigned((1 << 53) + 2),
        Number::Unsigned(u64::MAX - 1),
        Number::Unsigned(u64::MAX),
        Number::Float(18_446_744_073_709_551_616.0),
        Number::Float(f64::MAX),
    ];

    #[test]
    fn numbers_order_by_exact_value_and_so_do_their_keys() {
        for (left, a) in ASCENDING.iter().enumerate() {
            for (right, b) in ASCENDING.iter().enumerate() {
                assert_eq!(a.cmp(b), left.cmp(&right), "{a:?} {b:?}");
                assert_eq!(a.sort_key().cmp(&b.sort_key()), left.cmp(&right), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn a_number_is_itself_in_another_form() {
        for (a, b) in [
            (Number::Unsigned(1), Number::Float(1.0)),
            (Number::Unsigned(0), Number::Float(-0.0)),
            (Number::Negative(-3), Number::Float(-3.0)),
            (Number::Unsigned(1 << 60), Number::Float((1u64 << 60) as f64)),
            (Number::Negative(i64::MIN), Number::Float(i64::MIN as f64)),
        ] {
            assert_eq!(a, b);
            assert_eq!(a.sort_key(), b.sort_key());
        }
    }
}
