//! The other side of the verifier, for tests: signs requests, chunks and trailers.

use time::OffsetDateTime;
use time::macros::format_description;

use super::canonical::{self, CanonicalRequest};
use super::{Authorization, ChunkSigner, Credential, Head, PathStyle, RequestTime, SigningKey};
use crate::iam::SecretKey;
use crate::server::query::Query;

/// A signer in the scope of AWS's published examples.
pub(in crate::server) fn signer_of_examples(secret: &SecretKey, seed: [u8; 32]) -> ChunkSigner {
    let query = Query::parse(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20130524T000000Z&X-Amz-Expires=1\
         &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request\
         &X-Amz-SignedHeaders=host\
         &X-Amz-Signature=0000000000000000000000000000000000000000000000000000000000000000",
    )
    .unwrap();
    let authorization = Authorization::parse_query(&query).unwrap();
    let time = RequestTime::of_query(&query).unwrap();
    let key = SigningKey::derive(secret, &authorization.credential);
    ChunkSigner::new(key, &time, &authorization.credential, seed)
}

/// A client's key pair.
#[derive(Debug, Clone, Copy)]
pub(in crate::server) struct KeyPair {
    pub(in crate::server) access_key: &'static str,
    pub(in crate::server) secret_key: &'static str,
}

/// A signature with what continues it.
pub(in crate::server) struct Signature {
    pub(in crate::server) hex: String,
    pub(in crate::server) signer: ChunkSigner,
}

impl KeyPair {
    /// The credential of this moment: its text in a request.
    pub(in crate::server) fn credential(self, time: &str) -> String {
        format!("{}/{}/test-region-1/s3/aws4_request", self.access_key, &time[..8])
    }

    /// Signs a head whose headers or query already say when and over what.
    pub(in crate::server) fn sign(
        self,
        head: &Head<'_>,
        time: &str,
        signed: &[&str],
        hash: &str,
    ) -> Signature {
        let text = self.credential(time);
        let query = Query::parse(&format!("X-Amz-Date={time}")).unwrap();
        let time = RequestTime::of_query(&query).unwrap();
        let scope = &text[self.access_key.len() + 1..];
        let credential = Credential {
            text: &text,
            access_key: self.access_key,
            scope,
            day: time.day(),
            region: "test-region-1",
            service: "s3",
        };
        let canonical = CanonicalRequest::new(head, signed, Some(hash));
        let path = canonical.paths(PathStyle::Once).next().unwrap();
        let to_sign = canonical::string_to_sign(&canonical.text(&path), &time, &credential);
        let key = SigningKey::derive(&SecretKey::new(self.secret_key.into()), &credential);
        let signature = key.sign(to_sign.as_bytes());
        let signer = ChunkSigner::new(key, &time, &credential, signature);
        Signature { hex: hex::encode(signature), signer }
    }
}

/// A time as requests write it.
pub(in crate::server) fn basic_text(time: OffsetDateTime) -> String {
    time.format(format_description!("[year][month][day]T[hour][minute][second]Z")).unwrap()
}
