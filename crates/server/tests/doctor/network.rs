//! Faults of the network: ports, remotes, and the way to a remote server.

use super::{Outcome, Report, Ward, write, write_program};
use crate::support::{
    Fixture,
    programs::{found, not_tried},
    tokens::tokens,
    wire::{Served, wait_for},
};
use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
};

/// A server with its own state folder in the ward's home.
fn served(ward: &Ward, args: &[&str]) -> Served {
    let state = ward.home.join("served").display().to_string();
    Served::start(&ward.fixture, &[&["--state-dir", state.as_str()], args].concat(), &[])
}

#[test]
fn a_taken_port_is_reported_with_its_owner() -> Outcome {
    let ward = Ward::new();
    let own = format!("(pid {})", std::process::id());
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(other) = TcpListener::bind(address) else {
            not_tried(&format!("{address} is no address of this machine"));
            continue;
        };
        let fix = ward.heals(&format!("export MCP_GIT_PORT={}", other.local_addr()?.port()), &[], "port", &own);
        assert!(fix.starts_with("export MCP_GIT_PORT="), "{fix}");
        // A flag overrides the variable.
        ward.heals_by("", &["--port", &other.local_addr()?.port().to_string()], "port", &own, |fix| {
            let port = fix.split("--port ").nth(1).unwrap_or_default().trim_end_matches("`.").to_owned();
            format!("set -- doctor --json --port {port}")
        });
        // Both addresses have one cause.
        let _second = TcpListener::bind(("127.0.0.1", other.local_addr()?.port()));
        assert_eq!(ward.report(&format!("export MCP_GIT_PORT={}", other.local_addr()?.port()), &[]).state("port"), ["problem"]);
    }
    // The default port was not requested: this test or another program holds it.
    let _default = TcpListener::bind("127.0.0.1:8080");
    let report = ward.report("", &[]);
    assert!(report.find("port", "port 8080").is_some_and(|one| one["state"] == "note"), "{:#?}", report.checks);
    let server = served(&ward, &[]);
    let report = ward.report("", &["--port", &server.port.to_string()]);
    assert!(report.code == Some(0) && report.find("port", "a running server").is_some(), "{:#?}", report.checks);
    let socket = ward.home.join("socket");
    write(&socket, "");
    ward.heals(&format!("export MCP_GIT_SOCKET='{}'", socket.display()), &[], "port", "is not a socket");
    ward.heals(&format!("export MCP_GIT_SOCKET='{}/new/socket'", ward.home.display()), &[], "port", "does not exist");
    Ok(())
}

/// A program that listens on a Unix socket, accepts nothing, and fills its queue.
const FILL: &str = "import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen(0)
waiting = []
try:
    while True:
        waiting.append(socket.socket(socket.AF_UNIX))
        waiting[-1].setblocking(False)
        waiting[-1].connect(sys.argv[1])
except BlockingIOError:
    print('full', flush=True)
sys.stdin.read()";

#[test]
fn a_socket_with_a_full_queue_does_not_block_the_doctor() -> Outcome {
    let Some(python) = found("python3") else { return Ok(()) };
    let ward = Ward::new();
    let socket = ward.home.join("full");
    let mut command = std::process::Command::new(python);
    command.args(["-c", FILL]).arg(&socket).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut python = command.spawn()?;
    let mut line = [0; 4];
    python.stdout.as_mut().ok_or("an output")?.read_exact(&mut line)?;
    let report = ward.report(&format!("export MCP_GIT_SOCKET='{}'", socket.display()), &[]);
    python.kill()?;
    python.wait()?;
    assert!(line == *b"full" && report.find("port", "accepts no connection").is_some(), "{:#?}", report.checks);
    assert_eq!(ward.report(&format!("export MCP_GIT_SOCKET='{}'", socket.display()), &[]).state("port"), ["ok"], "it is stale");
    Ok(())
}

