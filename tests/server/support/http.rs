//! HTTP/1.1 over a blocking socket: sends exactly the bytes it is given, reads exactly one answer.
//!
//! No header is added, folded, validated or dropped here; that is the point of it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::xml::Node;

/// Longest wait for a byte of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// One connection, kept alive as long as the server keeps it.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
    /// When the last answer ended.
    pub used: Instant,
    /// Not all that was to be sent was taken.
    is_broken: bool,
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// `GET https://…`, for messages.
    pub request: String,
    /// The status code.
    pub status: u16,
    /// The headers in the order they came, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// A `100 Continue` came first.
    pub continued: bool,
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(10))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        stream.set_write_timeout(Some(READ_TIMEOUT))?;
        Ok(Self { stream, unread: Vec::new(), used: Instant::now(), is_broken: false })
    }

    /// Sends bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends `piece` again and again, until so many were sent or the server takes no more.
    pub fn write_repeatedly(&mut self, piece: &[u8], times: usize) -> io::Result<()> {
        for _ in 0..times {
            self.write(piece)?;
        }
        Ok(())
    }

    /// Sends no more; the answer can still be read.
    pub fn finish_writing(&mut self) -> io::Result<()> {
        self.stream.shutdown(std::net::Shutdown::Write)
    }

    /// Sends a request and reads its answer, also when the server answers and hangs up before it
    /// has taken the whole body.
    pub fn exchange(&mut self, method: &str, head: &[u8], body: &[u8]) -> io::Result<Response> {
        let mut joined = head.to_vec();
        let sent = if body.len() <= 64 * 1024 {
            joined.extend_from_slice(body);
            self.write(&joined)
        } else {
            self.write(head).and_then(|()| self.write(body))
        };
        self.is_broken |= sent.is_err();
        match (sent, self.read_response(method)) {
            (_, Ok(response)) => Ok(response),
            (Err(unsent), Err(_)) => Err(unsent),
            (Ok(()), Err(unread)) => Err(unread),
        }
    }

    /// Reads one answer; `method` decides whether it has a body.
    pub fn read_response(&mut self, method: &str) -> io::Result<Response> {
        let mut continued = false;
        loop {
            let (status, headers) = self.read_head()?;
            if status == 100 {
                continued = true;
                continue;
            }
            let body = if method == "HEAD" || status == 204 || status == 304 {
                Vec::new()
            } else {
                self.read_body(&headers)?
            };
            self.used = Instant::now();
            return Ok(Response { request: method.to_owned(), status, headers, body, continued });
        }
    }

    /// Whether another request can follow `response`.
    pub fn can_follow(&self, response: &Response) -> bool {
        !self.is_broken && response.keeps_alive()
    }

    /// Whether the server sends nothing more for a moment: nothing follows an answer.
    pub fn is_quiet(&mut self) -> bool {
        self.waits(Duration::from_millis(100))
    }

    /// Whether the server sends nothing, not even an end, for `time`.
    pub fn waits(&mut self, time: Duration) -> bool {
        if !self.unread.is_empty() {
            return false;
        }
        self.stream.set_read_timeout(Some(time)).expect("a non-zero timeout");
        let mut byte = [0];
        let outcome = uninterrupted(|| self.stream.read(&mut byte));
        self.stream.set_read_timeout(Some(READ_TIMEOUT)).expect("a non-zero timeout");
        if let Ok(1) = outcome {
            self.unread.push(byte[0]);
        }
        matches!(&outcome, Err(error)
            if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }

    fn read_head(&mut self) -> io::Result<(u16, Vec<(String, String)>)> {
        let mut lines = Vec::new();
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let malformed = || io::Error::new(ErrorKind::InvalidData, format!("head: {lines:?}"));
        let first = lines.first().ok_or_else(malformed)?;
        let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
        let status = status.and_then(|digits| digits.parse().ok()).ok_or_else(malformed)?;
        let mut headers = Vec::new();
        for line in &lines[1..] {
            let (name, value) = line.split_once(':').ok_or_else(malformed)?;
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        Ok((status, headers))
    }

    fn read_body(&mut self, headers: &[(String, String)]) -> io::Result<Vec<u8>> {
        let header =
            |name| headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        if header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
        {
            return self.read_chunks();
        }
        match header("content-length") {
            Some(text) => {
                let length = text.parse().map_err(|_| ErrorKind::InvalidData)?;
                self.read_exactly(length)
            }
            None => {
                let mut body = std::mem::take(&mut self.unread);
                self.stream.read_to_end(&mut body)?;
                Ok(body)
            }
        }
    }

    fn read_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.read_line()?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let length = usize::from_str_radix(digits, 16).map_err(|_| ErrorKind::InvalidData)?;
            if length == 0 {
                while !self.read_line()?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.read_exactly(length)?);
            self.read_line()?;
        }
    }

    fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.unread.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            self.fill()?;
        }
    }

    fn read_exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let ready = self.unread.len().min(length);
        let mut body: Vec<u8> = self.unread.drain(..ready).collect();
        body.resize(length, 0);
        self.stream.read_exact(&mut body[ready..])?;
        Ok(body)
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut piece = [0; 16 * 1024];
        let length = uninterrupted(|| self.stream.read(&mut piece))?;
        if length == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.unread.extend_from_slice(&piece[..length]);
        Ok(())
    }
}

