//! Parquet: a column of vectors, and those that become keys and metadata. Only these are read, page
//! by page.

use std::fs::File;
use std::sync::Arc;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::record::reader::{ReaderIter, TreeBuilder};
use parquet::schema::types::{SchemaDescPtr, SchemaDescriptor, Type};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{FileRow, Rows};

/// Which columns are what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) key: Option<String>,
    pub(super) vector: String,
    pub(super) metadata: Vec<String>,
}

/// Rows of a Parquet file.
pub(super) struct Parquet {
    file: SerializedFileReader<File>,
    columns: Columns,
    schema: SchemaDescPtr,
    /// Row groups before the next one.
    group: usize,
    /// What is left of the one before it.
    rows: Option<ReaderIter>,
}

impl Parquet {
    /// Reads the file's footer.
    pub(super) fn open(file: File, columns: Columns) -> Result<Self, String> {
        let file = SerializedFileReader::new(file).map_err(|error| error.to_string())?;
        let root = file.metadata().file_metadata().schema_descr().root_schema();
        let named: Vec<&String> =
            columns.key.iter().chain([&columns.vector]).chain(&columns.metadata).collect();
        let fields = root.get_fields();
        for name in &named {
            if !fields.iter().any(|field| field.name() == *name) {
                let there: Vec<&str> = fields.iter().map(|field| field.name()).collect();
                return Err(format!("no column `{name}`; there are: {}", there.join(", ")));
            }
        }
        let wanted = fields.iter().filter(|field| named.iter().any(|name| *name == field.name()));
        let schema = Type::group_type_builder(root.name())
            .with_fields(wanted.cloned().collect())
            .build()
            .map_err(|error| error.to_string())?;
        let schema = Arc::new(SchemaDescriptor::new(Arc::new(schema)));
        Ok(Self { file, columns, schema, group: 0, rows: None })
    }

    fn group_rows(&self) -> Option<u64> {
        let group = self.file.metadata().row_groups().get(self.group)?;
        u64::try_from(group.num_rows()).ok()
    }

    fn row_of(&self, fields: Vec<(String, Field)>) -> Result<FileRow, String> {
        let mut row = FileRow::default();
        let mut metadata = Map::new();
        for (name, field) in fields {
            if self.columns.vector == name {
                row.vector =
                    vector_of(&field).ok_or(format!("column `{name}` is no list of numbers"))?;
            }
            if self.columns.key.as_ref() == Some(&name) {
                row.key = Some(key_of(&field).ok_or(format!("column `{name}` is no key"))?);
            }
            if self.columns.metadata.contains(&name) && !matches!(field, Field::Null) {
                let value = json_of(&field)
                    .ok_or(format!("column `{name}` is no text, number, boolean or list"))?;
                metadata.insert(name, value);
            }
        }
        if !metadata.is_empty() {
            let text = Value::Object(metadata).to_string();
            row.metadata = Some(RawValue::from_string(text).map_err(|error| error.to_string())?);
        }
        Ok(row)
    }
}

impl Rows for Parquet {
    fn read(&mut self) -> Result<Option<FileRow>, String> {
        loop {
            if let Some(row) = self.rows.as_mut().and_then(Iterator::next) {
                let row = row.map_err(|error| error.to_string())?;
                return self.row_of(row.into_columns()).map(Some);
            }
            if self.group == self.file.num_row_groups() {
                return Ok(None);
            }
            let group = self.file.get_row_group(self.group).map_err(|error| error.to_string())?;
            let rows = TreeBuilder::new().as_iter(Arc::clone(&self.schema), &*group);
            self.rows = Some(rows.map_err(|error| error.to_string())?);
            self.group += 1;
        }
    }

    fn skip(&mut self, rows: u64) -> Result<u64, String> {
        let mut skipped = 0;
        while let Some(count) = self.group_rows().filter(|count| skipped + count <= rows) {
            skipped += count;
            self.group += 1;
        }
        while skipped < rows && self.read()?.is_some() {
            skipped += 1;
        }
        Ok(skipped)
    }
}

fn vector_of(field: &Field) -> Option<Vec<f32>> {
    let Field::ListInternal(list) = field else { return None };
    list.elements().iter().map(component_of).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "rounded as the API rounds; what overflows is refused as infinite"
)]
fn component_of(field: &Field) -> Option<f32> {
    match field {
        Field::Float16(half) => Some(half.to_f32()),
        Field::Float(float) => Some(*float),
        Field::Double(double) => Some(*double as f32),
        Field::Byte(number) => Some(f32::from(*number)),
        Field::UByte(number) => Some(f32::from(*number)),
        Field::Short(number) => Some(f32::from(*number)),
        Field::UShort(number) => Some(f32::from(*number)),
        Field::Int(number) => Some(*number as f32),
        Field::Long(number) => Some(*number as f32),
        _ => None,
    }
}

fn key_of(field: &Field) -> Option<String> {
    match json_of(field)? {
        Value::String(text) => Some(text),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

/// A field as metadata; none: metadata has nothing like it.
fn json_of(field: &Field) -> Option<Value> {
    Some(match field {
        Field::Bool(value) => Value::from(*value),
        Field::Byte(number) => Value::from(*number),
        Field::Short(number) => Value::from(*number),
        Field::Int(number) => Value::from(*number),
        Field::Long(number) => Value::from(*number),
        Field::UByte(number) => Value::from(*number),
        Field::UShort(number) => Value::from(*number),
        Field::UInt(number) => Value::from(*number),
        Field::ULong(number) => Value::from(*number),
        Field::Float16(number) => finite(f64::from(number.to_f32()))?,
        Field::Float(number) => finite(f64::from(*number))?,
        Field::Double(number) => finite(*number)?,
        Field::Str(text) => Value::from(text.as_str()),
        Field::ListInternal(list) => {
            Value::Array(list.elements().iter().map(json_of).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

fn finite(number: f64) -> Option<Value> {
    serde_json::Number::from_f64(number).map(Value::Number)
}
