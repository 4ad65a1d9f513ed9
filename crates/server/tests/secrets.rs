//! Users' secrets stay out of everything an operator sees: logs, metrics, traces, the admin channel, profiles, the database.
//!
//! Each secret is requested first, to prove that it was there to be seen.

#![allow(clippy::expect_used, clippy::disallowed_methods, reason = "tests start the server and fail loudly")]

mod support;

use serde_json::{Value, json};
use std::{
    cell::Cell,
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{Arc, Mutex},
};
use support::{
    Fixture, Outcome,
    admin::{Administered, operate},
    collector::collector,
    files, has_store_of_its_own,
    remote::{Fault, OPEN, Remote, published},
    text_of,
    tokens::tokens,
    wire::{call, modern, post, session},
};

const URL: &str = "plantedinurl";
const HEADER: &str = "plantedinheader";
const ENVIRONMENT: &str = "plantedinenvironment";
const FILE: &str = "plantedinfile";
const MESSAGE: &str = "plantedinmessage";
const ANSWER: &str = "plantedinanswer";
const ARGUMENT: &str = "plantedinargument";
const BODY: &str = "plantedinbody";
/// The planted secrets: each word occurs nowhere else.
const PLANTED: [&str; 8] = [URL, HEADER, ENVIRONMENT, FILE, MESSAGE, ANSWER, ARGUMENT, BODY];

/// Everything an operator sees, by name.
type Outputs = Vec<(String, Vec<u8>)>;

/// A client with a valid token.
struct Asking<'a> {
    server: &'a Administered,
    token: &'a str,
    asked: Cell<u32>,
}

impl Asking<'_> {
    /// Calls a tool whose answer contains these words: a planted secret, or its neighbour.
    #[track_caller]
    fn reaches(&self, tool: &str, args: Value, words: &str) {
        self.asked.set(self.asked.get() + 1);
        let reply = modern(&self.server.server, &[("Authorization", self.token)], call(self.asked.get(), tool, args));
        let result = reply.message().expect("an answer")["result"].clone();
        assert!(text_of(&result).contains(words), "{tool} does not reach `{words}`: {result}");
    }
}

/// A hook that prints something, and exits with this status.
fn hook(path: &Path, words: &str, status: u8) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, format!("#!/bin/sh\necho \"beside {words}\" >&2\nexit {status}\n")).expect("a hook");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a hook");
}

/// Content, messages, arguments, and the environment of hooks.
fn within_the_repository(ask: &Asking<'_>, fixture: &Fixture) {
    let [file, message, argument, environment] = [FILE, MESSAGE, ARGUMENT, ENVIRONMENT].map(|word| format!("beside {word}"));
    hook(&fixture.path.join(".git/hooks/post-commit"), "$PASSWORD", 0);
    fixture.write("secret.txt", format!("{file}\n"));
    ask.reaches("git_add", json!({"files": ["secret.txt"]}), "A secret.txt");
    ask.reaches("git_commit", json!({"message": message}), &environment);
    fixture.write("secret.txt", format!("{file}\nand {file}\n"));
    for (tool, args, words) in [
        ("git_show", json!({"revision": "HEAD:secret.txt"}), file.as_str()),
        ("git_blame", json!({"path": "secret.txt"}), &file),
        ("git_grep", json!({"pattern": "beside"}), &file),
        ("git_diff", json!({}), "and beside plantedinfile"),
        ("git_add", json!({"list": true}), "and beside plantedinfile"),
        ("git_show", json!({"revision": "HEAD"}), &message),
        ("git_log", json!({"max_count": 1}), &message),
        ("git_cat_file", json!({"revision": "HEAD"}), &message),
        ("git_notes", json!({"action": "add", "message": message}), "the note is written"),
        ("git_notes", json!({}), &message),
        ("git_tag", json!({"action": "create", "name": "v1", "message": message}), "tagged"),
        ("git_stash", json!({"message": message}), &message),
        ("git_undo", json!({}), "the last change is git_stash"),
        ("git_show", json!({"revision": ARGUMENT}), "unknown revision `plantedinargument`"),
        ("git_grep", json!({"pattern": ARGUMENT}), "no matches"),
        ("git_log", json!({"surplus": ARGUMENT, "max_count": ARGUMENT}), ARGUMENT),
        ("git_apply", json!({"patch": ARGUMENT}), "the patch does not apply"),
        ("git_config", json!({"key": "user.name", "value": argument}), &argument),
        ("git_config", json!({"key": "user.name"}), &argument),
    ] {
        ask.reaches(tool, args, words);
    }
}

