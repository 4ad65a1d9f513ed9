//! The dashboard, and the admin API over HTTP.

#![allow(clippy::expect_used, clippy::panic, reason = "tests start the server, and fail loudly")]

mod support;

use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    process::Output,
    time::Duration,
};
use support::{
    Fixture, Outcome,
    admin::{Administered, held_commit, operate, tool},
    program,
    tokens::tokens,
    wire::{Reply, Served, session, wait_for},
};

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// A ticket of the owner.
fn ticket(server: &Administered) -> String {
    let (status, ticket) = server.post("/tickets", &json!({}));
    assert_eq!(status, 200, "{ticket}");
    format!("Bearer {}", ticket["ticket"].as_str().expect("a ticket"))
}

/// A request of the API over HTTP.
fn api(server: &Served, method: &str, path: &str, token: &str, body: &Value) -> Reply {
    server.send(method, &format!("/admin/v1{path}"), &[JSON, ("Authorization", token)], body.to_string().as_bytes())
}

fn json_of(reply: &Reply) -> Value {
    serde_json::from_str(&reply.body).unwrap_or_default()
}

#[test]
fn a_browser_gets_the_page_and_its_files_without_inline_code() -> Outcome {
    let fixture = Fixture::new();
    let (config, _) = tokens(&fixture);
    let server = Served::start(&fixture, &["--config", &config], &[]);
    let html = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    for (path, headers) in [("/", &[html][..]), ("/dashboard", &[])] {
        let page = server.send("GET", path, headers, b"");
        let policy = page.header("content-security-policy").unwrap_or_default();
        assert!(page.status == 200 && page.header("content-type") == Some("text/html; charset=utf-8"), "{path}: {page:?}");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(!page.body.contains("<style") && !page.body.contains(" style=") && !page.body.contains(" onclick="), "{path}");
        let outside = page.body.replace("http://www.w3.org/2000/svg", "");
        assert!(!outside.contains("http://") && !outside.contains("https://"), "{path} names another host");
        let mut links: Vec<String> =
            page.body.split('"').filter(|text| text.starts_with("dashboard/")).map(|link| format!("/{link}")).collect();
        assert!(links.len() >= 3, "{links:?}");
        let mut seen = BTreeSet::new();
        while let Some(link) = links.pop() {
            if !seen.insert(link.clone()) {
                continue;
            }
            let link = link.as_str();
            let file = server.send("GET", link, &[], b"");
            links.extend(file.body.split('"').filter_map(|text| text.strip_prefix("./")).map(|name| format!("/dashboard/{name}")));
            assert!(file.status == 200 && file.header("x-content-type-options") == Some("nosniff"), "{link}: {file:?}");
            let tag = file.header("etag").ok_or("no tag")?;
            assert_eq!(server.send("GET", link, &[("If-None-Match", tag)], b"").status, 304, "{link}");
        }
        assert!(seen.len() > 15, "{seen:?}");
    }
    assert_eq!(server.send("GET", "/dashboard/", &[], b"").header("location"), Some("../dashboard"));
    // The other users of `/` get what they got before.
    assert_eq!(server.send("GET", "/", &[], b"").status, 401);
    assert_eq!(server.send("GET", "/", &[html, ("Host", "evil.example")], b"").status, 403);
    assert_eq!(server.send("POST", "/dashboard", &[], b"").status, 401);
    Ok(())
}

#[test]
fn the_api_is_off_over_http_until_the_owner_makes_a_ticket() -> Outcome {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let refused = server.server.send("GET", "/admin/v1/status", &[], b"");
    assert!(refused.status == 404 && refused.body.contains("mcp-server-git dashboard"), "{refused:?}");
    assert_eq!(api(&server.server, "GET", "/status", "Bearer nope", &json!({})).status, 401);
    let shown = operate(&server, &["dashboard"]);
    let text = String::from_utf8(shown.stdout)?;
    let (address, rest) = text.split_once("/dashboard#ticket=").ok_or_else(|| text.clone())?;
    assert_eq!(address, format!("http://127.0.0.1:{}", server.server.port));
    let token = format!("Bearer {}", rest.lines().next().unwrap_or_default());
    let status = api(&server.server, "GET", "/status", &token, &json!({}));
    assert!(status.status == 200 && json_of(&status)["phase"] == "ready", "{status:?}");
    let access = json_of(&api(&server.server, "GET", "/access", &token, &json!({})));
    assert_eq!((&access["principal"], &access["can_change"]), (&json!("operator"), &json!(true)));
    // A ticket makes no further tickets, and opens nothing but the API.
    assert_eq!(api(&server.server, "POST", "/tickets", &token, &json!({})).status, 404);
    let cleared = api(&server.server, "POST", "/caches/clear", &token, &json!({}));
    assert_eq!(cleared.status, 200, "{cleared:?}");
    Ok(())
}

