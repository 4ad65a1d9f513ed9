//! The tools, one file each.

use crate::tool::Entry;

mod add;
mod blame;
mod branch;
mod change;
mod checkout;
mod commit;
mod conflicts;
mod create_branch;
mod diff;
mod grep;
mod init;
mod log;
mod merge;
mod pick;
mod proceed;
mod range;
mod rebase;
mod reset;
mod restore;
mod show;
mod stash;
mod status;
mod undo;

/// Every tool, in the order in which they are listed.
pub static ALL: &[Entry] = &[
    status::TOOL,
    diff::TOOL,
    log::TOOL,
    show::TOOL,
    blame::TOOL,
    grep::TOOL,
    branch::TOOL,
    add::TOOL,
    commit::TOOL,
    reset::TOOL,
    restore::TOOL,
    checkout::TOOL,
    create_branch::TOOL,
    stash::TOOL,
    merge::TOOL,
    rebase::TOOL,
    pick::CHERRY_PICK,
    pick::REVERT,
    conflicts::TOOL,
    proceed::CONTINUE,
    proceed::ABORT,
    undo::TOOL,
    init::TOOL,
    diff::UNSTAGED,
    diff::STAGED,
];

/// The tools of the reference server, by name.
pub const REFERENCE: [&str; 12] = [
    "git_status",
    "git_diff_unstaged",
    "git_diff_staged",
    "git_diff",
    "git_commit",
    "git_add",
    "git_reset",
    "git_log",
    "git_create_branch",
    "git_checkout",
    "git_show",
    "git_branch",
];
