//! Faults of roots and repositories.

use super::{Outcome, Ward, is_root, write};
use crate::support::{
    programs::{found, not_tried},
    wire::wait_for,
};
use std::fs;

#[test]
fn unusable_roots_are_reported() -> Outcome {
    let ward = Ward::new();
    let missing = ward.home.join("not there");
    ward.heals("", &["-r", &missing.display().to_string()], "roots", "does not exist");
    let empty = ward.home.join("empty");
    fs::create_dir(&empty)?;
    ward.heals("", &["-r", &empty.display().to_string()], "roots", "contains no repository");
    let file = ward.home.join("file");
    fs::write(&file, "")?;
    let config = ward.config(&format!("repositories = [\"{}\"]\n", file.display()));
    ward.heals_by("", &[], "roots", "is not a directory", |_| format!("sed -i 's|file|empty|' '{}'", config.display()));
    fs::remove_file(&config)?;
    ward.heals_by("cd /", &[], "roots", "no root is named", |fix| {
        assert!(fix.contains("-r PATH"), "{fix}");
        format!("set -- \"$@\" -r '{}'", ward.fixture.path.display())
    });
    Ok(())
}

#[test]
fn read_only_roots_are_reported() -> Outcome {
    let ward = Ward::new();
    if is_root() {
        not_tried("root may write anywhere");
        return Ok(());
    }
    fs::set_permissions(&ward.fixture.path, std::os::unix::fs::PermissionsExt::from_mode(0o555))?;
    let path = ward.fixture.path.display().to_string();
    assert!(ward.report("", &["-r", &path, "--read-only"]).find("roots", "cannot be").is_none());
    ward.heals("", &["-r", &path], "roots", "cannot be read and written");
    Ok(())
}

#[test]
fn a_repository_of_another_user_is_reported() -> Outcome {
    let ward = Ward::new();
    if !is_root() {
        not_tried("a repository of another user needs root");
        return Ok(());
    }
    for path in [ward.fixture.path.clone(), ward.fixture.path.join(".git")] {
        std::os::unix::fs::chown(path, Some(1234), None)?;
    }
    let fix = ward.heals("", &["-r", &ward.fixture.path.display().to_string()], "roots", "owned by another user");
    assert!(fix.starts_with("git config --global --add safe.directory "), "{fix}");
    Ok(())
}

#[test]
fn a_hostile_repository_is_reported_and_does_not_block_the_doctor() -> Outcome {
    let ward = Ward::new();
    let hostile = ward.home.join("roots/hostile");
    fs::create_dir_all(&hostile)?;
    let ran = ward.home.join("ran");
    let touch = format!("touch {}", ran.display());
    ward.sh(&format!(
        "cd '{}'; git init -q; git config core.fsmonitor '{touch}'; git config core.sshCommand '{touch}'; git config core.pager '{touch}'; \
         git config credential.helper '!{touch}'; git config filter.x.clean '{touch}'; echo '* filter=x' > .gitattributes; echo x > f; \
         git remote add origin https://example.invalid/x.git; printf '#!/bin/sh\\n{touch}\\n' > .git/hooks/post-index-change; chmod +x .git/hooks/*",
        hostile.display()
    ));
    let roots = ward.home.join("roots").display().to_string();
    ward.report("", &["-r", &roots]);
    assert!(!ran.exists(), "a program that the repository names was run");
    ward.sh(&format!("cd '{}/.git'; rm HEAD; mkfifo HEAD", hostile.display()));
    let fix = ward.heals("", &["-r", &roots], "roots", "cannot be opened");
    assert!(fix.contains("ref: refs/heads/") && !ran.exists(), "{fix}");
    assert_eq!(ward.report("", &["-r", &roots]).state("roots"), ["ok"], "the repository is restored");
    Ok(())
}

/// The command with these words in a fix.
fn command(fix: &str, words: &str) -> String {
    fix.split('`').skip(1).step_by(2).find(|part| part.contains(words)).unwrap_or_else(|| panic!("no {words} in {fix}")).to_owned()
}

