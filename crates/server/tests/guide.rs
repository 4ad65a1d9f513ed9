//! Each step of the troubleshooting guide, and the tests that cover it on a running server: docs/GUIDE.md is generated from this table.

#![allow(clippy::expect_used, clippy::disallowed_methods, reason = "tests read the sources and fail loudly")]

#[path = "guide/decisions.rs"]
mod decisions;
mod support;

use std::{fmt::Write as _, fs, path::Path};
use support::{Outcome, compare};

/// The section, the symptom or step, the command here, and the tests that cover it.
type Row = (&'static str, &'static str, &'static str, &'static [&'static str]);

const ROWS: &[Row] = &[
    ("1", "test the start", "`doctor`", &["a_healthy_machine_has_no_problem_and_nothing_is_left_behind"]),
    (
        "1",
        "the port is in use",
        "the error names its owner",
        &["a_taken_port_names_its_owner_and_a_fix", "a_port_is_bound_on_both_loopback_addresses_or_on_neither"],
    ),
    (
        "1",
        "dependencies, permissions",
        "`doctor`; `serve` refuses to start",
        &[
            "missing_requirements_are_explained_at_the_start",
            "an_unusable_git_is_reported",
            "unusable_roots_are_reported",
            "a_repository_of_another_user_is_reported",
        ],
    ),
    ("1", "WebSocket, bare ping", "`/`, `/ws`", &["validation_is_strict_if_configured"]),
    (
        "1",
        "health checks",
        "`/health`, `/livez`, `/readyz?verbose`, `/startupz`",
        &["load_balancers_get_health_by_any_name_and_no_details", "a_drained_server_reports_it_and_resumes"],
    ),
    (
        "1",
        "connections drop, logins fail",
        "401 and 403 with the reason, counted by reason; `doctor --url`",
        &[
            "a_wrong_token_differs_from_none_and_its_peer_is_logged",
            "each_refusal_is_counted_by_its_reason",
            "the_failing_step_on_the_way_to_a_server_is_named",
        ],
    ),
    (
        "1",
        "check a message",
        "`validate`",
        &["the_command_line_and_the_server_have_the_same_verdict", "the_guides_cancel_is_accepted_and_its_kind_is_checked"],
    ),
    (
        "2",
        "critical classes",
        "the session ends; a failed login refuses the request",
        &[
            "protocol_violation_closes_only_its_session",
            "repeated_reuse_of_an_id_in_flight_is_a_violation",
            "security_breach_closes_the_session_and_revokes_handles",
            "corrupted_session_state_closes_only_its_session",
            "authentication_failed_closes_no_other_session",
        ],
    ),
    (
        "2",
        "recoverable classes",
        "`recoverable`, `retry_after_ms`",
        &["recoverable_errors_say_when_to_retry", "only_idempotent_operations_are_retried"],
    ),
    (
        "2",
        "rates and spikes",
        "`errors --window 60m --threshold N`",
        &["errors_are_counted_by_class_and_spike", "error_counts_survive_a_restart", "cancelled_calls_are_counted_and_raise_no_alarm"],
    ),
    (
        "3",
        "slow messages",
        "histograms, and a log of where the time went",
        &["a_slow_call_is_logged_with_its_timings", "metrics_count_events"],
    ),
    ("3", "validation cache", "`cache stats`, `cache clear`", &["caches_are_counted_cleared_and_switched_off"]),
    ("3", "processor profile", "`profile cpu --seconds 10`", &["the_processors_are_profiled_while_the_server_runs"]),
    (
        "3",
        "session database",
        "`sessions show ID`",
        &["sessions_survive_the_end_of_their_server", "an_unavailable_database_is_named_with_the_reason"],
    ),
    ("3", "memory monitor", "`status memory`, `/metrics`", &["memory_is_watched_trimmed_and_limited"]),
    (
        "3",
        "heap profile",
        "`profile heap`",
        &["heap_growth_is_named_by_call_stack", "without_tracking_the_allocations_of_a_few_seconds_are_sampled"],
    ),
    ("3", "clear caches periodically", "`cache.sweep_interval`", &["caches_are_counted_cleared_and_switched_off"]),
    ("3", "limit the sessions", "`sessions.max`", &["sessions_are_listed_reaped_and_evicted", "websockets_are_limited_like_sessions"]),
    ("3", "processors over 80 %", "a warning, and `status`", &["processors_and_the_runtime_are_watched"]),
    ("3", "backpressure", "`status`", &["a_flood_of_changes_is_seen_in_status"]),
    (
        "4",
        "list and reap sessions",
        "`sessions list`, `sessions reap`",
        &["sessions_are_listed_shown_touched_and_closed", "sessions_reap_closes_the_idle_ones_and_the_oldest"],
    ),
    ("4", "heartbeats", "`status heartbeats`", &["late_heartbeats_are_reported_and_touched", "late_sessions_are_marked"]),
    (
        "4",
        "tune and recover heartbeats",
        "`heartbeat.interval`, `sessions touch`, `recover --component heartbeat`",
        &["late_heartbeats_are_reported_and_touched"],
    ),
    (
        "5",
        "strict and lenient",
        "`validate --strict --lenient`, `validation.mode`, the log `validation`",
        &[
            "validation_is_strict_if_configured",
            "lenient_coercions_are_reported",
            "invalid_messages_are_logged_by_type_and_keys_never_by_value",
        ],
    ),
    (
        "6",
        "a circuit is stuck open",
        "`circuits list`",
        &[
            "circuit_stuck_open_starts_nothing",
            "circuit_stuck_open_recovers_without_traffic",
            "circuit_paused_by_the_remote_reports_the_time_of_the_pause",
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
        "held resources",
        "`status resources`, `resources release`, `reap --age 1h`",
        &["held_resources_are_listed", "status_shows_the_server_its_heartbeats_and_what_it_holds"],
    ),
    (
        "7",
        "leak detection: snapshots, growth, top allocators",
        "`profile heap --track on`, `--diff A B`, `profile.heap`",
        &["heap_growth_is_named_by_call_stack", "snapshots_are_taken_and_compared_if_configured"],
    ),
    (
        "8",
        "log levels",
        "`debug level`, SIGHUP",
        &["levels_change_while_the_server_runs", "sighup_reloads_the_configuration_and_an_invalid_one_changes_nothing"],
    ),
    ("8", "breakpoint", "`MCP_DEBUG_BREAKPOINT`, `debug held`, `debug resume`", &["a_breakpoint_holds_calls_until_they_are_resumed"]),
    ("8", "profile one operation", "`profile op`", &["one_operation_is_profiled_and_changes_are_made_in_a_copy"]),
    (
        "9",
        "log analysis",
        "`logs --since --class --session --tool --follow`",
        &["logs_are_kept_in_memory_and_filtered_by_field", "logs_are_followed", "logs_are_written_to_files_if_configured"],
    ),
    (
        "10",
        "emergency recovery",
        "`recover --emergency`",
        &["emergency_recovery_runs_five_steps_and_the_server_continues", "emergency_recovery_counts_what_it_stops_and_raises_no_alarm"],
    ),
    (
        "10",
        "graceful restart",
        "`restart --drain 300`",
        &["restarts_under_load_lose_no_call_and_no_session", "a_restart_reports_its_steps"],
    ),
    (
        "10",
        "stop accepting, and resume",
        "`drain`, `resume`",
        &["a_drained_server_reports_it_and_resumes", "over_standard_input_a_drained_server_refuses_calls"],
    ),
    (
        "",
        "several servers",
        "`--pid`, `--socket`",
        &["without_a_choice_there_must_be_one_server", "a_stdio_server_is_found_after_its_first_change"],
    ),
    ("", "`MCP_GIT_PORT` over standard input", "a note", &["stdio_mode_points_at_serve_when_a_port_is_given"]),
    (
        "",
        "configuration",
        "`config show --origin`, `config check`, `config schema`",
        &[
            "each_value_is_shown_with_its_origin_and_without_secrets",
            "a_configuration_is_checked_and_mistakes_are_named",
            "the_schema_of_the_file_documents_each_key",
        ],
    ),
    (
        "",
        "traces and metrics for a collector",
        "`telemetry.otlp_endpoint`",
        &[
            "the_spans_of_a_call_are_one_tree_in_the_trace_of_the_client",
            "a_collector_receives_all_metrics",
            "each_signal_can_be_disabled_separately",
            "an_unreachable_collector_blocks_nothing",
        ],
    ),
    ("", "alerts and a dashboard", "`deploy/`", &["prometheus_reads_metrics_alerts_and_panels"]),
    ("", "in a service manager", "`NOTIFY_SOCKET`", &["the_service_manager_is_notified"]),
    (
        "",
        "a guide of our own",
        "[TROUBLESHOOTING.md](TROUBLESHOOTING.md)",
        &["each_page_is_executed_and_each_symptom_has_commands", "each_sub_command_of_operators_is_shown"],
    ),
    ("", "JSON output", "`docs/schemas/`", &["the_json_of_sub_commands_matches_the_schemas"]),
    ("", "progress of long commands", "on a terminal", &["long_commands_show_progress_only_on_a_terminal"]),
    ("", "a verdict first", "`status`", &["status_begins_with_a_verdict_and_the_next_command"]),
    ("", "nothing secret is shown", "logs, metrics, admin channel, profiles, database", &["operators_see_no_secrets"]),
    ("", "idle raw TCP", "closed after 10 s", &["mismatched_and_slow_headers_are_refused_52_53"]),
    ("", "bind scope and firewall", "`doctor`", &["a_non_loopback_server_is_reported_with_the_firewall_commands"]),
    ("", "latency through the running server", "`doctor --latency`", &["latency_is_measured_through_the_running_server_and_judged"]),
];

/// Steps that no running server covers yet.
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
fn each_step_of_the_guide_has_tests() -> Outcome {
    let mut tests = String::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"), &mut tests);
    let mut page = String::from(
        "# The guide, step by step\n\nThe steps of a troubleshooting guide for such servers, and the tests that cover them on a running server. This page is \
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
    page += "\n## Missing\n\n| Section | Step |\n|---|---|\n";
    for (section, step) in OPEN {
        writeln!(page, "| {section} | {step} |").expect("text");
    }
    compare("docs/GUIDE.md", &page)
}
