//! XML and JSON bodies: read whole, verified, and made safe for the lenient parser behind the gate.
//!
//! That parser drops CDATA sections (a key in one becomes the empty key), refuses references that it
//! should read, and knows no limits, so here a document is well-formed, shallow, of bounded size, its
//! CDATA becomes escaped text, such references their characters, and its comments are gone.

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::StatusCode;
use md5::{Digest, Md5};
use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};

use super::body::{BodyError, BodyPromise, ChecksumSource};
use super::limits::{DOCUMENT_BYTES_MAX, DOCUMENT_DEPTH_MAX, DOCUMENT_ELEMENTS_MAX};
use super::operations::Payload;
use super::refusal::Refusal;
use crate::checksum::Hasher;

/// Reads a body to its verified end.
pub async fn collect<S>(mut body: S) -> Result<Vec<u8>, Refusal>
where
    S: Stream<Item = Result<Bytes, s3s::StdError>> + Unpin,
{
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| match error.downcast::<BodyError>() {
            Ok(error) => Refusal::from(*error),
            Err(error) => Refusal::invalid_request(error.to_string()),
        })?;
        if bytes.len() + piece.len() > DOCUMENT_BYTES_MAX {
            return Err(too_large());
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// A document that cannot fit is refused before it is read.
pub fn check_length(len: Option<u64>) -> Result<(), Refusal> {
    if len.is_some_and(|len| len > DOCUMENT_BYTES_MAX as u64) { Err(too_large()) } else { Ok(()) }
}

/// Checks a body against the digests promised for it.
pub fn verify(bytes: &[u8], promise: &BodyPromise) -> Result<(), Refusal> {
    if let Some(promised) = promise.content_md5
        && Md5::digest(bytes).as_slice() != promised
    {
        return Err(bad_digest("Content-MD5"));
    }
    // One that came in the trailer was verified there.
    if let Some((algorithm, ChecksumSource::Header(promised))) = &promise.checksum {
        let mut hasher = Hasher::new(*algorithm);
        hasher.update(bytes);
        if hasher.finish() != *promised {
            return Err(bad_digest(algorithm.name()));
        }
    }
    Ok(())
}

/// The document as it goes on to the parser.
pub fn normalise(bytes: Vec<u8>, payload: Payload) -> Result<Bytes, Refusal> {
    match payload {
        Payload::Xml if !bytes.is_empty() => normalise_xml(bytes),
        _ => Ok(bytes.into()),
    }
}

fn normalise_xml(bytes: Vec<u8>) -> Result<Bytes, Refusal> {
    let text = std::str::from_utf8(&bytes).map_err(|_| Refusal::malformed_xml())?;
    let mut reader = Reader::from_str(text);
    let mut rewritten: Option<String> = None;
    let mut copied = 0;
    let mut depth = 0_usize;
    let mut elements = 0_usize;
    loop {
        let from = position(&reader);
        let event = reader.read_event().map_err(|_| Refusal::malformed_xml())?;
        let to = position(&reader);
        match event {
            Event::Start(_) => {
                depth += 1;
                elements += 1;
            }
            Event::Empty(_) => elements += 1,
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::CData(section) => {
                let output = rewritten.get_or_insert_default();
                output.push_str(text.get(copied..from).unwrap_or_default());
                output.push_str(&quick_xml::escape::escape(&*section));
                copied = to;
            }
            Event::GeneralRef(reference) => {
                if let Some(letter) = misread(&reference) {
                    let output = rewritten.get_or_insert_default();
                    output.push_str(text.get(copied..from).unwrap_or_default());
                    output.push(letter);
                    copied = to;
                }
            }
            // Between two pieces of text these would make that parser forget one of them.
            Event::Comment(_) | Event::PI(_) => {
                let output = rewritten.get_or_insert_default();
                output.push_str(text.get(copied..from).unwrap_or_default());
                copied = to;
            }
            Event::DocType(_) => return Err(Refusal::malformed_xml()),
            Event::Eof => break,
            _ => {}
        }
        if depth > DOCUMENT_DEPTH_MAX || elements > DOCUMENT_ELEMENTS_MAX {
            return Err(Refusal::malformed_xml());
        }
    }
    if depth > 0 || elements == 0 {
        return Err(Refusal::malformed_xml());
    }
    match rewritten {
        None => Ok(bytes.into()),
        Some(mut output) => {
            output.push_str(text.get(copied..).unwrap_or_default());
            Ok(output.into())
        }
    }
}

/// The character of a reference that the parser behind the gate refuses: one outside the basic plane,
/// or one that a document cannot hold but a key can, which listings tell by such a reference.
fn misread(reference: &BytesRef) -> Option<char> {
    let letter = reference.resolve_char_ref().ok().flatten()?;
    let is_misread = matches!(
        letter,
        '\u{1}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}'..
    );
    is_misread.then_some(letter)
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

fn bad_digest(what: &str) -> Refusal {
    Refusal::new(
        StatusCode::BAD_REQUEST,
        "BadDigest",
        format!("The {what} you specified did not match what we received."),
    )
}

fn too_large() -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "MaxMessageLengthExceeded", "Your request was too big.")
        .with("MaxMessageLengthBytes", DOCUMENT_BYTES_MAX.to_string())
}

