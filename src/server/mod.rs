//! Listening, routing, the gate, the response stage.

pub mod body;
mod chunked;
pub mod limits;
mod query;
mod refusal;
mod request_id;
mod sigv4;
mod target;
