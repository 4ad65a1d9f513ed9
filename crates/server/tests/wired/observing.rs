//! docs/GUIDE.md, sections 3, 8 and 9: what a running server reports about itself, and how it is inspected.

use crate::support::{
    Fixture, Outcome,
    admin::{Administered, hanging_commit, operate, tool},
    out, program, programs,
    remote::{Fault, OPEN, published},
    signal, text_of,
    tokens::tokens,
    wire::{call, modern, post, session, wait_for},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

#[test]
fn logs_are_kept_in_memory_and_filtered_by_field() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let id = session(&server.server, &[]);
    post(&server.server, &[("Mcp-Session-Id", &id)], &call(7, "git_status", json!({})));
    tool(&server, "git_show", json!({"revision": "nowhere"}));
    let of_session = server.get(&format!("/logs?session={id}"));
    let record = &of_session["records"][0];
    assert!(record["tool"] == "git_status" && record["request_id"] == "7" && record["duration_ms"].is_u64(), "{of_session}");
    let shown = operate(&server, &["logs", "--since", "1h", "--class", "other", "--tool", "git_show"]);
    let said = out(&shown);
    assert!(shown.status.success() && said.lines().count() == 1, "{said}");
    assert!(said.contains("INFO  failed") && said.contains("error_class=other") && said.contains("code=not_found"), "{said}");
    let json: Value = serde_json::from_slice(&operate(&server, &["logs", "--level", "info", "--json"]).stdout).expect("JSON");
    assert!(json["records"].as_array().is_some_and(|all| all.len() >= 2 && all.iter().all(|one| one["level"] == "INFO")), "{json}");
}

#[test]
fn line_breaks_of_an_error_are_escaped_once() {
    let fixture = Fixture::new();
    let file = fixture.home.path().join("config.toml");
    fs::write(&file, "").expect("a file");
    let server = Administered::start(&fixture, &["--config", &file.display().to_string()], &[]);
    fs::write(&file, "port = \"many\"\n").expect("a file");
    signal(&server.server.child.id(), "HUP");
    wait_for("the refusal", || server.get("/status")["configuration"]["failed"].is_string());
    for command in ["logs", "status"] {
        let shown = out(&operate(&server, &[command]));
        assert!(shown.contains(r"cannot be used:\nTOML parse error") && !shown.contains("u{"), "{shown}");
    }
}

#[test]
fn logs_are_followed() -> Outcome {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let mut following = program();
    following.args(["logs", "--follow", "--tool", "git_log", "--json", "--socket"]).arg(&server.socket);
    let mut child = following.stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    for _ in 0..2 {
        tool(&server, "git_log", json!({"max_count": 1}));
        let record: Value = serde_json::from_str(&lines.next().expect("a record")?)?;
        assert_eq!(record["tool"], "git_log", "{record}");
    }
    drop(server);
    assert!(child.wait()?.success(), "it ends with the server");
    Ok(())
}

#[test]
fn following_ends_once_the_output_is_closed() -> Outcome {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    tool(&server, "git_log", json!({"max_count": 1}));
    let follow = |output: Stdio| {
        let mut following = program();
        following.args(["logs", "--follow", "--socket"]).arg(&server.socket).stdout(output).stderr(Stdio::piped()).spawn()
    };
    let ended = |mut child: Child| {
        wait_for("its end", || child.try_wait().is_ok_and(|status| status.is_some()));
        child.wait_with_output()
    };
    // There is no other record whose output could fail.
    let mut child = follow(Stdio::piped())?;
    BufReader::new(child.stdout.take().expect("its output")).read_line(&mut String::new())?;
    let closed = ended(child)?;
    assert!(closed.status.success() && closed.stderr.is_empty(), "{closed:?}");
    let full = ended(follow(fs::OpenOptions::new().write(true).open("/dev/full")?.into())?)?;
    assert!(full.status.code() == Some(2) && String::from_utf8_lossy(&full.stderr).contains("No space left"), "{full:?}");
    Ok(())
}

