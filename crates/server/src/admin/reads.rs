//! Handlers of reads.

use super::{
    answers::{
        calls::{InFlight, Latencies, Samples},
        circuits::Circuits,
        errors::Errors,
        heartbeats::Heartbeats,
        held::{HeldCall, HeldCalls},
        logs::{self, Level},
        memory::Memory,
        operations,
        repositories::{Repositories, ToolAnswer},
        resources::Resources,
        sessions::{Session, Sessions},
        status::Status,
    },
    endpoint::{Id, Nothing, Refused, refused},
    live, metrics,
    requests::{Listed, Logs, OfRepository, Operations, Window},
    undo, views,
};
use crate::{
    journal,
    server::Server,
    telemetry::{log, ring::Wanted},
};
use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::Map;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// Maximum number of log records in one answer.
const MAX_LOGS: usize = 1000;
/// How long an answer about the repositories is given again.
const FRESH: Duration = Duration::from_secs(1);
/// Requests that read files at a time, so that they leave threads for calls.
static READERS: Semaphore = Semaphore::const_new(4);

pub(super) async fn status(server: Arc<Server>, _: Nothing) -> Result<Status, Refused> {
    server.forget_repeated().await;
    Ok(views::status(&server))
}

pub(super) async fn heartbeats(server: Arc<Server>, _: Nothing) -> Result<Heartbeats, Refused> {
    Ok(views::heartbeats(&server, usize::MAX))
}

pub(super) async fn resources(server: Arc<Server>, _: Nothing) -> Result<Resources, Refused> {
    Ok(views::resources(&server))
}

pub(super) async fn circuits(server: Arc<Server>, _: Nothing) -> Result<Circuits, Refused> {
    Ok(views::circuits(&server))
}

pub(super) async fn memory(server: Arc<Server>, _: Nothing) -> Result<Memory, Refused> {
    Ok(views::memory(&server))
}

pub(super) async fn caches(server: Arc<Server>, _: Nothing) -> Result<super::answers::caches::Caches, Refused> {
    Ok(views::caches(&server))
}

pub(super) async fn calls(server: Arc<Server>, _: Nothing) -> Result<InFlight, Refused> {
    Ok(live::calls(&server))
}

pub(super) async fn latency(server: Arc<Server>, _: Nothing) -> Result<Latencies, Refused> {
    Ok(live::latencies(&server))
}

pub(super) async fn samples(server: Arc<Server>, _: Nothing) -> Result<Samples, Refused> {
    Ok(live::samples(&server))
}

pub(super) async fn held(server: Arc<Server>, _: Nothing) -> Result<HeldCalls, Refused> {
    Ok(views::held(&server))
}

pub(super) async fn level(_: Arc<Server>, _: Nothing) -> Result<Level, Refused> {
    Ok(views::level())
}

pub(super) async fn held_one(server: Arc<Server>, wanted: Id) -> Result<HeldCall, Refused> {
    match server.services.holds.list().into_iter().find(|held| held.id == wanted.id) {
        Some(held) => Ok(views::held_call(held)),
        None => refused(StatusCode::NOT_FOUND, "there is no such held call"),
    }
}

pub(super) async fn sessions(server: Arc<Server>, wanted: Listed) -> Result<Sessions, Refused> {
    Ok(listed(&server, &wanted).await)
}

/// The sessions, with the number of those in the store.
pub(crate) async fn listed(server: &Server, wanted: &Listed) -> Sessions {
    let kept = kept(server).await;
    views::sessions(server, (wanted.idle.map(Duration::from_secs), wanted.state.as_deref()), kept, usize::MAX)
}

/// Number of sessions in the store that no client has used since this process started; `None` without the store.
pub(crate) async fn kept(server: &Server) -> Option<usize> {
    if !server.persistence.status().opened {
        return None;
    }
    let stored = server.persistence.kept_sessions().await.ok()?;
    Some(stored.iter().filter(|id| server.sessions.get(id).is_none()).count())
}

