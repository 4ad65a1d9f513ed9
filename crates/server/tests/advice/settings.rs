//! Faults of git's configuration, programs and linked folders: settings, filters, signatures, worktrees, submodules.

use super::row::{Row, elsewhere, followed, named, operator, shown};
use crate::support::{
    Fixture, git_in,
    hooks::{SIGNS, script},
    programs, shell,
};
use serde_json::json;
use std::fs;

const DESTINATIONS: &str = "answers/destinations.rs covers these errors: there each tool replaces the hint by the exact calls";
const MODULES: (&str, &str) = ("answers/modules.rs", "obstacles_of_an_update_are_named_and_do_not_blame_the_remote");
const SIGNATURES: (&str, &str) = ("answers/signatures.rs", "a_signature_that_could_not_be_checked_is_not_called_bad");
const SSH: (&str, &str) = ("answers/signatures.rs", "an_ssh_key_leads_to_the_ssh_settings");
const POP: (&str, &str) = ("answers/halts.rs", "a_pop_whose_entry_cannot_be_dropped_must_not_be_repeated_12");

/// A repository with a submodule at `lib` that is not at the recorded commit.
fn with_submodule() -> Fixture {
    let fixture = Fixture::new();
    shell(
        &fixture.path,
        "set -e; git init -q -b main ../library; cd ../library; git config user.name A; git config user.email a@b; echo 1 > f; git add .
         git commit -q -m one; echo 2 > f; git commit -qam two; L=$PWD; cd ../repo
         git -c protocol.file.allow=always submodule --quiet add $L lib; git commit -q -m lib; git -C lib checkout -q HEAD~1",
    );
    fixture
}

