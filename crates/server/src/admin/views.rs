//! What the admin channel shows, as JSON. Times are in milliseconds unless a name says otherwise.

use crate::{
    class::ErrorClass,
    server::{Past, Server},
    telemetry::{levels, log},
};
use guard::{CircuitState, Class};
use mcp::sessions::{Ending, SessionInfo, SessionState};
use serde_json::{Value, json};
use std::time::Duration;
use store::{OperationRow, SessionRow};

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn status(server: &Server) -> Value {
    let threads = &server.pipeline.threads;
    // A change waits for its worktree before it takes a place.
    let queued = server.pipeline.alone.queued();
    let loads = server.pipeline.admission.loads().map(|load| {
        let lost = threads.lost(load.class);
        let (waiting, rejected) = if load.class == Class::Change { (queued.waiting, queued.rejected) } else { (0, 0) };
        json!({
            "class": load.class.name(),
            "running": load.running,
            "waiting": load.waiting + waiting,
            "waiting_for_worktree": waiting,
            "places": load.places,
            "rejected": load.rejected + rejected,
            "lost": lost.now,
            "lost_since_start": lost.ever,
        })
    });
    let [opening, ..] = server.pipeline.openings.loads();
    let loaded = server.loaded();
    let store = server.persistence.status();
    let left = server.left().clone();
    let open = server.breakers.list().iter().filter(|circuit| circuit.state != CircuitState::Closed).count();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "commit": env!("BUILD_COMMIT"),
        "pid": std::process::id(),
        "phase": server.phase.get().name(),
        "uptime_ms": ms(server.began.elapsed()),
        "sessions": server.sessions.count(),
        "evicted": server.sessions.evicted(),
        "calls": loads,
        "in_flight": server.pipeline.calls.len(),
        "opening": {"running": opening.running, "waiting": opening.waiting, "places": opening.places, "rejected": opening.rejected},
        "lost_limit": threads.limit(),
        "configuration": {
            "file": loaded.origin.file,
            "loaded_ms": ms(loaded.at.elapsed()),
            "failed": loaded.failed,
            "needs_restart": loaded.needs_restart,
            "log_level": log::level(),
        },
        "open_circuits": open,
        "interrupted": left.interrupted,
        "orphaned": left.orphaned,
        "sandbox": git::sandbox_support().err().unwrap_or("available"),
        "store": {
            "place": server.persistence.place(),
            "opened": store.opened,
            "away": store.away,
            "quarantined": store.quarantined,
            "replaced": store.replaced,
            "rescued": store.rescued,
            "backlog": server.persistence.backlog(),
        },
    })
}

pub(super) fn session(session: &SessionInfo) -> Value {
    json!({
        "id": session.id,
        "kind": session.kind.name(),
        "principal": session.principal,
        "client": session.client,
        "protocol": session.protocol,
        "state": session.state.name(),
        "age_ms": ms(session.age),
        "idle_ms": ms(session.idle),
        "missed": session.missed,
        "in_flight": session.in_flight,
        "requests": session.requests,
        "faults": session.faults,
        "owes_beats": session.kind.owes_beats(),
        "failed": session.failed.map(|fault| json!({"class": fault.name(), "why": Ending::Failed(fault).text()})),
    })
}

/// A session that the store has, and nobody has used since this process began.
pub(super) fn kept(row: &SessionRow) -> Value {
    json!({
        "id": row.id,
        "kind": row.kind,
        "principal": row.principal,
        "client": row.client,
        "protocol": row.protocol,
        "state": "kept",
        "idle_ms": crate::persistence::now_ms().saturating_sub(row.last_seen_ms),
        "missed": row.missed,
        "in_flight": 0,
    })
}

pub(super) fn sessions(server: &Server, idle: Option<Duration>, state: Option<&str>) -> Value {
    let mut all = server.sessions.list();
    all.extend(server.sessions.failed());
    // The one that has been idle longest first.
    all.sort_by_key(|session| std::cmp::Reverse(session.idle));
    let limits = server.sessions.limits();
    let idle_after = idle.unwrap_or(limits.idle);
    let is_idle_for = |session: &SessionInfo, time: Duration| session.failed.is_none() && session.in_flight == 0 && session.idle >= time;
    // What the server itself warns of: those that are older the sweep closes.
    let warned_after = idle.unwrap_or_else(|| server.idle_after());
    let is_idle = |session: &SessionInfo| is_idle_for(session, idle_after);
    let count = |is: &dyn Fn(&SessionInfo) -> bool| all.iter().filter(|session| is(session)).count();
    let shown: Vec<Value> = all
        .iter()
        .filter(|session| idle.is_none() || is_idle(session))
        .filter(|session| state.is_none_or(|state| session.state.name() == state))
        .map(self::session)
        .collect();
    json!({
        "total": all.len(),
        "active": count(&SessionInfo::is_active),
        "idle": count(&is_idle),
        "idle_longer_than_ms": ms(idle_after),
        "quiet": count(&|session| is_idle_for(session, warned_after)),
        "quiet_longer_than_ms": ms(warned_after),
        "error": count(&|session| session.state == SessionState::Error),
        "idle_warn": server.settings().idle_warn,
        "max": limits.max,
        "sessions": shown,
    })
}