pub(super) async fn session(server: Arc<Server>, wanted: Id) -> Result<Session, Refused> {
    let id = wanted.id;
    match server.sessions.get(&id) {
        Some(session) => Ok(views::session(&session)),
        // A session opened before a restart is restored with its next request.
        None => match server.persistence.run(|store| async move { store.session(&id).await }).await {
            Ok(Some(row)) => Ok(views::kept(row)),
            Ok(None) => refused(StatusCode::NOT_FOUND, "there is no such session"),
            Err(why) => refused(StatusCode::SERVICE_UNAVAILABLE, why.to_string()),
        },
    }
}

pub(super) async fn errors(server: Arc<Server>, wanted: Window) -> Result<Errors, Refused> {
    if wanted.threshold.is_some_and(|threshold| !threshold.is_finite()) {
        return refused(StatusCode::BAD_REQUEST, "`threshold` is not a number");
    }
    Ok(counted(&server, &wanted).await)
}

/// The errors of a window.
pub(crate) async fn counted(server: &Server, wanted: &Window) -> Errors {
    let window = Duration::from_secs(wanted.window.unwrap_or(3600));
    let threshold = wanted.threshold.unwrap_or_else(|| server.settings().spike_per_minute);
    let past = server.errors_within(window).await;
    views::errors(server, window, &past, threshold)
}

pub(super) async fn operations(server: Arc<Server>, wanted: Operations) -> Result<operations::Operations, Refused> {
    let asked = Arc::clone(&server);
    let _reader = READERS.acquire().await;
    let of = tokio::task::spawn_blocking(move || {
        let Some(path) = wanted.repository else { return Ok(None) };
        let repositories = &asked.services.repositories;
        match repositories.open(&path) {
            Ok(repo) => Ok(Some(journal::key(&repo))),
            // It may be gone, but must have been inside the roots.
            Err(_) if repositories.roots().contains(&path) => Ok(Some(git::key(&path))),
            Err(err) => refused(StatusCode::NOT_FOUND, err.to_string()),
        }
    });
    let of = of.await.unwrap_or(Ok(None))?;
    let found = server.persistence.run(|store| async move {
        match of {
            Some(key) => store.operations_of(&key, 100).await,
            None => store.running_operations().await,
        }
    });
    match found.await {
        Ok(rows) => Ok(operations::Operations { operations: rows.into_iter().map(views::operation).collect() }),
        Err(why) => refused(StatusCode::SERVICE_UNAVAILABLE, why.to_string()),
    }
}

pub(super) async fn repositories(server: Arc<Server>, _: Nothing) -> Result<Arc<Repositories>, Refused> {
    // One reader at a time, whose answer the others share: reading many repositories takes long.
    let mut latest = server.repositories.lock().await;
    if let Some((at, repositories)) = latest.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
        tracing::trace!(age = ?at.elapsed(), "the repositories are those of the last answer");
        return Ok(Arc::clone(repositories));
    }
    let services = Arc::clone(&server.services);
    match tokio::task::spawn_blocking(move || live::repositories(&services)).await {
        Ok(repositories) => {
            let repositories = Arc::new(repositories);
            *latest = Some((Instant::now(), Arc::clone(&repositories)));
            Ok(repositories)
        }
        Err(err) => refused(StatusCode::INTERNAL_SERVER_ERROR, err.to_string()),
    }
}

pub(super) async fn repository_status(server: Arc<Server>, wanted: OfRepository) -> Result<ToolAnswer, Refused> {
    let text = undo::tool(&server, "git_status", &wanted.repository, Map::new()).await?;
    Ok(ToolAnswer { text, id: None })
}

pub(super) async fn logs(_: Arc<Server>, wanted: Logs) -> Result<logs::Logs, Refused> {
    let fields =
        [("error_class", wanted.class), ("session_id", wanted.session), ("tool", wanted.tool), ("level", wanted.level)].into_iter();
    let wanted = Wanted {
        since: wanted.since.map(Duration::from_secs),
        after: wanted.after,
        fields: fields.filter_map(|(name, value)| Some((name, value?))).collect(),
        limit: wanted.limit.unwrap_or(MAX_LOGS).min(MAX_LOGS),
    };
    let (records, last) = log::records().find(&wanted, crate::persistence::now_ms());
    Ok(logs::Logs { records, last })
}

pub(super) async fn metrics(server: Arc<Server>, _: Nothing) -> Result<Response, Refused> {
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::render(&server)).into_response())
}
