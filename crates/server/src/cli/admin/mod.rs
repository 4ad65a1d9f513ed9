//! Sub-commands that inspect and control a running server over its admin channel.

mod calls;
mod client;
mod duration;
pub(super) mod health;
pub(super) mod render;
pub(super) mod report;
mod terminal;
mod words;

use super::{FOUND, say, tell, try_say};
use crate::{
    admin::{answers::recovery::Restarted, requests},
    config::Config,
    error::ErrorClass,
    lifecycle::grace,
    output, percent,
};
use clap::{Args, Subcommand, builder::PossibleValuesParser};
pub(super) use client::{Client, Failure, Question, Reach};
pub(super) use duration::parse as parse_duration;
use mcp::sessions::SessionState;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::{path::PathBuf, process::ExitCode, time::Duration};
pub(super) use words::{Shown, bytes, time};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Lists, shows and closes the sessions of a running server.
    Sessions {
        #[command(subcommand)]
        what: Sessions,
        #[command(flatten)]
        reach: Reach,
    },
    /// Lists and resets the circuit breakers for remotes, storage and the database.
    Circuits {
        #[command(subcommand)]
        what: Circuits,
        #[command(flatten)]
        reach: Reach,
    },
    /// Shows a running server's errors by class; exits with 1 if one spikes.
    Errors {
        /// How far back.
        #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "60m")]
        window: Duration,
        /// Errors of a class per minute that are a spike; by default as the server is configured.
        #[arg(long, value_name = "N")]
        threshold: Option<f64>,
        #[command(flatten)]
        reach: Reach,
    },
    /// Shows a running server's status.
    Status {
        #[command(subcommand)]
        what: Option<Status>,
        #[command(flatten)]
        reach: Reach,
    },
    /// Releases resources that a running server holds.
    Resources {
        #[command(subcommand)]
        what: Resources,
        #[command(flatten)]
        reach: Reach,
    },
    /// Releases old resources that are not in use.
    Reap {
        /// The minimum age.
        #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "1h")]
        age: Duration,
        #[command(flatten)]
        reach: Reach,
    },
    /// Makes a server reject new work, and waits for its calls; exits with 1 if some are left. `resume` ends the drain.
    Drain {
        /// Time limit for calls.
        #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "300s")]
        timeout: Duration,
        #[command(flatten)]
        reach: Reach,
    },
    /// Ends the drain of a server.
    Resume {
        #[command(flatten)]
        reach: Reach,
    },
    /// Shows and clears the caches of a running server.
    Cache {
        #[command(subcommand)]
        what: Cache,
        #[command(flatten)]
        reach: Reach,
    },
    /// Shows the last log records of a running server, at all levels, including calls and refusals.
    Logs {
        /// How far back.
        #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
        since: Option<Duration>,
        /// Only this error class.
        #[arg(long, value_name = "CLASS", value_parser = PossibleValuesParser::new(ErrorClass::ALL.map(ErrorClass::name)))]
        class: Option<String>,
        /// Only this session.
        #[arg(long, value_name = "ID")]
        session: Option<String>,
        /// Only this tool.
        #[arg(long, value_name = "TOOL")]
        tool: Option<String>,
        /// Only exactly this level.
        #[arg(long, value_name = "LEVEL", value_parser = ["error", "warn", "info", "debug", "trace"])]
        level: Option<String>,
        /// Shows new records as they are logged, until Ctrl-C.
        #[arg(long)]
        follow: bool,
        #[command(flatten)]
        reach: Reach,
    },
    /// Changes what a running server logs, and releases calls held at a breakpoint.
    Debug {
        #[command(subcommand)]
        what: Debug,
        #[command(flatten)]
        reach: Reach,
    },
    /// Replaces a server run by `serve --supervised`: the successor takes over its sockets; no connection is refused.
    Restart {
        /// Time limit for the old server's calls; by default `restart.drain`.
        #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
        drain: Option<Duration>,
        #[command(flatten)]
        reach: Reach,
    },
    /// Restores a running server to a known good state, without touching a working tree.
    Recover {
        #[command(flatten)]
        scope: Scope,
        #[command(flatten)]
        reach: Reach,
    },
    /// Lists and cancels the calls in flight of a running server.
    Calls {
        #[command(subcommand)]
        what: Calls,
        #[command(flatten)]
        reach: Reach,
    },
    /// Prints the address of a running server's dashboard, with a ticket that is valid for 12 hours.
    Dashboard {
        #[command(flatten)]
        reach: Reach,
    },
    /// Lists running changes, or the last ones of the repository that --repository names.
    Operations {
        #[command(flatten)]
        reach: Reach,
    },
}

