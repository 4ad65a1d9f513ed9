//! Who confirms a change: the user if the client can ask, otherwise the argument `confirm`.

#![allow(clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "tests start the server, wait for it, and fail loudly")]

mod support;

use serde_json::{Value, json};
use support::{
    Client, Outcome, edited, is_edited, older,
    remote::{Fault, OPEN, published},
    text_of,
    wire::{NEWEST, Served, call, meta, post, wait_for},
};

/// The operator's permission for the argument.
const MODEL_CONFIRMS: [(&str, &str); 1] = [("MCP_GIT_MODEL_CONFIRMS", "true")];

fn asks() -> Value {
    json!({"elicitation": {"form": {}}})
}

fn accepts(yes: bool) -> Value {
    json!({"action": "accept", "content": {"confirm": yes}})
}

/// The first message after a call: the question, or the result.
fn first(client: &mut Client, args: &Value) -> (Value, Value) {
    let id = client.start_call("git_reset", args);
    let message = client.receive();
    assert!(message["method"] == "elicitation/create" || message["id"] == id, "{message}");
    (id, message)
}

/// Makes a call, answers its question, and returns the result.
fn answered(client: &mut Client, args: &Value, answer: &Value) -> Value {
    let (id, question) = first(client, args);
    assert_eq!(question["method"], "elicitation/create", "{args}: {question}");
    let mut reply = json!({"jsonrpc": "2.0", "id": question["id"]});
    reply[if answer.get("code").is_some() { "error" } else { "result" }] = answer.clone();
    client.send_json(&reply);
    client.answer_to(&id)["result"].clone()
}

/// The result of a call that must not ask.
fn unasked(client: &mut Client, args: &Value) -> Value {
    let (_, message) = first(client, args);
    assert!(message["result"].is_object(), "{args}: {message}");
    message["result"].clone()
}

/// A call in the newest revision, optionally with an answer.
fn newest(client: &mut Client, capabilities: &Value, args: &Value, answer: Option<(&Value, &Value)>) -> Value {
    let mut params = json!({"name": "git_reset", "arguments": args, "_meta": meta(capabilities)});
    if let Some((state, answer)) = answer {
        params["requestState"] = state.clone();
        params["inputResponses"] = json!({"confirm": answer});
    }
    client.request("tools/call", &params)["result"].clone()
}

fn is_refused(result: &Value, why: &str) -> bool {
    result["isError"] == true && text_of(result).contains(why)
}

#[test]
fn a_model_cannot_confirm_if_the_user_can_be_asked() {
    let sure = json!({"mode": "hard", "confirm": true});
    for (answer, is_made) in [(json!({"action": "decline"}), false), (accepts(false), false), (accepts(true), true)] {
        let fixture = edited();
        let mut client = older(&fixture, &asks(), &[]);
        let result = answered(&mut client, &sure, &answer);
        assert_eq!((result["isError"] != true, is_edited(&fixture)), (is_made, !is_made), "{answer}: {result}");
        let fixture = edited();
        let mut client = Client::start(&["-r", &fixture.path.display().to_string()], &[]);
        let asked = newest(&mut client, &asks(), &sure, None);
        assert!(asked["resultType"] == "input_required" && is_edited(&fixture), "{asked}");
        let result = newest(&mut client, &asks(), &sure, Some((&asked["requestState"], &answer)));
        assert_eq!((result["isError"] != true, is_edited(&fixture)), (is_made, !is_made), "{answer}: {result}");
    }
}

#[test]
fn a_declined_change_is_refused_without_another_question() {
    let fixture = edited();
    let path = fixture.path.display().to_string();
    let spellings = [
        json!({"mode": "hard"}),
        json!({"mode": "hard", "confirm": true}),
        json!({"confirm": true, "paths": [], "mode": "hard", "target": null, "idempotency_key": "another", "max_tokens": 500}),
        json!({"repo_path": path, "mode": "hard"}),
        json!({"repo_path": format!("{path}/./"), "mode": "hard", "confirm": true}),
    ];
    let mut client = older(&fixture, &asks(), &[]);
    let result = answered(&mut client, &json!({"mode": "hard"}), &json!({"action": "decline"}));
    assert!(is_refused(&result, "not confirmed") && text_of(&result).contains("10 minutes"), "{result}");
    for args in &spellings {
        let result = unasked(&mut client, args);
        assert!(is_refused(&result, "declined it before") && text_of(&result).contains("git command in a terminal"), "{args}: {result}");
    }
    // A different change is asked about.
    let result = answered(&mut client, &json!({"mode": "hard", "target": "HEAD"}), &accepts(true));
    assert!(result["isError"] != true && !is_edited(&fixture), "{result}");

    fixture.write("a.txt", "edited\n");
    let mut client = Client::start(&["-r", &path], &[]);
    let asked = newest(&mut client, &asks(), &spellings[0], None);
    let result = newest(&mut client, &asks(), &spellings[0], Some((&asked["requestState"], &accepts(false))));
    assert!(is_refused(&result, "not confirmed"), "{result}");
    for args in &spellings {
        let result = newest(&mut client, &asks(), args, None);
        assert!(is_refused(&result, "declined it before"), "{args}: {result}");
    }
    // A request from a client that cannot ask changes nothing.
    let result = newest(&mut client, &json!({}), &spellings[1], None);
    assert!(is_refused(&result, "declined it before") && is_edited(&fixture), "{result}");
    let asked = newest(&mut client, &asks(), &json!({"mode": "hard", "target": "HEAD"}), None);
    assert_eq!(asked["resultType"], "input_required", "{asked}");
}

