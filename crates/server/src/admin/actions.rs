//! Handlers of actions.

use super::{
    answers::{
        caches::Cleared,
        calls::Cancelled,
        circuits::{self, ResetCircuit},
        held::ReleasedCalls,
        logs::ChangedLevel,
        memory::Trimmed,
        name::Name,
        recovery::{Drained, Recovery, Restarted, Resumed},
        resources::{Reaped, Released},
        sessions::{Closed, Touched},
    },
    endpoint::{Id, Nothing, Refused, refused},
    recovery,
    requests::{CancelCall, ClearCaches, Drain, Level, Reap, ReapSessions, Recover, Release, Reset, Resume, Touch},
    views,
};
use crate::{
    config::CacheName,
    lifecycle::phase::Phase,
    pipeline::How,
    server::Server,
    telemetry::{levels, log, memory},
};
use axum::http::StatusCode;
use guard::{CircuitState, ResetOutcome};
use mcp::sessions::Ending;
use std::{sync::Arc, time::Duration};

/// Maximum length of log levels.
const MAX_LEVELS: usize = 1024;

pub(super) async fn cancel_call(server: Arc<Server>, wanted: CancelCall) -> Result<Cancelled, Refused> {
    if !server.services.in_flight.stop(&wanted.id) {
        return refused(StatusCode::NOT_FOUND, "there is no such call in flight");
    }
    tracing::warn!(call = wanted.id, "the operator cancelled a call");
    Ok(Cancelled { cancelled: vec![wanted.id] })
}

pub(super) async fn close_session(server: Arc<Server>, wanted: Id) -> Result<Closed, Refused> {
    let id = wanted.id;
    if server.sessions.close(&id, Ending::Operator) {
        return Ok(Closed { closed: vec![id] });
    }
    let wanted = id.clone();
    match server.persistence.run(|store| async move { store.delete_session(&wanted).await }).await {
        Ok(true) => Ok(Closed { closed: vec![id] }),
        _ => refused(StatusCode::NOT_FOUND, "there is no such session"),
    }
}

pub(super) async fn reap_sessions(server: Arc<Server>, wanted: ReapSessions) -> Result<Closed, Refused> {
    let closed = match (wanted.idle, wanted.oldest) {
        (Some(idle), None) => server.sessions.reap_idle(Duration::from_secs(idle)),
        (None, Some(count)) => server.sessions.evict_longest_idle(count),
        _ => return refused(StatusCode::BAD_REQUEST, "pass either `idle` or `oldest`"),
    };
    tracing::warn!(count = closed.len(), "the operator closed idle sessions");
    Ok(Closed { closed })
}

pub(super) async fn touch_sessions(server: Arc<Server>, wanted: Touch) -> Result<Touched, Refused> {
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
    Ok(Touched { touched })
}

pub(super) async fn reset_circuits(server: Arc<Server>, wanted: Reset) -> Result<circuits::Reset, Refused> {
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
    tracing::warn!(count = reset.len(), "the operator reset circuits");
    Ok(circuits::Reset { reset })
}

pub(super) async fn reap(server: Arc<Server>, wanted: Reap) -> Result<Reaped, Refused> {
    Ok(recovery::reap(&server, Duration::from_secs(wanted.age)).await)
}

pub(super) async fn release(server: Arc<Server>, wanted: Release) -> Result<Released, Refused> {
    use guard::ResourceError;
    match server.resources.release(&wanted.id) {
        Ok(()) => Ok(Released { released: wanted.id }),
        Err(err @ (ResourceError::NotFound(_) | ResourceError::UnknownKind(_))) => refused(StatusCode::NOT_FOUND, err.to_string()),
        Err(err @ (ResourceError::InFlight(_) | ResourceError::Fixed(_))) => refused(StatusCode::CONFLICT, err.to_string()),
    }
}

pub(super) async fn drain(server: Arc<Server>, wanted: Drain) -> Result<Drained, Refused> {
    tracing::warn!("the operator drains the server");
    let left = server.drain(wanted.timeout.map_or(server.settings().drain, Duration::from_secs)).await;
    Ok(Drained { left })
}

