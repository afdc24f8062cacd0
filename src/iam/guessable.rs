//! Secrets that strangers guess: fit for a store that only this machine can reach.

use std::net::SocketAddr;

/// Secrets printed in manuals: anyone who can reach the port tries these first.
const WELL_KNOWN_SECRETS: &[&str] = &[
    "minioadmin",
    "minio123",
    "minioadmin123",
    "rustfsadmin",
    "seaweedfs",
    "lodestore",
    "password",
    "password123",
    "changeme",
    "secret",
    "secretkey",
    "admin123",
    "12345678",
    "verySecretKey1",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "h7GhxuBLTrlhVUyxSpUKUV8r/2EI4ngqJxD7iBdBYLhwluN30JaT3Q==",
];

/// Shorter secrets can be guessed over a network.
const SECRET_BYTES_MIN: usize = 8;

/// Whether other machines can reach an address.
pub fn is_reachable(listen: SocketAddr) -> bool {
    !listen.ip().to_canonical().is_loopback()
}

/// Why a secret would be guessed, if it would.
pub fn weakness(access_key: &str, secret_key: &str) -> Option<&'static str> {
    if WELL_KNOWN_SECRETS.contains(&secret_key) {
        Some("the secret key is a well-known one")
    } else if secret_key == access_key {
        Some("the secret key equals the access key")
    } else if secret_key.len() < SECRET_BYTES_MIN {
        Some("the secret key is shorter than 8 characters")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{is_reachable, weakness};

    #[test]
    fn loopback_is_not_reachable() {
        for listen in ["127.0.0.1:9000", "127.8.0.1:9000", "[::1]:9000", "[::ffff:127.0.0.1]:1"] {
            assert!(!is_reachable(listen.parse().unwrap()), "{listen}");
        }
        for listen in ["0.0.0.0:9000", "[::]:9000", "192.0.2.7:9000", "[::ffff:192.0.2.7]:9000"] {
            assert!(is_reachable(listen.parse().unwrap()), "{listen}");
        }
    }

    #[test]
    fn guessable_secrets_are_named() {
        for (access_key, secret_key) in
            [("minio", "minio123"), ("someone", "someone"), ("someone", "1234567")]
        {
            assert!(weakness(access_key, secret_key).is_some(), "{access_key}");
        }
        assert_eq!(weakness("someone", "fX2k-91lmQ"), None);
    }
}
