//! Every hint of the server is printed in its situation, followed once, and helps.

#![allow(clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "tests start programs and fail loudly")]

#[path = "advice/arguments.rs"]
mod arguments;
#[path = "advice/collected.rs"]
mod collected;
#[path = "advice/conflicts.rs"]
mod conflicts;
#[path = "advice/places.rs"]
mod places;
#[path = "advice/refs.rs"]
mod refs;
#[path = "advice/remotes.rs"]
mod remotes;
#[path = "advice/row.rs"]
mod row;
#[path = "advice/settings.rs"]
mod settings;
#[path = "advice/storage.rs"]
mod storage;
mod support;
#[path = "advice/trust.rs"]
mod trust;

use row::Row;

/// All rows, by subject.
const THEMES: [&[Row]; 8] =
    [arguments::ROWS, conflicts::ROWS, places::ROWS, refs::ROWS, remotes::ROWS, settings::ROWS, storage::ROWS, trust::ROWS];

#[test]
fn each_hint_has_a_row() {
    let faults = row::faults(&THEMES);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let left = THEMES.iter().flat_map(|rows| rows.iter()).filter(|row| row.is_unfollowed()).count();
    assert!(left <= 12, "{left} hints are not followed");
}

#[test]
fn hints_about_arguments_help() {
    row::follow(arguments::ROWS);
}

#[test]
fn hints_about_stopped_operations_help() {
    row::follow(conflicts::ROWS);
}

#[test]
fn hints_about_permissions_help() {
    row::follow(places::ROWS);
}

#[test]
fn hints_about_revisions_worktrees_and_locks_help() {
    row::follow(refs::ROWS);
}

#[test]
fn hints_about_exhausted_resources_help() {
    row::follow(storage::ROWS);
}

#[test]
fn hints_about_remotes_help() {
    row::follow(remotes::ROWS);
}

#[test]
fn hints_about_trust_and_damage_help() {
    row::follow(trust::ROWS);
}

#[test]
fn hints_about_settings_programs_and_links_help() {
    row::follow(settings::ROWS);
}
