//! Rows of a file, whatever its format: read one after the other, checked, and named by their number.
//!
//! A format's reader answers rows as they stand; keys of rows without one, and the checks that all
//! formats need, are made here. A fault names file, row, and line where there are any.

mod companion;
mod fvecs;
mod jsonl;
mod lines;
mod npy;
mod parquet;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use serde_json::value::RawValue;

use self::companion::Companion;
use self::fvecs::Fvecs;
use self::jsonl::Jsonl;
use self::npy::Npy;
use self::parquet::Parquet;
use super::VectorsError;
use super::options::{ImportFormat, ImportOptions};
use super::row::Row;

/// Components of a vector: sixteen times what any service takes, so that a file that lies about
/// them does not decide how much memory is asked for.
const DIMENSION_MAX: usize = 65_536;
/// What the API takes as a key.
const KEY_BYTES_MAX: usize = 1024;
/// Read from the file at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// A row as it stands in a file.
#[derive(Debug, Default)]
struct FileRow {
    key: Option<String>,
    vector: Vec<f32>,
    metadata: Option<Box<RawValue>>,
}

/// A format.
trait Rows: Send {
    /// The next row; none: there are no more.
    fn read(&mut self) -> Result<Option<FileRow>, String>;

    /// Passes over so many rows; answers how many there were.
    fn skip(&mut self, rows: u64) -> Result<u64, String>;

    /// The line of what was read last.
    fn line(&self) -> Option<u64> {
        None
    }
}

/// A file that is read.
pub(super) struct Source {
    name: String,
    rows: Box<dyn Rows>,
    companion: Option<Companion>,
    key_prefix: String,
    /// Number of the next row.
    row: u64,
    /// That of the rows before.
    dimension: Option<usize>,
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) row: u64,
    /// With the row's name.
    pub(super) text: String,
}

impl Source {
    /// Opens a file and goes to the first row to read.
    pub(super) fn open(options: &ImportOptions) -> Result<Self, VectorsError> {
        let format = match options.format {
            Some(format) => format,
            None => format_of(&options.file)?,
        };
        if options.names_columns() && format != ImportFormat::Parquet {
            let why = "--key-column, --vector-column and --metadata-columns go with parquet";
            return Err(VectorsError::new(why));
        }
        let keyless = matches!(format, ImportFormat::Npy | ImportFormat::Fvecs);
        if options.metadata.is_some() && !keyless {
            return Err(VectorsError::new("--metadata goes with npy and fvecs"));
        }
        let name = options.file.display().to_string();
        let refused = |why: String| VectorsError::new(format!("{name}: {why}"));
        let rows: Box<dyn Rows> = match format {
            ImportFormat::Jsonl => Box::new(Jsonl::new(input(&options.file)?)),
            ImportFormat::Npy => Box::new(Npy::open(input(&options.file)?).map_err(refused)?),
            ImportFormat::Fvecs => Box::new(Fvecs::new(input(&options.file)?)),
            ImportFormat::Parquet if is_standard_input(&options.file) => {
                return Err(VectorsError::new("parquet cannot be read from standard input"));
            }
            ImportFormat::Parquet => {
                let file = open(&options.file)?;
                Box::new(Parquet::open(file, &columns(options)).map_err(refused)?)
            }
        };
        let companion = match &options.metadata {
            None => None,
            Some(path) => Some(Companion::new(path.display().to_string(), input(path)?)),
        };
        let mut source = Self {
            name,
            rows,
            companion,
            key_prefix: options.key_prefix.clone(),
            row: 0,
            dimension: None,
        };
        source.skip(options.from_row).map_err(|fault| VectorsError::new(fault.text))?;
        Ok(source)
    }

    /// Number of the next row.
    pub(super) fn row(&self) -> u64 {
        self.row
    }

    /// The file, in messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The next row; none: all were read.
    pub(super) fn read(&mut self) -> Result<Option<Row>, Fault> {
        let row = self.read_row().map_err(|why| self.fault(&why))?;
        self.row += u64::from(row.is_some());
        Ok(row)
    }

