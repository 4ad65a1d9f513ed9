//! The tables of the terminal view, from the server's answers.

use super::{
    super::admin::time,
    line::Tone,
    spark::histogram,
    table::{Column, Row, Table, known, shown},
};
use crate::admin::answers::{
    calls::{Call, InFlight, Latencies},
    circuits::{Circuit, Circuits},
    errors::Errors,
    name::Name,
    sessions::{Session, Sessions},
    status::Status,
};
use guard::CircuitState;
use std::cmp::Reverse;

/// Time after which a call is marked, in milliseconds.
const LONG: u64 = 10_000;

const CALLS: [Column; 7] = [
    Column::text("CALL", 9),
    Column::number("TIME"),
    Column::text("STAGE", 8),
    Column::text("TOOL", 14),
    Column::path("REPOSITORY", 16),
    Column::text("PRINCIPAL", 9),
    Column::text("SESSION", 9),
];

pub(super) fn calls(answer: &InFlight) -> Table {
    let rows = answer.calls.iter().map(|call| Row {
        id: call.id.clone(),
        label: shown(call_label(call)),
        tone: if call.stopping || call.elapsed_ms >= LONG { Tone::Warn } else { Tone::Plain },
        cells: vec![
            shown(&call.id),
            time(call.elapsed_ms),
            if call.stopping { "stopping".to_owned() } else { shown(call.stage) },
            shown(&call.tool),
            known(call.repository.as_ref()),
            known(Some(&call.principal)),
            known(call.session_id.as_ref()),
        ],
    });
    Table { columns: &CALLS, rows: rows.collect(), empty: "No call is in flight." }
}

fn call_label(call: &Call) -> String {
    let place = call.repository.as_ref().map(|path| format!(" in {path}")).unwrap_or_default();
    format!("{}: {}{place}", call.id, call.tool)
}

const SESSIONS: [Column; 9] = [
    Column::text("SESSION", 12),
    Column::text("CLIENT", 14),
    Column::text("STATE", 7),
    Column::number("IDLE"),
    Column::number("CALLS"),
    Column::number("MISSED"),
    Column::text("KIND", 9),
    Column::text("PRINCIPAL", 9),
    Column::number("REQUESTS"),
];

pub(super) fn sessions(answer: &Sessions) -> Table {
    let tone = |session: &Session| match (&session.here, session.missed) {
        (Some(here), _) if here.failed.is_some() => Tone::Bad,
        (_, 1..) => Tone::Warn,
        _ => Tone::Plain,
    };
    let rows = answer.sessions.iter().map(|session| Row {
        id: session.id.clone(),
        label: shown(format_args!("session {} of {}", session.id, session.client)),
        tone: tone(session),
        cells: vec![
            shown(&session.id),
            known(Some(&session.client)),
            shown(session.state),
            time(session.idle_ms),
            session.in_flight.to_string(),
            session.missed.to_string(),
            shown(session.kind),
            known(Some(&session.principal)),
            known(session.here.as_ref().map(|here| here.requests)),
        ],
    });
    Table { columns: &SESSIONS, rows: rows.collect(), empty: "No session is open." }
}

const CIRCUITS: [Column; 7] = [
    Column::path("CIRCUIT", 24),
    Column::text("STATE", 9),
    Column::number("FAILURES"),
    Column::number("NEXT TRIAL"),
    Column::number("REJECTED"),
    Column::number("OPENED"),
    Column::number("CALLS"),
];

pub(super) fn circuits(answer: &Circuits) -> Table {
    let tone = |circuit: &Circuit| match circuit.state {
        Name(CircuitState::Open) => Tone::Bad,
        Name(CircuitState::HalfOpen) => Tone::Warn,
        Name(CircuitState::Closed) => Tone::Plain,
    };
    let rows = answer.circuits.iter().map(|circuit| Row {
        id: circuit.name.clone(),
        label: shown(format_args!("circuit {}", circuit.name)),
        tone: tone(circuit),
        cells: vec![
            shown(&circuit.name),
            format!("{}{}", circuit.state, if circuit.stuck { ", stuck" } else { "" }),
            format!("{}/{}", circuit.failure_count, circuit.failure_threshold),
            time(circuit.paused_ms.max(circuit.next_trial_ms)),
            circuit.rejected.to_string(),
            circuit.opened.to_string(),
            circuit.calls.to_string(),
        ],
    });
    Table { columns: &CIRCUITS, rows: rows.collect(), empty: "No remote and no storage was used since the start." }
}

