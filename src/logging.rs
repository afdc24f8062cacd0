//! Where events go: standard error, as text for people and as JSON for machines.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Config, ConfigError, LogFormat};

/// Directives that hold whatever the operator says: the S3 library logs whole requests, with their
/// keys and signatures.
const ALWAYS: [&str; 2] = ["s3s=off", "sled=warn"];

/// Sends events to standard error from now on.
pub fn start(config: &Config) -> Result<(), ConfigError> {
    let mut filter = EnvFilter::try_new(&config.log)
        .map_err(|error| ConfigError::new(format!("log: `{}`: {error}", config.log)))?;
    for directive in ALWAYS {
        let directive = directive
            .parse()
            .map_err(|error| ConfigError::new(format!("log: `{directive}`: {error}")))?;
        filter = filter.add_directive(directive);
    }
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let installed = if is_json(config.log_format) {
        builder.json().flatten_event(true).with_current_span(false).try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).try_init()
    };
    installed.map_err(|error| ConfigError::new(format!("log: {error}")))
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
