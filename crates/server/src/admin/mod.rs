//! The admin channel: JSON over HTTP on a Unix socket that only the owner can use.

pub(crate) mod answers;
pub(crate) mod metrics;
pub(crate) mod place;
mod profile;
mod recovery;
pub(crate) mod requests;
mod views;

use crate::{
    caches,
    lifecycle::phase::Phase,
    pipeline::How,
    server::Server,
    socket::{self, own_socket},
    telemetry::{levels, log, process, ring::Wanted},
};
use answers::{
    Refusal,
    circuits::{self, ResetCircuit},
    errors::Errors,
    health::Health,
    held::ReleasedCalls,
    logs::{self, ChangedLevel},
    memory::Trimmed,
    name::Name,
    operations,
    recovery::{Drained, Recovery, Restarted, Resumed},
    resources::{Reaped, Released},
    sessions::{Closed, Sessions, Touched},
    status::Status,
};
use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use guard::{CircuitState, ResetOutcome};
use mcp::{http::Probe, sessions::Ending};
use requests::{ClearCaches, Drain, Level, Listed, Logs, Operations, Reap, ReapSessions, Recover, Release, Reset, Resume, Touch, Window};
use serde_json::{Value, json};
use std::{io, path::PathBuf, sync::Arc, time::Duration};

/// Maximum number of log records in one answer.
const MAX_LOGS: usize = 1000;

type Shared = State<Arc<Server>>;

/// The socket of an admin channel.
pub(crate) struct Channel {
    path: PathBuf,
    made: Option<(u64, u64)>,
}

impl Channel {
    /// Removes it at shutdown, unless another server has replaced it.
    pub(crate) fn remove(self) {
        socket::remove(&self.path, self.made);
    }
}

/// Serves the admin channel until shutdown, at `path` or in the folder of this user's servers. A successor replaces the
/// channel of its predecessor.
///
/// # Errors
///
/// If the socket cannot be created.
pub(crate) fn open(server: &Arc<Server>, path: Option<&std::path::Path>, takes_over: bool) -> io::Result<Channel> {
    let path = if let Some(path) = path {
        path.to_owned()
    } else {
        let folder = place::folder(&server.state_dir);
        place::prepare(&folder)?;
        place::socket(&folder, std::process::id())
    };
    let listener = own_socket(&path, takes_over)?;
    let made = socket::inode(&path);
    let app = router(Arc::clone(server));
    tokio::spawn(async move {
        if let Err(err) = axum::serve(listener, app).await {
            tracing::error!(%err, "the admin channel failed");
        }
    });
    Ok(Channel { path, made })
}

fn router(server: Arc<Server>) -> Router {
    let api = Router::new()
        .route("/status", get(status))
        .route("/heartbeats", get(|State(server): Shared| async move { Json(views::heartbeats(&server)) }))
        .route("/resources", get(|State(server): Shared| async move { Json(views::resources(&server)) }))
        .route("/resources/release", post(release))
        .route("/reap", post(reap))
        .route("/sessions", get(sessions))
        .route("/sessions/reap", post(reap_sessions))
        .route("/sessions/touch", post(touch_sessions))
        .route("/sessions/{id}", get(session))
        .route("/sessions/{id}/close", post(close_session))
        .route("/circuits", get(|State(server): Shared| async move { Json(views::circuits(&server)) }))
        .route("/circuits/reset", post(reset_circuits))
        .route("/errors", get(errors))
        .route("/operations", get(operations))
        .route("/drain", post(drain))
        .route("/resume", post(resume))
        .route("/restart", post(restart_gracefully))
        .route("/recover", post(recover))
        .route(
            "/metrics",
            get(|State(server): Shared| async move { ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::render(&server)) }),
        )
        .route("/memory", get(|State(server): Shared| async move { Json(views::memory(&server)) }))
        .route("/memory/trim", post(trim))
        .route("/caches", get(|State(server): Shared| async move { Json(views::caches(&server)) }))
        .route("/caches/clear", post(clear_caches))
        .route("/profile/cpu", post(profile::cpu))
        .route("/profile/heap", get(profile::snapshots).post(profile::heap))
        .route("/profile/heap/track", post(profile::track))
        .route("/profile/heap/diff", get(profile::diff))
        .route("/logs", get(logs))
        .route("/debug/held", get(|State(server): Shared| async move { Json(views::held(&server)) }))
        .route("/debug/held/{id}", get(held))
        .route("/debug/resume", post(resume_calls))
        .route("/debug/level", get(|| async { Json(views::level()) }).post(level));
    Router::new().nest("/admin/v1", api).with_state(server)
}