/// Calls again what a signal interrupted.
fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

impl Response {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as XML.
    #[track_caller]
    pub fn xml(&self) -> Node {
        Node::parse(&self.text()).unwrap_or_else(|why| panic!("{why} in {self}"))
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|why| panic!("{why} in {self}"))
    }

    /// The text of a direct child of the root element; empty when it is not there.
    #[track_caller]
    pub fn field(&self, name: &str) -> String {
        self.xml().text(name)
    }

    /// The `ETag` header; empty when there is none.
    pub fn etag(&self) -> String {
        self.header("etag").unwrap_or_default().to_owned()
    }

    /// The `x-amz-version-id` header; empty when there is none.
    pub fn version_id(&self) -> String {
        self.header("x-amz-version-id").unwrap_or_default().to_owned()
    }

    /// Whether the server keeps the connection open after this answer.
    pub fn keeps_alive(&self) -> bool {
        let framed = self.header("content-length").is_some()
            || self.header("transfer-encoding").is_some()
            || matches!(self.status, 204 | 304)
            || self.request.starts_with("HEAD");
        framed && !self.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"))
    }

    /// Insists on a status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert!(self.status == status, "expected {status}, got {self}");
        self
    }

    /// Insists on an error with this status and code.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Self {
        let right = self.status == status && self.field("Code") == code;
        assert!(right, "expected {status} {code}, got {self}");
        self
    }

    /// Insists on an error in JSON with this status and type; answers its message.
    #[track_caller]
    pub fn failed(&self, status: u16, kind: &str) -> String {
        let right = self.status == status && self.header("x-amzn-errortype") == Some(kind);
        assert!(right, "expected {status} {kind}, got {self}");
        assert_eq!(self.header("content-type"), Some("application/json"), "{self}");
        assert!(self.header("x-amzn-requestid").is_some_and(|id| !id.is_empty()), "{self}");
        self.json()["message"].as_str().unwrap_or_else(|| panic!("no message: {self}")).to_owned()
    }

    /// Insists on one of several errors; for what AWS itself leaves open.
    #[track_caller]
    pub fn refused_as(self, answers: &[(u16, &str)]) -> Self {
        let right = answers.iter().any(|(status, code)| {
            self.status == *status && self.text().contains(&format!("<Code>{code}</Code>"))
        });
        assert!(right, "expected one of {answers:?}, got {self}");
        self
    }

    /// Insists on any client error: the request did not take effect and it is not our fault.
    #[track_caller]
    pub fn client_error(self) -> Self {
        assert!((400..500).contains(&self.status), "expected a client error, got {self}");
        self
    }

    /// Insists on a header's value.
    #[track_caller]
    pub fn with(self, name: &str, value: &str) -> Self {
        assert!(self.header(name) == Some(value), "expected {name}: {value}, got {self}");
        self
    }

    /// Insists that a header is not there.
    #[track_caller]
    pub fn without(self, name: &str) -> Self {
        assert!(self.header(name).is_none(), "expected no {name}, got {self}");
        self
    }
}

impl std::fmt::Display for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} for {}", self.status, self.request)?;
        for (name, value) in &self.headers {
            writeln!(f, "  {name}: {value}")?;
        }
        let text = self.text();
        let shown: String = text.chars().take(1000).collect();
        write!(f, "  {} bytes: {shown}", self.body.len())
    }
}
