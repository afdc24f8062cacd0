//! Signing keys: derived once a day for each access key, region and service, and kept.
//!
//! A key enters the cache only after a signature made with it was right, so strangers cannot fill
//! it; what is kept is wiped when it goes.

use std::collections::HashMap;

use hmac::{Hmac, KeyInit, Mac};
use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{Credential, RequestTime};
use crate::iam::SecretKey;
use crate::server::limits::SIGNING_KEYS_MAX;

/// A key derived for one day, region and service.
#[derive(Clone)]
pub struct SigningKey(Zeroizing<[u8; 32]>);

impl SigningKey {
    /// Derives the key of a credential's scope.
    pub fn derive(secret: &SecretKey, credential: &Credential<'_>) -> Self {
        let first = Zeroizing::new(format!("AWS4{}", secret.expose()));
        let day = Zeroizing::new(hmac(first.as_bytes(), credential.day.as_bytes()));
        let region = Zeroizing::new(hmac(&*day, credential.region.as_bytes()));
        let service = Zeroizing::new(hmac(&*region, credential.service.as_bytes()));
        Self(Zeroizing::new(hmac(&*service, b"aws4_request")))
    }

    /// The signature of a text.
    pub fn sign(&self, text: &[u8]) -> [u8; 32] {
        hmac(&*self.0, text)
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// Derived keys by credential.
#[derive(Debug, Default)]
pub struct SigningKeys {
    kept: RwLock<HashMap<String, SigningKey>>,
}

impl SigningKeys {
    /// The key of a credential, if it is kept.
    pub fn find(&self, credential: &Credential<'_>) -> Option<SigningKey> {
        self.kept.read().get(credential.text).cloned()
    }

    /// Keeps a key that made a right signature.
    pub fn keep(&self, credential: &Credential<'_>, key: &SigningKey) {
        let mut kept = self.kept.write();
        if kept.len() >= SIGNING_KEYS_MAX {
            // Mostly keys of days gone by; those still in use are derived again.
            kept.clear();
        }
        kept.insert(credential.text.to_owned(), key.clone());
    }
}

/// Signs what follows a request: each signature continues the one before.
pub struct ChunkSigner {
    key: SigningKey,
    /// Time and scope, two lines.
    context: String,
    previous: [u8; 32],
}

impl ChunkSigner {
    pub(super) fn new(
        key: SigningKey,
        time: &RequestTime,
        credential: &Credential<'_>,
        seed: [u8; 32],
    ) -> Self {
        let context = [time.text(), credential.scope].join("\n");
        Self { key, context, previous: seed }
    }

    /// The signature of the next chunk, given the hash of its data.
    pub fn sign_chunk(&mut self, data_sha256: [u8; 32]) -> [u8; 32] {
        let nothing = hex::encode(Sha256::digest(b""));
        let hash = hex::encode(data_sha256);
        self.sign_next(&["AWS4-HMAC-SHA256-PAYLOAD", &nothing, &hash])
    }

    /// The signature of the trailer, given its lines `name:value\n`.
    pub fn sign_trailer(&mut self, lines: &[u8]) -> [u8; 32] {
        let hash = hex::encode(Sha256::digest(lines));
        self.sign_next(&["AWS4-HMAC-SHA256-TRAILER", &hash])
    }

    fn sign_next(&mut self, parts: &[&str]) -> [u8; 32] {
        let previous = hex::encode(self.previous);
        let mut lines = parts.to_vec();
        lines.splice(1..1, [self.context.as_str(), &previous]);
        self.previous = self.key.sign(lines.join("\n").as_bytes());
        self.previous
    }
}

impl std::fmt::Debug for ChunkSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkSigner").field("context", &self.context).finish_non_exhaustive()
    }
}

fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("keys of every length");
    mac.update(text);
    mac.finalize().into_bytes().into()
}
