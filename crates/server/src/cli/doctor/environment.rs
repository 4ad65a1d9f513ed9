//! The configuration and the environment variables.

use super::{Finding, Options, Patient, finding, shown};
use crate::config::{Config, ConfigError, keys, known_variables, own_variables, unknown_variables};
use std::env;

pub(super) fn loaded(config: &Config) -> Finding {
    match &config.origin.file {
        Some(file) => Finding::fine(format!("{} is valid", file.display())),
        None => Finding::fine("the flags, the environment and the defaults are valid; there is no file"),
    }
}

/// The problem of an invalid configuration.
pub(super) fn refused(err: &ConfigError, options: &Options) -> Finding {
    let kind = if let ConfigError::InFile { source, .. } = err { source } else { err };
    let fix = match kind {
        ConfigError::InFile { .. } => "Correct the file as the message says.".to_owned(),
        ConfigError::Unreadable { path, .. } => {
            format!("Make {} readable, or name another file with `--config FILE`.", path.display())
        }
        ConfigError::Invalid { path, .. } => format!("Correct the line that the message names in {}.", path.display()),
        ConfigError::UnknownTool(name) => {
            format!("Remove `{name}` from `tools` or `exclude_tools`, --tools, MCP_GIT_TOOLS or MCP_GIT_EXCLUDE_TOOLS.")
        }
        ConfigError::Serving(why) => serving(why, options.host.is_some()),
        ConfigError::Level { from, .. } if from.starts_with("MCP_GIT_") || *from == "RUST_LOG" => format!("unset {from}"),
        ConfigError::Level { from, .. } => format!("Set `{from}` to `warn`, or to another level that the message names."),
        ConfigError::Key { name, .. } => format!("Correct `{name}` in the configuration file as the message says."),
        ConfigError::Variable { name, .. } if env::var_os(name).is_some() => format!("unset {name}"),
        ConfigError::Variable { name, .. } => format!("Correct the key in the configuration file that corresponds to {name}."),
    };
    Finding::problem(shown(err), fix).caused_by(err)
}

/// The fix for an invalid configuration of `serve`.
fn serving(why: &str, is_host_flag: bool) -> String {
    if why.contains("from other machines") {
        return if is_host_flag {
            "Remove `--host`, or add to the configuration file what `mcp-server-git token NAME` prints.".to_owned()
        } else if is_set("MCP_GIT_HOST") {
            "unset MCP_GIT_HOST".to_owned()
        } else {
            "Add to the configuration file what `mcp-server-git token NAME` prints, or remove `http.host`.".to_owned()
        };
    }
    if why.contains("http.rate") {
        return if is_set("MCP_GIT_RATE") {
            "unset MCP_GIT_RATE".to_owned()
        } else {
            "Remove `http.rate`, or add to the configuration file what `mcp-server-git token NAME` prints.".to_owned()
        };
    }
    "Correct `auth.tokens` in the configuration file as the message says.".to_owned()
}

/// Whether a variable is set and not empty.
fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// Unknown variables: mostly typing errors.
pub(super) fn variables() -> Vec<Finding> {
    let own = own_variables();
    let findings = unknown_variables().into_iter().map(|name| {
        let nearest = known_variables().map(|known| (distance(&name, known), known)).min();
        match nearest.filter(|(distance, _)| *distance <= 3) {
            Some((_, nearest)) if env::var_os(nearest).is_none() && is_word(&name) => Finding::problem(
                format!("the environment variable {name} is not read by this program; {nearest} is"),
                format!("export {nearest}=\"${name}\"; unset {name}"),
            ),
            _ => Finding::problem(format!("the environment variable {name} is not read by this program"), format!("unset {name}")),
        }
    });
    finding::or_fine(findings.collect(), || {
        let shown = if own.is_empty() {
            "no variable of this program is set".to_owned()
        } else {
            format!("{} of this program, all known", finding::count(own.len(), "variable"))
        };
        own.iter().fold(Finding::fine(shown), |finding, name| finding.because(name.clone()))
    })
}

fn is_word(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Variables that a flag overrides.
pub(super) fn overrides(patient: &Patient<'_>) -> Vec<Finding> {
    let origin = &patient.config.origin;
    let by_flag = keys().into_iter().filter_map(|key| Some((key, key.flag.filter(|flag| origin.is_set_by(key, flag))?)));
    let overridden = by_flag.flat_map(|(key, flag)| key.variables.iter().filter(|name| is_set(name)).map(move |name| (name, flag)));
    let findings =
        overridden.map(|(name, flag)| Finding::note(format!("{flag} overrides the environment variable {name}"), format!("unset {name}")));
    finding::or_fine(findings.collect(), || Finding::fine("no flag overrides a variable"))
}

/// The Levenshtein distance of two words.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, against) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *against);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_near() {
        assert_eq!(distance("MCP_GIT_PROT", "MCP_GIT_PORT"), 2);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
        assert!(
            known_variables().any(|name| name == "MCP_GIT_SESSION_TIMEOUT")
                && known_variables().any(|name| name == "MCP_GIT_SESSIONS_IDLE")
        );
    }
}
