//! A local directory as a medium.

/// How a sync is made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// On stable media: survives power loss.
    Sync,
    /// In the device: survives the process and the system, not a device that loses its cache.
    Device,
    /// In the page cache: survives the process only.
    None,
}

/// Options of [`FileMedia::open`].
#[derive(Debug, Clone)]
pub struct FileMediaOptions {}

/// What the device says about its write cache.
#[derive(Debug, Clone)]
pub struct Probe {}

/// A directory of zone files.
#[derive(Debug)]
pub struct FileMedia {}