pub(crate) const ROWS: &[Row] = &[
    followed("error/advice/damage.rs", "Ask the operator to correct it; `git config", |it| {
        let fixture = Fixture::new();
        fixture.write("a.txt", "edited\n").git(&["config", "diff.context", "abc"]);
        let mut client = fixture.serve();
        let (error, _) = it.printed(&mut client, ("git_diff", json!({})));
        let command = error.split('`').find(|part| part.ends_with("--show-origin")).expect("a command");
        assert!(String::from_utf8_lossy(&shell(&fixture.path, command)).contains("diff.context=abc"));
        fixture.git(&["config", "--unset", "diff.context"]);
        client.text("git_diff", &json!({}));
    }),
    elsewhere("error/advice/damage.rs", "Ask the operator to rebuild", ("answers/broken.rs", "advice_for_a_broken_repository_repairs_it")),
    followed("error/advice/damage.rs", "Ask the operator to fix what git reports.", |it| {
        let fixture = Fixture::new().by_git();
        let [git, broken] = ["git", "broken"].map(|name| fixture.home.path().join(name));
        script(
            &git,
            &format!(
                "[ \"$1\" = blame ] && [ -e '{}' ] && {{ echo 'fatal: it is odd' >&2; exit 128; }}; exec git \"$@\"",
                broken.display()
            ),
        );
        fs::write(&broken, "").expect("a file");
        let mut client = fixture.serve_with(&["--git", &git.display().to_string()], &[]);
        let blame = json!({"path": "a.txt"});
        it.printed(&mut client, ("git_blame", blame.clone()));
        assert!(fixture.try_git(&["fsck"]).status.success(), "no objects are missing");
        fs::remove_file(broken).expect("a file");
        client.text("git_blame", &blame);
    }),
    followed("error/advice/damage.rs", "The program of the filter is not on the server's PATH", |it| {
        let fixture = Fixture::new();
        fixture.write(".gitattributes", "*.bin filter=odd\n").commit("odd");
        let folder = fixture.home.path().join("bin");
        script(&folder.join("odd-filter"), "cat");
        fixture.git(&["config", "filter.odd.clean", "odd-filter"]);
        fixture.git(&["config", "filter.odd.required", "true"]);
        fixture.write("a.bin", "x\n");
        let add = json!({"files": ["a.bin"]});
        it.printed(&mut fixture.serve(), ("git_add", add.clone()));
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
        fixture.serve_with(&[], &[("PATH", &path)]).text("git_add", &add);
    }),
    followed("error/advice/worktrees.rs", "Ask the operator to repair it with `git -C {} worktree repair`.", |it| {
        let fixture = Fixture::new();
        fixture.git(&["worktree", "add", "-q", "-b", "side", "wt"]);
        fs::remove_file(fixture.path.join("wt/.git")).expect("a file");
        let mut client = fixture.serve();
        let remove = json!({"action": "remove", "path": "wt"});
        let (error, _) = it.printed(&mut client, ("git_worktree", remove.clone()));
        shell(&fixture.path, error.split('`').nth(1).expect("a command"));
        client.text("git_worktree", &remove);
    }),
    followed("error/advice/worktrees.rs", " Or git_worktree {\"action\":\"prune\"}", |it| {
        let fixture = Fixture::new();
        fixture.git(&["worktree", "add", "-q", "-b", "side", "wt"]);
        fs::remove_file(fixture.path.join("wt/.git")).expect("a file");
        let mut client = fixture.serve();
        let (error, _) = it.printed(&mut client, ("git_worktree", json!({"action": "remove", "path": "wt"})));
        let (tool, prune) = named(&error, "git_worktree");
        client.text(tool, &prune);
        assert!(fixture.path.join("wt/a.txt").exists() && fixture.text(&["worktree", "list"]).lines().count() == 1);
    }),
    shown("error/advice/worktrees.rs", "Commit them there, or stash them", MODULES, "git_stash"),
    shown("error/advice/worktrees.rs", "Move them away, or remove them", MODULES, "remove"),
    shown("error/advice/worktrees.rs", "Next: git_maintenance {}. Then repeat", MODULES, "git_maintenance"),
    shown("error/advice/worktrees.rs", "Remove the link", MODULES, "link"),
    followed("error/advice/worktrees.rs", "Move the folder away", |it| {
        let fixture = with_submodule();
        fs::remove_dir_all(fixture.path.join(".git/modules/lib")).expect("a folder");
        let above = fixture.home.path().display().to_string();
        let mut client = fixture.serve_with(&["-r", &above], &[("MCP_GIT_PROTOCOLS", "file")]);
        let update = json!({"repo_path": fixture.path, "action": "update"});
        it.printed(&mut client, ("git_submodule", update.clone()));
        fs::rename(fixture.path.join("lib"), fixture.home.path().join("away")).expect("a folder");
        client.text("git_submodule", &update);
        assert_eq!(fs::read_to_string(fixture.path.join("lib/f")).expect("a file"), "2\n");
    }),
    followed("error/advice/worktrees.rs", "Try again when no git is running there.", |it| {
        let fixture = with_submodule();
        fixture.write(".git/modules/lib/index.lock", "");
        let above = fixture.home.path().display().to_string();
        let mut client = fixture.serve_with(&["-r", &above], &[("MCP_GIT_PROTOCOLS", "file")]);
        let update = json!({"repo_path": fixture.path, "action": "update"});
        it.printed(&mut client, ("git_submodule", update.clone()));
        fs::remove_file(fixture.path.join(".git/modules/lib/index.lock")).expect("a lock");
        client.text("git_submodule", &update);
        assert_eq!(fs::read_to_string(fixture.path.join("lib/f")).expect("a file"), "2\n");
    }),
    shown(
        "tools/files.rs",
        "Commit or stash them there first",
        ("answers/modules.rs", "work_only_in_a_submodule_is_named_before_it_is_lost"),
        "confirm",
    ),
    elsewhere("error/advice/operations.rs", "The changes are in the files", POP),
    shown("error/advice/operations.rs", "git_stash {{\"action\":\"drop\"", POP, "\"drop\""),
    elsewhere("error/advice/operations.rs", "`git update-ref -d refs/stash`", POP),
    elsewhere("error/advice/mod.rs", "git_merge runs it", ("answers/filtered_changes.rs", "a_preview_is_refused_only_if_a_driver_may_run")),
    operator("error/advice/remotes.rs", "Name the intended branch or remote.", DESTINATIONS),
    operator("error/advice/remotes.rs", "git_fetch fetches it.", DESTINATIONS),
    operator("error/advice/remotes.rs", "Name an existing branch or tag.", DESTINATIONS),
    followed("error/advice/remotes.rs", "Push to a remote that is not a mirror", |it| {
        let fixture = Fixture::new();
        shell(&fixture.path, "git init -q --bare ../fork.git; git remote add --mirror=push mir $PWD/../fork.git");
        let place = fixture.path.with_file_name("fork.git");
        let mut client = fixture.serve_with(&["-r", &place.display().to_string()], &[("MCP_GIT_PROTOCOLS", "file")]);
        let push = |remote: &str| json!({"repo_path": fixture.path, "remote": remote, "branch": "main"});
        let (error, _) = it.printed(&mut client, ("git_push", push("mir")));
        client.text("git_remote_add", &json!({"repo_path": fixture.path, "name": "plain", "url": place}));
        client.text("git_push", &push("plain"));
        fixture.git(&["tag", "v1"]);
        shell(&fixture.path, error.split('`').find(|part| part.starts_with("git push")).expect("a command"));
        assert!(String::from_utf8_lossy(&git_in(&place, &["for-each-ref"]).stdout).contains("refs/tags/v1"));
    }),
    followed("error/advice/operations.rs", "A key with a passphrase must be in the ssh agent", |it| {
        if programs::found("ssh-keygen").is_none() {
            it.was_read.set(true);
            return;
        }
        let fixture = Fixture::new();
        shell(&fixture.path, "ssh-keygen -q -t ed25519 -N '' -f ../id; ssh-keygen -q -t ed25519 -N secret -f ../locked; touch ../agent");
        let place = |name: &str| fixture.path.with_file_name(name).display().to_string();
        fixture.git(&["config", "gpg.format", "ssh"]);
        fixture.git(&["config", "user.signingKey", &place("locked")]);
        let mut client = fixture.serve_with(&[], &[("SSH_AUTH_SOCK", &place("agent"))]);
        let sign = json!({"action": "create", "name": "v1", "message": "x", "sign": true});
        it.printed(&mut client, ("git_tag", sign.clone()));
        // A key without a passphrase.
        fixture.git(&["config", "user.signingKey", &place("id")]);
        client.text("git_tag", &sign);
    }),
    elsewhere("error/advice/operations.rs", "Ask the operator to set up signing: `gpg.ssh.program`", SSH),
    followed("error/advice/operations.rs", "Ask the operator to set up signing: as `gpg.format` is x509", |it| {
        let fixture = Fixture::new();
        fixture.git(&["config", "gpg.format", "x509"]);
        fixture.git(&["config", "gpg.x509.program", "/nowhere/gpgsm"]);
        let mut client = fixture.serve();
        let sign = json!({"action": "create", "name": "v1", "message": "x", "sign": true});
        let (error, _) = it.printed(&mut client, ("git_tag", sign.clone()));
        let setting = |ending: &str| error.split('`').find(|part| part.ends_with(ending)).expect("a setting").to_owned();
        let program = fixture.home.path().join("signs");
        // It signs with one certificate only.
        script(&program, &format!("case \"$*\" in *certificate*) ;; *) exit 2;; esac; {SIGNS}"));
        fixture.git(&["config", &setting(".x509.program"), &program.display().to_string()]);
        it.printed(&mut client, ("git_tag", sign.clone()));
        fixture.git(&["config", &setting(".signingKey"), "certificate"]);
        client.text("git_tag", &sign);
        assert!(fixture.text(&["cat-file", "tag", "v1"]).contains("SIGNATURE"));
    }),
    elsewhere("tools/tag.rs", "Ask the operator to add the key", SSH),
    elsewhere("tools/tag.rs", "Ask the operator to name a file of signers", SSH),
    elsewhere("tools/tag.rs", "{name} has no good signature", SIGNATURES),
    elsewhere("tools/tag.rs", "{name} has no signature", SIGNATURES),
    followed("tools/tag.rs", "Ask the operator to install the program", |it| {
        let fixture = Fixture::new();
        let program = fixture.home.path().join("signs");
        script(&program, SIGNS);
        fixture.git(&["config", "gpg.program", &program.display().to_string()]);
        fixture.git(&["tag", "-s", "-m", "x", "v1"]);
        fixture.git(&["config", "gpg.program", "/nowhere/gpg"]);
        let mut client = fixture.serve();
        let verify = json!({"action": "verify", "name": "v1"});
        let (error, _) = it.printed(&mut client, ("git_tag", verify.clone()));
        let key = error.split('`').find(|part| *part == "gpg.program").expect("a key");
        script(&program, "cat > /dev/null; echo; echo '[GNUPG:] GOODSIG 1 A'; echo '[GNUPG:] TRUST_ULTIMATE 0 pgp'");
        fixture.git(&["config", key, &program.display().to_string()]);
        client.text("git_tag", &verify);
    }),
    followed("tools/tag.rs", "git_tag lists the tags.", |it| {
        let fixture = Fixture::new();
        fixture.git(&["tag", "v1"]);
        let mut client = fixture.serve();
        it.printed(&mut client, ("git_tag", json!({"action": "delete", "name": "nothing", "confirm": true})));
        assert!(client.text("git_tag", &json!({})).contains("v1"));
        client.text("git_tag", &json!({"action": "delete", "name": "v1", "confirm": true}));
    }),
    followed("tools/checkout.rs", "Create the branch from one:", |it| {
        let fixture = Fixture::new();
        for remote in ["fork", "origin"] {
            fixture.git(&["remote", "add", remote, "https://example.com/r"]);
            fixture.git(&["update-ref", &format!("refs/remotes/{remote}/topic"), "HEAD~1"]);
        }
        let mut client = fixture.serve();
        let (error, _) = it.printed(&mut client, ("git_checkout", json!({"branch_name": "topic"})));
        let (tool, args) = named(&error, "git_checkout");
        client.text(tool, &args);
        assert_eq!(fixture.text(&["branch", "--show-current"]), "topic");
    }),
    elsewhere("tools/fetch.rs", "`merge.ff` is `only`", ("answers/destinations.rs", "fast_forwards_follow_gits_configuration")),
    elsewhere(
        "pipeline/run.rs",
        "History is shallow and ends",
        ("answers/shallow.rs", "a_revision_beyond_the_boundary_names_the_call_that_fetches_it"),
    ),
];
