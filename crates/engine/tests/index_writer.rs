//! The index writer against git: the same change gives the same file, byte for byte.

#![allow(clippy::disallowed_methods, clippy::panic, reason = "tests create their repositories with git itself")]

mod made;

use engine::{
    Error, Never,
    index::{Index, NewEntry, Objects, WriteOptions},
};
use gix::ObjectId;
use made::{Outcome, Repo};
use proptest::prelude::*;
use std::{collections::BTreeMap, fs};

/// A repository with directories whose names differ in length and order.
fn repository(format: &str, settings: &str) -> Repo {
    let repo = Repo::new(format);
    repo.shell(&format!(
        "git config user.name n; git config user.email e; {settings}
         mkdir -p dir/deep dir/deep-er long-name/x b/c/d; echo a > a; echo b > dir/b; echo c > dir/deep/c; echo d > dir/deep-er/d
         echo e > long-name/x/e; echo f > b/c/d/f; echo g > b/g; ln -s a link; echo x > x; chmod +x x
         git add .; git commit -qm first; find . -name .git -prune -o -exec touch -hd 2001-01-01 {{}} +; git update-index -q --refresh"
    ));
    repo
}

fn index(repo: &Repo) -> Index {
    repo.read().unwrap_or_else(|err| panic!("{err}")).unwrap_or_else(|| panic!("no index"))
}

/// The states of paths in an index.
fn changes(after: &Index, touched: &[&str]) -> BTreeMap<Vec<u8>, Option<NewEntry>> {
    let new = |path: &str| after.find(path.as_bytes(), 0).map(|new| NewEntry { stat: new.stat, id: new.id, mode: new.mode });
    touched.iter().map(|path| (path.as_bytes().to_vec(), new(path))).collect()
}

/// Scripts, settings of the repository, and the paths that the script changes.
const CASES: [(&str, &str, &[&str]); 20] = [
    ("echo 1 > a; git add a", "", &["a"]),
    ("echo 1 > dir/deep/c; git add dir/deep/c", "", &["dir/deep/c"]),
    ("touch a; git add a", "", &["a"]),
    ("echo 1 > n; echo 2 > dir/n; git add n dir/n", "", &["dir/n", "n"]),
    ("mkdir -p new/deep; echo 1 > new/deep/n; git add new", "", &["new/deep/n"]),
    ("git rm -q --cached a dir/deep/c", "", &["a", "dir/deep/c"]),
    ("git rm -rq --cached .", "", &["a", "b/c/d/f", "b/g", "dir/b", "dir/deep-er/d", "dir/deep/c", "link", "long-name/x/e", "x"]),
    ("rm -r dir/deep; echo 1 > dir/deep; git add dir/deep", "", &["dir/deep"]),
    ("rm a; mkdir a; echo 1 > a/a; git update-index --add --replace a/a", "", &["a/a"]),
    ("git update-index --force-remove dir/deep", "", &["dir/deep"]),
    ("chmod -x x; git update-index x", "", &["x"]),
    ("echo 1 > a; git add a", "git config index.version 4;", &["a"]),
    ("git rm -q --cached a; echo 1 > b/ca; git add b/ca", "git config index.version 4;", &["a", "b/ca"]),
    ("echo 1 > a; git add a", "git config index.skipHash true;", &["a"]),
    ("echo 1 > a; git add a", "git config index.recordEndOfIndexEntries true;", &["a"]),
    ("echo 1 > a; git add a", "git config index.threads 3;", &["a"]),
    ("echo 1 > a; git add a", "git config index.threads 3; git config index.version 4;", &["a"]),
    ("echo 1 > n; git add n", "git config index.threads 3; git config index.recordEndOfIndexEntries false;", &["n"]),
    ("echo 1 > n; git add n", "git config index.threads 100;", &["n"]),
    ("git update-index --skip-worktree b/g; echo 1 > a; git add a", "", &["a"]),
];

fn options(settings: &str) -> WriteOptions {
    let blocks = if settings.contains("threads 100") {
        100
    } else if settings.contains("threads") {
        3
    } else {
        0
    };
    let end_of_entries = settings.contains("IndexEntries true") || settings.contains("threads") && !settings.contains("IndexEntries false");
    WriteOptions { skip_hash: settings.contains("skipHash"), end_of_entries, blocks }
}

