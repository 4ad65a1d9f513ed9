//! Durations as the command line reads them.

use std::time::Duration;

/// The duration in its largest whole unit, as an option such as `--idle` reads it: `90s`, `30m`. Parts of a second are cut.
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(86_400, 'd'), (3_600, 'h'), (60, 'm')];
    let whole = units.into_iter().find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit));
    whole.map_or_else(|| format!("{seconds}s"), |(unit, name)| format!("{}{name}", seconds / unit))
}