#[test]
fn tokens_read_and_only_admin_acts() {
    let fixture = Fixture::new();
    let (config, [_, reader, _]) = tokens(&fixture);
    let made = program().args(["token", "root", "--scopes", "admin"]).output().expect("a token");
    let text = String::from_utf8(made.stdout).expect("text");
    let root = text.lines().next().and_then(|line| line.rsplit(' ').next()).expect("the token").to_owned();
    let known = std::fs::read_to_string(&config).expect("a file");
    std::fs::write(&config, format!("{known}{text}\n[admin]\nhttp = true\n")).expect("a file");
    let server = Administered::start(&fixture, &["--config", &config], &[]);
    let [root, reader] = [root, reader].map(|token| format!("Bearer {token}"));
    assert_eq!(server.server.send("GET", "/admin/v1/status", &[], b"").status, 401);
    for (token, can_change) in [(&root, true), (&reader, false)] {
        let access = api(&server.server, "GET", "/access", token, &json!({}));
        assert_eq!((access.status, &json_of(&access)["can_change"]), (200, &json!(can_change)));
        assert_eq!(api(&server.server, "GET", "/calls", token, &json!({})).status, 200);
        let acted = api(&server.server, "POST", "/caches/clear", token, &json!({}));
        assert_eq!(acted.status, if can_change { 200 } else { 403 }, "{acted:?}");
    }
    // The owner's ticket works beside the tokens.
    let answer = api(&server.server, "GET", "/status", &ticket(&server), &json!({}));
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
    // A token that may not read a repository shows nothing of it here, either.
    let made = program().args(["token", "remote", "--scopes", "network"]).output().expect("a token");
    let text = String::from_utf8(made.stdout).expect("text");
    let remote = text.lines().next().and_then(|line| line.rsplit(' ').next()).map(|token| format!("Bearer {token}")).expect("the token");
    let known = std::fs::read_to_string(&config).expect("a file");
    std::fs::write(&config, known.replace("\n[admin]", &format!("{text}\n[admin]"))).expect("a file");
    support::signal(&server.server.child.id(), "HUP");
    wait_for("the new token", || api(&server.server, "GET", "/status", &remote, &json!({})).status == 403);
}

#[test]
fn a_revoked_token_keeps_no_stream() -> Outcome {
    let fixture = Fixture::new();
    let (config, [_, reader, _]) = tokens(&fixture);
    let known = std::fs::read_to_string(&config)?;
    std::fs::write(&config, format!("{known}\n[admin]\nhttp = true\n"))?;
    let server = Administered::start(&fixture, &["--config", &config], &[]);
    let mut stream = TcpStream::connect(("127.0.0.1", server.server.port))?;
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    let head = format!("Host: 127.0.0.1:{}\r\nAuthorization: Bearer {reader}\r\n\r\n", server.server.port);
    stream.write_all(format!("GET /admin/v1/events?topics=status HTTP/1.1\r\nConnection: close\r\n{head}").as_bytes())?;
    let mut lines = BufReader::new(stream).lines();
    assert!(lines.by_ref().map_while(Result::ok).any(|line| line.starts_with("event: status")));
    let without: String =
        known.split("[[auth.tokens]]").filter(|part| !part.contains("\"reader\"")).collect::<Vec<_>>().join("[[auth.tokens]]");
    std::fs::write(&config, format!("{without}\n[admin]\nhttp = true\n"))?;
    support::signal(&server.server.child.id(), "HUP");
    assert!(lines.all(|line| line.is_ok()), "the stream ends");
    Ok(())
}

