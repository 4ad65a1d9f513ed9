//! Remotes: which are allowed, why they fail, and what they reject.

use super::{
    collected::Advice,
    row::{Row, argument, elsewhere, followed, named, with},
};
use crate::support::{
    Client, Fixture,
    admin::{Administered, code, operate, tool},
    hooks::{hook, script},
    out,
    remote::{Fault, OPEN, Remote, published},
    shell, text_of,
    wire::wait_for,
};
use serde_json::{Value, json};
use std::fs;

const PARTIAL: (&str, &str) = ("answers/partial.rs", "without_the_permission_to_fetch_the_error_names_who_has_it");

/// Pushes a commit from another clone.
fn push_elsewhere(remote: &Remote, branch: &str) {
    let elsewhere = tempfile::tempdir().expect("a folder");
    let script = format!(
        "git clone -q '{}' w && cd w && git config user.name O && git config user.email o@example.com && git checkout -q {branch} && \
         echo other > o.txt && git add . && git commit -q -m other && git push -q origin {branch}",
        remote.path().display()
    );
    shell(elsewhere.path(), &script);
}

/// A fetch that fails until the remote's fault is removed.
fn until_repaired(it: &Advice, fault: Fault) {
    let (fixture, remote) = published();
    remote.breaks(fault);
    let mut client = fixture.serve_with(&[], &OPEN);
    it.printed(&mut client, ("git_fetch", json!({})));
    remote.breaks(Fault::None);
    wait_for("the remote", || client.result("git_fetch", &json!({}))["isError"] != true);
}

/// A repository whose ssh remote rejects every key until a file exists.
fn over_ssh() -> (Fixture, std::path::PathBuf) {
    let fixture = Fixture::new();
    let (ssh, known) = (fixture.home.path().join("ssh"), fixture.home.path().join("known"));
    fixture.git(&["clone", "-q", "--bare", ".", "../there.git"]);
    let there = fixture.path.with_file_name("there.git");
    // Accepted if the agent holds a key, or if the file exists.
    let accepts = format!("[ -s \"$SSH_AUTH_SOCK\" ] || [ -e '{}' ]", known.display());
    let refuses = "echo 'git@127.0.0.1: Permission denied (publickey).' >&2; exit 255";
    script(&ssh, &format!("if {accepts}; then exec git upload-pack '{}'; fi; {refuses}", there.display()));
    fixture.git(&["config", "core.sshCommand", &ssh.display().to_string()]);
    fixture.git(&["config", "ssh.variant", "simple"]);
    fixture.git(&["remote", "add", "origin", "ssh://127.0.0.1/x.git"]);
    (fixture, known)
}

/// A client with this agent, or without one.
fn with_agent(fixture: &Fixture, agent: &str) -> Client {
    fixture.serve_with(&[], &[("MCP_GIT_ALLOW_HOSTS", "127.0.0.1"), ("SSH_AUTH_SOCK", agent)])
}

/// A shallow clone of a remote in which `side` diverged from `main` some commits ago.
fn shallow() -> (Fixture, Remote) {
    let (remote, work) = (Remote::start(), Fixture::new());
    work.git(&["tag", "-a", "-m", "early", "early"]);
    work.git(&["checkout", "-q", "-b", "side"]);
    work.write("b.txt", "1\n").commit("side one").write("b.txt", "2\n").commit("side two").git(&["checkout", "-q", "main"]);
    work.write("c.txt", "1\n").commit("three").write("c.txt", "2\n").commit("four");
    work.git(&["push", "-q", "--tags", &remote.path().display().to_string(), "main", "side"]);
    let home = tempfile::tempdir().expect("a folder");
    let path = fs::canonicalize(home.path()).expect("its path").join("repo");
    shell(home.path(), &format!("git clone -q --depth=1 --no-single-branch '{}' repo && cd repo && git checkout -q -b work", remote.url()));
    let fixture = Fixture { home, path };
    fixture.git(&["config", "user.name", "A U Thor"]);
    fixture.git(&["config", "user.email", "author@example.com"]);
    (fixture, remote)
}

