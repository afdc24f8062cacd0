//! The footer of a file: its columns, and where the chunks of each row group lie.
//!
//! | bytes | |
//! |---|---|
//! | 4 | `PAR1` |
//! | … | chunks of columns, in any order |
//! | n | the footer, one structure of Thrift |
//! | 4 | n, little-endian |
//! | 4 | `PAR1`; `PARE`: the footer is encrypted |

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::schema::{self, Column};
use super::thrift::{Kind, Thrift};

const MAGIC: &[u8; 4] = b"PAR1";
const MAGIC_ENCRYPTED: &[u8; 4] = b"PARE";
/// Length and magic.
const END_BYTES: u64 = 8;
/// A chunk takes 100 to 300 bytes: 10,000 row groups of 20 columns.
const FOOTER_BYTES_MAX: u64 = 64 << 20;

/// What a file says of itself, as its bytes.
#[derive(Debug)]
pub(super) struct Footer {
    bytes: Vec<u8>,
    /// Where chunks may lie.
    data_end: u64,
}

/// Rows that lie together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) rows: u64,
    /// Those that were asked for, in their order.
    pub(super) chunks: Vec<Chunk>,
}

/// Values of a column for the rows of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) start: u64,
    pub(super) end: u64,
    /// With nulls, and of lists with what stands for an empty one.
    pub(super) values: u64,
    pub(super) codec: i32,
}

impl Footer {
    /// Reads it.
    pub(super) fn read(file: &File) -> Result<Self, String> {
        let no_parquet = || "it is no Parquet file".to_owned();
        let length = file.metadata().map_err(|error| error.to_string())?.len();
        let mut magic = [0; 4];
        let mut end = [0; END_BYTES as usize];
        let Some(end_at) = length.checked_sub(END_BYTES) else { return Err(no_parquet()) };
        file.read_exact_at(&mut magic, 0).map_err(|error| error.to_string())?;
        file.read_exact_at(&mut end, end_at).map_err(|error| error.to_string())?;
        let [a, b, c, d, last @ ..] = end;
        if magic == *MAGIC_ENCRYPTED || last == *MAGIC_ENCRYPTED {
            return Err("its footer is encrypted".to_owned());
        }
        if magic != *MAGIC {
            return Err(no_parquet());
        }
        if last != *MAGIC {
            return Err("it is cut off: the footer of a Parquet file is missing".to_owned());
        }
        let bytes = u32::from_le_bytes([a, b, c, d]);
        let data_end =
            end_at.checked_sub(u64::from(bytes)).filter(|end| *end >= magic.len() as u64);
        let Some(data_end) = data_end else {
            return Err(format!("a footer of {bytes} bytes in a file of {length}"));
        };
        if u64::from(bytes) > FOOTER_BYTES_MAX {
            return Err(format!("a footer of {bytes} bytes; at most {FOOTER_BYTES_MAX}"));
        }
        let mut bytes = vec![0; bytes as usize];
        file.read_exact_at(&mut bytes, data_end).map_err(|error| error.to_string())?;
        Ok(Self { bytes, data_end })
    }

    /// All columns.
    pub(super) fn columns(&self) -> Result<Vec<Column>, String> {
        let mut input = Thrift::new(self.bytes.as_slice());
        let mut columns = None;
        let mut last = 0;
        while let Some(field) = input.field(&mut last).map_err(unreadable)? {
            match (field.id, field.kind) {
                (2, Kind::List) => columns = Some(schema::read(&mut input).map_err(unreadable)?),
                (_, kind) => input.skip(kind).map_err(unreadable)?,
            }
        }
        columns.ok_or_else(|| unreadable("it has no schema".to_owned()))
    }

    /// The row groups, with the chunks at these places.
    pub(super) fn groups(&self, places: &[usize]) -> Result<Vec<Group>, String> {
        let mut input = Thrift::new(self.bytes.as_slice());
        let mut groups = Vec::new();
        let mut rows = 0;
        let mut last = 0;
        while let Some(field) = input.field(&mut last).map_err(unreadable)? {
            match (field.id, field.kind) {
                (3, Kind::Long) => rows = count(input.long().map_err(unreadable)?, "rows")?,
                (4, Kind::List) => {
                    let (count, kind) = input.items().map_err(unreadable)?;
                    if kind != Kind::Structure {
                        return Err(unreadable("row groups are no structures".to_owned()));
                    }
                    for nth in 0..count {
                        let group = self.group(&mut input, places);
                        groups.push(group.map_err(|why| format!("row group {nth}: {why}"))?);
                    }
                }
                (_, kind) => input.skip(kind).map_err(unreadable)?,
            }
        }
        let there = groups.iter().map(|group| group.rows).fold(0, u64::saturating_add);
        match there == rows {
            true => Ok(groups),
            false => Err(format!("its footer counts {rows} rows, its row groups {there}")),
        }
    }

