//! Health reports: verdict, calls, memory and caches.

use super::words::{Shown, bytes, fine, known, lines, plain, table, tenth, time};
use crate::{
    admin::answers::{
        caches::{Caches, Cleared},
        memory::{self, Memory, Trimmed},
        name::Name,
        status::{Brief, Configuration, Process, Status, Store},
    },
    lifecycle::phase::Phase,
    output::counted,
};
use std::fmt::Write as _;

pub(in crate::cli) fn status(answer: &Status) -> Shown {
    let Status { brief, process, .. } = answer;
    let mut text = match answer.problems.len() {
        0 => "Verdict: fine\n".to_owned(),
        number => format!("Verdict: {}\n", counted(number, "problem")),
    };
    for one in &answer.problems {
        let _ = writeln!(text, "  {}. Next: {}", plain(&one.what), plain(&one.next));
    }
    text += &lines(&[
        ("Server", format!("mcp-server-git {} (commit {}), pid {}", plain(&brief.version), plain(&answer.commit), brief.pid)),
        ("Phase", phase(brief)),
        ("Uptime", time(answer.uptime_ms)),
        ("Sessions", format!("{}, {} evicted", brief.sessions, answer.evicted)),
        ("Circuits not closed", plain(answer.open_circuits)),
        ("Store", kept(&answer.store)),
        ("Sandbox", plain(&answer.sandbox)),
        ("Memory", format!("{}, at most {}", bytes(process.rss), bytes(process.peak_rss))),
        ("Processors", processors(process)),
        ("Threads", known(process.threads)),
        ("Descriptors", format!("{} of {}", known(process.descriptors), known(process.max_descriptors))),
        ("Runtime lag", format!("{} ms, at worst {} ms", tenth(process.runtime_lag_ms), tenth(process.runtime_lag_max_ms))),
        ("Writes waiting for the store", plain(answer.store.backlog)),
    ]);
    text += &configuration(&answer.configuration);
    text += &damage(&answer.store);
    text.push('\n');
    text += &calls(answer);
    for (count, left, title) in [
        (answer.interrupted_count, &answer.interrupted, "Interrupted when a previous server exited"),
        (answer.orphaned_count, &answer.orphaned, "Worktrees whose repository is gone"),
    ] {
        if !left.is_empty() {
            text = left.iter().fold(format!("{text}\n{title}: {count}\n"), |text, one| text + "  " + &plain(one) + "\n");
        }
    }
    Shown { text, is_fine: answer.problems.is_empty() }
}

fn kept(store: &Store) -> String {
    match &store.away {
        None if store.opened => format!("ok, {}", plain(&store.place)),
        None => format!("not opened yet, {}", plain(&store.place)),
        Some(why) => format!("unavailable: {}", plain(why)),
    }
}

/// What happened to the files of the store.
fn damage(store: &Store) -> String {
    let mut text = String::new();
    if store.replaced > 0 {
        let rows = match store.rescued {
            None => "its rows were lost".to_owned(),
            Some(1) => "1 of its rows is in the new one".to_owned(),
            Some(rows) => format!("{rows} of its rows are in the new one"),
        };
        text += &lines(&[("Database removed or replaced in use", format!("{}, the last time {rows}", counted(store.replaced, "time")))]);
    }
    if let Some(file) = &store.quarantined {
        text += &lines(&[("Damaged database, set aside", plain(file))]);
    }
    text
}

/// The calls of each class, and what delays them.
fn calls(answer: &Status) -> String {
    let mut text = table(
        ["CALLS", "RUNNING", "WAITING", "PLACES", "REJECTED", "LOST THREADS", "SINCE START"],
        answer.calls.iter().map(|one| {
            [
                one.class.to_string(),
                one.running.to_string(),
                one.waiting.to_string(),
                one.places.to_string(),
                one.rejected.to_string(),
                one.lost.to_string(),
                one.lost_since_start.to_string(),
            ]
        }),
    );
    for one in answer.calls.iter().filter(|one| one.waiting_for_worktree > 0) {
        let waiting = one.waiting_for_worktree;
        let (queue, their) = if waiting == 1 { ("queues", "its") } else { ("queue", "their") };
        let _ = writeln!(text, "{waiting} of the waiting {} calls {queue} behind another change in {their} worktree.", one.class);
    }
    let limit = answer.lost_limit;
    if answer.calls.iter().any(|one| one.lost >= limit.max(1)) {
        let _ = writeln!(
            text,
            "Calls of a class are refused while {limit} of its threads are lost. Check the file systems of the repositories, then restart \
             the server."
        );
    }
    text
}

