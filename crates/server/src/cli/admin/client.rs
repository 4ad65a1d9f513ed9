//! Client of a running server's admin API: over its Unix socket, or at a URL.

use super::super::{CANNOT_RUN, FOUND, NOT_FOUND, progress};
use super::terminal;
use crate::{
    admin::{
        answers::{
            Refusal,
            logs::Logs,
            name::Name,
            recovery::{Restarted, Step},
            sessions::Sessions,
            status::Brief,
        },
        place,
    },
    config::Config,
    lifecycle::phase::Phase,
    output::counted,
    percent,
};
use clap::Args;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::{
    net::UnixStream,
    time::{sleep, timeout},
};

/// Timeout for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Timeout for a status request to another server.
const GLANCE: Duration = Duration::from_secs(1);
/// Interval between requests for new log records.
const FOLLOW: Duration = Duration::from_millis(500);
/// Interval between checks whether a replaced server has exited.
const POLL: Duration = Duration::from_millis(50);
/// Time limit for its exit after the drain.
const ENDING: Duration = Duration::from_secs(30);
/// Maximum size of an answer over HTTP, in bytes.
const MAX_ANSWER: u64 = 64 << 20;
/// Margin on top of the server's own time limit.
const GRACE: Duration = Duration::from_secs(15);

/// Selects the server and the output format.
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct Reach {
    /// The Unix socket of the server's admin channel; by default that of the only running server.
    #[arg(long, value_name = "PATH", global = true, conflicts_with = "pid")]
    socket: Option<PathBuf>,

    /// The process ID of the server.
    #[arg(long, value_name = "N", global = true)]
    pid: Option<u32>,

    /// The address of the server: `https://HOST`. The variable `MCP_GIT_TOKEN` has a ticket, or with `admin.http` a token.
    #[arg(long, value_name = "URL", global = true, conflicts_with_all = ["socket", "pid"])]
    url: Option<String>,

    /// Prints the server's answer as JSON.
    #[arg(long, global = true)]
    pub(in crate::cli) json: bool,
}

impl Reach {
    /// Whether it selects a server by its URL.
    pub(super) fn is_remote(&self) -> bool {
        self.url.is_some()
    }
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum Failure {
    #[error("no server is running (looked in {})", .0.display())]
    NoServer(PathBuf),
    #[error("no server with process ID {pid} is running (looked in {})", folder.display())]
    NoSuchServer { pid: u32, folder: PathBuf },
    #[error("several servers are running; choose one with --pid or --socket:{}", choices(.0))]
    Several(Vec<(u32, PathBuf)>),
    #[error("the server at {place} cannot be reached: {why}")]
    Unreachable { place: Place, why: String },
    #[error("the server at {place} did not answer within {} s", patience.as_secs())]
    Late { place: Place, patience: Duration },
    #[error("invalid answer from the server at {place}: {why}")]
    Unreadable { place: Place, why: String },
    #[error("{message}")]
    Refused { status: StatusCode, message: String },
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Usage(String),
}

impl Failure {
    /// The error code for JSON, and the exit code.
    pub(in crate::cli) fn code(&self) -> (&'static str, u8) {
        match self {
            Self::Refused { status: StatusCode::NOT_FOUND, .. } => ("not_found", NOT_FOUND),
            Self::Refused { status: StatusCode::CONFLICT, .. } => ("refused", FOUND),
            Self::Refused { .. } => ("refused", CANNOT_RUN),
            Self::NoServer(_) | Self::NoSuchServer { .. } => ("no_server", CANNOT_RUN),
            Self::Several(_) => ("several_servers", CANNOT_RUN),
            Self::Unreachable { .. } | Self::Unreadable { .. } | Self::Io(_) => ("unreachable", CANNOT_RUN),
            Self::Late { .. } => ("late", CANNOT_RUN),
            Self::Usage(_) => ("usage", CANNOT_RUN),
        }
    }
}

fn choices(servers: &[(u32, PathBuf)]) -> String {
    servers.iter().fold(String::new(), |text, (pid, socket)| format!("{text}\n  --pid {pid}  --socket {}", socket.display()))
}

/// A request to a server.
#[derive(Clone)]
pub(in crate::cli) struct Question {
    method: Method,
    /// Below `/admin/v1`, with parameters.
    pub(in crate::cli) path: String,
    body: Option<Value>,
    patience: Duration,
    /// The label of the progress line, if any.
    waits_for: Option<&'static str>,
}

impl Question {
    /// A read request.
    pub(in crate::cli) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: None, patience: PATIENCE, waits_for: None }
    }

    /// A request for an action.
    pub(in crate::cli) fn post(path: impl Into<String>, body: &impl Serialize) -> Self {
        let body = serde_json::to_value(body).unwrap_or_default();
        Self { method: Method::POST, path: path.into(), body: Some(body), patience: PATIENCE, waits_for: None }
    }

    /// Adds a query parameter.
    pub(in crate::cli) fn with(mut self, name: &str, value: Option<impl ToString>) -> Self {
        if let Some(value) = value {
            let mark = if self.path.contains('?') { '&' } else { '?' };
            self.path = format!("{}{mark}{name}={}", self.path, percent::encode(&value.to_string()));
        }
        self
    }

    /// Extends the timeout to the server's own limit, and shows `what` on a terminal.
    pub(in crate::cli) fn taking(mut self, what: &'static str, time: Duration) -> Self {
        self.patience = time.saturating_add(GRACE);
        self.waits_for = Some(what);
        self
    }
}

