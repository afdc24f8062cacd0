//! A small HTTP client of S3 and S3 Vectors endpoints, ours or another's: what `lodestore bench` and
//! `lodestore vectors` speak with.
//!
//! One keep-alive connection carries one request at a time. Requests are signed, unless they shall
//! not be; an answer that is no success is a [`Failure`]. It speaks HTTP/1.1 without TLS.

mod connection;
mod endpoint;
mod sign;
mod target;

pub(crate) use connection::{Answer, Ask, Body, Client, Failure, Hash, Keep, Refusal, element};
pub(crate) use sign::{Service, encode_path, encode_value};
pub(crate) use target::Target;
pub use target::{TargetError, TargetOptions};
