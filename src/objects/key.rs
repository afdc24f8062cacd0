//! Keys as names of the engine.

use bytes::Bytes;

use super::error::{ObjectError, Result};
use super::limits::KEY_BYTES_MAX;

/// The engine's name of a key: its bytes.
pub(super) fn name_of(key: &str) -> Result<Bytes> {
    check_key(key)?;
    Ok(Bytes::copy_from_slice(key.as_bytes()))
}

/// Checks a key's length.
pub(super) fn check_key(key: &str) -> Result<()> {
    match key.len() {
        0 => Err(ObjectError::argument("A key must have at least one character.")),
        1..=KEY_BYTES_MAX => Ok(()),
        _ => Err(ObjectError::KeyTooLong),
    }
}

/// The key of a name. Names were made of keys, so nothing is ever lost.
pub(super) fn key_of(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_a_length() {
        assert!(name_of("").is_err());
        assert!(name_of(&"k".repeat(1024)).is_ok());
        assert_eq!(name_of(&"k".repeat(1025)), Err(ObjectError::KeyTooLong));
        assert_eq!(name_of(&"ä".repeat(513)), Err(ObjectError::KeyTooLong));
        assert_eq!(key_of(&name_of("../a//b/").unwrap()), "../a//b/");
    }
}
