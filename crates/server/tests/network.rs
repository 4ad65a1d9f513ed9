//! Fetch, pull, push and clone with a real remote on the loopback, and refused operations.

#![allow(clippy::expect_used, clippy::disallowed_methods, reason = "tests start git and fail loudly")]

mod support;

use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};
use support::{
    Client, Fixture, Outcome, descendants, git_in,
    remote::{Fault, OPEN, Remote, published},
    wire::wait_for,
};

/// A commit from another clone on a branch of the remote.
fn push_elsewhere(remote: &Remote, branch: &str, file: &str) {
    let elsewhere = tempfile::tempdir().expect("a folder");
    let script = format!(
        "git clone -q '{}' w && cd w && git config user.name O && git config user.email o@example.com && git checkout -q '{branch}' && \
         echo other >> '{file}' && git add . && git commit -q -m 'of another' && git push -q origin '{branch}'",
        remote.path().display()
    );
    support::shell(elsewhere.path(), &script);
}

fn rev(fixture: &Fixture, name: &str) -> String {
    String::from_utf8_lossy(&fixture.git(&["rev-parse", name])).trim().to_owned()
}

#[test]
fn a_branch_is_pushed_with_its_upstream_and_never_by_force() {
    let (fixture, remote) = published();
    let mut client = fixture.serve_with(&[], &OPEN);
    client.text("git_checkout", &json!({"branch_name": "feature", "create": true}));
    fixture.write("f.txt", "f\n").commit("feature work");
    let pushed = client.text("git_push", &json!({"set_upstream": true}));
    assert!(pushed.contains("* refs/heads/feature") && pushed.contains("feature now tracks origin/feature"), "{pushed}");
    assert_eq!(remote.git(&["rev-parse", "feature"]), rev(&fixture, "HEAD"));
    assert_eq!(rev(&fixture, "feature@{upstream}"), rev(&fixture, "HEAD"));
    // The remote moves on: nothing is overwritten, and the remote-tracking branch stays correct.
    push_elsewhere(&remote, "feature", "g.txt");
    let theirs = remote.git(&["rev-parse", "feature"]);
    fixture.write("f.txt", "f2\n").commit("more");
    let known = rev(&fixture, "origin/feature");
    let refused = client.error("git_push", &json!({"set_upstream": true}));
    assert!(refused.contains("refs/heads/feature: [rejected] (fetch first)") && refused.contains("git_pull"), "{refused}");
    assert_eq!((remote.git(&["rev-parse", "feature"]), rev(&fixture, "origin/feature")), (theirs.clone(), known));
    // Force needs confirmation, and replaces only what was fetched.
    let unconfirmed = client.error("git_push", &json!({"force": true}));
    assert!(unconfirmed.contains("`confirm`: true"), "{unconfirmed}");
    let stale = client.error("git_push", &json!({"force": true, "confirm": true}));
    assert!(stale.contains("stale info"), "{stale}");
    assert_eq!(remote.git(&["rev-parse", "feature"]), theirs);
    client.text("git_fetch", &json!({}));
    client.text("git_push", &json!({"force": true, "confirm": true}));
    assert_eq!(remote.git(&["rev-parse", "feature"]), rev(&fixture, "HEAD"));
    // A protected branch is neither force-pushed nor deleted, even with confirmation.
    for args in [json!({"branch": "main", "force": true, "confirm": true}), json!({"branch": "main", "delete": true, "confirm": true})] {
        assert!(client.error("git_push", &args).contains("`main` is protected"));
    }
    client.text("git_push", &json!({"branch": "feature", "delete": true, "confirm": true}));
    assert_eq!(remote.git(&["branch", "--list", "feature"]), "");
}

