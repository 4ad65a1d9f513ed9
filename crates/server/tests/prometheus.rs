//! A real Prometheus scrapes the server, promtool reads the alerts, and every dashboard panel is queried.

#![allow(clippy::expect_used, clippy::disallowed_methods, reason = "tests start programs and fail loudly")]

mod support;

use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};
use support::{
    Fixture, Outcome,
    admin::{Administered, tool},
    programs::{Running, found},
    root,
    wire::{Reply, session, wait_for},
};

fn deployed(name: &str) -> PathBuf {
    root().join("deploy").join(name)
}

fn ask(port: u16, path: &str) -> Option<Value> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Reply::parse(&text).message()
}

/// A percent-encoded part of a URL.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |text, byte| text + &format!("%{byte:02X}"))
}

#[test]
fn prometheus_reads_metrics_alerts_and_panels() -> Outcome {
    let [Some(prometheus), Some(promtool)] = ["prometheus", "promtool"].map(found) else { return Ok(()) };
    let rules = Command::new(&promtool).args(["check", "rules"]).arg(deployed("prometheus-alerts.yml")).output()?;
    assert!(rules.status.success(), "{}", String::from_utf8_lossy(&rules.stderr));
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[("MCP_GIT_CPU_INTERVAL", "1")]);
    session(&server.server, &[]);
    tool(&server, "git_show", json!({"revision": "nowhere"}));
    let mut checker = Command::new(&promtool).args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    checker.stdin.take().expect("its input").write_all(server.server.send("GET", "/metrics", &[], b"").body.as_bytes())?;
    let said = checker.wait_with_output()?;
    assert!(said.status.success() && said.stderr.is_empty(), "{}", String::from_utf8_lossy(&said.stderr));
    let home = fixture.home.path().join("prometheus");
    fs::create_dir(&home)?;
    let config = home.join("prometheus.yml");
    fs::write(
        &config,
        format!(
            "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\nrule_files: ['{}']\nscrape_configs:\n  - job_name: mcp-server-git\n    \
             static_configs:\n      - targets: ['127.0.0.1:{}']\n",
            deployed("prometheus-alerts.yml").display(),
            server.server.port
        ),
    )?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let child = Command::new(prometheus)
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg(format!("--storage.tsdb.path={}", home.join("data").display()))
        .current_dir(&home)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let _running = Running(child);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                tool(&server, "git_status", json!({}));
                tool(&server, "git_show", json!({"revision": "nowhere"}));
            }
        });
        let value = |expr: &str| ask(port, &format!("/api/v1/query?query={}", encoded(expr)));
        let is_there = |expr: &str| value(expr).is_some_and(|found| found["data"]["result"].as_array().is_some_and(|all| !all.is_empty()));
        wait_for("two scrapes under load", || is_there("rate(mcp_server_operation_duration_seconds_count[30s]) > 0"));
        wait_for("a measurement of the processors", || is_there("mcp_server_git_cpu_percent"));
        over.store(true, Ordering::SeqCst);
        let targets = ask(port, "/api/v1/targets").expect("an answer");
        let target = &targets["data"]["activeTargets"][0];
        assert!(target["health"] == "up" && target["lastError"] == "", "{target}");
        let dashboard: Value =
            serde_json::from_str(&fs::read_to_string(deployed("grafana-dashboard.json")).expect("a file")).expect("JSON");
        let panels = dashboard["panels"].as_array().expect("panels");
        let mut empty = Vec::new();
        for target in panels.iter().flat_map(|panel| panel["targets"].as_array().expect("queries")) {
            let expr = target["expr"].as_str().expect("a query").replace("$__rate_interval", "30s").replace("$instance", ".*");
            let answer = value(&expr).expect("an answer");
            assert_eq!(answer["status"], "success", "{expr}: {answer}");
            if !is_there(&expr) {
                empty.push(expr);
            }
        }
        // Nothing is open, so there is nothing to draw.
        assert!(empty.len() == 1 && empty[0].starts_with("mcp_server_git_open_circuits"), "{empty:?}");
        let loaded = ask(port, "/api/v1/rules").expect("an answer");
        let rules = loaded["data"]["groups"][0]["rules"].as_array().cloned().unwrap_or_default();
        assert!(rules.len() == 10 && rules.iter().all(|rule| rule["lastError"].is_null()), "{loaded}");
    });
    Ok(())
}
