//! Text reports on sessions and circuits.

use super::words::{Shown, ago, fine, known, lines, plain, table, time};
use crate::{
    admin::answers::{
        circuits::{Circuit, Circuits, Reset},
        name::Name,
        sessions::{Closed, Failed, Here, Session, Sessions, Touched},
    },
    output::span,
};
use guard::CircuitState;
use std::{fmt::Write as _, time::Duration};

pub(in crate::cli) fn sessions(answer: &Sessions) -> Shown {
    let (quiet, limit) = (answer.quiet, answer.idle_warn);
    let idle_label = format!("Idle sessions (>{})", time(answer.idle_longer_than_ms));
    let mut text = lines(&[
        ("Total sessions", answer.total.to_string()),
        ("Active sessions", answer.active.to_string()),
        (&idle_label, answer.idle.to_string()),
        ("Error sessions", answer.error.to_string()),
    ]);
    if let Some(kept) = answer.kept.filter(|kept| *kept > 0) {
        text += &lines(&[("Kept sessions, each restored with its client's next request", kept.to_string())]);
    }
    if quiet > limit {
        let longer = time(answer.quiet_longer_than_ms);
        let reaped = span(Duration::from_millis(answer.quiet_longer_than_ms));
        let _ = writeln!(
            text,
            "Too many idle sessions ({quiet} longer than {longer}, more than {limit}): `mcp-server-git sessions reap --idle {reaped}` closes \
             those idle for {reaped}."
        );
    }
    if !answer.sessions.is_empty() {
        text.push('\n');
        text += &table(
            ["ID", "KIND", "STATE", "PRINCIPAL", "CLIENT", "AGE", "IDLE", "MISSED", "RUNNING", "WHY"],
            answer.sessions.iter().map(|one| {
                [
                    plain(&one.id),
                    plain(one.kind),
                    plain(one.state),
                    plain(&one.principal),
                    plain(&one.client),
                    time(one.here.as_ref().map(|here| here.age_ms)),
                    time(one.idle_ms),
                    plain(one.missed),
                    plain(one.in_flight),
                    failed(one).map_or_else(String::new, |failed| plain(&failed.why)),
                ]
            }),
        );
    }
    Shown { text, is_fine: quiet <= limit }
}

fn failed(session: &Session) -> Option<&Failed> {
    session.here.as_ref()?.failed.as_ref()
}

pub(super) fn session(answer: &Session) -> Shown {
    let here = |figure: fn(&Here) -> u64| answer.here.as_ref().map(figure);
    let given = [
        ("Session", plain(&answer.id)),
        ("Kind", plain(answer.kind)),
        ("State", plain(answer.state)),
        ("Principal", plain(&answer.principal)),
        ("Client", plain(&answer.client)),
        ("Protocol", plain(&answer.protocol)),
        ("Age", time(here(|here| here.age_ms))),
        ("Idle", time(answer.idle_ms)),
        ("Missed heartbeats", plain(answer.missed)),
        ("Calls in flight", plain(answer.in_flight)),
        ("Requests", known(here(|here| here.requests))),
        ("Faults", known(here(|here| here.faults))),
        ("Close reason", known(failed(answer).map(|failed| &failed.why))),
    ];
    let known: Vec<(&str, String)> = given.into_iter().filter(|(_, value)| value != "-").collect();
    fine(lines(&known))
}

fn ids(verb: &str, ids: &[String]) -> Shown {
    let text = ids.iter().fold(format!("{verb} sessions: {}\n", ids.len()), |text, id| text + "  " + &plain(id) + "\n");
    fine(text)
}

pub(super) fn closed(answer: &Closed) -> Shown {
    ids("Closed", &answer.closed)
}

pub(super) fn touched(answer: &Touched) -> Shown {
    ids("Touched", &answer.touched)
}

pub(in crate::cli) fn circuits(answer: &Circuits) -> Shown {
    let mut text = "Circuit names: HOST:PORT/fetch or HOST:PORT/push for a remote, storage:PATH for a repository's storage, and \
                    `database`.\nCircuits: "
        .to_owned();
    let _ = writeln!(text, "{}", answer.circuits.len());
    for one in &answer.circuits {
        text.push('\n');
        text += &circuit(one);
    }
    Shown { text, is_fine: answer.circuits.iter().all(|one| one.state != Name(CircuitState::Open)) }
}

fn circuit(one: &Circuit) -> String {
    let mut pairs = vec![
        ("Circuit", plain(&one.name)),
        ("State", plain(one.state)),
        ("Failure count", plain(one.failure_count)),
        ("Failure threshold", plain(one.failure_threshold)),
        ("Last failure", ago(one.since_failure_ms, "never")),
        ("Recovery timeout", time(one.recovery_timeout_ms)),
        ("Half-open max calls", plain(one.half_open_max_calls)),
    ];
    match (one.probe_interval_ms, one.next_trial_ms) {
        (Some(ms), _) => pairs.push(("Next trial", format!("by the server itself, every {}", time(ms)))),
        (None, Some(0)) => pairs.push(("Next trial", "with the next call".to_owned())),
        (None, Some(ms)) => pairs.push(("Next trial", format!("in {}", time(ms)))),
        (None, None) => {}
    }
    if let Some(ms) = one.paused_ms {
        pairs.push(("Paused by the remote", format!("for {}", time(ms))));
    }
    pairs.push(("Calls", format!("{} passed, {} rejected", one.calls, one.rejected)));
    let stuck = "Stuck: it should have moved to half_open by now; `mcp-server-git circuits reset --stuck` closes it.\n";
    lines(&pairs) + if one.stuck { stuck } else { "" }
}

pub(super) fn reset(answer: &Reset) -> Shown {
    let mut text = format!("Reset circuits: {}\n", answer.reset.len());
    for one in &answer.reset {
        let _ = writeln!(text, "  {} (was {})", plain(&one.name), one.was);
        if one.early {
            text += "    Warning: it was reset before twice its recovery timeout; the other side may still be down.\n";
        }
    }
    fine(text)
}
