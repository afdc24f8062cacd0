//! A device in memory that loses, tears and corrupts on demand.

/// What the simulator does wrong.
#[derive(Debug, Clone, Copy)]
pub enum Fault {}

/// Options of [`SimMedia::new`].
#[derive(Debug, Clone)]
pub struct SimOptions {}

/// The simulated device.
#[derive(Debug)]
pub struct SimMedia {}
