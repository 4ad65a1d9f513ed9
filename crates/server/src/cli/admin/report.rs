//! Reports on the whole server as text: its errors, its state, what it holds, and what was done about it.

use super::{
    duration,
    words::{Shown, fine, is, lines, list, number, plain, rate, table, time},
};
use serde_json::Value;
use std::{
    fmt::Write as _,
    time::{SystemTime, UNIX_EPOCH},
};

pub(super) fn errors(answer: &Value) -> Shown {
    let (spikes, burning) = (list(&answer["spikes"]), list(&answer["burning"]));
    let mut text = lines(&[
        ("Window", time(&answer["window_ms"])),
        ("Spike threshold", format!("{} per minute", rate(&answer["threshold_per_minute"]))),
    ]);
    let seen: Vec<&Value> = list(&answer["classes"]).iter().filter(|one| number(&one["count"]) + number(&one["since_start"]) > 0).collect();
    if seen.is_empty() {
        text += "Errors: 0\n";
    } else {
        text.push('\n');
        text += &table(
            ["CLASS", "COUNT", "PER MINUTE", "SINCE START", "WHAT IT MEANS"],
            seen.into_iter().map(|one| {
                let meaning = match (is(&one["critical"]), is(&one["recoverable"])) {
                    (true, _) => "critical: the session is closed",
                    (false, true) => "recoverable: another try may succeed",
                    (false, false) => "mostly calls that were wrong",
                };
                [plain(&one["class"]), plain(&one["count"]), rate(&one["per_minute"]), plain(&one["since_start"]), meaning.to_owned()]
            }),
        );
    }
    if !(spikes.is_empty() && burning.is_empty()) {
        text.push('\n');
    }
    for one in spikes {
        let _ = writeln!(text, "Spike: {}, {} per minute", plain(&one["class"]), rate(&one["per_minute"]));
    }
    for one in burning {
        let _ = writeln!(
            text,
            "Burning: {}, {} per minute over {} and {} per minute over {}",
            plain(&one["class"]),
            rate(&one["short_per_minute"]),
            time(&one["short_ms"]),
            rate(&one["long_per_minute"]),
            time(&one["long_ms"])
        );
    }
    Shown { text, is_fine: spikes.is_empty() && burning.is_empty() }
}

