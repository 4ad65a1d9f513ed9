//! Text reports on errors, heartbeats, resources, logs, held calls, recovery and operations.

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
    let asked = answer["asked_ms"].as_u64().filter(|asked| Some(*asked) != answer["window_ms"].as_u64());
    let asked = asked.map_or_else(String::new, |asked| format!(" ({} requested)", duration::show(asked)));
    let mut text = lines(&[
        ("Window", time(&answer["window_ms"]) + &asked),
        ("Source", if answer["source"] == "store" { "the store, including previous servers" } else { "memory" }.to_owned()),
        ("Spike threshold", format!("{} per minute", rate(&answer["threshold_per_minute"]))),
    ]);
    let seen: Vec<&Value> = list(&answer["classes"]).iter().filter(|one| number(&one["count"]) + number(&one["since_start"]) > 0).collect();
    let seen_class = seen.iter().max_by_key(|one| number(&one["count"])).map(|one| plain(&one["class"]));
    if seen.is_empty() {
        text += "Errors: 0\n";
    } else {
        text.push('\n');
        text += &table(
            ["CLASS", "COUNT", "PER MINUTE", "SINCE START", "WHAT IT MEANS"],
            seen.into_iter().map(|one| {
                let meaning = match (is(&one["critical"]), is(&one["recoverable"])) {
                    (true, _) => "critical: the session is closed",
                    (false, true) => "recoverable: a retry may succeed",
                    (false, false) => "mostly invalid calls",
                };
                [plain(&one["class"]), plain(&one["count"]), rate(&one["per_minute"]), plain(&one["since_start"]), meaning.to_owned()]
            }),
        );
    }
    let reasons = list(&answer["reasons"]);
    if !reasons.is_empty() {
        text.push('\n');
        text += &table(
            ["REASON", "CLASS", "SINCE START"],
            reasons.iter().map(|one| [plain(&one["reason"]), plain(&one["class"]), plain(&one["count"])]),
        );
    }
    if let Some(class) = seen_class {
        let _ = writeln!(text, "\n`mcp-server-git logs --class {class}` shows the last ones, with tool and session.");
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
            ["SESSION", "LAST MESSAGE", "MISSED", "OWES", ""],
            sessions.iter().map(|one| {
                let late = if is(&one["late"]) { "LATE" } else { "" };
                let owes = if is(&one["owes_beats"]) { "an answer to pings" } else { "nothing" };
                let missed = if is(&one["owes_beats"]) { plain(&one["missed"]) } else { "-".to_owned() };
                [plain(&one["id"]), format!("{} ago", time(&one["since_ms"])), missed, owes.to_owned(), late.to_owned()]
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
    let text =
        format!("The server accepts no new work.\nCalls left: {left}\n`mcp-server-git resume` ends the drain; SIGTERM stops the server.");
    Shown { text, is_fine: left == 0 }
}

pub(super) fn resumed(answer: &Value) -> Shown {
    fine(lines(&[("Phase", plain(&answer["phase"]))]))
}

/// One line per record: time, level, message and fields.
pub(super) fn logs(answer: &Value) -> Shown {
    let line = |record: &Value| {
        let mut line = format!("{} {:5} {}", plain(&record["timestamp"]), plain(&record["level"]), plain(&record["message"]));
        let own = ["timestamp", "level", "message", "target"];
        let fields = record.as_object().into_iter().flatten().filter(|(name, _)| !own.contains(&name.as_str()));
        for (name, value) in fields {
            let _ = write!(line, " {name}={}", plain(value));
        }
        line + "\n"
    };
    let all = list(&answer["records"]);
    fine(if all.is_empty() { "No records\n".to_owned() } else { all.iter().map(line).collect() })
}

pub(super) fn held(answer: &Value) -> Shown {
    let all = list(&answer["held"]);
    let mut text = lines(&[("Held calls", all.len().to_string()), ("Released automatically after", time(&answer["limit_ms"]))]);
    if !all.is_empty() {
        text.push('\n');
        text += &table(
            ["ID", "TOOL", "HELD FOR", "PRINCIPAL", "SESSION", "REQUEST"],
            all.iter().map(|one| {
                let [id, tool, principal, session, request] =
                    ["id", "tool", "principal", "session_id", "request_id"].map(|key| plain(&one[key]));
                [id, tool, time(&one["held_ms"]), principal, session, request]
            }),
        );
        text += "`mcp-server-git debug resume ID` releases one, without an ID all; --abort aborts them.\n";
    }
    fine(text)
}

pub(super) fn held_one(answer: &Value) -> Shown {
    let keys = [("Held call", "id"), ("Tool", "tool"), ("Principal", "principal"), ("Session", "session_id"), ("Request", "request_id")];
    let mut text = lines(&keys.map(|(label, key)| (label, plain(&answer[key]))));
    text += &lines(&[("Held for", time(&answer["held_ms"]))]);
    for (name, shape) in answer["arguments"].as_object().into_iter().flatten() {
        text += &lines(&[(&format!("Argument {name}"), plain(shape))]);
    }
    fine(text)
}

pub(super) fn released_calls(answer: &Value) -> Shown {
    let ids = list(&answer["released"]);
    fine(ids.iter().fold(format!("Released calls: {}\n", ids.len()), |text, id| text + "  " + &plain(id) + "\n"))
}

pub(super) fn level(answer: &Value) -> Shown {
    let mut text = lines(&[("Log levels", plain(&answer["level"]))]);
    if answer["before"].is_string() {
        text += &lines(&[("Before", plain(&answer["before"]))]);
    }
    let components: Vec<String> = list(&answer["components"]).iter().map(plain).collect();
    if !components.is_empty() {
        text += &lines(&[("Components", components.join(", "))]);
    }
    fine(text)
}

pub(super) fn restarted(answer: &Value) -> Shown {
    let steps = list(&answer["steps"]);
    Shown { text: numbered(steps.iter()), is_fine: steps.iter().all(|step| is(&step["ok"])) }
}

fn step(step: &Value) -> String {
    format!("{}: {} ({})\n", plain(&step["step"]), if is(&step["ok"]) { "ok" } else { "FAILED" }, plain(&step["detail"]))
}

fn numbered<'a>(steps: impl Iterator<Item = &'a Value>) -> String {
    (1..).zip(steps).fold(String::new(), |text, (place, one)| format!("{text}{place}. {}", step(one)))
}

/// The five steps of a recovery. The server reports each component; together they are the last step.
pub(super) fn recovered(answer: &Value) -> Shown {
    let word = |ok: bool| if ok { "ok" } else { "FAILED" };
    let ok = |step: &&Value| is(&step["ok"]);
    let is_component = |step: &&Value| step["step"].as_str().is_some_and(|name| name.starts_with("restart "));
    let (components, steps): (Vec<&Value>, Vec<&Value>) = list(&answer["steps"]).iter().partition(is_component);
    let mut text = numbered(steps.iter().copied());
    let indent = if steps.is_empty() {
        ""
    } else {
        let _ = writeln!(text, "{}. restart components: {}", steps.len() + 1, word(components.iter().all(ok)));
        "   "
    };
    text = components.iter().fold(text, |text, step| text + indent + &self::step(step));
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
