//! Blame against git itself, on unusual repositories and on random histories.

#![allow(clippy::disallowed_methods, reason = "a file of the test's own repository is edited")]

mod odd_repositories;

use git::{BlameQuery, Cancel, Git, RelPath, Repo, Repositories, Rev, Roots, Route};
use odd_repositories::{Odd, Outcome};
use std::{collections::BTreeMap, fmt::Write as _, ops::ControlFlow, sync::Arc};

fn open(odd: &Odd) -> Result<Arc<Repo>, git::Error> {
    let roots = Roots::new([odd.home.path().to_owned(), odd.path.clone()])?;
    Repositories::new(Git::new(None), roots).open(&odd.path)
}

/// What `git blame` shows, a line each: id, number, author, summary, text. Lines that are not committed have no more than
/// a number and text, as git shows the time of the call.
fn expected(odd: &Odd, path: &str, rev: Option<&str>, range: Option<(u64, u64)>) -> Option<String> {
    let mut args = vec!["blame".to_owned(), "--line-porcelain".to_owned(), "--root".to_owned()];
    args.extend(range.map(|(start, end)| format!("-L{start},{end}")));
    args.extend(rev.map(str::to_owned));
    args.extend(["--".to_owned(), path.to_owned()]);
    let output = odd_repositories::git(&odd.path, &args.iter().map(String::as_str).collect::<Vec<_>>());
    let (mut seen, mut fields) = (String::new(), BTreeMap::new());
    let text = String::from_utf8_lossy(&output.stdout);
    for line in text.split_terminator('\n') {
        if let Some(text) = line.strip_prefix('\t') {
            let field = |name: &str| fields.get(name).copied().unwrap_or_default();
            shown(&mut seen, field("id"), field("number"), field("author"), field("summary"), text);
            fields.clear();
        } else if fields.is_empty() {
            let mut words = line.split(' ');
            fields.extend(words.next().map(|id| ("id", id)));
            fields.extend(words.nth(1).map(|number| ("number", number)));
        } else {
            fields.extend(line.split_once(' '));
        }
    }
    output.status.success().then_some(seen)
}

fn shown(seen: &mut String, id: &str, number: &str, author: &str, summary: &str, text: &str) {
    let is_committed = id.bytes().any(|byte| byte != b'0');
    let (author, summary) = if is_committed { (author, summary) } else { ("", "") };
    let _ = writeln!(seen, "{id} {number} {author}|{summary}|{text}");
}

fn ours(repo: &Repo, path: &str, rev: Option<&str>, range: Option<(u64, u64)>) -> Result<(String, Route), git::Error> {
    let query = BlameQuery {
        path: RelPath::new(path, None)?,
        rev: rev.map(Rev::new).transpose()?,
        start_line: range.map(|range| range.0),
        end_line: range.map(|range| range.1),
    };
    let mut seen = String::new();
    let route = repo.blame(&query, &Cancel::never(), &mut |line| {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let origin = line.origin;
        shown(&mut seen, &origin.id, &line.number.to_string(), &text(&origin.author), &text(&origin.summary), &text(line.text));
        ControlFlow::Continue(())
    })?;
    Ok((seen, route))
}

/// Compares files of `HEAD`, also in the working tree and in parts. Returns the answers of the engine, and of git.
fn compare(odd: &Odd) -> Result<[usize; 2], Box<dyn std::error::Error>> {
    let (repo, mut routes) = (open(odd)?, [0, 0]);
    let listed = odd_repositories::git(&odd.path, &["ls-tree", "-r", "-z", "--name-only", "HEAD"]).stdout;
    let is_bare = odd.git(&["rev-parse", "--is-bare-repository"]) == b"true\n";
    let paths = listed.split(|&byte| byte == 0).filter_map(|path| std::str::from_utf8(path).ok()).filter(|path| !path.is_empty());
    for (at, path) in paths.take(8).enumerate() {
        for rev in [Some("HEAD"), None] {
            if rev.is_none() && is_bare {
                continue;
            }
            // Each comparison is a process of git: parts of the first files only.
            let parts: &[_] = if at < 2 { &[Some((1, 1)), Some((2, 4)), Some((3, 2))] } else { &[] };
            for range in std::iter::once(None).chain(parts.iter().copied()) {
                let Some(expect) = expected(odd, path, rev, range) else { continue };
                let (seen, route) = ours(&repo, path, rev, range)?;
                assert_eq!(seen, expect, "{}: {path} at {rev:?}, lines {range:?}, {route:?}", odd.name);
                routes[usize::from(route == Route::Cli)] += 1;
            }
        }
    }
    Ok(routes)
}

#[test]
fn odd_repositories_match_git() -> Outcome {
    let mut routes = [0, 0];
    for odd in odd_repositories::all() {
        let [engine, cli] = compare(&odd)?;
        routes = [routes[0] + engine, routes[1] + cli];
        assert!(engine > 0 && cli == 0 || odd.name != odd_repositories::CLONE, "an ordinary clone is read in process: {engine} {cli}");
    }
    assert!(routes[0] >= 400 && routes[1] >= 5, "both routes must be covered: {routes:?}");
    Ok(())
}

/// A simple generator of numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default() % limit.max(1)
    }
}

type Files = BTreeMap<String, Vec<String>>;

/// Few distinct lines, so that lines repeat and groups of them can be moved.
fn line(random: &mut Random) -> String {
    match random.below(12) {
        0 => "}".to_owned(),
        1 => String::new(),
        2 => "    {".to_owned(),
        3 => "\tindented".to_owned(),
        other => format!("{}line {}", " ".repeat(other % 3 * 2), random.below(60)),
    }
}

