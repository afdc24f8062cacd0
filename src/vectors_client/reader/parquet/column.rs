//! What a column has in its rows, and how that becomes a key, a vector or a member of metadata.

use ::parquet::basic::{ConvertedType, LogicalType, Repetition, Type as Physical};
use ::parquet::record::Field;
use ::parquet::schema::types::{Type, TypePtr};
use serde::Serialize;

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

/// What a row has in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    One(Kind),
    List(Kind),
    /// What cannot be a key, a vector or metadata, in words.
    Other(&'static str),
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Boolean,
    Whole,
    Number,
    Text,
    /// Bytes of a fixed length.
    Block,
    /// What is none of these, as one and as many.
    Other(&'static str, &'static str),
}

impl Role {
    /// Whether a column can be that.
    pub(super) fn check(self, name: &str, form: &Form) -> Result<(), String> {
        use Kind::{Block, Boolean, Number, Text, Whole};
        let wanted = match (self, form) {
            (Self::Key, Form::One(Whole | Text))
            | (Self::Vector, Form::One(Block) | Form::List(Whole | Number))
            | (Self::Metadata, Form::One(Boolean | Whole | Number | Text))
            | (Self::Metadata, Form::List(Whole | Number | Text)) => return Ok(()),
            (Self::Key, _) => "a key is a text or a whole number",
            (Self::Vector, _) => "a vector is a list of numbers, or f32 in bytes",
            (Self::Metadata, _) => {
                "metadata is a text, a number, a boolean, or a list of texts or numbers"
            }
        };
        Err(format!("column `{name}` is {}; {wanted}", form.told()))
    }
}

impl Form {
    /// That of a column.
    pub(super) fn of(column: &Type) -> Self {
        let info = column.get_basic_info();
        match (column, info.repetition(), info.converted_type()) {
            (Type::PrimitiveType { .. }, Repetition::REPEATED, _) => Self::List(Kind::of(column)),
            (Type::PrimitiveType { .. }, ..) => Self::One(Kind::of(column)),
            (_, Repetition::REPEATED, _) => Self::Other("a list of structures"),
            (_, _, ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE) => Self::Other("a map"),
            (_, _, ConvertedType::LIST) => Self::of_list(column.get_fields().first()),
            _ if matches!(info.logical_type_ref(), Some(LogicalType::Variant(_))) => {
                Self::Other("a variant")
            }
            _ => Self::Other("a structure"),
        }
    }

    /// That of a list with this below it: its items, or with older writers an item.
    fn of_list(items: Option<&TypePtr>) -> Self {
        let Some(items) = items else { return Self::Other("a structure") };
        if items.is_primitive() {
            return Self::List(Kind::of(items));
        }
        let is_structure = items.name() == "array" || items.name().ends_with("_tuple");
        let [item] = items.get_fields() else { return Self::Other("a list of structures") };
        let info = item.get_basic_info();
        let is_list = info.converted_type() == ConvertedType::LIST;
        match item.is_primitive() && !is_structure {
            _ if is_list || info.repetition() == Repetition::REPEATED => {
                Self::Other("a list of lists")
            }
            true => Self::List(Kind::of(item)),
            false => Self::Other("a list of structures"),
        }
    }

    /// Whether a row may have any number of values.
    pub(super) fn is_list(&self) -> bool {
        matches!(self, Self::List(_))
    }

    fn told(&self) -> String {
        match self {
            Self::Other(what) => (*what).to_owned(),
            Self::One(kind) => kind.nouns().0.to_owned(),
            Self::List(kind) => format!("a list of {}", kind.nouns().1),
        }
    }
}

impl Kind {
    fn of(column: &Type) -> Self {
        use ConvertedType as C;
        use LogicalType as L;
        use Physical as P;
        let info = column.get_basic_info();
        match (column.get_physical_type(), info.converted_type(), info.logical_type_ref()) {
            (_, C::DECIMAL, _) => Self::Other("a decimal", "decimals"),
            (_, C::DATE, _) => Self::Other("a date", "dates"),
            (_, C::TIME_MILLIS | C::TIME_MICROS, _) | (_, _, Some(L::Time(_))) => {
                Self::Other("a time of day", "times of day")
            }
            (_, C::TIMESTAMP_MILLIS | C::TIMESTAMP_MICROS, _)
            | (_, _, Some(L::Timestamp(_)))
            | (P::INT96, ..) => Self::Other("a timestamp", "timestamps"),
            (_, C::INTERVAL, _) => Self::Other("an interval", "intervals"),
            (_, _, Some(L::Unknown)) => Self::Other("always null", "nulls"),
            (_, C::BSON, _) => Self::Other("BSON", "BSON"),
            (_, _, Some(L::Geometry(_) | L::Geography(_))) => Self::Other("a shape", "shapes"),
            (_, _, Some(L::Uuid)) => Self::Other("a UUID", "UUIDs"),
            (P::BOOLEAN, ..) => Self::Boolean,
            (P::INT32 | P::INT64, ..) => Self::Whole,
            (P::FLOAT | P::DOUBLE, ..) | (_, _, Some(L::Float16)) => Self::Number,
            (P::FIXED_LEN_BYTE_ARRAY, ..) => Self::Block,
            (P::BYTE_ARRAY, C::UTF8 | C::ENUM | C::JSON, _) => Self::Text,
            (P::BYTE_ARRAY, ..) => Self::Other("bytes", "bytes"),
        }
    }