#[test]
fn a_non_loopback_server_is_reported_with_the_firewall_commands() {
    let ward = Ward::new();
    let (config, _) = tokens(&ward.fixture);
    let ran = ward.home.join("ran");
    for program in ["ufw", "sudo"] {
        write_program(&ward.home.join("bin").join(program), &format!("#!/bin/sh\ntouch '{}'\n", ran.display()));
    }
    let lines = format!("export PATH='{}/bin':\"$PATH\" MCP_GIT_HOST=0.0.0.0 MCP_GIT_PORT=8443", ward.home.display());
    let report = ward.report(&lines, &["--config", &config]);
    let finding = report.find("scope", "sudo ufw allow 8443/tcp").unwrap_or_else(|| panic!("{:#?}", report.checks));
    assert_eq!(finding["fix"], "sudo ufw deny 8443/tcp");
    assert!(!ran.exists(), "the doctor runs neither");
    assert_eq!(ward.report(&format!("{lines}; unset MCP_GIT_HOST"), &["--config", &config]).state("scope"), ["ok"]);
}

#[test]
fn unreachable_remotes_are_reported_reason_by_reason() -> Outcome {
    let ward = Ward::new();
    let path = ward.fixture.path.display().to_string();
    let args = ["-r", path.as_str(), "--online"];
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    drop(listener);
    ward.sh(&format!("git remote add origin http://127.0.0.1:{port}/x.git"));
    assert_eq!(ward.report("", &args[..2]).state("remotes"), ["skipped"]);
    let protocol = ward.heals("", &args, "remotes", "is not allowed");
    let host = ward.heals(&protocol, &args, "remotes", "not an address of the public internet");
    let both = format!("{protocol}; {host}");
    let report = ward.report(&both, &args);
    assert!(report.find("remotes", "accepts no connection (TCP)").is_some(), "{:#?}", report.checks);
    let remote = Answering::start(port)?;
    ward.sh(&format!("git remote set-url origin http://user:hunter2@127.0.0.1:{port}/x.git"));
    for status in [200, 401, 403, 404] {
        remote.status.store(status, Ordering::SeqCst);
        let report = ward.report(&both, &args);
        let found = report.checks.iter().find(|one| one["name"] == "remotes").cloned().unwrap_or_default();
        assert!(found["state"] == "ok" && found["detail"] == "1 remote host answers", "{found}");
        assert_eq!(found["causes"][0], format!("127.0.0.1, port {port}: status {status}"));
    }
    // Without the password in the URL.
    let asked = remote.asked.lock().expect("the requests").clone();
    assert!(asked.contains("GET /x.git/info/refs?service=git-upload-pack HTTP/1.1\r\n"), "{asked}");
    assert!(!asked.to_ascii_lowercase().contains("authorization") && !asked.contains("hunter2"), "{asked}");
    for (status, state) in [(500, "problem"), (503, "problem"), (429, "note"), (301, "note")] {
        remote.status.store(status, Ordering::SeqCst);
        let report = ward.report(&both, &args);
        let found = report.find("remotes", &format!("answers status {status}")).unwrap_or_else(|| panic!("{:#?}", report.checks));
        assert!(found["state"] == state && found["fix"].is_string(), "{found}");
    }
    // git:// is only connected to.
    let lines = format!("{both}; export MCP_GIT_PROTOCOLS=git");
    ward.sh(&format!("git remote set-url origin git://127.0.0.1:{port}/x.git"));
    let report = ward.report(&lines, &args);
    let found = report.checks.iter().find(|one| one["name"] == "remotes").cloned().unwrap_or_default();
    assert!(found["state"] == "ok" && found["detail"] == "1 remote host accepts connections", "{found}");
    ward.sh("git remote set-url origin https://nobody.invalid/x.git");
    ward.heals_by("", &args, "remotes", "(DNS)", |fix| {
        let command = fix.split('`').nth(1).unwrap_or_default();
        format!("{}; {both}", command.replace(" URL", &format!(" http://127.0.0.1:{port}/x.git")))
    });
    Ok(())
}

