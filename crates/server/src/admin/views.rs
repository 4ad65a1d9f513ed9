//! What a running server says about itself: the answers of the admin channel.

use super::answers::{
    caches::{Cache, Caches, Cleared, ClearedCache},
    circuits::{Circuit, Circuits},
    errors::{Burning, ClassErrors, Errors, Reason, Spike},
    health::Details,
    heartbeats::{Heartbeat, Heartbeats},
    held::{HeldCall, HeldCalls},
    logs::Level,
    memory::{self, Memory, Note},
    name::Name,
    operations::Operation,
    resources::{Resource, Resources},
    sessions::{Failed, Here, Session, Sessions, State},
    status::{Brief, Calls, Configuration, Opening, Problem, Process, Status, Store},
};
use crate::{
    caches,
    circuits::DATABASE,
    config::CacheName,
    error::ErrorClass,
    journal,
    lifecycle::{phase::Phase, settings},
    output::{self, counted, counted_are},
    pipeline::Held,
    server::{PROBES, Past, Server, heartbeats::LastBeat},
    telemetry::{
        levels, log, observer,
        process::{self, Figures},
        watch::Watcher,
    },
};
use guard::{CircuitSnapshot, CircuitState, Class, Load, ResourceInfo};
use mcp::sessions::{Ending, Kind, SessionInfo, SessionState};
use std::{path::Path, time::Duration};
use store::{OperationRow, SessionRow};

/// Maximum number of crash leftovers listed.
const MAX_LEFT: usize = 20;
/// How long interrupted changes are a problem unless they are made again.
const DAY: Duration = Duration::from_hours(24);

pub(super) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn status(server: &Server) -> Status {
    let left = server.left().clone();
    Status {
        brief: Brief {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            phase: Name(server.phase.get()),
            sessions: server.sessions.count(),
            in_flight: server.services.calls.len(),
        },
        commit: env!("BUILD_COMMIT").to_owned(),
        problems: problems(server),
        uptime_ms: ms(server.began.elapsed()),
        evicted: server.sessions.evicted(),
        calls: calls(server),
        held: server.services.holds.list().len(),
        opening: opening(server),
        process: process(server),
        lost_limit: server.services.threads.limit(),
        configuration: configuration(server),
        open_circuits: open_circuits(server),
        interrupted: left.interrupted.iter().take(MAX_LEFT).map(journal::described).collect(),
        interrupted_count: left.interrupted.len(),
        orphaned: left.orphaned.iter().take(MAX_LEFT).map(|path| shown(path)).collect(),
        orphaned_count: left.orphaned.len(),
        sandbox: git::sandbox_support().err().unwrap_or("available").to_owned(),
        store: store(server),
    }
}

fn open_circuits(server: &Server) -> usize {
    server.breakers.list().iter().filter(|circuit| circuit.state != CircuitState::Closed).count()
}

