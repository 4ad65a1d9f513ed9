//! The tasks that watch the process: memory, processors, load, the runtime, the caches and the heap.

use super::Server;
use crate::{
    persistence::now_ms,
    telemetry::{
        history::{self, Sample},
        process::Figures,
    },
};
use guard::Supervised;
use std::{sync::Arc, time::Duration};

/// Interval between checks of the runtime's wake-up delay and of memory use.
const LAG: Duration = Duration::from_secs(1);

impl Server {
    /// The tasks that watch memory, processors, the runtime and the caches.
    pub(super) fn watching(self: &Arc<Self>) -> Vec<Supervised> {
        let settings = self.settings();
        self.watcher.watch_the_runtime(self.stop.clone());
        // A baseline for the first tick.
        self.watcher.measure(settings.cpu.warn_percent);
        let server = Arc::clone(self);
        let memory = self.supervise("memory", settings.memory.sample_interval.into(), move || {
            server.watcher.note_memory();
            std::future::ready(())
        });
        let server = Arc::clone(self);
        let cpu = self.supervise("cpu", settings.cpu.sample_interval.into(), move || {
            server.watcher.measure(server.settings().cpu.warn_percent);
            std::future::ready(())
        });
        let server = Arc::clone(self);
        let history = self.supervise("history", history::INTERVAL, move || {
            server.history.note(server.sample());
            std::future::ready(())
        });
        let server = Arc::clone(self);
        let runtime = self.supervise("runtime", LAG, move || {
            let server = Arc::clone(&server);
            async move {
                server.watcher.nap(LAG).await;
                // The check reads files, and may have to free memory.
                let checked = tokio::task::spawn_blocking(move || {
                    server.watcher.check_memory(server.settings().memory.limit(), || {
                        server.caches().clear_all();
                        guard::memory::trim();
                    });
                });
                checked.await.ok();
            }
        });
        let server = Arc::clone(self);
        let unused = self.settings().cache_sweep;
        let caches = self.supervise("caches", unused, move || {
            let dropped = server.caches().sweep(unused);
            tracing::debug!(dropped, "the caches were swept");
            std::future::ready(())
        });
        let server = Arc::clone(self);
        let heap = self.supervise("heap", self.settings().heap.interval.into(), move || {
            let server = Arc::clone(&server);
            async move {
                let settings = server.settings().heap;
                // Resolves function names, which takes long.
                tokio::task::spawn_blocking(move || server.heap.tick(settings.analyze_after, settings.keep)).await.ok();
            }
        });
        vec![memory, cpu, history, runtime, caches, heap]
    }

    /// Resource use and load now.
    fn sample(&self) -> Sample {
        let processors = self.watcher.processors();
        let waiting: usize = self.services.admission.loads().iter().map(|load| load.waiting).sum();
        Sample {
            at_ms: now_ms(),
            rss: Figures::now().map(|figures| figures.rss),
            process_cpu_percent: processors.map(|seen| seen.process_percent),
            cpu_percent: processors.map(|seen| seen.percent),
            totals: self.services.latencies.totals(),
            in_flight: self.services.calls.len(),
            waiting: waiting + self.services.change_lock.queued().waiting,
            sessions: self.sessions.count(),
        }
    }
}