#[test]
fn logs_are_written_to_files_if_configured() {
    let fixture = Fixture::new();
    let folder = fixture.home.path().join("logs");
    fs::create_dir(&folder).expect("a folder");
    let file = folder.join("server").display().to_string();
    let server = Administered::start(&fixture, &[], &[("MCP_GIT_LOG_FILE", &file), ("MCP_GIT_LOG_LEVEL", "info")]);
    tool(&server, "git_status", json!({}));
    let written = || {
        fs::read_dir(&folder).expect("a folder").flatten().map(|entry| fs::read_to_string(entry.path()).expect("a log")).collect::<String>()
    };
    wait_for("the record", || written().contains("\"tool\":\"git_status\""));
    let is_json = written().lines().all(|line| serde_json::from_str::<Value>(line).is_ok_and(|record| record["level"].is_string()));
    assert!(is_json, "{}", written());
}

#[test]
fn levels_change_while_the_server_runs() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let level = || server.get("/debug/level")["level"].clone();
    assert_eq!(level(), "warn");
    let changed = operate(&server, &["debug", "level", "warn,session=debug,git=trace"]);
    assert!(changed.status.success() && out(&changed).contains("Before: warn"), "{changed:?}");
    // The route of a read is logged at debug.
    tool(&server, "git_diff", json!({}));
    let logs = server.get("/logs?level=DEBUG");
    assert!(logs["records"].to_string().contains("answered in-process"), "{logs}");
    let wrong = operate(&server, &["debug", "level", "session=loud"]);
    assert!(
        wrong.status.code() == Some(2) && String::from_utf8_lossy(&wrong.stderr).contains("components: session, validation"),
        "{wrong:?}"
    );
    assert_eq!(level(), "warn,session=debug,git=trace");
    operate(&server, &["debug", "on"]);
    assert_eq!(level(), "debug");
    tool(&server, "git_status", json!({}));
    let in_detail = operate(&server, &["logs", "--level", "debug"]);
    assert!(out(&in_detail).contains("DEBUG"), "{in_detail:?}");
    operate(&server, &["debug", "off"]);
    assert_eq!(level(), "warn");
    let misspelt = operate(&server, &["debug", "level", "chapter=debug"]);
    assert!(misspelt.status.code() == Some(2) && format!("{misspelt:?}").contains("there is no component `chapter`"), "{misspelt:?}");
    assert_eq!(level(), "warn");
    // A search without matches succeeds; an invalid one is refused.
    assert_eq!(out(&operate(&server, &["logs", "--level", "trace", "--tool", "git_tag"])).trim(), "No records");
    assert_eq!(operate(&server, &["logs", "--class", "no_such_class"]).status.code(), Some(2));
    // A command does not open the server's log file.
    let folder = fixture.home.path().join("of_the_server");
    let asked = program().args(["status", "--socket"]).arg(&server.socket).env("MCP_GIT_LOG_FILE", folder.join("log")).output();
    assert!(asked.is_ok_and(|asked| asked.status.success()) && !folder.exists());
}

