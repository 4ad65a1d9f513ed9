//! Benchmarks of reads on a generated repository: `cargo bench -p mcpgit-git`.

#![allow(clippy::expect_used, clippy::disallowed_methods, reason = "a benchmark creates its repository with git itself")]

use divan::Bencher;
use git::{BranchKind, BranchQuery, Cancel, DiffQuery, Git, GrepQuery, Keep, LogQuery, Repo, Repositories, Rev, Roots, Sides};
use std::{
    fmt::Write as _,
    fs,
    ops::ControlFlow,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Arc, LazyLock},
};

fn main() {
    divan::main();
    fs::remove_dir_all(folder()).ok();
}

fn folder() -> PathBuf {
    std::env::temp_dir().join(format!("mcp-server-git-bench-{}", std::process::id()))
}

/// 300 files, 400 commits, 40 branches.
static REPO: LazyLock<Arc<Repo>> = LazyLock::new(|| {
    let path = folder();
    fs::create_dir_all(&path).expect("a folder");
    let run = |args: &[&str], input: &str| {
        let mut child = Command::new("git").args(args).current_dir(&path).stdin(Stdio::piped()).spawn().expect("git runs");
        std::io::Write::write_all(&mut child.stdin.take().expect("its input"), input.as_bytes()).expect("git reads");
        assert!(child.wait().expect("git ends").success(), "git {args:?}");
    };
    run(&["init", "--quiet", "--initial-branch=main"], "");
    let mut stream = String::new();
    for commit in 0..400 {
        let _ =
            writeln!(stream, "commit refs/heads/main\ncommitter A <a@example.com> {} +0000\ndata 5\nwords", 1_600_000_000 + commit * 60);
        for file in 0..if commit == 0 { 300 } else { 3 } {
            let text: String = (0..60).fold(String::new(), |text, line| text + &format!("line {line} of {}\n", (line * commit) % 7));
            let _ = writeln!(stream, "M 100644 inline d{}/f{}\ndata {}\n{text}", file % 10, (file + commit * 3) % 300, text.len());
        }
        stream.push('\n');
    }
    for branch in 0..40 {
        let _ = writeln!(stream, "reset refs/heads/b{branch}\nfrom refs/heads/main\n");
    }
    run(&["fast-import", "--quiet"], &stream);
    run(&["reset", "--quiet", "--hard"], "");
    let roots = Roots::new([path.clone()]).expect("the root");
    Repositories::new(Git::new(None), roots).open(&path).expect("the repository")
});

#[divan::bench]
fn status(bencher: Bencher) {
    bencher.bench_local(|| REPO.status(&Cancel::never()).expect("a status"));
}

#[divan::bench]
fn log_10(bencher: Bencher) {
    let query = LogQuery { max_count: 10, ..LogQuery::default() };
    bencher.bench_local(|| REPO.log(&query, &Cancel::never(), &mut |_| ControlFlow::Continue(())).expect("a log"));
}

fn diff_query(sides: Sides) -> DiffQuery {
    DiffQuery { sides, paths: Vec::new(), exclude: Vec::new(), context: None, keep: Keep::up_to(16 << 20) }
}

#[divan::bench]
fn diff_of_20_commits(bencher: Bencher) {
    let id = |rev: &str| REPO.resolve_commit(&Rev::new(rev).expect("a revision"), &Cancel::never()).expect("a commit");
    let query = diff_query(Sides::Trees(Some(id("HEAD~20")), id("HEAD")));
    bencher.bench_local(|| REPO.diff(&query, &Cancel::never()).expect("a diff"));
}

#[divan::bench]
fn diff_unstaged(bencher: Bencher) {
    let query = diff_query(Sides::Unstaged);
    bencher.bench_local(|| REPO.diff(&query, &Cancel::never()).expect("a diff"));
}

#[divan::bench]
fn show(bencher: Bencher) {
    let id = REPO.resolve_commit(&Rev::head(), &Cancel::never()).expect("a commit");
    let query = diff_query(Sides::Unstaged);
    bencher.bench_local(|| REPO.show(id, &query, &Cancel::never()).expect("a commit"));
}

#[divan::bench]
fn branches(bencher: Bencher) {
    let query = BranchQuery { kind: BranchKind::Local, contains: None, not_contains: None, skip: 0, take: 1_000 };
    bencher.bench_local(|| REPO.branches(&query, &Cancel::never()).expect("branches"));
}

#[divan::bench]
fn grep(bencher: Bencher) {
    let query = GrepQuery { pattern: "line 59 of 6".to_owned(), rev: None, paths: Vec::new(), ignore_case: false, context: 0 };
    bencher.bench_local(|| REPO.grep(&query, &Cancel::never(), &mut |_| ControlFlow::Continue(())).expect("a search"));
}
