//! Addresses with secrets: in tools, resources, prompts, completions, errors, the log and stored state.

use crate::support::{
    Client, Fixture, Outcome, files,
    remote::{Fault, OPEN, Remote},
    text_of,
};
use serde_json::{Value, json};
use std::{collections::HashSet, fs, os::unix::fs::PermissionsExt, path::Path};

/// The secret that must not appear.
const SECRET: &str = "S3CR3TW0RD";

/// A repository whose remotes, configuration, logs and hooks have addresses with secrets.
fn guarded() -> Result<(Fixture, Remote, String), Box<dyn std::error::Error>> {
    let (fixture, remote) = (Fixture::new(), Remote::start());
    let seed = Fixture::new();
    seed.git(&["push", "-q", &remote.url(), "main"]);
    let origin = format!("{}?Private%5FToken={SECRET}", remote.url());
    for (key, value) in [
        ("remote.origin.url", origin.clone()),
        ("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*".to_owned()),
        ("remote.origin.pushurl", format!("{}?a=1;X-Amz-Signature={SECRET}", remote.url())),
        ("remote.scp.url", format!("user:{SECRET}@127.0.0.1:x.git")),
        ("remote.web.url", format!("https://oauth2:{SECRET}@127.0.0.1/x?sig={SECRET}#access_token={SECRET}")),
        ("remote.short.url", "short:x".to_owned()),
        (&format!("url.{}?KEY={SECRET}&p=.insteadOf", remote.url()), "short:".to_owned()),
        ("submodule.sub.url", format!("{};auth={SECRET}", remote.url())),
        ("demo.list", format!("see https://h/a?password={SECRET} and https://h/b?{SECRET}, both")),
        ("branch.elsewhere.remote", format!("https://127.0.0.1/x?token={SECRET}")),
        ("branch.elsewhere.merge", "refs/heads/main".to_owned()),
    ] {
        fixture.git(&["config", "--add", key, &value]);
    }
    let id = remote.git(&["rev-parse", "main"]);
    fixture.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{id},sub")]);
    fixture.write(".gitmodules", format!("[submodule \"sub\"]\n\tpath = sub\n\turl = {}\n", remote.url())).git(&["add", ".gitmodules"]);
    fixture.git(&["commit", "-q", "-m", "a submodule"]);
    fixture.git(&["branch", "elsewhere"]);
    let head = String::from_utf8_lossy(&fixture.git(&["rev-parse", "HEAD"])).trim().to_owned();
    fixture.write(".git/FETCH_HEAD", format!("{head}\t\tbranch 'main' of https://h/x?token={SECRET}\n"));
    let log = format!("{head} {head} A <a@example.com> 1700000000 +0000\tpull https://u:{SECRET}@h/x?token={SECRET} main: Fast-forward\n");
    fixture.write(".git/logs/HEAD", log);
    fixture.write(".git/hooks/pre-commit", format!("#!/bin/sh\necho \"to 'https://ci/x?t={SECRET}': no\" >&2\n[ ! -e ../refuse ]\n"));
    fs::set_permissions(fixture.path.join(".git/hooks/pre-commit"), fs::Permissions::from_mode(0o755))?;
    Ok((fixture, remote, origin))
}

/// Files below `dir` that contain the secret.
fn leaks(dir: &Path) -> Vec<String> {
    let within = |path: &Path| fs::read(path).unwrap_or_default().windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
    files(dir).into_iter().filter(|path| within(path)).map(|path| path.display().to_string()).collect()
}

