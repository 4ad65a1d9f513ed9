//! What clients receive, and how their own mistakes are reported.

use crate::support::{
    Client, Fixture, Outcome, next_call, parts, text_of,
    wire::{JSON, NEWEST, Reply, Served, meta, wait_for},
};
use serde_json::{Value, json};
use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, path::Path};

/// A program that runs in place of git.
fn script(path: &Path, text: &str) -> std::io::Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// A commit whose hook has started and does not end.
fn held_commit(fixture: &Fixture, client: &mut Client) -> std::io::Result<Value> {
    let begun = fixture.path.with_file_name("begun");
    let hook = fixture.path.join(".git/hooks/pre-commit");
    fs::create_dir_all(fixture.path.join(".git/hooks"))?;
    script(&hook, &format!("#!/bin/sh\ntouch '{}'\nexec sleep 600\n", begun.display()))?;
    fixture.write("a.txt", "changed\n").git(&["add", "a.txt"]);
    let id = client.start_call("git_commit", &json!({"message": "held"}));
    wait_for("the script", || begun.exists());
    Ok(id)
}

#[test]
fn calls_stopped_by_the_end_of_input_get_no_answer() -> Outcome {
    // A change in its hook, another one waiting for it, and a read.
    let fixture = Fixture::new().by_git();
    let (slow, begun) = (fixture.path.with_file_name("slow-git"), fixture.path.with_file_name("reading"));
    let text =
        format!("#!/bin/sh\ncase \"$*\" in *cat-file*|*blame*) touch '{}'; exec sleep 600;; esac\nexec git \"$@\"\n", begun.display());
    script(&slow, &text)?;
    let mut client = fixture.serve_with(&["--git", &slow.display().to_string()], &[]);
    let commit = held_commit(&fixture, &mut client)?;
    let waiting = client.start_call("git_add", &json!({"files": ["."]}));
    let reading = client.start_call("git_blame", &json!({"path": "a.txt"}));
    wait_for("the script", || begun.exists());
    let done = client.text("git_status", &json!({}));
    assert!(done.contains("a.txt"), "{done}");
    let (code, lines, _) = client.end();
    let answered: Vec<Value> =
        lines.iter().filter_map(|line| serde_json::from_slice(line).ok()).map(|line: Value| line["id"].clone()).collect();
    assert_eq!(code, Some(0));
    assert!([commit, waiting, reading].iter().all(|id| !answered.contains(id)), "{answered:?}");
    // Finished work is reported even if the input has ended meanwhile.
    let mut client = fixture.serve();
    let id = client.start_call("git_log", &json!({}));
    let (_, lines, _) = client.end();
    assert!(
        lines
            .iter()
            .any(|line| serde_json::from_slice::<Value>(line).is_ok_and(|line| line["id"] == id && line["result"]["isError"] == false))
    );
    Ok(())
}

#[test]
fn suggested_calls_omit_empty_arguments() {
    let fixture = Fixture::new();
    for at in 0..40 {
        fixture.git(&["commit", "--quiet", "--allow-empty", "-m", &format!("commit {at} {}", "word ".repeat(20))]);
    }
    fixture.write("long.txt", "line\n".repeat(3000)).commit("long");
    let mut client = fixture.serve();
    for (tool, args) in [
        ("git_log", json!({"max_tokens": 500, "author": null, "grep": null, "paths": []})),
        ("git_show", json!({"revision": "HEAD", "max_tokens": 700, "paths": null, "cursor": null})),
        ("git_diff", json!({"base": "HEAD~1", "target": "HEAD", "max_tokens": 700, "cursor": null, "paths": []})),
        ("git_log", json!({"max_tokens": 500, "repo_path": null, "author": "A U Thor", "rev": null})),
    ] {
        let result = client.result(tool, &args);
        let (named, next) = next_call(&parts(&text_of(&result)).notes).unwrap_or_else(|| panic!("no call: {}", text_of(&result)));
        let nothing = |value: &Value| value.is_null() || value == "" || value == &json!([]);
        assert!(!next.as_object().is_some_and(|next| next.values().any(nothing)), "{named} {next}");
        assert_ne!(client.result(&named, &next)["isError"], true, "{named} {next}");
    }
}

#[test]
fn a_rejected_key_names_the_ssh_agents_fault() -> Outcome {
    let fixture = Fixture::new();
    let ssh = fixture.path.with_file_name("ssh");
    script(&ssh, "#!/bin/sh\necho 'git@127.0.0.1: Permission denied (publickey).' >&2\nexit 255\n")?;
    fixture.git(&["config", "core.sshCommand", &ssh.display().to_string()]);
    fixture.git(&["remote", "add", "origin", "ssh://git@127.0.0.1/x.git"]);
    let socket = fixture.path.with_file_name("agent");
    let (gone, there) = (fixture.path.with_file_name("gone").display().to_string(), socket.display().to_string());
    fs::write(&socket, "")?;
    for (agent, expect) in [("", "many clients start servers without it"), (gone.as_str(), "does not exist"), (there.as_str(), "`ssh-add`")]
    {
        let mut client = fixture.serve_with(&[], &[("MCP_GIT_ALLOW_HOSTS", "127.0.0.1"), ("SSH_AUTH_SOCK", agent)]);
        for (tool, args) in [("git_fetch", json!({})), ("git_ls_remote", json!({})), ("git_push", json!({}))] {
            let refused = client.error(tool, &args);
            assert!(
                refused.contains("Permission denied") && refused.contains(expect) && !refused.contains("terminal"),
                "{tool}: {refused}"
            );
        }
    }
    Ok(())
}