#[derive(Subcommand)]
pub(super) enum Sessions {
    /// Lists sessions; exits with 1 if too many are idle.
    List {
        /// Only sessions idle for at least this long.
        #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
        idle: Option<Duration>,
        /// Only sessions in this state: `created` until the handshake is done, `paused` if the client is silent, `error` after a
        /// fault.
        #[arg(long, value_name = "STATE", value_parser = PossibleValuesParser::new(SessionState::ALL.map(SessionState::name)))]
        state: Option<String>,
    },
    /// Shows a session.
    Show {
        /// Its id.
        id: String,
    },
    /// Closes idle sessions, except those with work in flight.
    #[command(group = clap::ArgGroup::new("which").required(true))]
    Reap {
        /// Sessions idle for at least this long.
        #[arg(long, value_name = "DURATION", value_parser = duration::parse, group = "which")]
        idle: Option<Duration>,
        /// The N sessions idle for longest.
        #[arg(long, value_name = "N", group = "which")]
        oldest: Option<usize>,
    },
    /// Marks a session as active.
    #[command(group = clap::ArgGroup::new("which").required(true))]
    Touch {
        /// The session's id.
        #[arg(group = "which")]
        id: Option<String>,
        /// All sessions that have missed a heartbeat.
        #[arg(long, group = "which")]
        missing: bool,
    },
    /// Closes a session.
    Close {
        /// Its id.
        id: String,
    },
}

#[derive(Subcommand)]
pub(super) enum Calls {
    /// Lists the calls in flight: those that run, wait or are held.
    List,
    /// Cancels a call. What a change has already done remains, and `git_undo` undoes it.
    Cancel {
        /// Its id.
        id: String,
    },
}

#[derive(Subcommand)]
pub(super) enum Circuits {
    /// Lists circuits; exits with 1 if one is open.
    List,
    /// Closes circuits by hand.
    #[command(group = clap::ArgGroup::new("which").required(true))]
    Reset {
        /// The circuit's name.
        #[arg(group = "which")]
        name: Option<String>,
        /// Circuits open for twice their recovery timeout.
        #[arg(long, group = "which")]
        stuck: bool,
        /// All.
        #[arg(long, group = "which")]
        all: bool,
    },
}

#[derive(Subcommand)]
pub(super) enum Debug {
    /// Shows or changes the log levels: `info`, or `warn,session=debug,git=trace`. A restart resets them.
    Level {
        /// New levels.
        levels: Option<String>,
    },
    /// Lists calls held at a breakpoint (`MCP_DEBUG_BREAKPOINT`), or shows one.
    Held {
        #[command(subcommand)]
        what: Option<HeldCalls>,
    },
    /// Releases held calls.
    Resume {
        /// The call's id; all if absent.
        id: Option<String>,
        /// Aborts the calls before they start.
        #[arg(long)]
        abort: bool,
    },
    /// Sets the server's log level to `debug`.
    On,
    /// Restores the configured levels.
    Off,
}

#[derive(Subcommand)]
pub(super) enum Cache {
    /// Shows each cache's entries and hit counts.
    Stats,
    /// Clears one cache, or all. Running calls are not affected.
    Clear {
        /// The cache; all if absent.
        name: Option<String>,
    },
}

#[derive(Subcommand)]
pub(super) enum HeldCalls {
    /// Shows a held call: principal, and arguments by name and size.
    Show {
        /// Its id.
        id: String,
    },
}

#[derive(Clone, Copy, Subcommand)]
pub(super) enum Status {
    /// Shows the heartbeat manager and each session's last message; exits with 1 if one is late.
    Heartbeats,
    /// Lists held resources: child processes, locks, temporary files.
    Resources,
    /// Shows memory usage, limit and growth; exits with 1 if calls are refused for lack of memory.
    Memory {
        /// Clears the caches, returns free memory to the system, and shows how much was recovered.
        #[arg(long)]
        trim: bool,
    },
}

#[derive(Subcommand)]
pub(super) enum Resources {
    /// Releases a resource by hand.
    Release {
        /// Its id, as `status resources` shows it.
        id: String,
    },
}

/// What to recover.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct Scope {
    /// Stops operations, clears caches, resets circuits, closes sessions and restarts components.
    #[arg(long)]
    emergency: bool,
    #[arg(long, value_name = "NAME", help = format!("Restarts one component: {}", crate::server::components()))]
    component: Option<String>,
}

