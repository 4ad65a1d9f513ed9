//! A sampling heap profiler: which code holds memory, by the stacks that allocated it. Off by default.
//!
//! [`Allocator`] wraps the system allocator. While tracking is off, an allocation costs one load of a flag. While it is on, one
//! byte in [`PERIOD`] is sampled on average, and each sample is weighted by its inverse probability: the figures are unbiased
//! estimates, useful from some MiB up. Only memory allocated while tracking is on is seen.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    collections::HashMap,
    hash::{BuildHasherDefault, DefaultHasher},
    sync::{
        Mutex, MutexGuard, TryLockError,
        atomic::{AtomicBool, AtomicU16, Ordering},
    },
    thread,
};

/// Average number of bytes per sample.
pub const PERIOD: f64 = 65_536.0;
/// Maximum number of frames kept per stack.
const MAX_DEPTH: usize = 64;
/// Maximum number of distinct stacks. Further ones have no frames.
const MAX_STACKS: usize = 1 << 14;
/// Maximum number of samples per shard: enough for some ten GiB in total.
const MAX_SAMPLES: usize = 1 << 14;
/// Number of shards of the sample table, against lock contention.
const PARTS: usize = 16;
/// How often a lock is tried. In a forked process, the thread that holds it may not exist.
const TRIES: usize = 1000;

/// The system allocator, with sampling.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allocator;

/// Estimated memory in use that was allocated by one stack.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stack {
    /// Return addresses, the innermost first.
    pub frames: Vec<usize>,
    /// Bytes.
    pub bytes: f64,
    /// Allocations.
    pub count: f64,
}

static ON: AtomicBool = AtomicBool::new(false);
/// Number of samples per address hash. Most addresses have none, which avoids taking a lock for them.
static KINDS: [AtomicU16; 1 << 16] = [const { AtomicU16::new(0) }; 1 << 16];
static SAMPLES: [Mutex<Samples>; PARTS] = [const { Mutex::new(Samples::with_hasher(BuildHasherDefault::new())) }; PARTS];
static STACKS: Mutex<Stacks> = Mutex::new(Stacks { known: HashMap::with_hasher(BuildHasherDefault::new()) });

/// Samples by address.
type Samples = HashMap<usize, Sample, BuildHasherDefault<DefaultHasher>>;

struct Sample {
    size: usize,
    stack: usize,
}

/// Known stacks and their numbers. Number 0 has no frames.
struct Stacks {
    known: HashMap<Box<[usize]>, usize, BuildHasherDefault<DefaultHasher>>,
}

thread_local! {
    /// Bytes until the next sample; negative if not drawn yet.
    static LEFT: Cell<f64> = const { Cell::new(-1.0) };
    static RANDOM: Cell<u64> = const { Cell::new(0) };
    /// Set while the sampler itself runs.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Starts or stops tracking allocations, and clears earlier samples.
///
/// Returns false if the program uses another allocator than [`Allocator`], so that tracking is impossible.
pub fn track(on: bool) -> bool {
    if on == is_tracking() {
        return true;
    }
    ON.store(false, Ordering::SeqCst);
    clear();
    if !on {
        return true;
    }
    ON.store(true, Ordering::SeqCst);
    // The next allocation is sampled.
    LEFT.set(0.0);
    let probe = std::hint::black_box(Box::new([0_u64; 64]));
    let is_seen = LEFT.get() > 0.0;
    drop(probe);
    if !is_seen {
        ON.store(false, Ordering::SeqCst);
    }
    is_seen
}

/// Whether allocations are tracked.
pub fn is_tracking() -> bool {
    ON.load(Ordering::Relaxed)
}

/// Memory allocated since tracking began and still in use: one entry per stack, the largest first.
pub fn live() -> Vec<Stack> {
    let mut stacks = inside(|| {
        let mut stacks = vec![Stack::default(); 1];
        for (frames, number) in &lock(&STACKS)?.known {
            stacks.resize_with(stacks.len().max(number + 1), Stack::default);
            stacks[*number].frames = frames.to_vec();
        }
        for part in &SAMPLES {
            for sample in lock(part)?.values() {
                let chance = chance(sample.size);
                // A stack added since the first loop: count its sample under number 0.
                let at = if sample.stack < stacks.len() { sample.stack } else { 0 };
                stacks[at].bytes += size(sample.size) / chance;
                stacks[at].count += chance.recip();
            }
        }
        Some(stacks)
    })
    .flatten()
    .unwrap_or_default();
    stacks.retain(|stack| stack.count > 0.0);
    stacks.sort_by(|a, b| b.bytes.total_cmp(&a.bytes).then_with(|| a.frames.cmp(&b.frames)));
    stacks
}

fn clear() {
    inside(|| {
        for mut part in SAMPLES.iter().filter_map(lock) {
            for (address, _) in part.drain() {
                kind(address).fetch_sub(1, Ordering::Relaxed);
            }
            part.shrink_to_fit();
        }
        if let Some(mut stacks) = lock(&STACKS) {
            stacks.known.clear();
            stacks.known.shrink_to_fit();
        }
    });
}

/// Runs `work` without sampling it. Returns `None` when nested.
fn inside<T>(work: impl FnOnce() -> T) -> Option<T> {
    if INSIDE.replace(true) {
        return None;
    }
    let done = work();
    INSIDE.set(false);
    Some(done)
}

fn lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    for _ in 0..TRIES {
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(guard)) => return Some(guard.into_inner()),
            Err(TryLockError::WouldBlock) => thread::yield_now(),
        }
    }
    None
}