/// Addresses with a password, of a reachable remote and an unreachable one, and the remote's output.
fn over_the_network(ask: &Asking<'_>, fixture: &Fixture, remote: &Remote) {
    let (requests, shown) = (remote.requests(), "http://***@127.0.0.1:");
    let url = remote.url().replace("http://", &format!("http://{URL}:{URL}@"));
    let away = format!("http://{URL}:{URL}@127.0.0.1:1/x.git?token={URL}");
    for (tool, args, words) in [
        ("git_remote_set_url", json!({"name": "origin", "url": url}), "origin has the new URL"),
        ("git_remote_get_url", json!({"name": "origin"}), shown),
        ("git_config", json!({"key": "remote.origin.url"}), shown),
        ("git_ls_remote", json!({}), "refs/heads/main"),
        ("git_fetch", json!({}), "fetched from origin"),
        ("git_pull", json!({}), "fetched from origin"),
        ("git_push", json!({}), "pushed to origin"),
        ("git_clone", json!({"url": url, "repo_path": fixture.path.join("clone")}), "cloned to"),
        ("git_remote_add", json!({"name": "away", "url": away}), "added away"),
        ("git_remote_list", json!({}), "away http://***@127.0.0.1:1/x.git?token=***"),
        ("git_clone", json!({"url": away, "repo_path": fixture.path.join("none")}), "could not be reached"),
        ("git_fetch", json!({"remote": "away"}), "could not be reached"),
        ("git_push", json!({"remote": "away"}), "could not be reached"),
    ] {
        ask.reaches(tool, args, words);
    }
    assert!(remote.requests() > requests, "the remote is asked");
    hook(&remote.path().join("hooks/pre-receive"), ANSWER, 1);
    ask.reaches("git_commit", json!({"message": "more", "allow_empty": true}), "committed");
    ask.reaches("git_push", json!({}), "remote: beside plantedinanswer");
    remote.breaks(Fault::Moved(format!("http://{ANSWER}:{ANSWER}@127.0.0.1:1/{ANSWER}")));
    ask.reaches("git_fetch", json!({}), "redirected to http://***@127.0.0.1:1/plantedinanswer");
}