/// A restart that was followed to its end: what the command line adds to the server's answer.
#[derive(Deserialize)]
pub(in crate::cli) struct Followed {
    pub(in crate::cli) steps: Vec<Step>,
}

/// Where a server has its admin API.
#[derive(Clone, Debug)]
pub(in crate::cli) enum Place {
    Socket(PathBuf),
    /// The address without a slash at its end, and the token.
    Url(String, Option<String>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(f),
            Self::Url(base, _) => f.write_str(base),
        }
    }
}

/// The admin API of one server.
#[derive(Clone)]
pub(in crate::cli) struct Client {
    place: Place,
}

impl Client {
    /// Finds the selected server.
    pub(in crate::cli) fn find(reach: &Reach, config: &Config) -> Result<Self, Failure> {
        if let Some(url) = &reach.url {
            return Self::at(url);
        }
        let folder = place::folder(&config.state_dir);
        let socket = match (&reach.socket, reach.pid) {
            (Some(socket), _) => socket.clone(),
            (None, Some(pid)) => {
                let servers = place::servers(&folder);
                let found = servers.into_iter().find(|(server, _)| *server == pid);
                found.ok_or(Failure::NoSuchServer { pid, folder })?.1
            }
            // With a configured socket, the server has none in the folder.
            (None, None) => match &config.admin.socket {
                Some(socket) => socket.clone(),
                None => only(&folder)?,
            },
        };
        Ok(Self { place: Place::Socket(socket) })
    }

    /// The server at a URL.
    fn at(url: &str) -> Result<Self, Failure> {
        let base = url.trim_end_matches('/');
        let host = base.strip_prefix("http://").or_else(|| base.strip_prefix("https://")).unwrap_or_default();
        if host.is_empty() || host.contains(['/', '?', '#', '@']) {
            return Err(Failure::Usage("--url takes the address of a server, such as `http://127.0.0.1:8080`, and no path".to_owned()));
        }
        Ok(Self { place: Place::Url(base.to_owned(), std::env::var("MCP_GIT_TOKEN").ok()) })
    }

    /// Sends the request and returns the answer.
    pub(in crate::cli) fn ask(&self, question: &Question) -> Result<Value, Failure> {
        let patience = question.patience;
        let _shown = question.waits_for.map(|what| progress::waiting(what, patience));
        waited(async { timeout(patience, self.answer(question)).await })?
            .unwrap_or_else(|_| Err(Failure::Late { place: self.place.clone(), patience }))
    }

    /// Reads an answer. A server of another version may answer in another form.
    pub(in crate::cli) fn read<T: DeserializeOwned>(&self, question: &Question, answer: &Value) -> Result<T, Failure> {
        T::deserialize(answer).map_err(|err| {
            let version = self.brief().map_or_else(|| "another version".to_owned(), |status| format!("version {}", status.version));
            let own = env!("CARGO_PKG_VERSION");
            let why = format!("{} {}: {err}; it runs {version}, this program is version {own}", question.method, question.path);
            Failure::Unreadable { place: self.place.clone(), why }
        })
    }

