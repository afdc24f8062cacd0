//! The product as its users meet it: a real `lodestore` process, spoken to in raw HTTP with our own
//! signing, because an SDK cannot send a bad request.
//!
//! Each test proves one behaviour and is named by it. Polite tests share one server, each with a
//! bucket of its own; tests that kill, starve or configure a server start theirs.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]
#![expect(unreachable_pub, reason = "a test binary has no outside")]

mod support;

mod bad_auth;
mod bad_input;
mod buckets;
mod checksums;
mod conditions;
mod conformance;
mod copy;
mod corruption;
mod crash;
mod documents;
mod full_device;
mod http2;
mod limits;
mod linearizable;
mod listing;
mod lock;
mod multipart;
mod objects;
mod process;
mod tagging;
mod traps;
mod vectors;
mod vectors_client;
mod versions;
