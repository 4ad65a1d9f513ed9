//! Resources, prompts, completions, subscriptions, confirmations, tasks and the client's log, through the server on stdio.

#![allow(clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "tests start the server, wait for it, and fail loudly")]

mod support;

use serde_json::{Value, json};
use std::fs;
use support::{
    Client, Fixture, Outcome, edited, is_edited, older,
    remote::{Fault, OPEN, stalled},
    text_of,
    wire::{meta, wait_for},
};

fn modern(client: &mut Client, capabilities: &Value, method: &str, mut params: Value) -> Value {
    params["_meta"] = meta(capabilities);
    client.request(method, &params)
}

fn read(client: &mut Client, uri: &str) -> Value {
    client.request("resources/read", &json!({"uri": uri}))
}

fn text_at(answer: &Value) -> String {
    answer["result"]["contents"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[test]
fn resources_are_listed_and_read() {
    let fixture = Fixture::new();
    fixture.write("with space/ü.txt", "content\n").write("bin", b"\0\x01").commit("third");
    fixture.git(&["branch", "feature/x"]);
    fixture.git(&["remote", "add", "origin", "https://user:secret@example.com/x.git"]);
    fixture.write("a.txt", "dirty\n");
    let mut client = older(&fixture, &json!({}), &[]);
    let listed = client.request("resources/list", &json!({}));
    let uris: Vec<&str> = listed["result"]["resources"].as_array().into_iter().flatten().filter_map(|one| one["uri"].as_str()).collect();
    assert_eq!(uris, ["git://repo/status", "git://repo/commit/HEAD", "git://repo/tree/HEAD/"]);
    let templates = client.request("resources/templates/list", &json!({}));
    assert_eq!(templates["result"]["resourceTemplates"].as_array().map(Vec::len), Some(7), "{templates}");
    assert!(text_at(&read(&mut client, "git://repo/status")).contains(" M a.txt"));
    assert!(text_at(&read(&mut client, "git://repo/commit/HEAD")).contains("third"));
    assert!(text_at(&read(&mut client, "git://repo/tree/feature%2Fx/")).contains("with space/"));
    assert_eq!(text_at(&read(&mut client, "git://repo/blob/feature%2Fx/with%20space/%C3%BC.txt")), "content\n");
    assert!(text_at(&read(&mut client, "git://repo/diff/HEAD~1..HEAD")).contains("+content"));
    let remote = text_at(&read(&mut client, "git://repo/remote/origin"));
    assert!(remote.contains("example.com") && !remote.contains("secret"), "{remote}");
    let binary = read(&mut client, "git://repo/blob/HEAD/bin");
    assert_eq!(binary["result"]["contents"][0]["blob"], "AAE=", "{binary}");
    let path = format!("git://{}/status", fixture.path.display().to_string().replace('/', "%2F"));
    assert!(text_at(&read(&mut client, &path)).contains(" M a.txt"));
    // Missing and forbidden resources are errors.
    for (uri, code) in [
        ("git://repo/blob/HEAD/none.txt", -32002),
        ("git://repo/blob/nowhere/a.txt", -32002),
        ("git://other/status", -32002),
        ("git://repo/blob/--output=x/a.txt", -32602),
        ("git://%2Fetc/status", -32602),
        ("git://repo/blob/HEAD/..%2F..%2Fetc%2Fpasswd", -32602),
        ("file:///etc/passwd", -32002),
        ("git://repo/commit/%00", -32002),
    ] {
        let answer = read(&mut client, uri);
        assert!(answer["error"]["code"] == code && answer["error"]["data"]["uri"] == uri, "{uri}: {answer}");
    }
    assert_eq!(client.request("resources/list", &json!({"cursor": "x"}))["error"]["code"], -32602);
}

#[test]
fn resources_come_in_pages_and_say_how_long_they_last() -> Outcome {
    let fixture = Fixture::new();
    let above = fs::canonicalize(fixture.home.path())?;
    for n in 0..40 {
        support::git_in(&above, &["init", "-q", &format!("more{n:02}")]);
    }
    let mut client = Client::start(&["-r", &above.display().to_string()], &[]);
    let none = json!({});
    let mut seen = Vec::new();
    let mut params = json!({});
    loop {
        let page = modern(&mut client, &none, "resources/list", params.clone());
        let result = &page["result"];
        assert!(result["ttlMs"].is_u64() && result["cacheScope"] == "private", "{page}");
        seen.extend(result["resources"].as_array().into_iter().flatten().filter_map(|one| one["uri"].as_str()).map(str::to_owned));
        match result["nextCursor"].as_str() {
            Some(next) => params = json!({"cursor": next}),
            None => break,
        }
    }
    assert_eq!(seen.len(), 41 * 3);
    let id = String::from_utf8(fixture.git(&["rev-parse", "HEAD"]))?;
    let fixed = modern(&mut client, &none, "resources/read", json!({"uri": format!("git://repo/commit/{}", id.trim())}));
    let moving = modern(&mut client, &none, "resources/read", json!({"uri": "git://repo/commit/HEAD"}));
    let ttl = |answer: &Value| answer["result"]["ttlMs"].as_u64().unwrap_or_else(|| panic!("{answer}"));
    assert!(ttl(&fixed) > 1000 * ttl(&moving).max(1) / 20);
    let tools = modern(&mut client, &none, "tools/list", json!({}));
    assert!(ttl(&tools) > 0 && tools["result"]["cacheScope"] == "public", "{}", tools["result"]["cacheScope"]);
    Ok(())
}

#[test]
fn prompts_fill_in_omitted_arguments() {
    let fixture = Fixture::new();
    fixture.write("a.txt", "for the prompt\n```\nnot the end\n");
    fixture.git(&["add", "a.txt"]);
    let mut client = older(&fixture, &json!({}), &[]);
    let listed = client.request("prompts/list", &json!({}));
    let names: Vec<&str> = listed["result"]["prompts"].as_array().into_iter().flatten().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names.len(), 12);
    assert!(names.contains(&"commit-message") && names.contains(&"pr-readiness-assessment"), "{names:?}");
    let mut get = |name: &str, args: Value| client.request("prompts/get", &json!({"name": name, "arguments": args}));
    let message =
        |answer: &Value| answer["result"]["messages"][0]["content"]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    let commit = message(&get("commit-message", json!({"type": "feat"})));
    assert!(commit.contains("+for the prompt") && commit.contains("feat") && commit.contains("\n````"), "{commit}");
    assert!(message(&get("release-notes", json!({"version": "v2"}))).contains("second"));
    let given = message(&get("code-review", json!({"diff": "-old\n+new"})));
    assert!(given.contains("+new") && !given.contains("for the prompt"), "{given}");
    for (name, args) in [
        ("release-notes", json!({})),
        ("commit-message", json!({"nope": "x"})),
        ("commit-message", json!({"repo_path": "/etc"})),
        ("no-such-prompt", json!({})),
    ] {
        assert_eq!(get(name, args.clone())["error"]["code"], -32602, "{name} {args}");
    }
}

#[test]
fn arguments_are_completed() {
    let fixture = Fixture::new();
    fixture.git(&["branch", "feature/one"]);
    fixture.git(&["branch", "feature/two"]);
    fixture.git(&["tag", "v1.0"]);
    fixture.git(&["remote", "add", "upstream", "https://example.com/x"]);
    let mut client = older(&fixture, &json!({}), &[]);
    let blob = json!({"type": "ref/resource", "uri": "git://{repo}/blob/{rev}/{+path}"});
    let mut complete = |reference: &Value, name: &str, value: &str, given: Value| {
        let params = json!({"ref": reference, "argument": {"name": name, "value": value}, "context": {"arguments": given}});
        let answer = client.request("completion/complete", &params);
        let values = answer["result"]["completion"]["values"].as_array().unwrap_or_else(|| panic!("{answer}")).clone();
        values.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete(&blob, "repo", "re", json!({})), ["repo"]);
    assert_eq!(complete(&blob, "rev", "feat", json!({"repo": "repo"})), ["feature/one", "feature/two"]);
    assert_eq!(complete(&blob, "path", "", json!({"repo": "repo", "rev": "HEAD"})), ["a.txt", "dir/"]);
    assert_eq!(complete(&blob, "path", "dir/", json!({"repo": "repo", "rev": "v1.0"})), ["dir/b.rs"]);
    let diff = json!({"type": "ref/resource", "uri": "git://{repo}/diff/{range}"});
    assert_eq!(complete(&diff, "range", "v1.0..ma", json!({"repo": "repo"})), ["v1.0..main"]);
    let remote = json!({"type": "ref/resource", "uri": "git://{repo}/remote/{remote}"});
    assert_eq!(complete(&remote, "remote", "", json!({"repo": "repo"})), ["upstream"]);
    let prompt = |name: &str| json!({"type": "ref/prompt", "name": name});
    assert_eq!(complete(&prompt("commit-message"), "type", "ref", json!({})), ["refactor"]);
    assert_eq!(complete(&prompt("release-notes"), "version", "v", json!({})), ["v1.0"]);
    assert_eq!(complete(&prompt("git-workflow-guide"), "toolset", "bis", json!({})), ["bisect"]);
    assert!(complete(&prompt("code-review"), "repo_path", "", json!({}))[0].ends_with("/repo"));
    let wrong = json!({"ref": prompt("code-review"), "argument": {"name": "none", "value": ""}});
    assert_eq!(client.request("completion/complete", &wrong)["error"]["code"], -32602);
}

#[test]
fn changes_of_a_repository_are_notified_in_every_revision() {
    let fixture = Fixture::new();
    let uri = "git://repo/status";
    let mut client = older(&fixture, &json!({}), &[]);
    assert_eq!(client.request("resources/subscribe", &json!({"uri": uri}))["result"], json!({}));
    assert!(client.request("resources/subscribe", &json!({"uri": "git://none/status"}))["error"].is_object());
    fixture.git(&["branch", "new"]);
    let sent = client.receive();
    assert_eq!((sent["method"].as_str(), sent["params"]["uri"].as_str()), (Some("notifications/resources/updated"), Some(uri)));
    client.request("resources/unsubscribe", &json!({"uri": uri}));
    let mut client = Client::start(&["-r", &fixture.path.display().to_string()], &[]);
    let params = json!({"notifications": {"resourceSubscriptions": [uri]}, "_meta": meta(&json!({}))});
    client.send_json(&json!({"jsonrpc": "2.0", "id": 7, "method": "subscriptions/listen", "params": params}));
    assert_eq!(client.receive()["method"], "notifications/subscriptions/acknowledged");
    fixture.write("a.txt", "staged\n");
    fixture.git(&["add", "a.txt"]);
    let sent = client.receive();
    assert_eq!((sent["method"].as_str(), sent["params"]["uri"].as_str()), (Some("notifications/resources/updated"), Some(uri)), "{sent}");
}

#[test]
fn a_client_of_the_newest_revision_confirms_over_two_rounds_76() {
    let fixture = edited();
    let mut client = Client::start(&["-r", &fixture.path.display().to_string()], &[]);
    let asks = json!({"elicitation": {"form": {}}});
    let call = |args: Value| json!({"name": "git_reset", "arguments": args});
    let hard = json!({"mode": "hard"});
    let asked = modern(&mut client, &asks, "tools/call", call(hard.clone()));
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    let question = &asked["result"]["inputRequests"]["confirm"];
    assert!(question["method"] == "elicitation/create" && question.to_string().contains("Proceed?"), "{question}");
    let answered = |state: &Value, args: &Value, action: &str, yes: bool| {
        let mut params = call(args.clone());
        params["requestState"] = state.clone();
        params["inputResponses"] = json!({"confirm": {"action": action, "content": {"confirm": yes}}});
        params
    };
    let state = &asked["result"]["requestState"];
    // Other arguments, an edited state, a forged state.
    let other = json!({"mode": "hard", "target": "HEAD~1"});
    let edited = json!(format!("{}x", state.as_str().unwrap_or_default()));
    for (state, args) in [(state, &other), (&edited, &hard), (&json!("forged"), &hard)] {
        let refused = modern(&mut client, &asks, "tools/call", answered(state, args, "accept", true));
        assert_eq!(refused["error"]["code"], -32602, "{refused}");
        assert!(is_edited(&fixture));
    }
    // The decline counts, whatever the argument says.
    let declined = modern(&mut client, &asks, "tools/call", answered(state, &hard, "decline", true));
    assert!(text_of(&declined["result"]).contains("not confirmed") && declined["result"]["isError"] == true, "{declined}");
    assert!(is_edited(&fixture));
    // A used state is rejected.
    let replayed = modern(&mut client, &asks, "tools/call", answered(state, &hard, "accept", true));
    assert!(replayed["error"]["message"].as_str().is_some_and(|why| why.contains("already used")), "{replayed}");
    assert!(is_edited(&fixture));
    // A declined change is not asked about again; the same change with other arguments is.
    let named = json!({"mode": "hard", "target": "HEAD"});
    let asked = modern(&mut client, &asks, "tools/call", call(named.clone()));
    let done = modern(&mut client, &asks, "tools/call", answered(&asked["result"]["requestState"], &named, "accept", true));
    assert!(done["result"]["isError"] != true && !is_edited(&fixture), "{done}");
}

#[test]
fn a_client_of_an_older_revision_is_asked() {
    for (answer, goes_on) in [
        (json!({"action": "accept", "content": {"confirm": true}}), true),
        (json!({"action": "accept", "content": {"confirm": false}}), false),
        (json!({"action": "decline"}), false),
        (json!({"action": "cancel"}), false),
    ] {
        let fixture = edited();
        let mut client = older(&fixture, &json!({"elicitation": {}}), &[]);
        let id = client.start_call("git_reset", &json!({"mode": "hard"}));
        let question = client.receive();
        assert_eq!(question["method"], "elicitation/create", "{question}");
        // Other calls are served while the user decides.
        client.text("git_status", &json!({}));
        client.send_json(&json!({"jsonrpc": "2.0", "id": question["id"], "result": answer}));
        let result = client.answer_to(&id);
        assert_eq!(result["result"]["isError"] != true, goes_on, "{answer}: {result}");
        assert_eq!(is_edited(&fixture), !goes_on, "{answer}");
    }
}

#[test]
fn a_change_that_the_operator_denies_is_not_asked_about() {
    let fixture = edited();
    let mut client = Client::start(&["-r", &fixture.path.display().to_string()], &[("MCP_GIT_HARD_RESET", "deny")]);
    let asks = json!({"elicitation": {"form": {}}});
    let params = json!({"name": "git_reset", "arguments": {"mode": "hard"}});
    let denied = modern(&mut client, &asks, "tools/call", params);
    assert!(denied["result"]["isError"] == true && text_of(&denied["result"]).contains("deny"), "{denied}");
    assert!(is_edited(&fixture));
}

#[test]
fn a_long_call_becomes_a_task_that_can_be_stopped() {
    let (fixture, remote) = stalled();
    let mut client = fixture.serve_with(&[], &OPEN);
    let knows = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
    let fetch = json!({"name": "git_fetch", "arguments": {}});
    let begun = modern(&mut client, &knows, "tools/call", fetch.clone());
    assert_eq!(begun["result"]["resultType"], "task", "{begun}");
    let id = begun["result"]["taskId"].clone();
    let state = |client: &mut Client| modern(client, &knows, "tasks/get", json!({"taskId": id}));
    assert_eq!(state(&mut client)["result"]["status"], "working");
    assert!(modern(&mut client, &knows, "tasks/get", json!({"taskId": "none"}))["error"].is_object());
    let stopped = modern(&mut client, &knows, "tasks/cancel", json!({"taskId": id}));
    assert!(stopped["error"].is_null(), "{stopped}");
    wait_for("the end of the task", || state(&mut client)["result"]["status"] != "working");
    assert_eq!(state(&mut client)["result"]["status"], "cancelled");
    // A call that finishes in time returns its result directly.
    remote.breaks(Fault::None);
    let quick = modern(&mut client, &knows, "tools/call", fetch);
    assert!(text_of(&quick["result"]).contains("refs/remotes/origin/main"), "{quick}");
}

#[test]
fn the_client_receives_the_log_it_requests() {
    let fixture = Fixture::new();
    let mut client = older(&fixture, &json!({}), &[]);
    client.request("logging/setLevel", &json!({"level": "info"}));
    let id = client.start_call("git_status", &json!({}));
    let sent = client.receive();
    assert_eq!((sent["method"].as_str(), &sent["params"]["data"]["tool"]), (Some("notifications/message"), &json!("git_status")), "{sent}");
    client.answer_to(&id);
    client.request("logging/setLevel", &json!({"level": "error"}));
    let id = client.start_call("git_status", &json!({}));
    assert_eq!(client.receive()["id"], id);
}

const VIEWS: [(&str, &str); 3] = [("git_diff", "ui://git/diff"), ("git_log", "ui://git/graph"), ("git_conflicts", "ui://git/conflicts")];

/// The capabilities of a host of MCP Apps.
fn host() -> Value {
    json!({"extensions": {"io.modelcontextprotocol/ui": {"mimeTypes": ["text/html;profile=mcp-app"]}}})
}

/// The tools without what is only for hosts.
fn without_views(tools: &Value) -> Vec<Value> {
    let is_for_models = |tool: &&Value| tool["_meta"]["ui"]["visibility"].is_null();
    let mut tools: Vec<Value> = tools.as_array().into_iter().flatten().filter(is_for_models).cloned().collect();
    tools.iter_mut().filter_map(Value::as_object_mut).for_each(|tool| drop(tool.remove("_meta")));
    tools
}

#[test]
fn hosts_are_offered_views_and_other_clients_see_no_difference() {
    let fixture = Fixture::new();
    let (mut plain, mut capable) = (older(&fixture, &json!({}), &[]), older(&fixture, &host(), &[]));
    let list = |client: &mut Client, what: &str| client.request(&format!("{what}/list"), &json!({}))["result"][what].take();
    let (tools, more) = (list(&mut plain, "tools"), list(&mut capable, "tools"));
    assert_eq!(json!(without_views(&more)), tools, "the same tools with the same words");
    for (name, uri) in VIEWS {
        let tool = more.as_array().into_iter().flatten().find(|tool| tool["name"] == name).unwrap_or(&Value::Null);
        assert_eq!(tool["_meta"], json!({"ui": {"resourceUri": uri}}), "{name}");
        let view = read(&mut capable, uri);
        assert_eq!(view["result"]["contents"][0]["mimeType"], "text/html;profile=mcp-app", "{uri}");
        assert!(text_at(&view).starts_with("<!doctype html>") && text_at(&view).contains("script-src 'sha256-"), "{uri}");
        assert_eq!(read(&mut plain, uri)["error"]["code"], -32002, "{uri}");
    }
    let apply = more.as_array().into_iter().flatten().find(|tool| tool["name"] == "git_apply").unwrap_or(&Value::Null);
    assert_eq!(apply["_meta"], json!({"ui": {"visibility": ["app"]}}));
    let uris = |listed: &Value| -> Vec<String> {
        listed.as_array().into_iter().flatten().filter_map(|one| one["uri"].as_str().map(str::to_owned)).collect()
    };
    let (listed, mut with_views) = (uris(&list(&mut plain, "resources")), uris(&list(&mut capable, "resources")));
    assert_eq!(with_views.split_off(listed.len()), VIEWS.map(|(_, uri)| uri));
    assert_eq!(with_views, listed);
    assert_eq!(read(&mut capable, "ui://git/none")["error"]["code"], -32002);
}

#[test]
fn the_extension_is_declared_to_hosts_alone_in_each_revision() {
    let fixture = Fixture::new();
    let declared = |answer: &Value| answer["result"]["capabilities"]["extensions"]["io.modelcontextprotocol/ui"].clone();
    for (capabilities, expect) in [(json!({}), Value::Null), (host(), json!({}))] {
        let mut client = fixture.serve();
        assert_eq!(declared(&modern(&mut client, &capabilities, "server/discover", json!({}))), expect);
        let mut client = fixture.serve();
        let info = json!({"name": "test", "version": "1"});
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": info});
        let answer = client.request("initialize", &params);
        assert_eq!(declared(&answer), expect);
        assert!(expect.is_object() || answer["result"]["capabilities"]["extensions"].is_null(), "{answer}");
    }
}

#[test]
fn a_view_uses_no_tool_that_the_operator_excludes() {
    let fixture = Fixture::new();
    for variable in [("MCP_GIT_READ_ONLY", "true"), ("MCP_GIT_EXCLUDE_TOOLS", "git_apply")] {
        let mut client = older(&fixture, &host(), &[variable]);
        let tools = client.request("tools/list", &json!({}))["result"]["tools"].take();
        assert!(tools.as_array().into_iter().flatten().all(|tool| tool["name"] != "git_apply"), "{variable:?}");
    }
}

#[test]
fn parents_of_commits_are_for_programs_that_ask() {
    let fixture = Fixture::new();
    fixture.write("b.txt", "b\n").commit("second");
    let mut client = fixture.serve();
    client.initialize();
    let parent = fixture.text(&["rev-parse", "HEAD~1"]);
    let listed = client.result("git_log", &json!({"parents": true}));
    assert_eq!(listed["structuredContent"]["commits"][0]["parents"], json!([parent.trim()]), "{listed}");
    let usual = client.result("git_log", &json!({}));
    assert!(usual["structuredContent"]["commits"][0]["parents"].is_null());
    assert_eq!(text_of(&listed), text_of(&usual));
}