    /// What the server is, if it answers at once.
    fn brief(&self) -> Option<Brief> {
        let status = self.ask(&Question { patience: GLANCE, ..Question::get("/status") }).ok()?;
        Brief::deserialize(status).ok()
    }

    /// Polls for log records after the last one received, and shows each answer. Returns when the server exits, or the output is closed.
    pub(in crate::cli) fn follow_logs(&self, question: &Question, show: impl Fn(&Logs) -> io::Result<()>) -> Result<(), Failure> {
        let mut last = None;
        while !terminal::is_closed() {
            let asked = question.clone().with("after", last);
            let answer = match self.ask(&asked) {
                Err(Failure::Unreachable { .. }) if last.is_some() => return Ok(()),
                answer => answer?,
            };
            let logs = self.read(&asked, &answer)?;
            match show(&logs) {
                Err(err) if err.kind() == io::ErrorKind::BrokenPipe => break,
                shown => shown?,
            }
            last = Some(logs.last);
            waited(async { sleep(FOLLOW).await })?;
        }
        Ok(())
    }

    /// Follows a restart until the old process has exited.
    pub(in crate::cli) fn follow(&self, restarted: &Restarted) -> Result<Followed, Failure> {
        let Restarted { pid: old, successor: new, drain_s } = *restarted;
        let drain = Duration::from_secs(drain_s);
        let pid = i32::try_from(old).ok().and_then(rustix::process::Pid::from_raw);
        let has_ended = || match self.place {
            Place::Socket(_) => pid.is_none_or(|pid| rustix::process::test_kill_process(pid).is_err()),
            // On another machine, only the answers show it.
            Place::Url(..) => self.brief().is_some_and(|status| status.pid == new),
        };
        let began = Instant::now();
        let mut left = None;
        while !has_ended() && began.elapsed() < drain + ENDING {
            // At a fixed path the successor answers instead.
            if let Some(status) = self.brief().filter(|status| status.pid == old) {
                left = Some(status.in_flight);
            }
            waited(async { sleep(POLL).await })?;
        }
        let took = began.elapsed().as_millis();
        let ended = has_ended();
        let restored = Client { place: self.sibling(old, new) }.restored(new);
        let calls =
            left.filter(|left| !ended && *left > 0).map_or_else(|| "no call left".to_owned(), |left| counted(left, "call") + " left");
        let drained = ended || left == Some(0);
        let step = |name: &str, ok: bool, detail: String| Step { step: name.to_owned(), ok, detail };
        let steps = vec![
            step("start the successor", true, format!("process {new} is ready")),
            step("stop accepting", true, format!("process {old} accepts no connections")),
            step("drain", drained, format!("{calls}, {took} ms")),
            step("save", drained, "sessions, handles and tasks are in the store".to_owned()),
            step("shut down", ended, format!("process {old} {}", if ended { "has ended" } else { "has not ended" })),
            step("restore", restored.is_some(), restored.unwrap_or_else(|| "the successor does not answer".to_owned())),
        ];
        Ok(Followed { steps })
    }

    /// What this successor, process `pid`, has of its predecessor's sessions.
    fn restored(&self, pid: u32) -> Option<String> {
        let sessions = self.brief()?.sessions;
        let listed = self.ask(&Question::get("/sessions")).ok().and_then(|answer| Sessions::deserialize(answer).ok());
        let kept = match listed.and_then(|listed| listed.kept) {
            None | Some(0) => String::new(),
            Some(1) => ", 1 kept until its client's next request".to_owned(),
            Some(kept) => format!(", {kept} kept until their clients' next requests"),
        };
        Some(format!("{} restored by process {pid} so far{kept}", counted(sessions, "session")))
    }

    /// Where the successor is.
    fn sibling(&self, old: u32, new: u32) -> Place {
        match &self.place {
            Place::Socket(socket) if socket.ends_with(format!("{old}.sock")) => Place::Socket(socket.with_file_name(format!("{new}.sock"))),
            place => place.clone(),
        }
    }

