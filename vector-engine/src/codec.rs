//! Reading encoded parts: a cursor that takes any bytes and never panics.

use crate::error::{Error, Result};

/// Bytes being read from the front.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Cursor<'a> {
    /// Begins to read `what`.
    pub(crate) fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { rest: bytes, what }
    }

    /// The error that says what is wrong with what is read.
    pub(crate) fn corrupt(&self, found: &str) -> Error {
        Error::Corrupt(format!("{}: {found}", self.what))
    }

    /// The next `len` bytes.
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (head, rest) =
            self.rest.split_at_checked(len).ok_or_else(|| self.corrupt("it ends early"))?;
        self.rest = rest;
        Ok(head)
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let head = self.take(N)?;
        head.try_into().map_err(|_| self.corrupt("it ends early"))
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// UTF-8 of `len` bytes.
    pub(crate) fn text(&mut self, len: usize) -> Result<&'a str> {
        let bytes = self.take(len)?;
        std::str::from_utf8(bytes).map_err(|_| self.corrupt("text that is not utf-8"))
    }

    /// Components of a vector.
    pub(crate) fn floats(&mut self, count: usize) -> Result<Vec<f32>> {
        let bytes = self.take(count.saturating_mul(4))?;
        Ok(floats_of(bytes).collect())
    }

    /// Checks the magic and the format version that a part begins with.
    pub(crate) fn begin(&mut self, magic: &[u8; 8], version: u16) -> Result<()> {
        if self.array::<8>()? != *magic {
            return Err(self.corrupt("another magic"));
        }
        let found = self.u16()?;
        if found != version {
            return Err(self.corrupt(&format!("format version {found}, expected {version}")));
        }
        Ok(())
    }

    /// Errs unless all was read.
    pub(crate) fn end(&self) -> Result<()> {
        match self.rest.is_empty() {
            true => Ok(()),
            false => Err(self.corrupt("bytes behind its end")),
        }
    }

    /// What is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

/// The little-endian floats that `bytes` are; what is left over is ignored.
pub(crate) fn floats_of(bytes: &[u8]) -> impl Iterator<Item = f32> + '_ {
    bytes.chunks_exact(4).map(|four| match *four {
        [a, b, c, d] => f32::from_le_bytes([a, b, c, d]),
        _ => 0.0,
    })
}

/// Appends floats, little-endian.
pub(crate) fn put_floats(out: &mut Vec<u8>, floats: &[f32]) {
    out.reserve(floats.len() * 4);
    for float in floats {
        out.extend_from_slice(&float.to_le_bytes());
    }
}