#[cfg(test)]
mod tests {
    use super::{check_length, collect, normalise, verify};
    use crate::checksum::{Algorithm, Hasher};
    use crate::server::body::{BodyPromise, ChecksumSource};
    use crate::server::operations::Payload;
    use bytes::Bytes;

    fn xml(text: &str) -> Result<String, &'static str> {
        normalise(text.as_bytes().to_vec(), Payload::Xml)
            .map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
            .map_err(|refusal| refusal.code)
    }

    #[test]
    fn plain_documents_stay_as_they_are() {
        for text in [
            "",
            "<a/>",
            "<?xml version=\"1.0\"?>\n<Delete><Object><Key>a&amp;b</Key></Object></Delete>",
            "<a x='1'>text</a>",
        ] {
            assert_eq!(xml(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn comments_are_left_out() {
        let text = "<?xml version=\"1.0\"?><!-- a --><D><Key>x<!-- b -->y<?c d?></Key></D>";
        assert_eq!(xml(text).unwrap(), "<?xml version=\"1.0\"?><D><Key>xy</Key></D>");
    }

    #[test]
    fn cdata_becomes_text() {
        let text = "<D><Key><![CDATA[a<b>&c]]></Key><Key>x<![CDATA[]]>y</Key></D>";
        assert_eq!(xml(text).unwrap(), "<D><Key>a&lt;b&gt;&amp;c</Key><Key>xy</Key></D>");
    }

    #[test]
    fn references_that_would_be_refused_become_their_characters() {
        for (text, read) in [
            ("&#x1F980;&#129408;&#x10FFFF;", "🦀🦀\u{10ffff}"),
            ("a&#1;&#x1f;&#65535;b", "a\u{1}\u{1f}\u{ffff}b"),
            ("&#13;&#10;&#9;&#60;&amp;&#xe4;", "&#13;&#10;&#9;&#60;&amp;&#xe4;"),
            ("&#0;&#xd800;&#x110000;&#-1;&b;", "&#0;&#xd800;&#x110000;&#-1;&b;"),
        ] {
            assert_eq!(xml(&format!("<a>{text}</a>")), Ok(format!("<a>{read}</a>")));
        }
    }

    #[test]
    fn malformed_and_excessive_documents_are_refused() {
        let deep = "<a>".repeat(33) + &"</a>".repeat(33);
        let wide = format!("<a>{}</a>", "<b/>".repeat(100_001));
        for text in [
            "hello",
            "<a>",
            "<a></b>",
            "</a>",
            "<a",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
            "<a><![CDATA[</a>",
            &deep,
            &wide,
        ] {
            assert_eq!(xml(text), Err("MalformedXML"), "{}", &text[..text.len().min(60)]);
        }
        assert_eq!(
            normalise(vec![b'<', 0xff, b'>'], Payload::Xml).unwrap_err().code,
            "MalformedXML"
        );
        assert!(normalise(b"{\"not\": \"xml\"}".to_vec(), Payload::Json).is_ok());
        assert!(xml(&("<a>".repeat(32) + &"</a>".repeat(32))).is_ok());
    }

    #[test]
    fn digests_are_verified() {
        let mut hasher = Hasher::new(Algorithm::Crc32c);
        hasher.update(b"body");
        let checksum = Some((Algorithm::Crc32c, ChecksumSource::Header(hasher.finish())));
        let promise = BodyPromise { len: None, content_md5: None, checksum };
        assert!(verify(b"body", &promise).is_ok());
        assert_eq!(verify(b"bodx", &promise).unwrap_err().code, "BadDigest");
        let md5 = hex::decode("841a2d689ad86bd1611447453c22c6fc").unwrap().try_into().unwrap();
        let promise = BodyPromise { len: None, content_md5: Some(md5), checksum: None };
        assert!(verify(b"body", &promise).is_ok());
        assert_eq!(verify(b"", &promise).unwrap_err().code, "BadDigest");
    }

    #[tokio::test]
    async fn bodies_over_the_limit_are_refused() {
        assert!(check_length(Some(2 << 20)).is_ok());
        assert_eq!(check_length(Some((2 << 20) + 1)).unwrap_err().code, "MaxMessageLengthExceeded");
        let pieces = |count| {
            futures::stream::iter(
                (0..count).map(|_| Ok::<_, s3s::StdError>(Bytes::from(vec![0; 1 << 20]))),
            )
        };
        assert_eq!(collect(pieces(2)).await.unwrap().len(), 2 << 20);
        assert_eq!(collect(pieces(3)).await.unwrap_err().code, "MaxMessageLengthExceeded");
    }
}
