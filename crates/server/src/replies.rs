//! Replies to reads, given again while their repository has not changed.

use crate::output::Reply;
use git::{CacheFigures, Generation};
use quick_cache::{Weighter, sync::Cache};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// Share of the cache that one reply may take.
const LARGEST: usize = 8;
/// Bytes that an entry takes besides its texts.
const OVERHEAD: usize = 256;
/// Estimated average size of a reply, in bytes.
const USUAL: usize = 4096;

/// A cache of replies by call, bounded by their size.
pub(crate) struct Replies {
    kept: Cache<String, Kept, BySize>,
    max_bytes: usize,
    is_off: AtomicBool,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Clone)]
struct Kept {
    generation: Generation,
    reply: Arc<Reply>,
}

#[derive(Clone)]
struct BySize;

impl Weighter<String, Kept> for BySize {
    fn weight(&self, call: &String, kept: &Kept) -> u64 {
        (call.len() + size(&kept.reply)) as u64
    }
}

fn size(reply: &Reply) -> usize {
    // The tree of a structured result takes several times its text.
    let structured = reply.structured.as_ref().map_or(0, |value| 4 * value.to_string().len());
    OVERHEAD + reply.text.len() + structured
}

impl Replies {
    /// A cache of at most `max_bytes`.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            kept: Cache::with_weighter(max_bytes / USUAL, max_bytes as u64, BySize),
            max_bytes,
            is_off: AtomicBool::new(max_bytes == 0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// Whether replies are kept at all.
    pub(crate) fn is_on(&self) -> bool {
        !self.is_off.load(Ordering::Relaxed)
    }

    /// The reply to the same call in the same state of its repository.
    pub(crate) fn get(&self, call: &str, generation: Generation) -> Option<Reply> {
        let found = self.kept.get(call).filter(|kept| kept.generation == generation);
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found.map(|kept| Reply::clone(&kept.reply))
    }

    /// Keeps a reply, unless it takes too large a share.
    pub(crate) fn put(&self, call: String, generation: Generation, reply: &Reply) {
        if self.is_on() && size(reply) <= self.max_bytes / LARGEST {
            self.kept.insert(call, Kept { generation, reply: Arc::new(reply.clone()) });
            // Another thread may have disabled the cache meanwhile.
            if !self.is_on() {
                self.kept.clear();
            }
        }
    }

    /// Statistics. The limit is in bytes.
    pub(crate) fn figures(&self) -> CacheFigures {
        let [hits, misses] = [&self.hits, &self.misses].map(|count| count.load(Ordering::Relaxed));
        CacheFigures { entries: self.kept.len(), limit: if self.is_on() { self.max_bytes } else { 0 }, hits, misses }
    }

    /// Drops every reply, and returns their number.
    pub(crate) fn clear(&self) -> usize {
        let had = self.kept.len();
        self.kept.clear();
        had
    }

    /// Enables or disables the cache. A disabled one holds nothing.
    pub(crate) fn set_enabled(&self, on: bool) {
        self.is_off.store(!on || self.max_bytes == 0, Ordering::Relaxed);
        if !on {
            self.clear();
        }
    }
}