    fn group(&self, input: &mut Thrift<&[u8]>, places: &[usize]) -> Result<Group, String> {
        let mut rows = None;
        let mut chunks = vec![None; places.len()];
        let mut last = 0;
        while let Some(field) = input.field(&mut last).map_err(unreadable)? {
            match (field.id, field.kind) {
                (1, Kind::List) => {
                    let (columns, _structures) = input.items().map_err(unreadable)?;
                    for column in 0..columns {
                        let chunk = chunk(input).map_err(unreadable)?;
                        for (place, wanted) in places.iter().zip(&mut chunks) {
                            if *place as u64 == column {
                                *wanted = Some(chunk);
                            }
                        }
                    }
                }
                (3, Kind::Long) => rows = Some(count(input.long().map_err(unreadable)?, "rows")?),
                (_, kind) => input.skip(kind).map_err(unreadable)?,
            }
        }
        let chunks = places.iter().zip(chunks).map(|(place, chunk)| {
            let why = |why| format!("chunk {place}: {why}");
            chunk
                .ok_or("it is missing".to_owned())
                .and_then(|chunk| self.place(&chunk))
                .map_err(why)
        });
        let chunks = chunks.collect::<Result<_, _>>()?;
        Ok(Group { rows: rows.ok_or("it does not say how many rows it has")?, chunks })
    }

    /// Checks where a chunk lies.
    fn place(&self, told: &Told) -> Result<Chunk, String> {
        if told.elsewhere {
            return Err("it lies in another file".to_owned());
        }
        if told.encrypted {
            return Err("it is encrypted".to_owned());
        }
        let values = count(told.values, "values")?;
        if values == 0 {
            // Writers put it anywhere.
            return Ok(Chunk { start: 0, end: 0, values, codec: told.codec });
        }
        let data = count(told.data.ok_or("it does not say where it lies")?, "bytes before it")?;
        // Some writers have a 0 there where there is no dictionary.
        let dictionary = told.dictionary.and_then(|at| u64::try_from(at).ok());
        let start = dictionary.filter(|at| *at > 0 && *at < data).unwrap_or(data);
        let bytes = count(told.bytes, "bytes")?;
        let end = start.checked_add(bytes).filter(|end| *end <= self.data_end);
        match end.filter(|_| start >= MAGIC.len() as u64) {
            None => Err(format!("{bytes} bytes at {start} are not in the file")),
            Some(end) => Ok(Chunk { start, end, values, codec: told.codec }),
        }
    }
}

/// What the footer says of a chunk.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    elsewhere: bool,
    encrypted: bool,
    codec: i32,
    values: i64,
    bytes: i64,
    data: Option<i64>,
    dictionary: Option<i64>,
}

fn chunk(input: &mut Thrift<&[u8]>) -> Result<Told, String> {
    let mut told = Told::default();
    let mut last = 0;
    while let Some(field) = input.field(&mut last)? {
        match (field.id, field.kind) {
            (1, Kind::Binary) => {
                told.elsewhere = true;
                input.skip(field.kind)?;
            }
            (3, Kind::Structure) => {
                let mut last = 0;
                while let Some(field) = input.field(&mut last)? {
                    match (field.id, field.kind) {
                        (4, Kind::Int) => told.codec = input.int()?,
                        (5, Kind::Long) => told.values = input.long()?,
                        (7, Kind::Long) => told.bytes = input.long()?,
                        (9, Kind::Long) => told.data = Some(input.long()?),
                        (11, Kind::Long) => told.dictionary = Some(input.long()?),
                        (_, kind) => input.skip(kind)?,
                    }
                }
            }
            (8, Kind::Structure) => {
                told.encrypted = true;
                input.skip(field.kind)?;
            }
            (_, kind) => input.skip(kind)?,
        }
    }
    Ok(told)
}

fn count(number: i64, of: &str) -> Result<u64, String> {
    u64::try_from(number).map_err(|_| format!("{number} {of}"))
}

fn unreadable(why: String) -> String {
    format!("its footer cannot be read: {why}")
}