fn change(files: &mut Files, random: &mut Random) {
    const NAMES: [&str; 7] = ["a", "b.txt", "dir/a", "dir/c", "dir/deep/a", "x/b.txt", "z"];
    let names: Vec<String> = files.keys().cloned().collect();
    let any = names.get(random.below(names.len())).cloned();
    match (random.below(10), any) {
        (0, _) | (_, None) => {
            let content = (0..random.below(50) + 3).map(|_| line(random)).collect();
            files.insert(NAMES[random.below(NAMES.len())].to_owned(), content);
        }
        (1, Some(name)) => {
            files.remove(&name);
        }
        (kind @ 2..=3, Some(name)) => {
            let mut content = files.remove(&name).unwrap_or_default();
            if kind == 3 && !content.is_empty() {
                let at = random.below(content.len());
                content[at] = line(random);
                content.insert(at, line(random));
            }
            files.insert(NAMES[random.below(NAMES.len())].to_owned(), content);
        }
        (_, Some(name)) => {
            let content = files.entry(name).or_default();
            for _ in 0..=random.below(3) {
                let at = random.below(content.len() + 1);
                match random.below(4) {
                    0 if at < content.len() => drop(content.remove(at)),
                    1 if at < content.len() => content[at] = line(random),
                    2 => {
                        let copy: Vec<String> = content.iter().skip(at).take(4).cloned().collect();
                        content.splice(at..at, copy);
                    }
                    _ => content.insert(at, line(random)),
                }
            }
        }
    }
}

/// Some lines of one version, some of another.
fn merged(ours: &Files, theirs: &Files, random: &mut Random) -> Files {
    let mut files = ours.clone();
    for (name, content) in theirs {
        match random.below(3) {
            0 => drop(files.insert(name.clone(), content.clone())),
            1 => {
                let own = files.entry(name.clone()).or_default();
                let end = random.below(own.len().min(content.len()) + 1);
                let start: Vec<String> = content.iter().take(end).cloned().collect();
                own.splice(..end, start);
            }
            _ => {}
        }
    }
    files
}

/// A history of 40 commits on three branches, as a stream of `git fast-import`.
fn history(seed: u64) -> String {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut commits: Vec<Files> = Vec::new();
    let (mut tips, mut stream): (Vec<usize>, String) = (Vec::new(), String::new());
    let end = ["\n", "\r\n"][usize::from(seed % 5 == 4)];
    for at in 0..40 {
        let branch = random.below(tips.len().min(2) + 1);
        let parent = tips.get(branch).or(tips.first()).copied();
        let mut files = parent.map(|parent| commits[parent].clone()).unwrap_or_default();
        let other = tips.get(random.below(tips.len())).copied().filter(|other| Some(*other) != parent && random.below(3) == 0);
        if let Some(other) = other {
            files = merged(&files, &commits[other], &mut random);
        }
        for _ in 0..random.below(3) + usize::from(other.is_none()) {
            change(&mut files, &mut random);
        }
        // Clocks that are wrong, and equal dates.
        let date = 1_700_000_000 + [at, at / 4, 40 - at][random.below(20).saturating_sub(17)] * 60;
        let message = format!("commit {at}");
        let _ = write!(stream, "commit refs/heads/b{branch}\nmark :{}\nauthor A{} <a@b> {date} +0000\n", at + 1, at % 3);
        let _ = write!(stream, "committer C <c@d> {date} +0000\ndata {}\n{message}\n", message.len());
        for (word, commit) in [("from", parent), ("merge", other)] {
            let _ = commit.map(|commit| writeln!(stream, "{word} :{}", commit + 1));
        }
        stream.push_str("deleteall\n");
        for (name, content) in &files {
            // Some files end without a line break.
            let text = content.join(end) + if content.len() % 4 == 1 { "" } else { end };
            let _ = writeln!(stream, "M 100644 inline {name}\ndata {}\n{text}", text.len());
        }
        commits.push(files);
        if branch < tips.len() { tips[branch] = at } else { tips.push(at) }
    }
    let _ = writeln!(stream, "reset refs/heads/main\nfrom :40\n");
    stream
}

/// A repository whose branch `main` is made by `git fast-import`.
fn imported(stream: &str) -> Result<Odd, Box<dyn std::error::Error>> {
    let odd = Odd { name: "a random history", ..odd_repositories::plain() };
    std::fs::write(odd.path.join(".git/stream"), stream)?;
    odd.shell("git fast-import --quiet --force <.git/stream && git reset --quiet --hard");
    Ok(odd)
}

#[test]
fn random_histories_match_git() -> Outcome {
    let mut routes = [0, 0];
    for seed in 0..12 {
        let odd = imported(&history(seed))?;
        let listed = odd.git(&["ls-files"]);
        if let Some(path) = std::str::from_utf8(&listed)?.lines().next() {
            let file = odd.path.join(path);
            let text = std::fs::read_to_string(&file)?;
            std::fs::write(&file, text.replacen("line", "edited", 1) + "added\n")?;
        }
        let [engine, cli] = compare(&odd)?;
        routes = [routes[0] + engine, routes[1] + cli];
    }
    assert!(routes[0] >= 200 && routes[0] > 9 * routes[1], "the engine answers most: {routes:?}");
    Ok(())
}

#[test]
fn a_cancelled_blame_stops() -> Outcome {
    let odd = odd_repositories::plain();
    let repo = open(&odd)?;
    let cancel = Cancel::never();
    cancel.cancel();
    let query = BlameQuery { path: RelPath::new("a", None)?, rev: None, start_line: None, end_line: None };
    let result = repo.blame(&query, &cancel, &mut |_| ControlFlow::Continue(()));
    assert!(matches!(result, Err(git::Error::Cancelled)));
    Ok(())
}
