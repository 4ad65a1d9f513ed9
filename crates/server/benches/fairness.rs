//! Latency of two quiet principals' calls while a third floods the server, relative to their latency without the flood.
//!
//! 1,000 sessions are open, all but two of them the flooder's. Only ratios within one run are meaningful.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark prints its figures and fails loudly"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};
use support::{
    Fixture,
    admin::Administered,
    program,
    wire::{call, initialize, post, session},
};

const SESSIONS: usize = 1000;
const FLOODERS: usize = 16;
const CALLS: usize = 400;

/// A keep-alive connection of one session.
struct Client {
    reader: BufReader<TcpStream>,
    head: String,
    id: u32,
}

impl Client {
    fn connect(port: u16, token: &str, session: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        let head = format!(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
             Authorization: Bearer {token}\r\nMcp-Session-Id: {session}\r\n"
        );
        Self { reader: BufReader::new(stream), head, id: 10 }
    }

    /// Makes a call and returns whether it succeeded.
    fn call(&mut self, tool: &str, args: Value) -> bool {
        self.id += 1;
        let body = call(self.id, tool, args).to_string();
        let request = format!("{}Content-Length: {}\r\n\r\n{body}", self.head, body.len());
        self.reader.get_mut().write_all(request.as_bytes()).expect("the server reads");
        let (mut length, mut line) = (None, String::new());
        loop {
            line.clear();
            self.reader.read_line(&mut line).expect("a header");
            let header = line.trim_end().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            length = header.strip_prefix("content-length:").and_then(|length| length.trim().parse().ok()).or(length);
        }
        let mut body = Vec::new();
        if let Some(length) = length {
            body.resize(length, 0);
            self.reader.read_exact(&mut body).expect("a body");
        } else {
            // Chunked transfer encoding.
            loop {
                line.clear();
                self.reader.read_line(&mut line).expect("a chunk");
                let size = usize::from_str_radix(line.trim_end(), 16).expect("its size");
                let start = body.len();
                body.resize(start + size + 2, 0);
                self.reader.read_exact(&mut body[start..]).expect("a chunk");
                if size == 0 {
                    break;
                }
            }
        }
        String::from_utf8_lossy(&body).contains("\"isError\":false")
    }
}

/// The median and the 99th percentile, in milliseconds.
fn percentiles(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1e3;
    (at(50), at(99))
}

fn quiet(clients: &mut [Client]) -> Vec<Duration> {
    let mut times = Vec::new();
    for at in 0..CALLS {
        let count = clients.len();
        let client = &mut clients[at % count];
        let began = Instant::now();
        assert!(client.call("git_status", json!({})), "a quiet principal was rejected");
        times.push(began.elapsed());
        std::thread::sleep(Duration::from_millis(5));
    }
    times
}

fn main() {
    let fixture = Fixture::new();
    let mut config = String::new();
    let tokens = ["flooder", "quiet-1", "quiet-2"].map(|name| {
        let output = program().args(["token", name]).output().expect("a token");
        let stdout = String::from_utf8(output.stdout).expect("text");
        config += &stdout;
        stdout.lines().next().and_then(|line| line.rsplit(' ').next()).expect("the token").to_owned()
    });
    let path = fixture.home.path().join("config.toml");
    fs::write(&path, config).expect("a file");
    let server = Administered::start(&fixture, &["--config", &path.display().to_string()], &[]);
    let bearer = tokens.each_ref().map(|token| format!("Bearer {token}"));
    let open = |at: usize| session(&server.server, &[("Authorization", &bearer[at])]);
    let theirs: Vec<String> = (2..SESSIONS).map(|_| open(0)).collect();
    let own = [open(1), open(2)];
    let mut clients: Vec<Client> = (0..2).map(|at| Client::connect(server.server.port, &tokens[at + 1], &own[at])).collect();
    quiet(&mut clients);
    let baseline = percentiles(quiet(&mut clients));
    let (over, flooded) = (AtomicBool::new(false), AtomicUsize::new(0));
    let under_load = std::thread::scope(|scope| {
        for session in theirs.iter().rev().take(FLOODERS) {
            scope.spawn(|| {
                let mut client = Client::connect(server.server.port, &tokens[0], session);
                while !over.load(Ordering::Relaxed) {
                    client.call("git_log", json!({"max_count": 10}));
                    flooded.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let times = quiet(&mut clients);
        over.store(true, Ordering::Relaxed);
        percentiles(times)
    });
    println!("quiet calls, no flood: p50 {:.2} ms, p99 {:.2} ms", baseline.0, baseline.1);
    println!("quiet calls, flooded:  p50 {:.2} ms, p99 {:.2} ms, while the flooder made {flooded:?} calls", under_load.0, under_load.1);
    println!("p99 ratio: {:.2}", under_load.1 / baseline.1);
    // One session above the limit.
    let held = |name: &str| {
        let all = server.get("/sessions")["sessions"].as_array().expect("a list").clone();
        all.iter().filter(|session| session["principal"] == name).count()
    };
    let before = ["flooder", "quiet-1", "quiet-2"].map(held);
    assert_eq!(post(&server.server, &[("Authorization", &bearer[1])], &initialize()).status, 200);
    println!("sessions per principal: {before:?}, after one more for quiet-1: {:?}", ["flooder", "quiet-1", "quiet-2"].map(held));
}
