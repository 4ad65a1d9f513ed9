//! Health reports: verdict, calls, memory and caches.

use super::words::{Shown, bytes, fine, is, lines, list, number, plain, table, tenth, time};
use serde_json::Value;
use std::fmt::Write as _;

pub(super) fn status(answer: &Value) -> Shown {
    let store = &answer["store"];
    let kept = match &store["away"] {
        Value::Null if is(&store["opened"]) => format!("ok, {}", plain(&store["place"])),
        Value::Null => format!("not opened yet, {}", plain(&store["place"])),
        why => format!("unavailable: {}", plain(why)),
    };
    let problems = list(&answer["problems"]);
    let mut text = match problems.len() {
        0 => "Verdict: fine\n".to_owned(),
        count => format!("Verdict: {count} problem{}\n", if count == 1 { "" } else { "s" }),
    };
    for one in problems {
        let _ = writeln!(text, "  {}. Next: {}", plain(&one["what"]), plain(&one["next"]));
    }
    text += &lines(&[
        (
            "Server",
            format!("mcp-server-git {} (commit {}), pid {}", plain(&answer["version"]), plain(&answer["commit"]), plain(&answer["pid"])),
        ),
        ("Phase", phase(answer)),
        ("Uptime", time(&answer["uptime_ms"])),
        ("Sessions", format!("{}, {} evicted", plain(&answer["sessions"]), plain(&answer["evicted"]))),
        ("Circuits not closed", plain(&answer["open_circuits"])),
        ("Store", kept),
        ("Sandbox", plain(&answer["sandbox"])),
        ("Memory", format!("{}, at most {}", bytes(&answer["process"]["rss"]), bytes(&answer["process"]["peak_rss"]))),
        ("Processors", processors(&answer["process"])),
        ("Threads", plain(&answer["process"]["threads"])),
        ("Descriptors", format!("{} of {}", plain(&answer["process"]["descriptors"]), plain(&answer["process"]["max_descriptors"]))),
        (
            "Runtime lag",
            format!("{} ms, at worst {} ms", tenth(&answer["process"]["runtime_lag_ms"]), tenth(&answer["process"]["runtime_lag_max_ms"])),
        ),
        ("Writes waiting for the store", plain(&store["backlog"])),
    ]);
    text += &configuration(answer);
    let replaced = number(&store["replaced"]);
    if replaced > 0 {
        let rows = match &store["rescued"] {
            Value::Null => "its rows were lost".to_owned(),
            rows => format!("{} of its rows are in the new one", plain(rows)),
        };
        text += &lines(&[("Database removed or replaced in use", format!("{replaced} times, the last time {rows}"))]);
    }
    if !store["quarantined"].is_null() {
        text += &lines(&[("Damaged database, set aside", plain(&store["quarantined"]))]);
    }
    text.push('\n');
    text += &table(
        ["CALLS", "RUNNING", "WAITING", "PLACES", "REJECTED", "LOST THREADS", "SINCE START"],
        list(&answer["calls"])
            .iter()
            .map(|one| ["class", "running", "waiting", "places", "rejected", "lost", "lost_since_start"].map(|key| plain(&one[key]))),
    );
    for one in list(&answer["calls"]) {
        let waiting = number(&one["waiting_for_worktree"]);
        if waiting > 0 {
            let _ =
                writeln!(text, "{waiting} of the waiting {} calls queue behind another change in their worktree.", plain(&one["class"]));
        }
    }
    let limit = number(&answer["lost_limit"]);
    let is_over = list(&answer["calls"]).iter().any(|one| number(&one["lost"]) >= limit.max(1));
    if is_over {
        let _ = writeln!(
            text,
            "Calls of a class are refused while {limit} of its threads are lost. Check the file systems of the repositories, then restart \
             the server."
        );
    }
    for (left, title) in [("interrupted", "Interrupted when a previous server exited"), ("orphaned", "Worktrees whose repository is gone")]
    {
        let (count, left) = (number(&answer[&format!("{left}_count")]), list(&answer[left]));
        if !left.is_empty() {
            text = left.iter().fold(format!("{text}\n{title}: {count}\n"), |text, one| text + "  " + &plain(one) + "\n");
        }
    }
    Shown { text, is_fine: problems.is_empty() }
}