#[test]
fn policy_denies_what_a_call_confirms_75() {
    let (fixture, _remote) = published();
    let variables = [&OPEN[..], &[("MCP_GIT_FORCE_PUSH", "deny"), ("MCP_GIT_HARD_RESET", "deny"), ("MCP_GIT_CLEAN", "deny")]].concat();
    let mut client = fixture.serve_with(&[], &variables);
    fixture.write("new.txt", "n\n").write("a.txt", "edited\n");
    for (tool, args) in [
        ("git_push", json!({"branch": "feature", "force": true, "confirm": true})),
        ("git_reset", json!({"mode": "hard", "confirm": true})),
        ("git_clean", json!({"remove": true, "confirm": true})),
    ] {
        let refused = client.error(tool, &args);
        assert!(refused.contains("is \"deny\""), "{tool}: {refused}");
    }
    assert!(fixture.path.join("new.txt").exists());
    assert_eq!(fs::read_to_string(fixture.path.join("a.txt")).unwrap_or_default(), "edited\n");
    // Published commits are rewritten only on purpose; on a protected branch never.
    fixture.git(&["checkout", "-q", "--", "."]);
    assert!(client.error("git_commit", &json!({"amend": true, "confirm": true})).contains("`main` is protected"));
    client.text("git_checkout", &json!({"branch_name": "other", "create": true}));
    assert!(client.error("git_commit", &json!({"amend": true, "message": "m"})).contains("commits that a remote has would be rewritten"));
    client.text("git_commit", &json!({"amend": true, "message": "m", "confirm": true}));
}

#[test]
fn a_pull_goes_forward_or_asks_how() {
    let (fixture, remote) = published();
    let mut client = fixture.serve_with(&[], &OPEN);
    assert!(client.text("git_pull", &json!({})).contains("the branch is up to date"));
    push_elsewhere(&remote, "main", "theirs.txt");
    let pulled = client.text("git_pull", &json!({}));
    assert!(pulled.contains("pulled: HEAD moved from") && fixture.path.join("theirs.txt").exists(), "{pulled}");
    assert_eq!(rev(&fixture, "HEAD"), remote.git(&["rev-parse", "main"]));
    push_elsewhere(&remote, "main", "theirs.txt");
    fixture.write("ours.txt", "o\n").commit("ours");
    let apart = client.error("git_pull", &json!({}));
    assert!(apart.contains("1 commit is only here, 1 only there") && apart.contains("\"rebase\""), "{apart}");
    client.text("git_pull", &json!({"how": "rebase"}));
    assert_eq!(rev(&fixture, "HEAD~1"), remote.git(&["rev-parse", "main"]));
    push_elsewhere(&remote, "main", "more.txt");
    client.text("git_pull", &json!({"how": "merge"}));
    let subject = String::from_utf8_lossy(&fixture.git(&["log", "-1", "--format=%s"])).into_owned();
    assert_eq!(subject, "Merge remote-tracking branch 'origin/main'\n");
    assert!(client.error("git_pull", &json!({"branch": "none"})).contains("none"));
}

#[test]
fn a_remote_hooks_output_is_shown() -> Outcome {
    let (fixture, remote) = published();
    let hook = remote.path().join("hooks/pre-receive");
    fs::write(&hook, "#!/bin/sh\necho 'no work on Sundays'; exit 1\n")?;
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755))?;
    fixture.write("a.txt", "x\n").commit("third");
    let known = rev(&fixture, "origin/main");
    let own = fixture.path.join(".git/hooks/pre-push");
    fs::write(&own, "#!/bin/sh\necho 'checked here' >&2\n")?;
    fs::set_permissions(&own, fs::Permissions::from_mode(0o755))?;
    let refused = fixture.serve_with(&[], &OPEN).error("git_push", &json!({}));
    assert!(refused.contains("checked here"), "{refused}");
    assert!(refused.contains("pre-receive hook declined") && refused.contains("remote: no work on Sundays"), "{refused}");
    assert_eq!(rev(&fixture, "origin/main"), known);
    fs::remove_file(&hook)?;
    assert!(fixture.serve_with(&[], &OPEN).text("git_push", &json!({})).contains("checked here"));
    // With hooks disabled, none runs.
    fs::write(&own, "#!/bin/sh\nexit 1\n")?;
    fixture.write("a.txt", "y\n").commit("fourth");
    fixture.serve_with(&[], &[&OPEN[..], &[("MCP_GIT_HOOKS", "deny")]].concat()).text("git_push", &json!({}));
    Ok(())
}

