//! Lodestore: one binary that is an S3 endpoint, the object store under Milvus, and a local dev
//! server.

pub mod bench;
pub mod catalog;
pub mod checksum;
pub mod iam;
pub mod keys;
pub mod objects;
pub mod s3;
pub mod server;
