//! References that are broken, ambiguous, symbolic, of another worktree, or that name no commit.

use crate::support::{
    Client, Fixture, Outcome,
    admin::{Administered, operate, tool},
    call_in, git_in, parts, text_of, undo,
};
use serde_json::{Value, json};
use std::fs;

const NOWHERE: &str = "0123456789012345678901234567890123456789";

fn serve(fixture: &Fixture) -> Client {
    fixture.serve_with(&["--toolsets", "all"], &[])
}

/// Removes an object from its own file.
fn remove(fixture: &Fixture, id: &str) {
    fs::remove_file(fixture.path.join(format!(".git/objects/{}/{}", &id[..2], &id[2..]))).expect("an object");
}

/// A commit that no other reference needs, made unreadable in its place.
fn damaged(fixture: &Fixture) -> String {
    let id = fixture.text(&["commit-tree", "-m", "damaged", "HEAD^{tree}"]);
    fixture.git(&["update-ref", "refs/heads/damaged", &id]);
    let file = fixture.path.join(format!(".git/objects/{}/{}", &id[..2], &id[2..]));
    fs::remove_file(&file).expect("an object");
    fs::write(file, "garbage").expect("a file");
    id
}

/// The line of a listing for a reference.
fn line<'a>(text: &'a str, name: &str) -> &'a str {
    let is_it = |line: &&str| line.trim_start_matches(['*', ' ']).split(' ').next() == Some(name);
    text.lines().find(is_it).expect(text)
}

#[test]
fn a_broken_branch_hides_no_other() {
    let fixture = Fixture::new();
    fixture.git(&["update-ref", "refs/remotes/origin/main", "HEAD~1"]);
    let damaged = damaged(&fixture);
    for name in ["heads/lost", "remotes/origin/gone"] {
        fixture.write(&format!(".git/refs/{name}"), format!("{NOWHERE}\n"));
    }
    let mut client = serve(&fixture);
    for (kind, prefixes) in [("local", &["refs/heads"][..]), ("remote", &["refs/remotes"]), ("all", &["refs/heads", "refs/remotes"])] {
        let result = client.result("git_branch", &json!({"branch_type": kind}));
        let listed = result["structuredContent"]["branches"].as_array().expect("branches").clone();
        let named: Vec<String> = listed.iter().map(|branch| branch["name"].as_str().expect("a name").to_owned()).collect();
        let expect = fixture.text(&[&["for-each-ref", "--format=%(refname:lstrip=2)"], prefixes].concat());
        assert_eq!(named, expect.lines().collect::<Vec<_>>(), "{kind}: {result}");
        for branch in &listed {
            let broken = [("lost", NOWHERE), ("damaged", damaged.as_str()), ("origin/gone", NOWHERE)]
                .into_iter()
                .find(|one| branch["name"] == one.0);
            let reason = branch["broken"].as_str();
            assert_eq!(broken.is_some(), reason.is_some(), "{branch}");
            if let (Some((name, id)), Some(reason)) = (broken, reason) {
                assert!(reason.contains(id) && reason.contains("missing"), "{reason}");
                assert!(line(&text_of(&result), name).contains(&format!(" is broken: {reason}")), "{result}");
            }
        }
    }
    assert!(line(&client.text("git_branch", &json!({})), "main").contains("second"));
    // A branch alone, and the one that is checked out.
    fixture.git(&["symbolic-ref", "HEAD", "refs/heads/lost"]);
    fixture.git(&["update-ref", "-d", "refs/heads/main"]);
    fixture.git(&["update-ref", "-d", "refs/heads/damaged"]);
    let text = client.text("git_branch", &json!({}));
    assert!(text.starts_with("* lost ") && text.contains(&format!("missing object {NOWHERE} for refs/heads/lost")), "{text}");
}

