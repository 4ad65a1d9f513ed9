//! Each step of the troubleshooting guide, and the tests that take it on a running server: docs/GUIDE.md is made of this table.

#![allow(clippy::expect_used, clippy::disallowed_methods, reason = "tests read the sources and fail loudly")]

#[path = "guide/decisions.rs"]
mod decisions;
mod support;

use std::{fmt::Write as _, fs, path::Path};
use support::root;

/// The section, the symptom or the step, the command here, and the tests that take it.
type Row = (&'static str, &'static str, &'static str, &'static [&'static str]);

const ROWS: &[Row] = &[
    ("1", "test the start", "`doctor`", &["a_healthy_machine_has_no_problem_and_nothing_is_left_behind"]),
    (
        "1",
        "the port is in use",
        "the error names its owner",
        &["a_taken_port_names_its_owner_and_the_way_out", "a_port_is_taken_on_both_loopback_addresses_or_not_at_all"],
    ),
    (
        "1",
        "dependencies, permissions",
        "`doctor`; `serve` refuses to start",
        &[
            "what_a_server_needs_is_explained_at_its_start",
            "a_git_that_cannot_be_used_is_told",
            "roots_that_cannot_be_used_are_told",
            "a_repository_of_another_user_is_told",
        ],
    ),
    ("1", "WebSocket, bare ping", "`/`, `/ws`", &["validation_is_strict_where_that_is_wanted"]),
    (
        "1",
        "is it up",
        "`/health`, `/livez`, `/readyz?verbose`, `/startupz`",
        &["balancers_ask_for_health_by_any_name_and_learn_no_more", "a_drained_server_says_so_and_resumes"],
    ),
    (
        "1",
        "connections drop, logins fail",
        "401 and 403 that say why, counted by reason; `doctor --url`",
        &[
            "a_wrong_token_is_told_from_none_and_where_it_came_from_is_logged",
            "each_refusal_is_counted_by_its_reason_from_the_first_one_on",
            "the_way_to_a_server_is_walked_and_the_step_that_fails_is_named",
        ],
    ),
    (
        "1",
        "does a message pass",
        "`validate`",
        &["the_command_line_and_the_server_have_the_same_verdict", "the_cancel_of_the_guide_is_understood_and_its_kind_is_checked"],
    ),
    (
        "2",
        "critical classes",
        "the session ends",
        &[
            "protocol_violation_closes_its_session_alone",
            "an_id_in_flight_that_is_used_again_and_again_is_a_violation",
            "security_breach_closes_the_session_and_revokes_handles",
            "corrupted_session_state_ends_the_session_alone",
            "authentication_failed_closes_nobody_elses_session",
        ],
    ),
    (
        "2",
        "recoverable classes",
        "`recoverable`, `retry_after_ms`",
        &["recoverable_errors_say_when_to_try_again", "retries_are_for_what_may_be_done_twice"],
    ),
    (
        "2",
        "rates and spikes",
        "`errors --window 60m --threshold N`",
        &[
            "errors_are_counted_by_class_and_spike",
            "errors_are_remembered_after_the_end_of_a_server",
            "what_clients_cancel_is_counted_and_raises_no_alarm",
        ],
    ),
    (
        "3",
        "slow messages",
        "histograms, and a log with where the time went",
        &["a_slow_call_is_logged_with_where_its_time_went", "metrics_count_what_happens"],
    ),
    ("3", "validation cache", "`cache stats`, `cache clear`", &["caches_are_counted_cleared_and_switched_off"]),
    ("3", "processor profile", "`profile cpu --seconds 10`", &["the_processors_are_profiled_while_the_server_runs"]),
    (
        "3",
        "session database",
        "`sessions show ID`",
        &["sessions_survive_the_end_of_their_server", "a_database_that_is_gone_is_named_with_the_reason"],
    ),
    ("3", "memory monitor", "`status memory`, `/metrics`", &["memory_is_watched_trimmed_and_limited"]),
    (
        "3",
        "heap profile",
        "`profile heap`",
        &["what_grows_in_the_heap_is_named_by_call_stack", "without_tracking_the_allocations_of_some_seconds_are_seen"],
    ),
    ("3", "clear caches periodically", "`cache.sweep_interval`", &["caches_are_counted_cleared_and_switched_off"]),
    (
        "3",
        "limit the sessions",
        "`sessions.max`",
        &["sessions_are_listed_reaped_and_evicted", "there_are_no_more_websockets_than_sessions_may_be"],
    ),
    ("3", "processors over 80 %", "a warning, and `status`", &["processors_and_the_runtime_are_watched"]),
    ("3", "backpressure", "`status`", &["a_flood_of_changes_is_seen_in_status"]),
    (
        "4",
        "list and reap sessions",
        "`sessions list`, `sessions reap`",
        &["sessions_are_listed_shown_touched_and_closed", "sessions_reap_closes_the_idle_ones_and_the_oldest"],
    ),
    ("4", "heartbeats", "`status heartbeats`", &["heartbeats_are_seen_late_and_touched", "late_sessions_are_marked"]),
    (
        "4",
        "tune and recover heartbeats",
        "`heartbeat.interval`, `sessions touch`, `recover --component heartbeat`",
        &["heartbeats_are_seen_late_and_touched"],
    ),
    (
        "5",
        "strict and lenient",
        "`validate --strict --lenient`, `validation.mode`, the log `validation`",
        &[
            "validation_is_strict_where_that_is_wanted",
            "what_is_understood_leniently_is_said",
            "messages_that_do_not_pass_are_logged_by_type_and_keys_and_never_by_value",
        ],
    ),
    (
        "6",
        "a circuit is stuck open",
        "`circuits list`",
        &[
            "circuit_stuck_open_starts_nothing",
            "circuit_stuck_open_recovers_without_traffic",
            "circuit_paused_by_the_remote_says_so_and_for_how_long",
        ],
    ),
    (
        "6",
        "reset, parameters",
        "`circuits reset`, `[circuits]`",
        &["circuit_is_reset_by_hand", "circuits_are_listed_and_reset", "circuit_half_open_lets_three_of_a_hundred_through"],
    ),
    (
        "7",
        "what is held",
        "`status resources`, `resources release`, `reap --age 1h`",
        &["resources_are_listed_while_they_are_held", "status_shows_the_server_its_heartbeats_and_what_it_holds"],
    ),
    (
        "7",
        "leak detection: snapshots, growth, top allocators",
        "`profile heap --track on`, `--diff A B`, `profile.heap`",
        &["what_grows_in_the_heap_is_named_by_call_stack", "snapshots_are_taken_and_compared_where_that_is_configured"],
    ),
    (
        "8",
        "log levels",
        "`debug level`, SIGHUP",
        &["levels_change_while_the_server_runs", "sighup_reloads_the_configuration_and_a_bad_one_changes_nothing"],
    ),
    ("8", "breakpoint", "`MCP_DEBUG_BREAKPOINT`, `debug held`, `debug resume`", &["a_breakpoint_holds_calls_until_they_are_resumed"]),
    ("8", "profile one operation", "`profile op`", &["one_operation_is_profiled_and_changes_are_made_in_a_copy"]),
    (
        "9",
        "log analysis",
        "`logs --since --class --session --tool --follow`",
        &["logs_are_kept_in_memory_and_found_by_their_fields", "logs_are_followed", "logs_are_written_to_files_where_that_is_asked_for"],
    ),
    (
        "10",
        "emergency recovery",
        "`recover --emergency`",
        &["emergency_recovery_does_its_five_steps_and_the_server_goes_on", "emergency_recovery_counts_what_it_stops_and_raises_no_alarm"],
    ),
    (
        "10",
        "graceful restart",
        "`restart --drain 300`",
        &["restarts_under_load_lose_no_call_and_no_session", "a_restart_reports_its_steps"],
    ),
    (
        "10",
        "stop accepting, and go on",
        "`drain`, `resume`",
        &["a_drained_server_says_so_and_resumes", "over_standard_input_a_drained_server_refuses_calls"],
    ),
    (
        "",
        "several servers",
        "`--pid`, `--socket`",
        &["without_a_choice_there_must_be_one_server", "a_server_on_standard_input_is_found_once_something_durable_has_happened"],
    ),
    ("", "`MCP_GIT_PORT` over standard input", "a note", &["stdio_mode_points_at_serve_when_a_port_is_given"]),
    (
        "",
        "configuration",
        "`config show --origin`, `config check`, `config schema`",
        &[
            "each_value_is_shown_with_where_it_comes_from_and_nothing_secret",
            "a_configuration_is_checked_and_mistakes_are_named",
            "the_schema_of_the_file_tells_what_each_key_means",
        ],
    ),
    (
        "",
        "traces and metrics for a collector",
        "`telemetry.otlp_endpoint`",
        &[
            "the_spans_of_a_call_are_one_tree_in_the_trace_of_the_client",
            "a_collector_gets_what_metrics_have",
            "either_signal_is_switched_off_alone",
            "a_collector_that_is_away_holds_up_nothing",
        ],
    ),
    ("", "alerts and a dashboard", "`deploy/`", &["prometheus_scrapes_alerts_and_draws"]),
    ("", "in a service manager", "`NOTIFY_SOCKET`", &["the_service_manager_is_told"]),
    ("", "what is printed as JSON", "`docs/schemas/`", &["what_sub_commands_print_as_json_has_the_schemas_of_the_documents"]),
    ("", "progress of what takes long", "on a terminal", &["what_takes_long_says_so_on_a_terminal_alone"]),
    ("", "a verdict first", "`status`", &["status_begins_with_a_verdict_and_the_next_command"]),
    ("", "nothing secret is shown", "logs, metrics, admin channel, profiles, database", &["nothing_secret_is_in_what_an_operator_sees"]),
    ("", "idle raw TCP", "closed after 10 s", &["headers_that_say_something_else_and_slow_ones_are_refused_52_53"]),
    ("", "bind scope and firewall", "`doctor`", &["a_server_for_other_machines_is_told_with_what_opens_and_closes_the_firewall"]),
    ("", "latency through the running server", "`doctor --latency`", &["latency_is_measured_through_the_running_server_and_judged"]),
];

/// What the guide asks for, and no running server shows yet.
const OPEN: &[(&str, &str)] = &[("8", "a page in the browser, and a view for terminals")];

fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("guide.rs") {
            *text += &fs::read_to_string(path).expect("a file");
        }
    }
}

#[test]
fn each_step_of_the_guide_has_tests_that_take_it() {
    let mut tests = String::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"), &mut tests);
    let mut page = String::from(
        "# The guide, step by step\n\nWhat a troubleshooting guide for such servers asks for, and the tests that do it on a running server. This page is \
         generated.\n\n| Section | Symptom or step | Here | Tests |\n|---|---|---|---|\n",
    );
    for (section, step, here, names) in ROWS.iter().chain(decisions::ROWS) {
        assert!(!names.is_empty(), "{step}");
        for name in *names {
            assert!(tests.contains(&format!("#[test]\nfn {name}(")), "{step}: there is no test {name}");
        }
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        writeln!(page, "| {section} | {step} | {here} | {} |", names.join(", ")).expect("text");
    }
    page += "\n## Not there yet\n\n| Section | Step |\n|---|---|\n";
    for (section, step) in OPEN {
        writeln!(page, "| {section} | {step} |").expect("text");
    }
    let path = root().join("docs/GUIDE.md");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, page).expect("a file");
        return;
    }
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), page, "docs/GUIDE.md is out of date: run `cargo xtask bless`");
}
