//! Lodestore: one binary that is an S3 endpoint, the object store under Milvus, and a local dev
//! server.

pub mod banner;
pub mod bench;
pub mod catalog;
pub mod checksum;
pub mod cli;
pub mod config;
pub mod credentials;
pub mod data_directory;
pub mod healthcheck;
pub mod iam;
pub mod keys;
pub mod logging;
pub mod md5;
pub mod objects;
pub mod s3;
mod secret_file;
pub mod serve;
pub mod server;
pub mod vectors;
