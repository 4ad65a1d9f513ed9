//! Differential tests: every read against git itself, on many unusual repositories.

mod mutations;
mod odd_repositories;

use git::{
    BlameQuery, BranchKind, BranchQuery, Cancel, DiffQuery, Git, GrepQuery, Keep, LogQuery, ObjectKind, RelPath, Repo, Repositories, Rev,
    Roots, Route, Sides,
};
use odd_repositories::{Odd, Outcome};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    ops::ControlFlow,
    sync::Arc,
};

fn open(odd: &Odd) -> Result<Arc<Repo>, git::Error> {
    // The root is the whole folder: alternates and common directories lie beside the repository.
    let roots = Roots::new([odd.home.path().to_owned(), odd.path.clone()])?;
    Repositories::new(Git::new(None), roots).open(&odd.path)
}

/// Number of comparisons per read and route.
#[derive(Default)]
struct Routes(BTreeMap<&'static str, (usize, usize)>);

impl Routes {
    fn count(&mut self, read: &'static str, route: Route) {
        let (engine, cli) = self.0.entry(read).or_default();
        match route {
            Route::Engine => *engine += 1,
            Route::Cli => *cli += 1,
        }
    }
}

#[track_caller]
fn same(odd: &Odd, what: &str, ours: &[u8], gits: &[u8]) {
    assert!(
        ours == gits,
        "{}: {what}\n--- git\n{}\n--- ours\n{}",
        odd.name,
        String::from_utf8_lossy(gits).chars().take(3000).collect::<String>(),
        String::from_utf8_lossy(ours).chars().take(3000).collect::<String>()
    );
}

fn is_bare(odd: &Odd) -> bool {
    odd.git(&["rev-parse", "--is-bare-repository"]) == b"true\n"
}

fn commits(odd: &Odd) -> Vec<String> {
    let output = odd_repositories::git(&odd.path, &["rev-list", "--all"]);
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn status_matches_git() -> Outcome {
    let mut routes = Routes::default();
    for odd in odd_repositories::all() {
        if is_bare(&odd) {
            continue;
        }
        let (status, route) = open(&odd)?.status(&Cancel::never())?;
        routes.count("status", route);
        assert!(route == Route::Engine || odd.name != odd_repositories::CLONE, "an ordinary clone is read in process");
        let mut ours = Vec::new();
        for entry in &status.entries {
            ours.extend([entry.index, entry.worktree, b' ']);
            ours.extend_from_slice(&entry.path);
            ours.push(0);
            if let Some(from) = &entry.from {
                ours.extend_from_slice(from);
                ours.push(0);
            }
        }
        same(&odd, "status", &ours, &odd.git(&["--no-optional-locks", "status", "--short", "-z"]));
        let head = odd.git(&["--no-optional-locks", "status", "--porcelain=v2", "--branch"]);
        let head = String::from_utf8_lossy(&head);
        let line = |key: &str| head.lines().find_map(|line| line.strip_prefix(&format!("# branch.{key} "))).map(str::to_owned);
        assert_eq!(status.head.branch, line("head").filter(|name| name != "(detached)"), "{}", odd.name);
        assert_eq!(status.head.upstream, line("upstream"), "{}", odd.name);
        assert_eq!(status.head.ahead_behind.map(|(a, b)| format!("+{a} -{b}")), line("ab"), "{}", odd.name);
        assert_eq!(status.head.commit.map(|id| id.to_string()), line("oid").filter(|id| id != "(initial)"), "{}", odd.name);
    }
    let (engine, cli) = routes.0["status"];
    assert!(engine >= 50 && cli >= 5, "both routes must be covered: {engine} in process, {cli} by git");
    Ok(())
}

#[test]
fn diffs_match_git_byte_for_byte() -> Outcome {
    let mut routes = Routes::default();
    let keep = Keep::up_to(1 << 20);
    for odd in odd_repositories::all() {
        let repo = open(&odd)?;
        let mut compare = |what: &'static str, sides: Sides, context: Option<u32>, args: &[&str]| -> Outcome {
            let query = DiffQuery { sides, paths: Vec::new(), exclude: Vec::new(), context, keep };
            let (patch, route) = repo.diff(&query, &Cancel::never())?;
            routes.count(what, route);
            let ours: Vec<u8> = patch.files.iter().flat_map(|file| file.text.clone()).collect();
            let all = [&["diff", "--no-ext-diff", "--no-textconv"], args].concat();
            same(&odd, what, &ours, &odd.git(&all));
            Ok(())
        };
        let commits = commits(&odd);
        for pair in commits.windows(2) {
            let id = |at: usize| git::ObjectId::from_hex(pair[at].as_bytes());
            compare("trees", Sides::Trees(Some(id(1)?), id(0)?), None, &[&pair[1], &pair[0]])?;
            compare("trees, no context", Sides::Trees(Some(id(0)?), id(1)?), Some(0), &["-U0", &pair[0], &pair[1]])?;
        }
        if !is_bare(&odd) {
            compare("unstaged", Sides::Unstaged, None, &[])?;
            compare("staged", Sides::Staged, None, &["--cached"])?;
            if let Some(first) = commits.last() {
                compare("working tree", Sides::Worktree(git::ObjectId::from_hex(first.as_bytes())?), None, &[first])?;
            }
        }
    }
    for (what, least) in [("trees", 100), ("unstaged", 30), ("staged", 30), ("working tree", 30)] {
        let (engine, cli) = routes.0[what];
        assert!(engine >= least && cli >= 5, "both routes must be covered: {what}, {engine} in process, {cli} by git");
    }
    Ok(())
}

#[test]
fn log_matches_git_in_order_and_fields() -> Outcome {
    let mut routes = Routes::default();
    for odd in odd_repositories::all() {
        if commits(&odd).is_empty() {
            continue;
        }
        let repo = open(&odd)?;
        let queries: [(LogQuery, &[&str]); 8] = [
            (LogQuery::default(), &[]),
            (LogQuery { skip: 1, ..LogQuery::default() }, &["--skip=1"]),
            (LogQuery { rev: Some(Rev::new("HEAD~1..HEAD")?), ..LogQuery::default() }, &["HEAD~1..HEAD"]),
            (
                LogQuery { author: Some("A U".into()), grep: Some("s(e|i)".into()), ..LogQuery::default() },
                &["-E", "--author=A U", "--grep=s(e|i)"],
            ),
            (LogQuery { author: Some("Other Name <other@".into()), ..LogQuery::default() }, &["--author=Other Name <other@"]),
            (LogQuery { author: Some("author@example".into()), ..LogQuery::default() }, &["--author=author@example"]),
            (LogQuery { paths: vec![RelPath::new("dir", None)?], ..LogQuery::default() }, &["--", "dir"]),
            (LogQuery { since: Some("2023-11-14T22:15:00Z".into()), ..LogQuery::default() }, &["--since=2023-11-14T22:15:00Z"]),
        ];
        for (mut query, args) in queries {
            if query.rev.is_some() && !odd_repositories::git(&odd.path, &["rev-parse", "--verify", "HEAD~1"]).status.success() {
                continue;
            }
            query.max_count = 1000;
            let (ours, route) = logged(&repo, &query)?;
            routes.count("log", route);
            same(&odd, "log", ours.as_bytes(), log_of_git(&odd, args).as_bytes());
        }
    }
    let (engine, cli) = routes.0["log"];
    assert!(engine >= 300 && cli >= 20, "both routes must be covered: {engine} in process, {cli} by git");
    Ok(())
}

#[test]
fn log_of_ranges_paths_and_dates_matches_git() -> Outcome {
    let mut routes = Routes::default();
    for odd in odd_repositories::all() {
        let repo = open(&odd)?;
        let commits = commits(&odd);
        let (Some(newest), Some(oldest)) = (commits.first(), commits.last()) else { continue };
        let second = commits.get(1).unwrap_or(newest);
        let revs = [format!("{oldest}..{newest}"), format!("{second}..{newest}"), format!("{second}...{oldest}"), newest.clone()];
        for graph in [false, true] {
            if graph {
                // Where git cannot write one, it reads none either.
                odd_repositories::git(&odd.path, &["commit-graph", "write", "--reachable", "--changed-paths"]);
            }
            for rev in &revs {
                for (paths, date) in [(&["dir/b.txt"][..], None), (&["a.rs", "dir"], Some(60)), (&[], Some(120)), (&["dir"], None)] {
                    let skip = usize::from(paths.len() == 1);
                    let mut args = vec![format!("--skip={skip}"), rev.clone()];
                    let mut query = LogQuery { rev: Some(Rev::new(rev.as_str())?), skip, max_count: 1000, ..LogQuery::default() };
                    if let Some(seconds) = date {
                        let (since, until) = (format!("@{}", 1_700_000_000 + seconds), "2023-11-15T00:00:00+00:00".to_owned());
                        args.extend([format!("--since={since} +0000"), format!("--until={until}")]);
                        (query.since, query.until) = (Some(since), Some(until));
                    }
                    query.paths = paths.iter().map(|path| RelPath::new(path, None)).collect::<Result<_, _>>()?;
                    args.push("--".to_owned());
                    args.extend(paths.iter().map(ToString::to_string));
                    let (ours, route) = logged(&repo, &query)?;
                    routes.count("log", route);
                    let args: Vec<&str> = args.iter().map(String::as_str).collect();
                    same(&odd, &format!("log {args:?}"), ours.as_bytes(), log_of_git(&odd, &args).as_bytes());
                }
            }
        }
    }
    let (engine, cli) = routes.0["log"];
    assert!(engine >= 1000 && cli >= 50, "both routes must be covered: {engine} in process, {cli} by git");
    Ok(())
}

/// One line for each commit of a log.
fn logged(repo: &Repo, query: &LogQuery) -> Result<(String, Route), git::Error> {
    let mut lines = String::new();
    let route = repo.log(query, &Cancel::never(), &mut |c| {
        let parents: Vec<String> = c.parents.iter().map(ToString::to_string).collect();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (author, email) = (text(&c.author), text(&c.email));
        let _ = writeln!(lines, "{}|{}|{}|{author}|{email}|{}|{}", c.id, c.short, parents.join(" "), c.date, text(&c.subject));
        ControlFlow::Continue(())
    })?;
    Ok((lines, route))
}

/// The same from git.
fn log_of_git(odd: &Odd, args: &[&str]) -> String {
    let lines = odd.git(&[&["log", "--format=%H|%h|%P|%aN|%aE|%aI|%s"], args].concat());
    // git versions differ in how they print the UTC offset.
    String::from_utf8_lossy(&lines).replace("Z|", "+00:00|")
}

#[test]
fn show_matches_git_byte_for_byte() -> Outcome {
    let mut routes = Routes::default();
    for odd in odd_repositories::all() {
        let repo = open(&odd)?;
        let mut revs = commits(&odd);
        if odd.name.starts_with("tag,") {
            revs.extend(["v1".to_owned(), "light".to_owned()]);
        }
        for rev in revs {
            let id = repo.resolve(&Rev::new(rev.as_str())?, &Cancel::never())?;
            let query =
                DiffQuery { sides: Sides::Unstaged, paths: Vec::new(), exclude: Vec::new(), context: None, keep: Keep::up_to(1 << 20) };
            let (patch, route) = repo.show(id, &query, &Cancel::never())?;
            routes.count("show", route);
            let ours = patch.prelude.iter().copied().chain(patch.files.iter().flat_map(|file| file.text.clone())).collect::<Vec<u8>>();
            same(&odd, &format!("show {rev}"), &ours, &odd.git(&["show", "--no-ext-diff", "--no-textconv", &rev]));
        }
    }
    let (engine, cli) = routes.0["show"];
    assert!(engine >= 40 && cli >= 10, "both routes must be covered: {engine} in process, {cli} by git");
    Ok(())
}

#[test]
fn files_trees_blame_branches_and_grep_match_git() -> Outcome {
    for odd in odd_repositories::all() {
        let repo = open(&odd)?;
        let cancel = Cancel::never();
        branches(&odd, &repo)?;
        if commits(&odd).is_empty() {
            continue;
        }
        let listing = odd.git(&["ls-tree", "-r", "-z", "HEAD"]);
        for entry in listing.split(|&byte| byte == 0).filter(|entry| !entry.is_empty()) {
            let tab = entry.iter().position(|&byte| byte == b'\t').unwrap_or_default();
            let (meta, path) = (String::from_utf8_lossy(&entry[..tab]).into_owned(), &entry[tab + 1..]);
            let path = RelPath::new(&git::quote::listed(path), None)?;
            let id = match repo.resolve_path(&Rev::head(), &path, &cancel) {
                Err(git::Error::Submodule { id, .. }) => id,
                found => found?,
            };
            assert!(meta.ends_with(&id.to_string()), "{}: {path}", odd.name);
            if !meta.contains("blob") {
                continue;
            }
            let object = repo.object(id, &cancel)?;
            assert_eq!(object.kind, ObjectKind::Blob, "{}: {path}", odd.name);
            let mut content = Vec::new();
            repo.blob(id, object.size, &cancel, &mut |chunk| {
                content.extend_from_slice(chunk);
                ControlFlow::Continue(())
            })?;
            same(&odd, &format!("content of {path}"), &content, &odd.git(&["cat-file", "blob", &id.to_string()]));
            if !content.contains(&0) {
                blame(&odd, &repo, &path)?;
            }
        }
        let tree = repo.resolve(&Rev::new("HEAD^{tree}")?, &cancel)?;
        let names: Vec<u8> = repo.tree(tree, &cancel)?.into_iter().flat_map(|name| [name, b"\n".to_vec()].concat()).collect();
        let gits = odd.git(&["-c", "core.quotePath=false", "show", "HEAD^{tree}"]);
        let gits = &gits[gits.windows(2).position(|pair| pair == b"\n\n").map_or(0, |at| at + 2)..];
        if !gits.contains(&b'"') {
            same(&odd, "tree", &names, gits);
        }
        grep(&odd, &repo, Some("HEAD"))?;
        if !is_bare(&odd) {
            grep(&odd, &repo, None)?;
        }
    }
    Ok(())
}

#[test]
fn ahead_behind_is_the_difference_of_two_histories() -> Outcome {
    for odd in odd_repositories::all() {
        let repo = open(&odd)?;
        let commits = commits(&odd);
        let histories: Vec<BTreeSet<String>> =
            commits.iter().map(|id| String::from_utf8_lossy(&odd.git(&["rev-list", id])).lines().map(str::to_owned).collect()).collect();
        for (here, reach) in commits.iter().zip(&histories) {
            for (there, reached) in commits.iter().zip(&histories) {
                let counts = repo.ahead_behind(
                    git::ObjectId::from_hex(here.as_bytes())?,
                    git::ObjectId::from_hex(there.as_bytes())?,
                    &Cancel::never(),
                )?;
                let expect = (reach.difference(reached).count() as u64, reached.difference(reach).count() as u64);
                assert_eq!(counts, expect, "{}: {here} and {there}", odd.name);
            }
        }
    }
    Ok(())
}

#[test]
fn descriptions_and_reachability_match_git() -> Outcome {
    for odd in odd_repositories::all() {
        let repo = open(&odd)?;
        let commits = commits(&odd);
        for (at, id) in commits.iter().enumerate().filter(|(at, _)| at % 2 == 0) {
            // Of several tags of one commit, git chooses the newest annotated one.
            let (light, heavy) = (format!("light-{at}"), format!("heavy-{}", at % 3));
            odd.git(&["tag", "--force", &light, id]);
            odd.shell(&format!(
                "GIT_COMMITTER_NAME=T GIT_COMMITTER_EMAIL=t@x GIT_COMMITTER_DATE='@{} +0000' git tag -f -a -m t {heavy} {id}",
                1_700_000_000 + at % 5
            ));
        }
        let listed = repo.tags(None, &Cancel::never())?;
        let line = |tag: &git::Tag| {
            let target = if tag.annotated { tag.target.to_string() } else { String::new() };
            format!("{} {} {target} {}\n", String::from_utf8_lossy(&tag.name), tag.id, String::from_utf8_lossy(&tag.subject))
        };
        let ours: String = listed.iter().map(line).collect();
        let format = "--format=%(refname:lstrip=2) %(objectname) %(*objectname) %(contents:subject)";
        same(&odd, "tags", ours.as_bytes(), &odd.git(&["tag", "--list", "--sort=-creatordate", format]));
        for id in &commits {
            let rev = Rev::new(id.as_str())?;
            for (any_tag, exact, args) in [
                (false, false, &[][..]),
                (true, false, &["--tags"]),
                (true, true, &["--tags", "--exact-match"]),
                (false, true, &["--exact-match"]),
            ] {
                let output = odd_repositories::git(&odd.path, &[&["describe", "--long", "--abbrev=12"], args, &[id]].concat());
                let ours = match repo.describe(&rev, any_tag, exact, &Cancel::never()) {
                    Err(git::Error::NoTag(_)) => String::new(),
                    described => described?,
                };
                same(&odd, &format!("describe {id} {args:?}"), ours.as_bytes(), output.stdout.trim_ascii_end());
            }
            contained(&odd, &repo, &rev)?;
        }
    }
    Ok(())
}

/// Compares the branches that contain a commit, and those that do not.
fn contained(odd: &Odd, repo: &Repo, rev: &Rev) -> Outcome {
    for (option, wanted) in [("--contains", true), ("--no-contains", false)] {
        let (contains, not_contains) = (wanted.then(|| rev.clone()), (!wanted).then(|| rev.clone()));
        let query = BranchQuery { kind: BranchKind::Local, contains, not_contains, skip: 0, take: usize::MAX };
        let (branches, _) = repo.branches(&query, &Cancel::never())?;
        let ours: Vec<u8> = branches.shown.iter().flat_map(|branch| [branch.name.as_slice(), b"\n"].concat()).collect();
        let gits = odd.git(&["for-each-ref", "--format=%(refname:lstrip=2)", option, rev.as_str(), "refs/heads"]);
        same(odd, &format!("{option} {rev}"), &ours, &gits);
    }
    Ok(())
}

fn branches(odd: &Odd, repo: &Repo) -> Outcome {
    let kinds = [(BranchKind::Local, vec!["refs/heads"]), (BranchKind::All, vec!["refs/heads", "refs/remotes"])];
    for (kind, prefixes) in kinds {
        let (branches, route) =
            repo.branches(&BranchQuery { kind, contains: None, not_contains: None, skip: 0, take: usize::MAX }, &Cancel::never())?;
        assert!(route == Route::Engine || odd.name != odd_repositories::CLONE, "an ordinary clone is read in process");
        let mut ours = String::new();
        for branch in branches.shown {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let sign = if branch.current { "*" } else { " " };
            let _ = writeln!(
                ours,
                "{sign} {} {} {} {}",
                text(&branch.name),
                branch.id,
                branch.upstream.as_deref().map(text).unwrap_or_default(),
                text(&branch.subject)
            );
        }
        let format =
            "--format=%(if)%(symref)%(then)%(else)%(HEAD) %(refname:lstrip=2) %(objectname) %(upstream:short) %(contents:subject)%(end)";
        let gits = odd.git(&[&["for-each-ref", format], prefixes.as_slice()].concat());
        // A symbolic reference prints an empty line.
        let gits = String::from_utf8_lossy(&gits).replace("\n\n", "\n").trim_start_matches('\n').to_owned();
        same(odd, "branches", ours.as_bytes(), gits.as_bytes());
    }
    Ok(())
}

fn blame(odd: &Odd, repo: &Repo, path: &RelPath) -> Outcome {
    let Ok(name) = std::str::from_utf8(path.as_bytes()) else { return Ok(()) };
    let query = BlameQuery { path: path.clone(), rev: Some(Rev::head()), start_line: None, end_line: None };
    let mut ours = Vec::new();
    repo.blame(&query, &Cancel::never(), &mut |line| {
        ours.extend_from_slice(format!("{} {}\t", line.origin.id, line.number).as_bytes());
        ours.extend_from_slice(line.text);
        ours.push(b'\n');
        ControlFlow::Continue(())
    })?;
    let gits = odd.git(&["blame", "--line-porcelain", "HEAD", "--", name]);
    let mut expect = Vec::new();
    let (mut id, mut number) = (String::new(), String::new());
    for line in gits.split(|&byte| byte == b'\n') {
        if let Some(text) = line.strip_prefix(b"\t") {
            expect.extend_from_slice(format!("{id} {number}\t").as_bytes());
            expect.extend_from_slice(text);
            expect.push(b'\n');
        } else {
            let text = String::from_utf8_lossy(line).into_owned();
            let fields: Vec<&str> = text.split(' ').collect();
            if fields.len() >= 3 && git::ObjectId::from_hex(fields[0].as_bytes()).is_ok() {
                (id, number) = (fields[0].to_owned(), fields[2].to_owned());
            }
        }
    }
    same(odd, &format!("blame {path}"), &ours, &expect);
    Ok(())
}

fn grep(odd: &Odd, repo: &Repo, rev: Option<&str>) -> Outcome {
    if odd.name == "diff attributes" || odd.name.contains("attributes file") {
        // `-diff` hides a file from `git grep -I`, but not from the server's.
        return Ok(());
    }
    for (pattern, ignore_case, context) in [("o", false, 0), ("^[A-F]N .*3", true, 0), ("three|f3\\(", false, 2)] {
        let query = GrepQuery { pattern: pattern.into(), rev: rev.map(Rev::new).transpose()?, paths: Vec::new(), ignore_case, context };
        let mut ours = Vec::new();
        repo.grep(&query, &Cancel::never(), &mut |text| {
            ours.extend_from_slice(text);
            ControlFlow::Continue(())
        })?;
        let context = format!("-C{context}");
        let mut args = vec!["-c", "core.quotePath=false", "grep", "-nIE", &context, "-e", pattern];
        if ignore_case {
            args.push("-i");
        }
        args.extend(rev);
        let gits = odd_repositories::git(&odd.path, &args).stdout;
        let gits = String::from_utf8_lossy(&gits).replace(&rev.map_or(String::from("\0"), |rev| format!("{rev}:")), "");
        let ours = String::from_utf8_lossy(&ours).into_owned();
        let id = repo.resolve(&Rev::head(), &Cancel::never())?.to_string();
        same(odd, &format!("grep {pattern} in {rev:?}"), ours.replace(&format!("{id}:"), "").as_bytes(), gits.as_bytes());
    }
    Ok(())
}
