//! npy of version 1: a header of 128 bytes, which is written again when the rows were counted, and
//! rows of `f4`.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use super::{BUFFER_BYTES, Rows};
use crate::vectors_client::row::Row;

/// A multiple of 64, as NumPy aligns it, with room for any number of rows.
const HEADER_BYTES: usize = 128;
/// Magic, version and length of what follows.
const PREAMBLE_BYTES: usize = 10;

/// An npy file.
pub(super) struct Npy {
    out: BufWriter<File>,
    rows: u64,
    dimension: usize,
}

impl Npy {
    /// Begins one.
    pub(super) fn new(file: File, dimension: usize) -> io::Result<Self> {
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, file);
        out.write_all(&header(0, dimension))?;
        Ok(Self { out, rows: 0, dimension })
    }
}

impl Rows for Npy {
    fn write(&mut self, row: &Row) -> io::Result<()> {
        if row.vector.len() != self.dimension {
            let (len, right) = (row.vector.len(), self.dimension);
            return Err(io::Error::other(format!("a row of {len} components, not {right}")));
        }
        for component in &row.vector {
            self.out.write_all(&component.to_le_bytes())?;
        }
        self.rows += 1;
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&header(self.rows, self.dimension))?;
        self.out.flush()
    }
}

fn header(rows: u64, dimension: usize) -> Vec<u8> {
    let dictionary =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dimension}), }}");
    let room = HEADER_BYTES - PREAMBLE_BYTES - 1;
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend_from_slice(&[118, 0]);
    header.extend_from_slice(format!("{dictionary:<room$}\n").as_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_keeps_its_length_whatever_the_shape() {
        for (rows, dimension) in [(0, 1), (1, 65_536), (u64::MAX, usize::MAX)] {
            let header = header(rows, dimension);
            assert_eq!(header.len(), HEADER_BYTES);
            let told = u16::from_le_bytes([header[8], header[9]]);
            assert_eq!(PREAMBLE_BYTES + usize::from(told), HEADER_BYTES);
            assert_eq!(header.last(), Some(&b'\n'));
        }
    }
}