#[test]
fn a_decline_over_http_holds_too() {
    let fixture = edited();
    let server = Served::start(&fixture, &[], &[]);
    let ask = |args: Value, more: Value| {
        let mut message = call(1, "git_reset", args);
        message["params"]["_meta"] = meta(&asks());
        for (key, value) in more.as_object().into_iter().flatten() {
            message["params"][key] = value.clone();
        }
        let headers = [("MCP-Protocol-Version", NEWEST), ("Mcp-Method", "tools/call"), ("Mcp-Name", "git_reset")];
        post(&server, &headers, &message).message().unwrap_or_default()["result"].clone()
    };
    let sure = json!({"mode": "hard", "confirm": true});
    let asked = ask(sure.clone(), json!({}));
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    let answer = json!({"requestState": asked["requestState"], "inputResponses": {"confirm": {"action": "decline"}}});
    assert!(is_refused(&ask(sure.clone(), answer), "not confirmed"));
    assert!(is_refused(&ask(sure, json!({})), "declined it before") && is_edited(&fixture));
}

#[test]
fn a_dismissed_question_refuses_one_call() {
    let fixture = edited();
    let sure = json!({"mode": "hard", "confirm": true});
    let mut client = older(&fixture, &asks(), &[]);
    for answer in [json!({"action": "cancel"}), json!({"action": "accept"})] {
        let result = answered(&mut client, &sure, &answer);
        assert!(is_refused(&result, "dismissed") && is_edited(&fixture), "{answer}: {result}");
    }
    let result = answered(&mut client, &sure, &accepts(true));
    assert!(result["isError"] != true && !is_edited(&fixture), "{result}");
    fixture.write("a.txt", "edited\n");
    let mut client = Client::start(&["-r", &fixture.path.display().to_string()], &[]);
    for answer in [json!({"action": "cancel"}), json!({})] {
        let asked = newest(&mut client, &asks(), &sure, None);
        let result = newest(&mut client, &asks(), &sure, Some((&asked["requestState"], &answer)));
        assert!(is_refused(&result, "dismissed") && is_edited(&fixture), "{answer}: {result}");
    }
    assert_eq!(newest(&mut client, &asks(), &sure, None)["resultType"], "input_required");
}

#[test]
fn after_a_failed_question_the_argument_counts() {
    let fixture = edited();
    let mut client = older(&fixture, &asks(), &[]);
    for failure in [json!({"code": -32601, "message": "Method not found"}), json!({"code": -32603, "message": "no dialog"})] {
        let result = answered(&mut client, &json!({"mode": "hard"}), &failure);
        assert!(is_refused(&result, "`confirm`: true") && is_edited(&fixture), "{result}");
        let result = answered(&mut client, &json!({"mode": "hard", "confirm": true}), &failure);
        assert!(result["isError"] != true && !is_edited(&fixture), "{result}");
        fixture.write("a.txt", "edited\n");
    }
}

#[test]
fn a_call_that_is_cancelled_changes_nothing_and_withdraws_its_question() {
    let fixture = edited();
    let sure = json!({"mode": "hard", "confirm": true});
    let mut client = older(&fixture, &asks(), &[]);
    let (id, question) = first(&mut client, &sure);
    assert_eq!(question["method"], "elicitation/create", "{question}");
    client.send_json(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}));
    let withdrawn = client.receive();
    assert_eq!(
        (&withdrawn["method"], &withdrawn["params"]["requestId"]),
        (&json!("notifications/cancelled"), &question["id"]),
        "{withdrawn}"
    );
    // Cancelling is no decline. A disconnect does not confirm either.
    let (_, question) = first(&mut client, &sure);
    assert_eq!(question["method"], "elicitation/create", "{question}");
    let (code, ..) = client.end();
    assert!(code == Some(0) && is_edited(&fixture), "{code:?}");
}