#[test]
fn changes_give_the_file_that_git_writes() -> Outcome {
    for format in ["sha1", "sha256"] {
        for (script, settings, touched) in CASES {
            let repo = repository(format, settings);
            let script = match script.split_once("; ").filter(|(first, _)| first.contains("skip-worktree")) {
                Some((first, rest)) => {
                    repo.shell(first);
                    rest
                }
                None => script,
            };
            let path = repo.path.join(".git/index");
            let mut ours = index(&repo);
            assert!(ours.to_bytes(options(settings))? == fs::read(&path)?, "{settings}: unchanged");
            repo.shell(script);
            let after = index(&repo);
            ours.apply(&changes(&after, touched))?;
            let (ours, theirs) = (ours.to_bytes(options(settings))?, fs::read(&path)?);
            assert_eq!(String::from_utf8_lossy(&ours), String::from_utf8_lossy(&theirs), "{settings} {script}");
            assert!(ours == theirs, "{settings} {script}");
        }
    }
    Ok(())
}

struct Database(gix::Repository);

impl Objects for Database {
    fn has(&self, id: &ObjectId) -> Result<bool, Error> {
        Ok(self.0.has_object(id))
    }

    fn write_tree(&self, content: &[u8]) -> Result<ObjectId, Error> {
        gix::objs::compute_hash(self.0.object_hash(), gix::objs::Kind::Tree, content).map_err(Error::corrupt)
    }
}

#[test]
fn trees_are_cached_as_by_a_commit() -> Outcome {
    for format in ["sha1", "sha256"] {
        for (script, settings, _) in CASES {
            let repo = repository(format, settings);
            repo.shell(&format!(
                "{script}; find . -name .git -prune -o -exec touch -hd 2001-01-01 {{}} +; git update-index -q --refresh || true"
            ));
            let mut ours = index(&repo);
            let _ = repo.git(&["commit", "-qm", "second", "--allow-empty"], "");
            let tree = ours.write_trees(&Database(gix::open(&repo.path)?), &Never)?;
            assert_eq!(tree.to_string(), repo.git(&["rev-parse", "HEAD^{tree}"], "").trim(), "{script}");
            let (ours, theirs) = (ours.to_bytes(options(settings))?, fs::read(repo.path.join(".git/index"))?);
            assert_eq!(String::from_utf8_lossy(&ours), String::from_utf8_lossy(&theirs), "{settings} {script}");
        }
    }
    Ok(())
}

/// Differences as `git diff-index --cached --raw` lists them, with conflicts as one line.
fn staged(repo: &Repo) -> Result<String, Box<dyn std::error::Error>> {
    let objects = gix::open(&repo.path)?;
    let head = objects.head_commit().ok().and_then(|head| head.tree_id().ok()).map(gix::Id::detach);
    let mut text = String::new();
    for found in index(repo).staged(&objects, head, &Never)? {
        let (zero, null) = (0, repo.kind.null());
        let (old, new) = (found.old.unwrap_or((zero, null)), found.new.unwrap_or((zero, null)));
        let letter = match (found.old, found.new, &found.unmerged) {
            (_, _, Some(_)) => 'U',
            (None, ..) => 'A',
            (_, None, _) => 'D',
            (Some((old, _)), Some((new, _)), _) if old & 0o170_000 != new & 0o170_000 => 'T',
            _ => 'M',
        };
        let path = String::from_utf8_lossy(&found.path).into_owned();
        if letter == 'U' {
            text += &["U\t", &path, "\n"].concat();
        } else {
            let sides = format!(":{:06o} {:06o} {} {} {letter}\t", old.0, new.0, old.1, new.1);
            text += &[&sides, path.as_str(), "\n"].concat();
        }
    }
    Ok(text)
}

fn listed(repo: &Repo) -> String {
    let text = repo.git(&["-c", "core.quotePath=false", "diff-index", "--cached", "--raw", "--abbrev=64", "HEAD"], "");
    let line = |line: &str| line.split_once(" U\t").map_or_else(|| format!("{line}\n"), |(_, path)| format!("U\t{path}\n"));
    let mut lines: Vec<String> = text.lines().map(line).collect();
    lines.sort_by(|one, other| one.split('\t').next_back().cmp(&other.split('\t').next_back()));
    lines.dedup();
    lines.concat()
}

/// Scripts with staged changes.
const STAGED: [&str; 12] = [
    "",
    "echo 1 > a; echo 2 > dir/deep/n; git rm -q --cached b/g; git add .",
    "git rm -rq --cached .",
    "git rm -rq --cached dir; echo 1 > dir.x; git add dir.x",
    "rm -r dir; echo 1 > dir; git add -A",
    "rm a; mkdir a; echo 1 > a/x; git add -A",
    "rm link; echo 1 > link; chmod +x a; git add -A",
    "git checkout -qb o; echo o > a; git rm -q b/g; git commit -qam o; git checkout -q main; echo m > a; echo m > b/g; git commit -qam m; git merge -q o || true",
    "git init -q sub; git -C sub -c user.name=n -c user.email=e commit -q --allow-empty -m s; git add sub; git commit -qm sub; \
     git -C sub -c user.name=n -c user.email=e commit -q --allow-empty -m t; git add sub",
    "git update-index --index-version 4; echo 1 > b/c/d/n; git add b",
    "git update-index --split-index; echo 1 > b/c/d/n; git add b; git rm -q --cached a",
    "git read-tree --empty; git read-tree HEAD; git rm -q --cached a",
];

