//! Staging against `git add`, on many unusual repositories: each is created twice, and both must be equal afterwards.

#![allow(clippy::disallowed_methods, reason = "the test owns the files")]

mod odd_repositories;

use git::{Cancel, Git, RelPath, Repo, Repositories, Roots, Route};
use odd_repositories::{Odd, Outcome};
use std::{
    fs::{self, File, Permissions},
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

/// Files that are new or replace others.
const NEW: [&str; 5] = ["new.txt", "fresh/deep/new.txt", "kept.log", "a b,(c)+.txt", "run.sh"];

fn open(odd: &Odd) -> Result<Arc<Repo>, git::Error> {
    let roots = Roots::new([odd.home.path().to_owned(), odd.path.clone()])?;
    Repositories::new(Git::new(None), roots).open(&odd.path)
}

/// Sets a file's time to well before the index's.
fn age(path: &Path, seconds: u64) -> Outcome {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + seconds);
    Ok(File::options().append(true).open(path)?.set_modified(time)?)
}

fn tracked(odd: &Odd) -> Vec<PathBuf> {
    let output = odd_repositories::git(&odd.path, &["ls-files", "-z"]).stdout;
    let names = output.split(|&byte| byte == 0).filter(|name| !name.is_empty());
    let mut names: Vec<PathBuf> = names.map(|name| PathBuf::from(std::ffi::OsStr::from_bytes(name))).collect();
    names.dedup();
    names.retain(|name| name.to_str().is_some_and(|name| RelPath::new(name, None).is_ok()));
    names.retain(|name| fs::symlink_metadata(odd.path.join(name)).is_ok_and(|found| found.is_file()));
    names
}

/// Changes and creates files. Returns their names.
fn edit(odd: &Odd) -> Result<Vec<PathBuf>, Box<dyn std::error::Error>> {
    let tracked = tracked(odd);
    for (name, seconds) in tracked.iter().zip(0..) {
        age(&odd.path.join(name), seconds)?;
    }
    odd_repositories::git(&odd.path, &["update-index", "-q", "--refresh"]);
    let mut edited = Vec::new();
    for name in tracked.iter().take(4).cloned().chain(NEW.map(PathBuf::from)) {
        let path = odd.path.join(&name);
        let folder = path.parent().ok_or("no folder")?;
        if fs::create_dir_all(folder).is_err() || path.is_dir() {
            continue;
        }
        let content = [fs::read(&path).unwrap_or_default(), format!("changed {}\n", name.display()).into_bytes()].concat();
        fs::write(&path, content)?;
        age(&path, 1000)?;
        if name == Path::new("run.sh") {
            fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        }
        edited.push(name);
    }
    // Replace a file with a folder, and a folder with a file.
    let replaced = tracked.iter().find(|name| !edited.contains(name) && name.parent() == Some(Path::new("")));
    if let Some(name) = replaced {
        fs::remove_file(odd.path.join(name))?;
        fs::create_dir(odd.path.join(name))?;
        edited.push(name.join("inside.txt"));
    }
    let folder = |name: &&PathBuf| name.components().count() > 1 && !edited.iter().any(|path| path.starts_with(top(name)));
    if let Some(folder) = tracked.iter().find(folder).map(|name| top(name)) {
        fs::remove_dir_all(odd.path.join(&folder))?;
        edited.push(folder);
    }
    for name in edited.iter().rev().take(2).filter(|name| !odd.path.join(name).exists()) {
        fs::write(odd.path.join(name), "in place\n")?;
        age(&odd.path.join(name), 1000)?;
    }
    Ok(edited)
}

fn top(name: &Path) -> PathBuf {
    name.components().take(1).collect()
}

#[track_caller]
fn same(ours: &Odd, gits: &Odd, name: &Path, args: &[&str]) {
    let (one, other) = (odd_repositories::git(&ours.path, args), odd_repositories::git(&gits.path, args));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(text(&one.stdout), text(&other.stdout), "{}: git {args:?} after {}", ours.name, name.display());
    assert_eq!(one.status.code(), other.status.code(), "{}: git {args:?} after {}", ours.name, name.display());
}

#[test]
fn staging_matches_git() -> Outcome {
    let (mut engine, mut cli) = (0, 0);
    for (ours, gits) in odd_repositories::all().into_iter().zip(odd_repositories::all()) {
        if odd_repositories::git(&ours.path, &["rev-parse", "--is-bare-repository"]).stdout == b"true\n" {
            continue;
        }
        let edited = edit(&ours)?;
        assert_eq!(edited, edit(&gits)?, "{}", ours.name);
        let repo = open(&ours)?;
        for name in edited {
            let path = RelPath::new(name.to_str().ok_or("not UTF-8")?, None)?;
            let done = repo.add(&[path], false, &Cancel::never()).map(|(_, route)| route);
            let pathspec = format!(":(literal){}", name.display());
            let expect = odd_repositories::git(&gits.path, &["add", "--", &pathspec]);
            assert_eq!(done.is_ok(), expect.status.success(), "{}: {}: {done:?} {expect:?}", ours.name, name.display());
            match done {
                Ok(Route::Engine) => engine += 1,
                Ok(Route::Cli) => cli += 1,
                Err(_) => {}
            }
            same(&ours, &gits, &name, &["ls-files", "--stage"]);
            same(&ours, &gits, &name, &["diff-files"]);
            same(&ours, &gits, &name, &["write-tree"]);
        }
        same(&ours, &gits, Path::new("all"), &["status", "--porcelain=v2"]);
        same(&ours, &gits, Path::new("all"), &["fsck", "--no-dangling"]);
        assert!(fs::read_dir(&repo.location().git_dir)?.flatten().all(|entry| !entry.file_name().to_string_lossy().starts_with("index.")));
    }
    assert!(engine >= 100 && cli >= 30, "both routes must be covered: {engine} in process, {cli} by git");
    Ok(())
}

