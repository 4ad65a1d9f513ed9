//! Shared test support: repositories, and a client that sends raw bytes.

#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(clippy::disallowed_methods, clippy::panic, clippy::expect_used, reason = "tests start git and the server, and fail loudly")]

pub(crate) mod admin;
pub(crate) mod collector;
pub(crate) mod hooks;
pub(crate) mod keys;
pub(crate) mod parameters;
pub(crate) mod programs;
pub(crate) mod remote;
pub(crate) mod tokens;
pub(crate) mod wire;

use serde_json::{Value, json};
use std::{
    fmt::Display,
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Output, Stdio},
    sync::mpsc::{self, Receiver},
    time::Duration,
};

/// The result of a test.
pub(crate) type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Timeout for a response from the server.
const PATIENCE: Duration = Duration::from_mins(1);

/// The server's program; `MCP_SERVER_GIT` names another build of it.
pub(crate) fn program() -> Command {
    let named = std::env::var_os("MCP_SERVER_GIT").unwrap_or_else(|| env!("CARGO_BIN_EXE_mcp-server-git").into());
    let mut command = Command::new(named);
    command.env_clear().envs(clean_environment());
    command
}

/// The server under strace, which writes the named system calls to `trace`.
pub(crate) fn traced(trace: &Path, calls: &[&str]) -> Command {
    wrapped(
        &program(),
        "strace",
        &["-f", "-qq", "-s", "4096", "-e", &format!("trace={}", calls.join(",")), "-o", &trace.display().to_string()],
    )
}

/// Makes the command run as on a kernel without Landlock: without `landlock_create_ruleset`, 444 on all architectures.
pub(crate) fn without_landlock(command: &mut Command) {
    without_call(command, 444);
}

/// Makes the command run as on a kernel that lacks a system call: a seccomp filter fails it with ENOSYS.
pub(crate) fn without_call(command: &mut Command, number: u32) {
    const MASK: &str = "import ctypes,os,struct,sys
code=struct.pack('HBBI',0x20,0,0,0)+struct.pack('HBBI',0x15,0,1,int(sys.argv[1]))+struct.pack('HBBI',6,0,0,0x50026)+struct.pack('HBBI',6,0,0,0x7fff0000)
code=ctypes.create_string_buffer(code)
prog=struct.pack('HxxxxxxQ',4,ctypes.addressof(code))
libc=ctypes.CDLL(None,use_errno=True)
assert libc.prctl(38,1,0,0,0)==0 and libc.prctl(22,2,ctypes.create_string_buffer(prog),0,0)==0
os.execv(sys.argv[2],sys.argv[2:])";
    *command = wrapped(command, "python3", &["-c", MASK, &number.to_string()]);
}

/// `command`, run by a wrapper program that takes it as its last arguments.
pub(crate) fn wrapped(command: &Command, by: &str, args: &[&str]) -> Command {
    let mut outer = Command::new(by);
    outer.args(args).arg(command.get_program()).args(command.get_args()).env_clear();
    outer.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(dir) = command.get_current_dir() {
        outer.current_dir(dir);
    }
    outer
}

/// An environment without the user's settings.
pub(crate) fn clean_environment() -> Vec<(String, String)> {
    let mut environment = vec![
        ("HOME".to_owned(), "/nonexistent".to_owned()),
        ("XDG_CONFIG_HOME".to_owned(), "/nonexistent".to_owned()),
        ("XDG_STATE_HOME".to_owned(), env!("CARGO_TARGET_TMPDIR").to_owned()),
        ("GIT_CONFIG_GLOBAL".to_owned(), "/dev/null".to_owned()),
        ("GIT_CONFIG_NOSYSTEM".to_owned(), "1".to_owned()),
    ];
    environment.extend(programs::path().into_string().map(|path| ("PATH".to_owned(), path)));
    // Runs the same tests on another store.
    environment.extend(std::env::var("TEST_STORE_URL").map(|url| ("MCP_GIT_STORE_URL".to_owned(), url)));
    environment
}

/// Whether the tests have their own store. With a shared one, tests that inspect the file or the whole store are skipped.
pub(crate) fn has_store_of_its_own() -> bool {
    let has_one = std::env::var_os("TEST_STORE_URL").is_none();
    if !has_one {
        programs::not_tried("checks of the whole store, as the tests share one");
    }
    has_one
}

