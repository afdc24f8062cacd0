//! Takes the frames of `aws-chunked` off a body, in bounded memory.
//!
//! ```text
//! size[;chunk-signature=hex] CRLF  data  CRLF   …   0[;chunk-signature=hex] CRLF
//! [name:value CRLF … [x-amz-trailer-signature:hex CRLF]]  CRLF
//! ```
//!
//! - Data is handed on as it comes and hashed on the way; a chunk is never held. So data may be
//!   handed on before its signature is known to be wrong: who takes it must not keep it before the
//!   clean end.
//! - A clean end is: the final chunk, all signatures right, exactly the promised trailers, the
//!   promised length, the trailing checksum equal to that of the data, and not a byte behind.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html>

use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, Bytes};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::body::BodyError;
use super::limits::{CHUNK_LINE_BYTES_MAX, TRAILER_BYTES_MAX};
use super::sigv4::ChunkSigner;
use crate::checksum::{Algorithm, Hasher};

const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature";

/// What a framed body promises.
#[derive(Debug)]
pub struct Frames {
    /// Signs the chunks, when they are signed.
    pub signer: Option<ChunkSigner>,
    /// Bytes of data, from `x-amz-decoded-content-length`.
    pub decoded_len: u64,
    /// The checksum that comes in the trailer, when one does.
    pub trailer: Option<TrailingChecksum>,
}

/// A checksum promised for the trailer, and where its value goes.
#[derive(Debug)]
pub struct TrailingChecksum {
    /// Which one.
    pub algorithm: Algorithm,
    /// Set once the trailer has come and was found right.
    pub slot: Arc<OnceLock<Vec<u8>>>,
}

/// A running de-framer.
#[derive(Debug)]
pub struct Deframer {
    signer: Option<ChunkSigner>,
    trailer: Option<Trailer>,
    state: State,
    /// The line being read, without its end.
    line: Vec<u8>,
    /// Hash and promised signature of the chunk being read.
    chunk: Option<(Sha256, [u8; 32])>,
    decoded: u64,
    decoded_len: u64,
}

#[derive(Debug)]
struct Trailer {
    algorithm: Algorithm,
    slot: Arc<OnceLock<Vec<u8>>>,
    hasher: Hasher,
    /// The value that has come.
    value: Option<Vec<u8>>,
    /// `name:value\n`, as it is signed.
    lines: Vec<u8>,
    bytes: usize,
    signature: Option<[u8; 32]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the line before a chunk.
    Size,
    /// In a chunk's data.
    Data {
        /// Bytes to come.
        left: u64,
    },
    /// In the line end behind a chunk's data.
    DataEnd,
    /// In a trailer line, or in the empty line behind the last.
    Trailer,
    /// Behind it all.
    End,
}

impl Deframer {
    /// One for these promises.
    pub fn new(frames: Frames) -> Self {
        let trailer = frames.trailer.map(|promise| Trailer {
            algorithm: promise.algorithm,
            slot: promise.slot,
            hasher: Hasher::new(promise.algorithm),
            value: None,
            lines: Vec::new(),
            bytes: 0,
            signature: None,
        });
        Self {
            signer: frames.signer,
            trailer,
            state: State::Size,
            line: Vec::new(),
            chunk: None,
            decoded: 0,
            decoded_len: frames.decoded_len,
        }
    }

    /// Takes from `input` up to the next piece of data; none when `input` is used up.
    pub fn next(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, BodyError> {
        while !input.is_empty() {
            match self.state {
                State::Size => {
                    if let Some(line) = self.take_line(input, CHUNK_LINE_BYTES_MAX)? {
                        self.begin_chunk(&line)?;
                    }
                }
                State::Data { left } => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                    let piece = input.split_to(here);
                    self.take_data(&piece, left - here as u64);
                    return Ok(Some(piece));
                }
                State::DataEnd => {
                    if let Some(line) = self.take_line(input, 1)? {
                        if !line.is_empty() {
                            return Err(malformed("a chunk is longer than its size says"));
                        }
                        self.end_chunk()?;
                        self.state = State::Size;
                    }
                }
                State::Trailer => {
                    if let Some(line) = self.take_line(input, TRAILER_BYTES_MAX)? {
                        self.take_trailer_line(&line)?;
                    }
                }
                State::End => return Err(malformed("bytes follow the end of the body")),
            }
        }
        Ok(None)
    }

