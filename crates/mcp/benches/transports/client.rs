//! Benchmark clients.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Child, Command, Stdio as Pipe},
    time::Instant,
};

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"b","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}"#;

fn call(id: usize, meta: bool, text: &str) -> String {
    let meta = if meta { format!(",{META}") } else { String::new() };
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\",\"params\":{{\"name\":\"echo\",\"arguments\":{{\"text\":\"{text}\"}}{meta}}}}}"
    )
}

fn initialize() -> &'static str {
    r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"b","version":"1"}}}"#
}

fn start(side: &str, transport: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("this program"));
    command.args([side, transport]).stderr(Pipe::null());
    command
}

/// Resident memory in megabytes, current or peak.
fn memory(pid: u32, what: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() / 1024
}

/// A server on a socket pair, like a child process of Node.
pub(crate) struct Stdio {
    child: Child,
    writer: UnixStream,
    reader: BufReader<UnixStream>,
}

impl Stdio {
    pub(crate) fn start(side: &str) -> Self {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let output = theirs.try_clone().expect("a socket");
        let child = start(side, "stdio").stdin(OwnedFd::from(theirs)).stdout(OwnedFd::from(output)).spawn().expect("a server");
        let reader = BufReader::new(ours.try_clone().expect("a socket"));
        let mut client = Self { child, writer: ours, reader };
        client.send(initialize());
        client.line();
        client.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        client
    }

    fn send(&mut self, text: &str) {
        self.writer.write_all(format!("{text}\n").as_bytes()).expect("a reader");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("an answer");
        line
    }

    pub(crate) fn calls_a_second(&mut self, in_flight: usize, calls: usize) -> f64 {
        let start = Instant::now();
        for id in 1..=in_flight {
            self.send(&call(id, false, "x"));
        }
        for id in in_flight + 1..=calls + in_flight {
            self.line();
            if id <= calls {
                self.send(&call(id, false, "x"));
            }
        }
        count(calls) / start.elapsed().as_secs_f64()
    }

    /// Sends all calls before reading any answer.
    pub(crate) fn flood(&mut self, calls: usize) -> (usize, usize) {
        let mut writer = self.writer.try_clone().expect("a socket");
        let all: String = (1..=calls).map(|id| call(id, false, "x") + "\n").collect();
        let feeder = std::thread::spawn(move || writer.write_all(all.as_bytes()));
        feeder.join().expect("a thread").ok();
        let answers = (0..calls).map(|_| self.line());
        let refused = answers.filter(|line| line.contains("-32000")).count();
        (calls - refused, refused)
    }

    pub(crate) fn peak(&self) -> u64 {
        memory(self.child.id(), "VmHWM")
    }
}

impl Drop for Stdio {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn count(calls: usize) -> f64 {
    f64::from(u32::try_from(calls).unwrap_or(u32::MAX))
}

/// A server over HTTP.
pub(crate) struct Http {
    child: Child,
    port: u16,
}

impl Http {
    pub(crate) fn start(side: &str) -> Self {
        let mut child = start(side, "http").stdin(Pipe::null()).stdout(Pipe::piped()).spawn().expect("a server");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("its port");
        Self { child, port: line.trim().parse().expect("a port") }
    }

    pub(crate) fn resident(&self) -> u64 {
        memory(self.child.id(), "VmRSS")
    }

    fn connect(&self) -> Connection {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        Connection { reader: BufReader::new(stream.try_clone().expect("a socket")), writer: stream }
    }

    /// One connection for each request in flight.
    pub(crate) fn calls_a_second(&self, in_flight: usize, calls: usize) -> f64 {
        let each = calls / in_flight;
        let start = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..in_flight {
                scope.spawn(|| {
                    let mut connection = self.connect();
                    for id in 0..each {
                        connection.post(&call(id, true, "x"), MODERN);
                        connection.reply();
                    }
                });
            }
        });
        count(each * in_flight) / start.elapsed().as_secs_f64()
    }

    /// 99th percentile latency, in milliseconds.
    pub(crate) fn slowest_of_a_hundred(&self, calls: usize) -> f64 {
        let mut connection = self.connect();
        let mut times: Vec<f64> = (0..calls)
            .map(|id| {
                let start = Instant::now();
                connection.post(&call(id, true, "x"), MODERN);
                connection.reply();
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        times.get(calls * 99 / 100).copied().unwrap_or_default()
    }

    /// Opens sessions of an older revision and keeps them open.
    pub(crate) fn sessions(&self, many: usize) -> usize {
        let mut connection = self.connect();
        let mut opened = 0;
        for _ in 0..many {
            connection.post(initialize(), "");
            opened += usize::from(connection.reply().to_lowercase().contains("mcp-session-id"));
        }
        opened
    }

    /// Sends calls with large answers on one connection without reading any.
    pub(crate) fn unread(&self, calls: usize) -> TcpStream {
        let connection = self.connect();
        let mut writer = connection.writer.try_clone().expect("a socket");
        std::thread::spawn(move || {
            let text = "x".repeat(50_000);
            for id in 0..calls {
                let body = call(id, true, &text);
                if Connection::write(&mut writer, &body, MODERN).is_err() {
                    return;
                }
            }
        });
        std::thread::sleep(std::time::Duration::from_secs(1));
        connection.writer
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The headers of the newest revision.
const MODERN: &str = "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: echo\r\n";

struct Connection {
    writer: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Connection {
    fn post(&mut self, body: &str, headers: &str) {
        Self::write(&mut self.writer, body, headers).expect("a reader");
    }

    fn write(writer: &mut TcpStream, body: &str, headers: &str) -> std::io::Result<()> {
        let head = format!(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        );
        writer.write_all((head + body).as_bytes())
    }

    /// The head of a reply; its body is read and dropped.
    fn reply(&mut self) -> String {
        let mut head = String::new();
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line).expect("a reply");
            if line.trim().is_empty() {
                break;
            }
            head += &line;
        }
        let lower = head.to_lowercase();
        if let Some(length) = lower.lines().find_map(|line| line.strip_prefix("content-length:")).and_then(|text| text.trim().parse().ok())
        {
            let mut body = vec![0; length];
            self.reader.read_exact(&mut body).expect("a body");
            return head;
        }
        // Chunked encoding.
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line).expect("a chunk");
            let size = usize::from_str_radix(line.trim(), 16).unwrap_or_default();
            let mut chunk = vec![0; size + 2];
            self.reader.read_exact(&mut chunk).expect("a chunk");
            if size == 0 {
                return head;
            }
        }
    }
}
