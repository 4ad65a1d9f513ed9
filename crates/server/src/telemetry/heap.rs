//! Heap profiling: snapshots of the sampled heap, growth between snapshots, and the allocating stacks.
//!
//! While sampling is off it costs one load per allocation. See [`guard::heap`] for its limits.

use super::{flame, process};
use flate2::{Compression, write::GzEncoder};
use guard::heap::{self, Stack};
use parking_lot::{Mutex, MutexGuard};
use pprof::protos::{self, Message};
use std::{
    collections::{HashMap, VecDeque},
    io::Write,
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// Maximum number of stacks in a snapshot. The smaller ones are merged into one.
const MAX_STACKS: usize = 2000;
/// Number of allocators reported, and of callers shown for each.
const TOP: usize = 10;
const CALLERS: usize = 5;
/// The longest label of a snapshot, in characters.
const MAX_LABEL: usize = 80;
/// Minimum growth for a warning, in bytes, if memory grows from snapshot to snapshot.
const STEADY: i64 = 1 << 20;
/// Module of the allocator's own functions.
const OWN: &str = "guard::heap::";
/// Functions that allocate on behalf of others.
const ALLOCATING: [&str; 9] = ["__rust", "__rdl", "alloc::", "<alloc::", "core::", "<core::", "std::", "<std::", "hashbrown::"];

/// The snapshots of a server.
#[doc(alias = "MemoryLeakDetector")]
#[derive(Debug, Default)]
pub struct Tracker {
    kept: Mutex<Tracked>,
}

#[derive(Debug, Default)]
struct Tracked {
    snapshots: VecDeque<Arc<Snapshot>>,
    last: u64,
    since: Option<Instant>,
    /// Tracking ends with the snapshot for which it began.
    is_brief: bool,
}

/// The heap at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// Its number.
    pub id: u64,
    /// Its label.
    pub label: String,
    /// When it was taken.
    pub at: SystemTime,
    /// Resident memory of the process, in bytes.
    pub rss: Option<u64>,
    /// Live allocations by stack, largest first.
    pub stacks: Vec<Stack>,
}

/// Memory allocated by one function.
#[derive(Clone, Debug, PartialEq)]
pub struct Allocator {
    /// The innermost function that does not allocate on behalf of others, followed by its callers.
    pub functions: Vec<String>,
    /// Its memory, or the growth of it, in bytes.
    pub bytes: i64,
    /// Number of its allocations, or the growth of it.
    pub count: i64,
}

/// A report on stacks, in several formats.
#[derive(Debug)]
pub struct Report {
    /// The functions that allocated most.
    #[doc(alias = "get_top_allocators")]
    pub top: Vec<Allocator>,
    /// A flame graph, as SVG.
    pub svg: String,
    /// A gzipped pprof profile.
    pub pprof: Vec<u8>,
}

impl Snapshot {
    /// Tracked bytes, and number of allocations.
    pub fn total(&self) -> (i64, i64) {
        let (bytes, count) = total(&self.stacks);
        (signed(bytes), signed(count))
    }

    /// Differences from an earlier snapshot, largest growth first.
    #[doc(alias = "analyze_leaks")]
    pub fn growth_since(&self, earlier: &Self) -> Vec<Stack> {
        let mut before: HashMap<&[usize], &Stack> = earlier.stacks.iter().map(|stack| (&*stack.frames, stack)).collect();
        let mut grown: Vec<Stack> = self
            .stacks
            .iter()
            .map(|now| {
                let (bytes, count) = before.remove(&*now.frames).map_or((0.0, 0.0), |old| (old.bytes, old.count));
                Stack { frames: now.frames.clone(), bytes: now.bytes - bytes, count: now.count - count }
            })
            .collect();
        grown.extend(before.into_values().map(|gone| Stack { frames: gone.frames.clone(), bytes: -gone.bytes, count: -gone.count }));
        grown.sort_by(|a, b| b.bytes.total_cmp(&a.bytes).then_with(|| a.frames.cmp(&b.frames)));
        grown
    }
}

