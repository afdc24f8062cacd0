//! Opaque continuation tokens.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::ObjectError;

/// Where a page ended: the last name that was shown, opaque to clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageToken(pub(super) String);

/// First byte of every token: the format version.
const FORMAT: u8 = 1;

impl PageToken {
    /// The name after which the next page begins, for `start-after` of a [`super::List`].
    pub fn last(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PageToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![FORMAT];
        bytes.extend_from_slice(self.0.as_bytes());
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for PageToken {
    type Err = ObjectError;

    fn from_str(text: &str) -> Result<Self, ObjectError> {
        let wrong = || ObjectError::argument("The continuation token provided is incorrect");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
        match bytes.split_first() {
            Some((&FORMAT, name)) if !name.is_empty() => {
                String::from_utf8(name.to_vec()).map(Self).map_err(|_| wrong())
            }
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back() {
        for name in ["a", "dir/", "ключ/\u{10ffff}", " +%"] {
            let token = PageToken(name.to_owned());
            assert_eq!(token.to_string().parse(), Ok(token));
        }
    }

    #[test]
    fn foreign_tokens_are_refused() {
        for text in ["", "x", "AQ", "AmE", "AWE=", "Af8", "../.."] {
            assert!(text.parse::<PageToken>().is_err(), "{text}");
        }
    }
}