    async fn answer(&self, question: &Question) -> Result<Value, Failure> {
        let unreachable = |why: String| Failure::Unreachable { place: self.place.clone(), why };
        let unreadable = |why: String| Failure::Unreadable { place: self.place.clone(), why };
        let body = question.body.as_ref().map(Value::to_string).unwrap_or_default();
        let (status, body) = match &self.place {
            Place::Socket(socket) => over_socket(socket, question, body).await.map_err(unreachable)?,
            Place::Url(base, token) => over_http(base, token.as_deref(), question, body).await.map_err(unreachable)?,
        };
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|err| unreadable(err.to_string()));
        }
        let message = match serde_json::from_slice::<Refusal>(&body) {
            Ok(refusal) => refusal.error,
            Err(_) if status == StatusCode::UNAUTHORIZED => "a token is needed, or the token is wrong: set MCP_GIT_TOKEN".to_owned(),
            Err(_) => format!("{status}: {}", String::from_utf8_lossy(&body).trim()),
        };
        Err(Failure::Refused { status, message })
    }
}

/// Sends a request over a Unix socket, and returns the status and the body of the answer.
async fn over_socket(socket: &Path, question: &Question, body: String) -> Result<(StatusCode, Bytes), String> {
    let stream = UnixStream::connect(socket).await.map_err(|err| err.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|err| err.to_string())?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(&question.method)
        .uri(format!("/admin/v1{}", question.path))
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|err| err.to_string())?;
    let response = sender.send_request(request).await.map_err(|err| err.to_string())?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(|err| err.to_string())?.to_bytes();
    Ok((status, body))
}

/// As [`over_socket`], over HTTP.
async fn over_http(base: &str, token: Option<&str>, question: &Question, body: String) -> Result<(StatusCode, Bytes), String> {
    let mut request = hyper::http::Request::builder()
        .method(&question.method)
        .uri(format!("{base}/admin/v1{}", question.path))
        .header(header::CONTENT_TYPE, "application/json");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let (request, patience) = (request.body(body).map_err(|err| err.to_string())?, question.patience);
    let asked = tokio::task::spawn_blocking(move || {
        let tls = ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::PlatformVerifier).build();
        let config = ureq::Agent::config_builder().timeout_global(Some(patience)).max_redirects(0).http_status_as_error(false);
        let agent = ureq::Agent::new_with_config(config.tls_config(tls).build());
        let mut response = agent.run(request).map_err(|err| err.to_string())?;
        let body = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec().map_err(|err| err.to_string())?;
        Ok((response.status(), Bytes::from(body)))
    });
    asked.await.map_err(|err| err.to_string())?
}

/// Waits for one thing.
fn waited<T>(future: impl Future<Output = T>) -> io::Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future))
}

/// The socket of the only running server. Replaced servers that are still draining do not count.
fn only(folder: &Path) -> Result<PathBuf, Failure> {
    let mut servers = place::servers(folder);
    if servers.len() > 1 {
        let is_leaving = |socket: &Path| {
            Client { place: Place::Socket(socket.to_owned()) }.brief().is_some_and(|status| status.phase == Name(Phase::Leaving))
        };
        servers.retain(|(_, socket)| !is_leaving(socket));
    }
    match servers.len() {
        0 => Err(Failure::NoServer(folder.to_owned())),
        1 => Ok(servers.remove(0).1),
        _ => Err(Failure::Several(servers)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::answers::recovery::Drained;
    use serde_json::json;

    #[test]
    fn answers_of_other_versions_are_read_if_they_have_what_is_needed() -> Result<(), Failure> {
        let client = Client { place: Place::Socket("/nonexistent/a.sock".into()) };
        let question = Question::get("/drain");
        let newer: Drained = client.read(&question, &json!({"left": 2, "more": {"a": null}}))?;
        assert_eq!(newer.left, 2);
        let older = client.read::<Drained>(&question, &json!({"remaining": 2})).map_err(|why| (why.to_string(), why.code()));
        let own = env!("CARGO_PKG_VERSION");
        let why = format!(
            "invalid answer from the server at /nonexistent/a.sock: GET /drain: missing field `left`; it runs another version, this \
             program is version {own}"
        );
        assert_eq!(older.err(), Some((why, ("unreachable", CANNOT_RUN))));
        Ok(())
    }
}
