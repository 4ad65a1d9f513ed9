//! A minimal HTTP/1.1 and MCP client over TCP, TLS and Unix sockets: one request per connection, bounded in time and
//! size.

use super::STEP;
use crate::socket;
use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};
use serde_json::{Value, json};
use std::{
    cell::Cell,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

/// Maximum size of an answer, in bytes.
const MAX_ANSWER: usize = 4 << 20;
/// Timeout for a whole answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// The requested revision: the last one with sessions.
const REVISION: mcp::Revision = mcp::Revision::WITH_HANDSHAKE;

/// A connection.
pub(super) trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// The address of a server.
#[derive(Clone)]
pub(super) enum Place {
    /// A Unix socket.
    Socket(PathBuf),
    /// An address.
    Plain(SocketAddr),
    /// An address, the expected name of its server, and the TLS configuration.
    Tls(SocketAddr, ServerName<'static>, Arc<ClientConfig>),
}

/// The endpoint of a server.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) place: Place,
    /// The `Host` header.
    pub(super) host: String,
    /// The path of the MCP endpoint.
    pub(super) path: String,
    pub(super) token: Option<String>,
}

/// A server's answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The JSON-RPC response in it: the body, or an event of a stream.
    fn response(&self) -> Option<Value> {
        let is_response = |value: &Value| value.get("result").is_some() || value.get("error").is_some();
        if let Ok(value) = serde_json::from_slice(&self.body) {
            return Some(value).filter(is_response);
        }
        let text = String::from_utf8_lossy(&self.body);
        let mut events = text.lines().filter_map(|line| line.strip_prefix("data:"));
        events.find_map(|data| serde_json::from_str(data.trim()).ok().filter(is_response))
    }

    /// The status and the body, on one line.
    pub(super) fn summary(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(300).collect();
        if line.is_empty() { format!("status {}", self.status) } else { format!("status {}: {line}", self.status) }
    }
}

impl Endpoint {
    pub(super) fn socket(path: PathBuf) -> Self {
        Self { place: Place::Socket(path), host: "localhost".to_owned(), path: "/mcp".to_owned(), token: None }
    }

    pub(super) fn at(address: SocketAddr, token: Option<String>) -> Self {
        Self { place: Place::Plain(address), host: address.to_string(), path: "/mcp".to_owned(), token }
    }

    /// Connects, with a timeout of [`STEP`] for each read and write.
    pub(super) fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let tcp = |address: &SocketAddr| {
            let stream = TcpStream::connect_timeout(address, STEP)?;
            stream.set_read_timeout(Some(STEP))?;
            stream.set_write_timeout(Some(STEP))?;
            stream.set_nodelay(true)?;
            io::Result::Ok(stream)
        };
        Ok(match &self.place {
            Place::Socket(path) => {
                let stream = socket::connect(path, STEP)?;
                stream.set_read_timeout(Some(STEP))?;
                stream.set_write_timeout(Some(STEP))?;
                Box::new(stream)
            }
            Place::Plain(address) => Box::new(tcp(address)?),
            Place::Tls(address, name, config) => {
                let mut tcp = tcp(address)?;
                let mut tls = ClientConnection::new(Arc::clone(config), name.clone()).map_err(io::Error::other)?;
                while tls.is_handshaking() {
                    tls.complete_io(&mut tcp).map_err(|err| if err.kind() == io::ErrorKind::WouldBlock { late() } else { err })?;
                }
                Box::new(StreamOwned::new(tls, tcp))
            }
        })
    }

    /// Sends one request and reads the answer.
    pub(super) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Answer> {
        let mut stream = self.connect()?;
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n", self.host, body.len());
        let token = self.token.as_ref().map(|token| ("Authorization".to_owned(), format!("Bearer {token}")));
        let given = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        for (name, value) in given.chain(token) {
            if value.contains(['\r', '\n']) {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("the header {name} has a line break")));
            }
            head = head + &name + ": " + &value + "\r\n";
        }
        let sent = stream.write_all(&[head.as_bytes(), b"\r\n", body].concat()).and_then(|()| stream.flush());
        match (read_answer(&mut *stream, method), sent) {
            // A server may answer without reading the whole request.
            (Ok(answer), _) => Ok(answer),
            (Err(_), Err(err)) | (Err(err), Ok(())) => Err(err),
        }
    }
}

/// Reads until the answer is complete. An event stream is complete once it has the response.
fn read_answer(stream: &mut dyn Stream, method: &str) -> io::Result<Answer> {
    let began = Instant::now();
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        let count = match stream.read(&mut buffer) {
            Ok(count) => count,
            // Many servers close without TLS's `close_notify`.
            Err(err) if err.kind() == io::ErrorKind::UnexpectedEof => 0,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => return Err(late()),
            Err(err) => return Err(err),
        };
        bytes.extend_from_slice(&buffer[..count]);
        if let Some(answer) = parse(&bytes, method, count == 0)? {
            return Ok(answer);
        }
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed before an answer"));
        }
        if began.elapsed() > PATIENCE {
            return Err(late());
        }
        if bytes.len() > MAX_ANSWER {
            return Err(io::Error::other("the answer is too long"));
        }
    }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "timed out waiting for an answer")
}