/// An error, as the sub-commands show it.
fn refused(status: StatusCode, why: impl Into<String>) -> Response {
    (status, Json(Refusal { error: why.into() })).into_response()
}

async fn status(State(server): Shared) -> Json<Status> {
    server.forget_repeated().await;
    Json(views::status(&server))
}

async fn sessions(State(server): Shared, Query(wanted): Query<Listed>) -> Json<Sessions> {
    let kept = kept(&server).await;
    Json(views::sessions(&server, wanted.idle.map(Duration::from_secs), wanted.state.as_deref(), kept))
}

/// Number of sessions in the store that no client has used since this process started; `None` without the store.
async fn kept(server: &Server) -> Option<usize> {
    if !server.persistence.status().opened {
        return None;
    }
    let stored = server.persistence.kept_sessions().await.ok()?;
    Some(stored.iter().filter(|id| server.sessions.get(id).is_none()).count())
}

async fn session(State(server): Shared, Path(id): Path<String>) -> Response {
    match server.sessions.get(&id) {
        Some(session) => Json(views::session(&session)).into_response(),
        // A session opened before a restart is restored with its next request.
        None => match server.persistence.run(|store| async move { store.session(&id).await }).await {
            Ok(Some(row)) => Json(views::kept(row)).into_response(),
            Ok(None) => refused(StatusCode::NOT_FOUND, "there is no such session"),
            Err(why) => refused(StatusCode::SERVICE_UNAVAILABLE, why.to_string()),
        },
    }
}

async fn close_session(State(server): Shared, Path(id): Path<String>) -> Response {
    if server.sessions.close(&id, Ending::Operator) {
        return Json(Closed { closed: vec![id] }).into_response();
    }
    let wanted = id.clone();
    match server.persistence.run(|store| async move { store.delete_session(&wanted).await }).await {
        Ok(true) => Json(Closed { closed: vec![id] }).into_response(),
        _ => refused(StatusCode::NOT_FOUND, "there is no such session"),
    }
}

async fn reap_sessions(State(server): Shared, Json(wanted): Json<ReapSessions>) -> Response {
    let closed = match (wanted.idle, wanted.oldest) {
        (Some(idle), None) => server.sessions.reap_idle(Duration::from_secs(idle)),
        (None, Some(count)) => server.sessions.evict_longest_idle(count),
        _ => return refused(StatusCode::BAD_REQUEST, "pass either `idle` or `oldest`"),
    };
    Json(Closed { closed }).into_response()
}

async fn touch_sessions(State(server): Shared, Json(wanted): Json<Touch>) -> Response {
    let ids: Vec<String> = match (wanted.id, wanted.missing) {
        (Some(id), false) => vec![id],
        (None, true) => server.sessions.list().into_iter().filter(|session| session.missed > 0).map(|session| session.id).collect(),
        _ => return refused(StatusCode::BAD_REQUEST, "pass either `id` or `missing`"),
    };
    let one = ids.len() == 1 && !wanted.missing;
    let touched: Vec<String> = ids.into_iter().filter(|id| server.sessions.touch(id)).collect();
    if one && touched.is_empty() {
        return refused(StatusCode::NOT_FOUND, "there is no such session");
    }
    Json(Touched { touched }).into_response()
}

async fn reset_circuits(State(server): Shared, Json(wanted): Json<Reset>) -> Response {
    let done = |(name, outcome): (String, ResetOutcome)| ResetCircuit { name, was: Name(outcome.was), early: outcome.early };
    let reset = match wanted {
        Reset { name: Some(name), stuck: false, all: false } => match server.breakers.reset(&name) {
            Some(outcome) => vec![done((name, outcome))],
            None => return refused(StatusCode::NOT_FOUND, "there is no such circuit"),
        },
        Reset { name: None, stuck: true, all: false } => {
            let stuck = |name| done((name, ResetOutcome { was: CircuitState::Open, early: false }));
            server.breakers.reset_stuck().into_iter().map(stuck).collect()
        }
        Reset { name: None, stuck: false, all: true } => server.breakers.reset_all().into_iter().map(done).collect(),
        _ => return refused(StatusCode::BAD_REQUEST, "pass one of `name`, `stuck` and `all`"),
    };
    Json(circuits::Reset { reset }).into_response()
}

