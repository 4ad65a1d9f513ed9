//! Recovery: in an emergency, of single components, and of resources held for too long.

use super::answers::{
    recovery::{Recovery, Step},
    resources::{Reaped, ReapedOne},
};
use crate::{
    lifecycle::{grace, phase::Phase},
    output::counted,
    server::{Component, Server},
};
use mcp::sessions::Ending;
use std::time::Duration;

/// Maximum number of reaped resources that an answer names.
const MAX_NAMED: usize = 100;

/// Runs all steps and reports each, even after a failed one. Touches no working tree and no other process's lock.
pub(crate) async fn emergency(server: &Server) -> Recovery {
    tracing::warn!("emergency recovery started");
    let running = server.services.stop_operations();
    let left = server.services.drained(grace::RECOVERY).await;
    let mut steps = vec![step("stop operations", left == 0, &format!("{running} running or waiting, {left} left"))];
    let cleared: Vec<String> =
        server.caches().clear_all().into_iter().map(|(cache, entries)| format!("{entries} of {}", cache.name())).collect();
    steps.push(step("clear caches", true, &cleared.join(", ")));
    let reset = server.breakers.reset_all().len();
    steps.push(step("reset circuits", true, &counted(reset, "circuit")));
    let closed = server.sessions.close_every(Ending::Recovery).len();
    steps.push(step("close sessions", server.sessions.count() <= 1, &counted(closed, "session")));
    for component in Component::ALL {
        steps.extend(restart(server, component.name()));
    }
    let phase = server.phase.get();
    if phase != Phase::Ready {
        // A server that accepts no calls has not recovered.
        let resumed = server.resume();
        steps.push(step("resume", resumed, &format!("was {}, is {}", phase.name(), server.phase.get().name())));
    }
    let ok = steps.iter().all(|step| step.ok);
    tracing::warn!(ok, "emergency recovery finished");
    Recovery { ok: Some(ok), steps }
}

fn step(name: &str, ok: bool, detail: &str) -> Step {
    Step { step: name.to_owned(), ok, detail: detail.to_owned() }
}

/// Restarts one component; `None` if it does not exist.
pub(super) fn restart(server: &Server, component: &str) -> Option<Step> {
    let name = format!("restart {component}");
    if component == Component::Validation.name() {
        // Validation has no state to restart; a check shows whether it works.
        let passes = |message: &[u8]| mcp::validate(message, mcp::Mode::Strict).error.is_none();
        let good = passes(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
        let bad = passes(br#"{"jsonrpc":"2.0","id":{},"method":7}"#);
        return Some(step(&name, good && !bad, "checked with a valid and an invalid message"));
    }
    let task = server.task(component)?;
    task.restart();
    Some(step(&name, task.is_running(), &format!("it runs every {:?}", task.period())))
}

/// Releases unused resources held for `age`, folders of interrupted clones, and idle sessions of other servers.
pub(super) async fn reap(server: &Server, age: Duration) -> Reaped {
    let of = |kind: &str, name: String| ReapedOne { kind: kind.to_owned(), name };
    let released = server.resources.reap(age);
    let forgotten = server.persistence.forget_idle(age.max(server.sessions.limits().idle)).await;
    let roots = server.services.repositories.clone();
    let removed = tokio::task::spawn_blocking(move || roots.remove_abandoned(age)).await.unwrap_or_default();
    let removed = removed.into_iter().map(|folder| of("clone", folder.display().to_string()));
    let mut all: Vec<ReapedOne> = removed.collect();
    all.extend(released.into_iter().map(|one| of(one.kind, one.detail)));
    all.extend(forgotten.into_iter().map(|id| of("session", id)));
    let reaped = all.len();
    all.truncate(MAX_NAMED);
    Reaped { reaped, first: all }
}
