//! The key hierarchy and sealing at rest.
//!
//! ```text
//! master key (operator) ─wraps─► space key ─derives─► wrap key  ─wraps─► data key (one a blob)
//!                                          └derives─► meta key  ─seals─► metadata of versions
//! ```
//!
//! Rules:
//! - A data key is random and serves exactly one creation attempt of one blob; its nonces are chunk
//!   numbers. Retry or crash means a new blob id and a new key.
//! - Associated data binds blob, chunk size, chunk number and "last chunk", not the place: copy,
//!   reclaim and completing an upload never re-encrypt, and a cut or swapped chunk is found.
//! - Wraps and metadata use random 96-bit nonces under keys that serve one space.
//!
//! Bulk work runs on aws-lc; `aes-gcm` wraps keys, serves where aws-lc is not built in (feature
//! `aws-lc` off), and is the oracle that the tests check the bulk path against.

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::environment::Environment;
use crate::error::{Corruption, Error, Result};
use crate::format::{ChunkSize, WRAPPED_KEY_BYTES};
use crate::id::{BlobId, SpaceId};

/// Bytes of an authentication tag.
pub(crate) const TAG_BYTES: usize = 16;
const NONCE_BYTES: usize = 12;

/// Wraps the keys of spaces. Held by the operator: a local keyring file, a KMS.
pub trait MasterKey: Send + Sync + 'static {
    /// Wraps a space's key; `context` must be given again to unwrap.
    fn wrap(&self, key: &[u8; 32], context: &[u8]) -> Result<Vec<u8>>;
    /// Opens what [`MasterKey::wrap`] made.
    fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<[u8; 32]>;
}

/// A master key held in memory. Wraps each context under a key derived for that context.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct PlainMasterKey {
    key: [u8; 32],
}

impl std::fmt::Debug for PlainMasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PlainMasterKey")
    }
}

impl PlainMasterKey {
    /// From 32 secret bytes.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key }
    }
}

impl MasterKey for PlainMasterKey {
    // The nonce is a MAC of the key being wrapped: two keys never share one, whatever is retried.
    fn wrap(&self, key: &[u8; 32], context: &[u8]) -> Result<Vec<u8>> {
        let wrapping = derive(&self.key, context)?;
        let nonce = first_nonce(derive(&wrapping, key)?.as_slice());
        Ok(WrapKey::new(&wrapping).wrap(key, context, nonce)?.to_vec())
    }

    fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<[u8; 32]> {
        let wrapped = wrapped.try_into().map_err(|_| wrong_key("wrapped space key"))?;
        let wrapping = derive(&self.key, context)?;
        WrapKey::new(&wrapping)
            .unwrap(wrapped, context)
            .map_err(|()| wrong_key("space key: is this the keyring of this store?"))
    }
}

/// The opened keys of one space.
pub(crate) struct SpaceKey {
    wrapping: WrapKey,
    meta: BulkKey,
}

impl std::fmt::Debug for SpaceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SpaceKey")
    }
}

/// A data key in clear.
pub(crate) type DataKey = Zeroizing<[u8; 32]>;

impl SpaceKey {
    /// Makes a fresh key for `space`; also answers it wrapped by the master key.
    pub(crate) fn create(
        environment: &dyn Environment,
        master: &dyn MasterKey,
        context: &[u8],
    ) -> Result<(Self, Vec<u8>)> {
        let mut key = Zeroizing::new([0; 32]);
        environment.fill_random(key.as_mut());
        let wrapped = master.wrap(&key, context)?;
        Ok((Self::new(&key)?, wrapped))
    }

    /// Opens a space's key.
    pub(crate) fn open(master: &dyn MasterKey, wrapped: &[u8], context: &[u8]) -> Result<Self> {
        Self::new(&Zeroizing::new(master.unwrap(wrapped, context)?))
    }

    fn new(key: &[u8; 32]) -> Result<Self> {
        let wrapping = derive(key, b"lodestore wrap")?;
        let meta = derive(key, b"lodestore meta")?;
        Ok(Self { wrapping: WrapKey::new(&wrapping), meta: BulkKey::new(&meta)? })
    }

    /// Wraps a data key for `blob`.
    pub(crate) fn wrap(
        &self,
        environment: &dyn Environment,
        blob: BlobId,
        key: &DataKey,
    ) -> Result<[u8; WRAPPED_KEY_BYTES]> {
        let mut nonce = [0; NONCE_BYTES];
        environment.fill_random(&mut nonce);
        self.wrapping.wrap(key, &blob.0.to_le_bytes(), nonce)
    }

