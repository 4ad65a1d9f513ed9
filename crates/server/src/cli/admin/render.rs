//! Text reports on sessions and circuits.

use super::{
    duration,
    words::{Shown, fine, is, lines, list, number, plain, table, time},
};
use serde_json::Value;
use std::fmt::Write as _;

pub(super) fn sessions(answer: &Value) -> Shown {
    let (quiet, limit) = (number(&answer["quiet"]), number(&answer["idle_warn"]));
    let idle_label = format!("Idle sessions (>{})", time(&answer["idle_longer_than_ms"]));
    let mut text = lines(&[
        ("Total sessions", plain(&answer["total"])),
        ("Active sessions", plain(&answer["active"])),
        (&idle_label, plain(&answer["idle"])),
        ("Error sessions", plain(&answer["error"])),
    ]);
    if quiet > limit {
        let longer = time(&answer["quiet_longer_than_ms"]);
        let _ = writeln!(
            text,
            "Too many idle sessions ({quiet} longer than {longer}, more than {limit}): `mcp-server-git sessions reap --idle 30m` closes them."
        );
    }
    let shown = list(&answer["sessions"]);
    if !shown.is_empty() {
        text.push('\n');
        text += &table(
            ["ID", "KIND", "STATE", "PRINCIPAL", "CLIENT", "AGE", "IDLE", "MISSED", "RUNNING", "WHY"],
            shown.iter().map(|one| {
                let [id, kind, state, principal, client] = ["id", "kind", "state", "principal", "client"].map(|key| plain(&one[key]));
                [
                    id,
                    kind,
                    state,
                    principal,
                    client,
                    time(&one["age_ms"]),
                    time(&one["idle_ms"]),
                    plain(&one["missed"]),
                    plain(&one["in_flight"]),
                    one["failed"]["why"].as_str().unwrap_or_default().to_owned(),
                ]
            }),
        );
    }
    Shown { text, is_fine: quiet <= limit }
}

pub(super) fn session(answer: &Value) -> Shown {
    let given = [
        ("Session", plain(&answer["id"])),
        ("Kind", plain(&answer["kind"])),
        ("State", plain(&answer["state"])),
        ("Principal", plain(&answer["principal"])),
        ("Client", plain(&answer["client"])),
        ("Protocol", plain(&answer["protocol"])),
        ("Age", time(&answer["age_ms"])),
        ("Idle", time(&answer["idle_ms"])),
        ("Missed heartbeats", plain(&answer["missed"])),
        ("Calls in flight", plain(&answer["in_flight"])),
        ("Requests", plain(&answer["requests"])),
        ("Faults", plain(&answer["faults"])),
        ("Close reason", plain(&answer["failed"]["why"])),
    ];
    let known: Vec<(&str, String)> = given.into_iter().filter(|(_, value)| value != "-").collect();
    fine(lines(&known))
}

fn ids(verb: &str, answer: &Value) -> Shown {
    let ids = list(answer);
    let text = ids.iter().fold(format!("{verb} sessions: {}\n", ids.len()), |text, id| text + "  " + &plain(id) + "\n");
    fine(text)
}

pub(super) fn closed(answer: &Value) -> Shown {
    ids("Closed", &answer["closed"])
}

pub(super) fn touched(answer: &Value) -> Shown {
    ids("Touched", &answer["touched"])
}

pub(super) fn circuits(answer: &Value) -> Shown {
    let all = list(&answer["circuits"]);
    let mut text = "Circuit names: HOST:PORT/fetch or HOST:PORT/push for a remote, storage:PATH for a repository's storage, and \
                    `database`.\nCircuits: "
        .to_owned();
    let _ = writeln!(text, "{}", all.len());
    for one in all {
        let mut pairs = vec![
            ("Circuit", plain(&one["name"])),
            ("State", plain(&one["state"])),
            ("Failure count", plain(&one["failure_count"])),
            ("Failure threshold", plain(&one["failure_threshold"])),
            (
                "Last failure",
                one["since_failure_ms"].as_u64().map_or_else(|| "never".to_owned(), |ms| format!("{} ago", duration::show(ms))),
            ),
            ("Recovery timeout", time(&one["recovery_timeout_ms"])),
            ("Half-open max calls", plain(&one["half_open_max_calls"])),
        ];
        match one["next_trial_ms"].as_u64() {
            Some(0) => pairs.push(("Next trial", "with the next call".to_owned())),
            Some(ms) => pairs.push(("Next trial", format!("in {}", duration::show(ms)))),
            None => {}
        }
        if let Some(ms) = one["paused_ms"].as_u64() {
            pairs.push(("Paused by the remote", format!("for {}", duration::show(ms))));
        }
        pairs.push(("Calls", format!("{}, of which {} rejected", plain(&one["calls"]), plain(&one["rejected"]))));
        text.push('\n');
        text += &lines(&pairs);
        if is(&one["stuck"]) {
            text += "Stuck: it should have moved to half_open by now; `mcp-server-git circuits reset --stuck` closes it.\n";
        }
    }
    Shown { text, is_fine: all.iter().all(|one| one["state"] != "open") }
}

pub(super) fn reset(answer: &Value) -> Shown {
    let all = list(&answer["reset"]);
    let mut text = format!("Reset circuits: {}\n", all.len());
    for one in all {
        let _ = writeln!(text, "  {} (was {})", plain(&one["name"]), plain(&one["was"]));
        if is(&one["early"]) {
            text += "    Warning: it was reset before twice its recovery timeout; the other side may still be down.\n";
        }
    }
    fine(text)
}
