//! Commits against `git commit`: each repository is created twice, and both must be equal afterwards, file by file.

#![allow(clippy::disallowed_methods, clippy::panic, reason = "the test owns the files, and runs git itself")]

mod odd_repositories;

use engine::{Never, beneath::Folder, index::Index};
use git::{Cancel, CommitRequest, Committed, Git, Repo, Repositories, Roots, Route};
use odd_repositories::{Odd, Outcome};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

const IDENTITY: &str = "git config user.name 'A U Thor'; git config user.email author@example.com";
const MESSAGE: &str = "subject  with\tspaces\n\nbody\n# no comment\n\n\n";

const NO_CONFIG: [(&str, &str); 3] = [("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1"), ("LC_ALL", "C")];

/// Runs git with the identity that the repository's configuration has.
fn git_here(directory: &Path, args: &[&str]) -> Output {
    let output = Command::new("git").args(args).current_dir(directory).envs(NO_CONFIG).output();
    output.unwrap_or_else(|err| panic!("git {args:?}: {err}"))
}

/// Runs a script, which must succeed.
fn shell_here(directory: &Path, script: &str) {
    let output = Command::new("sh").args(["-c", script]).current_dir(directory).envs(NO_CONFIG).output();
    let output = output.unwrap_or_else(|err| panic!("{script}: {err}"));
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

fn open(odd: &Odd) -> Result<Arc<Repo>, git::Error> {
    let roots = Roots::new([odd.home.path().to_owned(), odd.path.clone()])?;
    Repositories::new(Git::new(None), roots).open(&odd.path)
}

fn commit(odd: &Odd, message: &str) -> Result<Committed, git::Error> {
    let request = CommitRequest { message: Some(message.to_owned()), ..CommitRequest::default() };
    open(odd)?.commit(&request, &Cancel::never())
}

/// The same commit, by git itself.
fn commit_with_git(odd: &Odd, message: &str) -> bool {
    let file = odd.home.path().join("message");
    fs::write(&file, message).is_ok()
        && git_here(&odd.path, &["commit", "--quiet", "--cleanup=verbatim", "-F", &file.to_string_lossy()]).status.success()
}

/// A text without the ids of the newest commits and without times.
fn masked(text: &[u8], ids: &[String]) -> String {
    let mut text = String::from_utf8_lossy(text).into_owned();
    for (id, number) in ids.iter().zip(0..) {
        text = text.replace(id, &format!("COMMIT{number}"));
    }
    let is_time = |word: &str| word.len() == 10 && word.starts_with('1') && word.bytes().all(|byte| byte.is_ascii_digit());
    let words = text.split_inclusive([' ', '\n']);
    words.map(|word| if is_time(word.trim_end()) { word.replace(word.trim_end(), "TIME") } else { word.to_owned() }).collect()
}

/// The newest commits, whose ids depend on the time.
fn newest(directory: &Path, revision: &str) -> Vec<String> {
    let listed = odd_repositories::git(directory, &["rev-list", "--first-parent", "-n", "3", revision]).stdout;
    String::from_utf8_lossy(&listed).lines().map(str::to_owned).collect()
}

fn files(dir: &Path, top: &Path, found: &mut Vec<PathBuf>) -> Outcome {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() && !path.is_symlink() {
            files(&path, top, found)?;
        } else {
            found.push(path.strip_prefix(top)?.to_owned());
        }
    }
    Ok(())
}

