//! Property tests: histories of random shape, dates and content, against git itself.

#![allow(clippy::disallowed_methods, clippy::format_collect, reason = "tests compare with git itself")]

use engine::{
    Never,
    history::{History, Selection, Tip},
};
use gix::ObjectId;
use proptest::prelude::*;
use std::{
    fmt::Write as _,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// The files that random commits change.
const FILES: [&str; 6] = ["a", "dir/one", "dir/two", "dir/deep/er/x", "dir/deep/y", "n\u{e4}me/z"];

/// A commit to create.
#[derive(Clone, Debug)]
struct Plan {
    /// How far before it its parents are.
    parents: Vec<usize>,
    date: i64,
    /// Files with their new content; without content they are deleted.
    changes: Vec<(usize, Option<u8>)>,
}

fn plan() -> impl Strategy<Value = Plan> {
    let parents = prop_oneof![
        1 => Just(Vec::new()),
        6 => (1_usize..4).prop_map(|back| vec![back]),
        4 => prop::collection::vec(1_usize..12, 2..4),
    ];
    // Few dates, so that many are equal; some are far off.
    let skew = prop_oneof![8 => Just(0_i64), 1 => -40_i64..40];
    let changes = prop::collection::vec((0..FILES.len(), prop_oneof![4 => (0_u8..3).prop_map(Some), 1 => Just(None)]), 0..3);
    (parents, skew, changes).prop_map(|(parents, date, changes)| Plan { parents, date, changes })
}

struct Fixture {
    _home: tempfile::TempDir,
    path: PathBuf,
    commits: Vec<ObjectId>,
}

fn git(path: &Path, args: &[&str]) -> Outcome<String> {
    let output = command(path, args).output()?;
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 1)), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn command(path: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.args(args).current_dir(path).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").env_remove("GIT_DIR");
    command
}

/// Writes the commits of a plan, each with a branch.
fn build(plans: &[Plan]) -> Outcome<Fixture> {
    let home = tempfile::tempdir()?;
    let path = std::fs::canonicalize(home.path())?.join("repo");
    std::fs::create_dir(&path)?;
    git(&path, &["init", "--quiet", "--initial-branch=main"])?;
    let mut stream = String::new();
    for (at, plan) in plans.iter().enumerate() {
        let date = 1_700_000_000 + i64::try_from(at)? / 3 + plan.date;
        write!(stream, "commit refs/heads/b{at}\nmark :{}\n", at + 1)?;
        write!(stream, "author A U Thor <a@example.com> {date} +0000\ncommitter C <c@example.com> {date} +0000\ndata 2\nm\n")?;
        let mut parents: Vec<usize> = Vec::new();
        for back in &plan.parents {
            if let Some(parent) = at.checked_sub(*back).filter(|parent| !parents.contains(parent)) {
                parents.push(parent);
            }
        }
        for (nth, parent) in parents.iter().enumerate() {
            writeln!(stream, "{} :{}", if nth == 0 { "from" } else { "merge" }, parent + 1)?;
        }
        for (file, content) in &plan.changes {
            match content {
                Some(content) => write!(stream, "M 100644 inline {}\ndata 2\n{content}\n", FILES[*file])?,
                None => writeln!(stream, "D {}", FILES[*file])?,
            }
        }
        stream.push('\n');
    }
    let mut import = command(&path, &["fast-import", "--quiet", "--force"]).stdin(Stdio::piped()).spawn()?;
    import.stdin.take().ok_or("no input")?.write_all(stream.as_bytes())?;
    assert!(import.wait()?.success());
    let mut commits = Vec::new();
    for at in 0..plans.len() {
        let text = std::fs::read_to_string(path.join(format!(".git/refs/heads/b{at}")))?;
        commits.push(ObjectId::from_hex(text.trim_end().as_bytes())?);
    }
    Ok(Fixture { _home: home, path, commits })
}

/// How the objects and the commit-graph were written.
const GRAPHS: [&[&[&str]]; 6] = [
    &[],
    // From here on without loose objects.
    &[&["repack", "-a", "-d", "-f", "-q"]],
    &[&["-c", "commitGraph.changedPathsVersion=1", "commit-graph", "write", "--reachable", "--changed-paths"]],
    &[&["-c", "commitGraph.changedPathsVersion=2", "commit-graph", "write", "--reachable", "--changed-paths"]],
    &[&["-c", "commitGraph.generationVersion=1", "commit-graph", "write", "--reachable"]],
    // A chain, whose oldest file has only a part of the commits.
    &[
        &["commit-graph", "write", "--split=no-merge", "--changed-paths", "--stdin-commits"],
        &["commit-graph", "write", "--split=no-merge", "--reachable", "--changed-paths"],
    ],
];