/// The details of the server's health.
pub(super) fn details(server: &Server) -> Details {
    Details {
        phase: Name(server.phase.get()),
        lost_threads: server.services.threads.total(),
        store: server.persistence.status().unavailable.unwrap_or_else(|| "ok".to_owned()),
        sessions: server.sessions.count(),
        heartbeat: server.heartbeats().is_running(),
        open_circuits: open_circuits(server),
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn calls(server: &Server) -> Vec<Calls> {
    let threads = &server.services.threads;
    // A change waits for its worktree before it takes a slot.
    let queued = server.services.change_lock.queued();
    let of = |load: Load| {
        let lost = threads.lost(load.class);
        let (waiting, rejected) = if load.class == Class::Change { (queued.waiting, queued.rejected) } else { (0, 0) };
        Calls {
            class: Name(load.class),
            running: load.running,
            waiting: load.waiting + waiting,
            waiting_for_worktree: waiting,
            places: load.places,
            rejected: load.rejected + rejected,
            lost: lost.now,
            lost_since_start: lost.ever,
        }
    };
    server.services.admission.loads().map(of).into()
}

fn opening(server: &Server) -> Opening {
    let [load, ..] = server.services.openings.loads();
    Opening { running: load.running, waiting: load.waiting, places: load.places, rejected: load.rejected }
}

fn configuration(server: &Server) -> Configuration {
    let loaded = server.loaded();
    Configuration {
        file: loaded.origin.file.as_deref().map(shown),
        loaded_ms: ms(loaded.at.elapsed()),
        failed: loaded.failed.clone(),
        needs_restart: loaded.needs_restart.clone(),
        log_level: log::level(),
    }
}

fn store(server: &Server) -> Store {
    let status = server.persistence.status();
    Store {
        place: server.persistence.place(),
        opened: status.opened,
        away: status.unavailable,
        quarantined: status.quarantined.as_deref().map(shown),
        replaced: status.replaced,
        rescued: status.rescued,
        backlog: server.persistence.backlog(),
    }
}

/// The current problems.
fn problems(server: &Server) -> Vec<Problem> {
    let mut all = Vec::new();
    let again = if server.control.is_supervised() { "mcp-server-git restart" } else { "stop the server and start it again" };
    let mut add = |is: bool, what: String, next: &str| {
        if is {
            all.push(Problem { what, next: next.to_owned() });
        }
    };
    let phase = server.phase.get();
    add(phase == Phase::Draining, "the server accepts no new calls".to_owned(), "mcp-server-git resume");
    add(server.services.threads.is_full(), "calls are rejected: too many threads are lost".to_owned(), again);
    let is_short = server.watcher.is_short();
    let trim = format!("mcp-server-git status memory --trim. {}", memory::RAISE);
    add(is_short, "calls are rejected: the memory limit is reached".to_owned(), &trim);
    if let Some(why) = server.persistence.status().unavailable {
        add(true, format!("store unavailable: {why}"), "mcp-server-git doctor");
    }
    // Until the operator removes it.
    if let Some(file) = server.persistence.status().quarantined.filter(|file| file.exists()) {
        add(true, format!("a damaged database was set aside: {}", shown(&file)), "mcp-server-git logs --level error");
    }
    if let Some((what, next)) = interrupted(server) {
        add(true, what, &next);
    }
    let loaded = server.loaded();
    if let Some(why) = &loaded.failed {
        // The last line of a report names the cause.
        let cause = why.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim();
        let file = loaded.origin.flags.config.as_ref().map(|file| format!(" --config {}", output::shell_word(file))).unwrap_or_default();
        add(true, format!("the configuration was not reloaded: {cause}"), &format!("mcp-server-git config check{file}"));
    }
    drop(loaded);
    let awaits = settings::awaits_tokens(&server.loaded());
    add(awaits, "tokens are configured, but not required until a restart".to_owned(), again);
    let beats = server.task("heartbeat").is_none_or(|task| task.is_running());
    add(!beats, "the heartbeat task does not run".to_owned(), "mcp-server-git recover --component heartbeat");
    let open = server.breakers.list().iter().filter(|circuit| circuit.state == CircuitState::Open).count();
    add(open > 0, counted_are(open, "circuit") + " open", "mcp-server-git circuits list");
    let burning = server.errors.windows().burning(server.settings().spike_per_minute);
    let names: Vec<&str> = burning.iter().map(|burn| burn.class.name()).collect();
    add(!burning.is_empty(), format!("errors spike: {}", names.join(", ")), "mcp-server-git errors --window 10m");
    let after = server.idle_after();
    let idle = server.sessions.list().iter().filter(|session| session.in_flight == 0 && session.idle >= after).count();
    let reap = format!("mcp-server-git sessions reap --idle {}", output::span(after));
    add(idle > server.settings().idle_warn, counted_are(idle, "session") + " idle", &reap);
    let held = server.services.holds.list().len();
    add(held > 0, counted_are(held, "call") + " held by a breakpoint", "mcp-server-git debug held");
    all
}

/// The interrupted changes as a problem, for a day after the server has found them.
fn interrupted(server: &Server) -> Option<(String, String)> {
    let left = server.left();
    let first = left.interrupted.first().filter(|_| server.began.elapsed() < DAY)?;
    let were = if left.interrupted.len() == 1 { "was" } else { "were" };
    let what = format!("{} {were} interrupted when a previous server exited", counted(left.interrupted.len(), "change"));
    Some((what, format!("mcp-server-git operations --repository {}", output::shell_word(&first.worktree))))
}

fn process(server: &Server) -> Process {
    let figures = Figures::now();
    let processors = server.watcher.processors();
    let [lag, worst] = server.watcher.lag();
    Process {
        rss: figures.map(|figures| figures.rss),
        peak_rss: figures.map(|figures| figures.peak_rss),
        threads: figures.map(|figures| figures.threads),
        descriptors: figures.map(|figures| figures.descriptors),
        max_descriptors: process::max_descriptors(),
        cpu_seconds: figures.map(|figures| figures.cpu_seconds),
        cpu_percent: processors.map(|seen| seen.percent),
        process_cpu_percent: processors.map(|seen| seen.process_percent),
        cpu_count: processors.map(|seen| seen.count),
        cpu_warn_percent: server.settings().cpu.warn_percent,
        load_average: processors.map(|seen| seen.load),
        refuses_calls: server.watcher.is_short(),
        runtime_lag_ms: lag.as_secs_f64() * 1000.0,
        runtime_lag_max_ms: worst.as_secs_f64() * 1000.0,
    }
}

pub(super) fn session(session: &SessionInfo) -> Session {
    let failed = |fault| Failed { class: Name(observer::class(fault)), why: Ending::Failed(fault).text().to_owned() };
    Session {
        id: session.id.clone(),
        kind: Name(session.kind),
        principal: session.principal.clone(),
        client: session.client.clone(),
        protocol: session.protocol.clone(),
        state: Name(State::Here(session.state)),
        idle_ms: ms(session.idle),
        missed: session.missed.into(),
        in_flight: session.in_flight,
        here: Some(Here {
            age_ms: ms(session.age),
            requests: session.requests,
            faults: session.faults,
            owes_beats: session.kind.owes_beats(),
            failed: session.failed.map(failed),
        }),
    }
}

/// A session in the store that was not used since this process started.
pub(super) fn kept(row: SessionRow) -> Session {
    let unsigned = |number: i64| u64::try_from(number).unwrap_or_default();
    Session {
        id: row.id,
        // Only these outlive their process.
        kind: Name(Kind::Http),
        principal: row.principal,
        client: row.client,
        protocol: row.protocol,
        state: Name(State::Kept),
        idle_ms: unsigned(crate::persistence::now_ms().saturating_sub(row.last_seen_ms)),
        missed: unsigned(row.missed),
        in_flight: 0,
        here: None,
    }
}

/// The sessions with these properties, at most `limit` of them.
pub(super) fn sessions(server: &Server, (idle, state): (Option<Duration>, Option<&str>), kept: Option<usize>, limit: usize) -> Sessions {
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
    let shown = all
        .iter()
        .filter(|session| idle.is_none() || is_idle(session))
        .filter(|session| state.is_none_or(|state| session.state.name() == state))
        .take(limit)
        .map(self::session);
    Sessions {
        total: all.len(),
        active: count(&SessionInfo::is_active),
        idle: count(&is_idle),
        idle_longer_than_ms: ms(idle_after),
        quiet: count(&|session| is_idle_for(session, warned_after)),
        quiet_longer_than_ms: ms(warned_after),
        error: count(&|session| session.state == SessionState::Error),
        kept,
        idle_warn: server.settings().idle_warn,
        max: limits.max,
        sessions: shown.collect(),
    }
}

/// The heartbeats, of at most `limit` sessions.
pub(crate) fn heartbeats(server: &Server, limit: usize) -> Heartbeats {
    let beats = server.heartbeats();
    let config = beats.config();
    let of = |beat: LastBeat| Heartbeat {
        id: beat.session,
        kind: Name(beat.kind),
        owes_beats: beat.owes_beats,
        since_ms: ms(beat.since),
        missed: beat.missed,
        late: beat.is_late,
    };
    Heartbeats {
        running: beats.is_running(),
        restarts: beats.restarts(),
        last_tick_ms: beats.last_tick().map(ms),
        interval_ms: ms(config.interval),
        missed_threshold: config.missed,
        sessions: beats.last_beats().into_iter().take(limit).map(of).collect(),
    }
}

pub(crate) fn resources(server: &Server) -> Resources {
    let of = |one: ResourceInfo| Resource {
        id: one.id,
        kind: one.kind.to_owned(),
        detail: one.detail,
        age_ms: ms(one.age),
        in_flight: one.in_flight,
        can_be_released: one.can_be_released,
    };
    Resources { resources: server.resources.list().into_iter().map(of).collect() }
}

pub(crate) fn circuits(server: &Server) -> Circuits {
    let is_away = server.persistence.status().unavailable.is_some();
    let is_probed = |one: &CircuitSnapshot| is_away && &*one.name == DATABASE && one.state != CircuitState::Closed;
    let of = |one: CircuitSnapshot| Circuit {
        probe_interval_ms: is_probed(&one).then(|| ms(PROBES)),
        name: one.name.to_string(),
        state: Name(one.state),
        failure_count: one.failure_count,
        failure_threshold: one.failure_threshold,
        recovery_timeout_ms: ms(one.recovery_timeout),
        half_open_max_calls: one.half_open_max_calls,
        since_failure_ms: one.last_failure.map(ms),
        next_trial_ms: one.next_trial.map(ms),
        paused_ms: one.paused.map(ms),
        calls: one.calls,
        rejected: one.rejected,
        opened: one.opened_times,
        probes: one.probes,
        stuck: one.is_stuck,
    };
    Circuits { circuits: server.breakers.list().into_iter().map(of).collect() }
}

pub(super) fn errors(server: &Server, asked: Duration, past: &Past, threshold: f64) -> Errors {
    let windows = server.errors.windows();
    let (totals, window) = (windows.totals(), past.window);
    let per_minute = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX)) * 60.0 / window.as_secs_f64().max(5.0);
    let classes = ErrorClass::ALL.map(|class| ClassErrors {
        class: Name(class),
        critical: class.is_critical(),
        recoverable: class.is_recoverable(),
        count: past.count(class),
        per_minute: per_minute(past.count(class)),
        since_start: totals.iter().find(|(one, _)| *one == class).map_or(0, |(_, count)| *count),
    });
    let frequent = classes.iter().filter(|one| one.per_minute > threshold);
    let mut spikes: Vec<Spike> = frequent.map(|one| Spike { class: one.class, per_minute: one.per_minute }).collect();
    spikes.sort_by(|a, b| b.per_minute.total_cmp(&a.per_minute));
    let reasons = server.errors.reasons().into_iter();
    let burning = windows.burning(threshold).into_iter().map(|burn| Burning {
        class: Name(burn.class),
        short_ms: ms(burn.short),
        long_ms: ms(burn.long),
        short_per_minute: burn.short_rate,
        long_per_minute: burn.long_rate,
        count: burn.count,
    });
    Errors {
        window_ms: ms(window),
        asked_ms: ms(asked),
        source: past.source,
        threshold_per_minute: threshold,
        classes: classes.into(),
        reasons: reasons.map(|(class, reason, count)| Reason { class: Name(class), reason: reason.to_owned(), count }).collect(),
        spikes,
        burning: burning.collect(),
    }
}