/// The answer, once it is complete.
fn parse(bytes: &[u8], method: &str, is_closed: bool) -> io::Result<Option<Answer>> {
    if !b"HTTP/1.".starts_with(&bytes[..bytes.len().min(7)]) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the server there does not speak HTTP"));
    }
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let status: u16 = status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer has no status"))?;
    let pairs = lines.filter_map(|line| line.split_once(':'));
    let headers = pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect();
    let mut answer = Answer { status, headers, body: Vec::new() };
    let rest = &bytes[end + 4..];
    let is_chunked = answer.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
    let length: Option<usize> = answer.header("content-length").and_then(|length| length.parse().ok());
    // After `CONNECT` the connection stays open.
    let is_whole = if matches!(method, "HEAD" | "CONNECT") || matches!(status, 204 | 304) {
        true
    } else if is_chunked {
        let (body, is_whole) = dechunked(rest);
        answer.body = body;
        is_whole
    } else {
        answer.body = rest[..rest.len().min(length.unwrap_or(rest.len()))].to_vec();
        length.is_some_and(|length| rest.len() >= length)
    };
    let is_stream = answer.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
    let is_done = is_whole || is_closed || is_stream && answer.body.ends_with(b"\n") && answer.response().is_some();
    Ok(is_done.then_some(answer))
}

/// Decodes a chunked body, and returns whether the last chunk is there.
fn dechunked(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(end) = rest.windows(2).position(|two| two == b"\r\n") else { return (body, false) };
        let size = String::from_utf8_lossy(&rest[..end]);
        let size = size.split(';').next().and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
        rest = &rest[end + 2..];
        match size {
            Some(0) => return (body, true),
            Some(size) if rest.len() >= size.saturating_add(2) => {
                body.extend_from_slice(&rest[..size]);
                rest = &rest[size + 2..];
            }
            Some(_) | None => return (body, false),
        }
    }
}

/// Why MCP does not work at an endpoint.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{}", .0.summary())]
    Status(Answer),
    #[error("the server refused: {0}")]
    Error(String),
    #[error("the answer is not a JSON-RPC response ({})", .0.summary())]
    Foreign(Answer),
}

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Io(err) => err,
            refused => Self::other(refused.to_string()),
        }
    }
}

/// An MCP session.
pub(super) struct Session<'a> {
    endpoint: &'a Endpoint,
    id: Option<String>,
    pub(super) revision: String,
    /// Name and version of the server.
    pub(super) server: String,
    /// The id of the last request. No id is reused: a server may consider it in flight shortly after its answer.
    last: Cell<u32>,
}

impl<'a> Session<'a> {
    /// Opens a session with `initialize`.
    pub(super) fn open(endpoint: &'a Endpoint) -> Result<Self, Refused> {
        let info = json!({"name": "mcp-server-git doctor", "version": env!("CARGO_PKG_VERSION")});
        let params = json!({"protocolVersion": REVISION.name(), "capabilities": {}, "clientInfo": info});
        let mut session = Self { endpoint, id: None, revision: REVISION.name().to_owned(), server: String::new(), last: Cell::new(0) };
        let (answer, result) = session.send("initialize", &params)?;
        session.id = answer.header("mcp-session-id").map(str::to_owned);
        result["protocolVersion"].as_str().unwrap_or(REVISION.name()).clone_into(&mut session.revision);
        let of_server = |key: &str| result["serverInfo"][key].as_str().unwrap_or("?").to_owned();
        session.server = format!("{} {}", of_server("name"), of_server("version"));
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        session.post(&initialized)?;
        Ok(session)
    }

    fn post(&self, message: &Value) -> Result<Answer, Refused> {
        let mut headers = vec![("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")];
        if let Some(id) = &self.id {
            headers.extend([("Mcp-Session-Id", id.as_str()), ("MCP-Protocol-Version", self.revision.as_str())]);
        }
        let answer = self.endpoint.request("POST", &self.endpoint.path, &headers, message.to_string().as_bytes())?;
        if (200..300).contains(&answer.status) { Ok(answer) } else { Err(Refused::Status(answer)) }
    }

    fn send(&self, method: &str, params: &Value) -> Result<(Answer, Value), Refused> {
        self.last.set(self.last.get() + 1);
        let answer = self.post(&json!({"jsonrpc": "2.0", "id": self.last.get(), "method": method, "params": params}))?;
        let Some(mut response) = answer.response() else { return Err(Refused::Foreign(answer)) };
        match response.get("error") {
            Some(error) => Err(Refused::Error(error["message"].as_str().unwrap_or_default().to_owned())),
            None => Ok((answer, response["result"].take())),
        }
    }

    pub(super) fn ping(&self) -> Result<(), Refused> {
        self.send("ping", &json!({})).map(drop)
    }

    /// Calls a tool. Returns whether it succeeded.
    pub(super) fn call(&self, tool: &str, arguments: &Value) -> Result<bool, Refused> {
        let (_, result) = self.send("tools/call", &json!({"name": tool, "arguments": arguments}))?;
        Ok(result["isError"] != json!(true))
    }

    /// Closes the session if the server gave it an id.
    pub(super) fn close(self) {
        if let Some(id) = &self.id {
            self.endpoint.request("DELETE", &self.endpoint.path, &[("Mcp-Session-Id", id)], b"").ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_parsed_in_every_form() -> io::Result<()> {
        let whole = |text: &str| parse(text.as_bytes(), "GET", false).map(|answer| answer.map(|answer| answer.body));
        assert_eq!(whole("HTT")?, None);
        assert_eq!(whole("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab")?, None);
        assert_eq!(whole("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")?, Some(b"abc".to_vec()));
        assert_eq!(whole("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")?, None);
        assert_eq!(whole("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x\r\nc\r\n0\r\n\r\n")?, Some(b"abc".to_vec()));
        let events = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {\"result\":{}}\n";
        assert!(whole(events)?.is_some() && whole(&events.replace("result", "method"))?.is_none());
        assert!(whole("SSH-2.0-x\r\n").is_err());
        Ok(())
    }
}
