//! The vector engine as its owner meets it, on a simulated device and on files: what is acknowledged is
//! found, as an exact reference finds it, through seals, compactions, crashes and restarts.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod behaviour;
mod crash;
mod damage;
mod fork;
mod format;
mod model;
mod recall;
mod reference;
mod subject;
mod texts;
