//! The vector service: takes a request that was verified, answers a body or a failure.

use std::sync::Arc;

use bytes::Bytes;
use storage_engine::{Engine, Environment};
use vector_engine::{Index, VectorEngine, VectorStats};
use zeroize::Zeroizing;

use super::access::{Access, Caller};
use super::error::Result;
use super::limits::Limits;
use super::operation::{Id, Operation};
use super::ranking::Rankings;
use super::registry::Registry;
use super::token::Tokens;
use crate::catalog::Catalog;
use crate::iam::{Context, Principal};

/// What the service stands on.
pub struct Parts {
    /// Where records and rows are.
    pub engine: Engine,
    /// Buckets and indexes.
    pub catalog: Catalog,
    /// Rows of the indexes.
    pub vectors: VectorEngine,
    /// Clock.
    pub environment: Arc<dyn Environment>,
    /// Seals tokens of pages, and nothing else.
    pub token_key: Zeroizing<[u8; 32]>,
    /// Region that ARNs name.
    pub region: String,
    /// What an operator decides.
    pub limits: Limits,
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    pub(super) shared: Arc<Shared>,
}

/// What all requests share.
pub(super) struct Shared {
    pub(super) registry: Registry,
    pub(super) vectors: VectorEngine,
    pub(super) tokens: Tokens,
    pub(super) rankings: Rankings,
    pub(super) region: String,
    pub(super) limits: Limits,
}

/// A request whose signature was right.
#[derive(Debug, Clone)]
pub struct Request {
    /// What it asks for.
    pub operation: &'static Operation,
    /// Who sent it.
    pub principal: Principal,
    /// What else a decision about it may depend on.
    pub context: Context,
    /// Its path, undecoded.
    pub path: String,
    /// Its query, decoded.
    pub query: Vec<(String, String)>,
    /// Its body.
    pub body: Bytes,
}

impl Service {
    /// The service on its parts.
    pub fn new(parts: Parts) -> Self {
        let Parts { engine, catalog, vectors, environment, token_key, region, limits } = parts;
        let shared = Shared {
            registry: Registry::new(engine, catalog, Arc::clone(&environment)),
            vectors,
            tokens: Tokens::new(&token_key, Arc::clone(&environment)),
            rankings: Rankings::new(environment),
            region,
            limits,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Answers a request with the body of a success, which is JSON.
    pub async fn call(&self, request: Request) -> Result<Vec<u8>> {
        let Request { operation, principal, context, path, query, body } = request;
        let caller = Caller { principal, context, operation };
        match operation.id {
            Id::CreateVectorBucket => self.create_bucket(&caller, &body).await,
            Id::GetVectorBucket => self.get_bucket(&caller, &body),
            Id::ListVectorBuckets => self.list_buckets(&caller, &body),
            Id::DeleteVectorBucket => self.delete_bucket(&caller, &body).await,
            Id::PutVectorBucketPolicy => self.put_policy(&caller, &body).await,
            Id::GetVectorBucketPolicy => self.get_policy(&caller, &body),
            Id::DeleteVectorBucketPolicy => self.delete_policy(&caller, &body).await,
            Id::PutVectorBucketDefaultIndexMode => self.put_default_index_mode(&caller, &body),
            Id::CreateIndex => self.create_index(&caller, &body).await,
            Id::GetIndex => self.get_index(&caller, &body).await,
            Id::ListIndexes => self.list_indexes(&caller, &body),
            Id::DeleteIndex => self.delete_index(&caller, &body).await,
            Id::UpdateIndexMode => self.update_index_mode(&caller, &body),
            Id::UpdateMetadataConfiguration => self.update_metadata(&caller, &body).await,
            Id::PutVectors => self.put_vectors(caller, body).await,
            Id::GetVectors => self.get_vectors(&caller, &body).await,
            Id::ListVectors => self.list_vectors(&caller, &body).await,
            Id::DeleteVectors => self.delete_vectors(&caller, &body).await,
            Id::QueryVectors => self.query_vectors(&caller, &body).await,
            Id::TagResource => self.tag(&caller, &path, &body).await,
            Id::UntagResource => self.untag(&caller, &path, &query).await,
            Id::ListTagsForResource => self.list_tags(&caller, &path),
            Id::ForkIndex => self.fork_index(&caller, &body).await,
        }
    }

    /// The vector engine's figures.
    pub fn stats(&self) -> VectorStats {
        self.shared.vectors.stats()
    }

    /// The registry as `caller` may use it.
    pub(super) fn access<'a>(&'a self, caller: &'a Caller) -> Access<'a> {
        let Shared { registry, region, .. } = &*self.shared;
        Access { registry, region, caller }
    }

    /// The rows of an index that was found.
    pub(super) async fn rows(&self, index: &super::record::IndexRecord) -> Result<Index> {
        Ok(self.shared.vectors.index(index.space(), &index.settings()).await?)
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("region", &self.shared.region).finish_non_exhaustive()
    }
}

/// The answer of an operation that has nothing to tell.
pub(super) fn nothing() -> Vec<u8> {
    b"{}".to_vec()
}

/// An answer made of what always serializes.
pub(super) fn answer(value: &impl serde::Serialize) -> Vec<u8> {
    let mut body = Vec::new();
    super::json::write_value(&mut body, value);
    body
}