async fn errors(State(server): Shared, Query(wanted): Query<Window>) -> Json<Errors> {
    let window = Duration::from_secs(wanted.window.unwrap_or(3600));
    let threshold = wanted.threshold.unwrap_or_else(|| server.settings().spike_per_minute);
    let past = server.errors_within(window).await;
    Json(views::errors(&server, window, &past, threshold))
}

async fn operations(State(server): Shared, Query(wanted): Query<Operations>) -> Response {
    let asked = Arc::clone(&server);
    let of = tokio::task::spawn_blocking(move || {
        wanted.repository.map(|path| match asked.services.repositories.open(&path) {
            Ok(repo) => crate::journal::key(&repo),
            Err(_) => git::key(&path),
        })
    });
    let of = of.await.unwrap_or_default();
    let found = server.persistence.run(|store| async move {
        match of {
            Some(key) => store.operations_of(&key, 100).await,
            None => store.running_operations().await,
        }
    });
    match found.await {
        Ok(rows) => Json(operations::Operations { operations: rows.into_iter().map(views::operation).collect() }).into_response(),
        Err(why) => refused(StatusCode::SERVICE_UNAVAILABLE, why.to_string()),
    }
}

async fn reap(State(server): Shared, Json(wanted): Json<Reap>) -> Json<Reaped> {
    Json(Reaped { reaped: recovery::reap(&server, Duration::from_secs(wanted.age)).await })
}

async fn release(State(server): Shared, Json(wanted): Json<Release>) -> Response {
    use guard::ResourceError;
    match server.resources.release(&wanted.id) {
        Ok(()) => Json(Released { released: wanted.id }).into_response(),
        Err(err @ (ResourceError::NotFound(_) | ResourceError::UnknownKind(_))) => refused(StatusCode::NOT_FOUND, err.to_string()),
        Err(err @ (ResourceError::InFlight(_) | ResourceError::Fixed(_))) => refused(StatusCode::CONFLICT, err.to_string()),
    }
}

async fn drain(State(server): Shared, Json(wanted): Json<Drain>) -> Json<Drained> {
    let left = server.drain(wanted.timeout.map_or(server.settings().drain, Duration::from_secs)).await;
    Json(Drained { left })
}

async fn resume(State(server): Shared) -> Response {
    if server.resume() {
        return Json(Resumed { phase: Name(server.phase.get()) }).into_response();
    }
    let why = match server.phase.get() {
        Phase::Leaving => "another process has taken over; cannot resume",
        _ => "the server is not drained",
    };
    refused(StatusCode::CONFLICT, why)
}

async fn trim(State(server): Shared) -> Response {
    let trimmed = tokio::task::spawn_blocking(move || {
        let before = process::rss();
        let cleared = caches::clear(&server.services, None).unwrap_or_default();
        guard::memory::trim();
        let after = process::rss();
        let recovered = before.zip(after).map(|(before, after)| before.saturating_sub(after));
        Trimmed { before, after, recovered, caches: views::cleared(cleared) }
    });
    match trimmed.await {
        Ok(trimmed) => Json(trimmed).into_response(),
        Err(err) => refused(StatusCode::INTERNAL_SERVER_ERROR, err.to_string()),
    }
}

async fn clear_caches(State(server): Shared, Json(wanted): Json<ClearCaches>) -> Response {
    match caches::clear(&server.services, wanted.name.as_deref()) {
        Some(cleared) => Json(views::cleared(cleared)).into_response(),
        None => refused(StatusCode::NOT_FOUND, "there is no such cache"),
    }
}

