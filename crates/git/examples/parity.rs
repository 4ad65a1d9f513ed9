//! Compares the patches of many commits with those of git: `cargo run --release --example parity -- REPO [COUNT]`.
//!
//! Prints the share of file patches that are equal byte for byte, and the first ones that differ.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program for developers, which asks git")]

use git::{Cancel, DiffQuery, Git, Keep, ObjectId, Repo, Repositories, Roots, Route, Sides};
use std::{
    collections::BTreeMap,
    error::Error,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Differing patches that are printed.
const SHOWN: usize = 5;

#[derive(Default)]
struct Count {
    commits: usize,
    left_to_git: usize,
    files: usize,
    different: Vec<String>,
    time: Duration,
    reasons: BTreeMap<String, usize>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("which repository?")?;
    let count = args.next().unwrap_or_else(|| "5000".to_owned());
    let path = std::fs::canonicalize(path)?;
    let repo = Repositories::new(Git::new(None), Roots::new([path.clone()])?).open(&path)?;
    let mut git = Command::new("git")
        .arg("-C")
        .arg(&path)
        .args(["log", "-p", "--cc", "--no-ext-diff", "--no-textconv", "--no-color", "--format=%x00%H", "-n", &count])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut found = Count::default();
    let mut commit: Option<(String, Vec<Vec<u8>>)> = None;
    let mut lines = BufReader::new(git.stdout.take().ok_or("no output")?);
    let mut line = Vec::new();
    loop {
        line.clear();
        let is_end = lines.read_until(b'\n', &mut line)? == 0;
        if is_end || line.first() == Some(&0) {
            if let Some((id, files)) = commit.take() {
                compare(&repo, &id, &files, &mut found)?;
            }
            let id = String::from_utf8_lossy(line.get(1..).unwrap_or_default()).trim().to_owned();
            commit = Some((id, Vec::new()));
        } else if let Some((_, files)) = &mut commit {
            if line.starts_with(b"diff --") {
                files.push(Vec::new());
            }
            if let Some(file) = files.last_mut() {
                file.extend_from_slice(&line);
            }
        }
        if is_end {
            break;
        }
    }
    git.wait()?;
    report(&path, &found);
    Ok(())
}

fn compare(repo: &Repo, id: &str, expect: &[Vec<u8>], found: &mut Count) -> Result<(), Box<dyn Error>> {
    let id = ObjectId::from_hex(id.as_bytes())?;
    let keep = Keep::up_to(256 << 20);
    let query = DiffQuery { sides: Sides::Trees(None, id), paths: Vec::new(), exclude: Vec::new(), context: None, keep };
    let start = Instant::now();
    let (patch, route) = repo.show(id, &query, &Cancel::never())?;
    found.time += start.elapsed();
    found.commits += 1;
    if route == Route::Cli {
        found.left_to_git += 1;
        *found.reasons.entry("left to git".to_owned()).or_default() += expect.len();
        return Ok(());
    }
    let ours: Vec<&[u8]> = patch.files.iter().map(|file| file.text.as_slice()).collect();
    found.files += expect.len().max(ours.len());
    for at in 0..expect.len().max(ours.len()) {
        let (git, ours) = (expect.get(at).map_or(&b""[..], Vec::as_slice), ours.get(at).copied().unwrap_or_default());
        // The next commit is announced after an empty line.
        let git = if at + 1 == expect.len() && git.len() == ours.len() + 1 { &git[..git.len() - 1] } else { git };
        if git != ours {
            found.different.push(format!("{id}\n{}", first_difference(git, ours)));
        }
    }
    Ok(())
}

/// The header of the file, and the lines at which both part.
fn first_difference(git: &[u8], ours: &[u8]) -> String {
    let lines =
        |text: &[u8]| -> Vec<String> { text.split(|&byte| byte == b'\n').map(|line| String::from_utf8_lossy(line).into_owned()).collect() };
    let (git, ours) = (lines(git), lines(ours));
    let at = git.iter().zip(&ours).take_while(|(a, b)| a == b).count();
    let around = |lines: &[String]| lines[at.saturating_sub(3).min(lines.len())..(at + 5).min(lines.len())].join("\n");
    format!(
        "{}\nat line {at}\n--- git\n{}\n--- ours\n{}",
        git.first().or(ours.first()).map_or("", String::as_str),
        around(&git),
        around(&ours)
    )
}

fn report(path: &Path, found: &Count) {
    for different in found.different.iter().take(SHOWN) {
        println!("{different}\n");
    }
    let equal = found.files - found.different.len().min(found.files);
    println!(
        "{}: {} commits, {} left to git ({:?} file patches); {equal} of {} file patches equal; {:.2} s",
        path.display(),
        found.commits,
        found.left_to_git,
        found.reasons.values().sum::<usize>(),
        found.files,
        found.time.as_secs_f64()
    );
}
