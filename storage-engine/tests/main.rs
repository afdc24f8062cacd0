//! The engine as its owner meets it, on simulated and real devices. One binary; a folder's worth
//! of suites.

#![expect(clippy::unwrap_used, reason = "what fails in a test fails the test")]

mod batches;
mod behaviour;
mod contract;
mod crash;
mod decoders;
mod device;
mod faults;
mod format;
mod golden;
mod headers;
mod model;
mod pages;
mod panics;
mod planted;
mod recovery;
mod reference;
mod seals;
mod subject;
mod upkeep;
mod workload;
mod zones;
