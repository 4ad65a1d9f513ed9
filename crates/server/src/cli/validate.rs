//! `validate`: checks messages in strict and lenient mode, with the server's own code.

use super::{FOUND, cannot_run, say};
use crate::wire::validation::{Mode, Verdict, validate};
use serde_json::json;
use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Maximum input size, in bytes.
const MAX_INPUT: u64 = 64 << 20;

/// Checks the messages in `file` or standard input: a single one, or one per line.
pub(super) fn run(file: Option<&Path>, (strict, lenient): (bool, bool), kind: Option<&str>, as_json: bool) -> ExitCode {
    let named = file.filter(|path| *path != Path::new("-")).map(PathBuf::from);
    let mut input = Vec::new();
    let read = match &named {
        Some(path) => fs::File::open(path).and_then(|file| file.take(MAX_INPUT).read_to_end(&mut input)),
        None => io::stdin().take(MAX_INPUT).read_to_end(&mut input),
    };
    if let Err(err) = read {
        return cannot_run(&format!("{}: {err}", named.unwrap_or_else(|| "standard input".into()).display()));
    }
    // A single message may span several lines.
    let is_one = serde_json::from_slice::<serde_json::Value>(&input).is_ok();
    let messages: Vec<&[u8]> = if is_one { vec![&input] } else { input.split(|byte| *byte == b'\n').collect() };
    let messages: Vec<&[u8]> = messages.into_iter().filter(|message| !message.trim_ascii().is_empty()).collect();
    if messages.is_empty() {
        return cannot_run(&"there is no message");
    }
    let both = strict == lenient;
    let mut is_fine = true;
    for (at, message) in messages.iter().enumerate() {
        let verdicts = [(Mode::Strict, strict || both), (Mode::Lenient, lenient || both)];
        let verdicts: Vec<(Mode, Verdict)> =
            verdicts.into_iter().filter(|(_, wanted)| *wanted).map(|(mode, _)| (mode, verdict(message, mode, kind))).collect();
        // If both modes are checked, the server's default, lenient, decides.
        is_fine &= verdicts.last().is_some_and(|(_, verdict)| verdict.error.is_none());
        if as_json {
            say(&as_value(at + 1, &verdicts).to_string());
            continue;
        }
        if messages.len() > 1 {
            say(&format!("Message {}", at + 1));
        }
        say(&shown(&verdicts));
    }
    if is_fine { ExitCode::SUCCESS } else { ExitCode::from(FOUND) }
}

/// The verdicts as lines of text.
pub(super) fn shown(verdicts: &[(Mode, Verdict)]) -> String {
    let mut lines = Vec::new();
    for (mode, verdict) in verdicts {
        let mode = name(*mode);
        lines.push(format!("{mode} validation: {}", if verdict.error.is_none() { '\u{2713}' } else { '\u{2717}' }));
        lines.extend(verdict.error.iter().map(|error| format!("{mode} errors: {error}")));
        lines.extend(verdict.warnings.iter().map(|warning| format!("Warning: {warning}")));
    }
    lines.join("\n")
}

/// Validates a message and checks its kind.
fn verdict(message: &[u8], mode: Mode, kind: Option<&str>) -> Verdict {
    let mut verdict = validate(message, mode);
    if let Some(kind) = kind.filter(|_| verdict.error.is_none()) {
        let fields: serde_json::Value = serde_json::from_slice(message).unwrap_or_default();
        let method = fields["method"].as_str().or_else(|| fields["type"].as_str()).unwrap_or_default();
        if method != kind && method.rsplit('/').next() != Some(kind) {
            verdict.error = Some(format!("the message is not of the kind `{kind}`"));
        }
    }
    verdict
}

fn as_value(number: usize, verdicts: &[(Mode, Verdict)]) -> serde_json::Value {
    let shown = verdicts.iter().map(|(mode, verdict)| {
        let verdict = json!({"valid": verdict.error.is_none(), "error": verdict.error, "warnings": verdict.warnings});
        (name(*mode).to_lowercase(), verdict)
    });
    let mut value = serde_json::Value::Object(shown.collect());
    value["message"] = json!(number);
    value
}

fn name(mode: Mode) -> &'static str {
    match mode {
        Mode::Strict => "Strict",
        Mode::Lenient => "Lenient",
    }
}
