//! The server's state, timeouts, and exhausted space.

use super::{
    collected::Advice,
    row::{Row, along, followed, operator},
};
use crate::support::{
    Client, Fixture,
    admin::{Administered, code, operate, tool},
    hooks::{Gate, accept, forked, hook, script, stage},
    out,
    programs::not_tried,
    remote::{OPEN, published},
    shell, text_of, undo,
    wire::wait_for,
};
use serde_json::{Value, json};
use std::{
    fs::{self, OpenOptions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// A timeout that expires at once, for hooks that never end.
const SOON: [(&str, &str); 1] = [("MCP_GIT_CHANGE_TIMEOUT", "1")];

/// The error of a push that timed out.
const LOOK: &str = "{look} Then repeat the call if needed";

/// A named pipe: opening it blocks until it is released.
struct Pipe(PathBuf);

impl Pipe {
    fn at(path: PathBuf) -> Self {
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        shell(Path::new("/"), &format!("mkfifo '{}'", path.display()));
        Self(path)
    }

    /// Unblocks all openers and replaces the pipe by an empty file.
    fn release(&self) {
        let Ok(both_ends) = OpenOptions::new().read(true).write(true).open(&self.0) else { return };
        fs::remove_file(&self.0).expect("the pipe");
        fs::write(&self.0, "").expect("a file");
        drop(both_ends);
    }
}

/// A git that prints its version only once the pipe is released: a call that starts it hangs.
fn hanging() -> (Fixture, Pipe, String) {
    let fixture = Fixture::new().by_git();
    let pipe = Pipe::at(fixture.home.path().join("hang"));
    let git = fixture.home.path().join("git");
    fs::write(&git, format!("#!/bin/sh\n[ \"$1\" = version ] && cat '{}'\nexec git \"$@\"\n", pipe.0.display())).expect("a program");
    fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).expect("a program");
    (fixture, pipe, git.display().to_string())
}

/// A small file system, where one can be mounted.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(at).expect("a folder");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "none"]).arg(at).output();
        if mounted.is_ok_and(|done| done.status.success()) {
            return Some(Self(at.to_owned()));
        }
        not_tried("a file system may not be mounted here");
        None
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().map(drop).unwrap_or_default();
    }
}

/// The timeout error of a change whose hook never ends.
fn late(fixture: &Fixture, variables: &[(&str, &str)], name: &str, (tool, args): (&str, &Value)) -> String {
    hook(fixture, name, "sleep 1000");
    let error = fixture.serve_with(&[], variables).error(tool, args);
    accept(fixture, name);
    error
}