const LATENCY: [Column; 7] = [
    Column::text("TOOL", 14),
    Column::number("CALLS"),
    Column::number("ERRORS"),
    Column::number("P50"),
    Column::number("P95"),
    Column::number("MAX"),
    Column::text("BY TIME", 14),
];

/// Tools with the slowest first.
pub(super) fn latency(answer: &Latencies) -> Table {
    let mut tools: Vec<_> = answer.tools.iter().collect();
    tools.sort_by_key(|tool| (Reverse(tool.p95_ms), &tool.tool));
    let rows = tools.into_iter().map(|tool| Row {
        id: tool.tool.clone(),
        label: String::new(),
        tone: if tool.errors * 2 > tool.calls { Tone::Warn } else { Tone::Plain },
        cells: vec![
            shown(&tool.tool),
            tool.calls.to_string(),
            tool.errors.to_string(),
            time(tool.p50_ms),
            time(tool.p95_ms),
            time(tool.max_ms),
            histogram(&tool.counts),
        ],
    });
    Table { columns: &LATENCY, rows: rows.collect(), empty: "No tool was called lately." }
}

const QUEUES: [Column; 6] = [
    Column::text("QUEUE", 7),
    Column::number("RUN"),
    Column::number("WAIT"),
    Column::number("MAX"),
    Column::number("REJECTED"),
    Column::number("LOST"),
];

pub(super) fn queues(answer: &Status) -> Table {
    let row = |name: String, counts: [usize; 3], rejected: u64, lost: usize| {
        let [running, waiting, most] = counts;
        let tone = if lost > 0 { Tone::Bad } else { Tone::default() };
        let tone = if waiting > 0 && tone == Tone::Plain { Tone::Warn } else { tone };
        let counts = [running, waiting, most].map(|count| count.to_string());
        let cells = std::iter::once(name.clone()).chain(counts).chain([rejected.to_string(), lost.to_string()]).collect();
        Row { id: name, label: String::new(), tone, cells }
    };
    let opening = &answer.opening;
    let of_class =
        answer.calls.iter().map(|one| row(one.class.to_string(), [one.running, one.waiting, one.places], one.rejected, one.lost));
    let last = row("opening".to_owned(), [opening.running, opening.waiting, opening.places], opening.rejected, 0);
    Table { columns: &QUEUES, rows: of_class.chain([last]).collect(), empty: "" }
}

const ERRORS: [Column; 5] = [
    Column::text("ERRORS", 20),
    Column::number("COUNT"),
    Column::number("PER MINUTE"),
    Column::number("SINCE START"),
    Column::text("STATE", 7),
];

/// Classes with errors, the most frequent first.
pub(super) fn errors(answer: &Errors) -> Table {
    let mut classes: Vec<_> = answer.classes.iter().filter(|class| class.count > 0 || class.since_start > 0).collect();
    classes.sort_by_key(|class| Reverse((class.count, class.since_start)));
    let rows = classes.into_iter().map(|class| {
        let (state, tone) = if answer.burning.iter().any(|one| one.class == class.class) {
            ("burning", Tone::Bad)
        } else if answer.spikes.iter().any(|one| one.class == class.class) {
            ("spike", Tone::Warn)
        } else {
            ("", Tone::Plain)
        };
        let per_minute = format!("{:.1}", class.per_minute);
        let cells = vec![shown(class.class), class.count.to_string(), per_minute, class.since_start.to_string(), state.to_owned()];
        Row { id: class.class.to_string(), label: String::new(), tone, cells }
    });
    Table { columns: &ERRORS, rows: rows.collect(), empty: "No error since the start." }
}
