//! A client: an address, an identity, and a few connections kept for the next request.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::http::{Connection, Response};
use super::request::Request;

/// Connections idle for longer are not used again: the server may be closing them just now.
const IDLE_MAX: Duration = Duration::from_secs(3);

/// Who asks whom. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    /// The server.
    pub address: SocketAddr,
    /// The access key that signs.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Client {
    /// A client of one identity.
    pub fn new(address: SocketAddr, access_key: &str, secret_key: &str) -> Self {
        let idle = Arc::new(Mutex::new(Vec::new()));
        Self { address, access_key: access_key.into(), secret_key: secret_key.into(), idle }
    }

    /// The same server as somebody else.
    pub fn with_keys(&self, access_key: &str, secret_key: &str) -> Self {
        Self::new(self.address, access_key, secret_key)
    }

    /// The `Host` of the server.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// A request for a path with an optional query, both as they go on the wire.
    pub fn request(&self, method: &str, target: &str) -> Request {
        Request::new(self.clone(), method, target)
    }

    /// Sends what `request` built over a kept or a new connection.
    pub fn exchange(&self, method: &str, head: &[u8], body: &[u8]) -> io::Result<Response> {
        let mut connection = self.connection()?;
        let response = connection.exchange(method, head, body)?;
        if connection.can_follow(&response) {
            self.idle.lock().expect("no test panics here").push(connection);
        }
        Ok(response)
    }

    /// A connection to use and to keep.
    pub fn connection(&self) -> io::Result<Connection> {
        let mut idle = self.idle.lock().expect("no test panics here");
        while let Some(connection) = idle.pop() {
            if connection.used.elapsed() < IDLE_MAX {
                return Ok(connection);
            }
        }
        drop(idle);
        Connection::open(self.address)
    }
}
