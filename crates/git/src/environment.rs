//! What git processes see of this process's environment.

use std::process::Command;

/// Variables of git that reach it from our own environment; every other `GIT_*` is dropped.
const INHERITED: [&str; 13] = [
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_AUTHOR_NAME",
    "GIT_AUTHOR_EMAIL",
    "GIT_AUTHOR_DATE",
    "GIT_COMMITTER_NAME",
    "GIT_COMMITTER_EMAIL",
    "GIT_COMMITTER_DATE",
    "GIT_EXEC_PATH",
    "GIT_TEMPLATE_DIR",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
];

/// Nothing may open an editor, a pager or a prompt, and nothing may depend on the user's language.
const FIXED: [(&str, &str); 12] = [
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GCM_INTERACTIVE", "never"),
    ("GIT_ASKPASS", "true"),
    ("SSH_ASKPASS", "true"),
    ("GIT_EDITOR", ":"),
    ("GIT_SEQUENCE_EDITOR", ":"),
    ("GIT_MERGE_AUTOEDIT", "no"),
    ("GIT_PAGER", "cat"),
    ("GIT_ADVICE", "0"),
    ("GIT_LITERAL_PATHSPECS", "1"),
    ("GIT_ALLOW_PROTOCOL", "https:ssh"),
    ("LC_ALL", "C"),
];

/// Beginnings of variables that are this server's own business: its store's password, and what it was handed by a supervisor.
const OWN: [&str; 3] = ["MCP_GIT_", "LISTEN_", "NOTIFY_SOCKET"];

/// Takes from a command what is not for git, and gives it what it needs.
pub(crate) fn clean(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let is_dropped = name.to_str().is_none_or(|name| name.starts_with("GIT_") || OWN.iter().any(|own| name.starts_with(own)));
        if is_dropped && !INHERITED.iter().any(|kept| *kept == name) {
            command.env_remove(name);
        }
    }
    if let Some(path) = std::env::var_os("PATH") {
        // The others would lead into the repository, where the process runs.
        let absolute = std::env::split_paths(&path).filter(|dir| dir.is_absolute());
        command.env("PATH", std::env::join_paths(absolute).unwrap_or_default());
    }
    command.envs(FIXED);
}
