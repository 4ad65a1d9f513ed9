//! Text reports on errors, heartbeats, resources, logs, held calls, recovery and operations.

use super::{
    client::Followed,
    words::{Shown, ago, fine, known, lines, plain, table, time, yes},
};
use crate::{
    admin::answers::{
        errors::{Errors, Source},
        heartbeats::Heartbeats,
        held::{HeldCall, HeldCalls, ReleasedCalls},
        logs::{ChangedLevel, Level, Logs, Record},
        name::Name,
        operations::{Operation, Operations},
        recovery::{Drained, Recovery, Resumed, Step},
        resources::{Reaped, Released, Resources},
    },
    error::ErrorClass,
};
use std::{
    fmt::Write as _,
    time::{SystemTime, UNIX_EPOCH},
};

pub(in crate::cli) fn errors(answer: &Errors) -> Shown {
    let (spikes, burning) = (&answer.spikes, &answer.burning);
    let is_shorter = answer.asked_ms != answer.window_ms;
    let asked = if is_shorter { format!(" ({} requested)", time(answer.asked_ms)) } else { String::new() };
    let source = match answer.source {
        Source::Store => "the store, including previous servers",
        Source::Memory => "memory",
    };
    let mut text = lines(&[
        ("Window", time(answer.window_ms) + &asked),
        ("Source", source.to_owned()),
        ("Spike threshold", format!("{:.2} per minute", answer.threshold_per_minute)),
    ]);
    let seen: Vec<_> = answer.classes.iter().filter(|one| one.count + one.since_start > 0).collect();
    if seen.is_empty() {
        text += "Errors: 0\n";
    } else {
        text.push('\n');
        text += &table(
            ["CLASS", "COUNT", "PER MINUTE", "SINCE START", "WHAT IT MEANS"],
            seen.iter().map(|one| {
                let meaning = match (one.class, one.critical, one.recoverable) {
                    // The session stays open: the caller may have named another's.
                    (Name(ErrorClass::AuthenticationFailed), ..) => "critical: the request is refused",
                    (_, true, _) => "critical: the session is closed",
                    (_, false, true) => "recoverable: a retry may succeed",
                    (_, false, false) => "mostly invalid calls",
                };
                [plain(one.class), plain(one.count), format!("{:.2}", one.per_minute), plain(one.since_start), meaning.to_owned()]
            }),
        );
    }
    if !answer.reasons.is_empty() {
        text.push('\n');
        text += &table(
            ["REASON", "CLASS", "SINCE START"],
            answer.reasons.iter().map(|one| [plain(&one.reason), plain(one.class), plain(one.count)]),
        );
    }
    // `max_by_key` takes the last of equal ones, and the classes begin with the most severe.
    if let Some(most) = seen.iter().rev().max_by_key(|one| one.count) {
        let _ = writeln!(text, "\n`mcp-server-git logs --class {}` shows the last ones, with tool and session.", most.class);
    }
    text += &above(answer);
    Shown { text, is_fine: spikes.is_empty() && burning.is_empty() }
}

