//! A server that is started to be spoken to once, and thrown away.

use super::{
    Finding, Patient,
    child::Started,
    web::{Endpoint, Session},
};
use crate::{config::Config, lifecycle::restart};
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

/// How long it may take to listen.
const READY: Duration = Duration::from_secs(20);
/// How long it may take to end.
const END: Duration = Duration::from_secs(12);
/// The longest path that a Unix socket can have on every system.
const MAX_SOCKET: usize = 90;
/// What of the environment would lead the throw-away away from its folder, or make it wait for somebody.
const WITHOUT: [&str; 10] = [
    "MCP_GIT_HOST",
    "MCP_GIT_PORT",
    "MCP_GIT_SOCKET",
    "MCP_GIT_ADMIN_SOCKET",
    "MCP_GIT_STATE_DIR",
    "MCP_GIT_RATE",
    "MCP_GIT_DOCTOR_TOKEN",
    "LISTEN_FDS",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
];

/// The running throw-away.
pub(super) struct Trial {
    started: Started,
    /// Closed, it ends the server, also where the doctor is killed: to the server its supervisor is gone.
    _line: UnixStream,
    endpoint: Endpoint,
    // Removed when it is dropped.
    _folder: TempDir,
}

/// Why there is none.
pub(super) enum Failed {
    /// It has no place to be.
    Folder(PathBuf, io::Error),
    /// It was not started.
    Program(io::Error),
    /// It ended, or did not listen; with its own words.
    Ended(String),
}

impl Failed {
    pub(super) fn finding(&self) -> Finding {
        match self {
            Self::Folder(folder, err) => Finding::problem(
                format!("the temporary folder {} cannot be used: {err}", folder.display()),
                if folder == Path::new("/tmp") { "sudo chmod 1777 /tmp" } else { "export TMPDIR=/tmp" },
            )
            .caused_by(err),
            Self::Program(err) => Finding::problem(
                format!("this program could not be started again: {err}"),
                "Install mcp-server-git again: its file was removed, replaced, or made not executable.",
            )
            .caused_by(err),
            Self::Ended(said) if said.is_empty() => Finding::problem(
                "a throw-away server did not listen in time",
                "Run the doctor again when the machine is less busy, and report it if it stays.",
            ),
            Self::Ended(said) => Finding::problem(
                format!("a throw-away server did not start: {}", said.lines().last().unwrap_or_default()),
                "Clear what its message names, or start it with `--log-level debug` to see more.",
            )
            .because(said.clone()),
        }
    }
}

impl Trial {
    /// Starts it with the configuration, without its tokens, address and database.
    pub(super) fn start(config: &Config, roots: &[PathBuf]) -> Result<Self, Failed> {
        let temporary = std::env::temp_dir();
        // A socket below a long path could not be made.
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
        let with = [("MCP_GIT_STORE_URL", store.as_str()), (restart::VARIABLE, "1")];
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

    /// Ends it. False where it had to be killed.
    pub(super) fn stop(self) -> bool {
        self.started.stop(END)
    }
}

/// The configuration file of the throw-away: what it shares with others is left out.
fn file(config: &Config) -> String {
    let mut table = config.origin.table.clone();
    for key in ["repositories", "auth", "http", "port", "store", "admin", "state_dir", "git"] {
        table.remove(key);
    }
    table.to_string()
}

/// Starts one, speaks to it, and stops it.
pub(super) fn check(patient: &Patient<'_>) -> Vec<Finding> {
    if !patient.has_git() {
        return vec![Finding::skipped("it needs a git that can be used")];
    }
    let began = Instant::now();
    let trial = match Trial::start(patient.config, patient.repositories.roots().named()) {
        Ok(trial) => trial,
        Err(failed) => return vec![failed.finding()],
    };
    let mut steps = vec![format!("start: {} ms", began.elapsed().as_millis())];
    let failed = speak(trial.endpoint(), &mut steps);
    let has_ended = trial.stop();
    steps.push(format!("stop: {}", if has_ended { "ok" } else { "it was killed" }));
    let finding = match failed {
        Err((step, err)) => Finding::problem(
            format!("a throw-away server listens, and {step} fails: {err}"),
            "Start it with `mcp-server-git serve --log-level debug`, repeat the step, and report what it logs.",
        )
        .caused_by(&err),
        Ok(()) if !has_ended => Finding::problem(
            "a throw-away server did not end when it was asked to",
            "Run the doctor again when the machine is less busy, and report it if it stays.",
        ),
        Ok(()) => Finding::fine("a throw-away server starts, answers health, initialize and ping, and stops"),
    };
    vec![steps.into_iter().fold(finding, Finding::because)]
}

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
