//! Repositories of a given size, the same bytes each time.

use crate::run;
use anyhow::{Context, Result, bail};
use std::{
    fs,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::Stdio,
};

/// A file that ten commits change, evenly over the history.
pub(super) const RARE: &str = "src/rare.txt";
/// What ten files contain.
pub(super) const PATTERN: &str = "needle";
/// Without settings of the user or the machine.
pub(super) const PLAIN: [(&str, &str); 2] = [("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1")];

/// The size of a repository.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) files: usize,
    pub(super) commits: usize,
}

/// The repository of a size, made unless an earlier run made it. Five files are changed and three are untracked.
pub(super) fn made(size: Size) -> Result<PathBuf> {
    let folder = run::root().join(format!("target/bench/growth/{}-files-{}-commits", size.files, size.commits));
    let complete = folder.join(".git/complete");
    if !complete.exists() {
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        git(&folder, &["init", "--quiet", "--initial-branch=main"])?;
        import(&folder, size)?;
        git(&folder, &["reset", "--quiet", "--hard"])?;
        dirty(&folder, size)?;
        // Writes the index again: entries as young as their index would be compared by content in each call.
        git(&folder, &["status", "--short"])?;
        fs::write(&complete, "")?;
    }
    graph(&folder, false)?;
    Ok(folder)
}

/// Writes the commit-graph, as `git gc` does, or with the changed paths of each commit.
pub(super) fn graph(folder: &Path, changed_paths: bool) -> Result<()> {
    let paths = if changed_paths { "--changed-paths" } else { "--no-changed-paths" };
    let graph = folder.join(".git/objects/info/commit-graph");
    if graph.exists() {
        fs::remove_file(graph)?;
    }
    git(folder, &["commit-graph", "write", "--reachable", "--no-progress", paths])
}

fn git(folder: &Path, args: &[&str]) -> Result<()> {
    let output = run::command("git").arg("-C").arg(folder).args(args).envs(PLAIN).stdin(Stdio::null()).output()?;
    if !output.status.success() {
        bail!("git {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn import(folder: &Path, size: Size) -> Result<()> {
    let mut command = run::command("git");
    command.arg("-C").arg(folder).args(["fast-import", "--quiet"]).envs(PLAIN).stdin(Stdio::piped());
    let mut child = command.spawn().context("git could not be started")?;
    let mut stream = BufWriter::new(child.stdin.take().context("no input")?);
    let written = write(&mut stream, size).and_then(|()| stream.flush());
    // The end of its input ends the import.
    drop(stream);
    let status = child.wait()?;
    if !status.success() {
        bail!("git fast-import: {status}");
    }
    Ok(written?)
}

/// The stream: all files in the first commit, then one change in each.
fn write(stream: &mut impl Write, size: Size) -> std::io::Result<()> {
    for commit in 0..size.commits {
        let time = 1_700_000_000 + commit * 60;
        let message = format!("Commit {commit}\n");
        write!(stream, "commit refs/heads/main\ncommitter A <a@example.com> {time} +0000\ndata {}\n{message}", message.len())?;
        if commit == 0 {
            for file in 0..size.files {
                blob(stream, &path(file), &content(file, 0, size))?;
            }
        }
        if commit.is_multiple_of(size.commits.div_ceil(10)) {
            blob(stream, RARE, &format!("{commit}\n"))?;
        }
        if commit > 0 {
            // A prime step, so that changes spread over all folders.
            let file = commit * 7919 % size.files;
            blob(stream, &path(file), &content(file, commit, size))?;
        }
    }
    writeln!(stream, "done")
}

fn blob(stream: &mut impl Write, path: &str, content: &str) -> std::io::Result<()> {
    writeln!(stream, "M 100644 inline {path}\ndata {}\n{content}", content.len())
}

/// A hundred files in a folder, a hundred folders in a folder.
fn path(file: usize) -> String {
    format!("src/{:02}/{:02}/file{file:06}.txt", file / 10_000, file / 100 % 100)
}

/// Some lines that differ from file to file, the last one from commit to commit.
fn content(file: usize, commit: usize, size: Size) -> String {
    let mut state = file as u64 + 1;
    let mut lines = Vec::new();
    for line in 0..12 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        lines.push(format!("line {line} of {file}: {state:016x}\n"));
    }
    if file.is_multiple_of(size.files.div_ceil(10)) {
        lines.push(format!("{PATTERN}\n"));
    }
    lines.push(format!("last changed by {commit}\n"));
    lines.concat()
}

fn dirty(folder: &Path, size: Size) -> Result<()> {
    for changed in 0..5 {
        let file = path(changed * size.files / 5 + 1);
        let name = folder.join(&file);
        let before = fs::read_to_string(&name).with_context(|| file)?;
        fs::write(&name, format!("{before}one more line\n"))?;
    }
    for untracked in 0..3 {
        fs::write(folder.join(format!("src/untracked{untracked}.txt")), "new\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Size, write};

    #[test]
    fn the_stream_is_the_same_each_time_and_has_every_file_and_commit() {
        let size = Size { files: 20, commits: 30 };
        let stream = || {
            let mut bytes = Vec::new();
            write(&mut bytes, size).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        let text = stream();
        assert_eq!(text, stream());
        assert_eq!(text.matches("commit refs/heads/main").count(), size.commits);
        assert_eq!(text.matches(super::RARE).count(), 10);
        let first = text.split("commit refs/heads/main").nth(1).unwrap();
        assert_eq!(first.matches("M 100644 inline src/00/").count(), size.files);
        assert_eq!(first.matches(&format!("\n{}\n", super::PATTERN)).count(), 10);
    }
}