#[test]
fn a_broken_tag_hides_no_other() {
    let fixture = Fixture::new();
    let id = String::from_utf8_lossy(&crate::support::shell(&fixture.path, "echo tagged | git hash-object -w --stdin")).trim().to_owned();
    fixture.git(&["tag", "-a", "-m", "of a lost blob", "of-lost", &id]);
    fixture.git(&["tag", "old", "HEAD~1"]);
    fixture.git(&["tag", "-a", "-m", "fine", "v1"]);
    remove(&fixture, &id);
    fixture.write(".git/refs/tags/v0", format!("{NOWHERE}\n"));
    let mut client = serve(&fixture);
    let text = client.text("git_tag", &json!({}));
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(line(&text, "v0").contains(&format!(" is broken: object {NOWHERE} is missing")), "{text}");
    assert!(line(&text, "of-lost").contains(&format!(" is broken: missing object {id}")), "{text}");
    assert!(line(&text, "v1").contains("(annotated) fine") && line(&text, "old").contains("first"), "{text}");
    let text = client.text("git_tag", &json!({"name": "v*"}));
    assert_eq!(text.lines().map(|line| line.split(' ').next().unwrap_or_default()).collect::<Vec<_>>(), ["v0", "v1"], "{text}");
    let deleted = client.text("git_tag", &json!({"action": "delete", "name": "v0", "confirm": true}));
    assert!(deleted.contains("deleted v0") && !fixture.path.join(".git/refs/tags/v0").exists(), "{deleted}");
}

#[test]
fn changes_and_completions_work_beside_a_broken_reference() {
    let fixture = Fixture::new();
    fixture.git(&["update-ref", "refs/remotes/origin/main", "HEAD~1"]);
    for name in ["heads/lost", "tags/lost", "remotes/origin/gone"] {
        fixture.write(&format!(".git/refs/{name}"), format!("{NOWHERE}\n"));
    }
    let mut client = serve(&fixture);
    // Whether a commit was pushed.
    client.text("git_reset", &json!({"mode": "soft", "target": "HEAD~1"}));
    client.text("git_commit", &json!({"message": "again"}));
    // Whether a detached commit is on no branch.
    client.text("git_checkout", &json!({"branch_name": "HEAD", "detach": true}));
    client.text("git_commit", &json!({"message": "detached", "allow_empty": true}));
    let text = client.text("git_checkout", &json!({"branch_name": "main"}));
    assert!(text.contains("1 commit of the detached HEAD is on no branch"), "{text}");
    let reference = json!({"type": "ref/resource", "uri": "git://{repo}/blob/{rev}/{+path}"});
    let params = json!({"ref": reference, "argument": {"name": "rev", "value": "m"}, "context": {"arguments": {"repo": "repo"}}});
    let completed = client.request("completion/complete", &params);
    assert_eq!(completed["result"]["completion"]["values"], json!(["main"]), "{completed}");
}

/// A repository with names of more than one meaning: name, what git takes, what it does not.
fn ambiguous() -> (Fixture, Vec<(String, String, String)>) {
    let fixture = Fixture::new();
    let head = fixture.text(&["rev-parse", "HEAD"]);
    let short = head[..8].to_owned();
    fixture.git(&["branch", "both", "HEAD~1"]);
    fixture.git(&["tag", "both", "HEAD"]);
    for full in ["heads/origin/x", "remotes/origin/x", "heads/HEAD", &format!("heads/{short}")] {
        fixture.git(&["update-ref", &format!("refs/{full}"), if full.starts_with("remotes") { "HEAD" } else { "HEAD~1" }]);
    }
    let case = |name: &str, taken: &str, other: &str| (name.to_owned(), taken.to_owned(), other.to_owned());
    let cases = vec![
        case("both", "refs/tags/both", "refs/heads/both"),
        case("origin/x", "refs/heads/origin/x", "refs/remotes/origin/x"),
        case(&short, &format!("refs/heads/{short}"), &head),
    ];
    (fixture, cases)
}

