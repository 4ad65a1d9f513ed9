//! A git server over HTTP on loopback, backed by `git http-backend`, with typical faults of remotes.

use super::{Client, Fixture, PATIENCE, clean_environment, git_in};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Condvar, Mutex},
};

/// Settings that allow a server to reach loopback.
pub(crate) const OPEN: [(&str, &str); 2] = [("MCP_GIT_PROTOCOLS", "https,ssh,http"), ("MCP_GIT_ALLOW_HOSTS", "127.0.0.1")];

/// A repository with two commits, pushed to `origin`.
pub(crate) fn published() -> (Fixture, Remote) {
    let (fixture, remote) = (Fixture::new(), Remote::start());
    fixture.git(&["remote", "add", "origin", &remote.url()]);
    fixture.git(&["push", "-q", "-u", "origin", "main"]);
    (fixture, remote)
}

/// A repository whose remote stalls in the middle of a fetch.
pub(crate) fn stalled() -> (Fixture, Remote) {
    let (fixture, remote) = published();
    let elsewhere = tempfile::tempdir().expect("a folder");
    let noise: Vec<u8> = (0..600_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    std::fs::write(elsewhere.path().join("noise"), noise).expect("a file");
    let script = format!(
        "git clone -q '{}' w && cd w && mv ../noise . && git config user.name O && git config user.email o@example.com && git add . && \
         git commit -q -m noise && git push -q origin main",
        remote.path().display()
    );
    super::shell(elsewhere.path(), &script);
    remote.breaks(Fault::Stalled);
    (fixture, remote)
}

/// Shell line that gives later commits a fixed date.
pub(crate) const DATED: &str = "export GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000'";

/// A repository with remotes `origin` and `fork` in adjacent folders, and one unpushed commit.
pub(crate) fn beside() -> Fixture {
    let fixture = Fixture::new();
    let script = "for name in origin fork; do git init -q --bare -b main ../$name.git; git remote add $name $PWD/../$name.git; done
        git push -q -u origin main; git commit -q --allow-empty -m third";
    super::shell(&fixture.path, &format!("set -e; {DATED}; {script}"));
    fixture
}

/// A server that may reach these remotes.
pub(crate) fn serve(fixture: &Fixture) -> Client {
    fixture.serve_with(&["--toolsets", "all"], &[("MCP_GIT_PROTOCOLS", "file")])
}

/// The references of both remotes.
pub(crate) fn there(fixture: &Fixture) -> String {
    let script = "for name in origin fork; do echo $name; git -C ../$name.git for-each-ref --format='%(refname) %(objectname)'; done";
    String::from_utf8_lossy(&super::shell(&fixture.path, script)).into_owned()
}

/// Makes the first call spelled out in an error or a note. Returns whether there is one.
pub(crate) fn follow(client: &mut Client, text: &str) -> bool {
    let call = text.match_indices("git_").find_map(|(at, _)| {
        let end = text[at..].find('}')?;
        let call = &text[at..=at + end];
        call.split_once(' ').is_some_and(|(_, args)| args.starts_with('{')).then_some(call)
    });
    let Some(call) = call else { return false };
    let (tool, args) = super::call_in(call);
    client.text(&tool, &args);
    true
}

/// A fault of the remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// It requires a user name and a password.
    Locked,
    /// It answers every request with this status.
    Status(u16),
    /// It answers 429 with this `Retry-After`: seconds or a date.
    Later(String),
    /// It answers only push requests with this status.
    NoPush(u16),
    /// It redirects every request.
    Moved(String),
    /// It closes the connection in the middle of a pack.
    CutOff,
    /// It stalls in the middle of a pack.
    Stalled,
    /// It answers nothing until the fault changes.
    Held,
}

/// A remote with bare repositories in a folder. Runs until the test program ends.
pub(crate) struct Remote {
    /// The folder.
    pub(crate) home: tempfile::TempDir,
    port: u16,
    state: Arc<(Mutex<State>, Condvar)>,
}

/// What a remote does, and the number of connections so far.
struct State {
    fault: Fault,
    requests: usize,
}