impl Tracker {
    fn lock(&self) -> MutexGuard<'_, Tracked> {
        self.kept.lock()
    }

    /// Starts tracking allocations until [`Self::end`]. Returns false if this program cannot: it needs the allocator of
    /// [`guard::heap`].
    #[doc(alias = "start_tracking")]
    pub fn begin(&self) -> bool {
        let mut kept = self.lock();
        let begun = heap::track(true);
        if begun {
            kept.since.get_or_insert_with(Instant::now);
            kept.is_brief = false;
        }
        begun
    }

    /// Starts tracking for one snapshot, unless tracking is on.
    pub(crate) fn begin_briefly(&self) -> bool {
        let mut kept = self.lock();
        let begun = heap::track(true);
        if begun && kept.since.is_none() {
            (kept.since, kept.is_brief) = (Some(Instant::now()), true);
        }
        begun
    }

    /// Stops tracking. Snapshots are kept.
    pub fn end(&self) {
        let mut kept = self.lock();
        heap::track(false);
        (kept.since, kept.is_brief) = (None, false);
    }

    /// Stops tracking if it was started for one snapshot and not requested since.
    pub(crate) fn end_brief(&self) {
        if self.lock().is_brief {
            self.end();
        }
    }

    /// Start of tracking; `None` if it is off.
    pub fn since(&self) -> Option<Instant> {
        self.lock().since
    }

    /// The snapshots, oldest first.
    pub fn snapshots(&self) -> Vec<Arc<Snapshot>> {
        self.lock().snapshots.iter().cloned().collect()
    }

    /// The snapshot with this number, or the newest one with this label.
    pub fn find(&self, name: &str) -> Option<Arc<Snapshot>> {
        let kept = self.lock();
        let id = name.parse::<u64>().ok();
        let by_id = kept.snapshots.iter().find(|one| Some(one.id) == id);
        by_id.or_else(|| kept.snapshots.iter().rev().find(|one| one.label == name)).cloned()
    }

    /// Takes a snapshot and keeps it with the newest `keep - 1` others.
    #[doc(alias = "take_snapshot")]
    pub fn snapshot(&self, label: &str, keep: usize) -> Arc<Snapshot> {
        let mut stacks = heap::live();
        if stacks.len() > MAX_STACKS {
            let (bytes, count) = total(&stacks[MAX_STACKS - 1..]);
            stacks.truncate(MAX_STACKS - 1);
            stacks.push(Stack { frames: Vec::new(), bytes, count });
        }
        let mut kept = self.lock();
        kept.last += 1;
        let label = label.chars().take(MAX_LABEL).collect();
        let snapshot = Arc::new(Snapshot { id: kept.last, label, at: SystemTime::now(), rss: process::rss(), stacks });
        kept.snapshots.push_back(Arc::clone(&snapshot));
        while kept.snapshots.len() > keep.max(1) {
            kept.snapshots.pop_front();
        }
        snapshot
    }

    /// Takes the periodic snapshot. After `analyze_after` of them, logs the growth and keeps the last `keep`.
    pub(crate) fn tick(&self, analyze_after: usize, keep: usize) {
        if !heap::is_tracking() {
            return;
        }
        self.snapshot("periodic", analyze_after.max(keep));
        let all = self.snapshots();
        let (Some(first), Some(last)) = (all.first(), all.last()) else { return };
        if all.len() < analyze_after {
            return;
        }
        let sizes: Vec<i64> = all.iter().map(|snapshot| snapshot.total().0).collect();
        let growth = sizes.last().copied().unwrap_or_default() - sizes.first().copied().unwrap_or_default();
        let top = report("growth", &last.growth_since(first)).top;
        let by = top.first().and_then(|top| top.functions.first()).map(String::as_str);
        // Older snapshots are gone when the message is read.
        let oldest = all[all.len().saturating_sub(keep.max(2)).min(all.len() - 2)].id;
        if growth >= STEADY && sizes.is_sorted() {
            tracing::warn!(
                growth,
                by,
                from = first.id,
                to = last.id,
                "memory in use grows steadily: see `mcp-server-git profile heap --diff {oldest} {}`",
                last.id
            );
        } else {
            tracing::info!(growth, by, from = first.id, to = last.id, "heap snapshots compared");
        }
        let mut kept = self.lock();
        while kept.snapshots.len() > keep.max(2) {
            kept.snapshots.pop_front();
        }
    }
}

