//! Hints for what git cannot read: a disk, a damaged repository, a setting, a filtered file.

/// Hint for a disk error.
pub(super) const STORAGE: &str = "The disk is full, read-only or failing; ask the operator to fix it.";

/// Hint for a repository that git does not open.
pub(super) const UNOPENED: &str = "If git names a version or an extension, ask the operator to install a newer git; if it names a setting or a file, \
    to correct the configuration. `mcp-server-git doctor` shows how to fix the rest.";

/// Hint for a setting that makes git fail.
pub(super) const SETTING: &str = "Ask the operator to correct it; `git config --list --show-origin` shows where each setting comes from.";

/// Hint for an unreadable repository: how to replace the damaged part.
pub(super) fn of_damage(err: &git::Error) -> &'static str {
    match err.damage() {
        Some(git::Damage::Index) => {
            "Ask the operator to rebuild the index with `mv .git/index .git/index.old && git reset`: changes must then be staged again."
        }
        Some(git::Damage::Other) => {
            "`git fsck` lists what is missing or damaged. Ask the operator to restore objects with `git fetch --refetch` or from another \
             clone, and HEAD as `mcp-server-git doctor` shows."
        }
        None => {
            "Ask the operator to fix what git reports. `git fsck` checks for missing or damaged objects, and `mcp-server-git doctor` \
             checks the rest."
        }
    }
}

/// Hint for a failing filter, given its output.
pub(super) fn of_a_filter(said: &str) -> &'static str {
    if ["not found", "cannot run", "No such file or directory"].iter().any(|words| said.contains(words)) {
        return "The program of the filter is not on the server's PATH, which is often shorter than a terminal's. Ask the operator to \
                install it, or to add its folder to PATH in `env` of the server's entry in the client's configuration. Then \
                repeat the call.";
    }
    "The program of that filter has to work here first: install it, or fix its configuration or the file. Then repeat the call."
}
