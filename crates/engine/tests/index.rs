//! The index reader against `git ls-files`, on index files that git wrote in each version and setting.

#![allow(clippy::disallowed_methods, clippy::panic, clippy::format_collect, reason = "tests create their repositories with git itself")]

mod made;

use engine::{Error, index::Index};
use gix::hash::Kind;
use made::{Outcome, Repo};
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// Entries as git lists them.
fn listed(repo: &Repo) -> String {
    let text = repo.git(&["-c", "core.quotePath=false", "ls-files", "--sparse", "--stage", "--debug"], "");
    // Flags that git has only in memory do not count.
    let mask = |line: &str| match line.split_once("flags: ") {
        Some((head, flags)) => format!("{head}flags: {:x}\n", u32::from_str_radix(flags, 16).unwrap_or_default() & 0x6000_b000),
        None => format!("{line}\n"),
    };
    text.lines().map(mask).collect()
}

#[track_caller]
fn check(repo: &Repo) -> Index {
    let index = repo.read().unwrap_or_else(|err| panic!("{err}")).unwrap_or_else(|| panic!("no index"));
    assert_eq!(ours(&index), listed(repo));
    index
}

fn ours(index: &Index) -> String {
    let mut text = String::new();
    for entry in index.entries() {
        let (stat, flags) = (&entry.stat, entry.flags);
        let bits = u32::from(flags.stage()) << 12
            | u32::from(flags.assume_valid()) << 15
            | u32::from(flags.skip_worktree()) << 30
            | u32::from(flags.intent_to_add()) << 29;
        let path = String::from_utf8_lossy(index.path(entry));
        let _ = writeln!(text, "{:06o} {} {}\t{path}", entry.mode, entry.id, flags.stage());
        let _ = writeln!(text, "  ctime: {}:{}", stat.ctime.seconds, stat.ctime.nanoseconds);
        let _ = writeln!(text, "  mtime: {}:{}", stat.mtime.seconds, stat.mtime.nanoseconds);
        let _ = writeln!(text, "  dev: {}\tino: {}\n  uid: {}\tgid: {}", stat.dev, stat.ino, stat.uid, stat.gid);
        let _ = writeln!(text, "  size: {}\tflags: {bits:x}", stat.size);
    }
    text
}

/// Scripts after which the index is read.
const SCRIPTS: [&str; 14] = [
    "",
    "git rm -q --cached a dir/b",
    "git update-index --assume-unchanged a; git update-index --skip-worktree dir/b",
    "echo n > n; git add -N n",
    "git update-index --index-version 4",
    "git update-index --index-version 4; git update-index --skip-worktree a",
    "git config index.skipHash true; echo n > n; git add n",
    "git config index.threads 2; echo n > n; git add n",
    "git config index.threads true; git config index.recordOffsetTable true; echo n > n; git add n",
    "git update-index --untracked-cache; git status -s",
    "git update-index --split-index; echo n > n; git add n; git rm -q --cached a; echo changed > dir/b; git add dir/b",
    "git update-index --index-version 4; git update-index --split-index; echo n > n; echo z > dir/a; git add n dir/a; git rm -q --cached a",
    "git update-index --split-index; git rm -qrf .; mkdir -p dir; for n in 1 2 3 4 5 6 7 8 9; do echo $n > dir/$n; done; git add dir",
    "git checkout -q -b o; echo o > a; git commit -qam o; git checkout -q main; echo m > a; git commit -qam m; git merge o || true",
];

#[test]
fn entries_are_those_that_git_lists() -> Outcome {
    for format in ["sha1", "sha256"] {
        for script in SCRIPTS {
            let repo = Repo::new(format);
            assert!(repo.read()?.is_none(), "no index yet");
            let many =
                "for n in 0 1 2 3 4 5 6; do mkdir -p d$n/e$((n % 3)); for m in 0 1 2 3 4; do echo $n > d$n/e$((n % 3))/$m; done; done";
            let long = "mkdir -p $(printf 'l%0200d/m%0200d' 1 1); touch $(printf 'l%0200d/m%0200d/x' 1 1)";
            repo.shell(&format!(
                "git config user.name n; git config user.email e; mkdir dir; echo a > a; echo b > dir/b; ln -s a s; \
                 echo x > x; chmod +x x; {many}; {long}; git add .; git commit -qm first; {script}"
            ));
            let index = check(&repo);
            assert_eq!(index.is_split(), script.contains("--split-index"), "{script}");
            assert_eq!(index.has_conflicts(), script.contains("merge"), "{script}");
            assert_eq!(index.has_untracked_cache(), script.contains("--untracked-cache"), "{script}");
        }
    }
    Ok(())
}