pub(crate) const ROWS: &[Row] = &[
    followed("state.rs", "Nothing was changed. Ask the operator to name another folder", |it| {
        let fixture = Fixture::new();
        fixture.write("a.txt", "x\n").write("../file", "");
        let [file, folder] = ["file", "folder"].map(|name| fixture.path.with_file_name(name).display().to_string());
        let add = ("git_add", json!({"files": ["a.txt"]}));
        it.printed(&mut fixture.serve_with(&["--state-dir", &file], &[]), add.clone());
        assert_eq!(fixture.text(&["diff", "--cached", "--name-only"]), "");
        let option = it.text.split_whitespace().last().expect("an option").trim_end_matches('.');
        fixture.serve_with(&[option, &folder], &[]).text(add.0, &add.1);
    }),
    followed("journal/mod.rs", "Nothing was changed. Ask the operator to free space", |it| {
        let fixture = Fixture::new();
        let state = fixture.home.path().join("state");
        let Some(mounted) = Small::mount(&state, "2m") else {
            it.was_read.set(true);
            return;
        };
        // An index that does not fit, while the small journal entry before it does.
        for number in 0..3000 {
            fixture.write(&format!("many/{number}"), "x");
        }
        fixture.commit("many").write("a.txt", "edited\n");
        let folder = state.display().to_string();
        let mut client = fixture.serve_with(&["--state-dir", &folder], &[]);
        shell(&state, "mkdir -p locks; head -c 1980000 /dev/zero > filler");
        let add = ("git_add", json!({"files": ["a.txt"]}));
        it.printed(&mut client, add.clone());
        assert_eq!(fixture.text(&["diff", "--cached", "--name-only"]), "");
        let option = it.text.split_whitespace().last().expect("an option").trim_end_matches('.');
        let another = fixture.home.path().join("another").display().to_string();
        fixture.serve_with(&[option, &another], &[]).text(add.0, &add.1);
        fs::remove_file(state.join("filler")).expect("a file");
        client.text(add.0, &add.1);
        drop((client, mounted));
    }),
    followed("journal/mod.rs", "Nothing was changed. Changes without an idempotency key", |it| {
        let fixture = Fixture::new();
        fixture.write("../blocked", "a file, and no folder");
        let commit = |key: Option<&str>| json!({"message": "once", "allow_empty": true, "idempotency_key": key});
        let server = Administered::start(&fixture, &[], &[]);
        let first = tool(&server, "git_commit", commit(Some("k")));
        drop(server);
        let store = format!("sqlite:{}", fixture.home.path().join("blocked/store.db").display());
        let server = Administered::start(&fixture, &[], &[("MCP_GIT_STORE_URL", &store)]);
        it.read(&text_of(&tool(&server, "git_commit", commit(Some("k")))));
        assert_ne!(tool(&server, "git_commit", commit(None))["isError"], true);
        drop(server);
        let server = Administered::start(&fixture, &[], &[]);
        assert_eq!(tool(&server, "git_commit", commit(Some("k")))["content"], first["content"]);
    }),
    followed("journal/mod.rs", "Check git_status and git_log, and repeat", |it| {
        let fixture = Fixture::new();
        let commit = |key: &str| json!({"message": "m", "paths": ["a.txt"], "idempotency_key": key});
        let gate = Gate::closed(&fixture);
        hook(&fixture, "pre-commit", &format!("touch .git/reached; {}; exit 1", gate.wait()));
        fixture.write("a.txt", "x\n");
        let mut client = fixture.serve();
        client.start_call("git_commit", &commit("k"));
        wait_for("the hook", || fixture.path.join(".git/reached").exists());
        client.signal("KILL");
        client.wait();
        gate.open();
        fs::remove_file(fixture.path.join(".git/hooks/pre-commit")).expect("a hook");
        let mut client = fixture.serve();
        it.printed(&mut client, ("git_commit", commit("k")));
        assert!(client.text("git_status", &json!({})).contains("a.txt"));
        assert!(!client.text("git_log", &json!({})).contains(" m\n"));
        client.text("git_commit", &commit("another"));
        assert_eq!(fixture.text(&["log", "-1", "--format=%s"]), "m");
    }),
    followed("journal/record.rs", "git_undo restores them.", |it| {
        let (fixture, mut client) = failing_filter(2);
        it.printed(&mut client, ("git_restore", json!({"paths": ["a.txt", "b.txt"]})));
        fixture.write(".git/most", "1000");
        undo(&mut client);
        assert_eq!(fixture.text(&["diff", "--name-only"]), "a.txt\nb.txt");
        assert_eq!(fs::read_to_string(fixture.path.join("a.txt")).expect("a file"), "edited\n");
    }),
    followed("journal/record.rs", "git_restore with these `paths`", |it| {
        let (fixture, mut client) = failing_filter(2);
        fixture.git(&["-c", "filter.odd.smudge=cat", "-c", "filter.odd.clean=cat", "checkout", "-q", "-f", "."]);
        let error = client.error("git_cherry_pick", &json!({"commit_hash": "other"}));
        it.read(&error);
        fixture.write(".git/most", "1000");
        let lost = error.split_once("missing or empty now: ").and_then(|(_, rest)| rest.lines().next()).expect("paths");
        client.text("git_restore", &json!({"paths": lost.split(", ").collect::<Vec<_>>()}));
        assert_eq!(fixture.text(&["status", "--porcelain"]), "");
    }),
    followed("error/advice/damage.rs", "The disk is full, read-only or failing", |it| {
        let fixture = Fixture::new();
        let state = fixture.home.path().join("state");
        let Some(mounted) = Small::mount(&state, "2m") else {
            it.was_read.set(true);
            return;
        };
        let mut client = fixture.serve_with(&["--state-dir", &state.display().to_string()], &[]);
        shell(&state, "cat /dev/zero > filler 2> /dev/null || true");
        let commit = ("git_commit", json!({"message": "m", "allow_empty": true}));
        it.printed(&mut client, commit.clone());
        fs::remove_file(state.join("filler")).expect("a file");
        client.text(commit.0, &commit.1);
        drop((client, mounted));
    }),
    followed("circuits.rs", "Nothing was changed. Ask the operator to fix the disk", |it| {
        let fixture = Fixture::new();
        let git = fixture.home.path().join("git");
        let full = fixture.home.path().join("full");
        let script = "#!/bin/sh\n[ \"$1\" = tag ] && [ -e 'FULL' ] && { echo 'fatal: could not write: No space left on device' >&2; exit 128; }\nexec git \"$@\"\n";
        fs::write(&git, script.replace("FULL", &full.display().to_string())).expect("a program");
        fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).expect("a program");
        fs::write(&full, "").expect("a file");
        let server = Administered::start(&fixture, &["--git", &git.display().to_string(), "--toolsets", "all"], &[]);
        let tag = || tool(&server, "git_tag", json!({"action": "create", "name": "t", "message": "m"}));
        (0..5).for_each(|_| assert_eq!(code(&tag()), "unavailable"));
        let error = text_of(&tag());
        it.read(&error);
        let command: Vec<&str> = error.split('`').nth(1).expect("a command").split(' ').skip(1).collect();
        let listed = operate(&server, &command);
        assert!(out(&listed).contains("storage:") && out(&listed).contains("open"), "{listed:?}");
        fs::remove_file(full).expect("a file");
        server.post("/circuits/reset", &json!({"all": true}));
        assert_ne!(tag()["isError"], true);
    }),
    operator(
        "persistence/lease.rs",
        "Nothing was changed. Reads still work",
        "it needs a database that several machines share: `multi_server.rs` has one, and the row of the idempotency key covers an unavailable store",
    ),
    operator(
        "persistence/lease.rs",
        "Nothing was changed by this call. Try again.",
        "it needs a database that several machines share: `multi_server.rs`, a_server_that_was_frozen_past_its_lease_changes_nothing, has one",
    ),
    operator(
        "pipeline/mod.rs",
        "Other calls are not affected.",
        "it follows a panic, and none is known; `pipeline/tests.rs` lets a tool panic and calls another one",
    ),
    followed("error/mod.rs", "Try again later, with fewer calls at a time.", |it| {
        let fixture = Fixture::new();
        // The memory limit is reached.
        let full = Administered::start(&fixture, &[], &[("MCP_GIT_MEMORY_LIMIT", "1000000")]);
        wait_for("the limit", || full.get("/memory")["refuses_calls"] == true);
        it.read(&text_of(&tool(&full, "git_status", json!({}))));
        let enough = Administered::start_as("enough", &fixture, &[], &[("MCP_GIT_MEMORY_LIMIT", "10000000000")]);
        assert_ne!(tool(&enough, "git_status", json!({}))["isError"], true);
        drop((full, enough));
        // More calls than the queue admits.
        let gate = Gate::closed(&fixture);
        hook(&fixture, "pre-commit", &gate.wait());
        let mut client = fixture.serve_with(&[], &[("MCP_GIT_MAX_CONCURRENT", "1")]);
        let commit = json!({"message": "m", "allow_empty": true});
        let ids: Vec<Value> = (0..200).map(|_| client.start_call("git_commit", &commit)).collect();
        let refused = client.receive();
        assert!(ids.contains(&refused["id"]), "{refused}");
        it.read(&text_of(&refused["result"]));
        gate.open();
        let mut client = fixture.serve();
        client.text("git_commit", &commit);
    }),
    followed("error/mod.rs", "Repeat the call. For a change, check git_status first.", |it| {
        let fixture = Fixture::new();
        let server = Administered::start(&fixture, &[], &[]);
        let began = fixture.home.path().join("began");
        hook(&fixture, "pre-commit", &format!("touch '{}'; sleep 1000", began.display()));
        stage(&fixture, "edited\n");
        let commit = || tool(&server, "git_commit", json!({"message": "m"}));
        std::thread::scope(|scope| {
            let running = scope.spawn(commit);
            wait_for("the hook", || began.exists());
            assert!(operate(&server, &["recover", "--emergency"]).status.success());
            it.read(&text_of(&running.join().expect("an answer")));
        });
        accept(&fixture, "pre-commit");
        assert!(text_of(&tool(&server, "git_status", json!({}))).contains("a.txt"));
        assert_ne!(commit()["isError"], true);
    }),
    followed("error/mod.rs", "Do not repeat it before the user agrees. For a change, check git_status first.", |it| {
        let fixture = Fixture::new();
        let server = Administered::start(&fixture, &[], &[]);
        let began = fixture.home.path().join("began");
        hook(&fixture, "pre-commit", &format!("touch '{}'; sleep 1000", began.display()));
        stage(&fixture, "edited\n");
        let commit = || tool(&server, "git_commit", json!({"message": "m"}));
        std::thread::scope(|scope| {
            let running = scope.spawn(commit);
            wait_for("the hook", || began.exists());
            let id = server.get("/calls")["calls"][0]["id"].as_str().expect("a call").to_owned();
            assert!(operate(&server, &["calls", "cancel", &id]).status.success());
            let cancelled = running.join().expect("an answer");
            assert_ne!(cancelled["structuredContent"]["recoverable"], true, "{cancelled}");
            it.read(&text_of(&cancelled));
        });
        accept(&fixture, "pre-commit");
        assert!(text_of(&tool(&server, "git_status", json!({}))).contains("a.txt"));
        assert_ne!(commit()["isError"], true);
    }),
    followed("error/mod.rs", "Try again later. Ask the operator to check", |it| {
        let (fixture, pipe, git) = hanging();
        let variables = [("MCP_GIT_READ_TIMEOUT", "1"), ("MCP_GIT_CHANGE_TIMEOUT", "1"), ("MCP_GIT_MAX_CONCURRENT", "40")];
        let server = Administered::start(&fixture, &["--git", &git], &variables);
        assert_ne!(tool(&server, "git_status", json!({}))["isError"], true);
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| tool(&server, "git_blame", json!({"path": "a.txt"})));
            }
        });
        let error = text_of(&tool(&server, "git_status", json!({})));
        it.read(&error);
        let command = error.split('`').find_map(|part| part.strip_prefix("mcp-server-git ")).expect("a command");
        let shown = operate(&server, &[command]);
        assert!(out(&shown).contains("are refused while 32"), "{shown:?}");
        pipe.release();
        wait_for("the end of the threads", || server.server.send("GET", "/readyz", &[], b"").status == 200);
        assert_ne!(tool(&server, "git_status", json!({}))["isError"], true);
    }),
    followed("pipeline/worker.rs", "{doubt} {cause}", |it| {
        let fixture = Fixture::new();
        fixture.write("../blocked", "a file, and no folder");
        let journal = fixture.home.path().join("state/journal").join(git::key(&fixture.path.join(".git")));
        let pipe = Pipe::at(journal.with_extension("jsonl"));
        let store = format!("sqlite:{}", fixture.home.path().join("blocked/store.db").display());
        let server = Administered::start(&fixture, &[], &[("MCP_GIT_STORE_URL", &store), SOON[0]]);
        fixture.write("a.txt", "changed\n");
        let add = || tool(&server, "git_add", json!({"files": ["a.txt"]}));
        let error = text_of(&add());
        it.read(&error);
        let command = error.split('`').find_map(|part| part.strip_prefix("mcp-server-git ")).expect("a command");
        let shown = operate(&server, &[command]);
        assert!(out(&shown).contains("LOST THREADS"), "{shown:?}");
        assert!(text_of(&tool(&server, "git_status", json!({}))).contains("a.txt"));
        assert!(text_of(&tool(&server, "git_log", json!({}))).contains("second"));
        let is_locked = || server.get("/resources")["resources"].to_string().contains("git_add in");
        assert!(is_locked(), "the thread may still write");
        pipe.release();
        wait_for("the end of the lock", || !is_locked());
        assert_ne!(add()["isError"], true);
    }),
    along("pipeline/worker.rs", "The change may or may not have been made", "{doubt} {cause}"),
    along("pipeline/worker.rs", "An unresponsive file system", "{doubt} {cause}"),
    followed("error/mod.rs", "Nothing was changed: the call was still queued.", |it| {
        let (fixture, other) = (Fixture::new().by_git(), Fixture::new().by_git());
        let gate = Gate::closed(&fixture);
        let [git, began] = ["git", "began"].map(|name| fixture.home.path().join(name).display().to_string());
        // It ignores the signal to end, and holds the only permit.
        let waits = format!("trap '' TERM; touch '{began}'; {}", gate.wait());
        script(Path::new(&git), &format!("[ \"$1\" = commit ] && {{ {waits}; }}; exec git \"$@\""));
        let commit = |fixture: &Fixture| json!({"repo_path": fixture.path, "message": "m", "allow_empty": true});
        let variables = [SOON[0], ("MCP_GIT_MAX_CONCURRENT", "1")];
        let mut client = fixture.serve_with(&["--git", &git, "-r", &other.path.display().to_string()], &variables);
        let first = client.start_call("git_commit", &commit(&fixture));
        wait_for("git", || Path::new(&began).exists());
        let second = client.start_call("git_commit", &commit(&other));
        it.read(&text_of(&client.answer_to(&second)["result"]));
        assert_eq!(other.text(&["rev-list", "--count", "HEAD"]), "2");
        gate.open();
        client.answer_to(&first);
        client.text("git_commit", &commit(&other));
    }),
    followed("journal/late.rs", "Check git_status, then repeat the call.", |it| {
        let fixture = Fixture::new();
        stage(&fixture, "new\n");
        let commit = json!({"message": "x"});
        it.read(&late(&fixture, &SOON, "pre-commit", ("git_commit", &commit)));
        let mut client = fixture.serve();
        assert!(client.text("git_status", &json!({})).contains("a.txt"));
        client.text("git_commit", &commit);
    }),
    followed("journal/late.rs", "git_abort restores the state before the {name}.", |it| {
        let fixture = forked();
        fixture.git(&["checkout", "-q", "side"]);
        let before = fixture.text(&["rev-parse", "HEAD"]);
        let rebase = json!({"target_branch": "main"});
        let filled = it.read(&late(&fixture, &SOON, "prepare-commit-msg", ("git_rebase", &rebase)));
        assert_eq!(filled[0], "rebase");
        let mut client = fixture.serve();
        client.text("git_abort", &json!({}));
        assert_eq!(fixture.text(&["rev-parse", "HEAD"]), before);
        client.text("git_rebase", &rebase);
    }),
    followed("journal/late.rs", "It has taken effect, at least in part: check git_status", |it| {
        let fixture = forked();
        stage(&fixture, "new\n");
        it.read(&late(&fixture, &SOON, "post-commit", ("git_commit", &json!({"message": "made"}))));
        let mut client = fixture.serve();
        assert!(client.text("git_log", &json!({})).contains("made"));
        assert!(client.error("git_commit", &json!({"message": "made"})).contains("nothing is staged"));
    }),
    followed("journal/late.rs", "It has taken effect, at least in part: check git_log", |it| {
        for (tool, what, subject) in [
            ("git_cherry_pick", "side~1 side", "side 1"),
            ("git_revert", "HEAD HEAD~1", "Revert \"main 1\""),
            ("git_cherry_pick", "side~1", "side 1"),
        ] {
            let fixture = forked();
            it.read(&late(&fixture, &SOON, "post-commit", (tool, &json!({"commit_hash": what}))));
            let mut client = fixture.serve();
            assert!(client.text("git_log", &json!({})).contains(subject));
            client.text("git_abort", &json!({}));
            assert!(!client.text("git_status", &json!({})).contains("in progress"), "{tool} {what}");
            assert_eq!(fixture.text(&["log", "-1", "--format=%s"]), subject);
        }
    }),
    followed("journal/late.rs", "Ask the operator to raise `limits.change_timeout`", |it| {
        let fixture = Fixture::new();
        stage(&fixture, "new\n");
        hook(&fixture, "pre-commit", "sleep 2");
        let commit = json!({"message": "x"});
        let error = fixture.serve_with(&[], &SOON).error("git_commit", &commit);
        it.read(&error);
        let key = error.split('`').find_map(|part| part.strip_prefix("limits.change")).expect("a key");
        let file = fixture.home.path().join("settings.toml");
        fs::write(&file, format!("[limits]\nchange{key} = 100\n")).expect("a file");
        fixture.serve_with(&["--config", &file.display().to_string()], &[]).text("git_commit", &commit);
    }),
    operator(
        "journal/late.rs",
        "It may or may not have taken effect",
        "it needs a repository that becomes unreadable once its change timed out; the rows around it check that both calls answer then",
    ),
    followed("journal/late.rs", LOOK, late_push),
    along("journal/late.rs", "git_ls_remote shows the remote's references.", LOOK),
    along("journal/late.rs", "the remote may have accepted the push", LOOK),
    followed("journal/late.rs", "git_branch shows the fetched branches.", late_fetch),
    along("journal/late.rs", "references fetched by then", "git_branch shows the fetched branches."),
    followed("error/mod.rs", "Ask for less: fewer commits", |it| {
        let fixture = Fixture::new().by_git();
        let git = fixture.home.path().join("git");
        fs::write(&git, "#!/bin/sh\n[ \"$1\" = blame ] && case \"$*\" in *-L*) ;; *) sleep 1000;; esac\nexec git \"$@\"\n")
            .expect("a program");
        fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).expect("a program");
        let mut client = fixture.serve_with(&["--git", &git.display().to_string()], &[("MCP_GIT_READ_TIMEOUT", "1")]);
        it.printed(&mut client, ("git_blame", json!({"path": "a.txt"})));
        client.text("git_blame", &json!({"path": "a.txt", "start_line": 1, "end_line": 1}));
    }),
];

