//! Patches of 600 commits with edits that are hard for diff algorithms: repeated lines, moved blocks, changed indentation.

#![allow(clippy::disallowed_methods, clippy::print_stdout, dead_code, reason = "git creates the repository; the seed is printed")]

mod odd_repositories;
mod random_patches;

use git::{Cancel, DiffQuery, Git, Keep, Repositories, Rev, Roots, Route, Sides};
use odd_repositories::Outcome;
use std::fmt::Write as _;

/// A small deterministic generator: the same repository on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).unwrap_or_default()
    }
}

const LINES: [&str; 12] = [
    "{",
    "}",
    "",
    "    }",
    "    return;",
    "fn next() {",
    "    let a = 1;",
    "    if x {",
    "        call(a);",
    "    } else {",
    "// note",
    "struct S;",
];

fn edit(random: &mut Random, lines: &mut Vec<String>) {
    for _ in 0..=random.below(4) {
        let at = random.below(lines.len() + 1);
        match random.below(6) {
            0 | 1 => lines.insert(at, LINES[random.below(LINES.len())].to_owned()),
            2 if at < lines.len() => drop(lines.remove(at)),
            3 if at < lines.len() => lines[at] = format!("    {}", lines[at]),
            4 => {
                let block: Vec<String> = (0..=random.below(8)).map(|_| LINES[random.below(LINES.len())].to_owned()).collect();
                lines.splice(at..at, block);
            }
            _ => {
                let end = (at + random.below(10)).min(lines.len());
                let block: Vec<String> = lines.drain(at..end).collect();
                let to = random.below(lines.len() + 1);
                lines.splice(to..to, block);
            }
        }
    }
}

#[test]
fn patches_of_600_commits_match_git() -> Outcome {
    let home = tempfile::tempdir()?;
    let path = std::fs::canonicalize(home.path())?;
    odd_repositories::git(&path, &["init", "--quiet", "--initial-branch=main"]);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut files: Vec<Vec<String>> = (0..6).map(|_| (0..120).map(|_| LINES[random.below(LINES.len())].to_owned()).collect()).collect();
    let mut stream = String::new();
    for commit in 0..600 {
        writeln!(stream, "commit refs/heads/main\ncommitter A <a@example.com> {} +0000\ndata 2\nx\n", 1_600_000_000 + commit)?;
        for (at, file) in files.iter_mut().enumerate() {
            if commit > 0 && random.below(3) > 0 {
                continue;
            }
            edit(&mut random, file);
            let end = if random.below(8) == 0 { "" } else { "\n" };
            let text = file.join("\n") + end;
            writeln!(stream, "M 100644 inline f{at}.rs\ndata {}\n{text}", text.len())?;
        }
    }
    std::fs::write(path.join("stream"), stream)?;
    let mut import = std::process::Command::new("git");
    let import = import.args(["fast-import", "--quiet"]).current_dir(&path).stdin(std::fs::File::open(path.join("stream"))?);
    assert!(import.status()?.success());
    let repo = Repositories::new(Git::new(None), Roots::new([path.clone()])?).open(&path)?;
    let expect = odd_repositories::git(&path, &["log", "--reverse", "--no-ext-diff", "--no-textconv", "-p", "--format=%x00%H%x00"]).stdout;
    let mut fields = expect.split(|&byte| byte == 0).skip(1);
    let (mut compared, mut in_process) = (0, 0);
    while let (Some(id), Some(patch)) = (fields.next(), fields.next()) {
        let id = repo.resolve_commit(&Rev::new(String::from_utf8_lossy(id).into_owned())?, &Cancel::never())?;
        let query = DiffQuery { sides: Sides::Unstaged, paths: Vec::new(), exclude: Vec::new(), context: None, keep: Keep::up_to(1 << 20) };
        let (ours, route) = repo.show(id, &query, &Cancel::never())?;
        let text: Vec<u8> = ours.files.iter().flat_map(|file| file.text.clone()).collect();
        let gits = patch.trim_ascii();
        assert!(
            text.trim_ascii() == gits,
            "{id}\n--- git\n{}\n--- ours\n{}",
            String::from_utf8_lossy(gits),
            String::from_utf8_lossy(&text)
        );
        compared += 1;
        in_process += usize::from(route == Route::Engine);
    }
    assert_eq!((compared, in_process), (600, 600));
    Ok(())
}