#[test]
fn an_ambiguous_name_is_reported_with_both_full_names() {
    for reftable in [false, true] {
        let (fixture, cases) = ambiguous();
        // Not every git can migrate, and none migrates reflogs.
        fs::remove_dir_all(fixture.path.join(".git/logs")).expect("reflogs");
        if reftable && !fixture.try_git(&["refs", "migrate", "--ref-format=reftable"]).status.success() {
            continue;
        }
        let mut client = serve(&fixture);
        for (name, taken, other) in &cases {
            let git = fixture.try_git(&["rev-parse", "--verify", name]);
            assert!(String::from_utf8_lossy(&git.stderr).contains("is ambiguous"), "{name}");
            let id = String::from_utf8_lossy(&git.stdout).trim().to_owned();
            let note = format!("`{name}` is ambiguous: `{taken}` was taken, not `{other}`");
            for (tool, args) in [
                ("git_rev_parse", json!({"revision": name})),
                ("git_log", json!({"rev": name, "max_count": 1})),
                ("git_show", json!({"revision": format!("{name}:a.txt")})),
            ] {
                let text = client.text(tool, &args);
                let notes = parts(&text).notes;
                assert_eq!(notes.iter().filter(|one| one.contains(&note)).count(), 1, "{reftable} {tool}: no `{note}` in {text}");
                assert!(tool != "git_rev_parse" || text.starts_with(&id), "{name}: {text}");
            }
            let full = client.text("git_rev_parse", &json!({"revision": other}));
            assert!(!full.contains("ambiguous"), "{full}");
        }
        // `HEAD` has no longer name that a caller could use.
        for rev in ["main~1", "HEAD"] {
            assert!(!client.text("git_log", &json!({"rev": rev})).contains("ambiguous"), "{rev}");
        }
    }
}

#[test]
fn a_checkout_takes_the_branch_and_a_reflog_the_reference_that_has_one() {
    let (fixture, _) = ambiguous();
    fixture.git(&["update-ref", "-d", "refs/heads/HEAD"]);
    let mut client = serve(&fixture);
    let text = client.text("git_checkout", &json!({"branch_name": "both"}));
    assert!(text.contains("`both` is ambiguous: `refs/heads/both` was taken, not `refs/tags/both`"), "{text}");
    assert!(!text.contains("the full name avoids this"), "git would detach HEAD at the full name: {text}");
    assert_eq!(fixture.text(&["symbolic-ref", "HEAD"]), "refs/heads/both");
    let text = client.text("git_reflog", &json!({"name": "both"}));
    assert!(text.contains("`refs/heads/both` was taken, not `refs/tags/both`") && text.contains("branch: Created from HEAD~1"), "{text}");
    // git refuses such an upstream.
    assert!(!fixture.try_git(&["branch", "--set-upstream-to=both", "main"]).status.success());
    let error = client.error("git_branch_upstream", &json!({"branch_name": "main", "upstream": "both"}));
    assert!(error.contains("it names several references") && error.contains("`refs/tags/both` was taken"), "{error}");
}

#[test]
fn a_tag_of_a_blob_or_a_tree_is_shown_and_is_no_commit() {
    let fixture = Fixture::new();
    for (name, object) in [("blob", "HEAD:a.txt"), ("tree", "HEAD^{tree}")] {
        fixture.git(&["tag", name, object]);
        fixture.git(&["tag", "-a", "-m", &format!("about a {name}"), &format!("noted-{name}"), object]);
    }
    let mut client = serve(&fixture);
    for (name, object, content) in [("blob", "blob", "one\ntwo\n"), ("tree", "tree", "a.txt\ndir/\n")] {
        assert_eq!(client.text("git_show", &json!({"revision": name})), content);
        let noted = format!("noted-{name}");
        let of_git = fixture.text(&["show", &fixture.text(&["rev-parse", &noted])]);
        assert!(of_git.contains(&format!("about a {name}")) && of_git.ends_with(content.trim_end()), "{of_git}");
        assert_eq!(client.text("git_show", &json!({"revision": noted})).trim_end(), of_git);
        for (tool, argument) in
            [("git_log", "rev"), ("git_describe", "revision"), ("git_merge", "source_branch"), ("git_checkout", "branch_name")]
        {
            for (rev, why) in [(name, format!("it names a {object}")), (noted.as_str(), format!("it names a tag of a {object}"))] {
                let error = client.error(tool, &json!({argument: rev}));
                assert!(error.contains(&format!("`{rev}` cannot be used as a commit: {why}")), "{tool}: {error}");
            }
        }
    }
    let error = client.error("git_log", &json!({"rev": "HEAD:a.txt"}));
    assert!(error.contains("it names a blob"), "{error}");
    let listed = client.text("git_tag", &json!({}));
    for (name, expect) in [
        ("blob", " (of a blob) "),
        ("noted-blob", " (annotated, of a blob) about a blob"),
        ("tree", " (of a tree) "),
        ("noted-tree", " (annotated, of a tree) about a tree"),
    ] {
        assert!(format!("{} ", line(&listed, name)).contains(expect), "{listed}");
    }
}

