//! The tools, one file each.

use crate::tool::Entry;

mod add;
mod apply;
mod bisect;
mod blame;
mod branch;
mod branches;
mod change;
mod checkout;
mod clone;
mod commit;
mod config;
mod conflicts;
mod create_branch;
mod diff;
mod fetch;
mod files;
mod grep;
mod hooks;
mod init;
mod log;
mod merge;
mod merge_preview;
mod misdirected;
mod notes;
mod pick;
mod proceed;
mod push;
mod range;
mod rebase;
mod reflog;
mod remote;
mod reset;
mod restore;
mod revision;
mod series;
mod show;
mod sparse;
mod stash;
mod status;
mod submodule;
mod tag;
mod tree;
mod undo;
mod workspace;
mod worktree;

/// Every tool, in listing order.
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
    conflicts::TOOL,
    proceed::CONTINUE,
    proceed::ABORT,
    undo::TOOL,
    fetch::FETCH,
    fetch::PULL,
    push::TOOL,
    reflog::TOOL,
    revision::DESCRIBE,
    revision::MERGE_BASE,
    series::RANGE_DIFF,
    revision::REV_PARSE,
    tree::LS_TREE,
    tree::CAT_FILE,
    series::SHORTLOG,
    merge_preview::TOOL,
    branches::DELETE,
    branches::RENAME,
    branches::UPSTREAM,
    tag::TOOL,
    init::TOOL,
    clone::TOOL,
    remote::LS_REMOTE,
    remote::LIST,
    remote::ADD,
    remote::REMOVE,
    remote::RENAME,
    remote::SET_URL,
    remote::GET_URL,
    worktree::TOOL,
    workspace::TOOL,
    pick::REVERT,
    apply::TOOL,
    files::CLEAN,
    files::RM,
    files::MV,
    bisect::TOOL,
    submodule::TOOL,
    sparse::TOOL,
    notes::TOOL,
    config::CONFIG,
    config::MAINTENANCE,
    diff::UNSTAGED,
    diff::STAGED,
    diff::BRANCHES,
];
