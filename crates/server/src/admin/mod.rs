//! The admin API: JSON over HTTP, on a Unix socket that only the owner can use, and at `/admin/v1` of the server for tickets and,
//! if the operator allows it, for tokens.

pub(crate) mod access;
mod actions;
pub(crate) mod answers;
mod endpoint;
mod events;
mod live;
pub(crate) mod metrics;
mod openapi;
pub(crate) mod place;
mod profile;
pub(crate) mod reads;
pub(crate) mod recovery;
pub(crate) mod requests;
mod undo;
pub(crate) mod views;

use crate::{
    lifecycle::phase::Phase,
    server::Server,
    socket::{self, own_socket},
};
use access::Gate;
use answers::{access::Access, health::Health};
use axum::{Json, Router, middleware, routing};
use endpoint::{Endpoint, get, get_one, get_other, post, post_one};
use mcp::http::Probe;
use serde_json::{Value, json};
use std::{io, path::PathBuf, sync::Arc};
use tokio_util::sync::CancellationToken;

/// An admin channel, and its socket.
pub(crate) struct Channel {
    path: PathBuf,
    made: Option<(u64, u64)>,
    closed: CancellationToken,
}

impl Channel {
    /// Ends it at shutdown, and removes its socket unless another server has replaced it.
    pub(crate) fn remove(self) {
        socket::remove(&self.path, self.made);
        self.closed.cancel();
    }
}

/// Serves the admin channel until it is removed, at `path` or in the folder of this user's servers. A successor replaces the
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
    let endpoints = endpoints().into_iter().chain(own_endpoints()).collect();
    let app = endpoint::router(endpoints, Arc::clone(server));
    let closed = CancellationToken::new();
    let until = closed.clone().cancelled_owned();
    tokio::spawn(async move {
        if let Err(err) = axum::serve(listener, app).with_graceful_shutdown(until).await {
            tracing::error!(%err, "the admin channel failed");
        }
    });
    Ok(Channel { path, made, closed })
}

/// The admin API over HTTP, for pages of this server and of `origins`. Without `is_open`, only tickets pass.
pub(crate) fn over_http(server: &Arc<Server>, is_open: bool, origins: &[String]) -> Router {
    let gate = Gate { is_open, origins: origins.into() };
    endpoint::router(endpoints(), Arc::clone(server)).layer(middleware::from_fn_with_state(gate, access::check))
}

/// The endpoints that only the owner of the socket has.
fn own_endpoints() -> [Endpoint; 1] {
    [post("/tickets", "Makes a ticket for the API over HTTP.", access::ticket)]
}

/// The endpoints.
fn endpoints() -> Vec<Endpoint> {
    let description = async || Json(openapi::description(&endpoints()));
    let mut all = vec![
        endpoint::with::<Value>("/openapi.json", "This description.", routing::get(description)),
        endpoint::with::<Access>("/access", "Who asks, and what they may do.", routing::get(access::answer)),
        get("/status", "The state of the server, with its problems.", reads::status),
        get("/heartbeats", "The heartbeat task, and the sessions that it watches.", reads::heartbeats),
        get("/resources", "What the server holds: child processes, locks, temporary files.", reads::resources),
        get("/sessions", "The sessions of clients.", reads::sessions),
        get_one("/sessions/{id}", "A session.", reads::session),
        get("/circuits", "The circuit breakers.", reads::circuits),
        get("/errors", "Errors by class.", reads::errors),
        get("/operations", "Changes that run, or the last ones of a repository.", reads::operations),
        get("/calls", "The calls in flight.", reads::calls),
        get("/latency", "The latencies of the last minutes by tool.", reads::latency),
        get("/samples", "Resource use and load of the last hour.", reads::samples),
        get("/repositories", "The repositories at and below the roots.", reads::repositories),
        get("/repositories/status", "What git_status answers for a repository.", reads::repository_status),
        get("/memory", "The memory that the server uses.", reads::memory),
        get("/caches", "The caches.", reads::caches),
        get("/logs", "The last log records.", reads::logs),
        get("/debug/held", "The calls held at a breakpoint.", reads::held),
        get_one("/debug/held/{id}", "A held call.", reads::held_one),
        get("/debug/level", "The log levels.", reads::level),
        get_other("/metrics", "Metrics in the Prometheus text format.", metrics::CONTENT_TYPE, reads::metrics),
        get_other("/events", "What has changed, once a second, as server-sent events.", "text/event-stream", events::open),
        get("/profile/heap", "Whether allocations are tracked, and the snapshots of the heap.", profile::snapshots),
        get("/profile/heap/diff", "The growth from one snapshot of the heap to another.", profile::diff),
    ];
    all.extend(actions());
    all
}

/// The endpoints that act.
fn actions() -> [Endpoint; 19] {
    [
        post("/calls/cancel", "Cancels a call in flight.", actions::cancel_call),
        post_one("/sessions/{id}/close", "Closes a session.", actions::close_session),
        post("/sessions/reap", "Closes idle sessions.", actions::reap_sessions),
        post("/sessions/touch", "Marks sessions as active.", actions::touch_sessions),
        post("/circuits/reset", "Closes circuits by hand.", actions::reset_circuits),
        post("/operations/undo", "Previews the undo of the last change of a worktree, or undoes it.", undo::undo),
        post("/resources/release", "Releases a resource by hand.", actions::release),
        post("/reap", "Releases old resources that are not in use.", actions::reap),
        post("/drain", "Rejects new calls, and waits for those that run.", actions::drain),
        post("/resume", "Ends a drain.", actions::resume),
        post("/restart", "Replaces a supervised server by a successor.", actions::restart),
        post("/recover", "Restores a known good state, or restarts one component.", actions::recover),
        post("/memory/trim", "Clears the caches, and returns free memory to the system.", actions::trim),
        post("/caches/clear", "Clears one cache, or all.", actions::clear_caches),
        post("/debug/resume", "Releases held calls.", actions::resume_calls),
        post("/debug/level", "Changes the log levels.", actions::level),
        post("/profile/cpu", "Takes a CPU profile.", profile::cpu),
        post("/profile/heap", "Takes a snapshot of the heap.", profile::heap),
        post("/profile/heap/track", "Starts or stops tracking allocations.", profile::track),
    ]
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
