//! `config`: shows and checks the configuration, and prints its schema.

use super::{CANNOT_RUN, FOUND, say};
use crate::{
    config::{Config, Flags, Shown, schema, unknown_variables, unread},
    config_path,
};
use clap::Subcommand;
use serde_json::{Map, Value, json};
use std::process::ExitCode;

#[derive(Clone, Copy, Subcommand)]
pub(super) enum Command {
    /// Shows each key with its value. Tokens are shown by name, databases by host.
    Show {
        /// Adds the source of each value: a flag, a variable, the file, or the default.
        #[arg(long)]
        origin: bool,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Checks the configuration, and reports unknown environment variables; exits with 1 if it finds a problem.
    Check {
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Prints the JSON schema of the configuration file, for editors.
    Schema,
}

pub(super) fn run(command: Command, flags: &Flags) -> ExitCode {
    match command {
        Command::Schema => {
            say(&format!("{:#}", schema()));
            ExitCode::SUCCESS
        }
        Command::Show { origin, json } => match Config::load(flags) {
            Ok(config) => {
                show(&config.shown(), origin, json);
                ExitCode::SUCCESS
            }
            Err(err) => failed(&err, json, CANNOT_RUN),
        },
        Command::Check { json } => match Config::load(flags) {
            Ok(config) => match usable(&config) {
                Ok(()) => check(&config, json),
                Err(why) => failed(&why, json, FOUND),
            },
            Err(err) => failed(&err, json, FOUND),
        },
    }
}

fn show(all: &[Shown], origin: bool, json: bool) {
    if json {
        let entry = |one: &Shown| {
            let value = if origin { json!({"value": one.value, "origin": one.origin}) } else { json!(one.value) };
            (one.key.to_owned(), value)
        };
        return say(&format!("{:#}", Value::Object(all.iter().map(entry).collect::<Map<_, _>>())));
    }
    let width = all.iter().map(|one| one.key.len()).max().unwrap_or_default();
    for one in all {
        let value = if one.value.is_empty() { "-" } else { &one.value };
        let origin = if origin { format!("  ({})", one.origin) } else { String::new() };
        say(&format!("{:width$}  {value}{origin}", one.key));
    }
}

fn check(config: &Config, json: bool) -> ExitCode {
    let file = config.origin.file.as_ref().map(|file| file.display().to_string());
    let unknown = unknown_variables();
    let is_fine = unknown.is_empty();
    if json {
        say(&format!("{:#}", json!({"ok": is_fine, "file": file, "unknown_variables": unknown})));
    } else {
        say(&format!(
            "The configuration is valid: {}",
            file.unwrap_or_else(|| format!("there is no file; it would be {}", config_path::named()))
        ));
        for name in &unknown {
            say(&unread(name));
        }
    }
    if is_fine { ExitCode::SUCCESS } else { ExitCode::from(FOUND) }
}

/// The other startup checks of `serve`: its roots and its git.
fn usable(config: &Config) -> Result<(), String> {
    config.roots().map_err(|err| err.to_string())?;
    match git::Git::new(config.git.clone()).version() {
        Ok(_) | Err(git::Error::GitSilent(_)) => Ok(()),
        Err(err) => Err(err.to_string()),
    }
}

fn failed(err: &dyn std::fmt::Display, json: bool, code: u8) -> ExitCode {
    if json {
        say(&format!("{:#}", json!({"ok": false, "error": {"code": "invalid", "message": err.to_string()}})));
    } else {
        say(&err.to_string());
    }
    ExitCode::from(code)
}
