//! Correct answers in unusual situations, each compared with git's own.

#![allow(clippy::expect_used, clippy::disallowed_methods, reason = "tests start programs and fail loudly")]

#[path = "answers/attributes.rs"]
mod attributes;
#[path = "answers/beyond_limits.rs"]
mod beyond_limits;
#[path = "answers/bisects.rs"]
mod bisects;
#[path = "answers/broken.rs"]
mod broken;
#[path = "answers/catalogue.rs"]
mod catalogue;
#[path = "answers/clients.rs"]
mod clients;
#[path = "answers/clones.rs"]
mod clones;
#[path = "answers/commits.rs"]
mod commits;
#[path = "answers/dates.rs"]
mod dates;
#[path = "answers/destinations.rs"]
mod destinations;
#[path = "answers/environment.rs"]
mod environment;
#[path = "answers/filtered_changes.rs"]
mod filtered_changes;
#[path = "answers/filters.rs"]
mod filters;
#[path = "answers/halts.rs"]
mod halts;
#[path = "answers/hook_environment.rs"]
mod hook_environment;
#[path = "answers/hooks.rs"]
mod hooks;
#[path = "answers/late.rs"]
mod late;
#[path = "answers/locks.rs"]
mod locks;
#[path = "answers/lost_content.rs"]
mod lost_content;
#[path = "answers/mailmaps.rs"]
mod mailmaps;
#[path = "answers/messages.rs"]
mod messages;
#[path = "answers/modules.rs"]
mod modules;
#[path = "answers/names.rs"]
mod names;
#[path = "answers/nested.rs"]
mod nested;
#[path = "answers/odd_ends.rs"]
mod odd_ends;
#[path = "answers/operators.rs"]
mod operators;
#[path = "answers/ownership.rs"]
mod ownership;
#[path = "answers/partial.rs"]
mod partial;
#[path = "answers/places.rs"]
mod places;
#[path = "answers/previews.rs"]
mod previews;
#[path = "answers/promised.rs"]
mod promised;
#[path = "answers/pulls.rs"]
mod pulls;
#[path = "answers/pushed_modules.rs"]
mod pushed_modules;
#[path = "answers/references.rs"]
mod references;
#[path = "answers/series.rs"]
mod series;
#[path = "answers/set_up.rs"]
mod set_up;
#[path = "answers/shallow.rs"]
mod shallow;
#[path = "answers/signatures.rs"]
mod signatures;
#[path = "answers/skipped.rs"]
mod skipped;
#[path = "answers/sparse.rs"]
mod sparse;
#[path = "answers/stopped.rs"]
mod stopped;
#[path = "answers/submodules.rs"]
mod submodules;
mod support;
#[path = "answers/undone.rs"]
mod undone;
#[path = "answers/unmapped.rs"]
mod unmapped;
#[path = "answers/untracked.rs"]
mod untracked;
#[path = "answers/workspaces.rs"]
mod workspaces;
#[path = "answers/worktrees.rs"]
mod worktrees;