#[test]
fn tickets_are_of_one_server() {
    let fixture = Fixture::new();
    let state = fixture.home.path().join("shared").display().to_string();
    let shared = ["--state-dir", state.as_str()];
    let start = |name| {
        let socket = fixture.home.path().join(format!("admin{name}"));
        let args = ["--admin-socket", &socket.display().to_string()].map(str::to_owned);
        let args: Vec<&str> = args.iter().map(String::as_str).chain(shared).collect();
        Administered { server: Served::start(&fixture, &args, &[]), socket }
    };
    let (one, other) = (start("one"), start("other"));
    let tickets = [ticket(&one), ticket(&other)];
    let opens = |server: &Administered, ticket: &str| api(&server.server, "GET", "/status", ticket, &json!({})).status == 200;
    assert!(opens(&one, &tickets[0]) && opens(&other, &tickets[1]));
    assert!(!opens(&one, &tickets[1]) && !opens(&other, &tickets[0]));
}

#[test]
fn changes_of_repositories_outside_the_roots_are_not_listed() {
    let (fixture, outside) = (Fixture::new(), Fixture::new());
    let server = Administered::start(&fixture, &[], &[]);
    for path in ["/operations", "/repositories/status"] {
        let asked = format!("{path}?repository={}/.git", outside.path.display());
        let refused = api(&server.server, "GET", &asked, &ticket(&server), &json!({}));
        assert!([404, 409].contains(&refused.status) && json_of(&refused)["error"].is_string(), "{path}: {refused:?}");
    }
}

#[test]
fn pages_of_other_origins_cannot_use_the_api() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[("MCP_GIT_ADMIN_HTTP", "true")]);
    let port = server.server.port;
    let own = format!("http://127.0.0.1:{port}");
    let send = |headers: &[(&str, &str)]| server.server.send("POST", "/admin/v1/caches/clear", headers, b"{}").status;
    assert_eq!(send(&[JSON]), 200);
    assert_eq!(send(&[JSON, ("Origin", &own)]), 200);
    for origin in ["http://localhost:1", "http://127.0.0.1", "https://evil.example", "null"] {
        assert_eq!(send(&[JSON, ("Origin", origin)]), 403, "{origin}");
    }
    // A browser that sends no origin names the site.
    for (site, status) in [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)] {
        assert_eq!(send(&[JSON, ("Sec-Fetch-Site", site)]), status, "{site}");
    }
    // Pages can send these without a preflight.
    for kind in ["text/plain", "application/x-www-form-urlencoded", ""] {
        assert_eq!(send(&[("Content-Type", kind)]), 415, "{kind}");
    }
    assert_eq!(send(&[JSON, ("Host", "evil.example")]), 403);
}

#[test]
fn input_of_the_api_is_bounded() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let token = ticket(&server);
    let long = "x".repeat(2000);
    let large = json!({"name": "x".repeat(100_000)});
    for (method, path, body, status) in [
        ("POST", "/caches/clear", large, 413),
        ("POST", "/caches/clear", json!([1]), 422),
        ("POST", "/debug/level", json!({"level": long}), 400),
        ("POST", "/debug/level", json!({"level": ","}), 400),
        ("GET", "/errors?threshold=NaN", json!({}), 400),
        ("GET", "/errors?window=-1", json!({}), 400),
    ] {
        let refused = api(&server.server, method, path, &token, &body);
        assert!(refused.status == status && json_of(&refused)["error"].is_string(), "{path}: {} {}", refused.status, refused.body);
    }
    let reserved = program().args(["token", "operator", "--scopes", "read"]).output().expect("the program runs");
    assert!(!reserved.status.success(), "the principal of tickets is no token's: {reserved:?}");
}

#[test]
fn the_description_matches_the_routes() -> Outcome {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let token = ticket(&server);
    let description = json_of(&api(&server.server, "GET", "/openapi.json", &token, &json!({})));
    assert_eq!(description["openapi"], "3.1.0");
    let paths = description["paths"].as_object().ok_or("no paths")?;
    let mut described = 0;
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().ok_or("no methods")? {
            described += 1;
            assert!(operation["summary"].as_str().is_some_and(|about| about.ends_with('.')), "{method} {path}: {operation}");
            let path = path.strip_prefix("/admin/v1").ok_or("no prefix")?.replace("{id}", "none");
            // Streams, profiles and actions on the whole server have tests of their own.
            if matches!(path.as_str(), "/events" | "/profile/cpu" | "/profile/heap" | "/drain" | "/restart" | "/recover") {
                continue;
            }
            let reply = api(&server.server, &method.to_uppercase(), &path, &token, &json!({}));
            assert!(reply.status != 405 && !reply.body.contains("no such endpoint"), "{method} {path}: {reply:?}");
            if reply.status == 200 && method == "get" && path != "/metrics" {
                let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
                has_fields(&json_of(&reply), schema, &description, &path);
            } else if reply.status != 200 {
                assert!(json_of(&reply)["error"].is_string(), "{method} {path}: {reply:?}");
            }
        }
    }
    assert!(described > 40, "{described}");
    let unknown = api(&server.server, "GET", "/nothing", &token, &json!({}));
    assert!(unknown.status == 404 && unknown.body.contains("openapi.json"), "{unknown:?}");
    Ok(())
}

