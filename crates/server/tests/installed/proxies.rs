//! Proxies that terminate TLS, with the documented configurations: nginx, Caddy and `HAProxy`.

use crate::support::{
    Fixture, Outcome, program,
    programs::{Running, found},
    root, shell, signal,
    wire::{NEWEST, Reply, Served, call, initialize, meta, wait_for},
};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A server that needs a token, with a certificate and a free port for a proxy in front of it.
struct Site {
    fixture: Fixture,
    home: PathBuf,
    server: Served,
    /// The header that authenticates.
    bearer: String,
    /// The port of the proxy.
    port: u16,
    curl: PathBuf,
}

/// A server with its own state folder, and so with its own sessions.
fn serve(fixture: &Fixture, home: &Path, name: &str) -> Served {
    let (config, state) = (home.join("config.toml").display().to_string(), home.join(name).display().to_string());
    Served::start(fixture, &["--config", &config, "--state-dir", &state], &[])
}

/// A documented configuration with these parts replaced.
fn documented(name: &str, changes: &[(&str, String)]) -> String {
    let text = fs::read_to_string(root().join("docs").join(name)).expect("the file");
    changes.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(*from), "docs/{name} has no `{from}`");
        text.replace(*from, to)
    })
}

impl Site {
    /// Reports it if curl or openssl is not installed.
    fn start() -> Option<Self> {
        let [Some(curl), Some(_)] = ["curl", "openssl"].map(found) else { return None };
        let fixture = Fixture::new();
        let home = fs::canonicalize(fixture.home.path()).expect("a folder");
        let output = program().args(["token", "all"]).output().expect("a token");
        let token = String::from_utf8(output.stdout).expect("text");
        let bearer = token.lines().next().and_then(|line| line.rsplit(' ').next()).map(|secret| format!("Authorization: Bearer {secret}"));
        fs::write(home.join("config.toml"), format!("{token}\n[http]\nallowed_hosts = [\"git.example\"]\n")).expect("a file");
        let server = serve(&fixture, &home, "one");
        shell(
            &home,
            "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=git.example -addext subjectAltName=DNS:git.example -keyout key.pem \
             -out cert.pem 2>/dev/null && cat cert.pem key.pem > both.pem",
        );
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        Some(Self { fixture, home, server, bearer: bearer.expect("the token"), port, curl })
    }

    fn path(&self, name: &str) -> String {
        self.home.join(name).display().to_string()
    }

