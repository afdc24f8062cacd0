//! Parquet: a column of vectors, and those that become keys and metadata.
//!
//! The crate `parquet` reads the footer and then, of the columns that are asked for, page by page.
//! What is checked before: where the footer says that they lie, and how many values they have.

mod column;
mod guard;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use ::parquet::basic::Compression;
use ::parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::record::Field;
use ::parquet::record::reader::{ReaderIter, TreeBuilder};
use ::parquet::schema::types::{SchemaDescPtr, SchemaDescriptor, Type};
use serde_json::value::RawValue;

use self::column::{Form, Role};
use self::guard::{Checked, guarded, told};
use super::{FileRow, Rows};

const MAGIC: &[u8; 4] = b"PAR1";
const MAGIC_ENCRYPTED: &[u8; 4] = b"PARE";
/// The footer's length and the magic.
const END_BYTES: u64 = 8;
/// A chunk takes 100 to 300 bytes: 10,000 row groups of 20 columns.
const FOOTER_BYTES_MAX: u64 = 64 << 20;
/// Columns that become metadata; each has its pages in memory.
const METADATA_COLUMNS_MAX: usize = 256;

/// Which columns are what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    /// None: rows are numbered.
    pub(super) key: Option<String>,
    pub(super) vector: String,
    /// None: all others.
    pub(super) metadata: Option<Vec<String>>,
}

/// Rows of a Parquet file.
pub(super) struct Parquet {
    file: SerializedFileReader<File>,
    wanted: Vec<Wanted>,
    /// Row groups that were begun or passed over.
    groups: usize,
    /// Rows that are left of the last one, and its columns as in `wanted`.
    left: u64,
    columns: Vec<ReaderIter>,
}

/// A column that is read.
struct Wanted {
    name: String,
    roles: Vec<Role>,
    is_list: bool,
    /// Its place among the chunks of a row group.
    place: usize,
    /// That of a file with nothing else.
    schema: SchemaDescPtr,
}

impl Parquet {
    /// Reads the file's footer.
    pub(super) fn open(file: File, columns: &Columns) -> Result<Self, String> {
        let file_bytes = file.metadata().map_err(|error| error.to_string())?.len();
        check_ends(&file, file_bytes)?;
        guarded(|| {
            let file = SerializedFileReader::new(file).map_err(told)?;
            let wanted = columns.choose(file.metadata().file_metadata().schema_descr())?;
            check_groups(file.metadata(), &wanted, file_bytes)?;
            Ok(Self { file, wanted, groups: 0, left: 0, columns: Vec::new() })
        })
    }

    /// Rows of the next row group; none: there is none.
    fn next_group(&self) -> Result<Option<u64>, String> {
        let group = self.file.metadata().row_groups().get(self.groups);
        group.map(|group| count(group.num_rows(), "rows")).transpose()
    }

    /// Goes to the next row; whether there is one.
    fn advance(&mut self) -> Result<bool, String> {
        while self.left == 0 {
            let Some(rows) = self.next_group()? else { return Ok(false) };
            self.begin(rows)?;
        }
        self.left -= 1;
        Ok(true)
    }

    fn begin(&mut self, rows: u64) -> Result<(), String> {
        self.columns.clear();
        if rows > 0 {
            for wanted in &self.wanted {
                let column = guarded(|| {
                    let group = Checked(self.file.get_row_group(self.groups).map_err(told)?);
                    let schema = Arc::clone(&wanted.schema);
                    TreeBuilder::new().as_iter(schema, &group).map_err(told)
                });
                self.columns.push(column.map_err(|why| wanted.blame(&why))?);
            }
        }
        (self.groups, self.left) = (self.groups + 1, rows);
        Ok(())
    }
}

