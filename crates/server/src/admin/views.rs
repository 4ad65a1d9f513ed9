//! The answers of the admin channel, as JSON. Times are in milliseconds unless a name says otherwise.

use crate::{
    caches,
    error::ErrorClass,
    lifecycle::{phase::Phase, settings},
    pipeline::Held,
    server::{Past, Server},
    telemetry::{
        heap::{self, Snapshot},
        levels, log,
        process::{self, Figures},
        profile::Profile,
        watch::Watcher,
    },
};
use guard::{CircuitState, Class};
use mcp::sessions::{Ending, SessionInfo, SessionState};
use serde_json::{Value, json};
use std::time::Duration;
use store::{OperationRow, SessionRow};

/// Maximum number of crash leftovers listed.
const MAX_LEFT: usize = 20;

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn status(server: &Server) -> Value {
    let threads = &server.services.threads;
    // A change waits for its worktree before it takes a slot.
    let queued = server.services.change_lock.queued();
    let loads = server.services.admission.loads().map(|load| {
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
    let [opening, ..] = server.services.openings.loads();
    let problems: Vec<Value> = problems(server).into_iter().map(|(what, next)| json!({"what": what, "next": next})).collect();
    let loaded = server.loaded();
    let store = server.persistence.status();
    let left = server.left().clone();
    let open = server.breakers.list().iter().filter(|circuit| circuit.state != CircuitState::Closed).count();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "commit": env!("BUILD_COMMIT"),
        "pid": std::process::id(),
        "phase": server.phase.get().name(),
        "problems": problems,
        "uptime_ms": ms(server.began.elapsed()),
        "sessions": server.sessions.count(),
        "evicted": server.sessions.evicted(),
        "calls": loads,
        "in_flight": server.services.calls.len(),
        "held": server.services.holds.list().len(),
        "opening": {"running": opening.running, "waiting": opening.waiting, "places": opening.places, "rejected": opening.rejected},
        "process": process(server),
        "lost_limit": threads.limit(),
        "configuration": {
            "file": loaded.origin.file,
            "loaded_ms": ms(loaded.at.elapsed()),
            "failed": loaded.failed,
            "needs_restart": loaded.needs_restart,
            "log_level": log::level(),
        },
        "open_circuits": open,
        "interrupted": left.interrupted.iter().take(MAX_LEFT).collect::<Vec<_>>(),
        "interrupted_count": left.interrupted.len(),
        "orphaned": left.orphaned.iter().take(MAX_LEFT).collect::<Vec<_>>(),
        "orphaned_count": left.orphaned.len(),
        "sandbox": git::sandbox_support().err().unwrap_or("available"),
        "store": {
            "place": server.persistence.place(),
            "opened": store.opened,
            "away": store.unavailable,
            "quarantined": store.quarantined,
            "replaced": store.replaced,
            "rescued": store.rescued,
            "backlog": server.persistence.backlog(),
        },
    })
}