#[test]
fn a_breakpoint_holds_calls_until_they_are_resumed() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[("MCP_DEBUG_BREAKPOINT", "git_log")]);
    assert_ne!(tool(&server, "git_status", json!({}))["isError"], true, "other tools are not held");
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..2).map(|_| scope.spawn(|| tool(&server, "git_log", json!({"grep": "s3cret"})))).collect();
        wait_for("the holds", || server.get("/debug/held")["held"].as_array().is_some_and(|held| held.len() == 2));
        assert_eq!(server.server.send("GET", "/health", &[], b"").status, 200);
        let listed = operate(&server, &["debug", "held"]);
        assert!(out(&listed).contains("Held calls: 2") && out(&listed).contains("hold_1"), "{listed:?}");
        let shown = operate(&server, &["debug", "held", "show", "hold_1"]);
        assert!(out(&shown).contains("Argument grep: text of 6 bytes") && !out(&shown).contains("s3cret"), "{shown:?}");
        let status = operate(&server, &["status"]);
        assert!(status.status.code() == Some(1) && out(&status).starts_with("Verdict: 1 problem\n  2 calls are held"), "{status:?}");
        assert!(operate(&server, &["debug", "resume", "hold_1", "--abort"]).status.success());
        assert!(operate(&server, &["debug", "resume"]).status.success());
        let answers: Vec<String> = calls.into_iter().map(|call| text_of(&call.join().expect("a call"))).collect();
        assert_eq!(answers.iter().filter(|text| text.contains("the operator has cancelled the call")).count(), 1, "{answers:?}");
    });
    assert_eq!(operate(&server, &["debug", "held", "show", "hold_1"]).status.code(), Some(3));
    assert_eq!(operate(&server, &["debug", "resume", "hold_9"]).status.code(), Some(3));
    assert!(out(&operate(&server, &["status"])).starts_with("Verdict: fine\n"));
    // Draining counts held calls, and a forced end stops them.
    std::thread::scope(|scope| {
        let held = scope.spawn(|| tool(&server, "git_log", json!({})));
        wait_for("the hold", || server.get("/debug/held")["held"].as_array().is_some_and(|held| held.len() == 1));
        assert_eq!(server.post("/drain", &json!({"timeout": 0})).1["left"], 1);
        server.post("/resume", &json!({}));
        server.post("/recover", &json!({}));
        assert_eq!(held.join().expect("a call")["structuredContent"]["code"], "stopped");
    });
    let logged = operate(&server, &["logs", "--tool", "git_log"]);
    assert!(out(&logged).contains("aborted"), "{logged:?}");
    let short = Administered::start_as("short", &fixture, &[], &[("MCP_DEBUG_BREAKPOINT", "*"), ("MCP_GIT_HOLD_LIMIT", "1")]);
    assert_ne!(tool(&short, "git_status", json!({}))["isError"], true, "it continued without a resume");
}

#[test]
fn memory_is_watched_trimmed_and_limited() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    tool(&server, "git_status", json!({}));
    let memory = server.get("/memory");
    assert!(memory["rss"].as_u64() > Some(1 << 20) && memory["notes"].as_array().is_some_and(|notes| !notes.is_empty()), "{memory}");
    assert!(memory["allocated"].as_u64() > Some(100_000), "{memory}");
    assert!(server.metrics().contains("mcp_server_git_allocator_bytes{state=\"used\"}"));
    let trimmed = operate(&server, &["status", "memory", "--trim"]);
    for label in ["Memory before: ", "Memory after: ", "Memory recovered: ", "Cleared repositories: 1 entry"] {
        assert!(out(&trimmed).contains(label), "{label}: {trimmed:?}");
    }
    drop(server);
    let full = Administered::start_as("full", &fixture, &[], &[("MCP_GIT_MEMORY_LIMIT", "1000000")]);
    wait_for("the limit", || full.get("/memory")["refuses_calls"] == true);
    assert_eq!(full.server.send("GET", "/readyz", &[], b"").status, 503);
    let refused = tool(&full, "git_status", json!({}));
    let answer = &refused["structuredContent"];
    assert!(answer["code"] == "unavailable" && answer["retry_after_ms"] == 5000 && text_of(&refused).contains("memory limit"), "{refused}");
    let status = operate(&full, &["status"]);
    let advice = "If usage stays above the limit, raise `memory.soft_limit`, or the control group's limit if that is unset";
    assert!(out(&status).contains(&format!("Next: mcp-server-git status memory --trim. {advice}\n")), "{status:?}");
    let memory = operate(&full, &["status", "memory"]);
    let shown = out(&memory);
    let [trim, raise] = ["status memory --trim", advice].map(|words| shown.find(words));
    assert!(memory.status.code() == Some(1) && trim.is_some() && trim < raise, "{shown}");
}

