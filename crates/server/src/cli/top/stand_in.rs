//! A server for the tests: fixed answers, and a record of what was asked.

use super::{
    super::admin::{Failure, Question},
    answers::Ask,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;

/// A server with a problem, two calls, two sessions and two circuits.
#[derive(Clone, Default)]
pub(super) struct StandIn {
    asked: Arc<Mutex<Vec<String>>>,
    /// Its process ID; the server does not answer without one.
    pid: Arc<Mutex<Option<u32>>>,
    /// The ids of its calls.
    calls: Arc<Mutex<Vec<&'static str>>>,
}

impl StandIn {
    pub(super) fn new() -> Self {
        let server = Self::default();
        server.restart(Some(4242));
        server.call(&["call_1", "call_2"]);
        server
    }

    pub(super) fn restart(&self, pid: Option<u32>) {
        *self.pid.lock() = pid;
    }

    pub(super) fn call(&self, ids: &[&'static str]) {
        *self.calls.lock() = ids.to_vec();
    }

    /// The paths asked for since the last time.
    pub(super) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock())
    }

    pub(super) fn ask(&self) -> Ask {
        let server = self.clone();
        Box::new(move |question: &Question| {
            server.asked.lock().push(question.path.clone());
            let pid = server.pid.lock().ok_or_else(|| Failure::Usage("the server has ended".to_owned()))?;
            let calls = server.calls.lock().clone();
            Ok(match question.path.split('?').next().unwrap_or_default() {
                "/status" => status(pid, calls.len()),
                "/calls" => json!({"total": calls.len(), "calls": calls.iter().map(|id| call(id)).collect::<Vec<_>>()}),
                "/sessions" => sessions(),
                "/circuits" => circuits(),
                "/errors" => errors(),
                "/latency" => latency(),
                "/samples" => samples(),
                "/logs" => logs(),
                other => return Err(Failure::Usage(format!("unexpected: {other}"))),
            })
        })
    }
}

fn status(pid: u32, calls: usize) -> Value {
    let class = |name: &str, counts: [u64; 5]| {
        json!({"class": name, "running": counts[0], "waiting": counts[1], "waiting_for_worktree": 0, "places": counts[2],
            "rejected": counts[3], "lost": counts[4], "lost_since_start": counts[4]})
    };
    json!({
        "version": "1.2.3", "pid": pid, "phase": "ready", "sessions": 2, "in_flight": calls, "commit": "abc",
        "problems": [{"what": "a circuit is open", "next": "mcp-server-git circuits list"}],
        "uptime_ms": 5_400_000, "evicted": 0,
        "calls": [class("read", [3, 0, 10, 0, 0]), class("change", [1, 2, 10, 3, 0]), class("network", [0, 0, 8, 0, 1])],
        "held": 0, "opening": {"running": 1, "waiting": 0, "places": 4, "rejected": 0},
        "process": {
            "rss": 125_829_120, "peak_rss": 125_829_120, "threads": 31, "descriptors": 45, "max_descriptors": 1024,
            "cpu_seconds": 9.0, "cpu_percent": 33.0, "process_cpu_percent": 12.5, "cpu_count": 2, "cpu_warn_percent": 90.0,
            "load_average": null, "refuses_calls": false, "runtime_lag_ms": 0.25, "runtime_lag_max_ms": 1.0,
        },
        "lost_limit": 8,
        "configuration": {"file": null, "loaded_ms": 1, "failed": null, "needs_restart": [], "log_level": "info"},
        "open_circuits": 1, "interrupted": [], "interrupted_count": 0, "orphaned": [], "orphaned_count": 0,
        "sandbox": "available",
        "store": {"place": "/s.db", "opened": true, "away": null, "quarantined": null, "replaced": 0, "rescued": null, "backlog": 0},
    })
}