#[test]
fn the_git_protocol_works_when_enabled() {
    let (fixture, remote) = published();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its number").port();
    let base = format!("--base-path={}", remote.home.path().display());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let input = std::os::fd::OwnedFd::from(stream.try_clone().expect("the connection"));
            let daemon = std::process::Command::new("git")
                .args(["daemon", "--inetd", "--export-all", &base])
                .stdin(input)
                .stdout(std::os::fd::OwnedFd::from(stream))
                .spawn();
            daemon.and_then(|mut daemon| daemon.wait()).map(drop).unwrap_or_default();
        }
    });
    push_elsewhere(&remote, "main", "x.txt");
    fixture.git(&["remote", "set-url", "origin", &format!("git://127.0.0.1:{port}/repo.git")]);
    assert!(fixture.serve_with(&[], &OPEN).error("git_fetch", &json!({})).contains("the protocol `git` is disabled"));
    let mut client = fixture.serve_with(&[], &[("MCP_GIT_PROTOCOLS", "git"), OPEN[1]]);
    assert!(client.text("git_fetch", &json!({})).contains("refs/remotes/origin/main"));
    assert_eq!(rev(&fixture, "origin/main"), remote.git(&["rev-parse", "main"]));
}

#[test]
fn tags_and_prunes_and_listings() {
    let (fixture, remote) = published();
    let mut client = fixture.serve_with(&[], &OPEN);
    client.text("git_tag", &json!({"action": "create", "name": "v1", "message": "one"}));
    let pushed = client.text("git_push", &json!({"tags": ["v1"]}));
    assert!(pushed.contains("refs/tags/v1"), "{pushed}");
    assert_eq!(remote.git(&["rev-parse", "v1"]), rev(&fixture, "v1"));
    let listed = client.text("git_ls_remote", &json!({}));
    assert!(listed.contains(&format!("{} refs/heads/main", rev(&fixture, "main"))) && listed.contains("refs/tags/v1"), "{listed}");
    remote.git(&["branch", "gone", "main"]);
    assert!(client.text("git_fetch", &json!({})).contains("refs/remotes/origin/gone"));
    remote.git(&["branch", "-D", "gone"]);
    let pruned = client.text("git_fetch", &json!({"prune": true}));
    assert!(pruned.contains("- refs/remotes/origin/gone"), "{pruned}");
    assert!(client.error("git_fetch", &json!({"remote": "none"})).contains("there is no remote called `none`"));
    client.text("git_remote_rename", &json!({"old_name": "origin", "new_name": "up"}));
    assert!(client.text("git_remote_list", &json!({})).starts_with("up http://127.0.0.1:"));
    let unknown = client.error("git_push", &json!({"branch": "nowhere"}));
    assert!(unknown.contains("unknown revision"), "{unknown}");
}

#[test]
fn faults_of_a_remote_are_reported() {
    let (fixture, remote) = published();
    let mut client = fixture.serve_with(&[], &OPEN);
    for (fault, expect) in [
        (Fault::Status(503), &["HTTP status 503", "The remote failed"][..]),
        (Fault::Status(404), &["HTTP status 404", "credential helpers"]),
        (Fault::Moved("http://10.9.8.7".to_owned()), &["HTTP status 301", "http://10.9.8.7/repo.git/info/refs", "git_remote_set_url"]),
        (Fault::Locked, &["HTTP status 401", "credential helpers and ssh-agent"]),
    ] {
        remote.breaks(fault.clone());
        // Nothing prompts: the client times out long before the server's deadline.
        let reply = client.error("git_fetch", &json!({}));
        assert!(expect.iter().all(|text| reply.contains(text)), "{fault:?}: {reply}");
    }
    // Credentials come from the operator's helper, and are never shown.
    let helper = "!f() { echo username=u; echo password=p; }; f";
    fixture.git(&["config", "credential.helper", helper]);
    push_elsewhere(&remote, "main", "a.txt");
    let fetched = client.text("git_fetch", &json!({}));
    assert!(fetched.contains("refs/remotes/origin/main"), "{fetched}");
    let url = remote.url().replace("http://", "http://u:p@");
    fixture.git(&["config", "--unset", "credential.helper"]);
    fixture.git(&["remote", "set-url", "origin", &url]);
    let listed = client.text("git_remote_list", &json!({}));
    assert!(!listed.contains("u:p@") && listed.contains("127.0.0.1"), "{listed}");
    client.text("git_fetch", &json!({}));
}

