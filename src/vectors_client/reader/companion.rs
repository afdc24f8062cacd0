//! Keys and metadata beside a file of bare vectors: JSON lines, one for each row in its order,
//! `{"key":…,"metadata":{…}}` with both optional.

use std::io::BufRead;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Input;
use super::jsonl::said;
use super::lines::Lines;

/// A file beside another.
pub(super) struct Companion {
    name: String,
    lines: Lines<std::io::BufReader<Input>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: Option<String>,
    metadata: Option<Box<RawValue>>,
}

impl Companion {
    pub(super) fn new(name: String, input: std::io::BufReader<Input>) -> Self {
        Self { name, lines: Lines::new(input) }
    }

    /// Key and metadata of the next row.
    pub(super) fn read(&mut self) -> Result<(Option<String>, Option<Box<RawValue>>), String> {
        let read = read(&mut self.lines);
        read.map_err(|why| self.blame(&why))
    }

    /// Passes over so many rows.
    pub(super) fn skip(&mut self, rows: u64) -> Result<(), String> {
        match self.lines.skip(rows) {
            Ok(skipped) if skipped == rows => Ok(()),
            Ok(_) => Err(self.blame("it has fewer rows")),
            Err(why) => Err(self.blame(&why)),
        }
    }

    /// Insists that no rows are left.
    pub(super) fn end(&mut self) -> Result<(), String> {
        match self.lines.read() {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(self.blame("it has more rows than there are vectors")),
            Err(why) => Err(self.blame(&why)),
        }
    }

    fn blame(&self, why: &str) -> String {
        format!("{} line {}: {why}", self.name, self.lines.number())
    }
}

fn read<R: BufRead>(
    lines: &mut Lines<R>,
) -> Result<(Option<String>, Option<Box<RawValue>>), String> {
    let line = lines.read()?.ok_or("it has fewer rows than there are vectors")?;
    let Line { key, metadata } = serde_json::from_slice(line).map_err(|error| said(&error))?;
    Ok((key, metadata))
}