#[test]
fn a_damaged_repository_is_reported_and_nothing_is_lost() {
    let ward = Ward::new();
    let path = ward.fixture.path.display().to_string();
    let args = ["-r", path.as_str()];
    let head = ward.fixture.git(&["rev-parse", "HEAD"]);
    for plant in ["echo garbage > HEAD", ": > HEAD", "rm HEAD; mkfifo HEAD", "rm HEAD", "rm HEAD; mkdir HEAD"] {
        ward.sh(&format!("cd .git; {plant}"));
        ward.heals("", &args, "roots", "HEAD");
        assert_eq!(ward.fixture.git(&["rev-parse", "refs/heads/main", "HEAD"]), [head.clone(), head.clone()].concat(), "{plant}");
        assert_eq!(ward.report("", &args).state("roots"), ["ok"], "{plant}");
    }
    ward.sh(": > .git/refs/heads/main");
    ward.heals("", &args, "roots", "does not name a commit");
    assert_eq!(ward.fixture.git(&["rev-parse", "HEAD"]), head);
    ward.sh("git checkout -q -b topic; git checkout -q main; git checkout -q topic; rm .git/HEAD");
    assert!(ward.heals("", &args, "roots", "HEAD is missing").contains("refs/heads/topic"), "what was checked out last");
    // The commit is missing: restored from an older one, or from the remote.
    let remove = "id=$(git rev-parse HEAD); rm -f .git/objects/$(echo $id | cut -c1-2)/$(echo $id | cut -c3-)";
    ward.sh(&format!("git commit -q --allow-empty -m lost; {remove}"));
    ward.heals_by("", &args, "roots", "is missing or damaged", |fix| command(fix, "update-ref refs/heads/topic"));
    assert_eq!(ward.fixture.git(&["rev-parse", "HEAD"]), head);
    ward.sh(&format!("git clone -q --bare . ../origin.git; git remote add origin ../origin.git; git fetch -q; {remove}"));
    ward.heals_by("", &args, "roots", "is missing or damaged", |fix| command(fix, "fetch --refetch"));
    ward.sh("rm -r .git/objects");
    ward.heals("", &args, "roots", "objects is missing");
    ward.heals_by("", &args, "roots", "is missing or damaged", |fix| command(fix, "fetch --refetch"));
    ward.sh("git rev-list --objects main topic");
    assert_eq!(ward.fixture.git(&["rev-parse", "HEAD"]), head);
    // A bare repository has no other sign to be found by.
    ward.sh("mv ../origin.git/objects ../objects");
    let bare = ward.fixture.path.with_file_name("origin.git").display().to_string();
    assert!(ward.report("", &["-r", &bare]).find("roots", "contains no repository").is_none());
    ward.heals("", &["-r", &bare], "roots", "objects is missing");
}

#[test]
fn a_worktree_without_its_repository_is_reported() {
    let ward = Ward::new();
    let roots = ward.home.join("roots").display().to_string();
    let args = ["-r", roots.as_str()];
    ward.sh(&format!("mkdir '{roots}'; cp -r . '{roots}/main'; git -C '{roots}/main' worktree add -q ../linked -b topic"));
    let is_well = || ward.sh(&format!("git -C '{roots}/linked' rev-parse --verify -q topic"));
    for plant in ["mv main moved", "echo garbage > linked/.git", "rm moved/.git/worktrees/linked/commondir"] {
        ward.sh(&format!("cd '{roots}'; {plant}"));
        ward.heals("", &args, "roots", "linked cannot be opened");
        is_well();
    }
    ward.sh(&format!("mv '{roots}/moved/.git/worktrees/linked' '{roots}/pruned'"));
    let report = ward.report("", &args);
    let finding = report.find("roots", "which does not exist").unwrap_or_else(|| panic!("{:#?}", report.checks));
    assert!(finding["fix"].as_str().is_some_and(|fix| fix.contains("moved worktree add PATH BRANCH")), "{finding}");
    ward.sh(&format!("mv '{roots}/pruned' '{roots}/moved/.git/worktrees/linked'; cd '{roots}/linked'; rm .git; mkfifo .git"));
    assert!(ward.heals("", &args, "roots", "linked cannot be opened").starts_with("mv "));
    ward.sh(&format!("mkdir -p '{roots}/empty/.git'"));
    assert!(ward.heals("", &args, "roots", "is an empty directory").starts_with("mv "));
}