fn total(stacks: &[Stack]) -> (f64, f64) {
    stacks.iter().fold((0.0, 0.0), |(bytes, count), stack| (bytes + stack.bytes, count + stack.count))
}

/// Symbolizes stacks and draws those with live memory.
pub fn report(title: &str, stacks: &[Stack]) -> Report {
    let mut symbols = Names::default();
    let named: Vec<(Vec<String>, &Stack)> = stacks.iter().map(|stack| (symbols.of(&stack.frames), stack)).collect();
    let drawn: Vec<(Vec<String>, u64)> = named
        .iter()
        .filter(|(_, stack)| stack.bytes > 0.0)
        .map(|(functions, stack)| (functions.iter().rev().cloned().collect(), whole(stack.bytes / 1024.0)))
        .collect();
    let report = Report { top: top(&named), svg: flame::draw(title, "KiB", &drawn), pprof: encoded(stacks, &mut symbols) };
    // The cache is as large as the program's symbols.
    backtrace::clear_symbol_cache();
    report
}

/// The functions that allocated most, by call path.
fn top(named: &[(Vec<String>, &Stack)]) -> Vec<Allocator> {
    let mut by: HashMap<Vec<String>, (f64, f64)> = HashMap::new();
    for (functions, stack) in named {
        // Names of functions inlined into the allocator may be short, so only its last function marks its end.
        let own = functions.iter().rposition(|name| name.contains(OWN)).map_or(0, |at| at + 1);
        let is_for_itself = |name: &String| !ALLOCATING.iter().any(|prefix| name.starts_with(prefix));
        let begin = functions.iter().skip(own).position(is_for_itself).map_or(0, |at| own + at);
        let (bytes, count) = by.entry(functions.iter().skip(begin).take(CALLERS).cloned().collect()).or_default();
        *bytes += stack.bytes;
        *count += stack.count;
    }
    let mut top: Vec<Allocator> =
        by.into_iter().map(|(functions, (bytes, count))| Allocator { functions, bytes: signed(bytes), count: signed(count) }).collect();
    top.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.functions.cmp(&b.functions)));
    top.truncate(TOP);
    top
}

/// Function names by address.
#[derive(Default)]
struct Names {
    known: HashMap<usize, Vec<String>>,
}

impl Names {
    /// Innermost first; inlined functions come before the ones they are inlined into.
    fn at(&mut self, address: usize) -> &[String] {
        self.known.entry(address).or_insert_with(|| {
            let mut names = Vec::new();
            // The library subtracts one from a return address to get the call.
            backtrace::resolve(std::ptr::without_provenance_mut(address), |symbol| {
                names.extend(symbol.name().map(|name| format!("{name:#}")));
            });
            if names.is_empty() { vec![format!("{address:#x}")] } else { names }
        })
    }

