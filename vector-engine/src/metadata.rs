//! A vector's metadata: some keys, each with a string, number, boolean, or a list of strings or of
//! numbers. Stored lists may hold anything, and none, as they once could.
//!
//! Kept encoded, in one allocation, since every row of a growing segment holds one. The encoding
//! has no header; the record around it tells its version and length.
//!
//! | part | bytes |
//! |---|---|
//! | entry, keys ascending, each once | varint length, key; value |
//! | value | tag; by tag: 0 false, 1 true: nothing; 2: varint n; 3: varint n of -1 - n; 4: f64; 5: varint length, UTF-8; 6: varint length in bytes, values without lists |

use std::cmp::Ordering;

use serde_json::{Map, Value};

use crate::{Error, Result};

mod scalar;
#[cfg(test)]
mod tests;
pub(crate) mod varint;

pub(crate) use scalar::NUMBER_KEY_BYTES;
pub use scalar::{Number, Scalar};
use varint::Reader;

/// What metadata may hold. Bytes are counted as Amazon S3 Vectors counts them: 4, and for each key
/// 8, its name's bytes and its value; a string counts its UTF-8 bytes, a number 4, a boolean
/// nothing, a list 4 and the value for each of its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetadataLimits {
    /// Keys of one vector.
    pub keys: usize,
    /// The whole metadata of one vector.
    pub total_bytes: usize,
    /// The part of it under filterable keys.
    pub filterable_bytes: usize,
    /// One key's name.
    pub key_bytes: usize,
}

impl Default for MetadataLimits {
    /// Those of Amazon S3 Vectors, which publishes none for a key's name: the filterable bytes
    /// bound it there.
    fn default() -> Self {
        Self { keys: 50, total_bytes: 40 << 10, filterable_bytes: 2 << 10, key_bytes: 2 << 10 }
    }
}

/// The metadata of one vector.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    encoded: Box<[u8]>,
}

impl Metadata {
    /// Takes a JSON document, which must be an object of strings, numbers, booleans, and lists of
    /// strings or of numbers, within `limits`. The refusal's text is for the caller: Amazon's words,
    /// and then the key.
    pub fn from_json(
        document: &Value,
        non_filterable: &[String],
        limits: &MetadataLimits,
    ) -> Result<Self> {
        match document {
            Value::Object(map) => Self::from_map(map, non_filterable, limits),
            _ => Err(invalid("Metadata must be an object".to_owned())),
        }
    }

    /// As [`Metadata::from_json`], of an object's entries.
    pub fn from_map(
        map: &Map<String, Value>,
        non_filterable: &[String],
        limits: &MetadataLimits,
    ) -> Result<Self> {
        if map.len() > limits.keys {
            return Err(invalid(format!("Metadata object must have at most {} keys", limits.keys)));
        }
        let mut entries: Vec<(&String, &Value)> = map.iter().collect();
        entries.sort_unstable_by_key(|(key, _)| *key);
        let (mut total_bytes, mut filterable_bytes) = (OBJECT_BYTES, OBJECT_BYTES);
        let mut encoded = Vec::new();
        for (key, value) in entries {
            if key.len() > limits.key_bytes {
                return Err(invalid(format!(
                    "Metadata keys must have at most {} bytes",
                    limits.key_bytes
                )));
            }
            varint::write(&mut encoded, key.len() as u64);
            encoded.extend_from_slice(key.as_bytes());
            let counted = ENTRY_BYTES + key.len() + encode_value(key, value, &mut encoded)?;
            total_bytes += counted;
            if !non_filterable.contains(key) {
                filterable_bytes += counted;
            }
        }
        if total_bytes > limits.total_bytes {
            return Err(invalid(format!(
                "Metadata object must have at most {} bytes",
                limits.total_bytes
            )));
        }
        if filterable_bytes > limits.filterable_bytes {
            return Err(invalid(format!(
                "Filterable metadata must have at most {} bytes",
                limits.filterable_bytes
            )));
        }
        Ok(Self { encoded: encoded.into_boxed_slice() })
    }

    /// Appends the encoding.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.encoded);
    }

    /// Length of the encoding.
    pub fn encoded_bytes(&self) -> usize {
        self.encoded.len()
    }

    /// Reads an encoding, which must be `bytes` whole.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        check(bytes).ok_or_else(|| Error::Corrupt("metadata of a row".to_owned()))?;
        Ok(Self { encoded: bytes.into() })
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.encoded.is_empty()
    }

    /// As a JSON object.
    pub fn to_json(&self) -> Map<String, Value> {
        self.iter().map(|(key, value)| (key.to_owned(), value.to_json())).collect()
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<Field<'_>> {
        let mut reader = Reader::new(&self.encoded);
        loop {
            let found = reader.sized()?;
            match found.cmp(key.as_bytes()) {
                Ordering::Less => skip_value(&mut reader)?,
                Ordering::Equal => return Field::decode(&mut reader),
                Ordering::Greater => return None,
            }
        }
    }

    /// Keys and values, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Field<'_>)> {
        let mut reader = Reader::new(&self.encoded);
        std::iter::from_fn(move || {
            let key = std::str::from_utf8(reader.sized()?).ok()?;
            Some((key, Field::decode(&mut reader)?))
        })
    }

    /// What it holds of memory, itself included.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.encoded.len()
    }
}

