//! npy: an array of NumPy, of two dimensions, in C order, of `f2`, `f4` or `f8`, little-endian.
//!
//! `\x93NUMPY`, version (`u8` major, `u8` minor), length of the header (`u16`, from version 2 on
//! `u32`), the header as the text of a Python dictionary, the components row by row.

use std::io::Read;

use super::{DIMENSION_MAX, FileRow, Filled, Rows, cut_off, fill};

const MAGIC: &[u8] = b"\x93NUMPY";
/// Headers of plain arrays take 118 bytes; version 2 is for those of structures.
const HEADER_BYTES_MAX: usize = 64 * 1024;

/// Rows of an npy file.
pub(super) struct Npy<R> {
    input: R,
    header: Header,
    /// Rows before the next one.
    row: u64,
    buffer: Vec<u8>,
}

/// What the file says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    kind: Kind,
    rows: u64,
    dimension: usize,
}

/// How components are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Half,
    Single,
    Double,
}

impl Kind {
    fn bytes(self) -> usize {
        match self {
            Self::Half => 2,
            Self::Single => 4,
            Self::Double => 8,
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "what overflows is refused as infinite")]
    fn read(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::Half => {
                let halves = bytes.as_chunks::<2>().0.iter();
                halves.map(|bytes| half::f16::from_le_bytes(*bytes).to_f32()).collect()
            }
            Self::Single => {
                bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
            }
            Self::Double => {
                let doubles = bytes.as_chunks::<8>().0.iter();
                doubles.map(|bytes| f64::from_le_bytes(*bytes) as f32).collect()
            }
        }
    }
}

impl<R: Read> Npy<R> {
    /// Reads the header.
    pub(super) fn open(mut input: R) -> Result<Self, String> {
        let header = read_header(&mut input)?;
        let buffer = vec![0; header.dimension * header.kind.bytes()];
        Ok(Self { input, header, row: 0, buffer })
    }

    /// Reads the bytes of a row; false: there are no more rows.
    fn advance(&mut self) -> Result<Filled, String> {
        if self.row == self.header.rows {
            let mut more = [0];
            return match fill(&mut self.input, &mut more)? {
                Filled::Ended => Ok(Filled::Ended),
                Filled::Whole => {
                    Err(format!("bytes follow the {} rows of the header", self.header.rows))
                }
            };
        }
        if fill(&mut self.input, &mut self.buffer)? == Filled::Ended {
            return Err(format!("the file ends before it; the header says {}", self.header.rows));
        }
        self.row += 1;
        Ok(Filled::Whole)
    }
}

impl<R: Read + Send> Rows for Npy<R> {
    fn read(&mut self) -> Result<Option<FileRow>, String> {
        if self.advance()? == Filled::Ended {
            return Ok(None);
        }
        let vector = self.header.kind.read(&self.buffer);
        Ok(Some(FileRow { vector, ..FileRow::default() }))
    }

    fn skip(&mut self, rows: u64) -> Result<u64, String> {
        for skipped in 0..rows {
            if self.advance()? == Filled::Ended {
                return Ok(skipped);
            }
        }
        Ok(rows)
    }
}

fn read_header(input: &mut impl Read) -> Result<Header, String> {
    let no_npy = || "it is no npy file".to_owned();
    let mut head = [0; 8];
    if fill(input, &mut head).map_err(|_| no_npy())? == Filled::Ended || !head.starts_with(MAGIC) {
        return Err(no_npy());
    }
    let [.., major, _minor] = head;
    let header_bytes = match major {
        1 => {
            let mut length = [0; 2];
            fill(input, &mut length)?;
            usize::from(u16::from_le_bytes(length))
        }
        2 | 3 => {
            let mut length = [0; 4];
            fill(input, &mut length)?;
            u32::from_le_bytes(length) as usize
        }
        _ => return Err(format!("npy of version {major} is not known")),
    };
    if header_bytes > HEADER_BYTES_MAX {
        return Err(format!("a header of {header_bytes} bytes; at most {HEADER_BYTES_MAX}"));
    }
    let mut text = vec![0; header_bytes];
    if fill(input, &mut text)? == Filled::Ended {
        return Err(cut_off());
    }
    parse_header(&String::from_utf8_lossy(&text))
}

fn parse_header(text: &str) -> Result<Header, String> {
    let value = |name: &str| {
        let quoted = format!("'{name}':");
        let (_, rest) = text.split_once(&quoted).ok_or(format!("the header has no {name}"))?;
        Ok::<&str, String>(rest.trim_start())
    };
    let descr = value("descr")?;
    let descr = descr.strip_prefix('\'').and_then(|rest| rest.split_once('\''));
    let kind = match descr.map(|(descr, _)| descr) {
        Some("<f2") => Kind::Half,
        Some("<f4") => Kind::Single,
        Some("<f8") => Kind::Double,
        Some(other) => {
            return Err(format!("components are {other:?}; they may be <f2, <f4 or <f8"));
        }
        None => return Err("components are structures; they may be <f2, <f4 or <f8".to_owned()),
    };
    if !value("fortran_order")?.starts_with("False") {
        return Err("it is in Fortran order; np.ascontiguousarray makes it C order".to_owned());
    }
    let shape = value("shape")?;
    let shape = shape.strip_prefix('(').and_then(|rest| rest.split_once(')'));
    let (shape, _) = shape.ok_or("the header has no shape")?;
    let lengths = shape.split(',').map(str::trim).filter(|length| !length.is_empty());
    let lengths: Result<Vec<u64>, _> = lengths.map(str::parse).collect();
    let Ok([rows, dimension]) = lengths.as_deref() else {
        return Err(format!("its shape is ({shape}); it must have two dimensions"));
    };
    let fits = |dimension: &usize| (1..=DIMENSION_MAX).contains(dimension);
    match usize::try_from(*dimension).ok().filter(fits) {
        Some(dimension) => Ok(Header { kind, rows: *rows, dimension }),
        None => Err(format!("a dimension of {dimension}; it may be 1 to {DIMENSION_MAX}")),
    }
}
