//! Clients that send the same bytes over every transport.

use super::{Client, Fixture, PATIENCE, program};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tungstenite::{Message, WebSocket, client::IntoClientRequest, stream::MaybeTlsStream};

/// The newest revision, without a handshake.
pub(crate) const NEWEST: &str = "2026-07-28";
/// The older revisions, with a handshake.
pub(crate) const LEGACY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/// The `_meta` of every request of the newest revision.
pub(crate) fn meta(capabilities: &Value) -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": NEWEST,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    })
}

/// A server listening on HTTP and WebSocket.
pub(crate) struct Served {
    pub(crate) child: Child,
    pub(crate) port: u16,
    socket: Option<PathBuf>,
}

impl Served {
    pub(crate) fn start(fixture: &Fixture, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let serve = ["serve", "--port", "0"];
        let mut command = program();
        command.arg("-r").arg(&fixture.path).args(serve).args(args).envs(variables.iter().copied());
        let mut served = Self::spawn(&mut command);
        served.socket = args.iter().position(|arg| *arg == "--socket").and_then(|at| args.get(at + 1)).map(PathBuf::from);
        served
    }

    /// Runs `command`, which must print the port it listens on.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("the listening address");
        let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or_default();
        Self { child, port, socket: None }
    }

    pub(crate) fn connect(&self) -> Box<dyn ReadWrite> {
        if let Some(path) = &self.socket {
            let stream = UnixStream::connect(path).expect("a connection");
            stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
            return Box::new(stream);
        }
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Box::new(stream)
    }

    /// Sends raw bytes. Returns the reply up to `until`, or to the end.
    pub(crate) fn raw(&self, request: &[u8], until: Option<&str>) -> String {
        let mut stream = self.connect();
        stream.write_all(request).expect("the server reads");
        let mut reply = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(count) = stream.read(&mut buffer) {
            reply.extend_from_slice(&buffer[..count]);
            if count == 0 || until.is_some_and(|until| String::from_utf8_lossy(&reply).contains(until)) {
                break;
            }
        }
        String::from_utf8_lossy(&reply).into_owned()
    }

    /// Sends a request with these headers.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let has = |name: &str| headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
        let host = if has("Host") { String::new() } else { format!("Host: 127.0.0.1:{}\r\n", self.port) };
        let given = headers.iter().fold(String::new(), |all, (name, value)| all + name + ": " + value + "\r\n");
        let head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n{host}{given}\r\n", body.len());
        Reply::parse(&self.raw(&[head.as_bytes(), body].concat(), None))
    }

    pub(crate) fn websocket(&self, headers: &[(&str, &str)]) -> tungstenite::Result<WebSocket<MaybeTlsStream<TcpStream>>> {
        let mut request = format!("ws://127.0.0.1:{}/ws", self.port).into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", tungstenite::http::HeaderValue::from_static("mcp"));
        for (name, value) in headers {
            let name = tungstenite::http::HeaderName::from_bytes(name.as_bytes()).expect("a header");
            request.headers_mut().insert(name, value.parse().expect("a value"));
        }
        let (socket, _) = tungstenite::connect(request)?;
        if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
            stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        }
        Ok(socket)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

pub(crate) trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

/// An HTTP reply.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn parse(text: &str) -> Self {
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    /// The JSON-RPC reply: the body, or the last event of a stream, chunked or not.
    pub(crate) fn message(&self) -> Option<Value> {
        let mut found = None;
        let mut rest = self.body.as_str();
        while let Some(at) = rest.find('{') {
            let mut values = serde_json::Deserializer::from_str(&rest[at..]).into_iter::<Value>();
            match values.next() {
                Some(Ok(value)) => {
                    rest = &rest[at + values.byte_offset()..];
                    found = Some(value);
                }
                _ => rest = &rest[at + 1..],
            }
        }
        found
    }
}

/// A client of one revision on one transport.
pub(crate) enum Peer<'a> {
    Stdio(Box<Client>),
    Http { server: &'a Served, session: Option<String>, revision: &'static str },
    Socket(Box<WebSocket<MaybeTlsStream<TcpStream>>>),
}