/// What an object counts before its entries.
const OBJECT_BYTES: usize = 4;
/// What an entry counts beside its key and value.
const ENTRY_BYTES: usize = 8;
/// What a value of a list counts beside itself.
const ITEM_BYTES: usize = 4;

/// The value of a metadata key.
#[derive(Debug, Clone, Copy)]
pub enum Field<'a> {
    /// One value.
    Scalar(Scalar<'a>),
    /// Some values, or none.
    List(Scalars<'a>),
}

impl<'a> Field<'a> {
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        match reader.byte()? {
            scalar::LIST => Some(Self::List(Scalars { reader: Reader::new(reader.sized()?) })),
            tag => Scalar::decode(tag, reader).map(Self::Scalar),
        }
    }

    /// The values: of a list all, in order.
    pub fn scalars(self) -> impl Iterator<Item = Scalar<'a>> {
        let (one, many) = match self {
            Self::Scalar(scalar) => (Some(scalar), None),
            Self::List(scalars) => (None, Some(scalars)),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// As JSON.
    pub fn to_json(self) -> Value {
        match self {
            Self::Scalar(scalar) => scalar.to_json(),
            Self::List(scalars) => scalars.map(Scalar::to_json).collect(),
        }
    }
}

/// The values of a list.
#[derive(Debug, Clone, Copy)]
pub struct Scalars<'a> {
    reader: Reader<'a>,
}

impl<'a> Iterator for Scalars<'a> {
    type Item = Scalar<'a>;

    fn next(&mut self) -> Option<Scalar<'a>> {
        let tag = self.reader.byte()?;
        Scalar::decode(tag, &mut self.reader)
    }
}

fn invalid(text: String) -> Error {
    Error::Invalid(text)
}

/// Appends the value of `key` and answers what it counts.
fn encode_value(key: &str, value: &Value, out: &mut Vec<u8>) -> Result<usize> {
    let refused = |words: &str| invalid(format!("{words}: key '{key}'"));
    let Value::Array(items) = value else {
        let scalar = Scalar::from_json(value).ok_or_else(|| {
            refused("Metadata values must be strings, numbers, booleans, or arrays")
        })?;
        scalar.encode_into(out);
        return Ok(scalar.counted_bytes());
    };
    if items.is_empty() {
        return Err(refused("Empty arrays are not allowed in metadata"));
    }
    let scalars: Vec<Scalar<'_>> = items.iter().filter_map(Scalar::from_json).collect();
    let strings = scalars.iter().filter(|scalar| matches!(scalar, Scalar::String(_))).count();
    let numbers = scalars.iter().filter(|scalar| matches!(scalar, Scalar::Number(_))).count();
    if strings != items.len() && numbers != items.len() {
        return Err(refused("Metadata array values must be strings or numbers"));
    }
    Ok(encode_list(&scalars, out))
}

/// Appends a list and answers what it counts.
fn encode_list(scalars: &[Scalar<'_>], out: &mut Vec<u8>) -> usize {
    let mut encoded = Vec::new();
    let mut counted = 0;
    for scalar in scalars {
        scalar.encode_into(&mut encoded);
        counted += ITEM_BYTES + scalar.counted_bytes();
    }
    out.push(scalar::LIST);
    varint::write(out, encoded.len() as u64);
    out.extend_from_slice(&encoded);
    counted
}

fn skip_value(reader: &mut Reader<'_>) -> Option<()> {
    match reader.byte()? {
        scalar::FALSE | scalar::TRUE => {}
        scalar::UNSIGNED | scalar::NEGATIVE => {
            reader.varint()?;
        }
        scalar::FLOAT => {
            reader.bytes(8)?;
        }
        _ => {
            reader.sized()?;
        }
    }
    Some(())
}

/// `None` unless `bytes` are what [`Metadata::encode_into`] writes.
fn check(bytes: &[u8]) -> Option<()> {
    let mut reader = Reader::new(bytes);
    let mut last: Option<&[u8]> = None;
    while !reader.is_empty() {
        let key = reader.sized()?;
        std::str::from_utf8(key).ok()?;
        if last.is_some_and(|last| last >= key) {
            return None;
        }
        last = Some(key);
        if let Field::List(Scalars { reader: mut items }) = Field::decode(&mut reader)? {
            while !items.is_empty() {
                let tag = items.byte()?;
                Scalar::decode(tag, &mut items)?;
            }
        }
    }
    Some(())
}
