//! JSON lines: `{"key":…,"vector":[…],"metadata":{…}}`.

use std::io::{self, Write};

use super::Rows;
use crate::vectors_client::row::Row;

/// A file of JSON lines.
pub(super) struct Jsonl<W> {
    out: W,
    line: Vec<u8>,
}

impl<W: Write> Jsonl<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, line: Vec::new() }
    }
}

impl<W: Write + Send> Rows for Jsonl<W> {
    fn write(&mut self, row: &Row) -> io::Result<()> {
        self.line.clear();
        row.write_line(&mut self.line);
        self.out.write_all(&self.line)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