#[test]
fn world_writable_files_are_reported() {
    let ward = Ward::new();
    let path = ward.fixture.path.display().to_string();
    for name in ["", "/.git", "/.git/hooks", "/.git/config"] {
        ward.sh(&format!("chmod o+w '{path}{name}'"));
        let fix = ward.heals("", &["-r", &path], "trust", "every user can write");
        assert!(fix.ends_with(&format!("{path}{name}")), "{fix}");
    }
    let files = ["hooks/pre-commit", "config.worktree", "info/attributes", "objects/info/alternates"];
    for name in files {
        ward.sh(&format!("touch '.git/{name}'; chmod 777 '.git/{name}'"));
    }
    // git ignores samples, and a sticky directory protects its files: but any user can add a hook.
    ward.sh("touch .git/hooks/update.sample; chmod 777 .git/hooks/update.sample; chmod 1777 . .git/hooks");
    let report = ward.report("", &["-r", &path]);
    let open: Vec<String> = report.checks.iter().filter(|one| one["name"] == "trust").map(|one| one["fix"].to_string()).collect();
    for name in files.iter().chain(&["hooks"]) {
        assert!(open.iter().any(|fix| fix.ends_with(&format!("/.git/{name}\""))), "{name}: {open:?}");
    }
    assert_eq!(open.len(), files.len() + 1, "{open:?}");
}

#[test]
fn orphaned_locks_are_reported() -> Outcome {
    let ward = Ward::new();
    let path = ward.fixture.path.display().to_string();
    let args = ["-r", path.as_str()];
    ward.fixture.git(&["branch", "topic/one"]);
    for name in ["index.lock", "HEAD.lock", "shallow.lock", "packed-refs.lock", "config.lock", "refs/heads/topic/it's $(touch x).lock"] {
        let lock = ward.fixture.path.join(".git").join(name);
        fs::write(&lock, "")?;
        assert_eq!(ward.report("", &args).state("locks"), ["ok"], "a recent lock is in use");
        let old = fs::File::options().write(true).open(&lock)?;
        old.set_modified(std::time::SystemTime::now() - std::time::Duration::from_hours(1))?;
        let report = ward.report("", &args);
        assert!(report.find("locks", "is working there").is_some_and(|one| one["state"] == "note"), "{name}: {:#?}", report.checks);
        drop(old);
        ward.heals("", &args, "locks", "no process holds it");
        assert!(!lock.exists(), "{name}");
    }
    Ok(())
}

#[test]
fn locks_of_every_kind_are_reported() -> Outcome {
    let ward = Ward::new();
    let path = ward.fixture.path.display().to_string();
    ward.fixture.git(&["worktree", "add", "-q", "../linked"]);
    let names = [
        "ORIG_HEAD.lock",
        "FETCH_HEAD.lock",
        "MERGE_HEAD.lock",
        "objects/maintenance.lock",
        "refs/tags/v1.lock",
        "refs/remotes/origin/main.lock",
        "refs/stash.lock",
        "logs/refs/heads/main.lock",
        "reftable/tables.list.lock",
        "worktrees/linked/index.lock",
        "worktrees/linked/refs/bisect/bad.lock",
    ];
    for name in names {
        let lock = ward.fixture.path.join(".git").join(name);
        write(&lock, "");
        let old = fs::File::options().write(true).open(&lock)?;
        old.set_modified(std::time::SystemTime::now() - std::time::Duration::from_hours(1))?;
    }
    let report = ward.report("", &["-r", &path]);
    let fixes: Vec<&str> = report
        .checks
        .iter()
        .filter(|one| one["name"] == "locks" && one["state"] == "problem")
        .filter_map(|one| one["fix"].as_str())
        .collect();
    for name in names {
        assert!(fixes.contains(&format!("rm {path}/.git/{name}").as_str()), "{name}: {fixes:?}");
    }
    assert_eq!(ward.report(&fixes.join("\n"), &["-r", &path]).state("locks"), ["ok"]);
    Ok(())
}

#[test]
fn a_lock_held_while_an_editor_is_open_is_not_orphaned() -> Outcome {
    let ward = Ward::new();
    let path = ward.fixture.path.display().to_string();
    ward.fixture.write("a.txt", "changed\n");
    let mut command = std::process::Command::new("git");
    ward.within(command.args(["commit", "-a"]).env("GIT_EDITOR", "sleep 60;:").stdin(std::process::Stdio::null()));
    let mut git = command.stdout(std::process::Stdio::null()).spawn()?;
    let editor = ward.fixture.path.join(".git/COMMIT_EDITMSG");
    let before = editor.metadata()?.modified()?;
    wait_for("the editor", || editor.metadata().and_then(|meta| meta.modified()).is_ok_and(|now| now != before));
    let lock = fs::File::options().write(true).open(ward.fixture.path.join(".git/index.lock"))?;
    lock.set_modified(std::time::SystemTime::now() - std::time::Duration::from_hours(1))?;
    drop(lock);
    let report = ward.report("", &["-r", &path]);
    let finding = report.find("locks", &format!("(pid {}) is working there", git.id())).cloned();
    git.kill()?;
    git.wait()?;
    assert!(finding.is_some_and(|one| one["state"] == "note"), "{:#?}", report.checks);
    Ok(())
}