fn processors(process: &Value) -> String {
    let load: Vec<String> = list(&process["load_average"]).iter().map(tenth).collect();
    format!(
        "{} % of {} busy, this server {} % of one, load {}",
        tenth(&process["cpu_percent"]),
        plain(&process["cpu_count"]),
        tenth(&process["process_cpu_percent"]),
        load.join(" ")
    )
}

fn phase(answer: &Value) -> String {
    let hint = if answer["phase"] == "draining" { ": new work is rejected; `mcp-server-git resume` ends the drain" } else { "" };
    plain(&answer["phase"]) + hint
}

/// Configuration changes that are not in effect.
fn configuration(answer: &Value) -> String {
    let own = &answer["configuration"];
    let mut text = String::new();
    if own["failed"].is_string() {
        text += &lines(&[("Configuration not reloaded, the previous one is in effect", plain(&own["failed"]))]);
    }
    let pending: Vec<String> = list(&own["needs_restart"]).iter().map(plain).collect();
    if !pending.is_empty() {
        text += &lines(&[("Changed keys that need a restart", pending.join(", "))]);
    }
    text
}

/// Growth per hour above which heap tracking is suggested, in bytes.
const GROWTH: i64 = 8 << 20;

pub(super) fn memory(answer: &Value) -> Shown {
    let refuses = is(&answer["refuses_calls"]);
    let limit = if answer["soft_limit"].is_null() {
        "none (`memory.soft_limit`)".to_owned()
    } else {
        format!("{}, of which {} are in use", bytes(&answer["soft_limit"]), bytes(&answer["used"]))
    };
    let growth = match &answer["bytes_per_hour"] {
        Value::Null => "not known yet".to_owned(),
        slope => format!("{} an hour", bytes(slope)),
    };
    let mut text = lines(&[
        ("Memory in use", bytes(&answer["rss"])),
        ("At most", bytes(&answer["peak_rss"])),
        ("Allocated", format!("{}, and {} free in the allocator", bytes(&answer["allocated"]), bytes(&answer["allocator_free"]))),
        ("Limit", limit),
        ("Growth", growth),
        ("New calls", if refuses { "refused until less is in use".to_owned() } else { "accepted".to_owned() }),
    ]);
    if refuses {
        text += "`mcp-server-git status memory --trim` clears the caches; `operations` shows what runs.\n";
    }
    if answer["bytes_per_hour"].as_i64() > Some(GROWTH) {
        text += "`mcp-server-git profile heap --track on` shows which code allocates.\n";
    }
    Shown { text, is_fine: !refuses }
}

pub(super) fn trimmed(answer: &Value) -> Shown {
    let text = lines(&[
        ("Memory before", bytes(&answer["before"])),
        ("Memory after", bytes(&answer["after"])),
        ("Memory recovered", bytes(&answer["recovered"])),
    ]);
    fine(text + &cleared(answer).text)
}

pub(super) fn caches(answer: &Value) -> Shown {
    let all = list(&answer["caches"]);
    let text = table(
        ["CACHE", "ENTRIES", "LIMIT", "HITS", "MISSES", "HOLDS"],
        all.iter().map(|one| {
            let limit = if is(&one["enabled"]) { plain(&one["limit"]) } else { "off".to_owned() };
            [plain(&one["name"]), plain(&one["entries"]), limit, plain(&one["hits"]), plain(&one["misses"]), plain(&one["what"])]
        }),
    );
    fine(text + &lines(&[("Swept every", time(&answer["sweep_interval_ms"]))]))
}

pub(super) fn cleared(answer: &Value) -> Shown {
    let all = list(&answer["cleared"]);
    fine(all.iter().fold(String::new(), |text, one| {
        text + &lines(&[(&format!("Cleared {}", plain(&one["name"])), format!("{} entries", plain(&one["entries"])))])
    }))
}