impl Peer<'_> {
    /// Sends bytes and returns the reply, if one is expected.
    pub(crate) fn exchange(&mut self, bytes: &[u8], is_answered: bool) -> Option<Value> {
        match self {
            Self::Stdio(client) => {
                client.send(&[bytes, b"\n"].concat());
                is_answered.then(|| client.receive())
            }
            Self::Socket(socket) => {
                let text = String::from_utf8(bytes.to_vec());
                socket.send(text.map_or_else(|_| Message::binary(bytes.to_vec()), Message::text)).expect("the server reads");
                if !is_answered {
                    return None;
                }
                loop {
                    match socket.read().expect("an answer") {
                        Message::Text(text) => return Some(serde_json::from_str(&text).expect("JSON")),
                        Message::Ping(_) | Message::Pong(_) => {}
                        other => panic!("{other:?}"),
                    }
                }
            }
            Self::Http { server, session, revision } => {
                let message: Value = serde_json::from_slice(bytes).unwrap_or_default();
                let method = message["method"].as_str().unwrap_or("none").to_owned();
                let name = ["name", "uri", "taskId"].iter().find_map(|key| message["params"][key].as_str()).map(str::to_owned);
                let mut headers = vec![("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")];
                if method != "initialize" && LEGACY[..2].iter().all(|old| old != revision) {
                    headers.push(("MCP-Protocol-Version", revision));
                }
                let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
                if *revision == NEWEST && is_plain(&method) && method != "none" {
                    headers.push(("Mcp-Method", &method));
                    if let Some(name) = name.as_deref().filter(|name| is_plain(name)) {
                        headers.push(("Mcp-Name", name));
                    }
                }
                if let Some(session) = session.as_deref() {
                    headers.push(("Mcp-Session-Id", session));
                }
                let reply = server.send("POST", "/mcp", &headers, bytes);
                if let Some(id) = reply.header("mcp-session-id") {
                    *session = Some(id.to_owned());
                }
                assert_eq!(reply.message().is_some(), is_answered, "{}: {reply:?}", String::from_utf8_lossy(bytes));
                reply.message()
            }
        }
    }
}

pub(crate) const JSON: [(&str, &str); 2] = [("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")];

#[expect(clippy::needless_pass_by_value, reason = "callers pass literals")]
pub(crate) fn call(id: u32, tool: &str, args: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool, "arguments": args}})
}

pub(crate) fn initialize() -> Value {
    let info = json!({"name": "test", "version": "1"});
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info}})
}

pub(crate) fn post(server: &Served, headers: &[(&str, &str)], message: &Value) -> Reply {
    server.send("POST", "/mcp", &[&JSON, headers].concat(), message.to_string().as_bytes())
}

/// Sends a message, and does not wait for its answer.
pub(crate) fn begin(server: &Served, headers: &[(&str, &str)], message: &Value) -> TcpStream {
    let body = message.to_string();
    let all = [&JSON, headers].concat();
    let given = all.iter().fold(String::new(), |all, (name, value)| all + name + ": " + value + "\r\n");
    let head = format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\n{given}Content-Length: {}\r\n\r\n{body}", body.len());
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).expect("a connection");
    stream.write_all(head.as_bytes()).expect("the server reads");
    stream
}

/// Opens a session of an older revision.
pub(crate) fn session(server: &Served, headers: &[(&str, &str)]) -> String {
    let reply = post(server, headers, &initialize());
    let id = reply.header("mcp-session-id").unwrap_or_else(|| panic!("{reply:?}")).to_owned();
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(post(server, &[headers, &[("Mcp-Session-Id", &id)]].concat(), &initialized).status, 202);
    id
}

/// Sends a request of the newest revision, with its required headers.
pub(crate) fn modern(server: &Served, headers: &[(&str, &str)], mut message: Value) -> Reply {
    message["params"]["_meta"] = meta(&json!({}));
    let method = message["method"].as_str().unwrap_or_default().to_owned();
    let name = message["params"]["name"].as_str().unwrap_or_default().to_owned();
    let own = [("MCP-Protocol-Version", NEWEST), ("Mcp-Method", method.as_str()), ("Mcp-Name", name.as_str())];
    let own = if name.is_empty() { &own[..2] } else { &own[..] };
    post(server, &[own, headers].concat(), &message)
}

/// Waits until `happens` returns true, for at most a minute. The only poll of the tests: for the state of another process,
/// such as its files, its children or its answers, that it does not announce. Anything else is an event to wait for.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut happens: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !happens() {
        assert!(begun.elapsed() < PATIENCE, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(25));
    }
}