async fn logs(Query(wanted): Query<Logs>) -> Json<logs::Logs> {
    let fields =
        [("error_class", wanted.class), ("session_id", wanted.session), ("tool", wanted.tool), ("level", wanted.level)].into_iter();
    let wanted = Wanted {
        since: wanted.since.map(Duration::from_secs),
        after: wanted.after,
        fields: fields.filter_map(|(name, value)| Some((name, value?))).collect(),
        limit: wanted.limit.unwrap_or(MAX_LOGS).min(MAX_LOGS),
    };
    let (records, last) = log::records().find(&wanted, crate::persistence::now_ms());
    Json(logs::Logs { records, last })
}

async fn held(State(server): Shared, Path(id): Path<String>) -> Response {
    match server.services.holds.list().into_iter().find(|held| held.id == id) {
        Some(held) => Json(views::held_call(held)).into_response(),
        None => refused(StatusCode::NOT_FOUND, "there is no such held call"),
    }
}

async fn resume_calls(State(server): Shared, Json(wanted): Json<Resume>) -> Response {
    let how = if wanted.abort { How::Abort } else { How::Resume };
    let released = server.services.holds.release(wanted.id.as_deref(), how);
    if wanted.id.is_some() && released.is_empty() {
        return refused(StatusCode::NOT_FOUND, "there is no such held call");
    }
    Json(ReleasedCalls { released }).into_response()
}

async fn level(State(server): Shared, Json(wanted): Json<Level>) -> Response {
    let directives = wanted.level.unwrap_or_else(|| server.loaded().level.clone());
    if let Some(name) = levels::unknown(&directives) {
        let known = levels::components().collect::<Vec<_>>().join(", ");
        return refused(
            StatusCode::BAD_REQUEST,
            format!("there is no component `{name}`: {known}, or a module such as `mcp_server_git::wire`"),
        );
    }
    match log::set_level(&directives) {
        Ok(before) => {
            tracing::warn!(before, now = directives, "the log levels were changed");
            Json(ChangedLevel { before, level: directives }).into_response()
        }
        Err(err) => {
            let components: Vec<&str> = levels::components().collect();
            let known = components.join(", ");
            refused(
                StatusCode::BAD_REQUEST,
                format!("`{directives}`: {err}. A level, or a list such as `warn,session=debug`; components: {known}, or any module"),
            )
        }
    }
}

async fn restart_gracefully(State(server): Shared, Json(wanted): Json<Drain>) -> Response {
    let drain = wanted.timeout.map_or(server.settings().drain, Duration::from_secs);
    match server.control.ask(drain).await {
        Ok(successor) => Json(Restarted { pid: std::process::id(), successor, drain_s: drain.as_secs() }).into_response(),
        Err(why) => refused(StatusCode::CONFLICT, why),
    }
}

async fn recover(State(server): Shared, Json(wanted): Json<Recover>) -> Response {
    match wanted.component.as_deref() {
        None => Json(recovery::emergency(&server).await).into_response(),
        Some(component) => match recovery::restart(&server, component) {
            Some(step) => Json(Recovery { ok: None, steps: vec![step] }).into_response(),
            None => refused(StatusCode::BAD_REQUEST, "there is no such component: heartbeat, sweep, probes, store, validation"),
        },
    }
}

/// Answers `/health` and the other probes. Only authenticated requests get details.
pub(crate) fn health(server: &Server, probe: Probe, is_open: bool) -> (bool, Value) {
    let phase = server.phase.get();
    let (is_fine, status, details) = match probe {
        Probe::Live => (true, "ok", None),
        Probe::Started => (phase != Phase::Starting, phase.name(), None),
        Probe::Ready { verbose } => {
            let takes_calls = phase == Phase::Ready && !server.stop.is_cancelled();
            let threads = &server.services.threads;
            let is_short = server.watcher.is_short();
            let is_ready = takes_calls && !threads.is_full() && !is_short;
            let store = server.persistence.status();
            let status = match (takes_calls, is_ready, &store.unavailable) {
                (false, ..) => phase.name(),
                (_, false, _) if is_short => "memory_limit",
                (_, false, _) => "threads_lost",
                (_, _, None) => "ok",
                (_, _, Some(_)) => "degraded",
            };
            (is_ready, status, (verbose && is_open).then(|| views::details(server)))
        }
    };
    (is_fine, json!(Health { status: status.to_owned(), details }))
}