/// A server over HTTP that answers each request with a status.
pub(super) struct Answering {
    pub(super) status: Arc<AtomicU16>,
    /// The requests so far.
    pub(super) asked: Arc<Mutex<String>>,
}

impl Answering {
    /// Runs until the test program ends.
    pub(super) fn start(port: u16) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        let own = Self { status: Arc::default(), asked: Arc::default() };
        let (status, asked) = (Arc::clone(&own.status), Arc::clone(&own.asked));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut buffer = [0; 4096];
                let count = stream.read(&mut buffer).unwrap_or_default();
                asked.lock().expect("the requests").push_str(&String::from_utf8_lossy(&buffer[..count]));
                let answer = format!("HTTP/1.1 {} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status.load(Ordering::SeqCst));
                stream.write_all(answer.as_bytes()).unwrap_or_default();
            }
        });
        Ok(own)
    }
}

/// The states of the steps, in order.
fn steps(report: &Report) -> Vec<String> {
    report
        .checks
        .iter()
        .map(|one| format!("{}: {}", one["name"].as_str().unwrap_or_default(), one["state"].as_str().unwrap_or_default()))
        .collect()
}

#[test]
fn the_failing_step_on_the_way_to_a_server_is_named() -> Outcome {
    let ward = Ward::new();
    let server = served(&ward, &[]);
    let url = format!("http://127.0.0.1:{}/mcp", server.port);
    let report = ward.report("", &["--url", &url]);
    assert_eq!(steps(&report), ["dns: ok", "tcp: ok", "http: ok", "websocket: ok", "mcp: ok"], "{:#?}", report.checks);
    // Nothing listens, the name does not resolve, the port has no TLS, the URL is invalid.
    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let fails = |url: &str, step: &str, words: &str| {
        let report = ward.report("", &["--url", url]);
        let finding = report.find(step, words).unwrap_or_else(|| panic!("{url}: {:#?}", report.checks));
        finding["fix"].as_str().unwrap_or_default().to_owned()
    };
    assert!(fails(&format!("http://127.0.0.1:{closed}/mcp"), "tcp", "accepts no connection").contains(&format!("--port {closed}")));
    fails("http://nobody.invalid/mcp", "dns", "nobody.invalid");
    assert!(fails(&format!("https://127.0.0.1:{}/mcp", server.port), "tls", "does not speak TLS").contains("http://"));
    fails("ftp://x/", "url", "ftp");
    fails("http://x:99999/", "url", "65535");
    let report = ward.report("", &["--url", "http://user:hunter2@127.0.0.1/mcp"]);
    assert!(report.find("url", "password").is_some() && !format!("{:?}", report.checks).contains("hunter2"));
    // Another program answers.
    for (answer, step, words) in [
        ("SSH-2.0-x\r\n", "http", "does not speak HTTP"),
        ("HTTP/1.1 301 Moved\r\nLocation: https://u:hunter2@else.example/\r\nContent-Length: 0\r\n\r\n", "http", "redirects to"),
        ("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "http", "reaches no server"),
        ("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "http", "accepts no calls"),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "mcp", "no MCP"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "mcp", "not a JSON-RPC"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}/mcp", listener.local_addr()?);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut stream = stream;
                let mut buffer = [0; 4096];
                stream.read(&mut buffer).map(drop).unwrap_or_default();
                stream.write_all(answer.as_bytes()).unwrap_or_default();
            }
        });
        let fix = fails(&url, step, words);
        assert!(!fix.contains("hunter2"), "{fix}");
    }
    Ok(())
}

