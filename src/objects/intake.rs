//! A body on its way in: sealed and hashed as it comes, then held against what was promised.
//!
//! Nothing is refused late that could be refused before the first byte, and nothing is returned
//! unless length, MD5 and checksum are the promised ones.

use std::error::Error as StdError;
use std::pin::pin;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use storage_engine::{Engine, Placement, SpaceId, Value};

use super::digest::{Digester, Digests};
use super::error::{ObjectError, Result};
use super::limits::PUT_BYTES_MAX;
use super::put::BodyFault;
use crate::checksum::Algorithm;
use crate::server::body::{BodyError, BodyPromise};

/// Where a body goes.
pub(super) struct Destination<'a> {
    pub(super) engine: &'a Engine,
    pub(super) space: SpaceId,
    pub(super) placement: Placement,
}

impl Destination<'_> {
    /// Takes a body in and checks it; `algorithms` are computed besides MD5.
    pub(super) async fn take<S>(
        &self,
        promise: &BodyPromise,
        algorithms: &[Algorithm],
        body: S,
    ) -> Result<(Value, Digests)>
    where
        S: Stream<Item = Result<Bytes, BodyFault>> + Send,
    {
        let size_max = promise.len.unwrap_or(PUT_BYTES_MAX);
        if size_max > PUT_BYTES_MAX {
            return Err(ObjectError::EntityTooLarge);
        }
        let mut writer = self.engine.writer(self.space, self.placement, promise.len)?;
        let mut digester = Digester::new(algorithms);
        let mut body = pin!(body);
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(fault)?;
            if piece.len() as u64 > size_max.saturating_sub(digester.size()) {
                return Err(match promise.len {
                    Some(_) => ObjectError::IncompleteBody,
                    None => ObjectError::EntityTooLarge,
                });
            }
            digester.update(&piece).await;
            writer.write(piece).await?;
        }
        // The last bytes are hashed and written at once; a value that breaks a promise is dropped.
        let (digests, value) = futures::join!(digester.finish(), writer.finish());
        let digests = digests?;
        check(promise, &digests)?;
        Ok((value?, digests))
    }
}

/// Holds what came against what was promised.
fn check(promise: &BodyPromise, digests: &Digests) -> Result<()> {
    if promise.len.is_some_and(|len| len != digests.size) {
        return Err(ObjectError::IncompleteBody);
    }
    if promise.content_md5.is_some_and(|md5| md5 != digests.md5) {
        return Err(ObjectError::BadMd5);
    }
    let Some((algorithm, source)) = &promise.checksum else { return Ok(()) };
    let Some(promised) = source.digest() else {
        return Err(ObjectError::Body(BodyError {
            code: "MalformedTrailerError",
            status: 400,
            message: "The request contained trailing data that was not well-formed or did not \
                      conform to our published schema."
                .to_owned(),
        }));
    };
    match digests.checksum(*algorithm) {
        Some(computed) if computed.digest == promised => Ok(()),
        _ => Err(ObjectError::BadChecksum(*algorithm)),
    }
}

/// What a failed body means: its own error if it brought one, else that it was cut off.
fn fault(fault: BodyFault) -> ObjectError {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(fault.as_ref());
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<BodyError>() {
            return ObjectError::Body(error.clone());
        }
        cause = error.source();
    }
    ObjectError::IncompleteBody
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, OnceLock};

    use super::*;
    use crate::checksum::Hasher;
    use crate::server::body::ChecksumSource;

    async fn digests(content: &[u8], algorithm: Algorithm) -> Digests {
        let mut digester = Digester::new(&[algorithm]);
        digester.update(&Bytes::copy_from_slice(content)).await;
        digester.finish().await.unwrap()
    }

    fn crc32(content: &[u8]) -> Vec<u8> {
        let mut hasher = Hasher::new(Algorithm::Crc32);
        hasher.update(content);
        hasher.finish()
    }

    #[tokio::test]
    async fn every_promise_is_held() {
        let came = digests(b"content", Algorithm::Crc32).await;
        let none = BodyPromise::default();
        let len = |len| BodyPromise { len: Some(len), ..none.clone() };
        let md5 = |md5| BodyPromise { content_md5: Some(md5), ..none.clone() };
        let checksum =
            |source| BodyPromise { checksum: Some((Algorithm::Crc32, source)), ..none.clone() };
        let trailer = |digest: Option<Vec<u8>>| {
            let slot = OnceLock::new();
            if let Some(digest) = digest {
                slot.set(digest).unwrap();
            }
            ChecksumSource::Trailer(Arc::new(slot))
        };
        for (promise, code) in [
            (none.clone(), None),
            (len(7), None),
            (len(8), Some("IncompleteBody")),
            (md5(came.md5), None),
            (md5([0; 16]), Some("BadDigest")),
            (checksum(ChecksumSource::Header(crc32(b"content"))), None),
            (checksum(ChecksumSource::Header(crc32(b"Content"))), Some("BadDigest")),
            (checksum(ChecksumSource::Header(Vec::new())), Some("BadDigest")),
            (checksum(trailer(Some(crc32(b"content")))), None),
            (checksum(trailer(Some(crc32(b"else")))), Some("BadDigest")),
            (checksum(trailer(None)), Some("MalformedTrailerError")),
        ] {
            let got = check(&promise, &came).err().map(|error| error.code());
            assert_eq!(got, code, "{promise:?}");
        }
    }

    #[test]
    fn the_body_s_own_error_is_found_in_any_wrapping() {
        #[derive(Debug)]
        struct Wrapped(BodyError);
        impl std::fmt::Display for Wrapped {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("wrapped")
            }
        }
        impl StdError for Wrapped {
            fn source(&self) -> Option<&(dyn StdError + 'static)> {
                Some(&self.0)
            }
        }
        let error = BodyError { code: "RequestTimeout", status: 400, message: String::new() };
        for body_fault in [BodyFault::from(error.clone()), Box::new(Wrapped(error.clone()))] {
            assert_eq!(fault(body_fault), ObjectError::Body(error.clone()));
        }
        assert_eq!(fault("reset".into()), ObjectError::IncompleteBody);
    }
}