/// Headers, the address and the body of requests.
fn in_requests(ask: &Asking<'_>) {
    let (server, wrong) = (&ask.server.server, format!("Bearer {HEADER}"));
    let refused = post(server, &[("Authorization", &wrong)], &call(1, "git_status", json!({})));
    assert!(refused.status == 401 && refused.body.contains("invalid token"), "{refused:?}");
    let own = [("Authorization", ask.token), ("Content-Type", "application/json")];
    let strange = [("Authorization", ask.token), ("Cookie", HEADER), ("X-Api-Key", HEADER)];
    let answered = modern(server, &strange, call(1, "git_status", json!({}))).message().expect("an answer");
    assert_eq!(answered["result"]["isError"], false, "{answered}");
    let refused = server.send("POST", &format!("/mcp?access_token={URL}"), &own, b"{}");
    assert!(refused.status == 400 && refused.body.contains("never in the URL"), "{refused:?}");
    for (body, code) in [
        (format!("{{\"jsonrpc\": 7, \"id\": 1, \"method\": \"x\", \"params\": {{\"{BODY}\": \"{BODY}\"}}}}"), -32600),
        (format!("{{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": {BODY}"), -32700),
    ] {
        let refused = server.send("POST", "/mcp", &own, body.as_bytes());
        assert!(refused.message().is_some_and(|report| report["id"] == 1 && report["error"]["code"] == code), "{refused:?}");
    }
    let id = session(server, &own[..1]);
    let on_session = [("Authorization", ask.token), ("Mcp-Session-Id", id.as_str())];
    let searched = post(server, &on_session, &call(1, "git_grep", json!({"pattern": ARGUMENT}))).message().expect("an answer");
    assert!(text_of(&searched["result"]).contains("no matches"), "{searched}");
}

/// The output of a running server.
fn shown(server: &Administered, fixture: &Fixture) -> Outputs {
    let of_repository = format!("/operations?repository={}", fixture.path.display());
    let paths = [
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
        &of_repository,
    ];
    let mut seen: Outputs = paths.into_iter().map(|path| (path.to_owned(), server.get(path).to_string().into_bytes())).collect();
    for path in ["/readyz?verbose", "/health"] {
        seen.push((path.to_owned(), server.server.send("GET", path, &[], b"").body.into_bytes()));
    }
    seen.push(("/metrics".to_owned(), server.metrics().into_bytes()));
    seen
}

#[test]
fn operators_see_no_secrets() -> Outcome {
    let (fixture, remote) = published();
    let (config, [all, ..]) = tokens(&fixture);
    let (log, folder) = (fixture.home.path().join("logs"), fixture.home.path().join("profiles"));
    fs::create_dir(&log)?;
    let file = log.join("server").display().to_string();
    let sent = Arc::new(Mutex::new(Vec::<u8>::new()));
    let kept = Arc::clone(&sent);
    let port = collector(move |_, body| kept.lock().expect("what was sent").extend_from_slice(body))?;
    let endpoint = format!("http://127.0.0.1:{port}");
    let own = [
        ("MCP_GIT_LOG_FILE", file.as_str()),
        ("MCP_GIT_LOG_LEVEL", "trace"),
        ("PASSWORD", ENVIRONMENT),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
    ];
    let mut server = Administered::start(&fixture, &["--config", &config, "--toolsets", "all"], &[&OPEN[..], &own[..]].concat());
    let token = format!("Bearer {all}");
    let ask = Asking { server: &server, token: &token, asked: Cell::new(0) };
    within_the_repository(&ask, &fixture);
    over_the_network(&ask, &fixture, &remote);
    in_requests(&ask);
    let profiled = operate(&server, &["profile", "cpu", "--seconds", "1", "--out", &folder.display().to_string()]);
    assert!(profiled.status.success(), "{profiled:?}");

    let mut seen = shown(&server, &fixture);
    server.end();
    server.server.child.wait()?;
    seen.push(("traces and metrics that were sent".to_owned(), sent.lock().expect("what was sent").clone()));
    for path in [&log, &folder, &fixture.home.path().join("state")].into_iter().flat_map(|folder| files(folder)) {
        // Undo needs the old content: the journal keeps it, readable by its owner alone.
        let is_journal = path.components().any(|part| part.as_os_str() == "journal");
        if !is_journal {
            seen.push((path.display().to_string(), fs::read(&path)?));
        }
    }
    // Each output mentions the calls that touched a secret.
    let mut telling = vec![
        ("/logs?", "git_clone"),
        ("/logs/server", "git_clone"),
        ("/operations?repository", "git_commit"),
        ("/circuits", "127.0.0.1:1/"),
        ("/metrics", "git_clone"),
        ("traces", "tools/call git_clone"),
        ("/profiles/", ""),
    ];
    telling.extend(has_store_of_its_own().then_some(("/store.db", "git_push")));
    for (place, word) in telling {
        let mentions = |(name, bytes): &(String, Vec<u8>)| name.contains(place) && String::from_utf8_lossy(bytes).contains(word);
        assert!(seen.iter().any(mentions), "{place} does not mention {word}");
    }
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
