//! Who asks, and may they: identities with their keys, and the one `authorize` call that every
//! operation passes.
//!
//! - The decision is made from the principal, the action and the owner of what is touched; it
//!   never looks at how the request was written on the wire.
//! - What no rule allows is denied.

mod guessable;
mod identity;
mod secret;

use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest, Sha256};

pub use guessable::{is_reachable, weakness};
pub use identity::{Identities, Identity, IdentityError};
pub use secret::SecretKey;

/// The name of the owner of the store; no user may bear it.
pub const ROOT_NAME: &str = "root";

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
    /// The owner of the store.
    pub fn root() -> Self {
        Self { name: ROOT_NAME.into(), kind: PrincipalKind::Root }
    }

    /// A user of the users file.
    pub fn user(name: &str) -> Self {
        Self { name: name.into(), kind: PrincipalKind::User }
    }

    /// Who sends unsigned requests.
    pub fn anonymous() -> Self {
        Self { name: "".into(), kind: PrincipalKind::Anonymous }
    }

    /// The 64 hex digits that S3 calls a canonical user id; a function of the name.
    pub fn canonical_id(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(b"lodestore-canonical:");
        hasher.update(self.name.as_bytes());
        let mut text = String::with_capacity(64);
        for byte in hasher.finalize() {
            let _ = write!(text, "{byte:02x}");
        }
        text
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
    /// A vector bucket.
    VectorBucket {
        /// Its name.
        bucket: &'a str,
        /// Name of the principal that owns it.
        owner: &'a str,
        /// Its policy, as it was set. Nothing evaluates it yet.
        policy: Option<&'a str>,
    },
    /// A vector index.
    VectorIndex {
        /// Name of its bucket.
        bucket: &'a str,
        /// Its name.
        index: &'a str,
        /// Name of the principal that owns the bucket.
        owner: &'a str,
        /// The bucket's policy, as it was set. Nothing evaluates it yet.
        policy: Option<&'a str>,
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

/// What a user may do to the service itself.
const USER_SERVICE_ACTIONS: [&str; 4] = [
    "s3:CreateBucket",
    "s3:ListAllMyBuckets",
    "s3vectors:CreateVectorBucket",
    "s3vectors:ListVectorBuckets",
];

/// The one decision: may `principal` do `action` (`s3:GetObject`, …) on `resource`?
///
/// Root may do everything. A user may create and list buckets of its own, and do everything on
/// the buckets, of objects and of vectors, that it owns. Nobody else may do anything.
pub fn authorize(
    principal: &Principal,
    action: &str,
    resource: Resource<'_>,
    _context: &Context,
) -> Result<(), Denied> {
    match (principal.kind, resource) {
        (PrincipalKind::Root, _) => Ok(()),
        (PrincipalKind::Anonymous, _) => Err(Denied { reason: "the request is not signed" }),
        (PrincipalKind::User, Resource::Service) => {
            if USER_SERVICE_ACTIONS.contains(&action) {
                Ok(())
            } else {
                Err(Denied { reason: "a user may only create and list buckets of its own" })
            }
        }
        (
            PrincipalKind::User,
            Resource::Bucket { owner, .. }
            | Resource::Object { owner, .. }
            | Resource::VectorBucket { owner, .. }
            | Resource::VectorIndex { owner, .. },
        ) => {
            if *principal.name == *owner {
                Ok(())
            } else {
                Err(Denied { reason: "the bucket belongs to another principal" })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Context, Principal, Resource, authorize};

    fn allowed(principal: &Principal, action: &str, resource: Resource<'_>) -> bool {
        authorize(principal, action, resource, &Context::default()).is_ok()
    }

    #[test]
    fn each_principal_gets_exactly_its_own() {
        let [root, alice, nobody] =
            [Principal::root(), Principal::user("alice"), Principal::anonymous()];
        let own = Resource::Bucket { bucket: "a", owner: "alice" };
        let own_object = Resource::Object { bucket: "a", owner: "alice", key: "k" };
        let foreign = Resource::Bucket { bucket: "b", owner: "bob" };
        let foreign_object = Resource::Object { bucket: "b", owner: "bob", key: "k" };
        let ownerless = Resource::Bucket { bucket: "c", owner: "" };
        let vectors = |owner| Resource::VectorBucket { bucket: "v", owner, policy: None };
        let index = |owner| Resource::VectorIndex { bucket: "v", index: "i", owner, policy: None };
        for resource in [
            Resource::Service,
            own,
            own_object,
            foreign,
            foreign_object,
            ownerless,
            vectors("alice"),
            index("bob"),
        ] {
            assert!(allowed(&root, "s3:Whatever", resource));
            assert!(!allowed(&nobody, "s3:GetObject", resource));
        }
        assert!(allowed(&alice, "s3:CreateBucket", Resource::Service));
        assert!(allowed(&alice, "s3:ListAllMyBuckets", Resource::Service));
        assert!(!allowed(&alice, "s3:Whatever", Resource::Service));
        assert!(allowed(&alice, "s3:DeleteBucket", own));
        assert!(allowed(&alice, "s3:BypassGovernanceRetention", own_object));
        assert!(!allowed(&alice, "s3:ListBucket", foreign));
        assert!(!allowed(&alice, "s3:GetObject", foreign_object));
        assert!(!allowed(&alice, "s3:GetObject", ownerless));
        assert!(allowed(&alice, "s3vectors:CreateVectorBucket", Resource::Service));
        assert!(allowed(&alice, "s3vectors:DeleteVectorBucket", vectors("alice")));
        assert!(!allowed(&alice, "s3vectors:GetVectorBucket", vectors("bob")));
        assert!(allowed(&alice, "s3vectors:QueryVectors", index("alice")));
        assert!(!allowed(&alice, "s3vectors:QueryVectors", index("bob")));
    }

    #[test]
    fn canonical_ids_are_64_hex_digits_and_distinct() {
        let root = Principal::root().canonical_id();
        assert_eq!(root.len(), 64);
        assert!(root.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(root, Principal::root().canonical_id());
        assert_ne!(root, Principal::user("alice").canonical_id());
        assert_ne!(root, Principal::anonymous().canonical_id());
    }
}
