//! Whom requests go to, and who sends them: as flags, and resolved once.

use std::time::Duration;

use clap::Args;

use super::endpoint::Endpoint;
use super::sign::{Service, Signer};
use crate::config::parse_duration;
use crate::iam::SecretKey;

/// Flags of every command that speaks to an endpoint.
#[derive(Args)]
pub struct TargetOptions {
    /// Endpoint; http only
    #[arg(
        long,
        value_name = "URL",
        env = "AWS_ENDPOINT_URL",
        default_value = "http://127.0.0.1:9000"
    )]
    pub endpoint: String,
    /// Access key
    #[arg(long, env = "AWS_ACCESS_KEY_ID", default_value = "", hide_env_values = true)]
    pub access_key: String,
    /// Secret key
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY", default_value = "", hide_env_values = true)]
    pub secret_key: String,
    /// Send requests unsigned
    #[arg(long)]
    pub anonymous: bool,
    /// Region to sign for
    #[arg(long, env = "AWS_REGION", default_value = "us-east-1")]
    pub region: String,
    /// Longest time of one request
    #[arg(long, default_value = "30s", value_parser = parse_duration)]
    pub timeout: Duration,
}

impl std::fmt::Debug for TargetOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Everything but the keys.
        f.debug_struct("TargetOptions")
            .field("endpoint", &self.endpoint)
            .field("anonymous", &self.anonymous)
            .field("region", &self.region)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Why there is nobody to speak to, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetError(String);

impl TargetError {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl std::fmt::Display for TargetError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TargetError {}

/// An endpoint's service and who asks it.
pub(crate) struct Target {
    pub(crate) endpoint: Endpoint,
    pub(crate) region: String,
    /// Of one request with its answer.
    pub(crate) timeout: Duration,
    service: Service,
    credentials: Option<(String, SecretKey)>,
}

impl Target {
    /// Resolves the endpoint's name.
    pub(crate) fn resolve(options: &TargetOptions, service: Service) -> Result<Self, TargetError> {
        Ok(Self {
            endpoint: Endpoint::resolve(&options.endpoint)?,
            region: options.region.clone(),
            timeout: options.timeout,
            service,
            credentials: credentials(options)?,
        })
    }

    /// A signer; none when requests go unsigned.
    pub(super) fn signer(&self) -> Option<Signer> {
        let (access_key, secret_key) = self.credentials.as_ref()?;
        Some(Signer::new(access_key, secret_key.clone(), &self.region, self.service))
    }
}

fn credentials(options: &TargetOptions) -> Result<Option<(String, SecretKey)>, TargetError> {
    if options.anonymous {
        return Ok(None);
    }
    if options.access_key.is_empty() || options.secret_key.is_empty() {
        return Err(TargetError::new(
            "keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give --access-key and \
             --secret-key, or --anonymous",
        ));
    }
    Ok(Some((options.access_key.clone(), SecretKey::new(options.secret_key.clone()))))
}
