//! Pieces of JSON bodies that are read or written apart: arrays of floats, which are most of the
//! bytes, and lists of which only so many items are kept.

use std::fmt;
use std::io::Write as _;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::limits::LIST_ITEMS_KEPT;

/// Components of a vector, as a client sent them: read as doubles and cast to `f32`, which may make
/// them infinite. The texts that stand for numbers that JSON cannot write are read as these.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Floats(pub(super) Vec<f32>);

impl<'de> Deserialize<'de> for Floats {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Its grammar was checked when it was cut out; what is left to read are numbers.
        let text = <&RawValue>::deserialize(deserializer)?.get();
        read_floats(text).map(Self).ok_or_else(|| D::Error::custom("not a list of numbers"))
    }
}

/// The numbers of an array of JSON; none: it is no array of numbers.
fn read_floats(array: &str) -> Option<Vec<f32>> {
    /// Digits of a component with point, sign and comma.
    const COMPONENT_BYTES_USUAL: usize = 20;
    let items = array.strip_prefix('[')?.strip_suffix(']')?;
    let mut floats = Vec::with_capacity(array.len() / COMPONENT_BYTES_USUAL);
    if items.trim_ascii().is_empty() {
        return Some(floats);
    }
    for item in items.split(',') {
        floats.push(read_float(item.trim_ascii())?);
    }
    // It may live as long as the server, in a growing segment.
    floats.shrink_to_fit();
    Some(floats)
}

#[expect(clippy::cast_possible_truncation, reason = "AWS rounds to f32 as well")]
fn read_float(item: &str) -> Option<f32> {
    match item.as_bytes().first()? {
        b'-' | b'0'..=b'9' => item.parse::<f64>().ok().map(|double| double as f32),
        _ => match item {
            "\"NaN\"" => Some(f32::NAN),
            "\"Infinity\"" => Some(f32::INFINITY),
            "\"-Infinity\"" => Some(f32::NEG_INFINITY),
            _ => None,
        },
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
        let told = String::from_utf8(out).unwrap();
        let told = told.strip_prefix("{\"float32\":").unwrap().strip_suffix('}').unwrap();
        let Floats(again) = serde_json::from_str(told).unwrap();
        assert_eq!(again, all);
    }

    #[test]
    fn what_a_float_cannot_hold_is_infinite_and_texts_are_numbers_or_refused() {
        let Floats(floats) =
            serde_json::from_str(r#"[1e39, -1e999, "NaN", "Infinity", "-Infinity"]"#).unwrap();
        assert!(floats.iter().all(|float| !float.is_finite()));
        assert_eq!(floats[1], f32::NEG_INFINITY);
        for text in [
            r#"["1.5"]"#,
            r#"["NaN,1"]"#,
            "[null]",
            "[true]",
            "[[1]]",
            "[{}]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[01]",
            "[.5]",
            "[+1]",
            "[0x1]",
            "[Infinity]",
            "[inf]",
            "1",
            "{}",
            "[1",
        ] {
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
