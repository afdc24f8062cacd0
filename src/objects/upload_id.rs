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

use super::error::ObjectError;

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
