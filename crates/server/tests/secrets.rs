//! What is secret for a user stays out of all that an operator sees: logs, metrics, the admin channel, profiles, the database.

#![allow(clippy::expect_used, clippy::disallowed_methods, reason = "tests start the server and fail loudly")]

mod support;

use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use support::{
    Outcome,
    admin::Administered,
    program,
    remote::{Fault, OPEN, published},
    tokens::tokens,
    wire::{call, modern, post, session, wait_for},
};

/// What is planted: each word is found nowhere else.
const PLANTED: [&str; 8] = [
    "plantedinurl",
    "plantedinheader",
    "plantedinenvironment",
    "plantedinfile",
    "plantedinmessage",
    "plantedinanswer",
    "plantedinargument",
    "plantedinbody",
];

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.flat_map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { vec![entry.path()] }).collect()
}

#[test]
fn nothing_secret_is_in_what_an_operator_sees() -> Outcome {
    let (fixture, remote) = published();
    let (config, [all, ..]) = tokens(&fixture);
    let (log, folder) = (fixture.home.path().join("logs"), fixture.home.path().join("profiles"));
    fs::create_dir(&log)?;
    let file = log.join("server").display().to_string();
    let own = [("MCP_GIT_LOG_FILE", file.as_str()), ("MCP_GIT_LOG_LEVEL", "trace"), ("PASSWORD", PLANTED[2])];
    let server = Administered::start(&fixture, &["--config", &config, "--toolsets", "all"], &[&OPEN[..], &own[..]].concat());
    let token = format!("Bearer {all}");
    let mut number = 0;
    let mut ask = |tool: &str, args: serde_json::Value| {
        number += 1;
        modern(&server.server, &[("Authorization", &token)], call(number, tool, args)).message().expect("an answer")["result"].clone()
    };
    fixture.write("secret.txt", format!("{}\n", PLANTED[3]));
    ask("git_add", json!({"files": ["secret.txt"]}));
    assert_ne!(ask("git_commit", json!({"message": PLANTED[4]}))["isError"], true);
    ask("git_show", json!({"revision": "HEAD:secret.txt"}));
    ask("git_grep", json!({"pattern": PLANTED[6]}));
    ask("git_show", json!({"revision": PLANTED[6]}));
    ask("git_log", json!({"surplus": PLANTED[6], "max_count": PLANTED[6]}));
    fixture.write("secret.txt", format!("{}\n{}\n", PLANTED[3], PLANTED[3]));
    ask("git_undo", json!({}));
    remote.breaks(Fault::Moved(format!("http://{}:{}@127.0.0.1:1/{}", PLANTED[5], PLANTED[5], PLANTED[5])));
    ask("git_fetch", json!({}));
    fixture.git(&["remote", "set-url", "origin", &format!("http://{0}:{0}@127.0.0.1:1/x.git?token={0}", PLANTED[0])]);
    ask("git_fetch", json!({}));
    ask(
        "git_clone",
        json!({"url": format!("http://{0}:{0}@127.0.0.1:1/x.git", PLANTED[0]), "repo_path": fixture.home.path().join("repo/clone")}),
    );
    let wrong = format!("Bearer {}", PLANTED[1]);
    post(&server.server, &[("Authorization", &wrong)], &call(1, "git_status", json!({})));
    let body = format!("{{\"jsonrpc\": 7, \"id\": 1, \"method\": \"x\", \"params\": {{\"{0}\": \"{0}\"}}}}", PLANTED[7]);
    let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
    server.server.send("POST", "/mcp", &headers, body.as_bytes());
    let id = session(&server.server, &[("Authorization", &token)]);
    post(&server.server, &[("Authorization", &token), ("Mcp-Session-Id", &id)], &call(1, "git_grep", json!({"pattern": PLANTED[6]})));
    let mut profile = program();
    assert!(
        profile.args(["profile", "cpu", "--seconds", "1", "--out"]).arg(&folder).arg("--socket").arg(&server.socket).status()?.success()
    );

    let mut seen: Vec<(String, Vec<u8>)> = Vec::new();
    for path in [
        "/status",
        "/heartbeats",
        "/resources",
        "/sessions",
        "/circuits",
        "/errors?window=60",
        "/errors?window=86400",
        "/operations",
        "/memory",
        "/caches",
        "/logs?limit=1000",
        "/debug/held",
        "/debug/level",
    ] {
        seen.push((path.to_owned(), server.get(path).to_string().into_bytes()));
    }
    let repository = format!("/operations?repository={}", fixture.path.display());
    seen.push((repository.clone(), server.get(&repository).to_string().into_bytes()));
    for path in ["/readyz?verbose", "/health"] {
        seen.push((path.to_owned(), server.server.send("GET", path, &[], b"").body.into_bytes()));
    }
    seen.push(("/metrics".to_owned(), server.metrics().into_bytes()));
    let pid = server.server.child.id().to_string();
    Command::new("kill").args(["-TERM", &pid]).status()?;
    wait_for("the end", || !server.socket.exists());
    for path in files(&log).into_iter().chain(files(&folder)).chain(files(&fixture.home.path().join("state"))) {
        // What was changed can be taken back: the journal keeps what a file was, for its owner alone.
        let is_journal = path.components().any(|part| part.as_os_str() == "journal");
        if !is_journal {
            seen.push((path.display().to_string(), fs::read(&path)?));
        }
    }
    assert!(seen.len() > 20, "{}", seen.len());
    for (place, bytes) in &seen {
        let text = String::from_utf8_lossy(bytes);
        for word in PLANTED.iter().copied().chain([all.as_str()]) {
            let found =
                text.find(word).map(|at| text[..at].chars().rev().take(200).collect::<Vec<_>>().into_iter().rev().collect::<String>());
            assert!(found.is_none(), "{word} is in {place}: ...{}", found.unwrap_or_default());
        }
    }
    Ok(())
}