#[test]
fn the_route_and_the_processes_of_each_call_are_logged_at_debug() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    assert!(operate(&server, &["debug", "on"]).status.success());
    fixture.write("a.txt", "changed\n");
    fixture.git(&["add", "a.txt"]);
    let left = |name: &str, args: Value| {
        let last = server.get("/logs?limit=1")["last"].clone();
        let result = tool(&server, name, args);
        assert_ne!(result["isError"], true, "{name}: {result}");
        server.get(&format!("/logs?level=DEBUG&after={last}"))["records"].as_array().cloned().unwrap_or_default()
    };
    let is_routed =
        |one: &Value, read: &str| one["read"] == read && ["answered in-process", "left to git"].iter().any(|it| one["message"] == *it);
    let has_run = |all: &[Value], command: &str| {
        let of = |message: &str| all.iter().find(|one| one["message"] == message && one["command"] == command).cloned();
        let (started, ended) = (of("a git process has started"), of("a git process has ended"));
        let (Some(started), Some(ended)) = (started, ended) else { return false };
        started["pid"] == ended["pid"] && ended["exit"] == "exit status: 0" && ended["duration_ms"].is_u64()
    };
    for (name, args, read) in
        [("git_status", json!({}), "status"), ("git_log", json!({}), "log"), ("git_blame", json!({"path": "a.txt"}), "blame")]
    {
        let all = left(name, args);
        assert!(all.iter().any(|one| is_routed(one, read)), "{name}: {all:?}");
    }
    fixture.git(&["config", "i18n.logOutputEncoding", "UTF-8"]);
    let all = left("git_blame", json!({"path": "a.txt"}));
    assert!(has_run(&all, "blame"), "{all:?}");
    let all = left("git_commit", json!({"message": "a message of its own"}));
    assert!(has_run(&all, "commit") && !format!("{all:?}").contains("of its own"), "{all:?}");
}

#[test]
fn processors_are_unknown_until_they_were_measured_for_a_second() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[("MCP_GIT_CPU_INTERVAL", "3600"), ("MCP_GIT_CPU_WARN", "1")]);
    tool(&server, "git_status", json!({}));
    let process = server.get("/status")["process"].clone();
    assert!(process["cpu_percent"].is_null() && process["process_cpu_percent"].is_null() && process["rss"].is_u64(), "{process}");
    let shown = out(&operate(&server, &["status"]));
    assert!(shown.contains("\nProcessors: not known yet\n"), "{shown}");
    assert!(!server.get("/logs")["records"].to_string().contains("high CPU usage"), "{}", server.get("/logs"));
}

#[test]
fn processors_and_the_runtime_are_watched() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[("MCP_GIT_CPU_INTERVAL", "1"), ("MCP_GIT_CPU_WARN", "1")]);
    let process = || server.get("/status")["process"].clone();
    wait_for("a measurement", || {
        // A process must be busy.
        tool(&server, "git_status", json!({}));
        process()["cpu_percent"].is_number()
    });
    let process = process();
    for key in ["rss", "threads", "descriptors", "max_descriptors", "cpu_count", "load_average", "process_cpu_percent", "runtime_lag_ms"] {
        assert!(!process[key].is_null(), "{key}: {process}");
    }
    wait_for("the warning", || {
        tool(&server, "git_status", json!({}));
        let logs = server.get("/logs?level=WARN")["records"].to_string();
        ["cpu_percent", "cpu_count", "load_average", "process_cpu", "threads"].iter().all(|key| logs.contains(key))
    });
}

#[test]
fn caches_are_counted_cleared_and_switched_off() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let of = |server: &Administered, name: &str| {
        let all = server.get("/caches");
        all["caches"].as_array().into_iter().flatten().find(|one| one["name"] == name).cloned().unwrap_or_default()
    };
    for _ in 0..3 {
        tool(&server, "git_log", json!({"max_count": "1", "start_timestamp": "1 year ago"}));
    }
    let repositories = of(&server, "repositories");
    assert!(repositories["entries"] == 1 && repositories["misses"] == 1 && repositories["hits"] == 2, "{repositories}");
    assert!(of(&server, "validation")["hits"].as_u64() >= Some(2), "{}", of(&server, "validation"));
    let stats = operate(&server, &["cache", "stats"]);
    assert!(out(&stats).lines().any(|line| line.starts_with("repositories  1")), "{stats:?}");
    let cleared = operate(&server, &["cache", "clear", "repositories"]);
    assert_eq!(out(&cleared), "Cleared repositories: 1 entry\n");
    assert_eq!(of(&server, "repositories")["entries"], 0);
    assert_eq!(operate(&server, &["cache", "clear", "nothing"]).status.code(), Some(3));
    let file = fixture.home.path().join("config.toml");
    fs::write(&file, "[cache.repositories]\nenabled = false\n").expect("a file");
    let off = Administered::start_as("off", &fixture, &["--config", &file.display().to_string()], &[]);
    tool(&off, "git_status", json!({}));
    let repositories = of(&off, "repositories");
    assert!(repositories["enabled"] == false && repositories["entries"] == 0 && repositories["misses"] == 1, "{repositories}");
    let swept = Administered::start_as("swept", &fixture, &[], &[("MCP_GIT_CACHE_SWEEP", "1")]);
    tool(&swept, "git_status", json!({}));
    wait_for("the sweep", || of(&swept, "repositories")["entries"] == 0);
}

