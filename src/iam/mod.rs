//! Who asks, and may they: identities with their keys, and the one `authorize` call that every
//! operation passes.

use std::sync::Arc;

/// Who sent a request, after its signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// `root`, a user's name, or empty for an unsigned request.
    pub name: Arc<str>,
    /// What kind of principal it is.
    pub kind: PrincipalKind,
}

/// Kinds of principals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrincipalKind {
    /// The owner of the store.
    Root,
    /// A user named in the users file.
    User,
    /// Nobody: the request was not signed.
    Anonymous,
}

impl Principal {
    /// The 64 hex digits that S3 calls a canonical user id; a function of the name.
    pub fn canonical_id(&self) -> String {
        todo!()
    }
}

/// What a request wants to touch.
#[derive(Debug, Clone, Copy)]
pub enum Resource<'a> {
    /// The service itself: list or create buckets.
    Service,
    /// A bucket, with the name of the principal that owns it.
    Bucket {
        /// Its name.
        bucket: &'a str,
        /// Name of the owning principal.
        owner: &'a str,
    },
    /// An object or a version of it.
    Object {
        /// The bucket's name.
        bucket: &'a str,
        /// Name of the principal that owns the bucket.
        owner: &'a str,
        /// The key.
        key: &'a str,
    },
}

/// What else a decision may depend on.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// The peer's address.
    pub source_ip: Option<std::net::IpAddr>,
}

/// The answer "no", with the reason for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// Why.
    pub reason: &'static str,
}

/// The one decision: may `principal` do `action` (`s3:GetObject`, …) on `resource`?
pub fn authorize(
    _principal: &Principal,
    _action: &str,
    _resource: Resource<'_>,
    _context: &Context,
) -> Result<(), Denied> {
    todo!()
}