    fn of(&mut self, frames: &[usize]) -> Vec<String> {
        if frames.is_empty() {
            return vec!["other stacks".to_owned()];
        }
        frames.iter().flat_map(|frame| self.at(*frame).to_vec()).collect()
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate that is not negative")]
fn whole(number: f64) -> u64 {
    number.max(0.0).round() as u64
}

#[expect(clippy::cast_possible_truncation, reason = "an estimate")]
fn signed(number: f64) -> i64 {
    number.round() as i64
}

/// Encodes the stacks as a pprof profile.
fn encoded(stacks: &[Stack], names: &mut Names) -> Vec<u8> {
    let mut strings = Strings::default();
    let [objects, count, space, bytes] = ["inuse_objects", "count", "inuse_space", "bytes"].map(|text| strings.number(text));
    let (mut locations, mut functions) = (HashMap::new(), HashMap::new());
    let mut profile = protos::Profile {
        sample_type: vec![protos::ValueType { ty: objects, unit: count }, protos::ValueType { ty: space, unit: bytes }],
        period_type: Some(protos::ValueType { ty: space, unit: bytes }),
        period: signed(heap::PERIOD),
        time_nanos: SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|time| i64::try_from(time.as_nanos()).ok()).unwrap_or(0),
        ..protos::Profile::default()
    };
    for stack in stacks {
        let mut location_id = Vec::new();
        for address in &stack.frames {
            let next = locations.len() as u64 + 1;
            let id = *locations.entry(*address).or_insert(next);
            location_id.push(id);
            if id != next {
                continue;
            }
            let mut line = Vec::new();
            for name in names.at(*address) {
                let next = functions.len() as u64 + 1;
                let name = strings.number(name);
                let function_id = *functions.entry(name).or_insert(next);
                line.push(protos::Line { function_id, line: 0 });
                if function_id == next {
                    profile.function.push(protos::Function { id: next, name, system_name: name, ..protos::Function::default() });
                }
            }
            profile.location.push(protos::Location { id, address: *address as u64, line, ..protos::Location::default() });
        }
        let value = vec![signed(stack.count), signed(stack.bytes)];
        profile.sample.push(protos::Sample { location_id, value, label: Vec::new() });
    }
    profile.string_table = strings.table();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory cannot fail.
    gzip.write_all(&profile.encode_to_vec()).ok();
    gzip.finish().unwrap_or_default()
}

/// String table of a profile. Index 0 is the empty string.
struct Strings {
    numbers: HashMap<String, i64>,
}

impl Default for Strings {
    fn default() -> Self {
        Self { numbers: HashMap::from([(String::new(), 0)]) }
    }
}

impl Strings {
    fn number(&mut self, text: &str) -> i64 {
        let next = i64::try_from(self.numbers.len()).unwrap_or(i64::MAX);
        *self.numbers.entry(text.to_owned()).or_insert(next)
    }

    fn table(self) -> Vec<String> {
        let mut table: Vec<(String, i64)> = self.numbers.into_iter().collect();
        table.sort_by_key(|(_, number)| *number);
        table.into_iter().map(|(text, _)| text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(id: u64, stacks: &[(usize, f64)]) -> Snapshot {
        let stacks = stacks.iter().map(|(frame, bytes)| Stack { frames: vec![*frame], bytes: *bytes, count: 1.0 }).collect();
        Snapshot { id, label: String::new(), at: SystemTime::now(), rss: None, stacks }
    }

    #[test]
    fn growth_is_sorted_from_largest_to_most_negative() {
        let (old, new) = (snapshot(1, &[(1, 100.0), (2, 50.0), (3, 10.0)]), snapshot(2, &[(2, 90.0), (4, 70.0), (3, 10.0)]));
        let grown: Vec<(usize, f64)> = new.growth_since(&old).iter().map(|stack| (stack.frames[0], stack.bytes)).collect();
        assert_eq!(grown, [(4, 70.0), (2, 40.0), (3, 0.0), (1, -100.0)]);
    }

    #[test]
    fn snapshots_are_found_by_number_and_label_and_the_last_ones_are_kept() {
        let tracker = Tracker::default();
        for label in ["start", "load", "load", "end"] {
            tracker.snapshot(label, 3);
        }
        assert_eq!(tracker.snapshots().iter().map(|one| one.id).collect::<Vec<_>>(), [2, 3, 4]);
        let id = |name: &str| tracker.find(name).map(|one| one.id);
        assert_eq!((id("load"), id("2"), id("4"), id("start"), id("1")), (Some(3), Some(2), Some(4), None, None));
    }

    #[test]
    fn a_report_names_functions_and_has_each_text_once() {
        let here = Stack { frames: vec![report as *const () as usize + 1], bytes: 4096.0, count: 2.0 };
        let result = report("test", &[here.clone(), here, Stack { frames: Vec::new(), bytes: 1.0, count: 1.0 }]);
        assert_eq!(result.top.len(), 2);
        assert!(result.top[0].functions[0].ends_with("heap::report") && result.svg.contains("heap::report"), "{:?}", result.top);
        let mut text = Vec::new();
        flate2::write::GzDecoder::new(&mut text).write_all(&result.pprof).expect("gzip");
        let profile = protos::Profile::decode(&*text).expect("a profile");
        assert_eq!((profile.sample.len(), profile.location.len(), profile.function.len()), (3, 1, 1));
        assert_eq!(profile.string_table[0], "");
        assert!(profile.string_table.iter().any(|text| text.ends_with("heap::report")));
    }
}
