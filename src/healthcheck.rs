//! `lodestore healthcheck`: one request to a running server, small enough for a container's probe.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

/// A server that needs longer than this is not healthy.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The status line and a few headers.
const ANSWER_BYTES_MAX: u64 = 4096;

/// Why the server is not healthy, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unhealthy(String);

impl std::fmt::Display for Unhealthy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unhealthy {}

/// The question to ask a server that listens on `listen`.
pub fn url_of(listen: SocketAddr) -> String {
    // An unspecified address means "every interface": ask through the loopback one.
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}/readyz", SocketAddr::new(ip, listen.port()))
}

/// Asks `url`; an answer of 200 is health.
pub fn run(url: &str) -> Result<(), Unhealthy> {
    let fail = |why: String| Unhealthy(format!("{url}: {why}"));
    let rest = url.strip_prefix("http://").ok_or_else(|| fail("no http:// address".to_owned()))?;
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/readyz"),
    };
    if url.bytes().any(|byte| byte.is_ascii_control() || byte == b' ') {
        return Err(fail("no address".to_owned()));
    }
    let status = ask(authority, path).map_err(|error| fail(error.to_string()))?;
    if status == "200" { Ok(()) } else { Err(fail(format!("answered {status}"))) }
}

/// The status code of the answer.
fn ask(authority: &str, path: &str) -> std::io::Result<String> {
    let with_port =
        if has_port(authority) { authority.to_owned() } else { format!("{authority}:80") };
    let mut failure = std::io::Error::from(std::io::ErrorKind::NotFound);
    for address in with_port.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => return exchange(stream, authority, path),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn has_port(authority: &str) -> bool {
    let after_brackets = authority.rsplit(']').next().unwrap_or(authority);
    after_brackets.contains(':')
}

fn exchange(mut stream: TcpStream, authority: &str, path: &str) -> std::io::Result<String> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let mut words = answer.lines().next().unwrap_or_default().split(' ');
    match (words.next(), words.next()) {
        (Some(version), Some(status)) if version.starts_with("HTTP/1.") => Ok(status.to_owned()),
        _ => Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "no HTTP answer")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers one connection and gives back what was asked.
    fn serve_once(answer: &'static str) -> (SocketAddr, std::thread::JoinHandle<String>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut question = [0; 1024];
            let len = stream.read(&mut question).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&question[..len]).into_owned()
        });
        (address, thread)
    }

    #[test]
    fn two_hundred_is_health() {
        let (address, thread) = serve_once("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(run(&url_of(address)), Ok(()));
        assert!(thread.join().unwrap().starts_with("GET /readyz HTTP/1.1\r\n"));
    }

    #[test]
    fn any_other_answer_is_not() {
        for answer in ["HTTP/1.1 503 Service Unavailable\r\n\r\n", "SSH-2.0-x\r\n", ""] {
            let (address, thread) = serve_once(answer);
            assert!(run(&format!("http://{address}/livez")).is_err(), "{answer}");
            thread.join().unwrap();
        }
    }

    #[test]
    fn nobody_listening_is_not() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(run(&url_of(free)).is_err());
        assert!(run("https://127.0.0.1/").is_err());
    }

    #[test]
    fn every_interface_is_asked_through_loopback() {
        assert_eq!(url_of("0.0.0.0:9000".parse().unwrap()), "http://127.0.0.1:9000/readyz");
        assert_eq!(url_of("[::]:9000".parse().unwrap()), "http://[::1]:9000/readyz");
        assert_eq!(url_of("192.0.2.7:80".parse().unwrap()), "http://192.0.2.7:80/readyz");
    }
}
