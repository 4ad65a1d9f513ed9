//! A temporary server that is started, tested and stopped.

use super::{
    Finding, Patient,
    child::Started,
    web::{Endpoint, Session},
};
use crate::{
    config::Config,
    lifecycle::{control, grace},
};
use std::{
    ffi::{OsStr, OsString},
    fs,
    io::{self, Read},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Time limit for the server to listen.
const READY: Duration = Duration::from_secs(20);
/// Maximum length of a Unix socket's path on all systems.
const MAX_SOCKET: usize = 90;
/// Variables that would take the temporary server out of its directory, or block its calls.
const WITHOUT: [&str; 12] = [
    "MCP_GIT_HOST",
    "MCP_GIT_PORT",
    "MCP_GIT_SOCKET",
    "MCP_GIT_ADMIN_SOCKET",
    "MCP_GIT_STATE_DIR",
    "MCP_GIT_LOG_FILE",
    "MCP_GIT_RATE",
    "MCP_DEBUG_BREAKPOINT",
    "MCP_GIT_DOCTOR_TOKEN",
    "LISTEN_FDS",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
];

/// The running temporary server.
pub(super) struct TrialServer {
    started: Started,
    /// Closing it stops the server, also if the doctor is killed: the server loses its supervisor.
    _line: UnixStream,
    endpoint: Endpoint,
    // Removed on drop.
    _folder: TempDir,
}

/// Why there is no temporary server.
pub(super) enum Failed {
    /// Its directory cannot be created.
    Folder(PathBuf, io::Error),
    /// It could not be started.
    Program(io::Error),
    /// It exited or did not listen; with its standard error.
    Ended(String),
}

impl Failed {
    pub(super) fn finding(&self) -> Finding {
        match self {
            Self::Folder(folder, err) => Finding::problem(
                format!("the temporary directory {} cannot be used: {err}", folder.display()),
                if folder == Path::new("/tmp") { "sudo chmod 1777 /tmp" } else { "export TMPDIR=/tmp" },
            )
            .caused_by(err),
            Self::Program(err) => Finding::problem(
                format!("this program could not be started again: {err}"),
                "Reinstall mcp-server-git: its file was removed or replaced, or is no longer executable.",
            )
            .caused_by(err),
            Self::Ended(stderr) if stderr.is_empty() => Finding::problem(
                "the temporary test server did not listen in time",
                "Run the doctor again when the machine is less busy; report the problem if it persists.",
            ),
            Self::Ended(stderr) => Finding::problem(
                format!("the temporary test server did not start: {}", stderr.lines().last().unwrap_or_default()),
                "Fix what the message names; `mcp-server-git serve --log-level debug` shows more.",
            )
            .because(stderr.clone()),
        }
    }
}

impl TrialServer {
    /// Starts a server with the configuration, but with its own address, database and directories, and without telemetry.
    pub(super) fn start(config: &Config, roots: &[PathBuf]) -> Result<Self, Failed> {
        let temporary = std::env::temp_dir();
        // The path of a socket must not be long.
        let place = if temporary.as_os_str().len() > MAX_SOCKET - 40 { PathBuf::from("/tmp") } else { temporary };
        let unusable = |err| Failed::Folder(place.clone(), err);
        let folder = tempfile::Builder::new().prefix("mcp-git-doctor").tempdir_in(&place).map_err(unusable)?;
        let path = |name: &str| folder.path().join(name);
        fs::write(path("config.toml"), file(config)).map_err(unusable)?;
        let mut args: Vec<OsString> = Vec::new();
        for root in roots {
            args.extend(["-r".into(), root.into()]);
        }
        if let Some(git) = &config.git {
            args.extend(["--git".into(), git.into()]);
        }
        for (flag, name) in [("--config", "config.toml"), ("--state-dir", "state")] {
            args.extend([flag.into(), path(name).into()]);
        }
        args.push("serve".into());
        for (flag, name) in [("--socket", "s"), ("--admin-socket", "a")] {
            args.extend([flag.into(), path(name).into()]);
        }
        let args: Vec<&OsStr> = args.iter().map(OsString::as_os_str).collect();
        let store = format!("sqlite:{}", path("store.db").display());
        let program = std::env::current_exe().map_err(Failed::Program)?;
        let (mut line, theirs) = UnixStream::pair().map_err(Failed::Program)?;
        line.set_read_timeout(Some(READY)).map_err(Failed::Program)?;
        let input = Stdio::from(OwnedFd::from(theirs));
        let with = [("MCP_GIT_STORE_URL", store.as_str()), (control::VARIABLE, "1"), ("OTEL_SDK_DISABLED", "true")];
        let started = Started::new(&program, &args, input, &with, &WITHOUT).map_err(Failed::Program)?;
        let mut ready = [0; 6];
        if line.read_exact(&mut ready).is_err() {
            return Err(Failed::Ended(started.errors(Duration::from_secs(1))));
        }
        Ok(Self { started, _line: line, endpoint: Endpoint::socket(path("s")), _folder: folder })
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Stops the server. Returns false if it had to be killed.
    pub(super) fn stop(self) -> bool {
        self.started.stop(grace::SUPERVISOR)
    }
}

/// The temporary server's configuration file, without keys that lead out of its directory, and without breakpoints.
fn file(config: &Config) -> String {
    let mut table = config.origin.table.clone();
    for key in ["repositories", "auth", "http", "port", "store", "admin", "state_dir", "git", "telemetry", "metrics", "debug"] {
        table.remove(key);
    }
    if let Some(log) = table.get_mut("log").and_then(toml::Value::as_table_mut) {
        log.remove("file");
    }
    table.to_string()
}

/// Starts a server, tests it, and stops it.
pub(super) fn check(patient: &Patient<'_>) -> Vec<Finding> {
    if !patient.has_git() {
        return vec![Finding::skipped("it needs a usable git")];
    }
    let began = Instant::now();
    let trial = match TrialServer::start(patient.config, patient.repositories.roots().named()) {
        Ok(trial) => trial,
        Err(failed) => return vec![failed.finding()],
    };
    let mut steps = vec![format!("start: {} ms", began.elapsed().as_millis())];
    let failed = speak(trial.endpoint(), &mut steps);
    let has_ended = trial.stop();
    steps.push(format!("stop: {}", if has_ended { "ok" } else { "it was killed" }));
    let finding = match failed {
        Err((step, err)) => Finding::problem(
            format!("the temporary test server listens, but {step} fails: {err}"),
            "Start a server with `mcp-server-git serve --log-level debug`, repeat the step, and report what it logs.",
        )
        .caused_by(&err),
        Ok(()) if !has_ended => Finding::problem(
            "the temporary test server did not stop when asked to",
            "Run the doctor again when the machine is less busy; report the problem if it persists.",
        ),
        Ok(()) => Finding::fine("a temporary test server starts, answers health, initialize and ping, and stops"),
    };
    vec![steps.into_iter().fold(finding, Finding::because)]
}

/// Performs the steps of a client.
fn speak(endpoint: &Endpoint, steps: &mut Vec<String>) -> Result<(), (&'static str, io::Error)> {
    let began = Instant::now();
    let health = endpoint.request("GET", "/health", &[], b"").map_err(|err| ("health", err))?;
    if health.status != 200 {
        return Err(("health", io::Error::other(format!("the status is {}", health.status))));
    }
    steps.push(format!("health: {} ms", began.elapsed().as_millis()));
    let began = Instant::now();
    let session = Session::open(endpoint).map_err(|err| ("initialize", err.into()))?;
    steps.push(format!("initialize: {} ms, revision {}", began.elapsed().as_millis(), session.revision));
    let began = Instant::now();
    session.ping().map_err(|err| ("ping", err.into()))?;
    steps.push(format!("ping: {} ms", began.elapsed().as_millis()));
    session.close();
    Ok(())
}
