//! fvecs: each row is its dimension as `i32` and as many `f32`, all little-endian.

use std::io::{self, Write};

use super::Rows;
use crate::vectors_client::row::Row;

/// An fvecs file.
pub(super) struct Fvecs<W>(W);

impl<W: Write> Fvecs<W> {
    pub(super) fn new(out: W) -> Self {
        Self(out)
    }
}

impl<W: Write + Send> Rows for Fvecs<W> {
    fn write(&mut self, row: &Row) -> io::Result<()> {
        let dimension = i32::try_from(row.vector.len()).map_err(io::Error::other)?;
        self.0.write_all(&dimension.to_le_bytes())?;
        for component in &row.vector {
            self.0.write_all(&component.to_le_bytes())?;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