/// Every field that a schema requires is there, and no other.
fn has_fields(value: &Value, schema: &Value, description: &Value, path: &str) {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => description.pointer(reference.trim_start_matches('#')).expect("a schema"),
        None => schema,
    };
    let (Some(fields), Some(known)) = (value.as_object(), schema["properties"].as_object()) else { return };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        assert!(fields.contains_key(name), "{path}: no {name} in {value}");
    }
    for (name, field) in fields {
        // Log records have fields of their own.
        let is_open = schema["additionalProperties"].as_bool().unwrap_or_default();
        let Some(schema) = known.get(name) else {
            assert!(is_open, "{path}: {name} is not described");
            continue;
        };
        for item in field.as_array().into_iter().flatten() {
            has_fields(item, &schema["items"], description, path);
        }
        has_fields(field, schema, description, path);
    }
}

#[test]
fn a_call_in_flight_is_listed_and_cancelled_alone() -> Outcome {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let before = fixture.git(&["rev-parse", "HEAD"]);
    let (gate, commit) = held_commit(&fixture, &server);
    let listed = String::from_utf8(operate(&server, &["calls", "list"]).stdout)?;
    let call = listed.lines().find(|line| line.contains("git_commit")).ok_or_else(|| listed.clone())?;
    assert!(call.contains("run") && call.contains(&fixture.path.display().to_string()), "{listed}");
    let calls = server.get("/calls");
    assert_eq!((&calls["total"], &calls["calls"][0]["stage"], &calls["calls"][0]["stopping"]), (&json!(1), &json!("run"), &json!(false)));
    let repositories = server.get("/repositories");
    assert_eq!(repositories["repositories"][0]["changes"][0]["state"], "runs", "{repositories}");
    let id = calls["calls"][0]["id"].as_str().ok_or("no id")?.to_owned();
    let cancelled: Output = operate(&server, &["calls", "cancel", &id]);
    assert!(cancelled.status.success() && String::from_utf8(cancelled.stdout)?.contains(&id));
    let mut text = String::new();
    std::io::Read::read_to_string(&mut BufReader::new(commit), &mut text).ok();
    assert!(text.contains("the operator has cancelled the call"), "{text}");
    gate.open();
    assert_eq!(fixture.git(&["rev-parse", "HEAD"]), before);
    wait_for("the end of the call", || server.get("/calls")["total"] == 0);
    // The server and its other calls continue.
    assert_ne!(tool(&server, "git_status", json!({}))["isError"], true);
    let gone = operate(&server, &["calls", "cancel", &id]);
    assert_eq!(gone.status.code(), Some(3));
    Ok(())
}

#[test]
fn latencies_and_samples_count_the_calls() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    for _ in 0..3 {
        tool(&server, "git_status", json!({}));
    }
    tool(&server, "git_show", json!({"revision": "none"}));
    let latency = server.get("/latency");
    let of = |name: &str| latency["tools"].as_array().expect("a list").iter().find(|one| one["tool"] == name).cloned().unwrap_or_default();
    let (status, show) = (of("git_status"), of("git_show"));
    assert_eq!((&status["calls"], &status["errors"], &show["errors"]), (&json!(3), &json!(0), &json!(1)), "{latency}");
    let counted: u64 = status["counts"].as_array().expect("a list").iter().filter_map(Value::as_u64).sum();
    assert_eq!((counted, latency["bounds_ms"].as_array().map(Vec::len)), (3, Some(13)));
    let summed = || -> u64 {
        let samples = server.get("/samples");
        samples["samples"].as_array().expect("a list").iter().filter_map(|sample| sample["calls"].as_u64()).sum()
    };
    wait_for("a sample", || summed() >= 1);
}

