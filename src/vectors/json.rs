//! Pieces of JSON bodies that are read or written apart: arrays of floats, which are most of the
//! bytes, and lists of which only so many items are kept.

use std::fmt;
use std::io::Write as _;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, SeqAccess, Visitor};

use super::limits::LIST_ITEMS_KEPT;

/// Components of a vector, as a client sent them: cast to `f32`, which may make them infinite. The
/// texts that stand for numbers that JSON cannot write are read as these.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Floats(pub Vec<f32>);

impl<'de> Deserialize<'de> for Floats {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(FloatsVisitor)
    }
}

struct FloatsVisitor;

impl<'de> Visitor<'de> for FloatsVisitor {
    type Value = Floats;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of numbers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Floats, A::Error> {
        let mut floats = Vec::new();
        while let Some(Component(float)) = items.next_element()? {
            floats.push(float);
        }
        // It may live as long as the server, in a growing segment.
        floats.shrink_to_fit();
        Ok(Floats(floats))
    }
}

struct Component(f32);

impl<'de> Deserialize<'de> for Component {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ComponentVisitor)
    }
}

struct ComponentVisitor;

impl Visitor<'_> for ComponentVisitor {
    type Value = Component;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    #[expect(clippy::cast_possible_truncation, reason = "AWS rounds to f32 as well")]
    fn visit_f64<E: Error>(self, number: f64) -> Result<Component, E> {
        Ok(Component(number as f32))
    }

    #[expect(clippy::cast_precision_loss, reason = "AWS rounds to f32 as well")]
    fn visit_u64<E: Error>(self, number: u64) -> Result<Component, E> {
        Ok(Component(number as f32))
    }

    #[expect(clippy::cast_precision_loss, reason = "AWS rounds to f32 as well")]
    fn visit_i64<E: Error>(self, number: i64) -> Result<Component, E> {
        Ok(Component(number as f32))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Component, E> {
        match text {
            "NaN" => Ok(Component(f32::NAN)),
            "Infinity" => Ok(Component(f32::INFINITY)),
            "-Infinity" => Ok(Component(f32::NEG_INFINITY)),
            _ => Err(E::custom("a text is not a number")),
        }
    }
}

/// A list of which the first [`LIST_ITEMS_KEPT`] items are kept, and all are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct List<T> {
    /// The items that were kept.
    pub(super) items: Vec<T>,
    /// How many there were.
    pub(super) len: usize,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = List<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<List<T>, A::Error> {
        let mut items = Vec::new();
        while items.len() < LIST_ITEMS_KEPT {
            match sequence.next_element()? {
                Some(item) => items.push(item),
                None => return Ok(List { len: items.len(), items }),
            }
        }
        let mut len = items.len();
        while sequence.next_element::<IgnoredAny>()?.is_some() {
            len += 1;
        }
        Ok(List { items, len })
    }
}

/// Writes a float as AWS does: as the double it is exactly. One that is not finite cannot be told.
pub(super) fn write_float(out: &mut Vec<u8>, float: f32) {
    if float.is_finite() {
        // Writing into memory does not fail.
        let _ = serde_json::to_writer(out, &f64::from(float));
    } else {
        out.extend_from_slice(b"null");
    }
}

/// Writes `{"float32":[...]}`.
pub(super) fn write_vector(out: &mut Vec<u8>, vector: &[f32]) {
    /// Digits of a double that was a float, with point, sign and comma.
    const COMPONENT_BYTES_USUAL: usize = 21;
    out.reserve(vector.len() * COMPONENT_BYTES_USUAL + 16);
    out.extend_from_slice(b"{\"float32\":[");
    for (nth, component) in vector.iter().enumerate() {
        if nth > 0 {
            out.push(b',');
        }
        write_float(out, *component);
    }
    out.extend_from_slice(b"]}");
}

/// Writes a text with its quotes.
pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    let _ = serde_json::to_writer(out, text);
}

/// Writes what always serializes: maps with texts for keys.
pub(super) fn write_value(out: &mut Vec<u8>, value: &impl serde::Serialize) {
    let before = out.len();
    if let Err(error) = serde_json::to_writer(&mut *out, value) {
        out.truncate(before);
        let _ = write!(out, "null");
        tracing::error!(%error, "a value of an answer cannot be written");
    }
}

#[cfg(test)]
mod tests {
    use super::{Floats, LIST_ITEMS_KEPT, List, write_vector};

    #[test]
    fn floats_are_cast_and_told_exactly() {
        let text = r#"[0.1, 1, -2, 1e-09, 0.10000000149011612, 3.4028235e38, 1.5e-45, 18446744073709551615]"#;
        let Floats(floats) = serde_json::from_str(text).unwrap();
        assert_eq!(floats[0], 0.1);
        assert_eq!(floats[4], 0.1);
        assert_eq!(floats[5], f32::MAX);
        assert_eq!(floats[7], 1.844_674_4e19);
        let mut out = Vec::new();
        write_vector(&mut out, &[0.9, 1.0, -0.0]);
        assert_eq!(out, br#"{"float32":[0.8999999761581421,1.0,-0.0]}"#);
        let all = [0.1_f32, f32::MAX, f32::MIN_POSITIVE, 1.4e-45, -7.25];
        let mut out = Vec::new();
        write_vector(&mut out, &all);
        let told: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let Floats(again) = serde_json::from_value(told["float32"].clone()).unwrap();
        assert_eq!(again, all);
    }

    #[test]
    fn what_a_float_cannot_hold_is_infinite_and_texts_are_numbers_or_refused() {
        let Floats(floats) =
            serde_json::from_str(r#"[1e39, -1e300, "NaN", "Infinity", "-Infinity"]"#).unwrap();
        assert!(floats.iter().all(|float| !float.is_finite()));
        assert_eq!(floats[1], f32::NEG_INFINITY);
        for text in [r#"["1.5"]"#, "[null]", "[true]", "[[1]]", r#"[{}]"#, "1", "{}", "[1e999]"] {
            assert!(serde_json::from_str::<Floats>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_long_list_is_counted_and_not_kept() {
        let text = format!("[{}7]", "7,".repeat(LIST_ITEMS_KEPT + 4));
        let list: List<u8> = serde_json::from_str(&text).unwrap();
        assert_eq!((list.items.len(), list.len), (LIST_ITEMS_KEPT, LIST_ITEMS_KEPT + 5));
        let list: List<u8> = serde_json::from_str("[]").unwrap();
        assert_eq!((list.items.len(), list.len), (0, 0));
        assert!(serde_json::from_str::<List<u8>>("[1, \"2\"]").is_err());
    }
}