/// The current problems, each with a command that explains or fixes it.
fn problems(server: &Server) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let again = if server.control.is_supervised() { "mcp-server-git restart" } else { "stop the server and start it again" };
    let mut add = |is: bool, what: String, next: &str| {
        if is {
            all.push((what, next.to_owned()));
        }
    };
    let phase = server.phase.get();
    add(phase == Phase::Draining, "the server accepts no new calls".to_owned(), "mcp-server-git resume");
    add(server.services.threads.is_full(), "calls are rejected: too many threads are lost".to_owned(), again);
    let is_short = server.watcher.is_short();
    add(is_short, "calls are rejected: the memory limit is reached".to_owned(), "mcp-server-git status memory --trim");
    if let Some(why) = server.persistence.status().unavailable {
        add(true, format!("store unavailable: {why}"), "mcp-server-git doctor");
    }
    let loaded = server.loaded();
    if let Some(why) = &loaded.failed {
        // The last line of a report names the cause.
        let cause = why.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim();
        let file =
            loaded.origin.flags.config.as_ref().map(|file| format!(" --config {}", crate::output::shell_word(file))).unwrap_or_default();
        add(true, format!("the configuration was not reloaded: {cause}"), &format!("mcp-server-git config check{file}"));
    }
    drop(loaded);
    let awaits = settings::awaits_tokens(&server.loaded());
    add(awaits, "tokens are configured, but not required until a restart".to_owned(), again);
    let beats = server.task("heartbeat").is_none_or(|task| task.is_running());
    add(!beats, "the heartbeat task does not run".to_owned(), "mcp-server-git recover --component heartbeat");
    let open = server.breakers.list().iter().filter(|circuit| circuit.state == CircuitState::Open).count();
    add(open > 0, format!("{open} circuits are open"), "mcp-server-git circuits list");
    let burning = server.errors.windows().burning(server.settings().spike_per_minute);
    let names: Vec<&str> = burning.iter().map(|burn| burn.class.name()).collect();
    add(!burning.is_empty(), format!("errors spike: {}", names.join(", ")), "mcp-server-git errors --window 10m");
    let idle = server.sessions.list().iter().filter(|session| session.in_flight == 0 && session.idle >= server.idle_after()).count();
    add(idle > server.settings().idle_warn, format!("{idle} sessions are idle"), "mcp-server-git sessions reap --idle 30m");
    let held = server.services.holds.list().len();
    add(held > 0, format!("{held} calls are held by a breakpoint"), "mcp-server-git debug held");
    all
}