/// The workspace root.
pub(crate) fn root() -> PathBuf {
    fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).expect("the workspace")
}

/// Compares a generated file with the expected text, or writes it for `cargo xtask bless`.
pub(crate) fn compare(path: &str, expect: &str) -> Outcome {
    let full = root().join(path);
    if std::env::var_os("BLESS").is_some() {
        fs::create_dir_all(full.parent().ok_or("a folder")?)?;
        return Ok(fs::write(full, expect)?);
    }
    let present = fs::read_to_string(&full).unwrap_or_default();
    let (old, new): (Vec<&str>, Vec<&str>) = (present.lines().collect(), expect.lines().collect());
    let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let (line, old, new) = (same + 1, old.get(same), new.get(same));
    assert!(present == expect, "{path} is out of date: run `cargo xtask bless`. Line {line} is {old:?}, and becomes {new:?}");
    Ok(())
}

/// A repository in its own folder, with fixed dates and identity.
pub(crate) struct Fixture {
    /// The folder.
    pub(crate) home: tempfile::TempDir,
    /// The working tree.
    pub(crate) path: PathBuf,
}

impl Fixture {
    /// An empty repository.
    pub(crate) fn empty() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let path = fs::canonicalize(home.path()).expect("its path").join("repo");
        fs::create_dir_all(&path).expect("a folder");
        let fixture = Self { home, path };
        fixture.git(&["init", "--quiet", "--initial-branch=main"]);
        fixture.git(&["config", "user.name", "A U Thor"]);
        fixture.git(&["config", "user.email", "author@example.com"]);
        fixture
    }

    /// A repository with two commits.
    pub(crate) fn new() -> Self {
        let fixture = Self::empty();
        fixture.write("a.txt", "one\n").commit("first");
        fixture.write("a.txt", "one\ntwo\n").write("dir/b.rs", "fn b() {\n    1\n}\n").commit("second\n\nbody");
        fixture
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let full = self.path.join(path);
        fs::create_dir_all(full.parent().expect("a parent")).expect("a folder");
        fs::write(full, content).expect("a file");
        self
    }

    pub(crate) fn commit(&self, message: &str) -> &Self {
        self.git(&["add", "--all"]);
        // Maintenance would run in the background, with a lock.
        self.git(&["-c", "maintenance.auto=false", "commit", "--quiet", "--allow-empty", "-m", message]);
        self
    }

    /// Leaves blames and commits to git processes, which a test can slow down, break or count.
    pub(crate) fn by_git(self) -> Self {
        self.git(&["config", "i18n.logOutputEncoding", "UTF-8"]);
        self
    }

    /// git's standard output; it must succeed.
    pub(crate) fn git(&self, args: &[&str]) -> Vec<u8> {
        let output = self.try_git(args);
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// git's standard output as text, without trailing whitespace.
    pub(crate) fn text(&self, args: &[&str]) -> String {
        String::from_utf8_lossy(&self.git(args)).trim_end().to_owned()
    }

    pub(crate) fn try_git(&self, args: &[&str]) -> Output {
        git_in(&self.path, args)
    }

    /// Starts the server on this repository.
    pub(crate) fn serve(&self) -> Client {
        self.serve_with(&[], &[])
    }

    pub(crate) fn serve_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Client {
        let path = self.path.display().to_string();
        let mut client = Client::start(&[&["-r", &path], args].concat(), variables);
        client.initialize();
        client
    }

    /// Calls a tool through the `call` sub-command.
    pub(crate) fn call(&self, tool: &str, args: &Value) -> Output {
        let output = program().arg("-r").arg(&self.path).args(["call", tool]).arg(args.to_string()).output();
        output.expect("the program runs")
    }
}

/// A repository with an uncommitted change.
pub(crate) fn edited() -> Fixture {
    let fixture = Fixture::new();
    fixture.write("a.txt", "edited\n");
    fixture
}

/// Whether that change is still there.
pub(crate) fn is_edited(fixture: &Fixture) -> bool {
    fs::read_to_string(fixture.path.join("a.txt")).is_ok_and(|text| text == "edited\n")
}