#[test]
fn a_sparse_index_has_directories() -> Outcome {
    let repo = Repo::new("sha1");
    repo.shell(
        "git config user.name n; git config user.email e; mkdir -p in out/deep; echo a > a; echo b > in/b; echo c > out/deep/c; \
         git add .; git commit -qm first; git sparse-checkout set --cone --sparse-index in",
    );
    let index = check(&repo);
    assert!(index.is_sparse());
    assert!(index.find(b"out/", 0).ok_or("a directory")?.is_sparse_folder());
    assert_eq!(index.range_of_dir(b"out").len(), 1);
    Ok(())
}

/// Names in which order and prefixes matter.
const NAMES: [&str; 16] =
    ["a", "a-b", "a.b", "a/b", "a/b-c", "a/bc", "a0", "b/a/b/c", "b/a/b0", "b/a-b", "b/b", "b0/a", "c/\u{e9}", "d", "d-/x", "dd/x"];

#[test]
fn entries_and_directories_are_found() {
    let repo = Repo::new("sha1");
    let id = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";
    let usable = NAMES.iter().filter(|name| **name != "a");
    let input: String = usable.clone().map(|name| format!("100644 {id}\t{name}\n")).collect();
    repo.git(&["update-index", "--index-info"], &input);
    let index = check(&repo);
    for name in NAMES {
        assert_eq!(index.find(name.as_bytes(), 0).is_some(), name != "a", "{name}");
        let below = format!("{name}/");
        let expect: Vec<&[u8]> = index.entries().iter().map(|e| index.path(e)).filter(|path| path.starts_with(below.as_bytes())).collect();
        let range = index.range_of_dir(name.as_bytes());
        let found: Vec<&[u8]> = index.entries()[range].iter().map(|entry| index.path(entry)).collect();
        assert_eq!(found, expect, "{name}");
    }
    assert_eq!(index.range_of_dir(b"b/a"), index.position(b"b/a/", 0).unwrap_err()..index.position(b"b/a0", 0).unwrap_err());
    assert_eq!(index.range_of_dir(b"").len(), NAMES.len() - 1);
}

/// The trees of the index, one a line.
fn trees(index: &Index) -> Vec<String> {
    let mut all = Vec::new();
    let mut open: Vec<_> = index.tree().and_then(engine::index::TreeCache::root).map(|root| (String::new(), root)).into_iter().collect();
    while let Some((path, tree)) = open.pop() {
        all.push(format!("{path} {:?} {:?}", tree.entry_count(), tree.id()));
        for child in tree.children() {
            let name = String::from_utf8_lossy(child.name()).into_owned();
            assert_eq!(tree.child(child.name()).map(|found| found.name()), Some(child.name()));
            open.push((format!("{path}{name}/"), child));
        }
        assert!(tree.child(b"no such name").is_none());
    }
    all
}

#[test]
fn cached_trees_are_those_of_the_commit_until_touched() -> Outcome {
    let repo = Repo::new("sha1");
    repo.shell(
        "git config user.name n; git config user.email e; mkdir -p dir/deep longer/x other; echo a > a; echo b > dir/deep/b; \
         echo c > dir/c; echo d > longer/x/d; echo e > other/e; git add .; git commit -qm first",
    );
    let id = |path: &str| repo.git(&["rev-parse", &format!("HEAD:{path}")], "").trim().to_owned();
    let index = check(&repo);
    let lines = trees(&index);
    for (path, entries) in [("", 5), ("dir/", 2), ("dir/deep/", 1), ("longer/", 1), ("longer/x/", 1), ("other/", 1)] {
        let line = format!("{path} Some({entries}) Some({:?})", gix::ObjectId::from_hex(id(path).as_bytes())?);
        assert!(lines.contains(&line), "{line} in {lines:?}");
    }
    assert_eq!(lines.len(), 6);
    repo.shell("echo x > dir/c; git add dir/c");
    let lines = trees(&check(&repo));
    for path in ["", "dir/"] {
        assert!(lines.contains(&format!("{path} None None")), "{lines:?}");
    }
    assert_eq!(lines.iter().filter(|line| line.contains("Some")).count(), 4);
    Ok(())
}