fn processors(process: &Process) -> String {
    if process.cpu_percent.is_none() {
        return "not known yet".to_owned();
    }
    let load: Vec<String> = process.load_average.iter().flatten().map(|load| tenth(*load)).collect();
    format!(
        "{} % of {} busy, this server {} % of one, load {}",
        tenth(process.cpu_percent),
        known(process.cpu_count),
        tenth(process.process_cpu_percent),
        load.join(" ")
    )
}

fn phase(brief: &Brief) -> String {
    let is_draining = brief.phase == Name(Phase::Draining);
    let hint = if is_draining { ": new work is rejected; `mcp-server-git resume` ends the drain" } else { "" };
    format!("{}{hint}", brief.phase)
}

/// Configuration changes that are not in effect.
fn configuration(own: &Configuration) -> String {
    let mut text = String::new();
    if let Some(why) = &own.failed {
        text += &lines(&[("Configuration not reloaded, the previous one is in effect", plain(why))]);
    }
    if !own.needs_restart.is_empty() {
        text += &lines(&[("Changed keys that need a restart", plain(own.needs_restart.join(", ")))]);
    }
    text
}

/// Growth per hour above which heap tracking is suggested, in bytes.
const GROWTH: i64 = 8 << 20;

pub(in crate::cli) fn memory(answer: &Memory) -> Shown {
    let refuses = answer.refuses_calls;
    let limit = if answer.soft_limit.is_none() {
        "none (`memory.soft_limit`)".to_owned()
    } else {
        format!("{}, of which {} are in use", bytes(answer.soft_limit), bytes(answer.used))
    };
    let growth = match answer.bytes_per_hour {
        None => "not known yet".to_owned(),
        slope => format!("{} an hour", bytes(slope)),
    };
    let mut text = lines(&[
        ("Memory in use", bytes(answer.rss)),
        ("At most", bytes(answer.peak_rss)),
        ("Allocated", format!("{}, and {} free in the allocator", bytes(answer.allocated), bytes(answer.allocator_free))),
        ("Limit", limit),
        ("Growth", growth),
        ("New calls", if refuses { "refused until less is in use".to_owned() } else { "accepted".to_owned() }),
    ]);
    if refuses {
        let _ = writeln!(text, "`mcp-server-git status memory --trim` clears the caches; `operations` shows what runs. {}.", memory::RAISE);
    }
    if answer.bytes_per_hour > Some(GROWTH) {
        text += "`mcp-server-git profile heap --track on` shows which code allocates.\n";
    }
    Shown { text, is_fine: !refuses }
}

pub(super) fn trimmed(answer: &Trimmed) -> Shown {
    let text = lines(&[
        ("Memory before", bytes(answer.before)),
        ("Memory after", bytes(answer.after)),
        ("Memory recovered", bytes(answer.recovered)),
    ]);
    fine(text + &cleared(&answer.caches).text)
}

pub(in crate::cli) fn caches(answer: &Caches) -> Shown {
    let text = table(
        ["CACHE", "ENTRIES", "LIMIT", "HITS", "MISSES", "HOLDS"],
        answer.caches.iter().map(|one| {
            let limit = if one.enabled { one.limit.to_string() } else { "off".to_owned() };
            [plain(&one.name), one.entries.to_string(), limit, one.hits.to_string(), one.misses.to_string(), plain(&one.what)]
        }),
    );
    fine(text + &lines(&[("Swept every", time(answer.sweep_interval_ms))]))
}

pub(super) fn cleared(answer: &Cleared) -> Shown {
    fine(
        answer
            .cleared
            .iter()
            .fold(String::new(), |text, one| text + &lines(&[(&format!("Cleared {}", plain(&one.name)), counted(one.entries, "entry"))])),
    )
}