#[test]
fn the_last_change_is_undone_after_a_preview() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let before = fixture.git(&["rev-parse", "HEAD"]);
    fixture.write("a.txt", "changed\n");
    tool(&server, "git_add", json!({"files": ["a.txt"]}));
    tool(&server, "git_commit", json!({"message": "to undo"}));
    let listed = server.get("/repositories");
    let one = &listed["repositories"][0];
    assert_eq!((&one["path"], &one["error"], &listed["total"]), (&json!(fixture.path), &Value::Null, &json!(1)), "{listed}");
    assert_ne!(one["head"], json!(String::from_utf8_lossy(&before).trim()));
    let (status, preview) = server.post("/operations/undo", &json!({"repository": fixture.path}));
    assert!(status == 200 && preview["text"].as_str().is_some_and(|text| text.contains("git_commit")), "{preview}");
    assert_ne!(fixture.git(&["rev-parse", "HEAD"]), before, "a preview changes nothing");
    let (status, undone) = server.post("/operations/undo", &json!({"repository": fixture.path, "id": preview["id"]}));
    assert_eq!(status, 200, "{undone}");
    assert_eq!(fixture.git(&["rev-parse", "HEAD"]), before);
    let (status, again) = server.post("/operations/undo", &json!({"repository": fixture.path, "id": preview["id"]}));
    assert_eq!(status, 409, "{again}");
    let path = format!("/repositories/status?repository={}", fixture.path.display());
    assert!(server.get(&path)["text"].as_str().is_some_and(|text| text.contains("a.txt")));
    assert_eq!(server.post("/operations/undo", &json!({"repository": "/nonexistent"})).0, 409);
}

#[test]
fn the_stream_sends_what_changed() -> Outcome {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let token = ticket(&server);
    let mut stream = TcpStream::connect(("127.0.0.1", server.server.port))?;
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    let request = format!(
        "GET /admin/v1/events?topics=sessions,circuits,logs HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: {token}\r\n\r\n",
        server.server.port
    );
    stream.write_all(request.as_bytes())?;
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    // The next event: its topic and data.
    let mut next = || -> (String, Value) {
        let topic = lines.find_map(|line| line.strip_prefix("event: ").map(str::to_owned)).expect("an event");
        let data = lines.find_map(|line| line.strip_prefix("data: ").map(str::to_owned)).expect("its data");
        (topic, serde_json::from_str(&data).expect("JSON"))
    };
    let mut first: Vec<String> = (0..3).map(|_| next().0).collect();
    first.sort();
    assert_eq!(first, ["circuits", "logs", "sessions"]);
    let id = session(&server.server, &[]);
    let sessions = std::iter::repeat_with(&mut next).find(|(topic, data)| topic == "sessions" && data["total"] == 1).expect("the session");
    assert_eq!(sessions.1["sessions"][0]["id"], id);
    tool(&server, "git_status", json!({}));
    let logged = |data: &Value| data["records"].as_array().is_some_and(|all| all.iter().any(|one| one["tool"] == "git_status"));
    let event = std::iter::repeat_with(&mut next).find(|(topic, data)| topic == "logs" && logged(data)).expect("the call");
    assert!(event.1["records"].as_array().is_some_and(|all| all.len() < 10), "old records are not sent again: {}", event.1);
    let unknown = api(&server.server, "GET", "/events?topics=none", &token, &json!({}));
    assert!(unknown.status == 400 && unknown.body.contains("circuits"), "{unknown:?}");
    Ok(())
}

#[test]
fn sub_commands_reach_a_server_at_its_url() -> Outcome {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let url = format!("http://127.0.0.1:{}", server.server.port);
    let token = ticket(&server);
    let run = |token: &str, args: &[&str]| program().args(args).args(["--url", &url]).env("MCP_GIT_TOKEN", token).output();
    let token = token.trim_start_matches("Bearer ");
    let status = run(token, &["status"])?;
    let text = String::from_utf8(status.stdout)?;
    assert!(status.status.success() && text.starts_with("Verdict: fine"), "{text}");
    let id = session(&server.server, &[]);
    let closed = run(token, &["sessions", "close", &id, "--json"])?;
    assert_eq!(serde_json::from_slice::<Value>(&closed.stdout)?["closed"], json!([id]));
    let refused = run("wrong", &["status"])?;
    assert!(refused.status.code() == Some(2) && String::from_utf8(refused.stderr)?.contains("MCP_GIT_TOKEN"));
    let invalid = program().args(["status", "--url", "http://127.0.0.1:1/path"]).output()?;
    assert!(invalid.status.code() == Some(2) && String::from_utf8(invalid.stderr)?.contains("no path"));
    Ok(())
}
