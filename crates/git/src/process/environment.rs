//! The environment of git processes and of in-process reads.

use std::{
    env,
    ffi::{OsStr, OsString},
    process::Command,
};

/// Variables that git processes inherit; every other `GIT_*` is removed. A trailing `*` is a wildcard.
pub const INHERITED: [&str; 16] = [
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
    "GIT_SSH_COMMAND",
    "GIT_SSH",
    // Used by a filter, not by git.
    "GIT_LFS_*",
];
/// Variables passed to git only after they are checked to be harmless.
const GIVEN_LATER: [&str; 2] = ["GIT_SSH_COMMAND", "GIT_SSH"];

/// Disables editors, pagers and prompts, and makes messages English.
const FIXED: [(&str, &str); 11] = [
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GCM_INTERACTIVE", "never"),
    ("GIT_ASKPASS", "true"),
    ("SSH_ASKPASS", "true"),
    ("GIT_EDITOR", ":"),
    ("GIT_SEQUENCE_EDITOR", ":"),
    ("GIT_MERGE_AUTOEDIT", "no"),
    ("GIT_PAGER", "cat"),
    ("GIT_ADVICE", "0"),
    ("GIT_ALLOW_PROTOCOL", "https:ssh"),
    ("LC_MESSAGES", "C"),
];

/// Commands that may start maintenance when they end.
const MAINTAINING: [&str; 9] = ["am", "cherry-pick", "clone", "commit", "merge", "rebase", "revert", "submodule", "submodule--helper"];

/// Settings of reads, which run no hook.
const READING: [(&str, &str); 6] = [
    ("core.fsmonitor", "false"),
    ("core.hooksPath", "/dev/null"),
    ("log.showSignature", "false"),
    ("color.ui", "false"),
    ("core.pager", "cat"),
    ("diff.submodule", "short"),
];

/// Locale categories that default to `LANG`.
const OF_LANG: [&str; 9] =
    ["LC_COLLATE", "LC_MONETARY", "LC_NUMERIC", "LC_TIME", "LC_ADDRESS", "LC_IDENTIFICATION", "LC_MEASUREMENT", "LC_NAME", "LC_TELEPHONE"];

/// Prefixes of variables private to this server: its store's password, and sockets passed by a supervisor.
const OWN: [&str; 3] = ["MCP_GIT_", "LISTEN_", "NOTIFY_SOCKET"];

/// Removes git's variables that are not inherited from this process. A server started by a hook has some that name another
/// repository, index or worktree; in-process reads would use them, git processes do not.
///
/// # Safety
///
/// No other thread may exist yet: it might be reading the environment.
#[expect(unsafe_code, reason = "the environment belongs to the whole process")]
pub unsafe fn adopt_environment() {
    let foreign = |name: &OsStr| name.as_encoded_bytes().starts_with(b"GIT_") && !is_inherited(name);
    let names: Vec<OsString> = env::vars_os().map(|(name, _)| name).filter(|name| foreign(name)).collect();
    for name in names {
        // SAFETY: the caller promises that there is one thread.
        unsafe { env::remove_var(name) };
    }
}

fn is_inherited(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    INHERITED.iter().any(|kept| match kept.strip_suffix('*') {
        Some(start) => name.starts_with(start.as_bytes()),
        None => name == kept.as_bytes(),
    })
}

/// Cleans the environment of a git command.
pub(crate) fn clean(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let is_dropped = name.to_str().is_none_or(|name| name.starts_with("GIT_") || OWN.iter().any(|own| name.starts_with(own)));
        let is_kept = is_inherited(&name) && !GIVEN_LATER.iter().any(|later| *later == name);
        if is_dropped && !is_kept {
            command.env_remove(name);
        }
    }
    if let Some(path) = env::var_os("PATH") {
        // Relative entries would resolve inside the repository, where the process runs.
        let absolute = env::split_paths(&path).filter(|dir| dir.is_absolute());
        command.env("PATH", env::join_paths(absolute).unwrap_or_default());
    }
    command.envs(FIXED);
    speak_english(command);
}

/// Settings of a git process. They reach its hooks and their git, so a change has only those without which it is unsafe, and
/// that no option replaces.
pub(crate) fn settings(name: &str, reads: bool, lazy: bool) -> Vec<(&'static str, &'static str)> {
    // Maintenance would run in the background. `fetch` has an option, but not when git starts it for missing objects.
    let maintains = lazy || MAINTAINING.contains(&name);
    let maintenance = maintains.then_some(("maintenance.auto", "false"));
    maintenance.into_iter().chain(READING.into_iter().filter(|_| reads)).collect()
}

/// Sets configuration values for one process. Not with `-c key=value`: a key may itself contain an equals sign.
pub(crate) fn configure<'a>(command: &mut Command, config: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut count = 0;
    for (key, value) in config {
        command.env(format!("GIT_CONFIG_KEY_{count}"), key).env(format!("GIT_CONFIG_VALUE_{count}"), value);
        count += 1;
    }
    if count > 0 {
        command.env("GIT_CONFIG_COUNT", count.to_string());
    }
}

/// Makes git's messages English, as they are parsed here, and keeps the operator's character encoding: without it filters and
/// hooks would store other content.
fn speak_english(command: &mut Command) {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    if let Some(all) = set("LC_ALL") {
        // `LC_ALL` would override `LC_MESSAGES`.
        command.env("LANG", &all).env("LC_CTYPE", &all).env_remove("LC_ALL");
        for name in OF_LANG {
            command.env_remove(name);
        }
    }
    command.env_remove("LANGUAGE");
}