    fn nouns(self) -> (&'static str, &'static str) {
        match self {
            Self::Boolean => ("a boolean", "booleans"),
            Self::Whole => ("a whole number", "whole numbers"),
            Self::Number => ("a number", "numbers"),
            Self::Text => ("a text", "texts"),
            Self::Block => ("bytes of a fixed length", "bytes of a fixed length"),
            Self::Other(one, many) => (one, many),
        }
    }
}

/// Items of a list. The crate makes a list in a list of one whose items lie right below it, as older
/// writers have them.
fn items(field: &Field) -> Option<&[Field]> {
    let Field::ListInternal(list) = field else { return None };
    match list.elements() {
        [Field::ListInternal(items)] => Some(items.elements()),
        items => Some(items),
    }
}

/// A row's key.
pub(super) fn key(field: &Field) -> Result<String, String> {
    match field {
        Field::Null => Err("the key is null".to_owned()),
        Field::Str(text) => Ok(text.clone()),
        number => Ok(whole(number)?.to_string()),
    }
}

/// A row's vector.
pub(super) fn vector(field: &Field) -> Result<Vec<f32>, String> {
    match field {
        Field::Null => Err("the vector is null".to_owned()),
        Field::Bytes(block) => match block.data().as_chunks::<4>() {
            (components, []) => {
                Ok(components.iter().map(|four| f32::from_le_bytes(*four)).collect())
            }
            _ => Err(format!("{} bytes are no f32 of 4 each", block.len())),
        },
        list => {
            let items = items(list).ok_or("it is no list of numbers")?;
            let components = items.iter().enumerate().map(|(nth, item)| match item {
                Field::Null => Err(format!("component {nth} is null")),
                number => component(number),
            });
            components.collect()
        }
    }
}

/// Adds a row's value for a metadata key to an object that is not closed. What has no value there,
/// null or an empty list, is left out: metadata has neither.
pub(super) fn add_member(field: &Field, name: &str, object: &mut Vec<u8>) -> Result<(), String> {
    let items = items(field);
    if *field == Field::Null || items.is_some_and(<[Field]>::is_empty) {
        return Ok(());
    }
    object.push(if object.is_empty() { b'{' } else { b',' });
    write_text(object, name);
    object.push(b':');
    match items {
        None => write(field, object)?,
        Some(items) => {
            for (nth, item) in items.iter().enumerate() {
                if *item == Field::Null {
                    return Err(format!("item {nth} of a list is null"));
                }
                object.push(if nth == 0 { b'[' } else { b',' });
                write(item, object)?;
            }
            object.push(b']');
        }
    }
    match object.len() > METADATA_BYTES_MAX {
        true => Err(format!("the row's metadata takes more than {METADATA_BYTES_MAX} bytes")),
        false => Ok(()),
    }
}

fn write(field: &Field, out: &mut Vec<u8>) -> Result<(), String> {
    match field {
        Field::Str(text) => write_text(out, text),
        Field::Bool(true) => out.extend_from_slice(b"true"),
        Field::Bool(false) => out.extend_from_slice(b"false"),
        Field::Double(number) => write_number(*number, out)?,
        Field::Float(_) | Field::Float16(_) => write_number(component(field)?, out)?,
        number => out.extend_from_slice(whole(number)?.to_string().as_bytes()),
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
fn component(field: &Field) -> Result<f32, String> {
    match field {
        Field::Float16(number) => Ok(number.to_f32()),
        Field::Float(number) => Ok(*number),
        Field::Double(number) => Ok(*number as f32),
        number => Ok(whole(number)? as f32),
    }
}

/// A whole number of at most 64 bits, with a sign or without.
fn whole(field: &Field) -> Result<i128, String> {
    match field {
        Field::Byte(number) => Ok((*number).into()),
        Field::Short(number) => Ok((*number).into()),
        Field::Int(number) => Ok((*number).into()),
        Field::Long(number) => Ok((*number).into()),
        Field::UByte(number) => Ok((*number).into()),
        Field::UShort(number) => Ok((*number).into()),
        Field::UInt(number) => Ok((*number).into()),
        Field::ULong(number) => Ok((*number).into()),
        _ => Err("a value is no whole number".to_owned()),
    }
}