#[test]
fn an_absolute_target_with_a_foreign_host_is_refused() {
    let server = Served::start(&Fixture::new(), &[], &[]);
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": meta(&json!({}))}}).to_string();
    let post = |target: &str| {
        let own = format!("MCP-Protocol-Version: {NEWEST}\r\nMcp-Method: tools/list\r\n");
        let headers = JSON.iter().fold(own, |all, (name, value)| all + name + ": " + value + "\r\n");
        let request = format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
            body.len()
        );
        Reply::parse(&server.raw(request.as_bytes(), None)).status
    };
    for foreign in
        ["http://evil.example/mcp", "http://evil.example:80/mcp", "https://localhost.evil.example/mcp", "http://127.0.0.1.evil.example/mcp"]
    {
        assert_eq!(post(foreign), 403, "{foreign}");
    }
    for own in ["/mcp".to_owned(), "http://localhost/mcp".to_owned(), format!("http://127.0.0.1:{}/mcp", server.port)] {
        assert_eq!(post(&own), 200, "{own}");
    }
}

#[test]
fn a_change_that_times_out_on_a_lock_names_the_holder() -> Outcome {
    // Held by another server.
    let fixture = Fixture::new();
    let mut first = fixture.serve();
    held_commit(&fixture, &mut first)?;
    let holder = format!("git_commit in process {}", first.pid());
    let mut second = fixture.serve_with(&[], &[("MCP_GIT_CHANGE_TIMEOUT", "1")]);
    for (tool, args) in
        [("git_add", json!({"files": ["a.txt"]})), ("git_stash", json!({})), ("git_tag", json!({"action": "create", "name": "v1"}))]
    {
        let refused = second.error(tool, &args);
        assert!(refused.contains(&holder), "{tool}: {refused}");
    }
    // Held by the same server: a pull whose remote is silent.
    let fixture = Fixture::new();
    let remote = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/x.git", remote.local_addr()?);
    fixture.git(&["remote", "add", "origin", &url]);
    let allowed = [("MCP_GIT_ALLOW_HOSTS", "127.0.0.1"), ("MCP_GIT_PROTOCOLS", "http"), ("MCP_GIT_CHANGE_TIMEOUT", "1")];
    let mut client = fixture.serve_with(&[], &allowed);
    client.start_call("git_pull", &json!({"remote": "origin", "branch": "main"}));
    let _asked = remote.accept()?;
    let refused = client.error("git_add", &json!({"files": ["a.txt"]}));
    assert!(refused.contains("git_pull in process"), "{refused}");
    Ok(())
}

#[test]
fn an_unknown_argument_is_answered_with_the_valid_ones() {
    let fixture = Fixture::new();
    let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
    for (tool, args) in [
        ("git_log", json!({"nonsense": 1})),
        ("git_commit", json!({"message": "x", "nonsense": 1})),
        ("git_status", json!({"nonsense": null, "nonsense2": 1})),
        ("git_remote_list", json!({"nonsense": 1})),
        ("git_clone", json!({"url": "https://example.com/x", "repo_path": "x", "nonsense": 1})),
    ] {
        let refused = client.error(tool, &args);
        assert!(refused.contains("`nonsense") && refused.contains("`repo_path`"), "{tool}: {refused}");
        let listed = client.request("tools/list", &json!({}));
        let tools = listed["result"]["tools"].as_array().cloned().unwrap_or_default();
        let schema = tools.iter().find(|one| one["name"] == tool).expect("a listed tool");
        let known = schema["inputSchema"]["properties"].as_object().cloned().unwrap_or_default();
        let everywhere = ["repo_path", "max_tokens", "confirm", "idempotency_key", "nonsense", "nonsense2"];
        for named in refused.split('`').skip(1).step_by(2) {
            assert!(known.contains_key(named) || everywhere.contains(&named), "{tool}: `{named}` in {refused}");
        }
    }
}

#[test]
fn clients_that_keep_writing_can_read_an_early_refusal() {
    let server = Served::start(&Fixture::new(), &[], &[]);
    let body = " ".repeat(24 << 20);
    let with_length = |target: &str, host: &str| {
        let length = body.len();
        format!(
            "POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    let chunked = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    for (request, status) in [
        (with_length("/mcp", "localhost"), 413),
        (chunked, 413),
        (with_length("/mcp", "evil.example"), 403),
        (with_length("http://evil.example/mcp", "localhost"), 403),
    ] {
        // The whole request is written before the first byte of the reply is read.
        let reply = Reply::parse(&server.raw(request.as_bytes(), None));
        assert_eq!(reply.status, status, "{reply:?}");
    }
    assert_eq!(server.send("GET", "/health", &[], b"").status, 200);
}
