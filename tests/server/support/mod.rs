//! What the tests stand on: a real server process, a raw HTTP client, a signer, an XML reader.
//!
//! Nothing here is shared with the server: a mistake in its signing or its checksums must not be
//! able to hide behind the same mistake in the tests.

pub mod client;
pub mod digest;
pub mod fixture;
pub mod form;
pub mod history;
pub mod http;
pub mod process;
pub mod request;
pub mod signing;
pub mod vector_load;
pub mod vector_rows;
pub mod vectors;
pub mod xml;

pub use fixture::{Bucket, Content, bucket, shared};
pub use http::{Connection, Response};
pub use process::{Server, Setup};
pub use request::Request;
