//! The form of every record of the object model: a format byte, then fields.
//!
//! | bytes | meaning |
//! |---|---|
//! | 1 | format, [`FORMAT`] |
//! | then for each field: 1 | tag |
//! | varint | length of the field |
//! | length | the field |
//!
//! A varint is LEB128, at most ten bytes. Readers refuse tags they do not know: a record is kept
//! whole or not touched.

use super::error::ObjectError;

/// The format that this software writes and reads.
const FORMAT: u8 = 1;

/// Bytes that are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

impl From<Malformed> for ObjectError {
    fn from(malformed: Malformed) -> Self {
        tracing::error!(what = malformed.0, "a record of the object model cannot be read");
        Self::Internal
    }
}

/// Builds a record.
#[derive(Debug)]
pub(super) struct FieldWriter {
    bytes: Vec<u8>,
}

impl FieldWriter {
    pub(super) fn new() -> Self {
        Self { bytes: vec![FORMAT] }
    }

    /// Adds a field.
    pub(super) fn field(&mut self, tag: u8, field: &[u8]) {
        self.bytes.push(tag);
        put_varint(&mut self.bytes, field.len() as u64);
        self.bytes.extend_from_slice(field);
    }

    /// Adds a text, if there is one.
    pub(super) fn text(&mut self, tag: u8, text: Option<&String>) {
        if let Some(text) = text {
            self.field(tag, text.as_bytes());
        }
    }

    /// Adds a name with its value.
    pub(super) fn pair(&mut self, tag: u8, name: &str, value: &str) {
        let mut field = Vec::with_capacity(name.len() + value.len() + 2);
        put_varint(&mut field, name.len() as u64);
        field.extend_from_slice(name.as_bytes());
        field.extend_from_slice(value.as_bytes());
        self.field(tag, &field);
    }

    pub(super) fn finish(self) -> bytes::Bytes {
        self.bytes.into()
    }
}

/// Appends a varint.
pub(super) fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Reads what [`FieldWriter`] and [`put_varint`] wrote.
#[derive(Debug, Clone, Copy)]
pub(super) struct FieldReader<'a> {
    rest: &'a [u8],
}

impl<'a> FieldReader<'a> {
    /// Begins a record.
    pub(super) fn record(bytes: &'a [u8]) -> Result<Self, Malformed> {
        match bytes.split_first() {
            Some((&FORMAT, rest)) => Ok(Self { rest }),
            Some(_) => Err(Malformed("unknown format")),
            None => Err(Malformed("no format")),
        }
    }

    /// Begins inside a field.
    pub(super) fn inside(field: &'a [u8]) -> Self {
        Self { rest: field }
    }

    /// The next field with its tag, or none at the end.
    pub(super) fn next_field(&mut self) -> Result<Option<(u8, &'a [u8])>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.byte()?;
        let len = self.varint()?;
        let len = usize::try_from(len).map_err(|_| Malformed("field is too long"))?;
        Ok(Some((tag, self.bytes(len)?)))
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        let (&first, rest) = self.rest.split_first().ok_or(Malformed("cut off"))?;
        self.rest = rest;
        Ok(first)
    }

    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Malformed("cut off"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(Malformed("varint is too large"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed("varint is too long"))
    }

    /// A varint that fits 16 bits.
    pub(super) fn small(&mut self) -> Result<u16, Malformed> {
        u16::try_from(self.varint()?).map_err(|_| Malformed("number is too large"))
    }

    /// All of the rest.
    pub(super) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Ends a field: nothing may be left.
    pub(super) fn end(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed("field has a tail")) }
    }
}

/// A field that is text.
pub(super) fn text_of(field: &[u8]) -> Result<String, Malformed> {
    String::from_utf8(field.to_vec()).map_err(|_| Malformed("text is no UTF-8"))
}

/// A field that is a name with its value.
pub(super) fn pair_of(field: &[u8]) -> Result<(String, String), Malformed> {
    let mut reader = FieldReader::inside(field);
    let len = usize::try_from(reader.varint()?).map_err(|_| Malformed("name is too long"))?;
    Ok((text_of(reader.bytes(len)?)?, text_of(reader.rest())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_come_back() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            let mut reader = FieldReader::inside(&bytes);
            assert_eq!(reader.varint(), Ok(value));
            assert!(reader.end().is_ok());
        }
    }

    #[test]
    fn wrong_varints_are_refused() {
        for bytes in [&[][..], &[0x80], &[0xff; 10], &[0xff; 11]] {
            assert!(FieldReader::inside(bytes).varint().is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn fields_come_back_and_cuts_are_refused() {
        let mut writer = FieldWriter::new();
        writer.field(7, b"seven");
        writer.pair(9, "name", "value");
        let bytes = writer.finish();
        let mut reader = FieldReader::record(&bytes).unwrap();
        assert_eq!(reader.next_field(), Ok(Some((7, &b"seven"[..]))));
        let (tag, field) = reader.next_field().unwrap().unwrap();
        assert_eq!((tag, pair_of(field)), (9, Ok(("name".to_owned(), "value".to_owned()))));
        assert_eq!(reader.next_field(), Ok(None));
        for cut in (2..bytes.len()).filter(|&cut| cut != 8) {
            let mut reader = FieldReader::record(&bytes[..cut]).unwrap();
            let first = reader.next_field();
            assert!(first.is_err() || reader.next_field().is_err(), "cut at {cut}");
        }
        assert!(FieldReader::record(&[]).is_err());
        assert!(FieldReader::record(&[2]).is_err());
    }
}