/// A remote large enough to be interrupted.
fn heavy() -> (Fixture, Remote) {
    let (fixture, remote) = published();
    let noise: Vec<u8> = (0..600_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    fixture.write("noise.bin", noise).commit("noise");
    fixture.git(&["push", "-q", "origin", "main"]);
    (fixture, remote)
}

#[test]
fn a_clone_is_complete_or_absent() -> Outcome {
    let (fixture, remote) = heavy();
    let above = fs::canonicalize(fixture.home.path())?;
    let mut client = Client::start(&["-r", &above.display().to_string()], &OPEN);
    client.initialize();
    let target = above.join("made/clone");
    let args = json!({"url": remote.url(), "repo_path": target.display().to_string()});
    for fault in [Fault::CutOff, Fault::Status(500), Fault::Locked] {
        remote.breaks(fault.clone());
        client.error("git_clone", &args);
        let left: Vec<_> = fs::read_dir(above.join("made")).map(|entries| entries.flatten().collect()).unwrap_or_default();
        assert!(left.is_empty(), "{fault:?}: {left:?}");
    }
    // Leftovers of a killed server are removed.
    let abandoned = above.join("made/.clone-999999999-0123456789abcdef0123");
    fs::create_dir_all(&abandoned)?;
    remote.breaks(Fault::None);
    let id = json!(client.id());
    let params = json!({"name": "git_clone", "arguments": args, "_meta": {"progressToken": "p"}});
    client.send_json(&json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}));
    let mut progress: Vec<f64> = Vec::new();
    let answer = loop {
        let message = client.receive();
        if message["method"] == "notifications/progress" {
            assert_eq!(message["params"]["progressToken"], "p");
            progress.push(message["params"]["progress"].as_f64().unwrap_or_default());
        }
        if message["id"] == id {
            break message;
        }
    };
    assert_ne!(answer["result"]["isError"], true, "{answer}");
    assert!(!progress.is_empty() && progress.is_sorted_by(|a, b| a < b), "{progress:?}");
    assert!(target.join("noise.bin").exists() && !abandoned.exists());
    let clone = json!({"repo_path": target.display().to_string()});
    assert!(client.text("git_status", &clone).contains("main"));
    assert!(client.error("git_clone", &args).contains("exists already"));
    let outside = json!({"url": remote.url(), "repo_path": "/tmp/nowhere-of-mine/x"});
    assert!(client.error("git_clone", &outside).contains("outside the allowed roots"));
    Ok(())
}

#[test]
fn a_cancel_stops_the_transfer() -> Outcome {
    let (fixture, remote) = heavy();
    let above = fs::canonicalize(fixture.home.path())?;
    let mut client = Client::start(&["-r", &above.display().to_string()], &OPEN);
    client.initialize();
    remote.breaks(Fault::Stalled);
    let target = above.join("clone");
    let before = remote.requests();
    let id = client.start_call("git_clone", &json!({"url": remote.url(), "repo_path": target.display().to_string()}));
    remote.wait_for_requests(before + 2);
    assert_ne!(descendants(client.pid()), Vec::<u32>::new(), "the clone runs");
    // Reads and changes of other repositories continue meanwhile.
    let args = json!({"repo_path": fixture.path.display().to_string()});
    client.text("git_status", &args);
    client.send_json(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id, "reason": "enough"}}));
    wait_for("the end of the transfer", || {
        client.ping();
        descendants(client.pid()).is_empty()
    });
    let is_left = || fs::read_dir(&above).expect("a folder").flatten().any(|it| it.file_name().to_string_lossy().starts_with(".clone-"));
    wait_for("the removal of the clone", || !is_left());
    assert!(!target.exists());
    Ok(())
}

