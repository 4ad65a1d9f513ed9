//! What happens now: calls in flight, latencies, load, and the repositories.

use super::{
    answers::{
        calls::{Call, InFlight, Latencies, Latency, Position, Sample, Samples},
        name::Name,
        repositories::{Change, Lock, Repositories, Repository},
    },
    views::ms,
};
use crate::{
    pipeline::{Services, Stage, Tracked},
    server::Server,
    telemetry::{history, latency},
    tool::Effect,
};
use git::Cancel;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

/// Maximum number of calls listed.
const MAX_CALLS: usize = 200;
/// Maximum number of repositories listed, and looked for.
const MAX_REPOSITORIES: usize = 100;
const MAX_FOUND: usize = 1000;
/// Time limit for reading all repositories.
const READING: Duration = Duration::from_secs(5);

pub(super) fn calls(server: &Server) -> InFlight {
    let all = server.services.in_flight.list();
    InFlight { calls: all.iter().take(MAX_CALLS).map(|tracked| call(tracked)).collect(), total: all.len() }
}

fn call(tracked: &Tracked) -> Call {
    Call {
        id: tracked.id(),
        tool: tracked.tool.name.to_owned(),
        principal: tracked.principal.to_string(),
        session_id: tracked.session.clone(),
        request_id: tracked.request.clone(),
        repository: tracked.repository().map(|path| path.display().to_string()),
        stage: Name(position(tracked)),
        elapsed_ms: ms(tracked.elapsed()),
        stopping: tracked.is_stopping(),
    }
}

fn position(tracked: &Tracked) -> Position {
    match tracked.stage() {
        None if tracked.is_held() => Position::Held,
        Some(Stage::Queue) => Position::Queue,
        Some(Stage::Lock) => Position::Lock,
        Some(Stage::Open) => Position::Open,
        None | Some(Stage::Git | Stage::Retry | Stage::Encode) => Position::Run,
    }
}

pub(super) fn latencies(server: &Server) -> Latencies {
    let of = |(tool, latency): (&'static str, latency::Latency)| Latency {
        tool: tool.to_owned(),
        calls: latency.calls(),
        errors: latency.errors,
        counts: latency.counts.to_vec(),
        p50_ms: latency.percentile(50),
        p95_ms: latency.percentile(95),
        max_ms: ms(latency.worst),
    };
    Latencies {
        window_ms: ms(latency::Latencies::WINDOW),
        bounds_ms: latency::BOUNDS.to_vec(),
        tools: server.services.latencies.list().into_iter().map(of).collect(),
    }
}

pub(super) fn samples(server: &Server) -> Samples {
    let of = |(sample, [calls, errors]): (history::Sample, [u64; 2])| Sample {
        at_ms: sample.at_ms,
        rss: sample.rss,
        process_cpu_percent: sample.process_cpu_percent,
        cpu_percent: sample.cpu_percent,
        calls,
        errors,
        in_flight: sample.in_flight,
        waiting: sample.waiting,
        sessions: sample.sessions,
    };
    Samples { interval_ms: ms(history::INTERVAL), samples: server.history.list().into_iter().map(of).collect() }
}

/// The repositories at and below the roots, and those of calls in flight. Reads files.
pub(super) fn repositories(services: &Services) -> Repositories {
    let in_flight = services.in_flight.list();
    let used = in_flight.iter().filter_map(|call| call.repository());
    let found: BTreeSet<PathBuf> = services.repositories.roots().repositories(MAX_FOUND).into_iter().chain(used).collect();
    let cancel = Cancel::new(Some(Instant::now() + READING));
    let of = |path: &PathBuf| repository(services, path, &in_flight, &cancel);
    Repositories { repositories: found.iter().take(MAX_REPOSITORIES).map(of).collect(), total: found.len() }
}

fn repository(services: &Services, path: &Path, in_flight: &[Arc<Tracked>], cancel: &Cancel) -> Repository {
    let mut repository = Repository {
        path: path.display().to_string(),
        git_dir: String::new(),
        trusted: false,
        error: None,
        branch: None,
        head: None,
        operation: None,
        locks: Vec::new(),
        changes: in_flight.iter().filter(|call| call.repository().as_deref() == Some(path)).filter_map(|call| change(call)).collect(),
    };
    let repo = match services.repositories.open(path) {
        Ok(repo) => repo,
        Err(err) => return Repository { error: Some(err.to_string()), ..repository },
    };
    let git_dir = &repo.location().git_dir;
    repository.git_dir = git_dir.display().to_string();
    repository.trusted = repo.location().trusted;
    repository.operation = repo.in_progress().map(str::to_owned);
    let lock = |lock: git::LockFile| Lock {
        file: lock.path.strip_prefix(git_dir).unwrap_or(&lock.path).display().to_string(),
        age_ms: ms(lock.age),
        stale: lock.is_stale(),
    };
    repository.locks = repo.lock_files(false).into_iter().map(lock).collect();
    match repo.snapshot(cancel) {
        Ok(now) => {
            repository.branch = now.branch.map(|full| full.strip_prefix("refs/heads/").unwrap_or(&full).to_owned());
            repository.head = now.commit.map(|id| id.to_string());
        }
        Err(err) => repository.error = Some(err.to_string()),
    }
    repository
}

/// A change in flight; `None` for a read.
fn change(call: &Tracked) -> Option<Change> {
    let state = if position(call) == Position::Run { "runs" } else { "waits" };
    (call.tool.effect != Effect::Read).then(|| Change { call: call.id(), tool: call.tool.name.to_owned(), state: state.to_owned() })
}
