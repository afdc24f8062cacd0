//! Where requests go: an `http://` endpoint, its host and its addresses.

use std::net::{SocketAddr, ToSocketAddrs};

use super::target::TargetError;

/// An endpoint that was resolved once.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// As it stands in `Host`.
    pub(crate) authority: String,
    /// Where to connect to.
    pub(super) address: SocketAddr,
}

impl Endpoint {
    /// From `http://host[:port][/]`.
    pub(super) fn resolve(url: &str) -> Result<Self, TargetError> {
        let refused = |why: &str| TargetError::new(format!("endpoint: `{url}`: {why}"));
        if url.starts_with("https://") {
            return Err(refused("TLS is not spoken; give an http:// address"));
        }
        let rest = url.strip_prefix("http://").ok_or_else(|| refused("give http://HOST:PORT"))?;
        let authority = rest.trim_end_matches('/');
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte);
        if authority.is_empty() || !authority.bytes().all(plain) {
            return Err(refused("give http://HOST:PORT, without a path"));
        }
        let has_port = authority.rsplit(']').next().is_some_and(|rest| rest.contains(':'));
        let with_port = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        let address = with_port
            .to_socket_addrs()
            .map_err(|error| refused(&error.to_string()))?
            .next()
            .ok_or_else(|| refused("has no address"))?;
        Ok(Self { authority: authority.to_owned(), address })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_host_and_port() {
        let endpoint = Endpoint::resolve("http://127.0.0.1:9000/").unwrap();
        assert_eq!(endpoint.authority, "127.0.0.1:9000");
        assert_eq!(endpoint.address, "127.0.0.1:9000".parse().unwrap());
        assert_eq!(Endpoint::resolve("http://[::1]").unwrap().address, "[::1]:80".parse().unwrap());
    }

    #[test]
    fn what_it_cannot_reach_it_refuses() {
        for url in ["https://127.0.0.1", "127.0.0.1:9000", "http://", "http://127.0.0.1/bucket"] {
            assert!(Endpoint::resolve(url).is_err(), "{url}");
        }
        let text = Endpoint::resolve("https://a").unwrap_err().to_string();
        assert!(text.contains("TLS is not spoken"), "{text}");
    }
}