    /// Opens a wrapped data key.
    pub(crate) fn unwrap(
        &self,
        blob: BlobId,
        wrapped: &[u8; WRAPPED_KEY_BYTES],
    ) -> Result<DataKey> {
        self.wrapping
            .unwrap(wrapped, &blob.0.to_le_bytes())
            .map(Zeroizing::new)
            .map_err(|()| wrong_key("data key"))
    }

    /// Seals metadata: nonce, ciphertext, tag.
    pub(crate) fn seal_meta(
        &self,
        environment: &dyn Environment,
        name: &[u8],
        meta: &[u8],
    ) -> Result<Vec<u8>> {
        let mut out = vec![0; NONCE_BYTES];
        environment.fill_random(&mut out);
        let nonce = first_nonce(&out);
        out.extend_from_slice(meta);
        let tag = self.meta.seal(nonce, name, out.get_mut(NONCE_BYTES..).unwrap_or_default())?;
        out.extend_from_slice(&tag);
        Ok(out)
    }

    /// Opens sealed metadata of `name`.
    pub(crate) fn open_meta(&self, name: &[u8], sealed: &[u8]) -> Result<Vec<u8>> {
        let at = sealed.len().checked_sub(TAG_BYTES).ok_or_else(|| wrong_key("metadata"))?;
        let (front, tag) = sealed.split_at(at);
        let mut data = front.get(NONCE_BYTES..).ok_or_else(|| wrong_key("metadata"))?.to_vec();
        self.meta
            .open(first_nonce(front), name, tag, &mut data)
            .map_err(|()| wrong_key("metadata"))?;
        Ok(data)
    }
}

/// The context under which a space's key is wrapped.
pub(crate) fn space_context(store: &[u8; 16], space: SpaceId) -> Vec<u8> {
    let mut context = b"lodestore space".to_vec();
    context.extend_from_slice(store);
    context.extend_from_slice(&space.0.to_le_bytes());
    context
}

/// Seals and opens the chunks of one blob.
pub(crate) struct BlobCipher {
    blob: BlobId,
    chunks: ChunkSize,
    key: BulkKey,
}

impl std::fmt::Debug for BlobCipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BlobCipher({})", self.blob)
    }
}

/// Whether chunks follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChunkEnd {
    /// More chunks follow this one.
    More,
    /// This is the last chunk of the blob.
    Last,
}

impl BlobCipher {
    /// A fresh data key for `blob` and its cipher.
    pub(crate) fn create(
        environment: &dyn Environment,
        blob: BlobId,
        chunks: ChunkSize,
    ) -> Result<(Self, DataKey)> {
        let mut key = Zeroizing::new([0; 32]);
        environment.fill_random(key.as_mut());
        Ok((Self::open(blob, chunks, &key)?, key))
    }

    /// The cipher of an existing blob.
    pub(crate) fn open(blob: BlobId, chunks: ChunkSize, key: &DataKey) -> Result<Self> {
        Ok(Self { blob, chunks, key: BulkKey::new(key)? })
    }

    /// Encrypts chunk `number` in place and answers its tag.
    pub(crate) fn seal_chunk(
        &self,
        number: u64,
        end: ChunkEnd,
        data: &mut [u8],
    ) -> Result<[u8; TAG_BYTES]> {
        self.key.seal(chunk_nonce(number), &self.chunk_context(number, end), data)
    }

    /// Decrypts chunk `number` in place; false when it is not what was sealed.
    pub(crate) fn open_chunk(
        &self,
        number: u64,
        end: ChunkEnd,
        tag: &[u8],
        data: &mut [u8],
    ) -> bool {
        self.key.open(chunk_nonce(number), &self.chunk_context(number, end), tag, data).is_ok()
    }

    fn chunk_context(&self, number: u64, end: ChunkEnd) -> [u8; 18] {
        let mut context = [0; 18];
        context[0] = match self.chunks {
            ChunkSize::Stream => 1,
            ChunkSize::Page => 2,
        };
        context[1..9].copy_from_slice(&self.blob.0.to_le_bytes());
        context[9..17].copy_from_slice(&number.to_le_bytes());
        context[17] = u8::from(end == ChunkEnd::Last);
        context
    }
}

