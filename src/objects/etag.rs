//! Entity tags: an MD5, or an MD5 of the parts' MD5s with their number.

use std::fmt::{self, Write as _};

use storage_engine::Stamp;

/// The entity tag of an object or a part. Shown without quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ETag(pub Stamp);

impl ETag {
    /// Of content that was written in one piece.
    pub fn of_md5(digest: [u8; 16]) -> Self {
        Self(Stamp { digest, parts: 0 })
    }

    /// As a header shows it, in quotes.
    pub fn quoted(self) -> String {
        // Of the length that most have, so that it becomes a header as it is.
        let mut text = String::with_capacity(34);
        // Writing into memory does not fail.
        let _written = write!(text, "\"{self}\"");
        text
    }

    /// Reads one, with or without quotes; none for a text that no object here can have.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
        let (digits, parts) = match text.split_once('-') {
            Some((digits, parts)) => {
                let plain = !parts.starts_with(['0', '+']);
                (digits, parts.parse().ok().filter(|_| plain)?)
            }
            None => (text, 0),
        };
        let mut digest = [0; 16];
        hex::decode_to_slice(digits, &mut digest).ok()?;
        Some(Self(Stamp { digest, parts }))
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 32];
        hex::encode_to_slice(self.0.digest, &mut digits).map_err(|_| fmt::Error)?;
        f.write_str(str::from_utf8(&digits).map_err(|_| fmt::Error)?)?;
        if self.0.parts > 0 {
            write!(f, "-{}", self.0.parts)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_come_back_with_and_without_quotes() {
        for parts in [0, 1, 10_000] {
            let tag = ETag(Stamp { digest: [0xab; 16], parts });
            assert_eq!(ETag::parse(&tag.to_string()), Some(tag));
            assert_eq!(ETag::parse(&tag.quoted()), Some(tag));
            assert_eq!(tag.quoted(), format!("\"{tag}\""));
        }
    }

    #[test]
    fn foreign_texts_are_none() {
        let hex = "ab".repeat(16);
        for text in ["", "*", "badetag", "\"", &hex[1..], &format!("{hex}-"), &format!("{hex}-0")] {
            assert_eq!(ETag::parse(text), None, "{text}");
        }
        assert_eq!(ETag::parse(&format!("W/\"{hex}\"")), None);
        assert_eq!(ETag::parse(&format!("{hex}-99999")), None);
    }
}
