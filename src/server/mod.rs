//! Listening, routing, the gate, the response stage.

pub mod body;