impl Remote {
    /// Serves the empty repository `repo.git`.
    pub(crate) fn start() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its number").port();
        let state = Arc::new((Mutex::new(State { fault: Fault::None, requests: 0 }), Condvar::new()));
        let (root, shared) = (home.path().to_owned(), Arc::clone(&state));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                shared.0.lock().expect("the state").requests += 1;
                shared.1.notify_all();
                let (root, shared) = (root.clone(), Arc::clone(&shared));
                std::thread::spawn(move || {
                    let (state, changed) = &*shared;
                    let is_held = |state: &mut State| state.fault == Fault::Held;
                    let fault = changed.wait_while(state.lock().expect("the state"), is_held).expect("the state").fault.clone();
                    answer(stream, &root, &fault)
                });
            }
        });
        let remote = Self { home, port, state };
        let made = git_in(remote.home.path(), &["init", "--quiet", "--bare", "--initial-branch=main", "repo.git"]);
        assert!(made.status.success());
        remote.git(&["config", "http.receivepack", "true"]);
        remote
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/repo.git", self.port)
    }

    /// The repository itself.
    pub(crate) fn path(&self) -> PathBuf {
        self.home.path().join("repo.git")
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        let output = git_in(&self.path(), args);
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    pub(crate) fn breaks(&self, fault: Fault) {
        self.state.0.lock().expect("the state").fault = fault;
        self.state.1.notify_all();
    }

    /// Number of connections so far.
    pub(crate) fn requests(&self) -> usize {
        self.state.0.lock().expect("the state").requests
    }

    /// Waits until there have been `count` connections.
    #[track_caller]
    pub(crate) fn wait_for_requests(&self, count: usize) {
        let (state, changed) = &*self.state;
        let state = state.lock().expect("the state");
        let (state, waited) = changed.wait_timeout_while(state, PATIENCE, |state| state.requests < count).expect("the state");
        assert!(!waited.timed_out(), "the remote has had {} connections, not {count}", state.requests);
    }
}

/// Answers one request and closes the connection.
fn answer(stream: TcpStream, root: &Path, fault: &Fault) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_ascii_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let header = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let mut body = Vec::new();
    if header("expect").is_some() {
        (&stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    if header("transfer-encoding").is_some() {
        read_chunks(&mut reader, &mut body)?;
    } else if let Some(length) = header("content-length") {
        body.resize(length.parse().ok()?, 0);
        reader.read_exact(&mut body).ok()?;
    }
    let mut stream = stream;
    let is_pack = target.ends_with("git-upload-pack") && method == "POST";
    match fault {
        Fault::Status(status) => return stream.write_all(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").as_bytes()).ok(),
        Fault::Later(when) => {
            let text = format!("HTTP/1.1 429 X\r\nRetry-After: {when}\r\nContent-Length: 0\r\n\r\n");
            return stream.write_all(text.as_bytes()).ok();
        }
        Fault::NoPush(status) if target.contains("receive-pack") => {
            return stream.write_all(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").as_bytes()).ok();
        }
        Fault::Moved(to) => {
            let text = format!("HTTP/1.1 301 X\r\nLocation: {to}{target}\r\nContent-Length: 0\r\n\r\n");
            return stream.write_all(text.as_bytes()).ok();
        }
        // "u:p"
        Fault::Locked if header("authorization").as_deref() != Some("Basic dTpw") => {
            let text = "HTTP/1.1 401 X\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n";
            return stream.write_all(text.as_bytes()).ok();
        }
        _ => {}
    }
    let answer = backend(root, &method, &target, &header, &body)?;
    let split = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..split]).into_owned();
    let content = &answer[split + 4..];
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK").to_owned();
    let kept: String = head.lines().filter(|line| !line.starts_with("Status: ")).fold(String::new(), |all, line| all + line + "\r\n");
    stream
        .write_all(format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{kept}\r\n", content.len()).as_bytes())
        .ok()?;
    if matches!(fault, Fault::CutOff | Fault::Stalled) && is_pack && content.len() > 2000 {
        stream.write_all(&content[..content.len() / 2]).ok()?;
        if *fault == Fault::Stalled {
            // Until the client hangs up.
            std::io::copy(&mut reader, &mut std::io::sink()).ok();
        }
        return Some(());
    }
    stream.write_all(content).ok()
}

fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> Option<()> {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let size = usize::from_str_radix(line.trim(), 16).ok()?;
        let start = body.len();
        body.resize(start + size, 0);
        reader.read_exact(&mut body[start..]).ok()?;
        reader.read_line(&mut line).ok()?;
        if size == 0 {
            return Some(());
        }
    }
}

fn backend(root: &Path, method: &str, target: &str, header: &dyn Fn(&str) -> Option<String>, body: &[u8]) -> Option<Vec<u8>> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut command = Command::new("git");
    command.arg("http-backend").env_clear().envs(clean_environment());
    command.env("GIT_PROJECT_ROOT", root).env("GIT_HTTP_EXPORT_ALL", "1").env("REQUEST_METHOD", method);
    command.env("PATH_INFO", path).env("QUERY_STRING", query).env("REMOTE_USER", "u").env("REMOTE_ADDR", "127.0.0.1");
    command.env("CONTENT_LENGTH", body.len().to_string());
    for (name, variable) in
        [("content-type", "CONTENT_TYPE"), ("content-encoding", "HTTP_CONTENT_ENCODING"), ("git-protocol", "GIT_PROTOCOL")]
    {
        command.envs(header(name).map(|value| (variable, value)));
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let mut stdin = child.stdin.take()?;
    let body = body.to_vec();
    let feeder = std::thread::spawn(move || stdin.write_all(&body));
    let output = child.wait_with_output().ok()?;
    feeder.join().ok()?.ok();
    Some(output.stdout)
}