#[test]
fn staged_changes_are_those_that_git_lists() -> Outcome {
    for format in ["sha1", "sha256"] {
        for script in STAGED {
            let repo = repository(format, "");
            repo.shell(script);
            assert_eq!(staged(&repo)?, listed(&repo), "{script}");
        }
    }
    Ok(())
}

#[test]
fn a_path_only_intended_to_be_added_is_not_staged() -> Outcome {
    let repo = repository("sha1", "");
    repo.shell("git rm -q --cached a; git add -N a; echo 1 > n; git add -N n");
    let text = staged(&repo)?;
    // As `git status` has it: the file of the commit is deleted.
    assert_eq!(text.lines().map(|line| line.split_once(" D\t").map(|(_, path)| path)).collect::<Vec<_>>(), [Some("a")]);
    assert!(repo.git(&["status", "--porcelain"], "").starts_with("DA a\n A n\n"));
    Ok(())
}

#[test]
fn sparse_directories_are_compared_by_their_tree() -> Outcome {
    let repo = repository("sha1", "");
    repo.shell("git sparse-checkout set --cone --sparse-index b; echo 1 > a; echo 2 > b/n; git add a b/n");
    assert!(index(&repo).is_sparse());
    assert_eq!(staged(&repo)?, listed(&repo));
    repo.shell("git reset -q --soft $(git commit-tree -m x $(git write-tree))");
    repo.shell("git sparse-checkout disable; echo 9 > dir/b; git commit -qam other; git sparse-checkout set --cone --sparse-index b; git reset -q --soft HEAD~");
    let found = index(&repo).staged(
        &gix::open(&repo.path)?,
        Some(ObjectId::from_hex(repo.git(&["rev-parse", "HEAD^{tree}"], "").trim().as_bytes())?),
        &Never,
    );
    assert!(matches!(found, Err(Error::Unsupported(_))), "{found:?}");
    Ok(())
}

fn path() -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(vec!["a", "a-", "a0", "b", "bb", "c.d"]), 1..4).prop_map(|parts| parts.join("/"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Random indexes in each version, changed by `git update-index --index-info`.
    #[test]
    fn random_changes_give_the_file_that_git_writes(
        first in proptest::collection::btree_map(path(), any::<bool>(), 1..40),
        second in proptest::collection::btree_map(path(), any::<Option<bool>>(), 1..12),
        version in 2..5_u32,
    ) {
        let repo = Repo::new("sha1");
        let ids = ["a", "b"].map(|text| repo.git(&["hash-object", "-w", "--stdin"], text).trim().to_owned());
        let line = |(path, second): (&String, &bool)| format!("100644 {}\t{path}\n", ids[usize::from(*second)]);
        // Later paths replace earlier ones, and the other way round: only git knows the outcome.
        let input: String = first.iter().map(line).collect();
        repo.git(&["update-index", "--replace", "--index-info"], &input);
        repo.git(&["update-index", &format!("--index-version={version}")], "");
        repo.git(&["write-tree"], "");
        let mut ours = index(&repo);
        // A path at a time, so that the order is git's.
        for (path, state) in &second {
            let (input, new) = match state {
                Some(second) => {
                    let id = &ids[usize::from(*second)];
                    let id = ObjectId::from_hex(id.as_bytes()).unwrap_or_else(|err| panic!("{err}"));
                    (line((path, second)), Some(NewEntry { stat: engine::index::Stat::default(), id, mode: 0o100_644 }))
                }
                None => (format!("0 {}\t{path}\n", ObjectId::null(repo.kind)), None),
            };
            repo.git(&["update-index", "--replace", "--index-info"], &input);
            prop_assert!(ours.apply(&BTreeMap::from([(path.clone().into_bytes(), new)])).is_ok());
            let theirs = fs::read(repo.path.join(".git/index")).unwrap_or_default();
            prop_assert_eq!(ours.to_bytes(WriteOptions::default()).ok(), Some(theirs));
        }
        let tree = ours.write_trees(&Database(gix::open(&repo.path).unwrap_or_else(|err| panic!("{err}"))), &Never);
        let expect = repo.git(&["write-tree"], "");
        prop_assert_eq!(tree.map(|tree| tree.to_string()).unwrap_or_default(), expect.trim());
        let theirs = fs::read(repo.path.join(".git/index")).unwrap_or_default();
        prop_assert_eq!(ours.to_bytes(WriteOptions::default()).ok(), Some(theirs));
    }
}