/// The classes above the threshold.
fn above(answer: &Errors) -> String {
    let mut text = String::new();
    for one in &answer.spikes {
        let _ = writeln!(text, "Spike: {}, {:.2} per minute", one.class, one.per_minute);
    }
    for one in &answer.burning {
        let (short, long) = (time(one.short_ms), time(one.long_ms));
        let _ = writeln!(
            text,
            "Burning: {}, {:.2} per minute over {short} and {:.2} per minute over {long}",
            one.class, one.short_per_minute, one.long_per_minute
        );
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

pub(in crate::cli) fn heartbeats(answer: &Heartbeats) -> Shown {
    let mut text = lines(&[
        ("Heartbeat manager", if answer.running { "running".to_owned() } else { "not running".to_owned() }),
        ("Heartbeat interval", time(answer.interval_ms)),
        ("Missed threshold", plain(answer.missed_threshold)),
        ("Last check", ago(answer.last_tick_ms, "never")),
        ("Restarts", plain(answer.restarts)),
    ]);
    if !answer.running {
        text += "`mcp-server-git recover --component heartbeat` restarts it.\n";
    }
    let sessions = &answer.sessions;
    if !sessions.is_empty() {
        text.push('\n');
        text += &table(
            ["SESSION", "LAST MESSAGE", "MISSED", "OWES", ""],
            sessions.iter().map(|one| {
                let late = if one.late { "LATE" } else { "" };
                let owes = if one.owes_beats { "an answer to pings" } else { "nothing" };
                let missed = known(one.owes_beats.then_some(one.missed));
                [plain(&one.id), ago(one.since_ms, "-"), missed, owes.to_owned(), late.to_owned()]
            }),
        );
    }
    Shown { text, is_fine: answer.running && !sessions.iter().any(|one| one.late) }
}

pub(in crate::cli) fn resources(answer: &Resources) -> Shown {
    let all = &answer.resources;
    let mut text = lines(&[("Resources", all.len().to_string())]);
    if !all.is_empty() {
        text.push('\n');
        text += &table(
            ["ID", "KIND", "AGE", "IN USE", "RELEASE BY HAND", "DETAIL"],
            all.iter().map(|one| {
                [plain(&one.id), plain(&one.kind), time(one.age_ms), yes(one.in_flight), yes(one.can_be_released), plain(&one.detail)]
            }),
        );
    }
    fine(text)
}

pub(super) fn released(answer: &Released) -> Shown {
    fine(format!("Released: {}", plain(&answer.released)))
}

pub(super) fn reaped(answer: &Reaped) -> Shown {
    let mut text = format!("Reaped: {}\n", answer.reaped);
    for one in &answer.first {
        let _ = writeln!(text, "  {} {}", plain(&one.kind), plain(&one.name));
    }
    let rest = answer.reaped.saturating_sub(answer.first.len());
    if rest > 0 {
        let _ = writeln!(text, "  and {rest} more");
    }
    fine(text)
}

pub(super) fn drained(answer: &Drained) -> Shown {
    let left = answer.left;
    let text =
        format!("The server accepts no new work.\nCalls left: {left}\n`mcp-server-git resume` ends the drain; SIGTERM stops the server.");
    Shown { text, is_fine: left == 0 }
}

pub(super) fn resumed(answer: &Resumed) -> Shown {
    fine(lines(&[("Phase", plain(answer.phase))]))
}

/// One line per record: time, level, message and fields.
pub(super) fn logs(answer: &Logs) -> Shown {
    let line = |record: &Record| {
        let mut line = format!("{} {:5} {}", plain(&record.timestamp), plain(&record.level), known(record.message.as_ref()));
        for (name, value) in &record.fields {
            let value = value.as_str().map_or_else(|| plain(value), plain);
            let _ = write!(line, " {name}={value}");
        }
        line + "\n"
    };
    fine(if answer.records.is_empty() { "No records\n".to_owned() } else { answer.records.iter().map(line).collect() })
}

pub(super) fn held(answer: &HeldCalls) -> Shown {
    let all = &answer.held;
    let mut text = lines(&[("Held calls", all.len().to_string()), ("Released automatically after", time(answer.limit_ms))]);
    if !all.is_empty() {
        text.push('\n');
        text += &table(
            ["ID", "TOOL", "HELD FOR", "PRINCIPAL", "SESSION", "REQUEST"],
            all.iter().map(|one| {
                let [session, request] = [&one.session_id, &one.request_id].map(|id| known(id.as_ref()));
                [plain(&one.id), plain(&one.tool), time(one.held_ms), plain(&one.principal), session, request]
            }),
        );
        text += "`mcp-server-git debug resume ID` releases one, without an ID all; --abort aborts them.\n";
    }
    fine(text)
}

pub(super) fn held_one(answer: &HeldCall) -> Shown {
    let mut text = lines(&[
        ("Held call", plain(&answer.id)),
        ("Tool", plain(&answer.tool)),
        ("Principal", plain(&answer.principal)),
        ("Session", known(answer.session_id.as_ref())),
        ("Request", known(answer.request_id.as_ref())),
        ("Held for", time(answer.held_ms)),
    ]);
    for (name, shape) in &answer.arguments {
        text += &lines(&[(&format!("Argument {name}"), plain(shape))]);
    }
    fine(text)
}

pub(super) fn released_calls(answer: &ReleasedCalls) -> Shown {
    let ids = &answer.released;
    fine(ids.iter().fold(format!("Released calls: {}\n", ids.len()), |text, id| text + "  " + &plain(id) + "\n"))
}

pub(super) fn level(answer: &Level) -> Shown {
    fine(lines(&[("Log levels", plain(&answer.level)), ("Components", plain(answer.components.join(", ")))]))
}

pub(super) fn changed_level(answer: &ChangedLevel) -> Shown {
    fine(lines(&[("Log levels", plain(&answer.level)), ("Before", plain(&answer.before))]))
}

pub(super) fn restarted(answer: &Followed) -> Shown {
    Shown { text: numbered(answer.steps.iter()), is_fine: answer.steps.iter().all(|step| step.ok) }
}

fn step(step: &Step) -> String {
    format!("{}: {} ({})\n", plain(&step.step), if step.ok { "ok" } else { "FAILED" }, plain(&step.detail))
}

fn numbered<'a>(steps: impl Iterator<Item = &'a Step>) -> String {
    (1..).zip(steps).fold(String::new(), |text, (place, one)| format!("{text}{place}. {}", step(one)))
}

/// The five steps of a recovery. The server reports each component; together they are the last step.
pub(super) fn recovered(answer: &Recovery) -> Shown {
    let word = |ok: bool| if ok { "ok" } else { "FAILED" };
    let is_component = |step: &&Step| step.step.starts_with("restart ");
    let (components, steps): (Vec<&Step>, Vec<&Step>) = answer.steps.iter().partition(is_component);
    let mut text = numbered(steps.iter().copied());
    let indent = if steps.is_empty() {
        ""
    } else {
        let _ = writeln!(text, "{}. restart components: {}", steps.len() + 1, word(components.iter().all(|step| step.ok)));
        "   "
    };
    text = components.iter().fold(text, |text, step| text + indent + &self::step(step));
    Shown { text, is_fine: answer.steps.iter().all(|step| step.ok) }
}

pub(super) fn operations(answer: &Operations) -> Shown {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
    let between = |from: i64, to: i64| u64::try_from(to.saturating_sub(from)).unwrap_or_default();
    let mut text = lines(&[("Operations", answer.operations.len().to_string())]);
    let row = |one: &Operation| {
        [
            plain(&one.id),
            plain(&one.tool),
            plain(&one.state),
            ago(between(one.started_ms, now), "-"),
            time(one.ended_ms.map(|end| between(one.started_ms, end))),
            plain(&one.principal),
            plain(one.pid),
            plain(&one.worktree),
        ]
    };
    if !answer.operations.is_empty() {
        text.push('\n');
        let head = ["ID", "TOOL", "STATE", "STARTED", "TOOK", "PRINCIPAL", "PID", "WORKTREE"];
        text += &table(head, answer.operations.iter().map(row));
    }
    fine(text)
}