pub(super) fn heartbeats(server: &Server) -> Value {
    let limits = server.sessions.limits();
    let task = server.task("heartbeat");
    let sessions: Vec<Value> = server
        .sessions
        .list()
        .iter()
        .map(|session| {
            let owes = session.kind.owes_beats();
            let late = owes && session.idle > limits.heartbeat * 2;
            json!({
                "id": session.id,
                "kind": session.kind.name(),
                "owes_beats": owes,
                "since_ms": ms(session.idle),
                "missed": session.missed,
                "late": late,
            })
        })
        .collect();
    json!({
        "running": task.as_ref().is_some_and(guard::Supervised::is_running),
        "restarts": task.as_ref().map_or(0, guard::Supervised::restarts),
        "last_tick_ms": task.as_ref().and_then(guard::Supervised::last_tick).map(ms),
        "interval_ms": ms(limits.heartbeat),
        "missed_threshold": limits.missed,
        "sessions": sessions,
    })
}

pub(super) fn resources(server: &Server) -> Value {
    let list = server.resources.list();
    let shown = list.iter().map(|one| {
        json!({
            "id": one.id,
            "kind": one.kind,
            "detail": one.detail,
            "age_ms": ms(one.age),
            "in_flight": one.in_flight,
            "can_be_released": one.can_be_released,
        })
    });
    json!({"resources": shown.collect::<Vec<_>>()})
}

pub(super) fn circuits(server: &Server) -> Value {
    let shown = server.breakers.list().into_iter().map(|one| {
        json!({
            "name": &*one.name,
            "state": one.state.as_str(),
            "failure_count": one.failure_count,
            "failure_threshold": one.failure_threshold,
            "recovery_timeout_ms": ms(one.recovery_timeout),
            "half_open_max_calls": one.half_open_max_calls,
            "since_failure_ms": one.last_failure.map(ms),
            "next_trial_ms": one.next_trial.map(ms),
            "paused_ms": one.paused.map(ms),
            "calls": one.calls,
            "rejected": one.rejected,
            "opened": one.opened_times,
            "probes": one.probes,
            "stuck": one.is_stuck,
        })
    });
    json!({"circuits": shown.collect::<Vec<_>>()})
}

pub(super) fn errors(server: &Server, asked: Duration, past: &Past, threshold: f64) -> Value {
    let windows = server.errors.windows();
    let (totals, window) = (windows.totals(), past.window);
    let per_minute = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX)) * 60.0 / window.as_secs_f64().max(5.0);
    let classes: Vec<Value> = ErrorClass::ALL
        .into_iter()
        .map(|class| {
            json!({
                "class": class.name(),
                "critical": class.is_critical(),
                "recoverable": class.is_recoverable(),
                "count": past.count(class),
                "per_minute": per_minute(past.count(class)),
                "since_start": totals.iter().find(|(one, _)| *one == class).map_or(0, |(_, count)| *count),
            })
        })
        .collect();
    let rates = ErrorClass::ALL.into_iter().map(|class| (class, per_minute(past.count(class))));
    let mut spikes: Vec<(ErrorClass, f64)> = rates.filter(|(_, rate)| *rate > threshold).collect();
    spikes.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let reasons = server.errors.reasons().into_iter();
    let burning = windows.burning(threshold).into_iter().map(|burn| {
        json!({
            "class": burn.class.name(),
            "short_ms": ms(burn.short),
            "long_ms": ms(burn.long),
            "short_per_minute": burn.short_rate,
            "long_per_minute": burn.long_rate,
            "count": burn.count,
        })
    });
    json!({
        "window_ms": ms(window),
        "asked_ms": ms(asked),
        "source": past.source,
        "threshold_per_minute": threshold,
        "classes": classes,
        "reasons": reasons.map(|(class, reason, count)| json!({"class": class.name(), "reason": reason, "count": count})).collect::<Vec<_>>(),
        "spikes": spikes.iter().map(|(class, rate)| json!({"class": class.name(), "per_minute": rate})).collect::<Vec<_>>(),
        "burning": burning.collect::<Vec<_>>(),
    })
}

/// What is logged now.
pub(super) fn level() -> Value {
    json!({"level": log::level(), "components": levels::components().collect::<Vec<_>>()})
}

pub(super) fn operation(row: &OperationRow) -> Value {
    json!({
        "id": row.id,
        "tool": row.tool,
        "worktree": row.worktree,
        "principal": row.principal,
        "state": row.state,
        "node": row.node,
        "pid": row.pid,
        "started_ms": row.started_ms,
        "ended_ms": row.ended_ms,
    })
}
