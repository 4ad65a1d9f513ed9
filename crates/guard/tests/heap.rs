//! The heap profiler, installed as the allocator of a program.

#![allow(clippy::expect_used, reason = "tests fail loudly")]

use guard::heap::{self, Allocator, Stack};
use std::{hint::black_box, thread};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

const MIB: usize = 1 << 20;

/// Allocates blocks that are found by this function's name.
#[inline(never)]
fn blocks_of(size: usize, count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|_| black_box(vec![1; size])).collect()
}

fn is_of(stack: &Stack, name: &str) -> bool {
    let mut found = false;
    for frame in &stack.frames {
        backtrace::resolve(std::ptr::without_provenance_mut(*frame), |symbol| {
            found |= symbol.name().is_some_and(|symbol| symbol.to_string().contains(name));
        });
    }
    found
}

fn bytes_of(name: &str) -> f64 {
    let bytes = heap::live().iter().filter(|stack| is_of(stack, name)).map(|stack| stack.bytes).sum();
    // The cache is as large as the program's symbols.
    backtrace::clear_symbol_cache();
    bytes
}

fn is_about(bytes: f64, expected: usize) -> bool {
    let expected = f64::from(u32::try_from(expected).expect("a small number"));
    (bytes - expected).abs() < expected / 4.0
}

// A single test: the profiler is global to the process.
#[test]
fn live_memory_is_attributed_to_the_allocating_stack() {
    assert!(!heap::is_tracking() && heap::live().is_empty());
    let before = blocks_of(1000, 10_000);
    assert!(heap::track(true) && heap::track(true) && heap::is_tracking());
    drop(before);
    assert!(bytes_of("blocks_of") < 100_000.0, "earlier allocations are not counted, and freeing them is harmless");

    // Small allocations are sampled, large ones are always recorded.
    for (size, count) in [(100, 400_000), (5000, 8000), (4 * MIB, 10)] {
        let held = blocks_of(size, count);
        let bytes = bytes_of("blocks_of");
        // Including the vector that holds the blocks.
        assert!(is_about(bytes, (size + size_of::<Vec<u8>>()) * count), "{size} × {count}: {bytes}");
        drop(held);
        assert!(bytes_of("blocks_of") < 200_000.0, "freed memory is not counted");
    }

    // A growing vector is counted once; memory freed by another thread is not counted.
    let mut grown: Vec<u8> = Vec::new();
    for number in 0..20 * MIB {
        grown.push(number.to_le_bytes()[0]);
    }
    let elsewhere = blocks_of(2000, 10_000);
    let total: f64 = heap::live().iter().map(|stack| stack.bytes).sum();
    assert!(is_about(total, 32 * MIB + 20_240_000), "{total}");
    thread::spawn(move || drop((grown, elsewhere))).join().expect("a thread");
    assert!(heap::live().iter().map(|stack| stack.bytes).sum::<f64>() < 1_000_000.0);

    // Concurrent threads.
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..50).for_each(|_| drop(blocks_of(3000, 200))));
        }
        for _ in 0..100 {
            black_box(heap::live());
        }
    });
    assert!(bytes_of("blocks_of") < 500_000.0);

    let held = blocks_of(MIB, 4);
    assert!(heap::track(false) && heap::live().is_empty());
    drop(held);
    let held = blocks_of(MIB, 4);
    assert!(heap::track(true) && bytes_of("blocks_of") < 100_000.0, "a restart clears earlier samples");
    drop(held);
}