/// The entries of a reflog of git: id and reason.
fn reflog(path: &std::path::Path, name: &str) -> Vec<String> {
    let output = git_in(path, &["log", "--walk-reflogs", "--format=%h %gs", name, "--"]);
    assert!(output.status.success(), "{name}");
    String::from_utf8_lossy(&output.stdout).lines().map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn the_head_of_another_worktree_has_a_reflog_and_is_a_revision() -> Outcome {
    let fixture = Fixture::new();
    fixture.git(&["worktree", "add", "-q", "-b", "side", "../wt"]);
    let linked = fixture.path.with_file_name("wt");
    for subject in ["there 1", "there 2"] {
        git_in(&linked, &["commit", "-q", "--allow-empty", "-m", subject]);
    }
    let mut inside = Client::start(&["-r", &linked.display().to_string(), "--toolsets", "all"], &[]);
    inside.initialize();
    let mut client = serve(&fixture);
    for name in ["worktrees/wt/HEAD", "main-worktree/HEAD", "HEAD"] {
        for (client, path) in [(&mut client, &fixture.path), (&mut inside, &linked)] {
            let text = client.text("git_reflog", &json!({"name": name}));
            let entries = reflog(path, name);
            assert!(entries.len() > 1 && text.lines().count() == entries.len(), "{name} in {}: {text}", path.display());
            for (at, (line, entry)) in text.lines().zip(&entries).enumerate() {
                let (id, reason) = entry.split_once(' ').unwrap_or((entry.as_str(), ""));
                assert!(line.starts_with(&format!("{name}@{{{at}}} {id} ")) && line.ends_with(reason), "{entry}: {line}");
            }
            for rev in [name.to_owned(), format!("{name}~1"), format!("{name}@{{1}}"), format!("{name}:a.txt")] {
                let expect = String::from_utf8(git_in(path, &["rev-parse", "--verify", &rev]).stdout)?;
                let text = client.text("git_rev_parse", &json!({"revision": rev}));
                assert!(text.starts_with(expect.trim()), "{rev} in {}: {text}, not {expect}", path.display());
            }
        }
    }
    for name in ["worktrees/none/HEAD", "worktrees/wt/refs/none"] {
        assert!(!fixture.try_git(&["log", "--walk-reflogs", name, "--"]).status.success());
        let error = client.error("git_reflog", &json!({"name": name}));
        assert!(error.contains(&format!("unknown revision `{name}`")), "{error}");
    }
    Ok(())
}

/// The references with their objects and targets.
fn references(fixture: &Fixture) -> String {
    fixture.text(&["for-each-ref", "--format=%(refname) %(objectname) %(symref)", "refs/heads", "refs/tags"])
}

/// A repository whose branch `alias` is a symbolic reference to `other`.
fn with_alias() -> Fixture {
    let fixture = Fixture::new();
    fixture.git(&["branch", "other", "HEAD~1"]);
    fixture.git(&["symbolic-ref", "refs/heads/alias", "refs/heads/other"]);
    fixture
}

#[test]
fn a_deleted_symbolic_branch_is_restored_as_one() {
    let delete = json!({"branch_name": "alias"});
    let (fixture, of_git) = (with_alias(), with_alias());
    fixture.git(&["config", "branch.alias.description", "kept"]);
    let before = references(&fixture);
    let mut client = serve(&fixture);
    let text = client.text("git_branch_delete", &delete);
    assert!(text.contains("deleted alias, a symbolic reference to refs/heads/other"), "{text}");
    of_git.git(&["branch", "-q", "-d", "alias"]);
    assert_eq!(references(&fixture), references(&of_git));
    // It follows its target, which has moved.
    fixture.git(&["update-ref", "refs/heads/other", "HEAD"]);
    let said = undo(&mut client);
    assert!(said.contains("refs/heads/alias is again a symbolic reference to refs/heads/other"), "{said}");
    assert_eq!(fixture.text(&["symbolic-ref", "refs/heads/alias"]), "refs/heads/other");
    assert_eq!(fixture.text(&["config", "branch.alias.description"]), "kept");
    fixture.git(&["update-ref", "refs/heads/other", "HEAD~1"]);
    assert_eq!(references(&fixture), before);
    // One that names another symbolic branch.
    fixture.git(&["symbolic-ref", "refs/heads/second", "refs/heads/alias"]);
    client.text("git_branch_delete", &json!({"branch_name": "second"}));
    undo(&mut client);
    assert_eq!(fixture.text(&["symbolic-ref", "--no-recurse", "refs/heads/second"]), "refs/heads/alias");
    fixture.git(&["branch", "-q", "-d", "second"]);
    // Without its target it is not restored.
    client.text("git_branch_delete", &delete);
    fixture.git(&["branch", "-q", "-D", "other"]);
    let error = client.error("git_undo", &json!({}));
    assert!(error.contains("refs/heads/other, which a symbolic reference named, no longer exists"), "{error}");
}

#[test]
fn the_branch_that_head_names_through_another_is_not_deleted() {
    let fixture = with_alias();
    fixture.git(&["checkout", "-q", "alias"]);
    let before = references(&fixture);
    let error = serve(&fixture).error("git_branch_delete", &json!({"branch_name": "alias"}));
    assert!(error.contains("`alias` is checked out at"), "{error}");
    assert_eq!(references(&fixture), before);
}

#[test]
fn a_symbolic_branch_made_by_a_hook_is_undone_without_its_target() {
    let fixture = with_alias();
    let before = references(&fixture);
    let (made, moved) = ("git symbolic-ref refs/heads/made refs/heads/other", "git update-ref refs/heads/other HEAD");
    for (script, undone) in [(made, true), (moved, false)] {
        crate::support::hooks::hook(&fixture, "post-checkout", &format!("{script}; exit 0"));
        let mut client = serve(&fixture);
        let text = client.text("git_checkout", &json!({"branch_name": "new", "create": true}));
        fs::remove_file(fixture.path.join(".git/hooks/post-checkout")).expect("a hook");
        // A symbolic branch does not move by itself.
        assert!(!text.contains("refs/heads/alias"), "{text}");
        undo(&mut client);
        assert_eq!(references(&fixture) == before, undone, "{script}: {}", references(&fixture));
        assert_eq!(fixture.text(&["symbolic-ref", "refs/heads/alias"]), "refs/heads/other");
    }
}

#[test]
fn a_broken_reference_is_deleted_as_git_deletes_it() {
    let plant = |fixture: &Fixture| {
        for (name, text) in [
            ("heads/lost", NOWHERE),
            ("tags/lost", NOWHERE),
            ("heads/odd", "garbage"),
            ("tags/odd", "garbage"),
            ("heads/dangling", "ref: refs/heads/nowhere"),
        ] {
            fixture.write(&format!(".git/refs/{name}"), format!("{text}\n"));
        }
    };
    let (fixture, of_git) = (Fixture::new(), Fixture::new());
    plant(&fixture);
    plant(&of_git);
    // No command of git deletes a reference whose file names no object.
    for (args, deletes) in [
        (["branch", "-d", "lost"], false),
        (["branch", "-D", "odd"], false),
        (["tag", "-d", "odd"], false),
        (["update-ref", "-d", "refs/heads/odd"], false),
        (["branch", "-D", "lost"], true),
        (["tag", "-d", "lost"], true),
        (["branch", "-d", "dangling"], true),
    ] {
        assert_eq!(of_git.try_git(&args).status.success(), deletes, "{args:?}");
    }
    let mut client = serve(&fixture);
    let branch = |name: &str, force: bool| json!({"branch_name": name, "force": force, "confirm": true});
    let tag = |name: &str| json!({"action": "delete", "name": name, "confirm": true});
    let odd = "is broken: its file names no object";
    for (tool, args, words) in [
        ("git_branch_delete", branch("lost", false), "`force` deletes a branch whose object is missing"),
        ("git_branch_delete", branch("odd", false), odd),
        ("git_branch_delete", branch("odd", true), "git deletes no such branch: its file must be removed"),
        ("git_tag", tag("odd"), odd),
    ] {
        let error = client.error(tool, &args);
        assert!(error.contains(words), "{args}: {error}");
    }
    let asked = client.error("git_branch_delete", &json!({"branch_name": "lost", "force": true}));
    assert!(asked.contains("git_undo cannot restore it"), "{asked}");
    for (tool, args, was, full) in [
        ("git_branch_delete", branch("lost", true), format!("deleted lost, which was at {NOWHERE}"), "refs/heads/lost"),
        ("git_tag", tag("lost"), format!("deleted lost, which was {NOWHERE}"), "refs/tags/lost"),
    ] {
        let text = client.text(tool, &args);
        assert!(text.contains(&was) && text.contains("git_undo cannot restore it: it was broken"), "{text}");
        let error = client.error("git_undo", &json!({}));
        assert!(error.contains(&format!("{full} cannot be restored: its object {NOWHERE} is missing")), "{error}");
    }
    let text = client.text("git_branch_delete", &branch("dangling", false));
    assert!(text.contains("deleted dangling, a symbolic reference to refs/heads/nowhere"), "{text}");
    for folder in ["heads", "tags"] {
        let names = |fixture: &Fixture| {
            let entries = fs::read_dir(fixture.path.join(".git/refs").join(folder)).expect("a folder").flatten();
            entries.map(|entry| entry.file_name()).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(names(&fixture), names(&of_git), "{folder}");
    }
}

#[test]
fn many_symbolic_references_are_read_and_restored_without_a_process_each() {
    let fixture = with_alias();
    for number in 0..50 {
        // Some name another symbolic branch.
        let target = if number % 3 == 0 { "other".to_owned() } else { format!("a{}", number - 1) };
        fixture.write(&format!(".git/refs/heads/a{number}"), format!("ref: refs/heads/{target}\n"));
    }
    let next = || {
        let names = (0..50).map(|number| format!("refs/heads/a{number}"));
        names.map(|name| fixture.text(&["symbolic-ref", "--no-recurse", &name])).collect::<Vec<_>>()
    };
    let (before, targets) = (references(&fixture), next());
    // A hook deletes them all.
    let delete = "for name in $(git for-each-ref --format='%(refname)' 'refs/heads/a[0-9]*'); do rm .git/$name; done";
    crate::support::hooks::hook(&fixture, "post-checkout", &format!("cd '{}'; {delete}; exit 0", fixture.path.display()));
    let server = Administered::start(&fixture, &["--toolsets", "all"], &[]);
    assert!(operate(&server, &["debug", "on"]).status.success());
    tool(&server, "git_checkout", json!({"branch_name": "new", "create": true}));
    let logs = server.get("/logs?level=DEBUG");
    let is_started = |one: &&Value| one["message"] == "a git process has started" && one["command"] == "symbolic-ref";
    let started = logs["records"].as_array().into_iter().flatten().filter(is_started).count();
    assert!(started < 10, "{started} processes: {logs}");
    fs::remove_file(fixture.path.join(".git/hooks/post-checkout")).expect("a hook");
    assert!(!references(&fixture).contains("refs/heads/a1 "), "{}", references(&fixture));
    let preview = text_of(&tool(&server, "git_undo", json!({})));
    let (undo, args) = call_in(preview.split_once("To undo it: ").expect(&preview).1.trim_end());
    let undone = tool(&server, &undo, args);
    assert_eq!((references(&fixture), next()), (before, targets), "{undone}");
}
