//! What a person sees when the server starts: how to reach it, what it promises, lines to paste.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use crate::credentials::{RootCredentials, Source};
use crate::data_directory::Lifetime;

/// What the banner tells.
#[derive(Debug)]
pub struct Banner<'a> {
    /// Where the server listens.
    pub address: SocketAddr,
    /// Where the store lives.
    pub directory: &'a Path,
    /// How long it lives.
    pub lifetime: Lifetime,
    /// How a write becomes durable, as the engine says it: `sync`, `device`, `none`.
    pub durability: &'a str,
    /// What is known of the device's write cache.
    pub device: &'a str,
    /// The region.
    pub region: &'a str,
    /// The root keys.
    pub root: &'a RootCredentials,
    /// The version of the program.
    pub version: &'a str,
}

impl Banner<'_> {
    fn endpoint(&self) -> String {
        let host = match self.address.ip() {
            ip if ip.is_unspecified() && ip.is_ipv4() => "127.0.0.1".to_owned(),
            ip if ip.is_unspecified() => "[::1]".to_owned(),
            std::net::IpAddr::V6(ip) => format!("[{ip}]"),
            ip => ip.to_string(),
        };
        format!("http://{host}:{}", self.address.port())
    }

    fn promise(&self) -> &'static str {
        match (self.lifetime, self.durability) {
            (Lifetime::Ephemeral, _) => "none: EPHEMERAL, everything is removed at exit",
            (_, "sync") => "sync: a write is on stable media before it is acknowledged",
            (_, "device") => {
                "device: a write may be lost with the cache of the device at power loss"
            }
            (_, "none") => "none: a write may be lost when the system stops",
            _ => "unknown",
        }
    }

    fn secret(&self) -> &str {
        // A secret that the operator gave stays with the operator.
        if self.root.is_generated() { self.root.secret_key.expose() } else { "YOUR-SECRET-KEY" }
    }

    fn keys_note(&self) -> String {
        match &self.root.source {
            Source::Given(source) => format!("{} (from {source})", self.root.access_key),
            Source::Generated(path) => {
                format!("generated, kept in {} (mode 0600)", path.display())
            }
            Source::Stored(path) => format!("from {}", path.display()),
        }
    }
}

impl fmt::Display for Banner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoint = self.endpoint();
        let (access_key, secret_key) = (&self.root.access_key, self.secret());
        writeln!(f, "\nLodestore {}", self.version)?;
        writeln!(
            f,
            "  endpoint    {endpoint}  (listening on {}, region {})",
            self.address, self.region
        )?;
        writeln!(f, "  data        {}", self.directory.display())?;
        writeln!(f, "  durability  {}", self.promise())?;
        writeln!(f, "  device      {}", self.device)?;
        writeln!(f, "  encryption  at rest, always; master key in {}", self.master_key_place())?;
        writeln!(f, "  root keys   {}", self.keys_note())?;
        writeln!(f, "\nPaste into a shell:")?;
        writeln!(f, "  export AWS_ENDPOINT_URL={endpoint} AWS_REGION={}", self.region)?;
        writeln!(f, "  export AWS_ACCESS_KEY_ID={access_key} AWS_SECRET_ACCESS_KEY={secret_key}")?;
        writeln!(
            f,
            "  aws s3 mb s3://first && aws s3 cp README.md s3://first/ && aws s3 ls s3://first"
        )?;
        writeln!(
            f,
            "  python3 -c 'import boto3; print(boto3.client(\"s3\").list_buckets()[\"Buckets\"])'\n"
        )
    }
}

impl Banner<'_> {
    fn master_key_place(&self) -> String {
        match self.lifetime {
            Lifetime::Ephemeral => "memory".to_owned(),
            Lifetime::Permanent => {
                let path = self.directory.join(crate::keys::FILE_NAME);
                format!("{}: keep a copy elsewhere", path.display())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iam::SecretKey;

    fn text(source: Source, address: &str, lifetime: Lifetime) -> String {
        let root = RootCredentials {
            access_key: "ACCESS".to_owned(),
            secret_key: SecretKey::new("hushhush".to_owned()),
            source,
        };
        Banner {
            address: address.parse().unwrap(),
            directory: Path::new("/srv/store"),
            lifetime,
            durability: "sync",
            device: "unknown",
            region: "us-east-1",
            root: &root,
            version: "0.1.0",
        }
        .to_string()
    }

    #[test]
    fn a_given_secret_is_not_shown() {
        let text = text(Source::Given("MINIO_ROOT_USER"), "127.0.0.1:9000", Lifetime::Permanent);
        assert!(!text.contains("hushhush"));
        assert!(text.contains("AWS_ENDPOINT_URL=http://127.0.0.1:9000"));
        assert!(text.contains("/srv/store/keyring"));
    }

    #[test]
    fn a_generated_secret_is_shown() {
        let source = Source::Generated("/srv/store/root-credentials".into());
        let text = text(source, "[::]:9000", Lifetime::Permanent);
        assert!(text.contains("AWS_SECRET_ACCESS_KEY=hushhush"));
        assert!(text.contains("http://[::1]:9000"));
    }

    #[test]
    fn an_ephemeral_store_says_so() {
        let text = text(Source::Given("flags"), "0.0.0.0:9000", Lifetime::Ephemeral);
        assert!(text.contains("EPHEMERAL, everything is removed at exit"));
    }
}