#[test]
fn a_fetch_does_not_lock_the_worktree() {
    let (fixture, remote) = published();
    let noise: Vec<u8> = (0..100_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let elsewhere = tempfile::tempdir().expect("a folder");
    fs::write(elsewhere.path().join("noise"), noise).expect("a file");
    let script = format!(
        "git clone -q '{}' w && cp noise w/ && cd w && git add . && git -c user.name=O -c user.email=o@example.com commit -q -m n && git push -q origin main",
        remote.path().display()
    );
    support::shell(elsewhere.path(), &script);
    remote.breaks(Fault::Stalled);
    let mut client = fixture.serve_with(&[], &OPEN);
    let before = remote.requests();
    let fetch = client.start_call("git_fetch", &json!({}));
    remote.wait_for_requests(before + 2);
    fixture.write("a.txt", "meanwhile\n");
    client.text("git_commit", &json!({"message": "meanwhile", "paths": ["a.txt"]}));
    client.send_json(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": fetch}}));
    wait_for("the end of the transfer", || {
        client.ping();
        descendants(client.pid()).is_empty()
    });
    // The fetch is no change of this worktree: the commit is the last.
    assert!(client.text("git_undo", &json!({})).contains("the last change is git_commit"));
}

#[test]
fn remotes_must_be_public_and_allowed_19_43() {
    let (fixture, remote) = published();
    let before = remote.requests();
    let mut client = fixture.serve();
    let switched_off = client.error("git_fetch", &json!({}));
    assert!(switched_off.contains("the protocol `http` is disabled") && switched_off.contains("MCP_GIT_PROTOCOLS"), "{switched_off}");
    let mut client = fixture.serve_with(&[], &OPEN[..1]);
    for (tool, args) in [
        ("git_fetch", json!({})),
        ("git_push", json!({})),
        ("git_ls_remote", json!({"remote": remote.url()})),
        ("git_remote_add", json!({"name": "n", "url": remote.url()})),
        ("git_remote_set_url", json!({"name": "origin", "url": "http://[::ffff:127.0.0.1]/x"})),
    ] {
        let private = client.error(tool, &args);
        assert!(
            private.contains("is not an address of the public internet") && private.contains("MCP_GIT_ALLOW_HOSTS"),
            "{tool}: {private}"
        );
    }
    // Also after the configuration rewrites the URL.
    fixture.git(&["config", &format!("url.{}.insteadOf", remote.url()), "https://1.1.1.1/x"]);
    let rewritten = client.error("git_ls_remote", &json!({"remote": "https://1.1.1.1/x"}));
    assert!(rewritten.contains("127.0.0.1"), "{rewritten}");
    fixture.git(&["remote", "set-url", "origin", "https://1.1.1.1/x"]);
    assert!(client.error("git_fetch", &json!({})).contains("127.0.0.1"));
    assert_eq!(remote.requests(), before);
    let paths = fixture.serve_with(&[], &[("MCP_GIT_PROTOCOLS", "file")]).error("git_ls_remote", &json!({"remote": remote.path()}));
    assert!(paths.contains("outside the allowed roots"), "{paths}");
}

#[test]
fn an_untrusted_repository_cannot_redirect_transfers_35_42() -> Outcome {
    let (fixture, remote) = published();
    let above = fs::canonicalize(fixture.home.path())?;
    let marker = above.join("marker");
    let trap = format!("touch '{}'", marker.display());
    let args = json!({"repo_path": fixture.path.display().to_string()});
    for (key, value) in [
        ("core.sshCommand", trap.clone()),
        ("core.gitProxy", trap.clone()),
        ("core.askPass", trap.clone()),
        ("credential.helper", format!("!{trap}")),
        ("credential.http://127.0.0.1.helper", format!("!{trap}")),
        ("remote.origin.uploadpack", trap.clone()),
        ("remote.origin.vcs", "ext".to_owned()),
        ("http.proxy", "http://10.0.0.1".to_owned()),
        ("url.ext::x.insteadOf", "http://".to_owned()),
        ("fetch.bundleURI", "/outside/x.bundle".to_owned()),
        ("remotes.origin", "e1 e2".to_owned()),
        ("include.path", "more".to_owned()),
    ] {
        fixture.git(&["config", key, &value]);
        remote.breaks(Fault::Locked);
        let mut client = Client::start(&["-r", &above.display().to_string()], &OPEN);
        client.initialize();
        let refused = client.error("git_fetch", &args);
        assert!(refused.contains("is not trusted"), "{key}: {refused}");
        assert!(!marker.exists(), "{key}");
        fixture.git(&["config", "--unset-all", key]);
    }
    // Without these settings, and with its hooks ignored, it is fetched.
    remote.breaks(Fault::None);
    fixture.write(".git/hooks/reference-transaction", format!("#!/bin/sh\n{trap}\n"));
    fs::set_permissions(fixture.path.join(".git/hooks/reference-transaction"), fs::Permissions::from_mode(0o755))?;
    push_elsewhere(&remote, "main", "x.txt");
    let mut client = Client::start(&["-r", &above.display().to_string()], &OPEN);
    client.initialize();
    assert!(client.text("git_fetch", &args).contains("refs/remotes/origin/main"));
    assert!(!marker.exists());
    Ok(())
}

#[test]
fn ssh_never_prompts_68() -> Outcome {
    let fixture = Fixture::new();
    let args = fixture.path.with_file_name("args");
    let fake = fixture.path.with_file_name("ssh-for-the-test");
    fs::write(&fake, format!("#!/bin/sh\necho \"$@\" > '{}'\nexit 255\n", args.display()))?;
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755))?;
    fixture.git(&["config", "core.sshCommand", &fake.display().to_string()]);
    fixture.git(&["remote", "add", "origin", "git@127.0.0.1:x.git"]);
    let mut client = fixture.serve_with(&[], &OPEN);
    let failed = client.error("git_fetch", &json!({}));
    assert!(failed.contains("ssh-agent"), "{failed}");
    let options = fs::read_to_string(&args)?;
    assert!(options.contains("BatchMode=yes") && options.contains("git@127.0.0.1"), "{options}");
    Ok(())
}