pub(crate) const ROWS: &[Row] = &[
    followed("error/advice/access.rs", "Authentication uses git credential helpers", |it| {
        let (fixture, remote) = published();
        remote.breaks(Fault::Locked);
        let home = fixture.home.path();
        let (global, store, asked) = (home.join("gitconfig"), home.join("store"), home.join("asked"));
        fs::write(&global, format!("[credential]\n\thelper = store --file={}\n", store.display())).expect("a file");
        let global = global.display().to_string();
        let mut client = fixture.serve_with(&[], &[&OPEN[..], &[("GIT_CONFIG_GLOBAL", &global)]].concat());
        it.printed(&mut client, ("git_fetch", json!({})));
        // In a terminal git prompts.
        script(&asked, "case \"$1\" in Username*) echo u;; *) echo p;; esac");
        shell(&fixture.path, &format!("GIT_CONFIG_GLOBAL='{global}' GIT_ASKPASS='{}' git fetch -q", asked.display()));
        client.text("git_fetch", &json!({}));
    }),
    followed("error/advice/access.rs", "Repository not found", |it| until_repaired(it, Fault::Status(404))),
    followed("error/advice/access.rs", "The remote failed. Try again later.", |it| until_repaired(it, Fault::Status(503))),
    followed("error/advice/access.rs", "The remote limits the rate of requests", |it| until_repaired(it, Fault::Later("1".to_owned()))),
    followed("error/advice/mod.rs", "The remote, or the network path", |it| {
        let (fixture, remote) = published();
        let url = remote.url();
        // Nothing listens there.
        fixture.git(&["remote", "set-url", "origin", "http://127.0.0.1:9/repo.git"]);
        let mut client = fixture.serve_with(&[], &OPEN);
        it.printed(&mut client, ("git_fetch", json!({})));
        client.text("git_remote_set_url", &json!({"name": "origin", "url": url}));
        client.text("git_fetch", &json!({}));
    }),
    followed("error/advice/access.rs", "Redirects are not followed", |it| {
        let (fixture, remote) = published();
        let (_, new) = published();
        let place = new.url().trim_end_matches("/repo.git").to_owned();
        remote.breaks(Fault::Moved(place));
        let mut client = fixture.serve_with(&[], &OPEN);
        let (error, _) = it.printed(&mut client, ("git_fetch", json!({})));
        let place = error.split("redirected to ").nth(1).and_then(|rest| rest.split("/info/refs").next()).expect("a place");
        client.text("git_remote_set_url", &json!({"name": "origin", "url": place}));
        client.text("git_fetch", &json!({}));
    }),
    followed("error/advice/mod.rs", "Continue with local data and try again later.", |it| {
        let (fixture, remote) = published();
        let server = Administered::start(&fixture, &[], &OPEN);
        remote.breaks(Fault::Later("600".to_owned()));
        tool(&server, "git_fetch", json!({}));
        it.read(&text_of(&tool(&server, "git_fetch", json!({}))));
        remote.breaks(Fault::None);
        assert_ne!(tool(&server, "git_log", json!({"rev": "origin/main"}))["isError"], true);
        // The recovery timeout is over.
        server.post("/circuits/reset", &json!({"all": true}));
        assert_ne!(tool(&server, "git_fetch", json!({}))["isError"], true);
    }),
    followed("error/advice/mod.rs", "Continue with local data and try again later. `mcp-server-git", |it| {
        let (fixture, remote) = published();
        let server = Administered::start(&fixture, &[], &[&OPEN[..], &[("MCP_GIT_CIRCUIT_RECOVERY", "1")]].concat());
        remote.breaks(Fault::Status(503));
        let mut fetched = Value::Null;
        wait_for("the circuit", || {
            fetched = tool(&server, "git_fetch", json!({}));
            code(&fetched) == "circuit_open"
        });
        let error = text_of(&fetched);
        it.read(&error);
        assert_ne!(tool(&server, "git_log", json!({"rev": "origin/main"}))["isError"], true);
        let command: Vec<&str> =
            error.split('`').find_map(|part| part.strip_prefix("mcp-server-git ")).expect("a command").split(' ').collect();
        let listed = operate(&server, &command);
        assert!(out(&listed).contains("/fetch"), "{listed:?}");
        remote.breaks(Fault::None);
        wait_for("the remote", || tool(&server, "git_fetch", json!({}))["isError"] != true);
    }),
    followed("error/advice/access.rs", "The server has no ssh agent", |it| {
        let (fixture, _) = over_ssh();
        let agent = fixture.home.path().join("agent");
        fs::write(&agent, "with the key").expect("a file");
        it.printed(&mut with_agent(&fixture, ""), ("git_fetch", json!({})));
        with_agent(&fixture, &agent.display().to_string()).text("git_fetch", &json!({}));
    }),
    followed("error/advice/access.rs", "The remote accepts no key", |it| {
        let (fixture, _) = over_ssh();
        let agent = fixture.home.path().join("agent");
        fs::write(&agent, "").expect("a file");
        let mut client = with_agent(&fixture, &agent.display().to_string());
        it.printed(&mut client, ("git_fetch", json!({})));
        // The key is added.
        fs::write(&agent, "with the key").expect("a file");
        client.text("git_fetch", &json!({}));
    }),
    followed("error/advice/access.rs", "SSH_AUTH_SOCK of the server names a socket", |it| {
        let (fixture, _) = over_ssh();
        let (gone, agent) = (fixture.home.path().join("gone").display().to_string(), fixture.home.path().join("agent"));
        fs::write(&agent, "with the key").expect("a file");
        it.printed(&mut with_agent(&fixture, &gone), ("git_fetch", json!({})));
        with_agent(&fixture, &agent.display().to_string()).text("git_fetch", &json!({}));
    }),
    followed("error/advice/access.rs", "{agent}, or to name a key", |it| {
        let (fixture, known) = over_ssh();
        let mut client = with_agent(&fixture, "");
        let (_, filled) = it.printed(&mut client, ("git_fetch", json!({})));
        assert!(filled[0].contains("SSH_AUTH_SOCK"), "{filled:?}");
        // ssh finds a key without an agent.
        fs::write(known, "").expect("a file");
        client.text("git_fetch", &json!({}));
    }),
    followed("error/advice/remotes.rs", "If the remote is ahead", |it| {
        let (fixture, remote) = published();
        fixture.git(&["checkout", "-q", "-b", "feature"]);
        fixture.write("f.txt", "f\n").commit("mine").git(&["push", "-q", "-u", "origin", "feature"]);
        push_elsewhere(&remote, "feature");
        fixture.write("g.txt", "g\n").commit("more");
        let mut client = fixture.serve_with(&[], &OPEN);
        it.helps(&mut client, ("git_push", json!({})), &[("git_pull", json!({"how": "merge"}))]);
        // After a rebase.
        fixture.git(&["commit", "-q", "--amend", "-m", "reworded"]);
        let (error, _) = it.printed(&mut client, ("git_push", json!({})));
        client.text("git_push", &with(&error, "force", &json!({"branch": "feature", "confirm": true})));
        assert_eq!(remote.git(&["rev-parse", "feature"]), fixture.text(&["rev-parse", "HEAD"]));
        // A hook of the remote rejects the push.
        script(&remote.path().join("hooks/update"), "git show $3:allowed > /dev/null 2>&1 || { echo a file is missing >&2; exit 1; }");
        fixture.commit("without");
        let (error, _) = it.printed(&mut client, ("git_push", json!({})));
        assert!(error.contains("a file is missing"), "{error}");
        fixture.write("allowed", "").commit("with");
        client.text("git_push", &json!({}));
    }),
    elsewhere(
        "error/advice/remotes.rs",
        "A tag that differs here",
        ("answers/stopped.rs", "a_tag_rejected_by_a_fetch_is_replaced_as_advised"),
    ),
    followed("error/advice/mod.rs", "A tool that reads them", |it| {
        let (work, remote) = published();
        for key in ["uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"] {
            remote.git(&["config", key, "true"]);
        }
        shell(work.home.path(), &format!("git clone -q --filter=blob:none '{}' partial", remote.url()));
        let path = work.path.with_file_name("partial").display().to_string();
        let mut client = Client::start(&["-r", &path], &OPEN);
        client.initialize();
        let blob = json!({"uri": "git://partial/blob/HEAD~1/a.txt"});
        let read = client.request("resources/read", &blob);
        it.read(read["error"]["message"].as_str().unwrap_or_else(|| panic!("{read}")));
        client.text("git_show", &json!({"revision": "HEAD~1:a.txt"}));
        let read = client.request("resources/read", &blob);
        assert_eq!(read["result"]["contents"][0]["text"], "one\n", "{read}");
    }),
    elsewhere("pipeline/complete.rs", "This server is read-only", PARTIAL),
    elsewhere("pipeline/complete.rs", "The token does not have the scope", PARTIAL),
    followed("error/advice/mod.rs", "git_fetch with `depth`: 0", |it| {
        for call in [("git_merge", json!({"source_branch": "origin/side"})), ("git_cherry_pick", json!({"commit_hash": "origin/side"}))] {
            let (fixture, _remote) = shallow();
            let mut client = fixture.serve_with(&[], &OPEN);
            let (error, _) = it.printed(&mut client, call.clone());
            client.text("git_fetch", &json!({"depth": argument(&error, "depth")}));
            let done = client.result(call.0, &call.1);
            // A commit that builds on the one before it conflicts, as expected.
            assert!(done["isError"] != true || text_of(&done).contains("conflicts in b.txt"), "{done}");
        }
        let (fixture, _remote) = shallow();
        let mut client = fixture.serve_with(&[], &OPEN);
        it.printed(&mut client, ("git_merge", json!({"source_branch": "origin/side"})));
        client.text("git_fetch", &json!({"depth": 3}));
        client.text("git_merge", &json!({"source_branch": "origin/side"}));
    }),
    followed("tools/revision.rs", "History is shallow", |it| {
        let (fixture, _remote) = shallow();
        let mut client = fixture.serve_with(&["--toolsets", "all"], &OPEN);
        let (error, _) = it.printed(&mut client, ("git_describe", json!({})));
        let (tool, args) = named(&error, "git_fetch");
        client.text(tool, &args);
        assert!(client.text("git_describe", &json!({})).contains("early"));
    }),
    followed("error/advice/mod.rs", "git_diff compares them without `merge_base`", |it| {
        let fixture = Fixture::new();
        shell(
            &fixture.path,
            "git checkout -q --orphan other; git rm -rfq .; echo c > c.txt; git add .; git commit -qm c; git checkout -q main",
        );
        let mut client = fixture.serve();
        it.printed(&mut client, ("git_diff", json!({"base": "main", "target": "other", "merge_base": true})));
        it.printed(&mut client, ("git_merge", json!({"source_branch": "other"})));
        client.text("git_diff", &json!({"base": "main", "target": "other"}));
        client.text("git_cherry_pick", &json!({"commit_hash": "other"}));
        assert!(fixture.path.join("c.txt").exists());
    }),
    followed("error/advice/mod.rs", "git_remote_list shows the remotes; git_remote_add", |it| {
        let (fixture, remote) = published();
        let mut client = fixture.serve_with(&[], &OPEN);
        let fetch = ("git_fetch", json!({"remote": "upstream"}));
        it.printed(&mut client, fetch.clone());
        assert!(client.text("git_remote_list", &json!({})).contains("origin"));
        it.helps(&mut client, fetch, &[("git_remote_add", json!({"name": "upstream", "url": remote.url()}))]);
    }),
    followed("error/advice/mod.rs", "git_remote_set_url points it elsewhere.", |it| {
        let (fixture, remote) = published();
        let mut client = fixture.serve_with(&[], &OPEN);
        let other = json!({"name": "origin", "url": remote.url().replace("repo.git", "other.git")});
        it.printed(&mut client, ("git_remote_add", other.clone()));
        client.text("git_remote_set_url", &other);
        assert!(fixture.text(&["remote", "get-url", "origin"]).ends_with("other.git"));
    }),
    followed("error/advice/remotes.rs", "Ask the operator to enable it with `protocols = [", |it| {
        let (fixture, _remote) = published();
        let config = fixture.home.path().join("config.toml");
        fs::write(&config, "").expect("a file");
        let place = config.display().to_string();
        let serve = |variables: &[(&str, &str)]| fixture.serve_with(&["--config", &place], &[&OPEN[1..], variables].concat());
        let (error, filled) = it.printed(&mut serve(&[]), ("git_fetch", json!({})));
        assert!(filled[1].contains(&place), "{filled:?}");
        serve(&[variable(&error)]).text("git_fetch", &json!({}));
        fs::write(&config, format!("[network]\n{}\n", error.split('`').nth(3).expect("a setting"))).expect("a file");
        serve(&[]).text("git_fetch", &json!({}));
    }),
    followed("error/advice/remotes.rs", "Ask the operator to add it to `protocols`", |it| {
        let (fixture, _remote) = published();
        fixture.git(&["remote", "set-url", "origin", "https://127.0.0.1:9/x.git"]);
        let config = fixture.home.path().join("config.toml");
        let place = config.display().to_string();
        let serve = |variables: &[(&str, &str)]| fixture.serve_with(&["--config", &place], &[&OPEN[1..], variables].concat());
        fs::write(&config, "[network]\nprotocols = [\"http\"]\n").expect("a file");
        let (_, filled) = it.printed(&mut serve(&[]), ("git_fetch", json!({})));
        assert!(filled[0].contains(&place), "{filled:?}");
        fs::write(&config, "[network]\nprotocols = [\"http\", \"https\"]\n").expect("a file");
        assert!(serve(&[]).error("git_fetch", &json!({})).contains("could not be reached"));
        // The variable overrides the file.
        it.printed(&mut serve(&[("MCP_GIT_PROTOCOLS", "http")]), ("git_fetch", json!({})));
        assert!(serve(&[("MCP_GIT_PROTOCOLS", "http,https")]).error("git_fetch", &json!({})).contains("could not be reached"));
    }),
    followed("error/advice/remotes.rs", "Remotes are reached over https or ssh.", |it| {
        let fixture = Fixture::new();
        let mut client = fixture.serve();
        let add = |url: &str| ("git_remote_add", json!({"name": "origin", "url": url}));
        it.printed(&mut client, add("ftp://1.1.1.1/x.git"));
        let (tool, better) = add("https://1.1.1.1/x.git");
        client.text(tool, &better);
        client.text("git_remote_set_url", &json!({"name": "origin", "url": "ssh://git@1.1.1.1/x.git"}));
    }),
    followed("error/advice/mod.rs", "Ask the operator to allow it with `allow_hosts", |it| {
        let (fixture, _remote) = published();
        let config = fixture.home.path().join("config.toml");
        fs::write(&config, "").expect("a file");
        let place = config.display().to_string();
        let serve = |variables: &[(&str, &str)]| fixture.serve_with(&["--config", &place], &[&OPEN[..1], variables].concat());
        let (error, filled) = it.printed(&mut serve(&[]), ("git_fetch", json!({})));
        assert!(filled[1].contains(&place), "{filled:?}");
        serve(&[variable(&error)]).text("git_fetch", &json!({}));
        let setting = error.split('`').find(|part| part.starts_with("allow_hosts")).expect("a setting");
        fs::write(&config, format!("[network]\n{setting}\n")).expect("a file");
        serve(&[]).text("git_fetch", &json!({}));
    }),
    followed("error/advice/mod.rs", "git_remote_list shows the URLs of the remotes.", |it| {
        let (fixture, remote) = published();
        let mut client = fixture.serve_with(&[], &OPEN);
        it.printed(&mut client, ("git_ls_remote", json!({"remote": "http://no-such-host.invalid/x.git"})));
        let listed = client.text("git_remote_list", &json!({}));
        let place = listed.split_whitespace().find(|word| word.starts_with("http://")).expect("a place");
        assert_eq!(place, remote.url());
        client.text("git_ls_remote", &json!({"remote": place}));
    }),
    followed("error/advice/remotes.rs", "Name the branch with `branch`; git_ls_remote", |it| {
        let (fixture, _remote) = published();
        fixture.git(&["checkout", "-q", "-b", "own"]);
        let mut client = fixture.serve_with(&[], &OPEN);
        it.printed(&mut client, ("git_pull", json!({})));
        let listed = client.text("git_ls_remote", &json!({}));
        let branch = listed.split_whitespace().find_map(|word| word.strip_prefix("refs/heads/")).expect("a branch");
        client.text("git_pull", &json!({"branch": branch}));
    }),
    followed("tools/fetch.rs", "Repeat the call with `how`", |it| {
        for how in ["rebase", "merge"] {
            let (fixture, remote) = published();
            push_elsewhere(&remote, "main");
            fixture.write("n.txt", "n\n").commit("new");
            let mut client = fixture.serve_with(&[], &OPEN);
            let before = fixture.text(&["rev-parse", "HEAD"]);
            let (error, _) = it.printed(&mut client, ("git_pull", json!({})));
            assert_eq!(
                (fixture.text(&["rev-parse", "HEAD"]), fixture.text(&["rev-parse", "origin/main"])),
                (before, remote.git(&["rev-parse", "main"]))
            );
            assert!(error.contains(&format!("\"{how}\"")), "{error}");
            client.text("git_pull", &json!({"how": how}));
            assert!(fixture.path.join("o.txt").exists());
        }
    }),
    followed("tools/misdirected.rs", "During a transfer, git in a hook", |it| {
        let ((fixture, _remote), other) = (published(), Fixture::new());
        fixture.write("n.txt", "n\n").commit("new");
        let fetch = format!("git fetch -q '{}'", other.path.display());
        hook(&fixture, "pre-push", &fetch);
        let mut client = fixture.serve_with(&[], &OPEN);
        let push = ("git_push", json!({}));
        it.printed(&mut client, push.clone());
        let protocols = format!("{},file", OPEN[0].1);
        fixture.serve_with(&[], &[(OPEN[0].0, protocols.as_str()), OPEN[1]]).text("git_push", &json!({"branch": "main", "to": "one"}));
        hook(&fixture, "pre-push", &format!("unset GIT_ALLOW_PROTOCOL; {fetch}"));
        client.text(push.0, &push.1);
    }),
    followed("error/advice/mod.rs", "Repeat the call.", |it| {
        let (fixture, remote) = published();
        remote.breaks(Fault::Held);
        let above = fixture.home.path().display().to_string();
        let mut client = Client::start(&["-r", &above], &[&OPEN[..], &[("MCP_GIT_NETWORK_TIMEOUT", "1")]].concat());
        client.initialize();
        let clone = json!({"url": remote.url(), "repo_path": fixture.path.with_file_name("cloned")});
        it.printed(&mut client, ("git_clone", clone.clone()));
        remote.breaks(Fault::None);
        drop(client);
        let mut client = Client::start(&["-r", &above], &OPEN);
        client.initialize();
        client.text("git_clone", &clone);
    }),
];

/// The variable that an error names, with its value.
fn variable(error: &str) -> (&str, &str) {
    let (name, value) =
        error.split_whitespace().find(|word| word.starts_with("MCP_GIT_")).and_then(|word| word.split_once('=')).expect("one");
    (name, value.trim_end_matches('.'))
}
