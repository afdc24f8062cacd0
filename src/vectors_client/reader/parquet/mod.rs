//! Parquet: a column of vectors, and those that become keys and metadata.
//!
//! The footer (`footer`, `schema`, in the encoding of `thrift`) says where the chunks of a row group
//! lie. A chunk is read page by page (`page`), its levels (`hybrid`) and values (`values`, `delta`)
//! one by one, and put together to rows (`rows`) and what they are read for (`cell`). In memory is
//! one page and one dictionary for each column that is asked for.
//!
//! Source: <https://parquet.apache.org/docs/file-format/>

mod cell;
mod delta;
mod footer;
mod hybrid;
mod packed;
mod page;
mod rows;
mod schema;
mod thrift;
mod values;

use std::fs::File;
use std::sync::Arc;

use serde_json::value::RawValue;

use self::cell::Role;
use self::footer::{Footer, Group};
use self::rows::ChunkRows;
use self::schema::{Column, Leaf};
use super::{FileRow, Rows};

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
    file: Arc<File>,
    wanted: Vec<Wanted>,
    /// The row groups that are not begun.
    groups: std::vec::IntoIter<Group>,
    /// Rows that are left of the one before them, and their columns as in `wanted`.
    left: u64,
    columns: Vec<ChunkRows>,
}

/// A column that is read.
#[derive(Debug)]
struct Wanted {
    name: String,
    role: Role,
    leaf: Leaf,
}

impl Parquet {
    /// Reads the file's footer.
    pub(super) fn open(file: File, columns: &Columns) -> Result<Self, String> {
        let footer = Footer::read(&file)?;
        let wanted = columns.choose(&footer.columns()?)?;
        let places: Vec<usize> = wanted.iter().map(|wanted| wanted.leaf.place).collect();
        let groups = footer.groups(&places)?.into_iter();
        Ok(Self { file: Arc::new(file), wanted, groups, left: 0, columns: Vec::new() })
    }

    /// Goes to the next row group, if the last one is at its end; none: there is none.
    fn advance(&mut self) -> Result<Option<()>, String> {
        while self.left == 0 {
            for (wanted, mut rows) in self.wanted.iter().zip(self.columns.drain(..)) {
                rows.end().map_err(|why| wanted.blame(&why))?;
            }
            let Some(group) = self.groups.next() else { return Ok(None) };
            self.begin(&group);
        }
        self.left -= 1;
        Ok(Some(()))
    }

    fn begin(&mut self, group: &Group) {
        let chunks = self.wanted.iter().zip(&group.chunks);
        let rows = chunks
            .map(|(wanted, chunk)| ChunkRows::new(Arc::clone(&self.file), *chunk, wanted.leaf));
        (self.left, self.columns) = (group.rows, rows.collect());
    }
}

impl Rows for Parquet {
    fn read(&mut self) -> Result<Option<FileRow>, String> {
        if self.advance()?.is_none() {
            return Ok(None);
        }
        let mut row = FileRow::default();
        let mut metadata = Vec::new();
        for (wanted, rows) in self.wanted.iter().zip(&mut self.columns) {
            let Wanted { name, role, leaf } = wanted;
            let read = match role {
                Role::Key => cell::key(rows, leaf.meaning).map(|key| row.key = Some(key)),
                Role::Vector => cell::vector(rows, leaf.meaning).map(|vector| row.vector = vector),
                Role::Metadata => cell::add_member(rows, *leaf, name, &mut metadata),
            };
            read.map_err(|why| wanted.blame(&why))?;
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
        while self.left == 0 && self.columns.is_empty() {
            let Some(group) = self.groups.next() else { return Ok(rows - left) };
            match left.checked_sub(group.rows) {
                Some(fewer) => left = fewer,
                None => self.begin(&group),
            }
        }
        while left > 0 && self.advance()?.is_some() {
            for (wanted, rows) in self.wanted.iter().zip(&mut self.columns) {
                rows.read(|_| Ok(())).map_err(|why| wanted.blame(&why))?;
            }
            left -= 1;
        }
        Ok(rows - left)
    }
}

impl Columns {
    fn choose(&self, there: &[Column]) -> Result<Vec<Wanted>, String> {
        let named = [self.key.as_ref(), Some(&self.vector)].into_iter().flatten();
        for name in named.chain(self.metadata.iter().flatten()) {
            match there.iter().filter(|column| column.name == *name).count() {
                0 => {
                    let names: Vec<&str> =
                        there.iter().map(|column| column.name.as_str()).collect();
                    return Err(format!("no column `{name}`; there are: {}", names.join(", ")));
                }
                1 => {}
                count => return Err(format!("{count} columns are named `{name}`")),
            }
        }
        let mut wanted = Vec::new();
        for column in there {
            let is_key = self.key.as_ref() == Some(&column.name);
            let is_vector = self.vector == column.name;
            let is_metadata = match &self.metadata {
                Some(names) => names.contains(&column.name),
                None => !is_key && !is_vector,
            };
            let roles =
                [(Role::Key, is_key), (Role::Vector, is_vector), (Role::Metadata, is_metadata)];
            for (role, _) in roles.into_iter().filter(|(_, is_wanted)| *is_wanted) {
                let leaf = role.leaf(column).map_err(|why| match self.metadata {
                    None if role == Role::Metadata => {
                        format!("{why}; --metadata-columns names those to take")
                    }
                    _ => why,
                })?;
                wanted.push(Wanted { name: column.name.clone(), role, leaf });
            }
        }
        let metadata = wanted.iter().filter(|wanted| wanted.role == Role::Metadata).count();
        match metadata > METADATA_COLUMNS_MAX {
            true => Err(format!("metadata of {metadata} columns; at most {METADATA_COLUMNS_MAX}")),
            false => Ok(wanted),
        }
    }
}

impl Wanted {
    fn blame(&self, why: &str) -> String {
        format!("column `{}`: {why}", self.name)
    }
}

/// Why bytes that should be there are not.
fn too_soon() -> String {
    "it ends too soon".to_owned()
}

#[cfg(test)]
mod tests;