impl Rows for Parquet {
    fn read(&mut self) -> Result<Option<FileRow>, String> {
        if !self.advance()? {
            return Ok(None);
        }
        let mut row = FileRow::default();
        let mut metadata = Vec::new();
        for (wanted, rows) in self.wanted.iter().zip(&mut self.columns) {
            let field = wanted.next(rows)?;
            for role in &wanted.roles {
                let taken = match role {
                    Role::Key => column::key(&field).map(|key| row.key = Some(key)),
                    Role::Vector => column::vector(&field).map(|vector| row.vector = vector),
                    Role::Metadata => column::add_member(&field, &wanted.name, &mut metadata),
                };
                taken.map_err(|why| wanted.blame(&why))?;
            }
        }
        if !metadata.is_empty() {
            metadata.push(b'}');
            let text = String::from_utf8(metadata).map_err(|error| error.to_string())?;
            row.metadata = Some(RawValue::from_string(text).map_err(|error| error.to_string())?);
        }
        Ok(Some(row))
    }

    fn skip(&mut self, rows: u64) -> Result<u64, String> {
        let mut left = rows;
        while self.left == 0 {
            match self.next_group()? {
                None => return Ok(rows - left),
                Some(there) if there <= left => {
                    (self.groups, left) = (self.groups + 1, left - there)
                }
                Some(there) => self.begin(there)?,
            }
        }
        while left > 0 && self.advance()? {
            for (wanted, rows) in self.wanted.iter().zip(&mut self.columns) {
                wanted.next(rows)?;
            }
            left -= 1;
        }
        Ok(rows - left)
    }
}

impl Columns {
    fn choose(&self, schema: &SchemaDescriptor) -> Result<Vec<Wanted>, String> {
        let there = schema.root_schema().get_fields();
        let named = [self.key.as_ref(), Some(&self.vector)].into_iter().flatten();
        for name in named.chain(self.metadata.iter().flatten()) {
            match there.iter().filter(|column| column.name() == name).count() {
                0 => {
                    let names: Vec<&str> = there.iter().map(|column| column.name()).collect();
                    return Err(format!("no column `{name}`; there are: {}", names.join(", ")));
                }
                1 => {}
                count => return Err(format!("{count} columns are named `{name}`")),
            }
        }
        let mut wanted = Vec::new();
        for (nth, column) in there.iter().enumerate() {
            let roles = self.roles(column.name());
            if roles.is_empty() {
                continue;
            }
            let form = Form::of(column);
            for role in &roles {
                role.check(column.name(), &form).map_err(|why| match self.metadata {
                    None if *role == Role::Metadata => {
                        format!("{why}; --metadata-columns names those to take")
                    }
                    _ => why,
                })?;
            }
            let place =
                (0..schema.num_columns()).find(|leaf| schema.get_column_root_idx(*leaf) == nth);
            let root = Type::group_type_builder("root").with_fields(vec![Arc::clone(column)]);
            let root = Arc::new(root.build().map_err(told)?);
            wanted.push(Wanted {
                name: column.name().to_owned(),
                roles,
                is_list: form.is_list(),
                place: place.ok_or("a column without a chunk")?,
                schema: Arc::new(SchemaDescriptor::new(root)),
            });
        }
        let metadata =
            wanted.iter().filter(|wanted| wanted.roles.contains(&Role::Metadata)).count();
        match metadata > METADATA_COLUMNS_MAX {
            true => Err(format!("metadata of {metadata} columns; at most {METADATA_COLUMNS_MAX}")),
            false => Ok(wanted),
        }
    }

    fn roles(&self, name: &str) -> Vec<Role> {
        let is_key = self.key.as_deref() == Some(name);
        let is_vector = self.vector == name;
        let is_metadata = match &self.metadata {
            Some(names) => names.iter().any(|named| named == name),
            None => !is_key && !is_vector,
        };
        let roles = [(Role::Key, is_key), (Role::Vector, is_vector), (Role::Metadata, is_metadata)];
        roles.into_iter().filter_map(|(role, is_wanted)| is_wanted.then_some(role)).collect()
    }
}

impl Wanted {
    /// What the next row has in it.
    fn next(&self, rows: &mut ReaderIter) -> Result<Field, String> {
        let row = guarded(|| rows.next().transpose().map_err(told));
        let field = row.map(|row| row.and_then(|row| row.into_columns().pop()));
        match field {
            Ok(Some((_, field))) => Ok(field),
            Ok(None) => Err(self.blame("it ends before the other columns")),
            Err(why) => Err(self.blame(&why)),
        }
    }

