//! XML and JSON bodies: read whole, verified, and made safe for the lenient parser behind the gate.
//!
//! That parser drops CDATA sections (a key in one becomes the empty key), refuses references that it
//! should read, and knows no limits. So a document is written anew from what was read of it: shallow,
//! of bounded size, of elements and text alone, and of no elements but those of its operation.

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::StatusCode;
use md5::{Digest, Md5};
use quick_xml::Reader;
use quick_xml::escape::escape;
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::body::{BodyError, BodyPromise, ChecksumSource};
use super::limits::{DOCUMENT_BYTES_MAX, DOCUMENT_DEPTH_MAX, DOCUMENT_ELEMENTS_MAX};
use super::operations::{Operation, Payload};
use super::refusal::Refusal;
use super::schema::{self, Element};
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
pub fn normalise(bytes: Vec<u8>, operation: &Operation) -> Result<Bytes, Refusal> {
    if operation.payload != Payload::Xml || bytes.is_empty() {
        return Ok(bytes.into());
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| Refusal::malformed_xml())?;
    let rewritten = rewrite(text, schema::root_of(operation.name))?;
    if rewritten.len() > DOCUMENT_BYTES_MAX { Err(too_large()) } else { Ok(rewritten.into()) }
}

fn rewrite(text: &str, root: Option<&'static Element>) -> Result<String, Refusal> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut output = String::with_capacity(text.len());
    let mut open = OpenElements { root, stack: Vec::new(), count: 0 };
    loop {
        match reader.read_event().map_err(|_| Refusal::malformed_xml())? {
            Event::Start(start) => {
                open.enter(start.name().0)?;
                push_start(&mut output, &start)?;
            }
            Event::End(end) => {
                open.stack.pop();
                output.extend(["</", end.name().0, ">"]);
            }
            Event::Text(text) => {
                open.check_text(&text)?;
                output.push_str(&text);
            }
            Event::GeneralRef(reference) => {
                open.check_text(&reference)?;
                push_reference(&mut output, &reference)?;
            }
            Event::CData(section) => {
                open.check_text(&section)?;
                output.push_str(&escape(&*section));
            }
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) | Event::Empty(_) => {}
            Event::DocType(_) => return Err(Refusal::malformed_xml()),
            Event::Eof => break,
        }
    }
    if open.stack.is_empty() && open.count > 0 { Ok(output) } else { Err(Refusal::malformed_xml()) }
}

/// The elements around a place in a document, and how many came before it.
struct OpenElements {
    /// What the document may hold; none: anything.
    root: Option<&'static Element>,
    stack: Vec<Option<&'static Element>>,
    count: usize,
}

impl OpenElements {
    fn enter(&mut self, name: &str) -> Result<(), Refusal> {
        let element = match (self.stack.last(), self.root) {
            (Some(Some(parent)), _) => Some(parent.child(name)?),
            (Some(None), _) | (None, None) => None,
            (None, Some(root)) if root.name == name => Some(root),
            (None, Some(_)) => return Err(Refusal::malformed_xml()),
        };
        let is_second_root = self.stack.is_empty() && self.count > 0;
        self.stack.push(element);
        self.count += 1;
        if is_second_root
            || self.stack.len() > DOCUMENT_DEPTH_MAX
            || self.count > DOCUMENT_ELEMENTS_MAX
        {
            return Err(Refusal::malformed_xml());
        }
        Ok(())
    }

    fn check_text(&self, text: &str) -> Result<(), Refusal> {
        let fits = match self.stack.last() {
            Some(Some(element)) => element.takes_text(text),
            Some(None) => true,
            None => text.trim_ascii().is_empty(),
        };
        if fits { Ok(()) } else { Err(Refusal::malformed_xml()) }
    }
}

/// Of the attributes, those of a name space are all that S3 knows, and the type of a grantee is all
/// that it reads.
fn push_start(output: &mut String, start: &BytesStart) -> Result<(), Refusal> {
    output.extend(["<", start.name().0]);
    // Looking for twins among very many would take very long.
    for attribute in start.attributes().with_checks(false) {
        let attribute = attribute.map_err(|_| Refusal::malformed_xml())?;
        match attribute.key.0 {
            "xsi:type" => {
                let value = attribute.value.replace('"', "&quot;");
                output.extend([" xsi:type=\"", &value, "\""]);
            }
            name if name == "xmlns" || name.starts_with("xmlns:") || name.starts_with("xsi:") => {}
            _ => return Err(Refusal::malformed_xml()),
        }
    }
    output.push('>');
    Ok(())
}