#[test]
fn submodules_are_checked_like_remotes_and_run_nothing_40() {
    let (fixture, remote) = published();
    let inner = Remote::start();
    let seed = Fixture::new();
    seed.git(&["push", "-q", &inner.url(), "main"]);
    let marker = fixture.path.with_file_name("marker");
    let modules = format!("[submodule \"sub\"]\n\tpath = sub\n\turl = {}\n", inner.url());
    fixture.write(".gitmodules", modules);
    let id = inner.git(&["rev-parse", "main"]);
    fixture.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{id},sub")]);
    fixture.git(&["add", ".gitmodules"]);
    fixture.git(&["commit", "-q", "-m", "a submodule"]);
    fixture.git(&["config", "submodule.sub.update", &format!("!touch '{}'", marker.display())]);
    fixture.git(&["config", "submodule.sub.url", &inner.url()]);
    let mut client = fixture.serve_with(&[], &OPEN);
    assert!(client.text("git_submodule", &json!({})).contains(&format!("-{id} sub")));
    let updated = client.text("git_submodule", &json!({"action": "update"}));
    assert!(updated.contains(&format!(" {id} sub")) && fixture.path.join("sub/a.txt").exists(), "{updated}");
    assert!(!marker.exists());
    fixture.git(&["config", "submodule.sub.url", "http://10.0.0.1/x"]);
    assert!(client.error("git_submodule", &json!({"action": "update"})).contains("not an address of the public internet"));
    drop(remote);
}

