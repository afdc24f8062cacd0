//! What a row has in a column, as its key, its vector or a member of its metadata.

use bytes::Bytes;
use serde::Serialize;

use super::rows::{ChunkRows, Entry};
use super::schema::{Column, Form, Leaf, Meaning, Shape};
use super::values::Datum;
use crate::vectors_client::reader::DIMENSION_MAX;
use crate::vectors_client::row::write_text;

/// Metadata of a row: eight times what this server takes, and much more than AWS does.
const METADATA_BYTES_MAX: usize = 4 << 20;

/// What a column is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Key,
    Vector,
    Metadata,
}

impl Role {
    /// The values to read; an error, if they cannot be that.
    pub(super) fn leaf(self, column: &Column) -> Result<Leaf, String> {
        match &column.form {
            Form::Leaf(leaf) if self.fits(leaf) => Ok(*leaf),
            form => {
                let wanted = match self {
                    Self::Key => "a key is a text or a whole number",
                    Self::Vector => "a vector is a list of numbers, or f32 in bytes",
                    Self::Metadata => {
                        "metadata is a text, a number, a boolean, or a list of texts or numbers"
                    }
                };
                Err(format!("column `{}` is {}; {wanted}", column.name, form.told()))
            }
        }
    }

    fn fits(self, leaf: &Leaf) -> bool {
        let is_whole = matches!(leaf.meaning, Meaning::Signed | Meaning::Unsigned);
        let is_number =
            is_whole || matches!(leaf.meaning, Meaning::Half | Meaning::Single | Meaning::Double);
        let is_text = leaf.meaning == Meaning::Text;
        match (self, leaf.shape) {
            (Self::Key, Shape::One { .. }) => is_whole || is_text,
            (Self::Key, Shape::List { .. }) => false,
            (Self::Vector, Shape::One { .. }) => leaf.meaning == Meaning::Block,
            (Self::Vector, Shape::List { .. }) => is_number,
            (Self::Metadata, Shape::One { .. }) => {
                is_number || is_text || leaf.meaning == Meaning::Boolean
            }
            (Self::Metadata, Shape::List { .. }) => is_number || is_text,
        }
    }
}

/// Reads a row's key.
pub(super) fn key(rows: &mut ChunkRows, meaning: Meaning) -> Result<String, String> {
    let mut key = None;
    rows.read(|entry| {
        key = match entry {
            Entry::Value(Datum::Bytes(text)) => Some(utf_8(&text)?.to_owned()),
            Entry::Value(number) => Some(whole(meaning, &number)?.to_string()),
            Entry::Null | Entry::Empty | Entry::NullItem => None,
        };
        Ok(())
    })?;
    key.ok_or("the key is null".to_owned())
}

/// Reads a row's vector.
pub(super) fn vector(rows: &mut ChunkRows, meaning: Meaning) -> Result<Vec<f32>, String> {
    let mut vector = Vec::new();
    rows.read(|entry| match entry {
        Entry::Null => Err("the vector is null".to_owned()),
        Entry::Empty => Ok(()),
        Entry::NullItem => Err(format!("component {} is null", vector.len())),
        Entry::Value(Datum::Bytes(block)) if meaning == Meaning::Block => {
            let (components, rest) = block.as_chunks::<4>();
            if !rest.is_empty() {
                return Err(format!("{} bytes are no f32 of 4 each", block.len()));
            }
            vector.extend(components.iter().map(|bytes| f32::from_le_bytes(*bytes)));
            Ok(())
        }
        Entry::Value(_) if vector.len() == DIMENSION_MAX => {
            Err(format!("more than {DIMENSION_MAX} components"))
        }
        Entry::Value(number) => {
            vector.push(component(meaning, &number)?);
            Ok(())
        }
    })?;
    Ok(vector)
}

/// Reads a row's value for a metadata key and adds it to an object that is not closed. What has no
/// value there, null or an empty list, is left out: metadata has neither.
pub(super) fn add_member(
    rows: &mut ChunkRows,
    leaf: Leaf,
    name: &str,
    object: &mut Vec<u8>,
) -> Result<(), String> {
    let before = object.len();
    object.push(if before == 0 { b'{' } else { b',' });
    write_text(object, name);
    object.push(b':');
    let mut items = 0_u64;
    let is_list = matches!(leaf.shape, Shape::List { .. });
    rows.read(|entry| {
        let datum = match entry {
            Entry::Null | Entry::Empty => return Ok(()),
            Entry::NullItem => return Err(format!("item {items} of a list is null")),
            Entry::Value(datum) => datum,
        };
        if is_list {
            object.push(if items == 0 { b'[' } else { b',' });
        }
        items += 1;
        write(leaf.meaning, &datum, object)?;
        match object.len() > METADATA_BYTES_MAX {
            true => Err(format!("the row's metadata takes more than {METADATA_BYTES_MAX} bytes")),
            false => Ok(()),
        }
    })?;
    match items {
        0 => object.truncate(before),
        _ if is_list => object.push(b']'),
        _ => {}
    }
    Ok(())
}

fn write(meaning: Meaning, datum: &Datum, out: &mut Vec<u8>) -> Result<(), String> {
    match (meaning, datum) {
        (Meaning::Text, Datum::Bytes(text)) => write_text(out, utf_8(text)?),
        (_, Datum::Boolean(true)) => out.extend_from_slice(b"true"),
        (_, Datum::Boolean(false)) => out.extend_from_slice(b"false"),
        (_, Datum::Double(number)) => write_number(*number, out)?,
        (Meaning::Half | Meaning::Single, number) => {
            write_number(component(meaning, number)?, out)?
        }
        (meaning, number) => out.extend_from_slice(whole(meaning, number)?.to_string().as_bytes()),
    }
    Ok(())
}

/// Writes a number with the fewest digits that tell it apart from others of its kind.
fn write_number<N: Copy + Into<f64> + Serialize>(
    number: N,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    match number.into() {
        double if double.is_finite() => {
            serde_json::to_writer(out, &number).map_err(|error| error.to_string())
        }
        double => Err(format!("{double} is no number of JSON")),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "rounded as the API rounds; what overflows is refused as infinite"
)]
fn component(meaning: Meaning, datum: &Datum) -> Result<f32, String> {
    match datum {
        Datum::Float(number) => Ok(*number),
        Datum::Double(number) => Ok(*number as f32),
        Datum::Bytes(half) => {
            let half = half.first_chunk().ok_or("a number without bytes")?;
            Ok(half::f16::from_le_bytes(*half).to_f32())
        }
        number => Ok(whole(meaning, number)? as f32),
    }
}

/// A whole number of at most 64 bits, with a sign or without.
fn whole(meaning: Meaning, datum: &Datum) -> Result<i128, String> {
    match (datum, meaning) {
        (Datum::Int32(number), Meaning::Unsigned) => Ok(i128::from(number.cast_unsigned())),
        (Datum::Int64(number), Meaning::Unsigned) => Ok(i128::from(number.cast_unsigned())),
        (Datum::Int32(number), _) => Ok(i128::from(*number)),
        (Datum::Int64(number), _) => Ok(i128::from(*number)),
        _ => Err("a value is no whole number".to_owned()),
    }
}

fn utf_8(text: &Bytes) -> Result<&str, String> {
    std::str::from_utf8(text).map_err(|_| "a text is not UTF-8".to_owned())
}
