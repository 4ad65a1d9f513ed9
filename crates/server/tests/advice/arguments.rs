//! Hints about invalid arguments.

use super::{
    collected::Advice,
    row::{Row, argument, elsewhere, followed, named, with},
};
use crate::support::{Fixture, shell};
use serde_json::json;

pub(crate) const ROWS: &[Row] = &[
    followed("tools/add.rs", "A hunk id", |it| {
        let fixture = Fixture::new();
        fixture.write("a.txt", "edited\n");
        let mut client = fixture.serve();
        let listed = client.text("git_add", &json!({"list": true}));
        let id = listed.split("hunk ").nth(1).and_then(|rest| rest.split(' ').next()).expect("an id").to_owned();
        it.corrects(&fixture, ("git_add", json!({"files": ["a.txt"], "hunks": [id]})), &[("git_add", json!({"hunks": [id]}))]);
        assert_eq!(fixture.text(&["diff", "--cached", "--name-only"]), "a.txt");
    }),
    followed("tools/add.rs", "Name files or directories", |it| {
        let fixture = Fixture::new();
        fixture.write("a.txt", "edited\n").write("dir/new", "new\n");
        it.corrects(
            &fixture,
            ("git_add", json!({})),
            &[("git_add", json!({"files": ["dir"]})), ("git_add", json!({"files": [quoted(it)]}))],
        );
        assert_eq!(fixture.text(&["diff", "--cached", "--name-only"]), "a.txt\ndir/new");
    }),
    followed("tools/add.rs", "`list`: true shows them", |it| {
        let fixture = Fixture::new();
        fixture.write("a.txt", "edited\n");
        let mut client = fixture.serve();
        let unstage = json!({"action": "unstage"});
        client.text("git_add", &json!({"files": ["a.txt"]}));
        let (error, _) = it.printed(&mut client, ("git_add", unstage.clone()));
        let listed = client.text("git_add", &with(&error, "list", &unstage));
        let id = listed.split("hunk ").nth(1).and_then(|rest| rest.split(' ').next()).expect("an id");
        client.text("git_add", &json!({"action": "unstage", "hunks": [id]}));
        assert_eq!(fixture.text(&["diff", "--cached", "--name-only"]), "");
        // And for whole files.
        client.text("git_add", &json!({"files": ["a.txt"]}));
        client.text("git_reset", &json!({"paths": ["a.txt"]}));
        client.text("git_restore", &json!({"paths": ["a.txt"]}));
        assert_eq!(fixture.text(&["status", "--porcelain"]), "");
    }),
    followed("tools/restore.rs", "Name files or directories", |it| {
        let fixture = Fixture::new();
        fixture.write("a.txt", "edited\n").write("dir/b.rs", "edited\n");
        let better = [("git_restore", json!({"paths": ["dir"]})), ("git_restore", json!({"paths": [quoted(it)]}))];
        it.corrects(&fixture, ("git_restore", json!({"paths": []})), &better);
        assert_eq!(fixture.text(&["status", "--porcelain"]), "");
    }),
    followed("tools/files.rs", "Name the files.", |it| {
        it.corrects(&Fixture::new(), ("git_rm", json!({"files": []})), &[("git_rm", json!({"files": ["a.txt"]}))]);
    }),
    followed("tools/sparse.rs", "Name the folders.", |it| {
        let fixture = Fixture::new();
        fixture.write("other/c", "c\n").commit("third");
        let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
        client.text("git_sparse_checkout", &json!({"action": "set", "paths": ["dir"]}));
        it.printed(&mut client, ("git_sparse_checkout", json!({"action": "add"})));
        client.text("git_sparse_checkout", &json!({"action": "add", "paths": ["other"]}));
        assert!(fixture.path.join("other/c").exists());
    }),
    elsewhere("tools/bisect.rs", "{} checks the branch out again.", ("answers/bisects.rs", "a_bisect_that_the_hook_ended_has_not_started")),
    followed("tools/bisect.rs", "Name a commit", |it| {
        let better = [("git_bisect", json!({"action": "start", "good": ["HEAD~1"]}))];
        it.corrects(&Fixture::new(), ("git_bisect", json!({"action": "start"})), &better);
    }),
    followed("tools/branches.rs", "Name the branch", |it| {
        let fixture = Fixture::new();
        fixture.git(&["branch", "other"]);
        fixture.git(&["checkout", "-q", "--detach"]);
        let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
        let follows = json!({"upstream": "main"});
        it.printed(&mut client, ("git_branch_upstream", follows.clone()));
        client.text("git_branch_upstream", &json!({"upstream": "main", "branch_name": "other"}));
        assert_eq!(fixture.text(&["rev-parse", "--abbrev-ref", "other@{u}"]), "main");
    }),
    followed("tools/commit.rs", "Say what changes", |it| {
        let fixture = Fixture::new();
        fixture.write("a.txt", "edited\n").git(&["add", "."]);
        it.corrects(&fixture, ("git_commit", json!({})), &[("git_commit", json!({"message": "What changes, and why"}))]);
    }),
    followed("tools/change.rs", "Say what changes", |it| {
        let fixture = Fixture::new();
        fixture.write("a.txt", "edited\n").git(&["add", "."]);
        it.corrects(&fixture, ("git_commit", json!({"message": " \n"})), &[("git_commit", json!({"message": "What changes, and why"}))]);
    }),
    followed("tools/config.rs", "Writable keys:", |it| {
        let fixture = Fixture::new();
        let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
        let (error, filled) = it.printed(&mut client, ("git_config", json!({"key": "core.pager", "value": "less"})));
        assert!(error.contains("git config"));
        for key in filled[0].split(", ") {
            let value = if key.contains("auto") || key.contains("rebase") { "true" } else { "x" };
            let set = client.result("git_config", &json!({"key": key, "value": value}));
            assert!(set["isError"] != true, "{key}: {set}");
        }
        fixture.git(&["config", "core.pager", "less"]);
        assert!(client.text("git_config", &json!({"key": "core.pager"})).contains("less"));
    }),
    followed("tools/conflicts.rs", "`.` means every", |it| {
        let fixture = Fixture::new();
        shell(
            &fixture.path,
            "git checkout -qb side; echo s > a.txt; git commit -qam s; git checkout -q main; echo m > a.txt; git commit -qam m",
        );
        let mut client = fixture.serve();
        client.error("git_merge", &json!({"source_branch": "side"}));
        it.printed(&mut client, ("git_conflicts", json!({"take": "theirs"})));
        client.text("git_conflicts", &json!({"take": "theirs", "paths": [quoted(it)]}));
        client.text("git_continue", &json!({}));
        assert_eq!(fixture.text(&["show", "HEAD:a.txt"]), "s");
    }),
    followed("tools/diff.rs", "Compare commits", |it| {
        let better = [("git_diff", json!({"base": "HEAD~1", "target": "HEAD", "paths": ["a.txt"]}))];
        it.corrects(&Fixture::new(), ("git_diff", json!({"base": "HEAD~1:a.txt", "target": "HEAD:a.txt"})), &better);
    }),
    followed("tools/diff.rs", "Use `scope`", |it| {
        for wrong in
            [json!({"scope": "staged", "target": "HEAD"}), json!({"merge_base": true}), json!({"merge_base": true, "target": "HEAD~1"})]
        {
            let better = [
                ("git_diff", json!({"scope": "staged"})),
                ("git_diff", json!({"target": "HEAD~1"})),
                ("git_diff", json!({"base": "HEAD~1", "target": "HEAD"})),
                ("git_diff", json!({"base": "HEAD~1", "target": "HEAD", "merge_base": true})),
            ];
            it.corrects(&Fixture::new(), ("git_diff", wrong), &better);
        }
    }),
    followed("tools/log.rs", "git_show shows", |it| {
        for wrong in [json!({"graph": true}), json!({"format": "%H"})] {
            let (fixture, call) = (Fixture::new(), ("git_show", json!({"revision": "HEAD"})));
            it.corrects(&fixture, ("git_log", wrong), &[call]);
            let listed = fixture.serve().result("git_log", &json!({}));
            assert!(listed["structuredContent"]["commits"][0]["id"].is_string(), "{listed}");
        }
    }),
    followed("tools/range.rs", "Use START-END", |it| {
        let fixture = Fixture::new();
        fixture.write("a.txt", "line\n".repeat(4000)).commit("long");
        let example = it.text.split_whitespace().last().expect("an example").trim_end_matches('.');
        for wrong in ["10", "20-10", "a-b"] {
            let better = [
                ("git_show", json!({"revision": "HEAD:a.txt", "byte_range": example})),
                ("git_diff", json!({"target": "HEAD~1", "paths": ["a.txt"], "byte_range": example})),
            ];
            it.corrects(&fixture, ("git_show", json!({"revision": "HEAD:a.txt", "byte_range": wrong})), &better);
        }
    }),
    followed("tools/range.rs", "Name one file", |it| {
        let fixture = Fixture::new();
        let mut client = fixture.serve();
        it.printed(&mut client, ("git_show", json!({"revision": "HEAD", "byte_range": "0-50"})));
        client.text("git_show", &json!({"revision": "HEAD", "byte_range": "0-50", "paths": ["a.txt"]}));
        fixture.git(&["mv", "dir/b.rs", "c.rs"]);
        fixture.commit("renamed");
        it.printed(&mut client, ("git_diff", json!({"base": "HEAD~2", "target": "HEAD", "byte_range": "0-50"})));
        let both =
            client.text("git_diff", &json!({"base": "HEAD~1", "target": "HEAD", "byte_range": "0-90", "paths": ["c.rs", "dir/b.rs"]}));
        assert!(both.contains("rename from"), "{both}");
    }),
    followed("tools/revision.rs", "git_log lists a range.", |it| {
        let fixture = Fixture::new();
        let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
        it.printed(&mut client, ("git_rev_parse", json!({"revision": "HEAD~1..HEAD"})));
        assert!(client.text("git_log", &json!({"rev": "HEAD~1..HEAD"})).contains("second"));
    }),
    followed("tools/series.rs", "A series is written", |it| {
        let fixture = Fixture::new();
        let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
        for wrong in ["HEAD", "HEAD~1...HEAD"] {
            it.printed(&mut client, ("git_range_diff", json!({"old": wrong, "new": "HEAD~1..HEAD"})));
        }
        client.text("git_range_diff", &json!({"old": "HEAD~1..HEAD", "new": "HEAD~1..HEAD"}));
    }),
    followed("tools/show.rs", "Name the file:", |it| {
        let fixture = Fixture::new();
        let mut client = fixture.serve();
        for revision in ["HEAD", "main~0"] {
            let wrong = json!({"revision": revision, "start_line": 1, "end_line": 1});
            let (error, _) = it.printed(&mut client, ("git_show", wrong.clone()));
            let mut better = with(&error, "revision", &wrong);
            better["revision"] = json!(better["revision"].as_str().expect("a text").replace("PATH", "a.txt"));
            assert!(client.text("git_show", &better).starts_with("one"), "{better}");
        }
    }),
    followed("tools/show.rs", "Use `start_line`", |it| {
        let fixture = Fixture::new();
        let filler = "// filler\n".repeat(1_000_000);
        fixture.write("long.rs", format!("{filler}fn wanted() {{\n}}\n")).commit("long");
        let mut client = fixture.serve();
        it.printed(&mut client, ("git_show", json!({"revision": "HEAD:long.rs", "symbol": "wanted"})));
        let found = fixture.text(&["grep", "-n", "fn wanted", "HEAD", "--", "long.rs"]);
        assert!(found.contains(":1000001:"), "{found}");
        let shown = client.text("git_show", &json!({"revision": "HEAD:long.rs", "start_line": 1_000_001, "end_line": 1_000_002}));
        assert!(shown.contains("fn wanted"), "{shown}");
    }),
    followed("tools/show.rs", "Omit `symbol`", |it| {
        let fixture = Fixture::new();
        let mut client = fixture.serve();
        it.printed(&mut client, ("git_show", json!({"revision": "HEAD:a.txt", "symbol": "b"})));
        client.text("git_show", &json!({"revision": "HEAD:a.txt"}));
        let found = client.text("git_grep", &json!({"pattern": "fn b", "rev": "HEAD"}));
        assert!(found.contains("dir/b.rs"), "{found}");
        client.text("git_show", &json!({"revision": "HEAD:dir/b.rs", "symbol": "b"}));
    }),
    followed("tools/undo.rs", "git_log shows commits", |it| {
        let fixture = Fixture::new();
        let mut client = fixture.serve();
        it.printed(&mut client, ("git_undo", json!({})));
        assert!(client.text("git_log", &json!({})).contains("first"));
        client.text("git_reset", &json!({"target": "HEAD~1"}));
        assert_eq!(fixture.text(&["log", "--format=%s"]), "first");
    }),
    followed("tools/undo.rs", "Preview it first:", |it| {
        let fixture = Fixture::new();
        let mut client = fixture.serve();
        client.text("git_create_branch", &json!({"branch_name": "one"}));
        let (error, _) = it.printed(&mut client, ("git_undo", json!({"id": "another"})));
        let (tool, args) = named(&error, "git_undo");
        let shown = client.text(tool, &args);
        let (tool, args) = named(&shown, "git_undo");
        client.text(tool, &args);
        assert_eq!(fixture.text(&["branch", "--list", "one"]), "");
    }),
    followed("tools/push.rs", "Name the branch with `branch`.", |it| {
        let (fixture, remote) = crate::support::remote::published();
        fixture.git(&["branch", "other"]);
        fixture.git(&["checkout", "-q", "--detach"]);
        let mut client = fixture.serve_with(&[], &crate::support::remote::OPEN);
        it.printed(&mut client, ("git_push", json!({})));
        client.text("git_push", &json!({"branch": "other"}));
        assert!(remote.git(&["branch", "--list", "other"]).contains("other"));
    }),
    followed("tools/reset.rs", "Unstage single files", |it| {
        let fixture = super::conflicts::conflict();
        let mut client = fixture.serve();
        fixture.write("new", "new\n").git(&["add", "new"]);
        let all = ("git_reset", json!({}));
        it.printed(&mut client, all.clone());
        client.text("git_reset", &json!({"paths": ["new"]}));
        assert!(fixture.text(&["status", "--porcelain"]).contains("?? new"));
        it.helps(&mut client, all, &[("git_abort", json!({}))]);
        let fixture = super::conflicts::conflict();
        let ends = [("git_conflicts", json!({"take": "ours", "paths": ["."]})), ("git_continue", json!({}))];
        it.helps(&mut fixture.serve(), ("git_reset", json!({})), &ends);
    }),
    followed("tools/proceed.rs", "Omit `operation`", |it| {
        for better in [json!({}), json!({"operation": "merge"})] {
            let fixture = super::conflicts::conflict();
            it.corrects(&fixture, ("git_abort", json!({"operation": "rebase"})), &[("git_abort", better)]);
        }
    }),
    followed("tools/grep.rs", "Repeat the call without `cursor`", |it| {
        let fixture = Fixture::new();
        fixture.write("a.txt", "needle one two three\n".repeat(200));
        let mut client = fixture.serve();
        let first = client.text("git_grep", &json!({"pattern": "needle", "max_tokens": 300}));
        let (tool, args) = named(&first, "git_grep");
        fixture.write("a.txt", "needle changed\n".repeat(200));
        it.printed(&mut client, (tool, args.clone()));
        let mut over = args;
        over.as_object_mut().expect("arguments").remove("cursor");
        client.text(tool, &over);
    }),
    followed("output/cursor.rs", "Repeat the call without `cursor` to start over.", |it| {
        let fixture = Fixture::new();
        for number in 0..200 {
            fixture.write(&format!("untracked file number {number}"), "x");
        }
        let mut client = fixture.serve();
        let first = client.text("git_status", &json!({"max_tokens": 500}));
        let (tool, mut args) = named(&first, "git_status");
        fixture.write("another", "x");
        it.printed(&mut client, (tool, args.clone()));
        args.as_object_mut().expect("arguments").remove("cursor");
        client.text(tool, &args);
    }),
    followed("output/cursor.rs", "Repeat the call without `cursor`.", |it| {
        it.corrects(&Fixture::new(), ("git_log", json!({"cursor": "nonsense"})), &[("git_log", json!({}))]);
    }),
    followed("error/advice/mod.rs", "Escape special characters", |it| {
        let fixture = Fixture::new();
        fixture.write("a.txt", "f(x\n");
        it.corrects(&fixture, ("git_grep", json!({"pattern": "f(x"})), &[("git_grep", json!({"pattern": "f\\(x"}))]);
        it.corrects(&fixture, ("git_log", json!({"grep": "a["})), &[("git_log", json!({"grep": "a\\["}))]);
    }),
    followed("error/mod.rs", "Repeat the call with `confirm`", |it| {
        let fixture = crate::support::edited();
        let mut client = fixture.serve();
        let hard = json!({"mode": "hard"});
        let (error, _) = it.printed(&mut client, ("git_reset", hard.clone()));
        assert_eq!(argument(&error, "confirm"), json!(true));
        client.text("git_reset", &with(&error, "confirm", &hard));
        assert!(!crate::support::is_edited(&fixture));
    }),
    followed("workspace.rs", "git_workspace lists", |it| {
        let fixture = Fixture::new();
        let mut client = fixture.serve();
        let gone = json!({"workspace": "ws_0123456789abcdef"});
        it.printed(&mut client, ("git_status", gone));
        let opened = client.text("git_workspace", &json!({"action": "open"}));
        let at = opened.find("ws_").expect("a handle");
        let handle: String = opened[at..].chars().take_while(|one| one.is_ascii_alphanumeric() || *one == '_').collect();
        assert!(client.text("git_workspace", &json!({})).contains(&handle));
        client.text("git_status", &json!({"workspace": handle}));
    }),
];

/// The value that a hint quotes in backticks.
fn quoted(advice: &Advice) -> String {
    let quoted = advice.text.split('`').nth(1).expect("a quotation");
    quoted.to_owned()
}
