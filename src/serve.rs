//! stub
use crate::config::{ConfigError, Layers};
use std::process::ExitCode;
/// s
pub fn run(_: &Layers) -> Result<ExitCode, ConfigError> {
    Err(ConfigError::new("x"))
}
/// s
pub fn check(_: &std::path::Path) -> Result<ExitCode, ConfigError> {
    Err(ConfigError::new("x"))
}
