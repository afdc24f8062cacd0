//! The local keyring: the store's master key in one file, made once with the store.
//!
//! The file is text, so that it can be printed and kept in a safe:
//!
//! ```text
//! lodestore-keyring 1                       format version
//! key 0f1e2d3c4b5a6978 <64 hex digits>      key id, 256-bit key
//! crc32 1a2b3c4d                            CRC-32 of the lines above
//! ```
//!
//! - Without the keyring nothing in the store can be read. It is therefore never made for a store
//!   that exists already, and never replaced.
//! - A wrapped key begins with the id of the key that wrapped it, so that the wrong keyring is named
//!   as such and not taken for corruption.

use std::fmt;
use std::path::{Path, PathBuf};

use storage_engine::{Error, MasterKey, PlainMasterKey, Result};
use zeroize::Zeroizing;

use crate::secret_file;

/// Name of the keyring in the data directory.
pub const FILE_NAME: &str = "keyring";

const MAGIC: &str = "lodestore-keyring";
const FORMAT_VERSION: &str = "1";
const FILE_BYTES_MAX: u64 = 4096;
const KEY_ID_BYTES: usize = 8;
/// First byte of a wrapped key: the form of what follows.
const WRAP_FORM: u8 = 1;

type KeyId = [u8; KEY_ID_BYTES];

/// Whether there is a store that the keyring must fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreState {
    /// No store yet: a keyring may be made.
    Fresh,
    /// There is one: its keyring has to be here.
    Exists,
}

/// The master key of a store, from its keyring file or, for a store that ends with the process, in
/// memory only.
pub struct LocalKeyring {
    key_id: KeyId,
    key: PlainMasterKey,
    /// Other keys come from this one, which itself comes from the master key and wraps nothing.
    derivation: Zeroizing<[u8; 32]>,
}

/// Why there is no keyring to work with.
#[derive(Debug)]
pub enum KeyringError {
    /// The store exists and its keyring is not there.
    Missing(PathBuf),
    /// The file cannot be read, written or trusted.
    File(PathBuf, std::io::Error),
    /// The file is no keyring, or a damaged one.
    Damaged(PathBuf, &'static str),
    /// The system gives no randomness.
    Randomness,
}

impl fmt::Display for KeyringError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(
                f,
                "keyring `{}` is missing and the store exists: without it nothing in the store can \
                 be read; put it back from your copy (mode 0600)",
                path.display()
            ),
            Self::File(path, error) => write!(f, "keyring `{}`: {error}", path.display()),
            Self::Damaged(path, why) => write!(
                f,
                "keyring `{}` is damaged: {why}; put it back from your copy",
                path.display()
            ),
            Self::Randomness => f.write_str("the system gives no randomness to make a key from"),
        }
    }
}

impl std::error::Error for KeyringError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(_, error) => Some(error),
            _ => None,
        }
    }
}

impl LocalKeyring {
    /// The keyring in `directory`; made there, durably, when both it and the store are missing.
    pub fn open(directory: &Path, store: StoreState) -> Result<Self, KeyringError> {
        let path = directory.join(FILE_NAME);
        let text = secret_file::read(&path, FILE_BYTES_MAX);
        match (text, store) {
            (Ok(Some(text)), _) => {
                let (key_id, key) = parse(&text).map_err(|why| KeyringError::Damaged(path, why))?;
                Ok(Self::new(key_id, &key))
            }
            (Ok(None), StoreState::Exists) => Err(KeyringError::Missing(path)),
            (Ok(None), StoreState::Fresh) => {
                let (key_id, key) = generate()?;
                let text = print(&key_id, &key);
                secret_file::create(&path, text.as_bytes())
                    .map_err(|error| KeyringError::File(path, error))?;
                Ok(Self::new(key_id, &key))
            }
            (Err(error), _) => Err(KeyringError::File(path, error)),
        }
    }

    /// A key that is nowhere but in this process.
    pub fn in_memory() -> Result<Self, KeyringError> {
        let (key_id, key) = generate()?;
        Ok(Self::new(key_id, &key))
    }

    /// The id of the key, in hex.
    pub fn key_id(&self) -> String {
        hex::encode(self.key_id)
    }

    /// A key for one purpose, the same for as long as the store lives. Of two purposes' keys neither
    /// tells the other, nor the master key.
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        hmac(&self.derivation, purpose)
    }

    fn new(key_id: KeyId, key: &Zeroizing<[u8; 32]>) -> Self {
        let derivation = hmac(key, "lodestore key derivation 1");
        Self { key_id, key: PlainMasterKey::new(**key), derivation }
    }
}

impl fmt::Debug for LocalKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalKeyring({})", self.key_id())
    }
}

impl MasterKey for LocalKeyring {
    fn wrap(&self, key: &[u8; 32], context: &[u8]) -> Result<Vec<u8>> {
        let mut wrapped = vec![WRAP_FORM];
        wrapped.extend_from_slice(&self.key_id);
        wrapped.extend_from_slice(&self.key.wrap(key, context)?);
        Ok(wrapped)
    }

    fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<[u8; 32]> {
        let Some((&[WRAP_FORM], rest)) = wrapped.split_first_chunk::<1>() else {
            return Err(Error::Invalid("wrapped key is in no form that this release reads".into()));
        };
        let Some((key_id, inner)) = rest.split_first_chunk::<KEY_ID_BYTES>() else {
            return Err(Error::Invalid("wrapped key is cut short".into()));
        };
        if *key_id != self.key_id {
            return Err(Error::Invalid(format!(
                "wrong keyring: the store's keys are wrapped with key {}, the keyring holds {}",
                hex::encode(key_id),
                self.key_id()
            )));
        }
        self.key.unwrap(inner, context)
    }
}