    /// Starts a proxy, and waits until it accepts connections.
    fn run(&self, command: &mut Command) -> Running {
        let log = File::create(self.home.join("proxy.log")).expect("a file");
        command
            .current_dir(&self.home)
            .env("HOME", &self.home)
            .envs(["XDG_CONFIG_HOME", "XDG_DATA_HOME"].map(|name| (name, &self.home)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let mut proxy = Running(command.spawn().expect("a proxy"));
        wait_for("the proxy", || {
            let runs = matches!(proxy.0.try_wait(), Ok(None));
            assert!(runs, "{}", fs::read_to_string(self.home.join("proxy.log")).unwrap_or_default());
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
        proxy
    }

    fn curl(&self, path: &str, more: &[&str]) -> Command {
        let mut command = Command::new(&self.curl);
        command.args(["--disable", "--silent", "--include", "--no-buffer", "--noproxy", "*", "--max-time", "30"]);
        command.args(["--cacert", &self.path("cert.pem"), "--resolve", &format!("git.example:{}:127.0.0.1", self.port)]);
        command.arg(format!("https://git.example:{}{path}", self.port)).args(more);
        command
    }

    /// Posts a body, curl's `--data-binary`, with these headers.
    fn send(&self, body: &str, headers: &[&str]) -> Reply {
        let json = ["Content-Type: application/json", "Accept: application/json, text/event-stream"];
        let headers = json.iter().chain(headers).flat_map(|header| ["-H", *header]);
        // Over HTTP/2 curl reports a body that was not read as a fault of the stream.
        let more: Vec<&str> = ["--http1.1", "-H", "Expect:", "--data-binary", body].into_iter().chain(headers).collect();
        Reply::parse(&String::from_utf8_lossy(&self.curl("/mcp", &more).output().expect("curl").stdout))
    }

    fn post(&self, message: &Value, headers: &[&str]) -> Reply {
        self.send(&message.to_string(), headers)
    }

    /// The lines of an answer that does not end.
    fn open(&self, path: &str, more: &[&str], headers: &[&str]) -> (Running, impl Iterator<Item = String> + use<>) {
        let headers = headers.iter().flat_map(|header| ["-H", *header]);
        let more: Vec<&str> = more.iter().copied().chain(headers).collect();
        let mut running = Running(self.curl(path, &more).stdout(Stdio::piped()).spawn().expect("curl"));
        let lines = BufReader::new(running.0.stdout.take().expect("its output")).lines();
        (running, lines.map_while(Result::ok))
    }

    /// A call with the token.
    fn status(&self) -> Reply {
        let mut message = call(1, "git_status", json!({}));
        message["params"]["_meta"] = meta(&json!({}));
        let version = format!("MCP-Protocol-Version: {NEWEST}");
        self.post(&message, &[&version, "Mcp-Method: tools/call", "Mcp-Name: git_status", &self.bearer])
    }

    /// Opens a session of an older revision, and returns its header.
    fn session(&self) -> String {
        let opened = self.post(&initialize(), &[&self.bearer]);
        let session = format!("Mcp-Session-Id: {}", opened.header("mcp-session-id").expect("a session"));
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(self.post(&initialized, &[&self.bearer, &session]).status, 202);
        session
    }

    /// Checks calls, WebSocket, streams, and the limit of a body.
    fn serves(&self) {
        let refused = self.post(&initialize(), &[]);
        assert!(refused.status == 401 && refused.head.contains("resource_metadata=\"https://git.example"), "{refused:?}");
        let answered = self.status();
        assert!(is_answered(&answered), "{answered:?}");
        self.upgrades();
        self.streams();
        fs::write(self.path("large"), vec![b'x'; 6 << 20]).expect("a file");
        let refused = self.send(&format!("@{}", self.path("large")), &[&self.bearer]);
        assert_eq!(refused.status, 413, "{refused:?}");
    }

    fn upgrades(&self) {
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
        let headers = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", key, &self.bearer];
        // curl prints the headers of an answer without a body when it ends.
        let (_socket, mut lines) = self.open("/ws", &["--http1.1", "--max-time", "2"], &headers);
        let first = lines.next().unwrap_or_default();
        assert!(first.starts_with("HTTP/1.1 101"), "{first}");
    }

    /// Each event arrives although its stream has not ended.
    fn streams(&self) {
        let session = self.session();
        let watch = json!({"jsonrpc": "2.0", "id": 1, "method": "resources/subscribe", "params": {"uri": "git://repo/status"}});
        assert!(self.post(&watch, &[&self.bearer, &session]).message().is_some_and(|reply| reply["result"].is_object()));
        let (_stream, mut lines) = self.open("/mcp", &[], &["Accept: text/event-stream", &self.bearer, &session]);
        assert!(lines.any(|line| line.starts_with("id:")), "no first event");
        self.fixture.git(&["branch", "new"]);
        assert!(lines.any(|line| line.contains("resources/updated")), "no event for the new branch");
    }
}

fn is_answered(reply: &Reply) -> bool {
    reply.message().is_some_and(|message| message["id"] == 1 && message["result"]["isError"] == false)
}

#[test]
fn the_documented_nginx_configuration_terminates_tls() -> Outcome {
    let Some(nginx) = found("nginx") else { return Ok(()) };
    let Some(site) = Site::start() else { return Ok(()) };
    let changes = [
        ("listen 443 ssl", format!("listen 127.0.0.1:{} ssl", site.port)),
        ("/etc/ssl/git.example.pem", site.path("cert.pem")),
        ("/etc/ssl/git.example.key", site.path("key.pem")),
        ("127.0.0.1:8080", format!("127.0.0.1:{}", site.server.port)),
    ];
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .fold(String::new(), |all, one| all + &format!("{one}_temp_path {};\n", site.path(one)));
    let whole = format!(
        "daemon off;\nmaster_process off;\npid {};\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}{}}}\n",
        site.path("nginx.pid"),
        documented("nginx.conf", &changes)
    );
    fs::write(site.home.join("nginx.conf"), whole)?;
    fs::create_dir(site.home.join("logs"))?;
    let _proxy = site.run(Command::new(nginx).args(["-p", &site.path(""), "-c", &site.path("nginx.conf")]));
    site.serves();
    Ok(())
}

#[test]
fn the_documented_caddy_configuration_terminates_tls() -> Outcome {
    let Some(caddy) = found("caddy") else { return Ok(()) };
    let Some(site) = Site::start() else { return Ok(()) };
    let changes = [
        ("/etc/ssl/git.example.pem", site.path("cert.pem")),
        ("/etc/ssl/git.example.key", site.path("key.pem")),
        ("127.0.0.1:8080", format!("127.0.0.1:{}", site.server.port)),
    ];
    let global = format!("{{\n\tadmin off\n\tauto_https disable_redirects\n\thttps_port {}\n\tdefault_bind 127.0.0.1\n}}\n", site.port);
    fs::write(site.home.join("Caddyfile"), global + &documented("Caddyfile", &changes))?;
    let _proxy = site.run(Command::new(caddy).args(["run", "--adapter", "caddyfile", "--config", &site.path("Caddyfile")]));
    site.serves();
    Ok(())
}

#[test]
fn the_documented_haproxy_configuration_terminates_tls_for_two_servers() -> Outcome {
    let Some(haproxy) = found("haproxy") else { return Ok(()) };
    let Some(site) = Site::start() else { return Ok(()) };
    let other = serve(&site.fixture, &site.home, "two");
    let changes = [
        ("bind :443 ssl", format!("bind 127.0.0.1:{} ssl", site.port)),
        ("/etc/ssl/git.example.pem", site.path("both.pem")),
        ("127.0.0.1:8080", format!("127.0.0.1:{}", site.server.port)),
        ("127.0.0.1:8081", format!("127.0.0.1:{}", other.port)),
    ];
    fs::write(site.home.join("haproxy.cfg"), documented("haproxy.cfg", &changes))?;
    let _proxy = site.run(Command::new(haproxy).args(["-db", "-f", &site.path("haproxy.cfg")]));
    site.serves();
    // The servers take turns, but each knows only its own sessions.
    let sessions = [site.session(), site.session()];
    for _ in 0..3 {
        for session in &sessions {
            let reply = site.post(&call(1, "git_status", json!({})), &[&site.bearer, session]);
            assert!(is_answered(&reply), "{reply:?}");
        }
    }
    // A new call reaches a server that runs.
    signal(&site.server.child.id(), "KILL");
    for _ in 0..2 {
        let reply = site.status();
        assert!(is_answered(&reply), "{reply:?}");
    }
    Ok(())
}
