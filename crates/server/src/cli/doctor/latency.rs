//! The round-trip latency of messages.

use super::{
    Finding, Patient,
    trial::TrialServer,
    web::{Endpoint, Place, Refused, Session},
};
use crate::{
    admin::{
        answers::{name::Name, status::Brief},
        place,
    },
    lifecycle::phase::Phase,
    serving::processes::addresses_of,
};
use serde_json::json;
use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

/// Number of messages sent.
const MESSAGES: usize = 20;

pub(super) fn check(patient: &Patient<'_>) -> Vec<Finding> {
    if !patient.options.latency {
        return vec![Finding::skipped("`--latency` measures it")];
    }
    let finding = match running(patient) {
        Ok(Some((endpoint, name))) => measured(patient, &endpoint, &name),
        Ok(None) => match TrialServer::start(patient.config, patient.repositories.roots().named()) {
            Ok(trial) => {
                let finding = measured(patient, trial.endpoint(), "a temporary test server (no running server listens on a port)");
                trial.stop();
                finding
            }
            Err(failed) => failed.finding(),
        },
        Err(finding) => finding,
    };
    vec![finding]
}

/// The running server that listens on a port, as its admin channel and the system report it.
fn running(patient: &Patient<'_>) -> Result<Option<(Endpoint, String)>, Finding> {
    let folder = place::folder(&patient.config.state_dir);
    let sockets = match &patient.config.admin.socket {
        Some(socket) => vec![socket.clone()],
        None => place::servers(&folder).into_iter().map(|(_, socket)| socket).collect(),
    };
    let statuses = sockets.iter().filter_map(|socket| status(socket)).filter(|status| status.phase != Name(Phase::Leaving));
    let mut pids: Vec<u32> = statuses.map(|status| status.pid).collect();
    if let Some(wanted) = patient.options.pid {
        pids.retain(|pid| *pid == wanted);
        if pids.is_empty() {
            let fix = "`mcp-server-git status` shows the running servers.";
            return Err(Finding::problem(format!("no server with process ID {wanted} is running"), fix));
        }
    }
    let mut found: Vec<(u32, SocketAddr)> = pids.iter().filter_map(|pid| Some((*pid, *addresses_of(*pid).first()?))).collect();
    match found.len() {
        0 => Ok(None),
        1 => {
            let (pid, address) = found.remove(0);
            Ok(Some((Endpoint::at(address, patient.options.token()), format!("the server with process ID {pid}, at {address},"))))
        }
        _ => {
            let all: Vec<String> = found.iter().map(|(pid, _)| pid.to_string()).collect();
            Err(Finding::skipped(format!("several servers are running; choose one with --pid: {}", all.join(", "))))
        }
    }
}

fn status(socket: &Path) -> Option<Brief> {
    let endpoint = Endpoint { place: Place::Socket(socket.to_owned()), host: "localhost".to_owned(), path: String::new(), token: None };
    let answer = endpoint.request("GET", "/admin/v1/status", &[], b"").ok().filter(|answer| answer.status == 200)?;
    serde_json::from_slice(&answer.body).ok()
}

fn measured(patient: &Patient<'_>, endpoint: &Endpoint, name: &str) -> Finding {
    let (mut times, what) = match sample(patient, endpoint) {
        Ok(sample) => sample,
        Err(Refused::Status(answer)) if matches!(answer.status, 401 | 403) => {
            let fix = "Put a token of the server into the environment variable MCP_GIT_DOCTOR_TOKEN.";
            return Finding::problem(format!("{name} requires a valid token ({})", answer.summary()), fix);
        }
        Err(err) => {
            let fix = "`mcp-server-git status` shows whether it accepts calls; `mcp-server-git resume` ends a drain.";
            return Finding::problem(format!("{name} does not answer correctly: {err}"), fix).caused_by(&err);
        }
    };
    times.sort();
    let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
    let shown = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
    let detail = format!("{name} answers {what} in {} (median of {}, {} at most)", shown(median), times.len(), shown(most));
    let limit = Duration::from_millis(patient.config.perf.slow_ms);
    let finding = if median > limit {
        let fix = "Look in the server's log after `mcp-server-git debug level debug`, or raise MCP_GIT_SLOW_MS (`perf.slow_ms`).";
        Finding::problem(format!("{detail}, slower than {} ms", limit.as_millis()), fix)
    } else {
        Finding::fine(detail)
    };
    times.into_iter().map(shown).fold(finding, Finding::because)
}

/// The times of the messages, and the kind of message.
fn sample(patient: &Patient<'_>, endpoint: &Endpoint) -> Result<(Vec<Duration>, &'static str), Refused> {
    let session = Session::open(endpoint)?;
    let repository = patient.usable().find(|repo| repo.worktree().is_ok()).map(|repo| json!({"repo_path": repo.top()}));
    // The server may have other roots.
    let call = repository.filter(|arguments| session.call("git_status", arguments).unwrap_or_default());
    let mut times = Vec::with_capacity(MESSAGES);
    for _ in 0..MESSAGES {
        let began = Instant::now();
        match &call {
            Some(arguments) => session.call("git_status", arguments).map(drop)?,
            None => session.ping()?,
        }
        times.push(began.elapsed());
    }
    session.close();
    Ok((times, if call.is_some() { "git_status" } else { "ping" }))
}
