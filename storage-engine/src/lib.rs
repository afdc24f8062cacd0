//! Lodestore's storage engine: "here are keys, values and streams: keep them, ordered, durable,
//! sealed, for as long as they must stay".
//!
//! What it guarantees:
//! - a [`Batch`] is acknowledged after it is on stable media (unless the operator asked for less),
//!   whole, in one order that every reader sees; readers never see what is not yet durable;
//! - conditions and locks are decided at the one point where a batch gets its place in that order;
//! - a byte that changed on the device is found and named, never served.
//!
//! What it is not: it knows no HTTP, no bucket, no policy and no user; one process owns a device.
//!
//! The life of a put: [`Engine::writer`] seals a stream into memory (small) or into data zones
//! (large) → [`Engine::commit`] hands a batch to the sequencer → the lane writes one journal batch
//! and syncs it beside the data zones → the index shows it → the caller is told. The life of a get:
//! [`Engine::current`] finds the entry → [`Engine::load`] reads and verifies its record →
//! [`Record::read`] opens the value chunk by chunk, or a [`PageReader`] any page of it.

mod batch;
mod checkpoint;
mod cipher;
mod counters;
mod device_view;
mod engine;
mod entry;
mod environment;
mod error;
pub mod format;
mod id;
mod index;
mod journal;
mod keeper;
mod lane;
pub mod limits;
mod lock;
pub mod media;
mod options;
mod page_reader;
mod queue;
mod read;
mod scan;
mod scrub;
mod stats;
mod value;
mod write_buffer;
mod zone;

pub use batch::*;
pub use cipher::{MasterKey, PlainMasterKey};
pub use engine::Engine;
pub use entry::{Body, Entry, Location, Stamp};
pub use environment::{Environment, Job, SystemEnvironment};
pub use error::{Corruption, Error, Missing, Result, Shortage};
pub use id::{BlobId, Epoch, Lsn, ROOT_SPACE, SpaceId, ZoneId};
pub use keeper::Maintenance;
pub use lock::{Bypass, LegalHold, Lock, Retention, RetentionMode};
pub use options::Options;
pub use page_reader::PageReader;
pub use read::{Record, ValueReader};
pub use scan::{Scan, ScanItem, ScanPage, VersionScan};
pub use scrub::{CheckReport, check};
pub use stats::Stats;
pub use value::{Placement, Sealed, Value, ValueWriter};