    fn read_row(&mut self) -> Result<Option<Row>, String> {
        let Some(mut row) = self.rows.read()? else {
            if let Some(companion) = &mut self.companion {
                companion.end()?;
            }
            return Ok(None);
        };
        if let Some(companion) = &mut self.companion {
            (row.key, row.metadata) = companion.read()?;
        }
        let FileRow { key, vector, metadata } = row;
        let key = key.unwrap_or_else(|| format!("{}{}", self.key_prefix, self.row));
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(format!("a key of {} bytes; it may have 1 to {KEY_BYTES_MAX}", key.len()));
        }
        if let Some(nth) = vector.iter().position(|component| !component.is_finite()) {
            return Err(format!("component {nth} is not a finite f32"));
        }
        let dimension = *self.dimension.get_or_insert(vector.len());
        match vector.len() {
            0 => Err("its vector is empty".to_owned()),
            len if len > DIMENSION_MAX => Err(format!("{len} components; at most {DIMENSION_MAX}")),
            len if len != dimension => {
                Err(format!("{len} components, but the rows before have {dimension}"))
            }
            _ => Ok(Some(Row { key, vector, metadata })),
        }
    }

    fn skip(&mut self, rows: u64) -> Result<(), Fault> {
        let skipped = self.rows.skip(rows).map_err(|why| self.fault(&why))?;
        if skipped < rows {
            let text = format!("{}: row {rows} is not there: it has {skipped} rows", self.name);
            return Err(Fault { row: skipped, text });
        }
        if let Some(companion) = &mut self.companion {
            companion.skip(rows).map_err(|why| self.fault(&why))?;
        }
        self.row = rows;
        Ok(())
    }

    fn fault(&self, why: &str) -> Fault {
        let line = self.rows.line().map(|line| format!(" (line {line})")).unwrap_or_default();
        Fault { row: self.row, text: format!("{}: row {}{line}: {why}", self.name, self.row) }
    }
}

/// The format that a file's name says.
fn format_of(path: &Path) -> Result<ImportFormat, VectorsError> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension {
        "jsonl" | "ndjson" => Ok(ImportFormat::Jsonl),
        "npy" => Ok(ImportFormat::Npy),
        "fvecs" => Ok(ImportFormat::Fvecs),
        "parquet" => Ok(ImportFormat::Parquet),
        _ => {
            let why = "its name says no format; give --format jsonl, npy, fvecs or parquet";
            Err(VectorsError::new(format!("{}: {why}", path.display())))
        }
    }
}

/// The columns to read of a Parquet file.
fn columns(options: &ImportOptions) -> parquet::Columns {
    let named =
        |names: &Vec<String>| names.iter().filter(|name| !name.is_empty()).cloned().collect();
    parquet::Columns {
        key: options.key_column.clone(),
        vector: options.vector_column.clone().unwrap_or_else(|| "vector".to_owned()),
        metadata: options.metadata_columns.as_ref().map(named),
    }
}

type Input = Box<dyn Read + Send>;

fn open(path: &Path) -> Result<File, VectorsError> {
    File::open(path).map_err(|error| VectorsError::new(format!("{}: {error}", path.display())))
}

fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn input(path: &Path) -> Result<BufReader<Input>, VectorsError> {
    let input: Input = match is_standard_input(path) {
        true => Box::new(std::io::stdin()),
        false => Box::new(open(path)?),
    };
    Ok(BufReader::with_capacity(BUFFER_BYTES, input))
}

/// Fills `buffer`; `Ended` when there is nothing at all.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> Result<Filled, String> {
    let mut filled = 0;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        match input.read(room) {
            Ok(0) if filled == 0 => return Ok(Filled::Ended),
            Ok(0) => return Err(cut_off()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(Filled::Whole)
}

fn cut_off() -> String {
    "the file ends in the middle of it".to_owned()
}

/// Whether there was something to fill a buffer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filled {
    Whole,
    Ended,
}

#[cfg(test)]
mod tests;