/// All files below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.flat_map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { vec![entry.path()] }).collect()
}

/// Sends a signal to one process.
pub(crate) fn signal(pid: &dyn Display, name: &str) {
    let done = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().expect("kill runs");
    assert!(done.success(), "{name}");
}

/// The standard output of a program.
pub(crate) fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a shell script in `path`; it must succeed.
pub(crate) fn shell(path: &Path, script: &str) -> Vec<u8> {
    let output = Command::new("sh").args(["-c", script]).current_dir(path).env("PATH", programs::path()).output().expect("a shell");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

pub(crate) fn git_in(path: &Path, args: &[&str]) -> Output {
    let mut command = Command::new("git");
    command.args(args).current_dir(path).env_clear().envs(clean_environment());
    command.envs([("GIT_AUTHOR_DATE", "@1700000000 +0000"), ("GIT_COMMITTER_DATE", "@1700000000 +0000")]);
    command.output().expect("git runs")
}

/// A client that writes bytes and reads lines.
pub(crate) struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Vec<u8>>,
    stderr: Receiver<String>,
    next_id: i64,
}

impl Client {
    pub(crate) fn start(args: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::spawn(program().args(args).envs(variables.iter().copied()).current_dir("/"))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.expect("the server starts");
        let (sender, lines) = mpsc::channel();
        let stdout = child.stdout.take().expect("its output");
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n') {
                if line.map_or(true, |line| sender.send(line).is_err()) {
                    break;
                }
            }
        });
        let (sender, stderr) = mpsc::channel();
        let mut errors = child.stderr.take().expect("its errors");
        std::thread::spawn(move || {
            let mut text = String::new();
            errors.read_to_string(&mut text).unwrap_or_default();
            sender.send(text).unwrap_or_default();
        });
        let stdin = child.stdin.take();
        Self { child, stdin, lines, stderr, next_id: 1000 }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes raw bytes.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("the input is open");
        stdin.write_all(bytes).expect("the server reads");
        stdin.flush().expect("the server reads");
    }

    pub(crate) fn send_json(&mut self, message: &Value) {
        self.send(format!("{message}\n").as_bytes());
    }

    /// The next line, which must be JSON-RPC or a bare pong.
    pub(crate) fn receive(&mut self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE).expect("an answer");
        let value: Value = serde_json::from_slice(&line).unwrap_or_else(|err| panic!("{err}: {}", String::from_utf8_lossy(&line)));
        assert!(value["jsonrpc"] == "2.0" || value["type"] == "pong", "{value}");
        value
    }

    /// The answer to the request `id`; others are dropped.
    pub(crate) fn answer_to(&mut self, id: &Value) -> Value {
        loop {
            let message = self.receive();
            if message["id"] == *id {
                return message;
            }
        }
    }

    /// Sends a ping and waits for its answer, dropping earlier messages.
    pub(crate) fn ping(&mut self) {
        let id = json!(self.id());
        self.send_json(&json!({"jsonrpc": "2.0", "id": id, "method": "ping"}));
        let answer = self.answer_to(&id);
        assert_eq!(answer["result"], json!({}), "{answer}");
    }

    pub(crate) fn id(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id
    }

    pub(crate) fn initialize(&mut self) -> Value {
        let params = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}});
        let answer = self.request("initialize", &params);
        self.send_json(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        answer["result"].clone()
    }

    pub(crate) fn request(&mut self, method: &str, params: &Value) -> Value {
        let id = json!(self.id());
        self.send_json(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        self.answer_to(&id)
    }

    /// Calls a tool without waiting for the answer.
    pub(crate) fn start_call(&mut self, tool: &str, args: &Value) -> Value {
        let id = json!(self.id());
        self.send_json(&json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool, "arguments": args}}));
        id
    }

    /// The result of a tool call, error or not.
    pub(crate) fn result(&mut self, tool: &str, args: &Value) -> Value {
        let id = self.start_call(tool, args);
        let answer = self.answer_to(&id);
        assert!(answer.get("result").is_some(), "{tool} {args}: {answer}");
        answer["result"].clone()
    }

    /// The text of a call that succeeds.
    pub(crate) fn text(&mut self, tool: &str, args: &Value) -> String {
        let result = self.result(tool, args);
        assert_ne!(result["isError"], true, "{tool} {args}: {result}");
        text_of(&result)
    }

    /// The text of a call that fails.
    pub(crate) fn error(&mut self, tool: &str, args: &Value) -> String {
        let result = self.result(tool, args);
        assert_eq!(result["isError"], true, "{tool} {args}: {result}");
        text_of(&result)
    }

    /// Closes the input. Returns the exit code, the remaining output and standard error.
    pub(crate) fn end(mut self) -> (Option<i32>, Vec<Vec<u8>>, String) {
        drop(self.stdin.take());
        let lines: Vec<Vec<u8>> = self.lines.iter().collect();
        let errors = self.stderr.recv_timeout(PATIENCE).unwrap_or_default();
        (self.child.wait().expect("it ends").code(), lines, errors)
    }

    /// Sends a signal to the server process only.
    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child.id(), name);
    }

    /// Waits for the server to exit. Returns its exit code.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

