//! The chain of grace periods at shutdown: what is inside ends before what waits for it. A test holds the order.

use std::time::Duration;

/// How long a read may keep running after shutdown begins.
pub(crate) const READ_STOP: Duration = Duration::from_millis(700);
/// How long a change may keep running after shutdown begins.
pub(crate) const CHANGE_STOP: Duration = Duration::from_secs(5);
/// How long the thread of a stopped read may take to end; then the call is answered without it.
pub(crate) const READ_END: Duration = Duration::from_millis(500);
/// The same for a change: git has [`git::GRACE`] between SIGTERM and SIGKILL, and its end is recorded.
pub(crate) const CHANGE_END: Duration = Duration::from_millis(3500);
/// How long shutdown waits for a lost thread.
pub(crate) const LOST: Duration = CHANGE_END;
/// How long emergency recovery waits for the calls that it has stopped.
pub(crate) const RECOVERY: Duration = Duration::from_secs(8);
/// How long a server waits for running calls after the end of its input, or a signal.
pub(crate) const SERVER: Duration = Duration::from_secs(9);
/// How long a server then waits for the collector of its telemetry.
pub(crate) const TELEMETRY: Duration = Duration::from_secs(2);
/// How long a supervisor waits for its server to exit.
pub(crate) const SUPERVISOR: Duration = Duration::from_secs(12);

#[cfg(test)]
mod tests {
    use super::*;
    use mcp::http::{CONNECTIONS_END, DRAIN, LAST_WORDS};

    #[test]
    fn what_is_inside_ends_before_what_waits_for_it() {
        for (inner, outer, why) in [
            (git::GRACE, CHANGE_END, "git cleans up before its call is answered"),
            (READ_END, CHANGE_END, "a read has nothing to clean up"),
            (READ_STOP, CHANGE_STOP, "a read can be repeated"),
            (CHANGE_STOP + git::GRACE, SERVER, "a change ends before the server"),
            (CHANGE_STOP, DRAIN, "answers of changes are sent over HTTP"),
            (DRAIN + LAST_WORDS, CONNECTIONS_END, "connections close after the last answer"),
            (CONNECTIONS_END, SERVER, "connections close before the server exits"),
            (SERVER + TELEMETRY, SUPERVISOR, "a supervisor kills only a server that hangs"),
        ] {
            assert!(inner < outer, "{inner:?} is not less than {outer:?}: {why}; change lifecycle/grace.rs");
        }
        // Two that may be equal: recovery reports calls that have ended, and a lost thread outlives its git.
        assert!(CHANGE_STOP + git::GRACE <= RECOVERY && git::GRACE <= LOST, "change lifecycle/grace.rs");
    }
    #[test]
    fn service_managers_wait_for_the_server() {
        let seconds = |text: &str, key: &str| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix(key));
            line.and_then(|rest| rest.trim_end_matches('s').parse().ok()).map(Duration::from_secs)
        };
        let (unit, manifests) = (include_str!("../../../../docs/mcp-server-git.service"), include_str!("../../../../docs/kubernetes.yaml"));
        assert!(seconds(unit, "TimeoutStopSec=") > Some(SERVER + TELEMETRY));
        // The time of `preStop` counts, too.
        let drain = manifests.lines().find_map(|line| line.split_once("\"--timeout\", \"")?.1.split('"').next());
        let drain = drain.and_then(|text| text.trim_end_matches('s').parse().ok()).map(Duration::from_secs);
        assert!(drain.is_some());
        assert!(seconds(manifests, "terminationGracePeriodSeconds: ") > drain.map(|drain| drain + SERVER + TELEMETRY));
    }
}
