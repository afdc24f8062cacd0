//! Tokens of pages: where a page ended, sealed against change, bound to who asked for what, and good
//! for a time.
//!
//! URL-safe base64 of: form `u8` (1), end of life `u64` big endian in ms since 1970, HMAC-SHA-256 of
//! 32 bytes over form, end, binding and cursor, and the cursor.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use storage_engine::Environment;
use zeroize::Zeroizing;

use super::error::{Failure, Result};

const FORM: u8 = 1;
const HEAD_BYTES: usize = 9;
const MAC_BYTES: usize = 32;
/// A block of SHA-256.
const BLOCK_BYTES: usize = 64;

/// What a token belongs to: an operation, who asks, and the parameters that must not change.
#[derive(Debug, Clone)]
pub(super) struct Binding(Sha256);

impl Binding {
    /// To an operation of a principal.
    pub(super) fn new(operation: &str, principal: &str) -> Self {
        Self(Sha256::new()).with(operation.as_bytes()).with(principal.as_bytes())
    }

    /// And to one more parameter.
    #[must_use]
    pub(super) fn with(mut self, parameter: &[u8]) -> Self {
        // With lengths, so that no two lists of parameters look alike.
        self.0.update((parameter.len() as u64).to_be_bytes());
        self.0.update(parameter);
        self
    }

    /// All of it in few bytes.
    pub(super) fn digest(&self) -> [u8; 32] {
        self.0.clone().finalize().into()
    }
}

/// Makes and reads tokens.
pub(super) struct Tokens {
    /// The key, filled up to a block of the hash with zeros as HMAC does itself.
    key: Zeroizing<[u8; BLOCK_BYTES]>,
    environment: Arc<dyn Environment>,
}

impl Tokens {
    /// With a key that nothing else uses.
    pub(super) fn new(key: &[u8; 32], environment: Arc<dyn Environment>) -> Self {
        let mut block = Zeroizing::new([0; BLOCK_BYTES]);
        block[..key.len()].copy_from_slice(key);
        Self { key: block, environment }
    }

    /// A token for the page behind `cursor`.
    pub(super) fn issue(&self, binding: &Binding, life: Duration, cursor: &[u8]) -> String {
        let life_ms = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
        let mut token = vec![FORM];
        token.extend_from_slice(&self.environment.now_ms().saturating_add(life_ms).to_be_bytes());
        let code = self.code(&token, binding, cursor).finalize().into_bytes();
        token.extend_from_slice(&code);
        token.extend_from_slice(cursor);
        URL_SAFE_NO_PAD.encode(token)
    }

    /// The cursor of a token of this binding.
    pub(super) fn open(&self, binding: &Binding, token: &str) -> Result<Vec<u8>> {
        let refused = || Failure::field("nextToken", "The next token is not valid");
        let token = URL_SAFE_NO_PAD.decode(token).map_err(|_| refused())?;
        let (head, rest) = token.split_at_checked(HEAD_BYTES).ok_or_else(refused)?;
        let (code, cursor) = rest.split_at_checked(MAC_BYTES).ok_or_else(refused)?;
        self.code(head, binding, cursor).verify_slice(code).map_err(|_| refused())?;
        let end = head.get(1..).and_then(|end| end.try_into().ok()).map(u64::from_be_bytes);
        if head.first() != Some(&FORM) || end.is_none_or(|end| end < self.environment.now_ms()) {
            return Err(Failure::field("nextToken", "The next token has expired"));
        }
        Ok(cursor.to_vec())
    }

    fn code(&self, head: &[u8], binding: &Binding, cursor: &[u8]) -> Hmac<Sha256> {
        let mut code = Hmac::<Sha256>::new(&(*self.key).into());
        code.update(head);
        code.update(&binding.digest());
        code.update(cursor);
        code
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use storage_engine::media::SimEnvironment;

    use super::*;

    const LIFE: Duration = Duration::from_secs(60);

    fn tokens(key: u8) -> Tokens {
        Tokens::new(&[key; 32], Arc::new(SimEnvironment::new(1)))
    }

    fn binding() -> Binding {
        Binding::new("ListVectors", "alice").with(b"bucket").with(b"index")
    }

    #[test]
    fn a_token_comes_back_to_whom_it_was_made_for() {
        let tokens = tokens(1);
        for cursor in [&b""[..], b"k", &[0xff; 1100]] {
            let token = tokens.issue(&binding(), LIFE, cursor);
            assert!(token.len() <= 2048, "{}", token.len());
            assert_eq!(tokens.open(&binding(), &token).unwrap(), cursor);
        }
    }

    #[test]
    fn forged_foreign_and_old_tokens_are_refused() {
        let ours = tokens(1);
        let token = ours.issue(&binding(), LIFE, b"cursor");
        for foreign in [
            Binding::new("ListVectors", "bob").with(b"bucket").with(b"index"),
            Binding::new("QueryVectors", "alice").with(b"bucket").with(b"index"),
            Binding::new("ListVectors", "alice").with(b"bucketi").with(b"ndex"),
            Binding::new("ListVectors", "alice").with(b"bucket"),
        ] {
            assert!(ours.open(&foreign, &token).is_err());
        }
        assert!(tokens(2).open(&binding(), &token).is_err());
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for place in 0..bytes.len() {
            let mut forged = bytes.clone();
            forged[place] ^= 1;
            assert!(ours.open(&binding(), &URL_SAFE_NO_PAD.encode(forged)).is_err(), "{place}");
        }
        for cut in 0..bytes.len() {
            assert!(ours.open(&binding(), &URL_SAFE_NO_PAD.encode(&bytes[..cut])).is_err());
        }
        for text in ["", "=", "not a token", "AQ"] {
            assert!(ours.open(&binding(), text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_token_ends_with_its_life() {
        let environment = Arc::new(SimEnvironment::new(1));
        let tokens = Tokens::new(&[1; 32], Arc::<SimEnvironment>::clone(&environment));
        let token = tokens.issue(&binding(), LIFE, b"c");
        environment.advance(LIFE - Duration::from_millis(1));
        assert!(tokens.open(&binding(), &token).is_ok());
        environment.advance(Duration::from_secs(1));
        assert_eq!(
            tokens.open(&binding(), &token).unwrap_err().message,
            "The next token has expired"
        );
    }
}