fn hmac(key: &Zeroizing<[u8; 32]>, text: &str) -> Zeroizing<[u8; 32]> {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key.as_slice());
    let mut code = Zeroizing::new([0; 32]);
    code.copy_from_slice(aws_lc_rs::hmac::sign(&key, text.as_bytes()).as_ref());
    code
}

fn generate() -> Result<(KeyId, Zeroizing<[u8; 32]>), KeyringError> {
    let mut key_id = [0; KEY_ID_BYTES];
    let mut key = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(&mut key_id).map_err(|_| KeyringError::Randomness)?;
    aws_lc_rs::rand::fill(key.as_mut_slice()).map_err(|_| KeyringError::Randomness)?;
    Ok((key_id, key))
}

fn print(key_id: &KeyId, key: &Zeroizing<[u8; 32]>) -> Zeroizing<String> {
    let key = Zeroizing::new(hex::encode(key.as_slice()));
    let lines = Zeroizing::new(format!(
        "{MAGIC} {FORMAT_VERSION}\nkey {} {}\n",
        hex::encode(key_id),
        key.as_str()
    ));
    Zeroizing::new(format!("{}crc32 {:08x}\n", lines.as_str(), crc32(lines.as_bytes())))
}

fn parse(text: &str) -> Result<(KeyId, Zeroizing<[u8; 32]>), &'static str> {
    let header = text.lines().next().unwrap_or_default();
    match header.split_once(' ') {
        Some((MAGIC, FORMAT_VERSION)) => {}
        Some((MAGIC, _)) => return Err("its format version is newer than this release"),
        _ => return Err("it does not begin like a keyring"),
    }
    let at = text.rfind("crc32 ").ok_or("it has no checksum")?;
    let (lines, checksum) = text.split_at(at);
    let expected = format!("crc32 {:08x}", crc32(lines.as_bytes()));
    if checksum.trim_end() != expected {
        return Err("its checksum does not fit");
    }
    let mut words = lines.lines().nth(1).unwrap_or_default().split(' ');
    if words.next() != Some("key") {
        return Err("it holds no key");
    }
    let mut key_id = [0; KEY_ID_BYTES];
    let mut key = Zeroizing::new([0; 32]);
    hex::decode_to_slice(words.next().unwrap_or_default(), &mut key_id)
        .map_err(|_| "its key id is no hex")?;
    hex::decode_to_slice(words.next().unwrap_or_default(), key.as_mut_slice())
        .map_err(|_| "its key is no hex")?;
    Ok((key_id, key))
}

fn crc32(bytes: &[u8]) -> u64 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_keyring_parses() {
        let (key_id, key) = generate().unwrap();
        let (id_read, key_read) = parse(&print(&key_id, &key)).unwrap();
        assert_eq!((id_read, *key_read), (key_id, *key));
    }

    #[test]
    fn the_form_of_the_file_is_fixed() {
        let text = print(&[0x11; KEY_ID_BYTES], &Zeroizing::new([0x22; 32]));
        let key = "22".repeat(32);
        let lines = format!("lodestore-keyring 1\nkey 1111111111111111 {key}\n");
        assert_eq!(text.as_str(), format!("{lines}crc32 9ffbea9c\n"));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let (key_id, key) = generate().unwrap();
        let text = print(&key_id, &key);
        for at in 0..text.trim_end().len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] ^= 1;
            if let Ok(changed) = String::from_utf8(bytes) {
                assert!(parse(&changed).is_err(), "byte {at}");
            }
        }
        for len in 0..text.trim_end().len() {
            assert!(parse(&text[..len]).is_err(), "cut to {len}");
        }
    }

    #[test]
    fn a_keyring_is_made_once_and_never_for_an_existing_store() {
        let directory = tempfile::tempdir().unwrap();
        let missing = LocalKeyring::open(directory.path(), StoreState::Exists);
        assert!(matches!(missing, Err(KeyringError::Missing(_))));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);

        let first = LocalKeyring::open(directory.path(), StoreState::Fresh).unwrap();
        let second = LocalKeyring::open(directory.path(), StoreState::Exists).unwrap();
        assert_eq!(first.key_id(), second.key_id());
    }

    #[test]
    fn a_damaged_keyring_is_an_error_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        secret_file::create(&path, b"lodestore-keyring 1\nkey\n").unwrap();
        let damaged = LocalKeyring::open(directory.path(), StoreState::Fresh);
        assert!(matches!(damaged, Err(KeyringError::Damaged(..))));
        assert_eq!(std::fs::read(&path).unwrap(), b"lodestore-keyring 1\nkey\n");
    }

    #[test]
    fn a_wrapped_key_opens_under_its_context_only() {
        let keyring = LocalKeyring::in_memory().unwrap();
        let wrapped = keyring.wrap(&[7; 32], b"space 1").unwrap();
        assert_eq!(keyring.unwrap(&wrapped, b"space 1").unwrap(), [7; 32]);
        assert!(keyring.unwrap(&wrapped, b"space 2").is_err());
    }

    #[test]
    fn the_wrong_keyring_is_named() {
        let wrapped = LocalKeyring::in_memory().unwrap().wrap(&[7; 32], b"").unwrap();
        let error = LocalKeyring::in_memory().unwrap().unwrap(&wrapped, b"").unwrap_err();
        assert!(error.to_string().contains("wrong keyring"), "{error}");
        for len in 0..9 {
            let keyring = LocalKeyring::in_memory().unwrap();
            assert!(keyring.unwrap(&wrapped[..len], b"").is_err());
        }
    }
}