#[test]
fn metrics_count_events() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let id = session(&server.server, &[]);
    tool(&server, "git_status", json!({}));
    tool(&server, "git_show", json!({"revision": "nowhere"}));
    modern(&server.server, &[], call(1, "git_nope", json!({})));
    server.post(&format!("/sessions/{id}/close"), &json!({}));
    let reply = server.server.send("GET", "/metrics", &[], b"");
    assert!(reply.status == 200 && reply.header("content-type") == Some("text/plain; version=0.0.4; charset=utf-8"), "{}", reply.head);
    let has = |start: &str, end: &str| reply.body.lines().any(|line| line.starts_with(start) && line.ends_with(end));
    let operation = |error: &str, name: &str| {
        format!(
            "mcp_server_operation_duration_seconds_count{{error_type=\"{error}\",gen_ai_tool_name=\"{name}\",mcp_method_name=\"tools/call\",\
             network_protocol_name=\"http\",network_transport=\"tcp\"}}"
        )
    };
    for (start, end) in [
        (operation("", "git_status"), " 1"),
        (operation("tool_error", "git_show"), " 1"),
        (operation("-32602", ""), " 1"),
        ("mcp_server_session_duration_seconds_count{error_type=\"\",mcp_protocol_version=\"2025-11-25\"".to_owned(), " 1"),
        ("mcp_server_git_sessions_closed_total{reason=\"operator\"}".to_owned(), " 1"),
        ("mcp_server_git_errors_total{class=\"other\",reason=\"unknown_tool\"}".to_owned(), " 1"),
        ("mcp_server_git_calls{class=\"read\",state=\"running\"}".to_owned(), " 0"),
        ("mcp_server_git_call_stage_seconds_count{stage=\"open\"}".to_owned(), " 2"),
        ("mcp_server_git_cache_hits_total{cache=\"repositories\"}".to_owned(), " 1"),
        ("mcp_server_git_store_up".to_owned(), " 1"),
        ("process_resident_memory_bytes".to_owned(), ""),
        ("process_cpu_seconds_total".to_owned(), ""),
    ] {
        assert!(has(&start, end), "{start}{end}: {}", reply.body);
    }
}

#[test]
fn a_slow_call_that_fails_is_logged_with_its_error_and_its_pauses() {
    let (fixture, remote) = published();
    let server = Administered::start(&fixture, &[], &[&OPEN[..], &[("MCP_GIT_SLOW_MS", "1")]].concat());
    remote.breaks(Fault::Status(503));
    // Two pauses between three attempts: a quarter of a second, and twice that.
    assert_eq!(tool(&server, "git_fetch", json!({}))["structuredContent"]["code"], "unavailable");
    let logged = server.get("/logs?tool=git_fetch");
    let record = logged["records"].as_array().and_then(|all| all.last()).cloned().unwrap_or_default();
    assert!(record["level"] == "WARN" && record["message"] == "slow call failed", "{record}");
    assert!(record["code"] == "unavailable" && record["error_class"] == "temporary_resource_unavailable", "{record}");
    let ms = |key: &str| record[key].as_u64().unwrap_or_else(|| panic!("{key}: {record}"));
    assert!(ms("retry_ms") >= 750 && ms("git_ms") > 0 && ms("encode_ms") < ms("retry_ms"), "{record}");
    let figures = server.metrics();
    assert!(figures.contains("mcp_server_git_call_stage_seconds_count{stage=\"retry\"} 1\n"), "{figures}");
}

