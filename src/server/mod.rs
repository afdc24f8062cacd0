//! Listening, routing, the gate, the response stage.

pub mod body;
pub mod chunked;
pub mod document;
pub mod guard;
pub mod limits;
pub mod operations;
pub mod promise;
pub mod query;
pub mod refusal;
pub mod request_id;
pub mod sigv4;
pub mod stream;
pub mod target;