/// A repository with two edited files, a branch that changes them, and a filter that works only a few times.
fn failing_filter(times: usize) -> (Fixture, Client) {
    let fixture = Fixture::new();
    fixture.write("b.txt", "b one\n").commit("more").git(&["checkout", "-q", "-b", "other"]);
    fixture.write("a.txt", "other\n").write("b.txt", "other\n").commit("other").git(&["checkout", "-q", "main"]);
    fixture.write("a.txt", "edited\n").write("b.txt", "edited\n");
    fixture.git(&["config", "filter.odd.clean", "cat"]);
    fixture.git(&["config", "filter.odd.smudge", "cd .git && echo x >> used && test $(wc -l < used) -le $(cat most) && cat"]);
    fixture.git(&["config", "filter.odd.required", "true"]);
    fixture.write(".git/info/attributes", "*.txt filter=odd\n").write(".git/most", times.to_string());
    let client = fixture.serve();
    (fixture, client)
}

/// A push that timed out is checked and repeated.
fn late_push(it: &Advice) {
    let (fixture, remote) = published();
    fixture.write("n.txt", "n\n").commit("new");
    let variables = [&OPEN[..], &[("MCP_GIT_NETWORK_TIMEOUT", "1")]].concat();
    it.read(&late(&fixture, &variables, "pre-push", ("git_push", &json!({}))));
    let mut client = fixture.serve_with(&[], &OPEN);
    assert!(client.text("git_ls_remote", &json!({})).contains(&remote.git(&["rev-parse", "--short", "main"])));
    client.text("git_push", &json!({}));
    assert_eq!(remote.git(&["rev-parse", "main"]), fixture.text(&["rev-parse", "HEAD"]));
}

/// The same for a fetch.
fn late_fetch(it: &Advice) {
    let (fixture, remote) = published();
    remote.git(&["branch", "more", "main"]);
    let variables = [&OPEN[..], &[("MCP_GIT_NETWORK_TIMEOUT", "1")]].concat();
    it.read(&late(&fixture, &variables, "reference-transaction", ("git_fetch", &json!({}))));
    let mut client = fixture.serve_with(&[], &OPEN);
    client.text("git_branch", &json!({"branch_type": "remote"}));
    client.text("git_fetch", &json!({}));
    assert!(client.text("git_branch", &json!({"branch_type": "remote"})).contains("origin/more"));
}