#[test]
fn no_secret_of_an_address_is_shown_logged_or_stored_71() -> Outcome {
    let (fixture, remote, origin) = guarded()?;
    let above = fs::canonicalize(fixture.home.path())?;
    let state = tempfile::tempdir()?;
    let place = state.path().display().to_string();
    let variables = [&OPEN[..], &[("XDG_STATE_HOME", place.as_str())]].concat();
    let level = ["--log-level", "trace"];
    let mut client = fixture.serve_with(&level, &variables);
    let repo = fixture.path.display().to_string();
    let mut failed = HashSet::new();
    let mut check = |client: &mut Client, tool: &str, mut args: Value| {
        if args.get("repo_path").is_none() {
            args["repo_path"] = json!(repo);
        }
        let result = client.result(tool, &args);
        assert!(!result.to_string().contains(SECRET), "{tool} {args}: {result}");
        if result["isError"] == true {
            failed.insert(tool.to_owned());
        }
        text_of(&result)
    };
    // Every tool with its plain arguments, and the tools that handle addresses.
    for entry in mcp_server_git::tools::ALL {
        check(&mut client, entry.name, json!({}));
    }
    let listed = check(&mut client, "git_remote_list", json!({}));
    assert!(
        listed.contains("?Private%5FToken=***") && listed.contains("***@127.0.0.1:x.git") && listed.contains("replaced by ***"),
        "{listed}"
    );
    let settings = check(&mut client, "git_config", json!({}));
    assert!(
        settings.contains("see https://h/a?password=*** and https://h/b?***") && settings.contains("?KEY=***&***.insteadof="),
        "{settings}"
    );
    assert!(check(&mut client, "git_reflog", json!({})).contains("pull https://***@h/x?token=*** main"));
    for (tool, args) in [
        ("git_config", json!({"key": "remote.origin.url"})),
        ("git_remote_get_url", json!({"name": "origin"})),
        ("git_remote_get_url", json!({"name": "web"})),
        ("git_rev_parse", json!({"revision": "FETCH_HEAD"})),
        ("git_ls_remote", json!({"remote": "short"})),
        ("git_ls_remote", json!({"remote": "web"})),
        ("git_ls_remote", json!({"remote": "scp"})),
        ("git_ls_remote", json!({"remote": origin})),
        ("git_ls_remote", json!({"remote": format!("ext::x?token={SECRET}")})),
        ("git_remote_add", json!({"name": "more", "url": origin})),
        ("git_remote_add", json!({"name": "bad", "url": format!("{origin}\n")})),
        ("git_remote_set_url", json!({"name": "web", "url": "https://1.1.1.1/x"})),
        ("git_remote_rename", json!({"old_name": "more", "new_name": "most"})),
        ("git_remote_remove", json!({"name": "most"})),
        ("git_submodule", json!({"action": "sync"})),
        ("git_submodule", json!({"action": "update"})),
        ("git_commit", json!({"message": "m", "allow_empty": true, "idempotency_key": "one"})),
        ("git_merge", json!({"source_branch": "FETCH_HEAD"})),
    ] {
        check(&mut client, tool, args);
    }
    for fault in [
        Fault::Status(403),
        Fault::Moved(format!("https://h/y?private_token={SECRET}&a=b#{SECRET} {SECRET}")),
        Fault::Moved(format!("https://u:{SECRET}@h/y")),
        Fault::Locked,
    ] {
        remote.breaks(fault.clone());
        for (tool, args) in [("git_fetch", json!({})), ("git_pull", json!({})), ("git_push", json!({})), ("git_ls_remote", json!({}))] {
            check(&mut client, tool, args);
        }
        let moved = check(&mut client, "git_fetch", json!({"remote": "short"}));
        assert!(!matches!(&fault, Fault::Moved(to) if to.contains('?')) || moved.contains("https://h/y?private_token=***"), "{moved}");
    }
    fixture.write("../refuse", "").write("a.txt", "other\n");
    let refused = check(&mut client, "git_commit", json!({"message": "m", "paths": ["a.txt"]}));
    assert!(refused.contains("to 'https://ci/x?t=***': no"), "{refused}");
    check(&mut client, "git_checkout", json!({"branch_name": "elsewhere"}));
    for tool in ["git_status", "git_fetch", "git_push", "git_branch"] {
        check(&mut client, tool, json!({}));
    }
    let mut other = Client::start(&[&["-r", &above.display().to_string()], &level[..]].concat(), &variables);
    other.initialize();
    check(&mut other, "git_clone", json!({"url": origin, "repo_path": above.join("clone").display().to_string()}));
    for tool in ["git_fetch", "git_push", "git_clone", "git_ls_remote", "git_commit"] {
        assert!(failed.contains(tool), "{tool} is seen to fail");
    }
    check_besides_tools(&fixture, &mut client);
    for (client, tool) in [(client, "git_fetch"), (other, "git_clone")] {
        let (_, lines, log) = client.end();
        assert!(lines.iter().all(|line| !String::from_utf8_lossy(line).contains(SECRET)));
        assert!(log.contains(tool) && !log.contains(SECRET), "{log}");
    }
    assert_eq!(leaks(state.path()), Vec::<String>::new());
    check_content();
    Ok(())
}

/// Resources, prompts and completions.
fn check_besides_tools(fixture: &Fixture, client: &mut Client) {
    let repo = fixture.path.display().to_string();
    for uri in
        ["git://repo/remote/origin", "git://repo/remote/scp", "git://repo/remote/none", "git://repo/status", "git://repo/commit/HEAD"]
    {
        let read = client.request("resources/read", &json!({"uri": uri}));
        assert!(!read.to_string().contains(SECRET), "{uri}: {read}");
        assert!(!uri.ends_with("origin") || read.to_string().contains("?Private%5FToken=***"), "{read}");
    }
    for name in ["git-workflow-guide", "commit-message", "release-notes"] {
        let prompt = client.request("prompts/get", &json!({"name": name, "arguments": {"repo_path": repo, "version": "v1"}}));
        assert!(!prompt.to_string().contains(SECRET), "{name}: {prompt}");
    }
    let reference = json!({"type": "ref/resource", "uri": "git://{repo}/remote/{remote}"});
    let params = json!({"ref": reference, "argument": {"name": "remote", "value": ""}, "context": {"arguments": {"repo": "repo"}}});
    fixture.git(&["config", &format!("remote.https://h/x?token={SECRET}.url"), "https://h/x"]);
    let completed = client.request("completion/complete", &params);
    assert!(!completed.to_string().contains(SECRET) && completed.to_string().contains("origin"), "{completed}");
}

/// Content is git's: addresses in it stay unchanged.
fn check_content() {
    let fixture = Fixture::new();
    let text = "GET https://host/x?private_token=W0RD;sig=W0RD#W0RD and user:W0RD@host:path\n";
    fixture.write("curl.sh", text).commit(&format!("fetch {text}\nfrom https://host/y?key=W0RD"));
    fixture.write("curl.sh", text.repeat(2));
    fixture.git(&["notes", "add", "-m", text.trim()]);
    let mut client = fixture.serve();
    for (tool, args) in [
        ("git_show", json!({"revision": "HEAD:curl.sh"})),
        ("git_show", json!({"revision": "HEAD"})),
        ("git_diff", json!({})),
        ("git_grep", json!({"pattern": "token"})),
        ("git_blame", json!({"path": "curl.sh"})),
        ("git_log", json!({"max_count": 1})),
        ("git_branch", json!({})),
        ("git_cat_file", json!({"revision": "HEAD"})),
        ("git_notes", json!({})),
        ("git_reflog", json!({})),
        ("git_add", json!({"list": true})),
    ] {
        let shown = client.text(tool, &args);
        assert!(shown.contains(text.trim()) && !shown.contains("***"), "{tool}: {shown}");
    }
}