pub(super) async fn resume(server: Arc<Server>, _: Nothing) -> Result<Resumed, Refused> {
    if server.resume() {
        tracing::warn!("the operator ended the drain");
        return Ok(Resumed { phase: Name(server.phase.get()) });
    }
    let why = match server.phase.get() {
        Phase::Leaving => "another process has taken over; cannot resume",
        _ => "the server is not drained",
    };
    refused(StatusCode::CONFLICT, why)
}

pub(super) async fn trim(server: Arc<Server>, _: Nothing) -> Result<Trimmed, Refused> {
    let trimmed = tokio::task::spawn_blocking(move || {
        let (cleared, memory) = memory::trim_after(|| server.caches().clear_all());
        Trimmed { before: memory.before, after: memory.after, recovered: memory.recovered(), caches: views::cleared(cleared) }
    });
    match trimmed.await {
        Ok(trimmed) => Ok(trimmed),
        Err(err) => refused(StatusCode::INTERNAL_SERVER_ERROR, err.to_string()),
    }
}

pub(super) async fn clear_caches(server: Arc<Server>, wanted: ClearCaches) -> Result<Cleared, Refused> {
    let meant = CacheName::ALL.into_iter().filter(|cache| wanted.name.as_deref().is_none_or(|name| cache.name() == name));
    let cleared: Vec<(CacheName, usize)> = meant.map(|cache| (cache, server.caches().clear(cache))).collect();
    if cleared.is_empty() {
        return refused(StatusCode::NOT_FOUND, "there is no such cache");
    }
    tracing::warn!(count = cleared.len(), "the operator cleared caches");
    Ok(views::cleared(cleared))
}

pub(super) async fn resume_calls(server: Arc<Server>, wanted: Resume) -> Result<ReleasedCalls, Refused> {
    let how = if wanted.abort { How::Abort } else { How::Resume };
    let released = server.services.holds.release(wanted.id.as_deref(), how);
    if wanted.id.is_some() && released.is_empty() {
        return refused(StatusCode::NOT_FOUND, "there is no such held call");
    }
    tracing::warn!(count = released.len(), abort = wanted.abort, "the operator released held calls");
    Ok(ReleasedCalls { released })
}

pub(super) async fn level(server: Arc<Server>, wanted: Level) -> Result<ChangedLevel, Refused> {
    let directives = wanted.level.unwrap_or_else(|| server.loaded().level.clone());
    let components = || levels::components().collect::<Vec<_>>().join(", ");
    if directives.len() > MAX_LEVELS || directives.split(',').any(|one| one.trim().is_empty()) {
        return refused(StatusCode::BAD_REQUEST, "the levels are empty or too long: a level, or a list such as `warn,session=debug`");
    }
    if let Some(name) = levels::unknown(&directives) {
        let why = format!("there is no component `{name}`: {}, or a module such as `mcp_server_git::wire`", components());
        return refused(StatusCode::BAD_REQUEST, why);
    }
    match log::set_level(&directives) {
        Ok(before) => {
            tracing::warn!(before, now = directives, "the log levels were changed");
            Ok(ChangedLevel { before, level: directives })
        }
        Err(err) => {
            let known = components();
            let why = format!("`{directives}`: {err}. A level, or a list such as `warn,session=debug`; components: {known}, or any module");
            refused(StatusCode::BAD_REQUEST, why)
        }
    }
}

pub(super) async fn restart(server: Arc<Server>, wanted: Drain) -> Result<Restarted, Refused> {
    let drain = wanted.timeout.map_or(server.settings().drain, Duration::from_secs);
    tracing::warn!("the operator requested a restart");
    match server.control.ask(drain).await {
        Ok(successor) => Ok(Restarted { pid: std::process::id(), successor, drain_s: drain.as_secs() }),
        Err(why) => refused(StatusCode::CONFLICT, why),
    }
}

pub(super) async fn recover(server: Arc<Server>, wanted: Recover) -> Result<Recovery, Refused> {
    match wanted.component.as_deref() {
        None => Ok(recovery::emergency(&server).await),
        Some(component) => match recovery::restart(&server, component) {
            Some(step) => Ok(Recovery { ok: None, steps: vec![step] }),
            None => refused(StatusCode::BAD_REQUEST, format!("there is no such component: {}", crate::server::components())),
        },
    }
}