/// All that is below `.git` but reftables: objects by id, the index without the metadata of files, everything else by content.
fn state(odd: &Odd) -> Result<BTreeMap<String, String>, Box<dyn std::error::Error>> {
    let git_dir = PathBuf::from(String::from_utf8(odd.git(&["rev-parse", "--absolute-git-dir"]))?.trim());
    let common = PathBuf::from(String::from_utf8(odd.git(&["rev-parse", "--path-format=absolute", "--git-common-dir"]))?.trim());
    let ids = newest(&odd.path, "HEAD");
    let mut state = BTreeMap::new();
    let objects = odd.git(&["cat-file", "--batch-all-objects", "--batch-check", "--unordered"]);
    let mut objects: Vec<String> = masked(&objects, &ids).lines().map(str::to_owned).collect();
    objects.sort();
    state.insert("objects".to_owned(), objects.join("\n"));
    state.insert("commit".to_owned(), masked(&odd_repositories::git(&odd.path, &["cat-file", "-p", "HEAD"]).stdout, &ids));
    let mut found = Vec::new();
    files(&common, &common, &mut found)?;
    for name in found {
        let text = name.to_string_lossy().into_owned();
        let path = common.join(&name);
        let mode = fs::symlink_metadata(&path)?.permissions().mode();
        if text.starts_with("objects") {
            let modes = state.entry("modes of objects".to_owned()).or_insert_with(String::new);
            let mode = [format!("{mode:o}"), " ".to_owned()].concat();
            if !modes.contains(&mode) {
                *modes += &mode;
            }
        } else if !(text.starts_with("sharedindex") || text.starts_with("reftable") || path.is_symlink()) {
            let content = if text.ends_with("index") { String::new() } else { masked(&fs::read(path)?, &ids) };
            let content = content.replace(&*odd.home.path().to_string_lossy(), "HOME");
            state.insert(text, format!("{mode:o} {content}"));
        }
    }
    let kind = if ids.first().is_some_and(|id| id.len() == 64) { gix::hash::Kind::Sha256 } else { gix::hash::Kind::Sha1 };
    match Index::read(&Folder::open(&git_dir)?, kind, &Never) {
        Ok(Some((index, _))) => {
            let entry = |entry: &engine::index::Entry| {
                let path = String::from_utf8_lossy(index.path(entry));
                format!("{path} {:o} {} {} {:?}", entry.mode, entry.id, entry.stat.size, entry.flags)
            };
            let entries: Vec<String> = index.entries().iter().map(entry).collect();
            state.insert("entries".to_owned(), entries.join("\n"));
            state.insert("trees".to_owned(), format!("{:?}", index.tree()));
            state.insert("index".to_owned(), format!("version {}, {} bytes", index.version(), fs::metadata(git_dir.join("index"))?.len()));
        }
        read => {
            state.insert("entries".to_owned(), format!("{}", read.is_ok()));
        }
    }
    Ok(state)
}

/// What differs between two repositories.
fn differences(ours: &Odd, gits: &Odd) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let (one, other) = (state(ours)?, state(gits)?);
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let differing = names.into_iter().filter(|name| one.get(*name) != other.get(*name));
    Ok(differing.map(|name| format!("{name}: {:?} instead of {:?}", one.get(name), other.get(name))).collect())
}

/// Changes in every odd repository. Old files are not racy, whatever the time it takes.
const EDITS: &str = "find . -name .git -prune -o -type f -exec touch -d 2001-01-01 {} +; mkdir -p new/deep; echo 1 > new/deep/file; echo 2 > 'a b'; git rm -q --cached a.rs || true; git add new 'a b' || true";