fn process(server: &Server) -> Value {
    let figures = Figures::now();
    let processors = server.watcher.processors();
    let [lag, worst] = server.watcher.lag();
    json!({
        "rss": figures.map(|figures| figures.rss),
        "peak_rss": figures.map(|figures| figures.peak_rss),
        "threads": figures.map(|figures| figures.threads),
        "descriptors": figures.map(|figures| figures.descriptors),
        "max_descriptors": process::max_descriptors(),
        "cpu_seconds": figures.map(|figures| figures.cpu_seconds),
        "cpu_percent": processors.map(|seen| seen.percent),
        "process_cpu_percent": processors.map(|seen| seen.process_percent),
        "cpu_count": processors.map(|seen| seen.count),
        "cpu_warn_percent": server.settings().cpu.warn_percent,
        "load_average": processors.map(|seen| seen.load),
        "refuses_calls": server.watcher.is_short(),
        "runtime_lag_ms": lag.as_secs_f64() * 1000.0,
        "runtime_lag_max_ms": worst.as_secs_f64() * 1000.0,
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

/// A session in the store that was not used since this process started.
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
    // Longest idle first.
    all.sort_by_key(|session| std::cmp::Reverse(session.idle));
    let limits = server.sessions.limits();
    let idle_after = idle.unwrap_or(limits.idle);
    let is_idle_for = |session: &SessionInfo, time: Duration| session.failed.is_none() && session.in_flight == 0 && session.idle >= time;
    // Age from which the server warns of idle sessions; the sweep closes older ones.
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

pub(super) fn held(server: &Server) -> Value {
    let held = server.services.holds.list();
    json!({"held": held.iter().map(held_call).collect::<Vec<_>>(), "limit_ms": ms(server.services.holds.limit())})
}

pub(super) fn held_call(held: &Held) -> Value {
    json!({
        "id": held.id,
        "tool": held.tool,
        "principal": &*held.principal,
        "session_id": held.origin.session,
        "request_id": held.origin.request,
        "trace_id": held.origin.trace(),
        "held_ms": ms(held.since.elapsed()),
        "arguments": held.arguments.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
    })
}

/// Memory use of the process, and its history.
pub(super) fn memory(server: &Server) -> Value {
    let figures = Figures::now();
    let notes = server.watcher.memory();
    let limit = Watcher::use_and_limit(server.settings().memory.limit());
    let allocated = guard::memory::allocated();
    json!({
        "rss": figures.map(|figures| figures.rss),
        "peak_rss": figures.map(|figures| figures.peak_rss),
        "allocated": allocated.map(|all| all.used),
        "allocator_free": allocated.map(|all| all.free),
        "used": limit.map(|(used, _)| used),
        "soft_limit": limit.map(|(_, limit)| limit),
        "refuses_calls": server.watcher.is_short(),
        "bytes_per_hour": slope(&notes),
        "notes": notes.iter().map(|(ago, rss)| json!({"ago_ms": ms(*ago), "rss": rss})).collect::<Vec<_>>(),
    })
}

/// Memory growth per hour, by least squares; `None` with too few samples. A leak is a slope, not a level.
fn slope(notes: &[(Duration, u64)]) -> Option<i64> {
    if notes.len() < 4 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "single bytes do not matter")]
    let points: Vec<(f64, f64)> = notes.iter().map(|(ago, rss)| (-ago.as_secs_f64() / 3600.0, *rss as f64)).collect();
    #[expect(clippy::cast_precision_loss, reason = "a few hundred samples")]
    let count = points.len() as f64;
    let [mean_x, mean_y] = [points.iter().map(|(x, _)| x).sum::<f64>() / count, points.iter().map(|(_, y)| y).sum::<f64>() / count];
    let spread = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum::<f64>();
    let together = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>();
    #[expect(clippy::cast_possible_truncation, reason = "the growth of memory per hour fits")]
    (spread > 0.0).then(|| (together / spread) as i64)
}

pub(super) fn caches(server: &Server) -> Value {
    let all = caches::list(&server.services);
    let shown = all.iter().map(|cache| {
        json!({
            "name": cache.name,
            "what": cache.what,
            "entries": cache.entries,
            "limit": cache.limit,
            "hits": cache.hits,
            "misses": cache.misses,
            "enabled": cache.enabled,
        })
    });
    json!({"caches": shown.collect::<Vec<_>>(), "sweep_interval_ms": ms(server.settings().cache_sweep)})
}

pub(super) fn cleared(cleared: &[(&'static str, usize)]) -> Value {
    cleared.iter().map(|(name, entries)| json!({"name": name, "entries": entries})).collect()
}

/// Whether allocations are tracked, and the snapshots of the heap.
pub(super) fn heap(server: &Server) -> Value {
    let settings = server.settings().heap;
    json!({
        "tracking": server.heap.since().is_some(),
        "tracked_ms": server.heap.since().map(|since| ms(since.elapsed())),
        "interval_ms": ms(settings.interval.into()),
        "snapshots": server.heap.snapshots().iter().map(|snapshot| self::snapshot(snapshot)).collect::<Vec<_>>(),
    })
}

pub(super) fn snapshot(snapshot: &Snapshot) -> Value {
    let (bytes, count) = snapshot.total();
    json!({
        "id": snapshot.id,
        "label": snapshot.label,
        "age_ms": ms(snapshot.at.elapsed().unwrap_or_default()),
        "rss": snapshot.rss,
        "bytes": bytes,
        "allocations": count,
        "stacks": snapshot.stacks.len(),
    })
}

/// Adds the allocations by call stack, and the files.
pub(super) fn add_report(answer: &mut Value, report: &heap::Report) {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let allocator = |top: &heap::Allocator| json!({"bytes": top.bytes, "allocations": top.count, "stack": top.functions});
    answer["top"] = report.top.iter().map(allocator).collect();
    answer["svg"] = json!(report.svg);
    answer["pprof"] = json!(STANDARD.encode(&report.pprof));
}

pub(super) fn profile(profile: &Profile, seconds: u64) -> Value {
    use base64::{Engine, engine::general_purpose::STANDARD};
    json!({
        "seconds": seconds,
        "samples": profile.samples,
        "top": profile.top.iter().map(|(name, samples)| json!({"function": name, "samples": samples})).collect::<Vec<_>>(),
        "svg": profile.svg,
        "pprof": STANDARD.encode(&profile.pprof),
    })
}

/// The current log levels.
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
