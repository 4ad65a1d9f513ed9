//! Faults of roots and repositories.

use super::{Outcome, Ward, is_root, write};
use crate::support::wire::wait_for;
use std::fs;

#[test]
fn roots_that_cannot_be_used_are_told() -> Outcome {
    let ward = Ward::new();
    let missing = ward.home.join("not there");
    ward.heals("", &["-r", &missing.display().to_string()], "roots", "does not exist");
    let empty = ward.home.join("empty");
    fs::create_dir(&empty)?;
    ward.heals("", &["-r", &empty.display().to_string()], "roots", "holds no repository");
    let file = ward.home.join("file");
    fs::write(&file, "")?;
    let config = ward.config(&format!("repositories = [\"{}\"]\n", file.display()));
    ward.heals_by("", &[], "roots", "is no folder", |_| format!("sed -i 's|file|empty|' '{}'", config.display()));
    fs::remove_file(&config)?;
    ward.heals_by("cd /", &[], "roots", "no root is named", |fix| {
        assert!(fix.contains("-r PATH"), "{fix}");
        format!("set -- \"$@\" -r '{}'", ward.fixture.path.display())
    });
    Ok(())
}

#[test]
fn roots_that_may_not_be_written_are_told() -> Outcome {
    let ward = Ward::new();
    if is_root() {
        eprintln!("not tried: root may write anywhere");
        return Ok(());
    }
    fs::set_permissions(&ward.fixture.path, std::os::unix::fs::PermissionsExt::from_mode(0o555))?;
    let path = ward.fixture.path.display().to_string();
    assert!(ward.told("", &["-r", &path, "--read-only"]).find("roots", "cannot be").is_none());
    ward.heals("", &["-r", &path], "roots", "cannot be read and written");
    Ok(())
}

#[test]
fn a_repository_of_another_user_is_told() -> Outcome {
    let ward = Ward::new();
    if !is_root() {
        eprintln!("not tried: a repository of another user needs root");
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
fn a_hostile_repository_is_told_and_does_not_hold_the_doctor_up() -> Outcome {
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
    ward.told("", &["-r", &roots]);
    assert!(!ran.exists(), "a program that the repository names was run");
    ward.sh(&format!("cd '{}/.git'; rm HEAD; mkfifo HEAD", hostile.display()));
    let fix = ward.heals("", &["-r", &roots], "roots", "cannot be opened");
    assert!(fix.starts_with("mv ") && !ran.exists(), "{fix}");
    Ok(())
}

#[test]
fn what_every_user_can_write_is_told() {
    let ward = Ward::new();
    let path = ward.fixture.path.display().to_string();
    for name in ["", "/.git/hooks", "/.git/config"] {
        ward.sh(&format!("chmod o+w '{path}{name}'"));
        let fix = ward.heals("", &["-r", &path], "trust", "every user can write");
        assert!(fix.ends_with(&format!("{path}{name}")), "{fix}");
    }
}

#[test]
fn locks_that_were_left_are_told() -> Outcome {
    let ward = Ward::new();
    let path = ward.fixture.path.display().to_string();
    let args = ["-r", path.as_str()];
    ward.fixture.git(&["branch", "topic/one"]);
    for name in ["index.lock", "HEAD.lock", "shallow.lock", "packed-refs.lock", "config.lock", "refs/heads/topic/it's $(touch x).lock"] {
        let lock = ward.fixture.path.join(".git").join(name);
        fs::write(&lock, "")?;
        assert_eq!(ward.told("", &args).state("locks"), ["ok"], "a young one is one in use");
        let old = fs::File::options().write(true).open(&lock)?;
        old.set_modified(std::time::SystemTime::now() - std::time::Duration::from_hours(1))?;
        let told = ward.told("", &args);
        assert!(told.find("locks", "is at work there").is_some_and(|one| one["state"] == "note"), "{name}: {:#?}", told.checks);
        drop(old);
        ward.heals("", &args, "locks", "no process holds it");
        assert!(!lock.exists(), "{name}");
    }
    Ok(())
}

#[test]
fn a_lock_that_git_has_closed_while_an_editor_is_open_is_no_left_one() -> Outcome {
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
    let told = ward.told("", &["-r", &path]);
    let finding = told.find("locks", &format!("(pid {}) is at work there", git.id())).cloned();
    git.kill()?;
    git.wait()?;
    assert!(finding.is_some_and(|one| one["state"] == "note"), "{:#?}", told.checks);
    Ok(())
}

#[test]
fn operations_in_progress_are_told() {
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
        let fix = ward.heals("", &["-r", &path], "operations", &format!("a {operation} is in progress"));
        assert!(fix.contains(operation), "{fix}");
    }
}

#[test]
fn a_commit_from_the_future_is_told() {
    let ward = Ward::new();
    ward.sh("git commit -q --allow-empty -m later --date='@4102444800 +0000'");
    ward.heals_by("", &["-r", &ward.fixture.path.display().to_string()], "clock", "in the future", |fix| {
        fix.split('`').find(|part| part.contains("--amend")).unwrap_or_default().to_owned()
    });
}

#[test]
fn remotes_without_a_login_are_told() {
    let ward = Ward::new();
    let path = ward.fixture.path.display().to_string();
    let args = ["-r", path.as_str()];
    ward.sh("git remote add origin https://user:hunter2@example.com/x.git");
    let told = ward.told("", &args);
    assert!(!format!("{:?}", told.checks).contains("hunter2"));
    ward.heals("", &args, "credentials", "no credential helper");
    ward.sh("git remote set-url origin git@example.com:x.git");
    let agent = ward.home.join("agent");
    let listener = std::os::unix::net::UnixListener::bind(&agent).expect("a socket");
    assert_eq!(ward.told(&format!("export SSH_AUTH_SOCK='{}'", agent.display()), &args).state("credentials"), ["ok"]);
    drop(listener);
    if super::has("ssh-keygen") {
        ward.heals("", &args, "credentials", "neither an agent");
    } else {
        eprintln!("not tried: ssh-keygen is absent");
        write(&ward.home.join(".ssh/id_ed25519"), "");
        assert_eq!(ward.told("", &args).state("credentials"), ["ok"]);
    }
}
