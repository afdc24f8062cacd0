//! Parse, configure, run.
fn main() {}
