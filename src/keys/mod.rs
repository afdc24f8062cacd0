//! Master keys: who holds them and how they are kept. Today a local keyring file.

mod keyring;

pub use keyring::{FILE_NAME, KeyringError, LocalKeyring, StoreState};
