//! Names of uploads, and the names of their records in the bucket's `uploads` space.
//!
//! | record | name |
//! |---|---|
//! | upload | `u` key `00` id in 22 sort bytes |
//! | part | `p` id in 16 bytes, part number in 2 bytes, big-endian |
//! | ended upload | `e` id in 16 bytes |
//!
//! Ids begin with the time they were made, so the uploads of a key sort by age. Sort bytes carry
//! six bits each and look like UTF-8 continuation bytes: no delimiter can be found inside an id.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use storage_engine::Environment;

use super::error::ObjectError;
use super::key::key_of;

/// The id of a multipart upload: 32 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UploadId(pub(super) [u8; 16]);

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for UploadId {
    type Err = ObjectError;

    fn from_str(text: &str) -> Result<Self, ObjectError> {
        let mut id = [0; 16];
        hex::decode_to_slice(text, &mut id).map_err(|_| ObjectError::NoSuchUpload)?;
        Ok(Self(id))
    }
}

const UPLOAD: u8 = b'u';
const PART: u8 = b'p';
const ENDED: u8 = b'e';
/// Between a key and an id: below every byte of a key, so that uploads sort by key.
const SEPARATOR: u8 = 0;
/// Bytes of an id in the name of an upload.
const SORT_BYTES: usize = 22;

impl UploadId {
    /// A new id: 48 bits of time, 80 random bits.
    pub(super) fn new(environment: &dyn Environment) -> Self {
        let mut id = [0; 16];
        environment.fill_random(&mut id);
        let time = environment.now_ms().to_be_bytes();
        for (to, from) in id.iter_mut().zip(time.iter().skip(2)).take(6) {
            *to = *from;
        }
        Self(id)
    }

    /// The id in six bits a byte; keeps the order of ids.
    fn sort_bytes(self) -> [u8; SORT_BYTES] {
        let bits = u128::from_be_bytes(self.0);
        let mut bytes = [0; SORT_BYTES];
        for (byte, shift) in bytes.iter_mut().rev().zip((0..128).step_by(6)) {
            *byte = 0x80 | ((bits >> shift) & 0x3f) as u8;
        }
        bytes
    }

    fn of_sort_bytes(bytes: &[u8]) -> Self {
        let bits = bytes.iter().fold(0_u128, |bits, byte| bits << 6 | u128::from(byte & 0x3f));
        Self(bits.to_be_bytes())
    }

    /// Name of the upload's record.
    pub(super) fn upload_name(self, key: &str) -> Bytes {
        [&[UPLOAD], key.as_bytes(), &[SEPARATOR], &self.sort_bytes()].concat().into()
    }

    /// Name of a part's record.
    pub(super) fn part_name(self, number: u16) -> Bytes {
        [&[PART], &self.0[..], &number.to_be_bytes()].concat().into()
    }

    /// What the names of all its parts begin with.
    pub(super) fn part_prefix(self) -> Bytes {
        [&[PART], &self.0[..]].concat().into()
    }

    /// Name of the record that stays when the upload has ended.
    pub(super) fn ended_name(self) -> Bytes {
        [&[ENDED], &self.0[..]].concat().into()
    }
}

/// What the names of uploads of keys with this beginning begin with.
pub(super) fn upload_prefix(key_prefix: &str) -> Bytes {
    [&[UPLOAD], key_prefix.as_bytes()].concat().into()
}

/// A name that sorts after all uploads of a key and before those of the next one.
pub(super) fn after_uploads(key: &str) -> Bytes {
    [&[UPLOAD], key.as_bytes(), &[SEPARATOR], &[0xbf; SORT_BYTES], &[SEPARATOR]].concat().into()
}

/// What the names of all ended uploads begin with.
pub(super) fn ended_prefix() -> Bytes {
    Bytes::from_static(&[ENDED])
}

/// The key and the id in the name of an upload's record.
pub(super) fn parse_upload_name(name: &[u8]) -> Option<(String, UploadId)> {
    let (key, id) = name.split_last_chunk::<SORT_BYTES>()?;
    let key = key.strip_prefix(&[UPLOAD])?.strip_suffix(&[SEPARATOR])?;
    Some((key_of(key), UploadId::of_sort_bytes(id)))
}

/// The key prefix in a folded name.
pub(super) fn parse_upload_prefix(name: &[u8]) -> Option<String> {
    name.strip_prefix(&[UPLOAD]).map(key_of)
}

/// The number in the name of a part's record.
pub(super) fn parse_part_name(name: &[u8]) -> Option<u16> {
    name.last_chunk().map(|number| u16::from_be_bytes(*number))
}

/// The id in the name of an ended upload's record.
pub(super) fn parse_ended_name(name: &[u8]) -> Option<UploadId> {
    name.strip_prefix(&[ENDED])?.try_into().ok().map(UploadId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names_come_back() {
        for id in [[0; 16], [0xff; 16], *b"0123456789abcdef"].map(UploadId) {
            assert_eq!(id.to_string().parse(), Ok(id));
            for key in ["k", "dir/ä", "with\0nul", "u"] {
                let name = id.upload_name(key);
                assert_eq!(parse_upload_name(&name), Some((key.to_owned(), id)));
                assert!(name < after_uploads(key));
            }
            assert_eq!(parse_part_name(&id.part_name(10_000)), Some(10_000));
            assert!(id.part_name(1) < id.part_name(256));
            assert!(id.part_name(7).starts_with(&id.part_prefix()));
            assert_eq!(parse_ended_name(&id.ended_name()), Some(id));
        }
        assert_eq!("nonsense".parse::<UploadId>(), Err(ObjectError::NoSuchUpload));
    }

    #[test]
    fn uploads_sort_by_key_then_by_id() {
        let early = UploadId([1; 16]);
        let late = UploadId([2; 16]);
        let names = [
            early.upload_name("a"),
            late.upload_name("a"),
            after_uploads("a"),
            early.upload_name("a!"),
            early.upload_name("a/b"),
            early.upload_name("ab"),
        ];
        assert!(names.is_sorted());
    }

    #[test]
    fn no_delimiter_is_found_inside_an_id() {
        let name = UploadId(*b"0123456789abcdef").upload_name("");
        assert!(name[2..].iter().all(|byte| (0x80..0xc0).contains(byte)));
    }
}