#[test]
fn commits_match_git_in_odd_repositories() -> Outcome {
    let (mut engine, mut cli, mut wrong) = (0, 0, Vec::new());
    for (ours, gits) in odd_repositories::all().into_iter().zip(odd_repositories::all()) {
        if odd_repositories::git(&ours.path, &["rev-parse", "--is-bare-repository"]).stdout == b"true\n" {
            continue;
        }
        for odd in [&ours, &gits] {
            shell_here(&odd.path, &format!("{IDENTITY}; {EDITS}"));
        }
        for (message, edit) in [(MESSAGE, "true"), ("second", "echo 3 > new/deep/file; git add new/deep/file || true; echo four > 'a b'")] {
            for odd in [&ours, &gits] {
                shell_here(&odd.path, edit);
            }
            let done = commit(&ours, message);
            let message = if message.ends_with('\n') { message.to_owned() } else { format!("{message}\n") };
            assert_eq!(done.is_ok(), commit_with_git(&gits, &message), "{}: {done:?}", ours.name);
            match done.map(|committed| committed.route) {
                Ok(Route::Engine) => engine += 1,
                Ok(Route::Cli) => cli += 1,
                Err(_) => {}
            }
            wrong.extend(differences(&ours, &gits)?.into_iter().map(|found| format!("{}: {edit}: {found}", ours.name)));
        }
        let checked = |odd: &Odd| odd_repositories::git(&odd.path, &["fsck", "--no-dangling"]).status.code();
        assert_eq!(checked(&ours), checked(&gits), "{}", ours.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(engine >= 40 && cli >= 10, "both routes must be covered: {engine} in process, {cli} by git");
    Ok(())
}

/// Shell scripts before a commit, and whether it is made in-process. `T` makes all files older than the index.
const CASES: [(&str, bool); 34] = [
    ("echo 1 > a; git add a", true),
    ("echo 1 > a; git add a; touch dir/b", true),
    ("echo 1 > a; git add a; echo 2 > dir/b", true),
    ("echo 1 > a; git add a; echo different > a", true),
    ("echo 1 > a; git add a; rm dir/b", true),
    ("echo 1 > a; git add a; rm -r dir; ln -s .. dir", true),
    ("echo 1 > a; git add a; T", true),
    ("echo 1 > a; git add a; T; touch -d 2003-01-01 dir/b", true),
    ("git rm -q dir/b", true),
    ("git rm -q --cached a dir/b", true),
    ("chmod +x a; git add a", true),
    ("rm a; ln -s dir a; git add a", true),
    ("rm a; mkdir a; echo 1 > a/a; git add -A", true),
    ("git pack-refs --all; echo 1 > a; git add a", true),
    ("git checkout -q --detach; echo 1 > a; git add a", true),
    ("git checkout -qb topic/one.two; echo 1 > a; git add a", true),
    ("rm -r .git/logs; echo 1 > a; git add a", true),
    ("git update-index --index-version 4; echo 1 > a; git add a", true),
    ("git config index.threads 2; echo 1 > a; git add a", true),
    ("git config index.skipHash true; echo 1 > a; git add a", true),
    ("echo 1 > a; git add a; git write-tree", true),
    (
        "echo 1 > a; git add a; D='@1700000000 +0000'; t=$(git write-tree); \
         git branch kept $(GIT_AUTHOR_DATE=$D GIT_COMMITTER_DATE=$D git commit-tree -m kept $t); git repack -adq; \
         git read-tree --reset HEAD; git update-index -q --refresh || true; git add a",
        false,
    ),
    ("git config core.logAllRefUpdates false; echo 1 > a; git add a", false),
    ("git update-index --split-index; echo 1 > a; git add a", false),
    ("echo n > n; git add -N n; echo 1 > a; git add a", false),
    ("git update-index --assume-unchanged dir/b; echo 1 > a; git add a", false),
    (
        "mkdir -p .git/hooks; printf '#!/bin/sh\\necho hooked >> hooked' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit; echo 1 > a; git add a",
        false,
    ),
    ("git config commit.template t; echo 1 > a; git add a", false),
    ("git config i18n.commitEncoding UTF-8; echo 1 > a; git add a", false),
    ("git config core.compression 9; echo 1 > a; git add a", false),
    ("mkdir .git/rr-cache; echo 1 > a; git add a", false),
    ("git symbolic-ref refs/heads/link refs/heads/main; git checkout -q link; echo 1 > a; git add a", false),
    ("git config user.name ' A.'; echo 1 > a; git add a", false),
    ("git checkout -q --orphan fresh; echo 1 > a; git add a", false),
];

#[test]
fn each_case_is_committed_as_by_git() -> Outcome {
    let mut wrong = Vec::new();
    for (script, in_process) in CASES {
        let make = || {
            let odd = odd_repositories::plain();
            let age = "find . -name .git -prune -o -type f -exec touch -d 2001-01-01 {} +; git update-index -q --refresh || true";
            shell_here(&odd.path, &format!("{IDENTITY}; {age}; {}", script.replace("; T", &format!("; {}", age.replace("2001", "2002")))));
            odd
        };
        let (ours, gits) = (make(), make());
        let done = commit(&ours, MESSAGE);
        assert_eq!(done.is_ok(), commit_with_git(&gits, MESSAGE), "{script}: {done:?}");
        wrong.extend(differences(&ours, &gits)?.into_iter().map(|found| format!("{script}: {found}")));
        let route = done.map(|committed| committed.route).ok();
        if (route == Some(Route::Engine)) != in_process {
            wrong.push(format!("{script}: {route:?}"));
        }
        let status = ["status", "--porcelain=v2", "--branch", "--untracked-files=no"];
        let text = |odd: &Odd| masked(&odd.git(&status), &newest(&odd.path, "HEAD"));
        assert_eq!(text(&ours), text(&gits), "{script}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn nothing_is_left_of_a_commit_without_changes() -> Outcome {
    let odd = odd_repositories::plain();
    shell_here(&odd.path, IDENTITY);
    let before = odd.git(&["rev-parse", "HEAD"]);
    assert!(matches!(commit(&odd, "nothing"), Err(git::Error::NothingStaged)));
    assert_eq!(odd.git(&["rev-parse", "HEAD"]), before);
    let request = CommitRequest { message: Some("empty".to_owned()), allow_empty: true, ..CommitRequest::default() };
    let committed = open(&odd)?.commit(&request, &Cancel::never())?;
    assert_eq!((committed.route, committed.parent, committed.before), (Route::Engine, committed.before, committed.parent));
    assert_eq!(odd.git(&["rev-parse", "HEAD"]), format!("{}\n", committed.id).into_bytes());
    let mut left = fs::read_dir(odd.path.join(".git"))?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    assert!(!left.any(|name| name.contains(".lock") || name.contains("mcp-")));
    Ok(())
}

#[test]
fn a_locked_reference_is_not_moved() -> Outcome {
    for lock in ["refs/heads/main.lock", "HEAD.lock", "index.lock"] {
        let odd = odd_repositories::plain();
        shell_here(&odd.path, &format!("{IDENTITY}; echo 1 > a; git add a"));
        let (head, log) = (odd.git(&["rev-parse", "HEAD"]), fs::read(odd.path.join(".git/logs/HEAD"))?);
        fs::write(odd.path.join(".git").join(lock), "")?;
        let done = commit(&odd, MESSAGE);
        assert!(done.is_err(), "{lock}: {done:?}");
        assert_eq!((odd.git(&["rev-parse", "HEAD"]), fs::read(odd.path.join(".git/logs/HEAD"))?), (head, log), "{lock}");
        for other in ["refs/heads/main.lock", "HEAD.lock", "index.lock"] {
            assert_eq!(odd.path.join(".git").join(other).exists(), other == lock, "{lock}: {other}");
        }
        fs::remove_file(odd.path.join(".git").join(lock))?;
        assert_eq!(commit(&odd, MESSAGE)?.route, Route::Engine, "{lock}");
    }
    Ok(())
}

#[test]
fn a_linked_worktree_has_its_own_head() -> Outcome {
    let make = || {
        let odd = odd_repositories::plain();
        shell_here(&odd.path, &format!("{IDENTITY}; git worktree add -q ../linked -b side; cd ../linked; echo 1 > a; git add a"));
        odd
    };
    let (ours, gits) = (make(), make());
    let linked = |odd: &Odd| odd.path.with_file_name("linked");
    let roots = Roots::new([ours.home.path().to_owned(), ours.path.clone(), linked(&ours)])?;
    let repo = Repositories::new(Git::new(None), roots).open(&linked(&ours))?;
    let request = CommitRequest { message: Some(MESSAGE.to_owned()), ..CommitRequest::default() };
    assert_eq!(repo.commit(&request, &Cancel::never())?.route, Route::Engine);
    fs::write(gits.home.path().join("message"), MESSAGE)?;
    let message = gits.home.path().join("message");
    let done = git_here(&linked(&gits), &["commit", "-q", "--cleanup=verbatim", "-F", &message.to_string_lossy()]);
    assert!(done.status.success());
    let logs = |odd: &Odd| -> Result<Vec<String>, Box<dyn std::error::Error>> {
        let ids = newest(&odd.path, "side");
        let git_dir = odd.path.join(".git");
        let names =
            ["logs/HEAD", "logs/refs/heads/side", "worktrees/linked/logs/HEAD", "worktrees/linked/HEAD", "worktrees/linked/COMMIT_EDITMSG"];
        names.iter().map(|name| Ok(masked(&fs::read(git_dir.join(name))?, &ids))).collect()
    };
    assert_eq!(logs(&ours)?, logs(&gits)?);
    Ok(())
}
