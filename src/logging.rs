//! Where events go: standard error, as text for people and as JSON for machines.

use std::io::IsTerminal;

use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Config, ConfigError, LogFormat};

/// Sends events to standard error from now on.
pub fn start(config: &Config) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&config.log)
        .map_err(|error| ConfigError::new(format!("log: `{}`: {error}", config.log)))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // A log that takes nothing (its reader ended, its disk is full) would be told so by a write
        // to itself, and that write panics: lost events must not cost requests.
        .log_internal_errors(false);
    let installed = if is_json(config.log_format) {
        let builder = builder.json().flatten_event(true).with_current_span(false);
        builder.finish().with(filter_fn(may_be_shown)).try_init()
    } else {
        let builder = builder.with_ansi(std::io::stderr().is_terminal());
        builder.finish().with(filter_fn(may_be_shown)).try_init()
    };
    installed.map_err(|error| ConfigError::new(format!("log: {error}")))
}

/// What holds whatever the operator's filter says: the S3 library logs whole requests with the
/// metadata and tags in them, and below warnings sled says what nobody asked for.
fn may_be_shown(metadata: &Metadata<'_>) -> bool {
    match metadata.target().split("::").next() {
        Some("s3s") => false,
        Some("sled") => *metadata.level() <= Level::WARN,
        _ => true,
    }
}

/// True when a person reads standard error.
pub fn is_interactive() -> bool {
    std::io::stderr().is_terminal()
}

fn is_json(format: LogFormat) -> bool {
    match format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !is_interactive(),
    }
}