#[test]
fn the_operator_can_accept_the_argument() {
    let (plain, sure) = (json!({"mode": "hard"}), json!({"mode": "hard", "confirm": true}));
    let fixture = edited();
    let mut client = older(&fixture, &asks(), &MODEL_CONFIRMS);
    assert!(unasked(&mut client, &sure)["isError"] != true && !is_edited(&fixture));
    // A user's decline applies here, too.
    fixture.write("a.txt", "edited\n");
    let result = answered(&mut client, &plain, &json!({"action": "decline"}));
    assert!(is_refused(&result, "not confirmed"), "{result}");
    assert!(is_refused(&unasked(&mut client, &sure), "declined it before") && is_edited(&fixture));
    let mut client = Client::start(&["-r", &fixture.path.display().to_string()], &MODEL_CONFIRMS);
    assert!(newest(&mut client, &asks(), &sure, None)["isError"] != true && !is_edited(&fixture));
}

#[test]
fn the_argument_is_mentioned_only_where_it_counts() -> Outcome {
    let fixture = edited();
    let path = fixture.path.display().to_string();
    let none: [(&str, &str); 0] = [];
    for (capabilities, variables, counts) in [(asks(), &none[..], false), (json!({}), &none[..], true), (asks(), &MODEL_CONFIRMS[..], true)]
    {
        let mut client = Client::start(&["-r", &path], variables);
        let found = client.request("server/discover", &json!({"_meta": meta(&capabilities)}));
        let mut client = Client::start(&["-r", &path], variables);
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": {"name": "test", "version": "1"}});
        let opened = client.request("initialize", &params);
        for answer in [found, opened] {
            let text = answer["result"]["instructions"].as_str().ok_or("instructions")?;
            assert!(text.contains("git_undo") && text.contains("`confirm`") == counts, "{capabilities}: {text}");
        }
        let listed = client.request("tools/list", &json!({}));
        assert!(listed["result"]["tools"].is_array() && !listed.to_string().contains("`confirm`"));
    }
    fixture.write("new.txt", "untracked\n");
    let mut client = older(&fixture, &asks(), &[]);
    let preview = client.text("git_clean", &json!({}));
    assert!(preview.contains("To remove them: git_clean {\"remove\":true}"), "{preview}");
    // Without elicitation, the error still names the argument.
    let mut client = older(&fixture, &json!({}), &[]);
    assert!(client.error("git_reset", &json!({"mode": "hard"})).contains("`confirm`: true") && is_edited(&fixture));
    client.text("git_reset", &json!({"mode": "hard", "confirm": true}));
    assert!(!is_edited(&fixture));
    Ok(())
}

#[test]
fn a_task_asks_while_it_runs() {
    let (fixture, remote) = published();
    fixture.write("a.txt", "rewritten\n");
    fixture.git(&["checkout", "-q", "-b", "feature"]);
    fixture.git(&["push", "-q", "origin", "feature"]);
    fixture.git(&["commit", "-q", "--amend", "--all", "-m", "rewritten"]);
    let before = remote.git(&["rev-parse", "feature"]);
    // The host's only permit is taken, so the push becomes a task before it asks.
    let mut client = Client::start(&["-r", &fixture.path.display().to_string()], &[OPEN[0], OPEN[1], ("MCP_GIT_PER_HOST", "1")]);
    let knows = json!({"elicitation": {"form": {}}, "extensions": {"io.modelcontextprotocol/tasks": {}}});
    let modern = |client: &mut Client, method: &str, mut params: Value| {
        params["_meta"] = meta(&knows);
        client.request(method, &params)["result"].clone()
    };
    let push = json!({"name": "git_push", "arguments": {"branch": "feature", "force": true, "confirm": true}});
    for (answer, status) in
        [(json!({"action": "decline"}), "completed"), (json!({"action": "decline"}), "refused"), (accepts(true), "completed")]
    {
        remote.breaks(Fault::Held);
        let holding = modern(&mut client, "tools/call", json!({"name": "git_fetch", "arguments": {}}));
        assert_eq!(holding["resultType"], "task", "{holding}");
        let mut push = push.clone();
        if answer["action"] == "accept" {
            // A different change than the declined one.
            push["arguments"]["to"] = json!("feature");
        }
        let begun = modern(&mut client, "tools/call", push);
        assert_eq!(begun["resultType"], "task", "{begun}");
        remote.breaks(Fault::None);
        let id = begun["taskId"].clone();
        let mut now = Value::Null;
        wait_for("a question or an end", || {
            now = modern(&mut client, "tasks/get", json!({"taskId": id}));
            now["status"] != "working"
        });
        if status == "refused" {
            assert!(is_refused(&now["result"], "declined it before"), "{now}");
            continue;
        }
        assert_eq!(
            (&now["status"], &now["inputRequests"]["confirm"]["method"]),
            (&json!("input_required"), &json!("elicitation/create")),
            "{now}"
        );
        modern(&mut client, "tasks/update", json!({"taskId": id, "inputResponses": {"confirm": answer}}));
        wait_for("the end of the task", || {
            now = modern(&mut client, "tasks/get", json!({"taskId": id}));
            now["status"] == status
        });
        let is_made = answer["action"] == "accept";
        assert_eq!((now["result"]["isError"] != true, remote.git(&["rev-parse", "feature"]) != before), (is_made, is_made), "{now}");
    }
}