    fn blame(&self, why: &str) -> String {
        format!("column `{}`: {why}", self.name)
    }
}

/// Looks at what begins and ends a file.
fn check_ends(file: &File, file_bytes: u64) -> Result<(), String> {
    let mut magic = [0; 4];
    let mut end = [0; END_BYTES as usize];
    let no_parquet = || "it is no Parquet file".to_owned();
    let end_at = file_bytes.checked_sub(END_BYTES).ok_or_else(no_parquet)?;
    file.read_exact_at(&mut magic, 0).map_err(|error| error.to_string())?;
    file.read_exact_at(&mut end, end_at).map_err(|error| error.to_string())?;
    let [a, b, c, d, last @ ..] = end;
    let footer_bytes = u64::from(u32::from_le_bytes([a, b, c, d]));
    if magic == *MAGIC_ENCRYPTED || last == *MAGIC_ENCRYPTED {
        return Err("its footer is encrypted".to_owned());
    }
    if magic != *MAGIC {
        return Err(no_parquet());
    }
    if last != *MAGIC {
        return Err("it is cut off: the footer of a Parquet file is missing".to_owned());
    }
    if footer_bytes + MAGIC.len() as u64 > end_at {
        return Err(format!("a footer of {footer_bytes} bytes in a file of {file_bytes}"));
    }
    if footer_bytes > FOOTER_BYTES_MAX {
        return Err(format!("a footer of {footer_bytes} bytes; at most {FOOTER_BYTES_MAX}"));
    }
    Ok(())
}

fn check_groups(
    footer: &ParquetMetaData,
    wanted: &[Wanted],
    file_bytes: u64,
) -> Result<(), String> {
    let mut there = 0_u64;
    for (nth, group) in footer.row_groups().iter().enumerate() {
        let rows = check_group(group, wanted, file_bytes);
        there = there.saturating_add(rows.map_err(|why| format!("row group {nth}: {why}"))?);
    }
    let rows = count(footer.file_metadata().num_rows(), "rows")?;
    match there == rows {
        true => Ok(()),
        false => Err(format!("its footer counts {rows} rows, its row groups {there}")),
    }
}

/// Answers how many rows it has.
fn check_group(
    group: &RowGroupMetaData,
    wanted: &[Wanted],
    file_bytes: u64,
) -> Result<u64, String> {
    let rows = count(group.num_rows(), "rows")?;
    for wanted in wanted.iter().filter(|_| rows > 0) {
        let chunk = group.columns().get(wanted.place).ok_or("it is missing".to_owned());
        let values = chunk.and_then(|chunk| check_chunk(chunk, file_bytes));
        match values.map_err(|why| wanted.blame(&why))? {
            values if values == rows || wanted.is_list && values > rows => {}
            values => return Err(wanted.blame(&format!("{values} values in {rows} rows"))),
        }
    }
    Ok(rows)
}

/// Answers how many values it has; an empty list or a null counts as one.
fn check_chunk(chunk: &ColumnChunkMetaData, file_bytes: u64) -> Result<u64, String> {
    if chunk.file_path().is_some() {
        return Err("it lies in another file".to_owned());
    }
    match chunk.compression() {
        Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_) => {}
        other => {
            let name = other.to_string().to_lowercase();
            return Err(format!("it is compressed with {name}; Snappy and Zstandard are read"));
        }
    }
    let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
    let start = count(start, "bytes before it")?;
    let bytes = count(chunk.compressed_size(), "bytes")?;
    if start.checked_add(bytes).is_none_or(|end| end > file_bytes) {
        return Err(format!("{bytes} bytes at {start} are not in the file"));
    }
    count(chunk.num_values(), "values")
}

fn count(number: i64, of: &str) -> Result<u64, String> {
    u64::try_from(number).map_err(|_| format!("{number} {of}"))
}

#[cfg(test)]
mod tests;