pub(super) fn status(answer: &Value) -> Shown {
    let store = &answer["store"];
    let kept = match &store["away"] {
        Value::Null if is(&store["opened"]) => format!("ok, {}", plain(&store["place"])),
        Value::Null => format!("not opened yet, {}", plain(&store["place"])),
        why => format!("away: {}", plain(why)),
    };
    let mut text = lines(&[
        (
            "Server",
            format!("mcp-server-git {} (commit {}), pid {}", plain(&answer["version"]), plain(&answer["commit"]), plain(&answer["pid"])),
        ),
        ("Phase", plain(&answer["phase"])),
        ("Uptime", time(&answer["uptime_ms"])),
        ("Sessions", format!("{}, {} were evicted", plain(&answer["sessions"]), plain(&answer["evicted"]))),
        ("Circuits not closed", plain(&answer["open_circuits"])),
        ("Store", kept),
        ("Sandbox", plain(&answer["sandbox"])),
        ("Writes that wait for the store", plain(&store["backlog"])),
    ]);
    let replaced = number(&store["replaced"]);
    if replaced > 0 {
        let rows = match &store["rescued"] {
            Value::Null => "its rows were lost".to_owned(),
            rows => format!("{} rows of it are in the new one", plain(rows)),
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
    let limit = number(&answer["lost_limit"]);
    let is_over = list(&answer["calls"]).iter().any(|one| number(&one["lost"]) >= limit.max(1));
    if is_over {
        let _ = writeln!(
            text,
            "Calls of a class are refused while {limit} of its threads are lost. Check the file systems of the repositories, then restart \
             the server."
        );
    }
    for (left, title) in
        [("interrupted", "Cut off by the end of a server before this one"), ("orphaned", "Worktrees whose repository is gone")]
    {
        let left = list(&answer[left]);
        if !left.is_empty() {
            text = left.iter().fold(text + "\n" + title + ":\n", |text, one| text + "  " + &plain(one) + "\n");
        }
    }
    Shown { text, is_fine: !is_over }
}

pub(super) fn heartbeats(answer: &Value) -> Shown {
    let is_running = is(&answer["running"]);
    let last = answer["last_tick_ms"].as_u64().map_or_else(|| "never".to_owned(), |ms| format!("{} ago", duration::show(ms)));
    let mut text = lines(&[
        ("Heartbeat manager", if is_running { "running".to_owned() } else { "not running".to_owned() }),
        ("Heartbeat interval", time(&answer["interval_ms"])),
        ("Missed threshold", plain(&answer["missed_threshold"])),
        ("Last check", last),
        ("Restarts", plain(&answer["restarts"])),
    ]);
    if !is_running {
        text += "`mcp-server-git recover --component heartbeat` restarts it.\n";
    }
    let sessions = list(&answer["sessions"]);
    if !sessions.is_empty() {
        text.push('\n');
        text += &table(
            ["SESSION", "LAST HEARD", "MISSED", ""],
            sessions.iter().map(|one| {
                let late = if is(&one["late"]) { "LATE" } else { "" };
                [plain(&one["id"]), format!("{} ago", time(&one["since_ms"])), plain(&one["missed"]), late.to_owned()]
            }),
        );
    }
    Shown { text, is_fine: is_running && !sessions.iter().any(|one| is(&one["late"])) }
}

pub(super) fn resources(answer: &Value) -> Shown {
    let all = list(&answer["resources"]);
    let mut text = lines(&[("Resources", all.len().to_string())]);
    if !all.is_empty() {
        text.push('\n');
        text += &table(
            ["ID", "KIND", "AGE", "IN USE", "RELEASE BY HAND", "DETAIL"],
            all.iter().map(|one| {
                let yes = |key: &str| if is(&one[key]) { "yes" } else { "no" }.to_owned();
                [
                    plain(&one["id"]),
                    plain(&one["kind"]),
                    time(&one["age_ms"]),
                    yes("in_flight"),
                    yes("can_be_released"),
                    plain(&one["detail"]),
                ]
            }),
        );
    }
    fine(text)
}

pub(super) fn released(answer: &Value) -> Shown {
    fine(format!("Released: {}", plain(&answer["released"])))
}

pub(super) fn reaped(answer: &Value) -> Shown {
    fine(format!("Reaped: {}", plain(&answer["reaped"])))
}

pub(super) fn drained(answer: &Value) -> Shown {
    let left = number(&answer["left"]);
    Shown { text: format!("The server takes no new connections.\nCalls left: {left}"), is_fine: left == 0 }
}

pub(super) fn restarted(answer: &Value) -> Shown {
    fine(format!(
        "Process {} has taken over from {}, whose calls may go on for {} s.",
        plain(&answer["successor"]),
        plain(&answer["pid"]),
        plain(&answer["drain_s"])
    ))
}

/// The five steps of the guide. The server reports each component by itself; together they are the last step.
pub(super) fn recovered(answer: &Value) -> Shown {
    let word = |ok: bool| if ok { "ok" } else { "FAILED" };
    let ok = |step: &&Value| is(&step["ok"]);
    let is_component = |step: &&Value| step["step"].as_str().is_some_and(|name| name.starts_with("restart "));
    let (components, steps): (Vec<&Value>, Vec<&Value>) = list(&answer["steps"]).iter().partition(is_component);
    let line = |step: &Value| format!("{}: {} ({})\n", plain(&step["step"]), word(is(&step["ok"])), plain(&step["detail"]));
    let mut text = String::new();
    for (place, step) in (1..).zip(&steps) {
        let _ = write!(text, "{place}. {}", line(step));
    }
    let indent = if steps.is_empty() {
        ""
    } else {
        let _ = writeln!(text, "{}. restart components: {}", steps.len() + 1, word(components.iter().all(ok)));
        "   "
    };
    text = components.iter().fold(text, |text, step| text + indent + &line(step));
    Shown { text, is_fine: steps.iter().chain(&components).all(ok) }
}

pub(super) fn operations(answer: &Value) -> Shown {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let all = list(&answer["operations"]);
    let mut text = lines(&[("Operations", all.len().to_string())]);
    if !all.is_empty() {
        text.push('\n');
        text += &table(
            ["ID", "TOOL", "STATE", "STARTED", "TOOK", "PRINCIPAL", "PID", "WORKTREE"],
            all.iter().map(|one| {
                let [id, tool, state, principal, pid, worktree] =
                    ["id", "tool", "state", "principal", "pid", "worktree"].map(|key| plain(&one[key]));
                let started = one["started_ms"].as_u64();
                let ago = started.map_or_else(|| "-".to_owned(), |at| format!("{} ago", duration::show(now.saturating_sub(at))));
                let lasted = started
                    .zip(one["ended_ms"].as_u64())
                    .map_or_else(|| "-".to_owned(), |(at, end)| duration::show(end.saturating_sub(at)));
                [id, tool, state, ago, lasted, principal, pid, worktree]
            }),
        );
    }
    fine(text)
}
