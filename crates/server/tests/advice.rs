//! Every advice that the server can give is printed where it belongs, followed once, and helps.

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

/// All rows, by what they are about.
const THEMES: [&[Row]; 8] =
    [arguments::ROWS, conflicts::ROWS, places::ROWS, refs::ROWS, remotes::ROWS, settings::ROWS, storage::ROWS, trust::ROWS];

#[test]
fn each_advice_has_a_row() {
    let faults = row::faults(&THEMES);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let left = THEMES.iter().flat_map(|rows| rows.iter()).filter(|row| row.is_left_to_operators()).count();
    assert!(left <= 12, "{left} are followed nowhere");
}

#[test]
fn arguments_are_corrected_as_is_advised() {
    row::follow(arguments::ROWS);
}

#[test]
fn what_has_stopped_goes_on_or_back_as_is_advised() {
    row::follow(conflicts::ROWS);
}

#[test]
fn what_is_allowed_is_found_and_changed_as_is_advised() {
    row::follow(places::ROWS);
}

#[test]
fn revisions_worktrees_and_locks_are_dealt_with_as_is_advised() {
    row::follow(refs::ROWS);
}

#[test]
fn what_runs_out_is_followed_as_is_advised() {
    row::follow(storage::ROWS);
}

#[test]
fn remotes_are_reached_as_is_advised() {
    row::follow(remotes::ROWS);
}

#[test]
fn repositories_are_trusted_and_mended_as_is_advised() {
    row::follow(trust::ROWS);
}

#[test]
fn settings_programs_and_linked_places_are_mended_as_is_advised() {
    row::follow(settings::ROWS);
}
