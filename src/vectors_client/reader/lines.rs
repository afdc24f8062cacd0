//! Lines of a text, of bounded length.

use std::io::{BufRead, Read};

/// A row of 4,096 components at 25 digits with 512 KiB of metadata takes a seventh of it.
const LINE_BYTES_MAX: usize = 4 << 20;

/// A text that is read line by line.
pub(super) struct Lines<R> {
    input: R,
    line: u64,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, line: 0, buffer: Vec::new() }
    }

    /// Number of the line that was read last, from 1.
    pub(super) fn number(&self) -> u64 {
        self.line
    }

    /// The next line that is not blank; none: there are no more.
    pub(super) fn read(&mut self) -> Result<Option<&[u8]>, String> {
        loop {
            self.buffer.clear();
            let mut input = (&mut self.input).take(LINE_BYTES_MAX as u64 + 1);
            let count = input.read_until(b'\n', &mut self.buffer).map_err(|e| e.to_string())?;
            if count == 0 {
                return Ok(None);
            }
            self.line += 1;
            if count > LINE_BYTES_MAX {
                return Err(format!("the line has more than {LINE_BYTES_MAX} bytes"));
            }
            if !self.buffer.trim_ascii().is_empty() {
                return Ok(Some(self.buffer.trim_ascii()));
            }
        }
    }

    /// Passes over so many lines that are not blank; answers how many there were.
    pub(super) fn skip(&mut self, lines: u64) -> Result<u64, String> {
        for skipped in 0..lines {
            if self.read()?.is_none() {
                return Ok(skipped);
            }
        }
        Ok(lines)
    }
}