fn chunk_nonce(number: u64) -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    nonce[4..].copy_from_slice(&number.to_be_bytes());
    nonce
}

fn first_nonce(data: &[u8]) -> [u8; NONCE_BYTES] {
    data.first_chunk().copied().unwrap_or([0; NONCE_BYTES])
}

fn wrong_key(what: &'static str) -> Error {
    Error::Corrupt(Corruption {
        zone: None,
        offset: 0,
        what,
        expected: "an authentic seal".to_owned(),
        found: "another key or changed bytes".to_owned(),
    })
}

fn cipher_failed() -> Error {
    Error::Invalid("cipher refused its input".to_owned())
}

/// The subkey for `label`: HMAC-SHA-256, as one block of the expand step of HKDF (RFC 5869).
fn derive(key: &[u8; 32], label: &[u8]) -> Result<Zeroizing<[u8; 32]>> {
    use hmac::Mac;
    let mut mac = <hmac::Hmac<sha2::Sha256> as hmac::KeyInit>::new_from_slice(key)
        .map_err(|_| cipher_failed())?;
    mac.update(label);
    mac.update(&[1]);
    Ok(Zeroizing::new(mac.finalize().into_bytes().into()))
}

/// Wraps keys. Its schedule is kept, as every read unwraps one, and is wiped when it is dropped.
struct WrapKey(Aes256Gcm);

impl WrapKey {
    fn new(key: &[u8; 32]) -> Self {
        Self(Aes256Gcm::new(&(*key).into()))
    }

    fn wrap(
        &self,
        key: &[u8; 32],
        context: &[u8],
        nonce: [u8; NONCE_BYTES],
    ) -> Result<[u8; WRAPPED_KEY_BYTES]> {
        let mut out = [0; WRAPPED_KEY_BYTES];
        out[..NONCE_BYTES].copy_from_slice(&nonce);
        out[NONCE_BYTES..NONCE_BYTES + 32].copy_from_slice(key);
        let sealed = (&mut out[NONCE_BYTES..NONCE_BYTES + 32]).into();
        let tag = self
            .0
            .encrypt_inout_detached(&nonce.into(), context, sealed)
            .map_err(|_| cipher_failed())?;
        out[NONCE_BYTES + 32..].copy_from_slice(&tag);
        Ok(out)
    }

    fn unwrap(&self, wrapped: &[u8; WRAPPED_KEY_BYTES], context: &[u8]) -> Result<[u8; 32], ()> {
        let mut key = [0; 32];
        key.copy_from_slice(&wrapped[NONCE_BYTES..NONCE_BYTES + 32]);
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&wrapped[NONCE_BYTES + 32..]);
        let nonce = first_nonce(wrapped).into();
        self.0
            .decrypt_inout_detached(&nonce, context, key.as_mut_slice().into(), &tag.into())
            .map_err(|_| key.zeroize())?;
        Ok(key)
    }
}

/// AES-256-GCM for bulk data, by aws-lc.
#[cfg(feature = "aws-lc")]
struct BulkKey(aws_lc_rs::aead::LessSafeKey);

#[cfg(feature = "aws-lc")]
impl BulkKey {
    fn new(key: &[u8; 32]) -> Result<Self> {
        use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| cipher_failed())?;
        Ok(Self(LessSafeKey::new(key)))
    }

    fn seal(&self, nonce: [u8; NONCE_BYTES], context: &[u8], data: &mut [u8]) -> Result<[u8; 16]> {
        use aws_lc_rs::aead::{Aad, Nonce};
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(context), data)
            .map_err(|_| cipher_failed())?;
        tag.as_ref().try_into().map_err(|_| cipher_failed())
    }

    fn open(
        &self,
        nonce: [u8; NONCE_BYTES],
        context: &[u8],
        tag: &[u8],
        data: &mut [u8],
    ) -> Result<(), ()> {
        use aws_lc_rs::aead::{Aad, Nonce};
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0
            .open_in_place_separate_tag(nonce, Aad::from(context), tag, data)
            .map(|_| ())
            .map_err(|_| ())
    }
}

/// AES-256-GCM for bulk data, portable.
#[cfg(not(feature = "aws-lc"))]
use portable::PortableKey as BulkKey;

#[cfg(any(test, not(feature = "aws-lc")))]
mod portable {
    use super::*;

    /// The portable cipher: the fallback, and the oracle of the tests.
    pub(super) struct PortableKey(Aes256Gcm);