/// Sends `command` to the server and prints the answer. `named` are the repositories given by `--repository`.
pub(super) fn run(command: &Command, config: &Config, named: &[PathBuf]) -> ExitCode {
    let (reach, prepared) = prepare(command, named);
    if let Command::Logs { follow: true, .. } = command {
        return follow(reach, prepared, config);
    }
    let asked = prepared.and_then(|Prepared { question, show }| {
        let client = Client::find(reach, config)?;
        let mut answer = client.ask(&question)?;
        if let Command::Restart { .. } = command {
            let followed = client.follow(&client.read::<Restarted>(&question, &answer)?)?;
            if let Some(fields) = answer.as_object_mut() {
                fields.insert("steps".to_owned(), json!(followed.steps));
            }
        }
        Ok((show(&client, &question, &answer)?, answer))
    });
    match asked {
        Ok((shown, answer)) => {
            say(&if reach.json { format!("{answer:#}") } else { terminal::painted(&output::page(shown.text.trim_end().as_bytes())) });
            if shown.is_fine { ExitCode::SUCCESS } else { ExitCode::from(FOUND) }
        }
        Err(why) => failed(reach, &why),
    }
}

pub(super) fn failed(reach: &Reach, why: &Failure) -> ExitCode {
    let (name, code) = why.code();
    if reach.json {
        say(&format!("{:#}", json!({"error": {"code": name, "message": why.to_string()}})));
    } else {
        let prefix = if matches!(why, Failure::Refused { .. }) { "" } else { "mcp-server-git: " };
        tell(&format!("{prefix}{}", output::message(&why.to_string())));
    }
    ExitCode::from(code)
}

/// Prints the log so far, then new records until the server exits or the output is closed.
fn follow(reach: &Reach, prepared: Result<Prepared, Failure>, config: &Config) -> ExitCode {
    let shown = prepared.and_then(|Prepared { question, .. }| {
        Client::find(reach, config)?.follow_logs(&question, |logs| {
            if reach.json {
                return logs.records.iter().try_for_each(|record| try_say(&json!(record).to_string()));
            }
            if logs.records.is_empty() {
                return Ok(());
            }
            try_say(&output::page(report::logs(logs).text.trim_end().as_bytes()))
        })
    });
    shown.map_or_else(|why| failed(reach, &why), |()| ExitCode::SUCCESS)
}

/// Shows the answer to a question.
type Show = Box<dyn Fn(&Client, &Question, &Value) -> Result<Shown, Failure>>;

/// A question, and how its answer is shown.
struct Prepared {
    question: Question,
    show: Show,
}

/// The answer to `question` is a `T`, which `render` shows.
fn prepared<T: DeserializeOwned + 'static>(question: Question, render: fn(&T) -> Shown) -> Prepared {
    Prepared { question, show: Box::new(move |client, question, answer| Ok(render(&client.read(question, answer)?))) }
}