#[test]
fn a_change_in_the_same_second_as_the_index_is_not_lost() -> Outcome {
    let odd = odd_repositories::all().into_iter().find(|odd| odd.name == odd_repositories::CLONE).ok_or("a clone")?;
    for name in tracked(&odd) {
        age(&odd.path.join(name), 0)?;
    }
    odd_repositories::git(&odd.path, &["update-index", "-q", "--refresh"]);
    let repo = open(&odd)?;
    let write = |name: &str, content: &str| -> Outcome {
        fs::write(odd.path.join(name), content)?;
        age(&odd.path.join(name), 100)
    };
    let add = |name: &str| -> Result<Route, git::Error> {
        repo.add(&[RelPath::new(name, None)?], false, &Cancel::never()).map(|(_, route)| route)
    };
    write("one", "before\n")?;
    assert_eq!(add("one")?, Route::Engine);
    // Same size as before and same time as the index: git must compare the content.
    write("one", "after!\n")?;
    age(&odd.path.join(".git/index"), 100)?;
    write("other", "seen nowhere else\n")?;
    assert_eq!(add("other")?, Route::Cli);
    let status = String::from_utf8(odd.git(&["status", "--porcelain"]))?;
    assert!(status.contains("AM one\n") && status.contains("A  other\n"), "{status}");
    Ok(())
}

/// Shell scripts run before the file after the colon is staged.
const LEFT_TO_GIT: [&str; 15] = [
    "true:n",
    "mkdir ../out; echo secret > ../out/f; ln -s ../out link:link/f",
    "mkdir p; echo f > p/n; ln -s p q:q/n",
    "mkdir ../out; echo outside > ../out/b; rm -r dir; ln -s ../out dir:dir/b",
    "echo n > .git/e.txt; git config core.excludesFile \"$PWD/.git/e.txt\":n",
    "git config core.excludesFile e.txt; echo n > e.txt:n",
    "git config attr.tree HEAD:n",
    "printf '[core]\\n\\tautocrlf\\n' >> .git/config; printf 'x\\r\\n' > n:n",
    "git config core.attributesFile my; echo '* text' > my; printf 'x\\r\\n' > n:n",
    "git config extensions.worktreeConfig true; git config --worktree core.autocrlf input; printf 'x\\r\\n' > n:n",
    "echo new > a; git update-index --cacheinfo 100644,$(git hash-object a),a:a",
    "mv .git/index .git/real; ln -s real .git/index:n",
    "git update-index --split-index:n",
    "echo '* working-tree-encoding=UTF-16' > .gitattributes:n",
    "echo '* ident' > .gitattributes; echo '$Id$' > n:n",
];

#[test]
fn cases_only_git_can_decide_are_left_to_git() -> Outcome {
    for case in LEFT_TO_GIT {
        let (script, name) = case.rsplit_once(':').ok_or("a file")?;
        let make = || {
            let odd = odd_repositories::plain();
            let age = "find . -name .git -prune -o -type f -exec touch -d 2001-01-01 {} +; git update-index -q --refresh";
            let script = format!("{age}; echo n > n; {script}; find . -name .git -prune -o -type f -exec touch -d 2002-01-01 {{}} +");
            odd.shell(&script);
            odd
        };
        let (ours, gits) = (make(), make());
        let done = open(&ours)?.add(&[RelPath::new(name, None)?], false, &Cancel::never()).map(|(_, route)| route);
        let expect = odd_repositories::git(&gits.path, &["add", "--", name]);
        assert_eq!(done.is_ok(), expect.status.success(), "{case}: {done:?} {expect:?}");
        assert!(case != "true:n" || matches!(done, Ok(Route::Engine)), "the plain case is staged in process");
        for args in [&["ls-files", "--stage"][..], &["write-tree"], &["fsck", "--no-dangling"]] {
            same(&ours, &gits, Path::new(case), args);
        }
        let kind = |odd: &Odd| fs::symlink_metadata(odd.path.join(".git/index")).map(|found| found.file_type().is_symlink());
        assert_eq!(kind(&ours)?, kind(&gits)?, "{case}");
    }
    Ok(())
}