    /// Says that no more input comes: an error unless this is the clean end.
    pub fn finish(&self) -> Result<(), BodyError> {
        if self.state == State::End { Ok(()) } else { Err(incomplete()) }
    }

    /// Bytes of data still to come.
    pub fn remaining(&self) -> u64 {
        self.decoded_len - self.decoded
    }

    /// A whole line without its end, or none while it is not whole.
    fn take_line(
        &mut self,
        input: &mut Bytes,
        bytes_max: usize,
    ) -> Result<Option<Vec<u8>>, BodyError> {
        let end = input.iter().position(|byte| *byte == b'\n');
        let piece = input.get(..end.unwrap_or(input.len())).unwrap_or_default();
        if self.line.len() + piece.len() > bytes_max {
            return Err(malformed("a line between chunks is too long"));
        }
        self.line.extend_from_slice(piece);
        input.advance(piece.len() + usize::from(end.is_some()));
        if end.is_none() {
            return Ok(None);
        }
        let mut line = std::mem::take(&mut self.line);
        match line.pop_if(|byte| *byte == b'\r') {
            // A trailer line may end in a bare line feed: AWS's own text shows it so.
            None if self.state != State::Trailer => Err(malformed("a line does not end in CRLF")),
            _ => Ok(Some(line)),
        }
    }

    fn begin_chunk(&mut self, line: &[u8]) -> Result<(), BodyError> {
        let text = std::str::from_utf8(line).map_err(|_| malformed("a size is not a number"))?;
        let (size, extension) = match text.split_once(';') {
            Some((size, extension)) => (size, Some(extension)),
            None => (text, None),
        };
        let digits = size.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = u64::from_str_radix(size, 16)
            .ok()
            .filter(|_| digits)
            .ok_or_else(|| malformed("a chunk's size is not a number"))?;
        if size > self.remaining() {
            return Err(wrong_length());
        }
        if self.signer.is_some() {
            let mut signature = [0; 32];
            extension
                .and_then(|extension| extension.trim().strip_prefix("chunk-signature="))
                .and_then(|digits| hex::decode_to_slice(digits, &mut signature).ok())
                .ok_or_else(|| malformed("a chunk is not signed"))?;
            self.chunk = Some((Sha256::new(), signature));
        }
        if size > 0 {
            self.state = State::Data { left: size };
            return Ok(());
        }
        self.end_chunk()?;
        if self.remaining() > 0 {
            return Err(wrong_length());
        }
        self.state = State::Trailer;
        Ok(())
    }

    fn take_data(&mut self, piece: &[u8], left: u64) {
        if let Some((hash, _)) = &mut self.chunk {
            hash.update(piece);
        }
        if let Some(trailer) = &mut self.trailer {
            trailer.hasher.update(piece);
        }
        self.decoded += piece.len() as u64;
        self.state = if left > 0 { State::Data { left } } else { State::DataEnd };
    }

    fn end_chunk(&mut self) -> Result<(), BodyError> {
        let (Some(signer), Some((hash, promised))) = (&mut self.signer, self.chunk.take()) else {
            return Ok(());
        };
        let signature = signer.sign_chunk(hash.finalize().into());
        if signature.ct_eq(&promised).into() { Ok(()) } else { Err(wrong_signature()) }
    }

    fn take_trailer_line(&mut self, line: &[u8]) -> Result<(), BodyError> {
        let Some(trailer) = &mut self.trailer else {
            if line.is_empty() {
                self.state = State::End;
                return Ok(());
            }
            return Err(malformed_trailer("a trailer came that was not announced"));
        };
        if line.is_empty() {
            if self.signer.is_some() && trailer.signature.is_none() && trailer.value.is_some() {
                // AWS's text and some clients have an empty line before the signature.
                return trailer.count(2);
            }
            return self.end_trailer();
        }
        trailer.count(line.len())?;
        trailer.take(line, self.signer.is_some())
    }

