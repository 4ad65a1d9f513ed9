//! CPU profiles: samples of the stacks of all threads, taken while the server runs.
//!
//! Free while no profile is running. A running profile takes 99 samples per second of each busy thread.

use super::flame;
use flate2::{Compression, write::GzEncoder};
use pprof::{ProfilerGuard, ProfilerGuardBuilder, protos::Message};
use std::{
    collections::HashMap,
    io::Write,
    sync::atomic::{AtomicBool, Ordering},
};

/// Samples per second. The kernel's tick limits it to 250, and each sample counts as this fraction of a second.
const FREQUENCY: i32 = 99;
/// Number of functions reported.
const TOP: usize = 10;

static TAKEN: AtomicBool = AtomicBool::new(false);

/// A running profile.
pub(crate) struct Profiler {
    guard: ProfilerGuard<'static>,
    _taken: Taken,
}

/// Ensures that one profile runs at a time.
struct Taken;

impl Drop for Taken {
    fn drop(&mut self) {
        TAKEN.store(false, Ordering::Release);
    }
}

/// A finished profile.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) samples: u64,
    /// The functions with the most samples of their own, with their number of samples.
    pub(crate) top: Vec<(String, u64)>,
    /// A flame graph, as SVG.
    pub(crate) svg: String,
    /// A gzipped pprof profile.
    pub(crate) pprof: Vec<u8>,
}

/// Starts a profile.
///
/// # Errors
///
/// If another one is running, or the system does not permit it.
pub(crate) fn begin() -> Result<Profiler, String> {
    if TAKEN.swap(true, Ordering::Acquire) {
        return Err("another profile is running".to_owned());
    }
    let taken = Taken;
    // Stacks inside the allocator and the loader cannot be walked.
    let builder = ProfilerGuardBuilder::default().frequency(FREQUENCY).blocklist(&["libc", "libgcc", "pthread", "vdso"]);
    let guard = builder.build().map_err(|err| format!("could not start the profiler: {err}"))?;
    Ok(Profiler { guard, _taken: taken })
}

impl Profiler {
    /// Ends the profile.
    ///
    /// # Errors
    ///
    /// If the samples cannot be read.
    pub(crate) fn end(self, title: &str) -> Result<Profile, String> {
        let report = self.guard.report().build().map_err(|err| format!("could not read the profile: {err}"))?;
        let stack = |(frames, count): (&pprof::Frames, &isize)| {
            let outermost_first = frames.frames.iter().rev().flat_map(|inlined| inlined.iter().rev()).map(pprof::Symbol::name);
            (outermost_first.collect::<Vec<String>>(), u64::try_from(*count).unwrap_or_default())
        };
        let stacks: Vec<(Vec<String>, u64)> = report.data.iter().map(stack).collect();
        let encoded = report.pprof().map_err(|err| format!("could not encode the profile: {err}"))?;
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        let written = gzip.write_all(&encoded.encode_to_vec()).and_then(|()| gzip.finish());
        Ok(Profile {
            samples: stacks.iter().map(|(_, count)| count).sum(),
            top: top(&stacks),
            svg: flame::draw(title, "samples", &stacks),
            pprof: written.map_err(|err| format!("could not encode the profile: {err}"))?,
        })
    }
}

fn top(stacks: &[(Vec<String>, u64)]) -> Vec<(String, u64)> {
    let mut own: HashMap<&str, u64> = HashMap::new();
    for (frames, count) in stacks {
        if let Some(innermost) = frames.last() {
            *own.entry(innermost).or_default() += count;
        }
    }
    let mut top: Vec<(String, u64)> = own.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
    top.sort_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
    top.truncate(TOP);
    top
}
