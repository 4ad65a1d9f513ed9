//! CPU and heap profiles of a running server.

use super::{
    answers::profiles::{self, Allocator, CpuProfile, Files, Function, HeapGrowth, HeapProfile, HeapReport},
    endpoint::{Nothing, Refused, refused},
    requests::{DiffHeap, Heap, Profile, TrackHeap},
    views::ms,
};
use crate::{
    server::Server,
    telemetry::{
        heap::{self, Snapshot},
        profile,
    },
};
use axum::http::StatusCode;
use std::{sync::Arc, time::Duration};

/// The longest profile, in seconds.
const MAX_PROFILE: u64 = 600;

pub(super) async fn cpu(_: Arc<Server>, wanted: Profile) -> Result<CpuProfile, Refused> {
    let seconds = wanted.seconds.clamp(1, MAX_PROFILE);
    let profiler = match profile::CpuProfile::start() {
        Ok(profiler) => profiler,
        Err(why) => return refused(StatusCode::CONFLICT, why.to_string()),
    };
    tracing::warn!(seconds, "CPU profile started");
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let title = format!("mcp-server-git, {seconds} s");
    let ended = tokio::task::spawn_blocking(move || profiler.finish(&title).map_err(|err| err.to_string())).await;
    match ended.unwrap_or_else(|err| Err(err.to_string())) {
        Ok(profile) => {
            let top = profile.top.into_iter().map(|(function, samples)| Function { function, samples }).collect();
            Ok(CpuProfile { seconds, samples: profile.samples, top, files: files(profile.svg, &profile.pprof) })
        }
        Err(why) => refused(StatusCode::INTERNAL_SERVER_ERROR, why),
    }
}

/// Whether allocations are tracked, and the snapshots.
pub(super) async fn snapshots(server: Arc<Server>, _: Nothing) -> Result<profiles::Heap, Refused> {
    Ok(state(&server))
}

/// Takes a snapshot. If allocations are not tracked, tracks them for some seconds first.
pub(super) async fn heap(server: Arc<Server>, wanted: Heap) -> Result<HeapProfile, Refused> {
    let label = wanted.label.unwrap_or_else(|| "by hand".to_owned());
    let seconds = wanted.seconds.clamp(1, MAX_PROFILE);
    let mut tracked = None;
    if server.heap.since().is_none() {
        let Some(tracking) = Tracking::begin(&server) else { return no_allocator() };
        tracing::warn!(seconds, "heap tracking started");
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        tracked = Some(tracking);
    }
    let snapshot = taken(&server, label).await;
    drop(tracked);
    match snapshot {
        Ok((snapshot, report)) => {
            let (heap, snapshot, report) = (state(&server), described(&snapshot), reported(report));
            Ok(HeapProfile { heap, snapshot, report })
        }
        Err(why) => refused(StatusCode::INTERNAL_SERVER_ERROR, why),
    }
}

/// Starts or stops tracking allocations, with a snapshot of this moment.
pub(super) async fn track(server: Arc<Server>, wanted: TrackHeap) -> Result<profiles::Heap, Refused> {
    let keep = server.settings().heap.keep;
    if wanted.on && !server.heap.begin() {
        return no_allocator();
    }
    if wanted.on || server.heap.since().is_some() {
        let label = wanted.label.unwrap_or_else(|| if wanted.on { "start" } else { "end" }.to_owned());
        let tracker = Arc::clone(&server.heap);
        tokio::task::spawn_blocking(move || tracker.snapshot(&label, keep)).await.ok();
    }
    if !wanted.on {
        server.heap.end();
    }
    tracing::warn!(on = wanted.on, "heap tracking");
    Ok(state(&server))
}

/// The growth from one snapshot to another.
pub(super) async fn diff(server: Arc<Server>, wanted: DiffHeap) -> Result<HeapGrowth, Refused> {
    let (Some(from), Some(to)) = (server.heap.find(&wanted.from), server.heap.find(&wanted.to)) else {
        let missing = if server.heap.find(&wanted.from).is_none() { wanted.from } else { wanted.to };
        return refused(StatusCode::NOT_FOUND, format!("there is no snapshot `{}`", crate::output::message(&missing)));
    };
    let title = format!("mcp-server-git, heap growth from snapshot {} to {}", from.id, to.id);
    let (earlier, later) = (Arc::clone(&from), Arc::clone(&to));
    match tokio::task::spawn_blocking(move || heap::report(&title, &later.growth_since(&earlier))).await {
        Ok(report) => {
            let (from, to, report) = (described(&from), described(&to), reported(report));
            Ok(HeapGrowth { from, to, report })
        }
        Err(err) => refused(StatusCode::INTERNAL_SERVER_ERROR, err.to_string()),
    }
}

/// Stops tracking that began for one snapshot, even if the request was abandoned.
struct Tracking(Arc<Server>);

impl Tracking {
    fn begin(server: &Arc<Server>) -> Option<Self> {
        server.heap.begin_briefly().then(|| Self(Arc::clone(server)))
    }
}

impl Drop for Tracking {
    fn drop(&mut self) {
        self.0.heap.end_brief();
    }
}

async fn taken(server: &Arc<Server>, label: String) -> Result<(Arc<Snapshot>, heap::Report), String> {
    let (tracker, keep) = (Arc::clone(&server.heap), server.settings().heap.keep);
    let work = move || {
        let snapshot = tracker.snapshot(&label, keep);
        let report = heap::report(&format!("mcp-server-git, heap in use, snapshot {}", snapshot.id), &snapshot.stacks);
        (snapshot, report)
    };
    tokio::task::spawn_blocking(work).await.map_err(|err| err.to_string())
}

fn no_allocator<T>() -> Result<T, Refused> {
    refused(StatusCode::NOT_IMPLEMENTED, "this program has another allocator: its heap cannot be tracked")
}

/// Whether allocations are tracked, and the snapshots of the heap.
fn state(server: &Server) -> profiles::Heap {
    let since = server.heap.since();
    profiles::Heap {
        tracking: since.is_some(),
        tracked_ms: since.map(|since| ms(since.elapsed())),
        interval_ms: ms(server.settings().heap.interval.into()),
        snapshots: server.heap.snapshots().iter().map(|snapshot| described(snapshot)).collect(),
    }
}

fn described(snapshot: &Snapshot) -> profiles::Snapshot {
    let (bytes, allocations) = snapshot.total();
    profiles::Snapshot {
        id: snapshot.id,
        label: snapshot.label.clone(),
        age_ms: ms(snapshot.at.elapsed().unwrap_or_default()),
        rss: snapshot.rss,
        bytes,
        allocations,
        stacks: snapshot.stacks.len(),
    }
}

/// The allocations by call stack, and the files.
fn reported(report: heap::Report) -> HeapReport {
    let of = |top: heap::Allocator| Allocator { bytes: top.bytes, allocations: top.count, stack: top.functions };
    HeapReport { top: report.top.into_iter().map(of).collect(), files: files(report.svg, &report.pprof) }
}

fn files(svg: String, pprof: &[u8]) -> Files {
    use base64::{Engine, engine::general_purpose::STANDARD};
    Files { svg, pprof: STANDARD.encode(pprof) }
}
