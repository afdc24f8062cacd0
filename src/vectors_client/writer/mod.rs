//! Rows to a file, whatever its format. A file has its name when it is whole: until then it is
//! beside it, with `.partial` behind the name.

mod fvecs;
mod jsonl;
mod npy;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use self::fvecs::Fvecs;
use self::jsonl::Jsonl;
use self::npy::Npy;
use super::VectorsError;
use super::options::{ExportFormat, ExportOptions};
use super::row::Row;

/// Written to the file at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// A format.
trait Rows: Send {
    /// Writes a row.
    fn write(&mut self, row: &Row) -> io::Result<()>;

    /// Writes what ends the file.
    fn finish(&mut self) -> io::Result<()>;
}

/// A file that is written, and the one beside it.
pub(super) struct Sink {
    rows: Box<dyn Rows>,
    out: Place,
    companion: Option<(BufWriter<File>, Place)>,
    line: Vec<u8>,
}

/// Where a file will be.
enum Place {
    Stdout,
    File { path: PathBuf, partial: PathBuf },
}

impl Sink {
    /// Begins a file of vectors of this dimension.
    pub(super) fn open(options: &ExportOptions, dimension: usize) -> Result<Self, VectorsError> {
        let format = match options.format {
            Some(format) => format,
            None => format_of(&options.out)?,
        };
        if options.metadata.is_some() && format == ExportFormat::Jsonl {
            return Err(VectorsError::new("--metadata goes with npy and fvecs"));
        }
        let out = Place::of(&options.out);
        let rows: Box<dyn Rows> = match (format, &out) {
            (ExportFormat::Npy, Place::Stdout) => {
                return Err(VectorsError::new("npy cannot be written to standard output"));
            }
            (ExportFormat::Npy, Place::File { partial, .. }) => {
                let npy = Npy::new(create(partial)?, dimension);
                Box::new(npy.map_err(|error| failed(partial, &error))?)
            }
            (ExportFormat::Jsonl, _) => Box::new(Jsonl::new(out.writer()?)),
            (ExportFormat::Fvecs, _) => Box::new(Fvecs::new(out.writer()?)),
        };
        let companion = match &options.metadata {
            None => None,
            Some(path) => match Place::of(path) {
                Place::Stdout => {
                    return Err(VectorsError::new("--metadata: give a file's name"));
                }
                Place::File { path, partial } => {
                    let file = BufWriter::with_capacity(BUFFER_BYTES, create(&partial)?);
                    Some((file, Place::File { path, partial }))
                }
            },
        };
        Ok(Self { rows, out, companion, line: Vec::new() })
    }

    /// Writes a row.
    pub(super) fn write(&mut self, row: &Row) -> Result<(), VectorsError> {
        self.rows.write(row).map_err(|error| self.out.failed(&error))?;
        if let Some((file, place)) = &mut self.companion {
            self.line.clear();
            row.write_companion(&mut self.line);
            file.write_all(&self.line).map_err(|error| place.failed(&error))?;
        }
        Ok(())
    }

    /// Ends the files and gives them their names.
    pub(super) fn finish(mut self) -> Result<(), VectorsError> {
        self.rows.finish().map_err(|error| self.out.failed(&error))?;
        drop(self.rows);
        if let Some((file, place)) = self.companion {
            let file = file.into_inner().map_err(|error| place.failed(error.error()))?;
            drop(file);
            place.finish()?;
        }
        self.out.finish()
    }
}

impl Place {
    fn of(path: &Path) -> Self {
        if path.as_os_str() == "-" {
            return Self::Stdout;
        }
        let mut partial = OsString::from(path);
        partial.push(".partial");
        Self::File { path: path.to_owned(), partial: PathBuf::from(partial) }
    }

    fn writer(&self) -> Result<Box<dyn Write + Send>, VectorsError> {
        Ok(match self {
            Self::Stdout => Box::new(BufWriter::with_capacity(BUFFER_BYTES, io::stdout())),
            Self::File { partial, .. } => {
                Box::new(BufWriter::with_capacity(BUFFER_BYTES, create(partial)?))
            }
        })
    }

    fn failed(&self, error: &io::Error) -> VectorsError {
        match self {
            Self::Stdout => VectorsError::new(format!("standard output: {error}")),
            Self::File { path, .. } => failed(path, error),
        }
    }

    fn finish(&self) -> Result<(), VectorsError> {
        let Self::File { path, partial } = self else { return Ok(()) };
        // The name promises the rows.
        let synced = File::open(partial).and_then(|file| file.sync_all());
        synced.and_then(|()| std::fs::rename(partial, path)).map_err(|error| failed(path, &error))
    }
}

fn create(path: &Path) -> Result<File, VectorsError> {
    File::create(path).map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &io::Error) -> VectorsError {
    VectorsError::new(format!("{}: {error}", path.display()))
}

/// The format that a file's name says.
fn format_of(path: &Path) -> Result<ExportFormat, VectorsError> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension {
        "jsonl" | "ndjson" => Ok(ExportFormat::Jsonl),
        "npy" => Ok(ExportFormat::Npy),
        "fvecs" => Ok(ExportFormat::Fvecs),
        _ if path.as_os_str() == "-" => Ok(ExportFormat::Jsonl),
        _ => {
            let why = "its name says no format; give --format jsonl, npy or fvecs";
            Err(VectorsError::new(format!("{}: {why}", path.display())))
        }
    }
}
