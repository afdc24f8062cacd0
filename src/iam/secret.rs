//! A secret in memory: wiped when dropped, never printed, compared in constant time.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A secret access key.
#[derive(Clone)]
pub struct SecretKey(Zeroizing<String>);

impl SecretKey {
    /// Takes over `text`, which is wiped with it.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret itself, for deriving signing keys.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for SecretKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for SecretKey {}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

impl<'de> serde::Deserialize<'de> for SecretKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::SecretKey;

    #[test]
    fn debug_shows_nothing() {
        let secret = SecretKey::new("topsecret".into());
        assert_eq!(format!("{secret:?}"), "SecretKey(..)");
    }

    #[test]
    fn comparison_is_by_value() {
        assert_eq!(SecretKey::new("a".into()), SecretKey::new("a".into()));
        assert_ne!(SecretKey::new("a".into()), SecretKey::new("b".into()));
        assert_ne!(SecretKey::new("a".into()), SecretKey::new("ab".into()));
    }
}