#[test]
fn remote_paths_must_be_inside_the_roots() -> Outcome {
    let fixture = Fixture::new();
    let above = fs::canonicalize(fixture.home.path())?;
    assert!(git_in(&above, &["init", "-q", "--bare", "bare.git"]).status.success());
    let outside = tempfile::tempdir()?;
    assert!(git_in(outside.path(), &["init", "-q", "--bare", "."]).status.success());
    let mut client = Client::start(&["-r", &above.display().to_string()], &[("MCP_GIT_PROTOCOLS", "file")]);
    client.initialize();
    let with = |mut args: Value| {
        args["repo_path"] = json!(fixture.path.display().to_string());
        args
    };
    let add = |name: &str, path: &Path| with(json!({"name": name, "url": path.display().to_string()}));
    assert!(client.error("git_remote_add", &add("out", outside.path())).contains("outside the allowed roots"));
    client.text("git_remote_add", &add("in", &above.join("bare.git")));
    // A push would run its hooks, so it must be named, too.
    let refused = client.error("git_push", &with(json!({"remote": "in"})));
    assert!(refused.contains("bare.git is not trusted"), "{refused}");
    let named = [above.join("bare.git").display().to_string(), fixture.path.display().to_string()];
    let mut client = Client::start(&["-r", &named[0], "-r", &named[1]], &[("MCP_GIT_PROTOCOLS", "file")]);
    client.initialize();
    client.text("git_push", &with(json!({"remote": "in"})));
    assert_eq!(git_in(&above.join("bare.git"), &["rev-parse", "main"]).stdout, fixture.git(&["rev-parse", "main"]));
    Ok(())
}

#[test]
fn a_submodule_whose_path_ends_in_a_return_is_refused_41() -> Outcome {
    let (fixture, remote) = published();
    let inner = Remote::start();
    let marker = fixture.path.with_file_name("marker");
    let seed = Fixture::new();
    seed.write("post-checkout", format!("#!/bin/sh\ntouch '{}'\n", marker.display()));
    fs::set_permissions(seed.path.join("post-checkout"), fs::Permissions::from_mode(0o755))?;
    seed.commit("a hook");
    seed.git(&["push", "-q", &inner.url(), "main"]);
    // git once dropped the path's last character, found the link, and checked the hook out into the hooks.
    fixture.write(".gitmodules", format!("[submodule \"sub\"]\n\tpath = \"sub\r\"\n\turl = {}\n", inner.url()));
    std::os::unix::fs::symlink(".git/modules/sub/hooks", fixture.path.join("sub"))?;
    fixture.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},sub\r", inner.git(&["rev-parse", "main"]))]);
    fixture.git(&["add", ".gitmodules", "sub"]);
    fixture.git(&["commit", "-q", "-m", "a trap"]);
    fixture.git(&["push", "-q", "origin", "main"]);
    let above = fs::canonicalize(fixture.home.path())?;
    let mut client = Client::start(&["-r", &above.display().to_string()], &OPEN);
    client.initialize();
    let target = above.join("clone").display().to_string();
    client.text("git_clone", &json!({"url": remote.url(), "repo_path": target}));
    assert!(!above.join("clone/.git/modules").exists());
    let refused = client.error("git_submodule", &json!({"repo_path": target, "action": "update"}));
    assert!(refused.contains("control characters"), "{refused}");
    assert!(!marker.exists());
    Ok(())
}

#[test]
fn accepted_updates_are_reported_beside_rejected_ones() {
    let (fixture, remote) = published();
    fixture.git(&["tag", "v1", "HEAD"]);
    remote.git(&["tag", "v1", "main~1"]);
    remote.git(&["branch", "more", "main"]);
    let refused = fixture.serve_with(&[], &OPEN).error("git_fetch", &json!({"tags": true}));
    assert!(refused.contains("refs/tags/v1") && refused.contains("updated despite the failure: refs/remotes/origin/more"), "{refused}");
}

#[test]
fn a_clone_that_fails_leaves_no_folder() {
    let (fixture, remote) = published();
    remote.breaks(Fault::Status(503));
    let above = fs::canonicalize(fixture.home.path()).expect("its path");
    let mut client = Client::start(&["-r", &above.display().to_string()], &OPEN);
    client.initialize();
    let failed = client.error("git_clone", &json!({"url": remote.url(), "repo_path": above.join("a/b/c").display().to_string()}));
    assert!(failed.contains("HTTP status 503"), "{failed}");
    assert!(!above.join("a").exists());
}