    fn end_trailer(&mut self) -> Result<(), BodyError> {
        let Some(trailer) = self.trailer.take() else { return Err(incomplete()) };
        if let Some(signer) = &mut self.signer {
            let Some(promised) = trailer.signature else {
                return Err(malformed_trailer("the trailer is not signed"));
            };
            let equal: bool = signer.sign_trailer(&trailer.lines).ct_eq(&promised).into();
            if !equal {
                return Err(wrong_signature());
            }
        }
        let Some(value) = trailer.value else {
            return Err(malformed_trailer("an announced trailer did not come"));
        };
        if trailer.hasher.finish() != value {
            return Err(wrong_checksum(trailer.algorithm));
        }
        // Set at most once: this is the only place, and the trailer is gone after it.
        let _ = trailer.slot.set(value);
        self.state = State::End;
        Ok(())
    }
}

impl Trailer {
    fn count(&mut self, bytes: usize) -> Result<(), BodyError> {
        self.bytes += bytes;
        if self.bytes > TRAILER_BYTES_MAX {
            return Err(malformed_trailer("the trailer is too long"));
        }
        Ok(())
    }

    fn take(&mut self, line: &[u8], signed: bool) -> Result<(), BodyError> {
        let text = std::str::from_utf8(line)
            .map_err(|_| malformed_trailer("a trailer line is not text"))?;
        let (name, value) =
            text.split_once(':').ok_or_else(|| malformed_trailer("a trailer line has no colon"))?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        if self.signature.is_some() {
            return Err(malformed_trailer("a trailer line follows the trailer's signature"));
        }
        if signed && name == TRAILER_SIGNATURE {
            let mut signature = [0; 32];
            hex::decode_to_slice(value, &mut signature)
                .map_err(|_| malformed_trailer("the trailer's signature is not one"))?;
            self.signature = Some(signature);
            return Ok(());
        }
        if name != self.algorithm.header() || self.value.is_some() {
            return Err(malformed_trailer("a trailer came that was not announced"));
        }
        let digest = STANDARD
            .decode(value)
            .ok()
            .filter(|digest| digest.len() == self.algorithm.digest_bytes())
            .ok_or_else(|| BodyError {
                code: "InvalidRequest",
                status: 400,
                message: format!("Value for {name} trailing header is invalid."),
            })?;
        self.value = Some(digest);
        self.lines.extend_from_slice(format!("{name}:{value}\n").as_bytes());
        Ok(())
    }
}

fn malformed(what: &str) -> BodyError {
    BodyError {
        code: "InvalidRequest",
        status: 400,
        message: format!("the aws-chunked body is malformed: {what}"),
    }
}

fn malformed_trailer(what: &str) -> BodyError {
    BodyError {
        code: "MalformedTrailerError",
        status: 400,
        message: format!(
            "The request contained trailing data that was not well-formed or did not conform to \
             our published schema: {what}"
        ),
    }
}

fn wrong_signature() -> BodyError {
    BodyError {
        code: "SignatureDoesNotMatch",
        status: 403,
        message: "The request signature we calculated does not match the signature you provided. \
                  Check your key and signing method."
            .into(),
    }
}

fn wrong_checksum(algorithm: Algorithm) -> BodyError {
    BodyError {
        code: "BadDigest",
        status: 400,
        message: format!(
            "The {} you specified did not match the calculated checksum.",
            algorithm.name()
        ),
    }
}

fn wrong_length() -> BodyError {
    BodyError {
        code: "IncompleteBody",
        status: 400,
        message: "You did not provide the number of bytes specified by the \
                  x-amz-decoded-content-length HTTP header"
            .into(),
    }
}

fn incomplete() -> BodyError {
    BodyError {
        code: "IncompleteBody",
        status: 400,
        message: "The request body terminated unexpectedly".into(),
    }
}

#[cfg(test)]
#[path = "chunked_tests.rs"]
mod tests;