fn hash(address: usize) -> usize {
    // Addresses are multiples of 16. The upper half of the product depends on all of their bits.
    let product = (address as u64 >> 4).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (product >> 32) as u32 as usize
}

fn kind(address: usize) -> &'static AtomicU16 {
    &KINDS[hash(address) % KINDS.len()]
}

fn part(address: usize) -> &'static Mutex<Samples> {
    &SAMPLES[hash(address) / KINDS.len() % PARTS]
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn size(bytes: usize) -> f64 {
    bytes as f64
}

/// Probability that an allocation of this size is sampled.
fn chance(bytes: usize) -> f64 {
    -(-size(bytes.max(1)) / PERIOD).exp_m1()
}

/// Bytes until the next sample, exponentially distributed.
fn interval() -> f64 {
    RANDOM.with(|random| {
        let mut state = random.get();
        if state == 0 {
            // A different seed in each thread.
            state = hash(std::ptr::from_ref(random).addr()) as u64 | 1;
        }
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        random.set(state);
        let unit = (f64::from((state >> 32) as u32) + 1.0) / (f64::from(u32::MAX) + 1.0);
        -unit.ln() * PERIOD
    })
}

/// Records an allocation if a sample is due.
#[cold]
#[inline(never)]
fn allocated(address: usize, bytes: usize) {
    let left = LEFT.get();
    let left = if left < 0.0 { interval() } else { left } - size(bytes);
    if left > 0.0 {
        LEFT.set(left);
        return;
    }
    inside(|| {
        LEFT.set(interval());
        sample(address, bytes);
    });
}

#[cold]
fn sample(address: usize, bytes: usize) {
    let mut frames = [0; MAX_DEPTH];
    let mut depth = 0;
    let take = |frame: &backtrace::Frame| {
        frames[depth] = frame.ip().addr();
        depth += 1;
        depth < MAX_DEPTH
    };
    #[expect(unsafe_code, reason = "the synchronized variant could deadlock in a forked process")]
    // SAFETY: only on Windows must two threads not run this at the same time.
    unsafe {
        backtrace::trace_unsynchronized(take);
    }
    let Some(stack) = lock(&STACKS).map(|mut stacks| stacks.number(&frames[..depth])) else { return };
    let Some(mut samples) = lock(part(address)) else { return };
    if samples.len() < MAX_SAMPLES && samples.insert(address, Sample { size: bytes, stack }).is_none() {
        kind(address).fetch_add(1, Ordering::Relaxed);
    }
}

impl Stacks {
    fn number(&mut self, frames: &[usize]) -> usize {
        if let Some(number) = self.known.get(frames) {
            return *number;
        }
        if self.known.len() >= MAX_STACKS {
            return 0;
        }
        let number = self.known.len() + 1;
        self.known.insert(frames.into(), number);
        number
    }
}

/// Removes the sample of an address about to be freed.
#[cold]
#[inline(never)]
fn freed(address: usize) {
    if kind(address).load(Ordering::Relaxed) == 0 {
        return;
    }
    inside(|| {
        if lock(part(address)).is_some_and(|mut samples| samples.remove(&address).is_some()) {
            kind(address).fetch_sub(1, Ordering::Relaxed);
        }
    });
}

#[expect(unsafe_code, reason = "an allocator is unsafe to implement")]
// SAFETY: each function delegates to the system allocator with the same arguments and results. The sampler allocates under
// `INSIDE`, does not unwind, and never reads or writes the memory it returns. None is inlined: the check at each of the many
// allocations would make the program 2 MB larger.
unsafe impl GlobalAlloc for Allocator {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds the contract of the system allocator, which is the same.
        let memory = unsafe { System.alloc(layout) };
        if is_tracking() && !memory.is_null() {
            allocated(memory.addr(), layout.size());
        }
        memory
    }

    #[inline(never)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let memory = unsafe { System.alloc_zeroed(layout) };
        if is_tracking() && !memory.is_null() {
            allocated(memory.addr(), layout.size());
        }
        memory
    }

    #[inline(never)]
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // Before another thread can be given the same address.
        if is_tracking() {
            freed(memory.addr());
        }
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }

    #[inline(never)]
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if is_tracking() {
            freed(memory.addr());
        }
        // SAFETY: as above.
        let moved = unsafe { System.realloc(memory, layout, size) };
        if is_tracking() && !moved.is_null() {
            allocated(moved.addr(), size);
        }
        moved
    }
}
