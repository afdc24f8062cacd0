//! A request under construction: right by default, wrong in exactly the way a test asks for.

use std::io;

use super::client::Client;
use super::digest::{checksum, checksum_header, sha256_hex};
use super::http::Response;
use super::signing::{Paths, Signer, canonical_request, encode, timestamp};

/// A request for [`Client`].
#[derive(Debug, Clone)]
#[must_use = "a request does nothing before it is sent"]
pub struct Request {
    client: Client,
    method: String,
    target: String,
    sent_method: Option<String>,
    sent_target: Option<String>,
    headers: Vec<(String, String)>,
    unsigned_headers: Vec<(String, String)>,
    absent_names: Vec<String>,
    left_out_names: Vec<String>,
    body: Vec<u8>,
    payload: Payload,
    signing: Signing,
    framing: Framing,
    clock_offset_s: i64,
    region: String,
    service: String,
    paths: Paths,
    told_hash: ToldHash,
    host: String,
    damage: Option<Damage>,
}

/// Whether a header tells the hash of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ToldHash {
    Yes,
    No,
}

/// A change made to the frames of an `aws-chunked` body after they were signed.
pub type Damage = fn(&mut Vec<Vec<u8>>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Payload {
    Hash,
    Named(String),
    Chunks { chunk_bytes: usize, signed: bool, trailer: Option<Trailer> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Trailer {
    declared: String,
    lines: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Signing {
    Header,
    Presigned { expires_s: i64 },
    Anonymous,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Framing {
    Automatic,
    Length(String),
    Chunked,
    None,
}

/// What goes on the wire.
#[derive(Debug, Clone)]
pub struct Wire {
    /// Request line and headers with the empty line.
    pub head: Vec<u8>,
    /// The body in the pieces in which it was framed.
    pub frames: Vec<Vec<u8>>,
    /// The request's signature.
    pub signature: String,
}

impl Request {
    /// A signed request without a body.
    pub fn new(client: Client, method: &str, target: &str) -> Self {
        let host = client.host();
        Self {
            client,
            method: method.to_owned(),
            target: target.to_owned(),
            sent_method: None,
            sent_target: None,
            headers: Vec::new(),
            unsigned_headers: Vec::new(),
            absent_names: Vec::new(),
            left_out_names: Vec::new(),
            body: Vec::new(),
            payload: Payload::Hash,
            signing: Signing::Header,
            framing: Framing::Automatic,
            clock_offset_s: 0,
            region: "us-east-1".to_owned(),
            service: "s3".to_owned(),
            paths: Paths::Once,
            told_hash: ToldHash::Yes,
            host,
            damage: None,
        }
    }

    /// Adds a header and signs it.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sends this target instead of the one that was signed.
    pub fn redirect(mut self, target: &str) -> Self {
        self.sent_target = Some(target.to_owned());
        self
    }

    /// Sends this method instead of the one that was signed.
    pub fn sent_method(mut self, method: &str) -> Self {
        self.sent_method = Some(method.to_owned());
        self
    }

    /// Adds a query, with its question mark, and signs it.
    pub fn with_query(mut self, query: &str) -> Self {
        self.target.push_str(query);
        self
    }

    /// Adds headers and signs them.
    pub fn headers(mut self, headers: &[(&str, &str)]) -> Self {
        for (name, value) in headers {
            self = self.header(name, *value);
        }
        self
    }

    /// Adds a header that the signature does not cover.
    pub fn unsigned_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.unsigned_headers.push((name.to_owned(), value.into()));
        self
    }

    /// Names a header as signed without sending it.
    pub fn absent_signed_header(mut self, name: &str) -> Self {
        self.absent_names.push(name.to_lowercase());
        self
    }

    /// Sends a header as ever but leaves it out of the signature: `host`, `x-amz-date`, ….
    pub fn leave_unsigned(mut self, name: &str) -> Self {
        self.left_out_names.push(name.to_lowercase());
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Adds the right `Content-MD5`.
    pub fn content_md5(self) -> Self {
        let value = super::digest::md5_base64(&self.body);
        self.header("content-md5", value)
    }

    /// Adds the right checksum header.
    pub fn checksum(self, name: &str) -> Self {
        let value = checksum(name, &self.body);
        self.header(&checksum_header(name), value)
    }

    /// Names the payload hash, right or wrong: `UNSIGNED-PAYLOAD`, ….
    pub fn payload(mut self, name: &str) -> Self {
        self.payload = Payload::Named(name.to_owned());
        self
    }

    /// Frames the body in signed chunks.
    pub fn signed_chunks(mut self, chunk_bytes: usize) -> Self {
        self.payload = Payload::Chunks { chunk_bytes, signed: true, trailer: None };
        self
    }

    /// Frames the body in signed chunks with a signed trailing checksum.
    pub fn signed_chunks_with_trailer(self, chunk_bytes: usize, name: &str) -> Self {
        let value = checksum(name, &self.body);
        self.trailer(chunk_bytes, true, &checksum_header(name), &checksum_header(name), &value)
    }

    /// Frames the body in unsigned chunks with a trailing checksum, as SDKs do over TLS.
    pub fn unsigned_chunks_with_trailer(self, chunk_bytes: usize, name: &str) -> Self {
        let value = checksum(name, &self.body);
        self.trailer(chunk_bytes, false, &checksum_header(name), &checksum_header(name), &value)
    }

    /// Frames the body with a trailer whose declared name, name and value are all free.
    pub fn trailer(
        mut self,
        chunk_bytes: usize,
        signed: bool,
        declared: &str,
        name: &str,
        value: &str,
    ) -> Self {
        let lines = vec![(name.to_owned(), value.to_owned())];
        let trailer = Some(Trailer { declared: declared.to_owned(), lines });
        self.payload = Payload::Chunks { chunk_bytes, signed, trailer };
        self
    }

    /// Changes the frames of an `aws-chunked` body after they were signed.
    pub fn damage(mut self, damage: Damage) -> Self {
        self.damage = Some(damage);
        self
    }

    /// Signs in the query instead of a header.
    pub fn presigned(mut self, expires_s: i64) -> Self {
        self.signing = Signing::Presigned { expires_s };
        self
    }

    /// Signs nothing.
    pub fn anonymous(mut self) -> Self {
        self.signing = Signing::Anonymous;
        self
    }

    /// Signs as if the clock were off by so much.
    pub fn clock_offset(mut self, seconds: i64) -> Self {
        self.clock_offset_s = seconds;
        self
    }

    /// Signs for another region.
    pub fn region(mut self, region: &str) -> Self {
        self.region = region.to_owned();
        self
    }

    /// Signs for another service.
    pub fn service(mut self, service: &str) -> Self {
        self.service = service.to_owned();
        self
    }

    /// Signs as services other than S3 want it: paths encoded twice, no header for the body's hash.
    pub fn signed_for(mut self, service: &str) -> Self {
        self.paths = Paths::Twice;
        self.told_hash = ToldHash::No;
        self.service(service)
    }

    /// Sends another `Host`, signed.
    pub fn host(mut self, host: &str) -> Self {
        self.host = host.to_owned();
        self
    }

    /// Claims this `Content-Length`, whatever the body is.
    pub fn content_length(mut self, text: impl ToString) -> Self {
        self.framing = Framing::Length(text.to_string());
        self
    }

    /// Sends the body with `Transfer-Encoding: chunked`.
    pub fn transfer_chunked(mut self) -> Self {
        self.framing = Framing::Chunked;
        self
    }

    /// Sends neither a length nor a transfer coding.
    pub fn unframed(mut self) -> Self {
        self.framing = Framing::None;
        self
    }

    /// Sends it over one of the client's connections and reads the answer.
    #[track_caller]
    pub fn send(&self) -> Response {
        match self.try_send() {
            Ok(response) => response,
            Err(error) => panic!("{} {}: {error}", self.method, self.target),
        }
    }

    /// As [`Request::send`], for a server that may be dying.
    pub fn try_send(&self) -> io::Result<Response> {
        let wire = self.build();
        let mut response = self.client.exchange(&self.method, &wire.head, &wire.frames.concat())?;
        response.request = format!("{} {}", self.method, self.target);
        Ok(response)
    }

    /// The bytes that would be sent.
    pub fn build(&self) -> Wire {
        let timestamp = timestamp(self.clock_offset_s);
        let signer = Signer::new(&self.client.secret_key, &timestamp, &self.region, &self.service);
        let mut headers = vec![("host".to_owned(), self.host.clone())];
        headers.extend(self.headers.iter().cloned());
        self.add_payload_headers(&mut headers);
        let mut target = self.target.clone();
        let mut signature = String::new();
        let mut unsigned = self.unsigned_headers.clone();
        match self.signing {
            Signing::Header => {
                headers.push(("x-amz-date".to_owned(), timestamp.clone()));
                if self.told_hash == ToldHash::Yes {
                    headers.push(("x-amz-content-sha256".to_owned(), self.payload_name()));
                }
                let names = self.signed_names(&headers);
                signature = self.signature(&signer, &target, &headers, &names);
                let value = format!(
                    "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={names}, \
                     Signature={signature}",
                    self.client.access_key, signer.scope
                );
                unsigned.push(("authorization".to_owned(), value));
            }
            Signing::Presigned { expires_s } => {
                let names = self.signed_names(&headers);
                target.push(if target.contains('?') { '&' } else { '?' });
                target.push_str(&format!(
                    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date={timestamp}\
                     &X-Amz-Expires={expires_s}&X-Amz-SignedHeaders={}",
                    encode(format!("{}/{}", self.client.access_key, signer.scope)),
                    encode(&names),
                ));
                signature = self.signature(&signer, &target, &headers, &names);
                target.push_str(&format!("&X-Amz-Signature={signature}"));
            }
            Signing::Anonymous => {}
        }
        let frames = self.frames(&signer, &signature);
        headers.extend(unsigned);
        self.add_framing(&mut headers, &frames);
        let target = self.sent_target.as_ref().unwrap_or(&target);
        let method = self.sent_method.as_ref().unwrap_or(&self.method);
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        for (name, value) in &headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let frames =
            if self.framing == Framing::Chunked { transfer_chunks(&frames) } else { frames };
        Wire { head: head.into_bytes(), frames, signature }
    }

    fn add_payload_headers(&self, headers: &mut Vec<(String, String)>) {
        let Payload::Chunks { trailer, .. } = &self.payload else { return };
        headers.push(("x-amz-decoded-content-length".to_owned(), self.body.len().to_string()));
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-encoding")) {
            headers.push(("content-encoding".to_owned(), "aws-chunked".to_owned()));
        }
        if let Some(trailer) = trailer {
            headers.push(("x-amz-trailer".to_owned(), trailer.declared.clone()));
        }
    }

    fn payload_name(&self) -> String {
        match &self.payload {
            Payload::Hash => sha256_hex(&self.body),
            Payload::Named(name) => name.clone(),
            Payload::Chunks { signed: true, trailer: None, .. } => {
                "STREAMING-AWS4-HMAC-SHA256-PAYLOAD".to_owned()
            }
            Payload::Chunks { signed: true, trailer: Some(_), .. } => {
                "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER".to_owned()
            }
            Payload::Chunks { signed: false, .. } => {
                "STREAMING-UNSIGNED-PAYLOAD-TRAILER".to_owned()
            }
        }
    }

    fn signed_names(&self, headers: &[(String, String)]) -> String {
        let mut names: Vec<String> = headers.iter().map(|(name, _)| name.to_lowercase()).collect();
        names.extend(self.absent_names.iter().cloned());
        names.retain(|name| !self.left_out_names.contains(name));
        names.sort();
        names.dedup();
        names.join(";")
    }

    fn signature(
        &self,
        signer: &Signer,
        target: &str,
        headers: &[(String, String)],
        names: &str,
    ) -> String {
        let payload = match self.signing {
            Signing::Presigned { .. } if self.told_hash == ToldHash::Yes => {
                "UNSIGNED-PAYLOAD".to_owned()
            }
            Signing::Presigned { .. } | Signing::Header | Signing::Anonymous => self.payload_name(),
        };
        let mut signed = headers.to_vec();
        signed.retain(|(name, _)| !self.left_out_names.contains(&name.to_lowercase()));
        let canonical =
            canonical_request(self.paths, &self.method, target, &signed, names, &payload);
        signer.sign_request(&canonical)
    }

    fn frames(&self, signer: &Signer, seed: &str) -> Vec<Vec<u8>> {
        let Payload::Chunks { chunk_bytes, signed, trailer } = &self.payload else {
            return if self.body.is_empty() { Vec::new() } else { vec![self.body.clone()] };
        };
        let mut previous = seed.to_owned();
        let mut frames: Vec<Vec<u8>> = Vec::new();
        for chunk in self.body.chunks(*chunk_bytes).chain([&[][..]]) {
            let mut frame = format!("{:x}", chunk.len());
            if *signed {
                previous = signer.sign_chunk(&previous, chunk);
                frame.push_str(&format!(";chunk-signature={previous}"));
            }
            frame.push_str("\r\n");
            let mut frame = frame.into_bytes();
            if !chunk.is_empty() {
                frame.extend_from_slice(chunk);
                frame.extend_from_slice(b"\r\n");
            }
            frames.push(frame);
        }
        let mut end = String::new();
        if let Some(trailer) = trailer {
            let mut lines = String::new();
            for (name, value) in &trailer.lines {
                end.push_str(&format!("{name}:{value}\r\n"));
                lines.push_str(&format!("{name}:{value}\n"));
            }
            if *signed {
                let signature = signer.sign_trailer(&previous, &lines);
                end.push_str(&format!("x-amz-trailer-signature:{signature}\r\n"));
            }
        }
        end.push_str("\r\n");
        frames.push(end.into_bytes());
        if let Some(damage) = self.damage {
            damage(&mut frames);
        }
        frames
    }

    fn add_framing(&self, headers: &mut Vec<(String, String)>, frames: &[Vec<u8>]) {
        let length: usize = frames.iter().map(Vec::len).sum();
        let takes_body = matches!(self.method.as_str(), "PUT" | "POST") || length > 0;
        match &self.framing {
            Framing::Automatic if takes_body => {
                headers.push(("content-length".to_owned(), length.to_string()));
            }
            Framing::Automatic | Framing::None => {}
            Framing::Length(text) => headers.push(("content-length".to_owned(), text.clone())),
            Framing::Chunked => {
                headers.push(("transfer-encoding".to_owned(), "chunked".to_owned()));
            }
        }
    }
}

/// The same bytes as chunks of HTTP's own framing.
fn transfer_chunks(frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut chunks: Vec<Vec<u8>> = Vec::new();
    for frame in frames.iter().filter(|frame| !frame.is_empty()) {
        let mut chunk = format!("{:x}\r\n", frame.len()).into_bytes();
        chunk.extend_from_slice(frame);
        chunk.extend_from_slice(b"\r\n");
        chunks.push(chunk);
    }
    chunks.push(b"0\r\n\r\n".to_vec());
    chunks
}