pub(super) fn held(server: &Server) -> HeldCalls {
    HeldCalls { held: server.services.holds.list().into_iter().map(held_call).collect(), limit_ms: ms(server.services.holds.limit()) }
}

pub(super) fn held_call(held: Held) -> HeldCall {
    HeldCall {
        id: held.id,
        tool: held.tool.to_owned(),
        principal: held.principal.to_string(),
        trace_id: held.origin.trace(),
        session_id: held.origin.session,
        request_id: held.origin.request,
        held_ms: ms(held.since.elapsed()),
        arguments: held.arguments.into_iter().collect(),
    }
}

/// Memory use of the process, and its history.
pub(crate) fn memory(server: &Server) -> Memory {
    let figures = Figures::now();
    let notes = server.watcher.memory();
    let limit = Watcher::use_and_limit(server.settings().memory.limit());
    let allocated = guard::memory::allocated();
    Memory {
        rss: figures.map(|figures| figures.rss),
        peak_rss: figures.map(|figures| figures.peak_rss),
        allocated: allocated.map(|all| all.used),
        allocator_free: allocated.map(|all| all.free),
        used: limit.map(|(used, _)| used),
        soft_limit: limit.map(|(_, limit)| limit),
        refuses_calls: server.watcher.is_short(),
        bytes_per_hour: slope(&notes),
        notes: notes.iter().map(|(ago, rss)| Note { ago_ms: ms(*ago), rss: *rss }).collect(),
    }
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

pub(crate) fn caches(server: &Server) -> Caches {
    let of = |cache: caches::Cache| Cache {
        name: cache.name.name().to_owned(),
        what: cache.what.to_owned(),
        entries: cache.entries,
        limit: cache.limit,
        hits: cache.hits,
        misses: cache.misses,
        enabled: cache.enabled,
    };
    Caches { caches: server.caches().list().into_iter().map(of).collect(), sweep_interval_ms: ms(server.settings().cache_sweep) }
}

pub(super) fn cleared(cleared: Vec<(CacheName, usize)>) -> Cleared {
    let of = |(cache, entries): (CacheName, usize)| ClearedCache { name: cache.name().to_owned(), entries };
    Cleared { cleared: cleared.into_iter().map(of).collect() }
}

/// The current log levels.
pub(super) fn level() -> Level {
    Level { level: log::level(), components: levels::components().map(str::to_owned).collect() }
}

pub(super) fn operation(row: OperationRow) -> Operation {
    Operation {
        id: row.id,
        tool: row.tool,
        worktree: row.worktree,
        principal: row.principal,
        state: row.state,
        node: row.node,
        pid: row.pid,
        started_ms: row.started_ms,
        ended_ms: row.ended_ms,
    }
}