    impl PortableKey {
        pub(super) fn new(key: &[u8; 32]) -> Result<Self> {
            Ok(Self(Aes256Gcm::new(&(*key).into())))
        }

        pub(super) fn seal(
            &self,
            nonce: [u8; NONCE_BYTES],
            context: &[u8],
            data: &mut [u8],
        ) -> Result<[u8; 16]> {
            let tag = self
                .0
                .encrypt_inout_detached(&nonce.into(), context, data.into())
                .map_err(|_| cipher_failed())?;
            Ok(tag.into())
        }

        pub(super) fn open(
            &self,
            nonce: [u8; NONCE_BYTES],
            context: &[u8],
            tag: &[u8],
            data: &mut [u8],
        ) -> Result<(), ()> {
            let tag: [u8; 16] = tag.try_into().map_err(|_| ())?;
            self.0
                .decrypt_inout_detached(&nonce.into(), context, data.into(), &tag.into())
                .map_err(|_| ())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::SystemEnvironment;

    #[test]
    fn bulk_cipher_agrees_with_the_portable_oracle() {
        let environment = SystemEnvironment::new(None);
        for len in [0, 1, 15, 16, 17, 4096, 65_536] {
            let mut key = [0; 32];
            environment.fill_random(&mut key);
            let mut plain = vec![0; len];
            environment.fill_random(&mut plain);
            let (fast, oracle) =
                (BulkKey::new(&key).unwrap(), portable::PortableKey::new(&key).unwrap());
            let (mut a, mut b) = (plain.clone(), plain.clone());
            let tag_a = fast.seal([7; 12], b"context", &mut a).unwrap();
            let tag_b = oracle.seal([7; 12], b"context", &mut b).unwrap();
            assert_eq!((&a, tag_a), (&b, tag_b), "length {len}");
            oracle.open([7; 12], b"context", &tag_a, &mut a).unwrap();
            fast.open([7; 12], b"context", &tag_b, &mut b).unwrap();
            assert_eq!((&a, &b), (&plain, &plain), "length {len}");
        }
    }

    #[test]
    fn a_chunk_opens_only_in_its_place() {
        let environment = SystemEnvironment::new(None);
        let size = ChunkSize::Stream;
        let (cipher, key) = BlobCipher::create(&environment, BlobId(9), size).unwrap();
        let mut sealed = b"some bytes".to_vec();
        let tag = cipher.seal_chunk(3, ChunkEnd::More, &mut sealed).unwrap();
        let other = BlobCipher::open(BlobId(10), size, &key).unwrap();
        let pages = BlobCipher::open(BlobId(9), ChunkSize::Page, &key).unwrap();
        for (cipher, number, end, opens) in [
            (&cipher, 3, ChunkEnd::More, true),
            (&cipher, 4, ChunkEnd::More, false),
            (&cipher, 3, ChunkEnd::Last, false),
            (&other, 3, ChunkEnd::More, false),
            (&pages, 3, ChunkEnd::More, false),
        ] {
            let got = cipher.open_chunk(number, end, &tag, &mut sealed.clone());
            assert_eq!(got, opens, "{cipher:?} {number} {end:?}");
        }
    }

    #[test]
    fn keys_open_only_under_their_own_context() {
        let environment = SystemEnvironment::new(None);
        let master = PlainMasterKey::new([1; 32]);
        let (space, wrapped) = SpaceKey::create(&environment, &master, b"one").unwrap();
        assert!(SpaceKey::open(&master, &wrapped, b"two").is_err());
        assert!(SpaceKey::open(&PlainMasterKey::new([2; 32]), &wrapped, b"one").is_err());
        let again = SpaceKey::open(&master, &wrapped, b"one").unwrap();
        let (_, key) = BlobCipher::create(&environment, BlobId(1), ChunkSize::Page).unwrap();
        let wrapped = space.wrap(&environment, BlobId(1), &key).unwrap();
        assert_eq!(*again.unwrap(BlobId(1), &wrapped).unwrap(), *key);
        assert!(again.unwrap(BlobId(2), &wrapped).is_err());
        let sealed = space.seal_meta(&environment, b"name", b"meta").unwrap();
        assert_eq!(again.open_meta(b"name", &sealed).unwrap(), b"meta");
        assert!(again.open_meta(b"other", &sealed).is_err());
        for cut in 0..sealed.len() {
            assert!(again.open_meta(b"name", &sealed[..cut]).is_err());
        }
    }
}