/// What a reference stands for. That may be a character that a document cannot hold but a key can:
/// listings tell it so.
fn push_reference(output: &mut String, reference: &BytesRef) -> Result<(), Refusal> {
    let letter = reference.resolve_char_ref().map_err(|_| Refusal::malformed_xml())?;
    match (letter, &**reference) {
        // Bare, a line's end may be read as another.
        (Some('\r' | '\n'), name) | (None, name @ ("amp" | "apos" | "gt" | "lt" | "quot")) => {
            output.extend(["&", name, ";"]);
        }
        (Some(letter), _) => output.push_str(&escape(&*letter.encode_utf8(&mut [0; 4]))),
        (None, _) => return Err(Refusal::malformed_xml()),
    }
    Ok(())
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
    use crate::server::operations::{OPERATIONS, Operation};
    use bytes::Bytes;

    fn operation(name: &str) -> &'static Operation {
        OPERATIONS.iter().find(|row| row.name == name).unwrap()
    }

    /// A document of an operation that is not built: it may hold any elements.
    fn xml(text: &str) -> Result<String, &'static str> {
        xml_of("PutBucketCors", text)
    }

    fn xml_of(name: &str, text: &str) -> Result<String, &'static str> {
        normalise(text.as_bytes().to_vec(), operation(name))
            .map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
            .map_err(|refusal| refusal.code)
    }

    #[test]
    fn a_document_is_elements_and_text_alone() {
        for (text, rewritten) in [
            ("", ""),
            ("<a/>", "<a></a>"),
            ("<a >text</a >", "<a>text</a>"),
            ("<a xmlns='u' xmlns:xsi='v' xsi:type='\"w\"'/>", "<a xsi:type=\"&quot;w&quot;\"></a>"),
            (
                "<?xml version=\"1.0\"?>\n<D><Key>a&amp;b</Key></D>\n",
                "\n<D><Key>a&amp;b</Key></D>\n",
            ),
            ("<!-- a --><D><Key>x<!-- b -->y<?c d?></Key></D>", "<D><Key>xy</Key></D>"),
            ("<D><Key><![CDATA[a<b>&c]]></Key></D>", "<D><Key>a&lt;b&gt;&amp;c</Key></D>"),
            ("<D><Key>x<![CDATA[]]>y</Key></D>", "<D><Key>xy</Key></D>"),
        ] {
            assert_eq!(xml(text).as_deref(), Ok(rewritten));
            let marked = format!("\u{feff}{text}");
            assert!(text.is_empty() || xml(&marked).as_deref() == Ok(rewritten), "{text}");
        }
    }

    #[test]
    fn references_become_their_characters() {
        for (text, read) in [
            ("&#x1F980;&#129408;&#x10FFFF;&#xe4;", Ok("🦀🦀\u{10ffff}ä")),
            ("a&#1;&#x1f;&#65535;b", Ok("a\u{1}\u{1f}\u{ffff}b")),
            ("&#13;&#10;&#9;&#60;&#38;&amp;", Ok("&#13;&#10;\t&lt;&amp;&amp;")),
            ("&#0;", Err("MalformedXML")),
            ("&#xd800;", Err("MalformedXML")),
            ("&#x110000;", Err("MalformedXML")),
            ("&#-1;", Err("MalformedXML")),
            ("&b;", Err("MalformedXML")),
        ] {
            let read = read.map(|read| format!("<a>{read}</a>"));
            assert_eq!(xml(&format!("<a>{text}</a>")), read, "{text}");
        }
    }

    #[test]
    fn only_elements_of_the_operation_at_their_places_pass() {
        let rule = "<DefaultRetention><Mode>COMPLIANCE</Mode><Days>1</Days></DefaultRetention>";
        let lock = |rest: &str| {
            format!(
                "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>{rest}</ObjectLockConfiguration>"
            )
        };
        let malformed = Err("MalformedXML");
        for (name, text, code) in [
            ("PutObjectLockConfiguration", lock(&format!("\n<Rule>{rule}</Rule>\n")), Ok(())),
            ("PutObjectLockConfiguration", lock(&format!("<rule>{rule}</rule>")), malformed),
            ("PutObjectLockConfiguration", lock(&format!("<Rules>{rule}</Rules>")), malformed),
            ("PutObjectLockConfiguration", lock(rule), malformed),
            ("PutObjectLockConfiguration", lock("COMPLIANCE"), malformed),
            ("PutObjectLockConfiguration", lock("&#67;"), malformed),
            ("PutObjectLockConfiguration", lock("<![CDATA[x]]>"), malformed),
            ("PutObjectLockConfiguration", "<Retention/>".to_owned(), malformed),
            ("PutObjectRetention", "<Retention> <!-- none --> </Retention>".to_owned(), Ok(())),
            ("PutObjectRetention", "<Retention><mode>x</mode></Retention>".to_owned(), malformed),
            ("PutObjectRetention", "<Retention Mode='x'/>".to_owned(), malformed),
            ("PutObjectRetention", "<Retention>x</Retention>".to_owned(), malformed),
            (
                "PutObjectRetention",
                "<Retention><Mode><a/></Mode></Retention>".to_owned(),
                malformed,
            ),
            (
                "PutBucketEncryption",
                "<ServerSideEncryptionConfiguration><Rule><BlockedEncryptionTypes/></Rule>\
                 </ServerSideEncryptionConfiguration>"
                    .to_owned(),
                Err("NotImplemented"),
            ),
        ] {
            assert_eq!(xml_of(name, &text).map(drop), code, "{text}");
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
            "<a/><b/>",
            "<a/>b",
            "&amp;<a/>",
            "<a b='1'/>",
            "<a xsi:type='1' b/>",
            &deep,
            &wide,
        ] {
            assert_eq!(xml(text), Err("MalformedXML"), "{}", &text[..text.len().min(60)]);
        }
        assert_eq!(
            normalise(vec![b'<', 0xff, b'>'], operation("PutBucketCors")).unwrap_err().code,
            "MalformedXML"
        );
        assert!(normalise(b"{\"not\": \"xml\"}".to_vec(), operation("PutBucketPolicy")).is_ok());
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