fn call(id: &str) -> Value {
    let is_first = id == "call_1";
    json!({
        "id": id, "tool": if is_first { "git_fetch" } else { "git_status" }, "principal": "alice", "session_id": "5e55-1",
        "request_id": "7", "repository": if is_first { Some("/srv/team/app") } else { None },
        "stage": if is_first { "run" } else { "queue" }, "elapsed_ms": if is_first { 12_500 } else { 40 }, "stopping": false,
    })
}

fn sessions() -> Value {
    let session = |id: &str, client: &str, failed: Value| {
        json!({"id": id, "kind": "http", "principal": "alice", "client": client, "protocol": "2025-11-25",
            "state": if failed.is_null() { "active" } else { "error" }, "idle_ms": 61_000, "missed": 0, "in_flight": 1,
            "age_ms": 90_000, "requests": 17, "faults": 0, "owes_beats": false, "failed": failed})
    };
    let failed = json!({"class": "protocol_violation", "why": "repeated"});
    json!({
        "total": 2, "active": 1, "idle": 0, "idle_longer_than_ms": 1_800_000, "quiet": 0, "quiet_longer_than_ms": 1, "error": 1,
        "kept": 3, "idle_warn": 100, "max": 1000,
        "sessions": [session("5e55-1", "agent 1.0", Value::Null), session("5e55-2", "\u{1b}[2J\nagent", failed)],
    })
}

fn circuits() -> Value {
    let circuit = |name: &str, state: &str, next: Option<u64>| {
        json!({"name": name, "state": state, "failure_count": 5, "failure_threshold": 5, "recovery_timeout_ms": 30_000,
            "half_open_max_calls": 1, "since_failure_ms": 1, "next_trial_ms": next, "probe_interval_ms": null, "paused_ms": null,
            "calls": 120, "rejected": 7, "opened": 2, "probes": 0, "stuck": false})
    };
    json!({"circuits": [circuit("host:443/fetch", "open", Some(12_000)), circuit("storage:/srv", "closed", None)]})
}

fn errors() -> Value {
    let class = |name: &str, count: u64, per_minute: f64| {
        json!({"class": name, "critical": false, "recoverable": true, "count": count, "per_minute": per_minute,
            "since_start": count})
    };
    json!({
        "window_ms": 600_000, "asked_ms": 600_000, "source": "memory", "threshold_per_minute": 5.0,
        "classes": [class("rate_limit_exceeded", 0, 0.0), class("other", 2, 0.2), class("network_timeout", 61, 6.1)],
        "reasons": [], "spikes": [{"class": "network_timeout", "per_minute": 6.1}], "burning": [],
    })
}

fn latency() -> Value {
    let tool = |name: &str, counts: [u64; 3], p95: u64| {
        json!({"tool": name, "calls": 12, "errors": 1, "counts": counts, "p50_ms": 4, "p95_ms": p95,
            "max_ms": 2000})
    };
    json!({
        "window_ms": 600_000, "bounds_ms": [10, 100],
        "tools": [tool("git_fetch", [0, 4, 8], 900), tool("git_status", [11, 1, 0], 20)],
    })
}

fn samples() -> Value {
    let sample = |at: u64| {
        json!({"at_ms": at * 5000, "rss": (100 + at * 20) << 20, "process_cpu_percent": if at == 0 { None } else { Some(12.5) },
            "cpu_percent": 33.0, "calls": at * 5, "errors": 0, "in_flight": at, "waiting": 0, "sessions": 2})
    };
    json!({"interval_ms": 5000, "samples": [sample(0), sample(1), sample(2)]})
}

fn logs() -> Value {
    json!({
        "last": 7,
        "records": [
            {"timestamp": "2026-01-02T03:04:05.123Z", "level": "INFO", "target": "t", "message": "call", "repo": "/srv", "tool": "git_log"},
            {"timestamp": "2026-01-02T03:04:06.123Z", "level": "WARN", "target": "t", "message": "slow\ncall", "trace_id": null},
        ],
    })
}