#[test]
fn metrics_need_the_scope_admin_if_tokens_are_required() {
    let fixture = Fixture::new();
    let (config, [all, ..]) = tokens(&fixture);
    let made = program().args(["token", "scraper", "--scopes", "admin"]).output().expect("a token");
    let answer = out(&made);
    let scraper = answer.lines().next().and_then(|line| line.rsplit(' ').next()).expect("the token").to_owned();
    fs::write(&config, fs::read_to_string(&config).expect("a file") + &answer).expect("a file");
    let server = Administered::start(&fixture, &["--config", &config], &[]);
    let status = |token: &str| server.server.send("GET", "/metrics", &[("Authorization", &format!("Bearer {token}"))], b"").status;
    assert_eq!(server.server.send("GET", "/metrics", &[], b"").status, 401);
    assert_eq!((status(&all), status(&scraper)), (403, 200));
    let off = Administered::start_as("off", &fixture, &[], &[("MCP_GIT_METRICS", "0")]);
    assert_eq!(off.server.send("GET", "/metrics", &[], b"").status, 404);
}

#[test]
fn status_begins_with_a_verdict_and_the_next_command() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let status = operate(&server, &["status"]);
    assert!(status.status.success() && out(&status).starts_with("Verdict: fine\n"), "{status:?}");
    let _commit = hanging_commit(&fixture, &server);
    server.post("/drain", &json!({"timeout": 0}));
    let status = operate(&server, &["status"]);
    assert!(status.status.code() == Some(1), "{status:?}");
    assert!(out(&status).starts_with("Verdict: 1 problem\n  the server accepts no new calls. Next: mcp-server-git resume\n"), "{status:?}");
}

#[test]
fn a_breakpoint_for_every_call_exempts_the_admin_channel_health_and_pings() {
    let fixture = Fixture::new();
    for (name, word) in [("one", "1"), ("true", "true"), ("all", "*")] {
        let server = Administered::start_as(name, &fixture, &[], &[("MCP_DEBUG_BREAKPOINT", word)]);
        let id = session(&server.server, &[]);
        std::thread::scope(|scope| {
            let server = &server;
            let calls = ["git_status", "git_log"].map(|name| scope.spawn(move || tool(server, name, json!({}))));
            wait_for("the holds", || server.get("/debug/held")["held"].as_array().is_some_and(|held| held.len() == 2));
            assert_eq!(server.server.send("GET", "/readyz", &[], b"").status, 200, "{word}");
            let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
            let answered = post(&server.server, &[("Mcp-Session-Id", &id)], &ping).message().expect("an answer");
            assert_eq!(answered["result"], json!({}), "{word}");
            assert!(operate(server, &["sessions", "list"]).status.success(), "{word}");
            let resumed = operate(server, &["debug", "resume"]);
            assert!(out(&resumed).starts_with("Released calls: 2\n"), "{word}: {resumed:?}");
            for call in calls {
                assert_ne!(call.join().expect("a call")["isError"], true, "{word}");
            }
        });
    }
}

#[test]
fn components_have_the_guides_logger_names_and_short_ones() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    // A session's end is logged at info, which a directive for its component can disable.
    let is_logged = |directive: &str| {
        let changed = operate(&server, &["debug", "level", directive]);
        assert!(changed.status.success() && server.get("/debug/level")["level"] == directive, "{directive}: {changed:?}");
        let id = session(&server.server, &[]);
        server.post(&format!("/sessions/{id}/close"), &json!({}));
        let logs = server.get(&format!("/logs?level=INFO&session={id}"));
        logs["records"].to_string().contains("a session is closed")
    };
    for name in ["session", "mcp_server_git.session"] {
        assert!(!is_logged(&format!("{name}=off")), "{name}");
    }
    for name in ["validation", "error_handling", "mcp_server_git.validation", "mcp_server_git.error_handling"] {
        assert!(is_logged(&format!("{name}=off")), "{name}");
    }
}