/// The server that each sub-command asks, its question, and the renderer of the answer.
fn prepare<'a>(command: &'a Command, named: &[PathBuf]) -> (&'a Reach, Result<Prepared, Failure>) {
    let (reach, ready): (_, Prepared) = match command {
        Command::Sessions { what, reach } => (reach, sessions(what)),
        Command::Circuits { what: Circuits::List, reach } => (reach, prepared(Question::get("/circuits"), render::circuits)),
        Command::Circuits { what: Circuits::Reset { name, stuck, all }, reach } => {
            let reset = requests::Reset { name: name.clone(), stuck: *stuck, all: *all };
            (reach, prepared(Question::post("/circuits/reset", &reset), render::reset))
        }
        Command::Errors { window, threshold, reach } => {
            let question = Question::get("/errors").with("window", Some(window.as_secs())).with("threshold", *threshold);
            (reach, prepared(question, report::errors))
        }
        Command::Status { what: None, reach } => (reach, prepared(Question::get("/status"), health::status)),
        Command::Status { what: Some(Status::Heartbeats), reach } => (reach, prepared(Question::get("/heartbeats"), report::heartbeats)),
        Command::Status { what: Some(Status::Resources), reach } => (reach, prepared(Question::get("/resources"), report::resources)),
        Command::Status { what: Some(Status::Memory { trim: false }), reach } => {
            (reach, prepared(Question::get("/memory"), health::memory))
        }
        Command::Status { what: Some(Status::Memory { trim: true }), reach } => {
            (reach, prepared(Question::post("/memory/trim", &json!({})), health::trimmed))
        }
        Command::Cache { what: Cache::Stats, reach } => (reach, prepared(Question::get("/caches"), health::caches)),
        Command::Cache { what: Cache::Clear { name }, reach } => {
            let clear = requests::ClearCaches { name: name.clone() };
            (reach, prepared(Question::post("/caches/clear", &clear), health::cleared))
        }
        Command::Resources { what: Resources::Release { id }, reach } => {
            (reach, prepared(Question::post("/resources/release", &requests::Release { id: id.clone() }), report::released))
        }
        Command::Reap { age, reach } => (reach, prepared(Question::post("/reap", &requests::Reap { age: age.as_secs() }), report::reaped)),
        Command::Drain { timeout, reach } => {
            let question = Question::post("/drain", &requests::Drain { timeout: Some(timeout.as_secs()) });
            (reach, prepared(question.taking("draining", *timeout), report::drained))
        }
        Command::Logs { since, class, session, tool, level, reach, .. } => {
            let question = Question::get("/logs")
                .with("since", since.map(|since| since.as_secs()))
                .with("class", class.as_ref())
                .with("session", session.as_ref())
                .with("tool", tool.as_ref())
                .with("level", level.as_ref().map(|level| level.to_uppercase()));
            (reach, prepared(question, report::logs))
        }
        Command::Resume { reach } => (reach, prepared(Question::post("/resume", &json!({})), report::resumed)),
        Command::Debug { what, reach } => (reach, debug(what)),
        Command::Restart { drain, reach } => {
            let question = Question::post("/restart", &requests::Drain { timeout: drain.map(|drain| drain.as_secs()) });
            (reach, prepared(question.taking("starting the successor", crate::lifecycle::control::READY), report::restarted))
        }
        Command::Recover { scope, reach } => {
            let question = Question::post("/recover", &requests::Recover { component: scope.component.clone() });
            (reach, prepared(question.taking("recovering", grace::RECOVERY), report::recovered))
        }
        Command::Calls { what: Calls::List, reach } => (reach, prepared(Question::get("/calls"), calls::list)),
        Command::Calls { what: Calls::Cancel { id }, reach } => {
            (reach, prepared(Question::post("/calls/cancel", &requests::CancelCall { id: id.clone() }), calls::cancelled))
        }
        Command::Dashboard { reach } if reach.is_remote() => {
            let why = "only the owner makes tickets, over the Unix socket: run `mcp-server-git dashboard` where the server runs";
            return (reach, Err(Failure::Usage(why.to_owned())));
        }
        Command::Dashboard { reach } => (reach, prepared(Question::post("/tickets", &json!({})), calls::dashboard)),
        Command::Operations { reach } => match repository(named) {
            Ok(repository) => (reach, prepared(Question::get("/operations").with("repository", repository), report::operations)),
            Err(why) => return (reach, Err(why)),
        },
    };
    (reach, Ok(ready))
}

fn debug(what: &Debug) -> Prepared {
    let level = match what {
        Debug::Held { what: None } => return prepared(Question::get("/debug/held"), report::held),
        Debug::Held { what: Some(HeldCalls::Show { id }) } => {
            return prepared(Question::get(format!("/debug/held/{}", percent::encode(id))), report::held_one);
        }
        Debug::Resume { id, abort } => {
            return prepared(Question::post("/debug/resume", &requests::Resume { id: id.clone(), abort: *abort }), report::released_calls);
        }
        Debug::Level { levels: None } => return prepared(Question::get("/debug/level"), report::level),
        Debug::Level { levels } => levels.clone(),
        Debug::On => Some("debug".to_owned()),
        Debug::Off => None,
    };
    prepared(Question::post("/debug/level", &requests::Level { level }), report::changed_level)
}

fn sessions(what: &Sessions) -> Prepared {
    match what {
        Sessions::List { idle, state } => {
            let question = Question::get("/sessions").with("idle", idle.map(|idle| idle.as_secs())).with("state", state.as_ref());
            prepared(question, render::sessions)
        }
        Sessions::Show { id } => prepared(Question::get(format!("/sessions/{}", percent::encode(id))), render::session),
        Sessions::Reap { idle, oldest } => {
            let reap = requests::ReapSessions { idle: idle.map(|idle| idle.as_secs()), oldest: *oldest };
            prepared(Question::post("/sessions/reap", &reap), render::closed)
        }
        Sessions::Touch { id, missing } => {
            prepared(Question::post("/sessions/touch", &requests::Touch { id: id.clone(), missing: *missing }), render::touched)
        }
        Sessions::Close { id } => prepared(Question::post(format!("/sessions/{}/close", percent::encode(id)), &json!({})), render::closed),
    }
}

/// The key of a repository's recorded changes: its common directory.
fn repository(named: &[PathBuf]) -> Result<Option<String>, Failure> {
    let [path] = named else {
        return if named.is_empty() { Ok(None) } else { Err(Failure::Usage("one --repository at a time".to_owned())) };
    };
    let found = git::Roots::around(path).locate(path).map_err(|err| Failure::Usage(err.to_string()))?;
    Ok(Some(found.common_dir.display().to_string()))
}
