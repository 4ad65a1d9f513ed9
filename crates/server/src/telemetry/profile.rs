//! CPU profiles: samples of the stacks of all threads, taken while the server runs.
//!
//! Free while no profile is running. A running profile takes 99 samples per second of each busy thread.

use super::flame;
use flate2::{Compression, write::GzEncoder};
use pprof::{ProfilerGuard, ProfilerGuardBuilder, protos::Message};
use std::{
    collections::HashMap,
    io::{self, Write},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

/// Samples per second. The kernel's tick limits it to 250, and each sample counts as this fraction of a second.
const FREQUENCY: i32 = 99;
/// Number of functions reported.
const TOP: usize = 10;

static TAKEN: AtomicBool = AtomicBool::new(false);

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// One profile runs at a time.
    #[error("another profile is running")]
    Running,
    /// The system does not permit it.
    #[error("could not start the profiler: {0}")]
    Start(#[source] pprof::Error),
    /// The samples cannot be read.
    #[error("could not read the profile: {0}")]
    Read(#[source] pprof::Error),
    /// The samples cannot be written in pprof's format.
    #[error("could not encode the profile: {0}")]
    Encode(#[source] pprof::Error),
    /// The same, in its compression.
    #[error("could not encode the profile: {0}")]
    Compress(#[source] io::Error),
}

/// The time that an operation takes.
#[doc(alias = "PerformanceTimer")]
#[derive(Clone, Copy, Debug)]
pub struct OperationTimer(Instant);

impl OperationTimer {
    /// Starts the timer.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    #[doc(alias = "elapsed_ms")]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// A running profile of the CPU.
#[doc(alias = "CPUProfiler")]
pub struct CpuProfile {
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
pub struct Profile {
    /// Number of samples, 99 per second and busy thread.
    pub samples: u64,
    /// The functions with the most samples of their own, with their number of samples.
    pub top: Vec<(String, u64)>,
    /// A flame graph, as SVG.
    pub svg: String,
    /// A gzipped pprof profile.
    pub pprof: Vec<u8>,
}

/// Runs `work` on this thread, and profiles the CPU of all threads meanwhile.
///
/// # Errors
///
/// As [`CpuProfile::start`], before `work` runs, and as [`CpuProfile::finish`].
pub fn profile_operation<T>(title: &str, work: impl FnOnce() -> T) -> Result<(T, Profile), ProfileError> {
    let profile = CpuProfile::start()?;
    let done = work();
    Ok((done, profile.finish(title)?))
}

impl CpuProfile {
    /// Starts a profile.
    ///
    /// # Errors
    ///
    /// If another one is running, or the system does not permit it.
    pub fn start() -> Result<Self, ProfileError> {
        if TAKEN.swap(true, Ordering::Acquire) {
            return Err(ProfileError::Running);
        }
        let taken = Taken;
        // Stacks inside the allocator and the loader cannot be walked.
        let builder = ProfilerGuardBuilder::default().frequency(FREQUENCY).blocklist(&["libc", "libgcc", "pthread", "vdso"]);
        let guard = builder.build().map_err(ProfileError::Start)?;
        Ok(Self { guard, _taken: taken })
    }

    /// Ends the profile. `title` is that of its flame graph.
    ///
    /// # Errors
    ///
    /// If the samples cannot be read or encoded.
    pub fn finish(self, title: &str) -> Result<Profile, ProfileError> {
        let report = self.guard.report().build().map_err(ProfileError::Read)?;
        let stack = |(frames, count): (&pprof::Frames, &isize)| {
            let outermost_first = frames.frames.iter().rev().flat_map(|inlined| inlined.iter().rev()).map(pprof::Symbol::name);
            (outermost_first.collect::<Vec<String>>(), u64::try_from(*count).unwrap_or_default())
        };
        let stacks: Vec<(Vec<String>, u64)> = report.data.iter().map(stack).collect();
        let encoded = report.pprof().map_err(ProfileError::Encode)?;
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        let written = gzip.write_all(&encoded.encode_to_vec()).and_then(|()| gzip.finish());
        Ok(Profile {
            samples: stacks.iter().map(|(_, count)| count).sum(),
            top: top(&stacks),
            svg: flame::draw(title, "samples", &stacks),
            pprof: written.map_err(ProfileError::Compress)?,
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