#[test]
fn memory_growth_is_a_slope() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[("MCP_GIT_MEMORY_INTERVAL", "1")]);
    wait_for("a slope", || server.get("/memory")["bytes_per_hour"].is_i64());
    assert!(server.get("/memory")["notes"].as_array().is_some_and(|notes| notes.len() >= 4));
    let said = out(&operate(&server, &["status", "memory"]));
    assert!(said.lines().any(|line| line.starts_with("Growth: ") && line.ends_with(" an hour")), "{said}");
    // One or two samples are not enough.
    let usual = Administered::start_as("usual", &fixture, &[], &[]);
    let said = out(&operate(&usual, &["status", "memory"]));
    assert!(said.contains("Growth: not known yet\n"), "{said}");
}

#[test]
fn entries_of_the_validation_cache_are_built_once() {
    let fixture = Fixture::new();
    let validation = |server: &Administered| {
        for _ in 0..20 {
            for name in ["git_log", "git_diff"] {
                assert_ne!(tool(server, name, json!({"max_tokens": "500"}))["isError"], true, "{name}");
            }
        }
        let all = server.get("/caches");
        all["caches"].as_array().into_iter().flatten().find(|one| one["name"] == "validation").cloned().unwrap_or_default()
    };
    let server = Administered::start(&fixture, &[], &[]);
    // One lookup per call, and only the first of each tool compiles: less work than without the cache.
    let kept = validation(&server);
    assert_eq!(["entries", "misses", "hits"].map(|key| kept[key].clone()), [json!(2), json!(2), json!(38)], "{kept}");
    let file = fixture.home.path().join("config.toml");
    fs::write(&file, "[cache.validation]\nenabled = false\n").expect("a file");
    let off = Administered::start_as("off", &fixture, &["--config", &file.display().to_string()], &[]);
    let kept = validation(&off);
    assert!(kept["enabled"] == false && kept["entries"] == 0 && kept["hits"] == 0, "{kept}");
}

/// Stops the threads of an async runtime, as if they were blocked, until the input ends.
const STOP: &str = "import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
tasks = '/proc/' + sys.argv[1] + '/task/'
threads = [int(one) for one in os.listdir(tasks) if one == sys.argv[1] or open(tasks + one + '/comm').read().startswith('tokio')]
for one in threads:
    if libc.ptrace(16, one, None, None) != 0:
        sys.exit('not allowed')
    os.waitpid(one, 0x40000000)
print('stopped', flush=True)
sys.stdin.read()
for one in threads:
    libc.ptrace(17, one, None, None)";

#[test]
fn a_stalled_runtime_is_reported() -> Outcome {
    let Some(python) = programs::found("python3") else { return Ok(()) };
    let fixture = Fixture::new();
    let folder = fixture.home.path().join("logs");
    let file = folder.join("server").display().to_string();
    let server = Administered::start(&fixture, &[], &[("MCP_GIT_LOG_FILE", &file)]);
    wait_for("a beat", || server.get("/status")["process"]["runtime_lag_ms"].as_f64() > Some(0.0));
    let figures = server.metrics();
    assert!(["mcp_server_git_runtime_lag_seconds ", "mcp_server_git_runtime_lag_max_seconds "].iter().all(|name| figures.contains(name)));
    let mut command = Command::new(python);
    command.args(["-c", STOP, &server.server.child.id().to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut stopping = programs::Running(command.spawn()?);
    let mut line = String::new();
    BufReader::new(stopping.0.stdout.take().ok_or("its output")?).read_line(&mut line)?;
    if line.trim() != "stopped" {
        programs::not_tried("threads of another process may not be stopped here");
        return Ok(());
    }
    let written = || {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        entries.map(|entry| fs::read_to_string(entry.path()).unwrap_or_default()).collect::<String>()
    };
    wait_for("the watchdog", || written().contains("async runtime stalled"));
    drop(stopping.0.stdin.take());
    stopping.0.wait()?;
    assert_ne!(tool(&server, "git_status", json!({}))["isError"], true, "it recovers");
    let answer = operate(&server, &["logs", "--level", "error"]);
    assert!(out(&answer).contains("async runtime stalled"), "{answer:?}");
    Ok(())
}
