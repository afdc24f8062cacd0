//! Key hierarchy and sealing.

use crate::error::Result;

/// Wraps the keys of spaces. Held by the operator: a local keyring file, a KMS.
pub trait MasterKey: Send + Sync + 'static {
    /// Wraps a space's key; `context` must be given again to unwrap.
    fn wrap(&self, key: &[u8; 32], context: &[u8]) -> Result<Vec<u8>>;
    /// Opens what [`MasterKey::wrap`] made.
    fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<[u8; 32]>;
}

/// A master key held in memory.
#[derive(Clone)]
pub struct PlainMasterKey {}

impl PlainMasterKey {
    /// From 32 secret bytes.
    pub fn new(_key: [u8; 32]) -> Self {
        todo!()
    }
}

impl MasterKey for PlainMasterKey {
    fn wrap(&self, _key: &[u8; 32], _context: &[u8]) -> Result<Vec<u8>> {
        todo!()
    }
    fn unwrap(&self, _wrapped: &[u8], _context: &[u8]) -> Result<[u8; 32]> {
        todo!()
    }
}