/// Index files with every extension and version.
fn samples() -> Vec<(PathBuf, Repo)> {
    let mut all = Vec::new();
    for script in SCRIPTS {
        let repo = Repo::new("sha1");
        repo.shell(&format!(
            "git config user.name n; git config user.email e; mkdir -p dir/deep; echo a > a; echo b > dir/b; echo c > dir/deep/c; \
             git add .; git commit -qm first; {script}"
        ));
        all.push((repo.path.join(".git/index"), repo));
    }
    all
}

/// Replaces the checksum, so that the change before it is read.
fn seal(content: &mut [u8]) -> Outcome {
    let end = content.len().checked_sub(20).ok_or("too short")?;
    let mut hasher = gix::hash::hasher(Kind::Sha1);
    hasher.update(&content[..end]);
    content[end..].copy_from_slice(hasher.try_finalize()?.as_bytes());
    Ok(())
}

fn parse(content: &[u8], git_dir: &Path) -> Result<Index, Error> {
    Index::parse(content, Kind::Sha1, |base| {
        fs::read(git_dir.join(format!("sharedindex.{base}"))).map_err(Error::io("reading the shared index"))
    })
}

#[test]
fn damaged_files_are_refused_or_read_but_never_crash() -> Outcome {
    for (path, repo) in samples() {
        let whole = fs::read(&path)?;
        let git_dir = repo.path.join(".git");
        assert!(parse(&whole, &git_dir).is_ok());
        for end in 0..whole.len() {
            assert!(parse(&whole[..end], &git_dir).is_err(), "the checksum is missing");
            let mut part = whole[..end].to_vec();
            if seal(&mut part).is_ok() {
                let _ = parse(&part, &git_dir);
            }
        }
        for at in 0..whole.len() - 20 {
            for flip in [1, 0x80, 0xff] {
                let mut changed = whole.clone();
                changed[at] ^= flip;
                if whole[whole.len() - 20..] != [0; 20] {
                    assert!(parse(&changed, &git_dir).is_err(), "the checksum does not match");
                }
                seal(&mut changed)?;
                if let Ok(index) = parse(&changed, &git_dir) {
                    let paths = index.entries().iter().map(|entry| index.path(entry));
                    assert!(paths.clone().all(|path| !path.is_empty() && !path.starts_with(b"/")) && paths.is_sorted());
                }
            }
        }
    }
    Ok(())
}

#[test]
fn hostile_counts_and_depths_are_bounded() -> Outcome {
    let index = |entries: u32, extension: &[u8]| -> Result<Vec<u8>, Box<dyn std::error::Error>> {
        let size = u32::try_from(extension.len())?.to_be_bytes();
        let mut content = [&b"DIRC\0\0\0\x02"[..], &entries.to_be_bytes(), b"TREE", &size, extension, &[0; 20]].concat();
        seal(&mut content)?;
        Ok(content)
    };
    assert!(matches!(parse(&index(u32::MAX, b"")?, Path::new("/")), Err(Error::Corrupt(_))));
    // A million directories, each in the one before.
    let deep: Vec<u8> = b"\0-1 1\n".iter().chain(b"a\0-1 1\n".repeat(1_000_000).iter()).chain(b"a\0-1 0\n").copied().collect();
    let parsed = parse(&index(0, &deep)?, Path::new("/"))?;
    assert_eq!(trees_below(&parsed), 1_000_002);
    // A directory that claims more than there are.
    assert!(parse(&index(0, b"\0-1 2000000000\n")?, Path::new("/"))?.tree().is_none());
    Ok(())
}

fn trees_below(index: &Index) -> usize {
    let mut count = 0;
    let mut open: Vec<_> = index.tree().and_then(engine::index::TreeCache::root).into_iter().collect();
    while let Some(tree) = open.pop() {
        count += 1;
        open.extend(tree.children());
    }
    count
}
