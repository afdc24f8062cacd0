//! The AWS SDK for Rust, pointed at the store that the `AWS_*` variables name.
//!
//! Plain HTTP only: the connector without TLS keeps the build small.

use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Region};

/// A variable that `tests/clients/run` sets.
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: start tests/clients/run"))
}

/// The SDK's client at its defaults, but for the address, the keys and path-style names.
pub fn client() -> Client {
    let keys = Credentials::new(
        variable("AWS_ACCESS_KEY_ID"),
        variable("AWS_SECRET_ACCESS_KEY"),
        None,
        None,
        "environment",
    );
    let configuration = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .region(Region::new(variable("AWS_DEFAULT_REGION")))
        .endpoint_url(variable("AWS_ENDPOINT_URL"))
        .credentials_provider(keys)
        .force_path_style(true)
        .build();
    Client::from_conf(configuration)
}

/// A bucket of a new name, for one test.
pub async fn new_bucket(client: &Client) -> String {
    static MADE: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = MADE.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let since_epoch = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("the clock is after 1970");
    let name = format!("clients-rust-{:x}-{number}", since_epoch.as_nanos());
    client.create_bucket().bucket(&name).send().await.expect("the bucket is made");
    name
}