#[test]
fn a_server_that_requires_a_token_is_checked_with_one() {
    let ward = Ward::new();
    let (config, [all, ..]) = tokens(&ward.fixture);
    let server = served(&ward, &["--config", &config]);
    let url = format!("http://127.0.0.1:{}/mcp", server.port);
    let fix = |lines: &str, words: &str| {
        let report = ward.report(lines, &["--url", &url]);
        let finding = report.find("mcp", words).unwrap_or_else(|| panic!("{words}: {:#?}", report.checks));
        finding["fix"].as_str().unwrap_or_default().to_owned()
    };
    assert!(fix("", "requires a token").contains("MCP_GIT_DOCTOR_TOKEN"));
    assert!(fix("export MCP_GIT_DOCTOR_TOKEN=wrong", "does not know the token").contains("mcp-server-git token"));
    let report = ward.report(&format!("export MCP_GIT_DOCTOR_TOKEN='{all}'"), &["--url", &url]);
    assert!(report.code == Some(0) && !format!("{:?}", report.checks).contains(&all), "{:#?}", report.checks);
    assert_eq!(ward.report("", &["--url", &url, "--token", &all]).code, Some(0));
}

#[test]
fn latency_is_measured_through_the_running_server_and_judged() {
    let ward = Ward::new();
    let state = ward.home.join("state").display().to_string();
    let server = Served::start(&Fixture::new(), &["--state-dir", &state], &[]);
    let args = ["--state-dir", state.as_str(), "--latency"];
    let report = ward.report("", &args);
    let measured = report.checks.iter().find(|one| one["name"] == "latency").cloned().unwrap_or_default();
    let detail = measured["detail"].as_str().unwrap_or_default();
    assert!(detail.contains(&format!("process ID {}", server.child.id())) && detail.contains("median of 20"), "{measured}");
    assert_eq!(measured["causes"].as_array().map(Vec::len), Some(20));
    ward.heals_by("export MCP_GIT_SLOW_MS=0", &args, "latency", "slower than 0 ms", |fix| {
        assert!(fix.contains("MCP_GIT_SLOW_MS"), "{fix}");
        "export MCP_GIT_SLOW_MS=60000".to_owned()
    });
    assert!(ward.report("", &[&args[..], &["--pid", "1"]].concat()).find("latency", "no server with process ID 1").is_some());
}

#[test]
fn an_untrusted_certificate_is_reported() -> Outcome {
    let Some(openssl) = found("openssl") else { return Ok(()) };
    let ward = Ward::new();
    let tls = ward.home.join("tls").display().to_string();
    ward.sh(&format!(
        "mkdir -p '{tls}'; cd '{tls}'; openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 10 -subj /CN=ca 2>&1
         printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\\n' > here; printf 'subjectAltName=DNS:else.example\\n' > else
         openssl req -newkey rsa:2048 -nodes -keyout key -out csr -subj /CN=x 2>&1
         for name in here else; do openssl x509 -req -in csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 5 -out $name.pem -extfile $name 2>&1; done"
    ));
    for (name, trusts, step, words) in [
        ("here", true, "http", "does not answer as mcp-server-git does"),
        ("here", false, "tls", "an authority that this machine does not trust"),
        ("else", true, "tls", "is for another name"),
    ] {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = std::process::Command::new(&openssl);
        command.args([
            "s_server",
            "-accept",
            &format!("127.0.0.1:{port}"),
            "-cert",
            &format!("{tls}/{name}.pem"),
            "-key",
            &format!("{tls}/key"),
        ]);
        let mut server = command.args(["-www", "-quiet"]).stdin(std::process::Stdio::null()).spawn()?;
        wait_for("openssl listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        let lines = if trusts { format!("export SSL_CERT_FILE='{tls}/ca.pem'") } else { String::new() };
        let report = ward.report(&lines, &["--url", &format!("https://127.0.0.1:{port}/mcp")]);
        server.kill()?;
        server.wait()?;
        assert!(report.find(step, words).is_some(), "{name} {trusts}: {:#?}", report.checks);
    }
    Ok(())
}
