//! fvecs: each row is its dimension as `i32` and as many `f32`, all little-endian.

use std::io::Read;

use super::{DIMENSION_MAX, FileRow, Filled, Rows, cut_off, fill};

/// Rows of an fvecs file.
pub(super) struct Fvecs<R> {
    input: R,
    buffer: Vec<u8>,
}

impl<R: Read> Fvecs<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, buffer: Vec::new() }
    }

    /// Reads the bytes of a row's components; none: there are no more rows.
    fn read_bytes(&mut self) -> Result<Option<&[u8]>, String> {
        let mut dimension = [0; 4];
        if fill(&mut self.input, &mut dimension)? == Filled::Ended {
            return Ok(None);
        }
        let dimension = i32::from_le_bytes(dimension);
        let fits = |dimension: &usize| (1..=DIMENSION_MAX).contains(dimension);
        let Some(dimension) = usize::try_from(dimension).ok().filter(fits) else {
            return Err(format!("a dimension of {dimension}; it may be 1 to {DIMENSION_MAX}"));
        };
        self.buffer.resize(dimension * 4, 0);
        match fill(&mut self.input, &mut self.buffer)? {
            Filled::Whole => Ok(Some(&self.buffer)),
            Filled::Ended => Err(cut_off()),
        }
    }
}

impl<R: Read + Send> Rows for Fvecs<R> {
    fn read(&mut self) -> Result<Option<FileRow>, String> {
        let Some(bytes) = self.read_bytes()? else { return Ok(None) };
        let (components, _) = bytes.as_chunks::<4>();
        let vector = components.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Ok(Some(FileRow { vector, ..FileRow::default() }))
    }

    fn skip(&mut self, rows: u64) -> Result<u64, String> {
        for skipped in 0..rows {
            if self.read_bytes()?.is_none() {
                return Ok(skipped);
            }
        }
        Ok(rows)
    }
}
