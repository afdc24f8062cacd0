//! How keys travel in XML that cannot hold every character.
//!
//! - With `encoding-type=url` everything but unreserved characters and `/` is percent-encoded, so
//!   that a delimiter listing keeps its shape and clients that decode `+` as a space and clients
//!   that do not agree.
//! - Without, what a parser would change or refuse is a character reference: a carriage return comes
//!   back exactly. What XML 1.0 refuses in that form too is readable for lenient parsers only.

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::EncodingType;
use s3s::{S3Result, s3_error};

const KEPT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// How the keys of one answer are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyEncoding {
    /// As they are.
    Plain,
    /// Percent-encoded.
    Url,
}

impl KeyEncoding {
    /// What the request asks for.
    pub(super) fn parse(asked: Option<&EncodingType>) -> S3Result<Self> {
        match asked.map(EncodingType::as_str) {
            None => Ok(Self::Plain),
            Some(EncodingType::URL) => Ok(Self::Url),
            Some(_) => {
                Err(s3_error!(InvalidArgument, "Invalid Encoding Method specified in Request"))
            }
        }
    }

    /// What the answer echoes.
    pub(super) fn echo(self) -> Option<EncodingType> {
        match self {
            Self::Plain => None,
            Self::Url => Some(EncodingType::from_static(EncodingType::URL)),
        }
    }

    /// A key, prefix, marker or delimiter as it is written.
    pub(super) fn write(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Url => Cow::from(utf8_percent_encode(text, KEPT)).into_owned(),
        }
    }
}

/// A document with a reference for each character that must not stand in one as it is. The markup
/// itself has none.
pub(super) fn with_references(document: Bytes) -> Bytes {
    let unfit = |letter: char| matches!(letter, '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
    let Ok(text) = std::str::from_utf8(&document) else { return document };
    if !text.contains(unfit) {
        return document;
    }
    let mut fit = String::with_capacity(text.len() + 64);
    for letter in text.chars() {
        if unfit(letter) {
            let _ = write!(fit, "&#{};", u32::from(letter));
        } else {
            fit.push(letter);
        }
    }
    fit.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_document_cannot_hold_is_a_reference() {
        for (key, written) in [
            ("a\rb\r\n", "a&#13;b&#13;\n"),
            ("\0\u{1}\u{8}\t\n\u{b}\u{1f} ", "&#0;&#1;&#8;\t\n&#11;&#31; "),
            ("\u{7f}\u{85}ä\u{fffd}\u{fffe}\u{ffff}", "\u{7f}\u{85}ä\u{fffd}&#65534;&#65535;"),
            ("plain", "plain"),
        ] {
            let document = Bytes::from(format!("<Key>{key}</Key>"));
            assert_eq!(with_references(document), format!("<Key>{written}</Key>"));
        }
        let no_text = Bytes::from_static(b"\xff\r");
        assert_eq!(with_references(no_text.clone()), no_text);
    }

    #[test]
    fn url_encoding_keeps_slashes_and_unreserved_characters_only() {
        for (plain, encoded) in [
            ("foo/bar/xyzzy", "foo/bar/xyzzy"),
            ("foo+1/bar", "foo%2B1/bar"),
            ("quux ab/thud", "quux%20ab/thud"),
            ("a-b_c.d~e", "a-b_c.d~e"),
            ("100%", "100%25"),
            ("\n", "%0A"),
            ("ä", "%C3%A4"),
            ("a&b<c>\"d'", "a%26b%3Cc%3E%22d%27"),
            ("", ""),
        ] {
            assert_eq!(KeyEncoding::Url.write(plain), encoded);
            assert_eq!(KeyEncoding::Plain.write(plain), plain);
        }
    }

    #[test]
    fn only_url_is_a_method() {
        let other = EncodingType::from("base64".to_owned());
        let url = EncodingType::from_static(EncodingType::URL);
        assert_eq!(KeyEncoding::parse(None).ok(), Some(KeyEncoding::Plain));
        assert_eq!(KeyEncoding::parse(Some(&url)).ok(), Some(KeyEncoding::Url));
        assert!(KeyEncoding::parse(Some(&other)).is_err());
    }
}
