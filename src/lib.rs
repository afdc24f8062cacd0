//! Lodestore: one binary that is an S3 endpoint, the object store under Milvus, and a local dev
//! server.

// They panic where the output takes nothing, such as a pipe whose reader ended.
#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::print_stdout))]

pub mod banner;
pub mod bench;
pub mod catalog;
pub mod checksum;
pub mod cli;
pub mod config;
pub mod credentials;
pub mod data_directory;
pub mod descriptors;
pub mod healthcheck;
pub mod http_client;
pub mod iam;
pub mod keys;
pub mod logging;
pub mod md5;
pub mod memory;
pub mod objects;
pub mod s3;
mod secret_file;
pub mod serve;
pub mod server;
pub mod vectors;
pub mod vectors_client;