fn write_graph(fixture: &Fixture, graph: &[&[&str]]) -> Outcome {
    let _ = std::fs::remove_file(fixture.path.join(".git/objects/info/commit-graph"));
    let _ = std::fs::remove_dir_all(fixture.path.join(".git/objects/info/commit-graphs"));
    for args in graph {
        let mut process = command(&fixture.path, args).stdin(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let half = fixture.commits.get(fixture.commits.len() / 2).ok_or("no commits")?;
        // Without `--stdin-commits` the process may not read it.
        let _ = process.stdin.take().ok_or("no input")?.write_all(format!("{half}\n").as_bytes());
        assert!(process.wait()?.success(), "{args:?}");
    }
    Ok(())
}

fn shown(walk: engine::Result<engine::history::Walk<'_>>) -> Outcome<String> {
    let mut walk = walk?;
    let mut ids = String::new();
    while let Some(id) = walk.advance()? {
        writeln!(ids, "{id}")?;
    }
    Ok(ids)
}

/// Compares every kind of question about two commits.
fn compare(fixture: &Fixture, one: ObjectId, other: ObjectId, paths: &[&str], dates: (Option<u64>, Option<u64>)) -> Outcome {
    let repo = gix::open(&fixture.path)?;
    let history = || History::open(&repo, &Never);
    let selection = Selection { paths: paths.iter().map(|path| path.as_bytes().to_vec()).collect(), since: dates.0, until: dates.1 };
    let mut options: Vec<String> = Vec::new();
    options.extend(dates.0.map(|date| format!("--max-age={date}")));
    options.extend(dates.1.map(|date| format!("--min-age={date}")));
    let log = |revs: &[String]| {
        let mut args = vec!["log", "--format=%H"];
        args.extend(options.iter().map(String::as_str).chain(revs.iter().map(String::as_str)));
        args.push("--");
        args.extend(paths);
        git(&fixture.path, &args)
    };
    let tip = |id, hidden| Tip { id, hidden };
    let both = history()?.walk(&[tip(one, false), tip(other, false)], selection.clone());
    assert_eq!(shown(both)?, log(&[one.to_string(), other.to_string()])?, "{one} {other}");
    let range = history()?.walk(&[tip(one, true), tip(other, false)], selection.clone());
    assert_eq!(shown(range)?, log(&[format!("{one}..{other}")])?, "{one}..{other} {paths:?} {dates:?}");
    let symmetric = history()?.symmetric_difference(one, other, selection);
    assert_eq!(shown(symmetric)?, log(&[format!("{one}...{other}")])?, "{one}...{other} {paths:?} {dates:?}");
    let bases: String = history()?.merge_bases(one, other)?.iter().map(|id| format!("{id}\n")).collect();
    assert_eq!(bases, git(&fixture.path, &["merge-base", "--all", &one.to_string(), &other.to_string()])?, "bases of {one} {other}");
    let (ahead, behind) = history()?.ahead_behind(one, other)?;
    let counted = git(&fixture.path, &["rev-list", "--left-right", "--count", &format!("{one}...{other}")])?;
    assert_eq!(format!("{ahead}\t{behind}\n"), counted, "{one}...{other}");
    Ok(())
}

fn containing(fixture: &Fixture, wanted: ObjectId) -> Outcome {
    let repo = gix::open(&fixture.path)?;
    let found = History::open(&repo, &Never)?.containing(&fixture.commits, wanted)?;
    let mut ours: Vec<String> = fixture.commits.iter().zip(found).filter(|(_, found)| *found).map(|(id, _)| id.to_string()).collect();
    let theirs = git(&fixture.path, &["for-each-ref", "--format=%(objectname)", &format!("--contains={wanted}")])?;
    let mut theirs: Vec<String> = theirs.lines().map(str::to_owned).collect();
    ours.sort();
    theirs.sort();
    assert_eq!(ours, theirs, "contain {wanted}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn histories_are_walked_as_by_git(
        plans in prop::collection::vec(plan(), 8..60),
        pairs in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 3),
        paths in prop::sample::subsequence(vec!["a", "dir", "dir/deep", "dir/one", "dir/deep/er/x", "n\u{e4}me/z", "absent/x"], 1..3),
        since in prop::option::of(1_700_000_000_u64..1_700_000_020),
        until in prop::option::of(1_700_000_000_u64..1_700_000_020),
    ) {
        let checked = || -> Outcome {
            let fixture = build(&plans)?;
            for graph in GRAPHS {
                write_graph(&fixture, graph)?;
                for (one, other) in &pairs {
                    let (one, other) = (*one.get(&fixture.commits), *other.get(&fixture.commits));
                    compare(&fixture, one, other, &[], (None, None))?;
                    compare(&fixture, one, other, &paths, (None, None))?;
                    compare(&fixture, other, one, &paths, (since, until))?;
                    containing(&fixture, one)?;
                }
            }
            Ok(())
        };
        checked().map_err(|err| TestCaseError::fail(err.to_string()))?;
    }

    #[test]
    fn damaged_graphs_never_panic(
        plans in prop::collection::vec(plan(), 8..30),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        len in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let checked = || -> Outcome {
            let fixture = build(&plans)?;
            write_graph(&fixture, GRAPHS[3])?;
            let path = fixture.path.join(".git/objects/info/commit-graph");
            let whole = std::fs::read(&path)?;
            for (place, byte) in &damage {
                let mut bytes = whole.clone();
                // The tables at the start decide what the rest means.
                let place = if byte % 2 == 0 { place.index(160) } else { place.index(bytes.len()) };
                bytes[place] = *byte;
                bytes.truncate(len.map_or(bytes.len(), |len| len.index(bytes.len())));
                std::fs::remove_file(&path)?;
                std::fs::write(&path, bytes)?;
                let repo = gix::open(&fixture.path)?;
                let (one, other) = (fixture.commits[0], fixture.commits[fixture.commits.len() - 1]);
                let selection = Selection { paths: vec![b"dir/one".to_vec()], ..Selection::default() };
                if let Ok(mut walk) = History::open(&repo, &Never)?.symmetric_difference(one, other, selection) {
                    // A damaged graph can name a commit twice, but the walk ends.
                    while let Ok(Some(_)) = walk.advance() {}
                }
                let _ = History::open(&repo, &Never)?.merge_bases(one, other).is_ok();
                let _ = History::open(&repo, &Never)?.containing(&fixture.commits, one).is_ok();
            }
            Ok(())
        };
        checked().map_err(|err| TestCaseError::fail(err.to_string()))?;
    }
}
