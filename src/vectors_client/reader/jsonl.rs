//! JSON lines: `{"key":…,"vector":[…],"metadata":{…}}`, or `"data":{"float32":[…]}` as the API has it.
//! Blank lines are no rows; members of other names are refused, since one is easily misspelt.

use std::io::BufRead;

use super::lines::Lines;
use super::{FileRow, Rows};
use crate::vectors_client::row::JsonRow;

/// Rows of JSON lines.
pub(super) struct Jsonl<R>(Lines<R>);

impl<R: BufRead> Jsonl<R> {
    pub(super) fn new(input: R) -> Self {
        Self(Lines::new(input))
    }
}

impl<R: BufRead + Send> Rows for Jsonl<R> {
    fn read(&mut self) -> Result<Option<FileRow>, String> {
        let Some(line) = self.0.read()? else { return Ok(None) };
        let mut row: JsonRow = serde_json::from_slice(line).map_err(|error| said(&error))?;
        let vector = row.take_vector()?;
        Ok(Some(FileRow { key: row.key, vector, metadata: row.metadata }))
    }

    fn skip(&mut self, rows: u64) -> Result<u64, String> {
        self.0.skip(rows)
    }

    fn line(&self) -> Option<u64> {
        Some(self.0.number())
    }
}

/// What the parser says, but for its line, which is always the first.
pub(super) fn said(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let column = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&column) {
        Some(text) => format!("{text} at column {}", error.column()),
        None => text,
    }
}
