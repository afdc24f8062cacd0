//! The S3 Vectors wire and its rules: vector buckets and indexes in the catalog, requests in the
//! JSON of Amazon S3 Vectors on one side and the vector engine on the other.
//!
//! The way of a request: the server verifies it → [`service`] picks its operation → its file reads the
//! body ([`shape`], [`json`]), checks it against the model ([`check`]), finds what it names and whether
//! the caller may ([`access`]), checks the rules that the model does not have, and calls the registry
//! or the engine.
//!
//! - What is not in the model is told as AWS tells it, where that is known: `docs/vectors.md`.
//! - A body never takes much more memory than it has bytes: lists are counted beyond a number of items,
//!   documents are parsed one by one.

mod access;
mod binding;
mod buckets;
mod check;
mod error;
mod explain;
mod fork;
mod indexes;
mod json;
mod limits;
mod name;
mod opening;
mod operation;
mod packed;
mod policy;
mod query;
mod ranking;
mod record;
mod registry;
mod rows;
mod service;
mod settings;
mod shape;
mod spares;
mod tagging;
mod token;
mod verify;

pub use binding::NewBinding;
pub use error::{Failure, FieldFault, Kind};
pub use limits::Limits;
pub use operation::{Id, OPERATIONS, Operation};
pub use service::{Parts, Request, Service};
pub use verify::{Verified, verify};