/// A client of an older revision with these capabilities.
pub(crate) fn older(fixture: &Fixture, capabilities: &Value, variables: &[(&str, &str)]) -> Client {
    let mut client = Client::start(&["-r", &fixture.path.display().to_string()], variables);
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": {"name": "test", "version": "1"}});
    client.request("initialize", &params);
    client.send_json(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    client
}

/// Previews and then undoes the last change.
pub(crate) fn undo(client: &mut Client) -> String {
    let preview = client.text("git_undo", &json!({}));
    let (tool, args) = call_in(preview.split_once("To undo it: ").expect("a call").1.trim_end());
    client.text(&tool, &args)
}

/// A deterministic pseudo-random number generator.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Peak resident memory of a process, in KiB.
pub(crate) fn peak_kib(pid: u32) -> u64 {
    of_status(pid, "VmHWM:")
}

/// Resident memory of a process, in KiB.
pub(crate) fn rss_kib(pid: u32) -> u64 {
    of_status(pid, "VmRSS:")
}

fn of_status(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the field");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

pub(crate) fn text_of(result: &Value) -> String {
    result["content"][0]["text"].as_str().unwrap_or_default().to_owned()
}

/// Size of everything the model sees of a result.
pub(crate) fn size(result: &Value) -> usize {
    let structured = result.get("structuredContent").map_or(0, |value| value.to_string().len());
    text_of(result).len() + structured
}

/// The direct and indirect child processes of `pid`.
pub(crate) fn descendants(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Ok(child) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let (state, parent) = (fields.next(), fields.next().and_then(|parent| parent.parse::<u32>().ok()));
        if parent == Some(pid) && state != Some("Z") {
            found.push(child);
            found.extend(descendants(child));
        }
    }
    found
}

/// A result split into repository text and the server's own lines.
pub(crate) struct Parts {
    /// Repository text, as escaped.
    pub(crate) body: String,
    /// The server's own lines, without their marker.
    pub(crate) notes: Vec<String>,
}

/// Splits a result at the markers of the server's lines. A truncated line has no line break of its own.
pub(crate) fn parts(text: &str) -> Parts {
    let mut parts = Parts { body: String::new(), notes: Vec::new() };
    for line in text.split_inclusive('\n') {
        let own = line.strip_prefix("[git:").and_then(|rest| rest.split_once("] "));
        match own {
            Some((mark, note)) => {
                if mark.ends_with('<') {
                    assert_eq!(parts.body.pop(), Some('\n'));
                }
                parts.notes.push(note.trim_end().to_owned());
            }
            None => parts.body.push_str(line),
        }
    }
    parts
}

/// The call named in a note.
pub(crate) fn next_call(notes: &[String]) -> Option<(String, Value)> {
    notes.iter().find_map(|note| note.split_once("Next: ").map(|(_, call)| call_in(call)))
}

/// Parses `tool {json}`.
pub(crate) fn call_in(call: &str) -> (String, Value) {
    let (tool, args) = call.split_once(' ').expect("a call");
    (tool.to_owned(), serde_json::from_str(args).unwrap_or_else(|err| panic!("{err}: {call}")))
}