#[test]
fn operations_in_progress_are_reported() {
    let ward = Ward::new();
    let path = ward.fixture.path.display().to_string();
    let other = "git checkout -q -b other HEAD~1; echo other > a.txt; git commit -q -am other; git checkout -q main";
    ward.sh(other);
    for (begin, operation) in [
        ("git merge other", "merge"),
        ("git rebase other", "rebase"),
        ("git cherry-pick other", "cherry-pick"),
        ("echo x > a.txt; git commit -q -am x; git revert --no-edit HEAD~1", "revert"),
        ("git reset -q --hard; git bisect start", "bisect"),
        ("git format-patch -q -1 --stdout other > ../p; git am -3 ../p", "am"),
    ] {
        ward.sh(&format!("export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b; {{ {begin}; }} >/dev/null 2>&1 || :"));
        assert!(ward.report("", &["-r", &path]).state("operations") == ["note"], "{operation} is no fault");
        ward.heals_by("", &["-r", &path], "operations", &format!("{operation} is in progress"), |fix| {
            assert!(operation == "bisect" || fix.contains(&format!("{operation} --continue")), "{fix}");
            command(fix, &format!("{operation} {}", if operation == "bisect" { "reset" } else { "--abort" }))
        });
    }
}

#[test]
fn a_commit_from_the_future_is_reported() {
    let ward = Ward::new();
    let path = ward.fixture.path.display().to_string();
    // Only the commit time is wrong; a change is staged for the next commit.
    ward.sh("GIT_COMMITTER_DATE='@4102444800 +0000' git commit -q --allow-empty -m later --date='@1700000000 +0000'");
    ward.sh("echo staged > new; git add new");
    ward.heals_by("", &["-r", &path], "clock", "in the future", |fix| command(fix, "--amend"));
    assert_eq!(ward.fixture.git(&["log", "-1", "--format=%at %s"]), b"1700000000 later\n");
    assert_eq!(ward.fixture.git(&["diff", "--cached", "--name-only"]), b"new\n");
    ward.sh("git commit -q -m written --date='@4102444800 +0000'");
    assert_eq!(ward.report("", &["-r", &path]).state("clock"), ["ok"], "the author date is harmless");
}

#[test]
fn remotes_without_a_login_are_reported() {
    let ward = Ward::new();
    let path = ward.fixture.path.display().to_string();
    let args = ["-r", path.as_str()];
    ward.sh("git remote add origin https://user:hunter2@example.com/x.git");
    let report = ward.report("", &args);
    assert!(!format!("{:?}", report.checks).contains("hunter2"));
    ward.heals("", &args, "credentials", "no credential helper");
    ward.sh("git remote set-url origin git@example.com:x.git");
    let agent = ward.home.join("agent");
    let listener = std::os::unix::net::UnixListener::bind(&agent).expect("a socket");
    assert_eq!(ward.report(&format!("export SSH_AUTH_SOCK='{}'", agent.display()), &args).state("credentials"), ["ok"]);
    drop(listener);
    for (names_key, undo) in [
        ("export GIT_SSH_COMMAND='ssh -i /keys/one'", ":"),
        ("git config core.sshCommand 'ssh -i /keys/one'", "git config --unset core.sshCommand"),
        ("mkdir -p ~/.ssh; echo 'Include more' > ~/.ssh/config", "rm -r ~/.ssh"),
    ] {
        assert!(ward.report("", &args).find("credentials", "neither an agent").is_some());
        assert_eq!(ward.report(names_key, &args).state("credentials"), ["ok"], "{names_key}");
        ward.sh(undo);
    }
    if found("ssh-keygen").is_some() {
        ward.heals("", &args, "credentials", "neither an agent");
    } else {
        write(&ward.home.join(".ssh/id_ed25519"), "");
        assert_eq!(ward.report("", &args).state("credentials"), ["ok"]);
    }
}
