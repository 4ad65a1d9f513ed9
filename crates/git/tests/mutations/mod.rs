//! Random edits of a repository; after each few of them the status equals git's.
//!
//! `MUTATIONS` is the number of comparisons, `MUTATION_SEED` repeats a run.

#![allow(clippy::disallowed_methods, clippy::panic, clippy::print_stderr, reason = "a test that edits a repository, and names its seed")]

use crate::odd_repositories::{self, Outcome};
use git::{Cancel, Git, Repositories, Roots, Route};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Names of files and directories alike, so that one replaces the other.
const NAMES: [&str; 14] = ["a", "b", "c.txt", "d.log", "e e", "a.b", "a-b", "a0", "lib", "out", "Ü", "x.c", ".hidden", "z"];
const CONTENTS: [&str; 9] =
    ["", "one\n", "two\n", "one\r\ntwo\r\n", "one\ntwo\n", "/* $Id$ */\n", "\0\x01bin", "mixed\r\nlines\n", "a longer content\n"];
const PATTERNS: [&str; 22] = [
    "*.log",
    "/a",
    "a/",
    "!a",
    "out/",
    "!out/",
    "*",
    "!*/",
    "!*.txt",
    "lib/*",
    "**/b",
    "a/**",
    "a/**/z",
    "# no",
    "\\#x",
    "e\\ e",
    "e e ",
    "Ü",
    ".*",
    "!.gitignore",
    "[ab]",
    "a-?",
];
const ATTRIBUTES: [&str; 9] =
    ["* text=auto", "*.txt text", "*.txt eol=crlf", "*.c ident", "* -text", "*.log binary", "a text eol=lf", "[attr]mine text", "*.c mine"];
const SETTINGS: [&str; 24] = [
    "core.autocrlf=true",
    "core.autocrlf=input",
    "core.autocrlf=false",
    "core.eol=crlf",
    "core.eol=lf",
    "core.fileMode=false",
    "core.fileMode=true",
    "core.trustCtime=false",
    "core.trustCtime=true",
    "core.checkStat=minimal",
    "core.checkStat=default",
    "status.showUntrackedFiles=all",
    "status.showUntrackedFiles=no",
    "status.showUntrackedFiles=normal",
    "status.renames=false",
    "status.renames=true",
    "diff.renames=copies",
    "diff.renames=true",
    "core.sparseCheckout=true",
    "core.sparseCheckout=false",
    "core.excludesFile=.git/more",
    "core.excludesFile=/dev/null",
    "core.untrackedCache=true",
    "status.relativePaths=false",
];

/// A small generator of random numbers, repeatable by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or_default() % limit.max(1)
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}

struct Mutator {
    random: Random,
    top: PathBuf,
    log: Vec<String>,
}

impl Mutator {
    /// A path of one to three names.
    fn path(&mut self) -> String {
        let depth = 1 + self.random.below(3);
        (0..depth).map(|_| self.random.pick(&NAMES)).collect::<Vec<_>>().join("/")
    }

    /// A path that exists, or else any.
    fn known(&mut self) -> String {
        let mut all = Vec::new();
        let mut pending = vec![self.top.clone()];
        while let Some(dir) = pending.pop() {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten().filter(|entry| entry.file_name() != ".git") {
                let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
                pending.extend(is_dir.then(|| entry.path()));
                all.extend(entry.path().strip_prefix(&self.top).ok().and_then(Path::to_str).map(str::to_owned));
            }
        }
        all.sort();
        if all.is_empty() { self.path() } else { all.swap_remove(self.random.below(all.len())) }
    }

    fn git(&mut self, args: &[&str]) {
        self.log.push(format!("git {args:?}"));
        // Some edits are refused, such as adding an ignored file.
        odd_repositories::git(&self.top, args);
    }

    fn feed(&mut self, line: &str) {
        let script = format!("printf '{line}' | git update-index --index-info");
        self.log.push(script.clone());
        std::process::Command::new("sh").args(["-c", &script]).current_dir(&self.top).output().ok();
    }

    fn write(&mut self, path: &str, content: &str) {
        self.log.push(format!("write {path} {content:?}"));
        let full = self.top.join(path);
        if let Some(parent) = full.parent() {
            fs::create_dir_all(parent).ok();
        }
        // In place of a link its target would be written.
        if full.is_symlink() {
            fs::remove_file(&full).ok();
        }
        if !full.exists() || full.is_file() {
            fs::write(full, content).ok();
        }
    }

    fn remove(&mut self, path: &str) {
        self.log.push(format!("remove {path}"));
        let full = self.top.join(path);
        if full.is_symlink() || full.is_file() { fs::remove_file(full) } else { fs::remove_dir_all(full) }.ok();
    }

    fn edit_tree(&mut self) {
        let (known, new) = (self.known(), self.path());
        let full = self.top.join(&known);
        match self.random.below(14) {
            0..=3 => {
                let content = self.random.pick(&CONTENTS);
                self.write(&new, content);
            }
            4 | 5 => {
                let content = self.random.pick(&CONTENTS);
                self.write(&known, content);
            }
            6 => self.remove(&known),
            7 => {
                self.remove(&known);
                let target = self.random.pick(&NAMES);
                self.log.push(format!("link {known} to {target}"));
                symlink(target, full).ok();
            }
            8 => {
                self.log.push(format!("chmod {known}"));
                if full.is_file() && !full.is_symlink() {
                    let mode = if self.random.below(2) == 0 { 0o755 } else { 0o644 };
                    fs::set_permissions(full, fs::Permissions::from_mode(mode)).ok();
                }
            }
            9 => {
                self.log.push(format!("rename {known} to {new}"));
                fs::rename(full, self.top.join(new)).ok();
            }
            10 => self.touch(&full),
            11 => {
                self.log.push(format!("folder {new}"));
                fs::create_dir_all(self.top.join(new)).ok();
            }
            12 => {
                self.log.push(format!("second link {known} to {new}"));
                fs::hard_link(full, self.top.join(new)).ok();
            }
            _ => self.odd_file(&new),
        }
    }

    /// Changes a file without changing its size, or its times without changing it.
    fn touch(&mut self, full: &Path) {
        let Ok(found) = full.symlink_metadata() else { return };
        let time = found.modified().unwrap_or_else(|_| SystemTime::now());
        if !found.is_file() {
            return;
        }
        let swapped = self.random.below(2) == 0;
        self.log.push(format!("touch {}, content changed: {swapped}", full.display()));
        if swapped && let Ok(text) = fs::read(full) {
            let text: Vec<u8> = text.iter().map(|byte| if *byte == b'o' { b'0' } else { *byte }).collect();
            fs::write(full, text).ok();
        }
        let time = match self.random.below(4) {
            0 => time,
            1 => time + Duration::from_micros(1),
            2 => time - Duration::from_secs(100),
            _ => time + Duration::from_secs(100),
        };
        fs::File::options().append(true).open(full).and_then(|file| file.set_modified(time)).ok();
    }

    /// A pipe, or something like a repository.
    fn odd_file(&mut self, path: &str) {
        let full = self.top.join(path);
        fs::create_dir_all(full.parent().unwrap_or(&self.top)).ok();
        let choice = self.random.below(5);
        self.log.push(format!("odd file {choice} {path}"));
        match choice {
            0 => {
                rustix::fs::mknodat(rustix::fs::CWD, &full, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).ok();
            }
            1 => {
                if fs::create_dir_all(&full).is_ok() {
                    odd_repositories::git(&full, &["init", "--quiet"]);
                }
            }
            2 => {
                fs::create_dir_all(full.join(".git/objects")).ok();
                fs::write(full.join(".git/HEAD"), "ref: refs/heads/main\n").ok();
                if self.random.below(2) == 0 {
                    fs::create_dir_all(full.join(".git/refs")).ok();
                }
            }
            3 => {
                fs::create_dir_all(&full).ok();
                fs::write(full.join(".git"), "gitdir: nowhere\n").ok();
            }
            _ => self.git(&["worktree", "add", "--quiet", "--detach", path]),
        }
    }

    fn edit_index(&mut self) {
        let (known, new) = (self.known(), self.path());
        let id = "78981922613b2afb6025042ff6bd878ac1994e85";
        match self.random.below(19) {
            0 | 1 => self.git(&["add", "--all"]),
            2 | 3 => self.git(&["add", "--", &known]),
            4 => self.git(&["add", "--intent-to-add", "--", &known]),
            5 => self.git(&["rm", "--cached", "--quiet", "-r", "--", &known]),
            6 => self.git(&["update-index", "--assume-unchanged", &known]),
            7 => self.git(&["update-index", "--no-assume-unchanged", &known]),
            8 => self.git(&["update-index", "--skip-worktree", &known]),
            9 => self.git(&["update-index", "--no-skip-worktree", &known]),
            10 | 11 => self.git(&["commit", "--quiet", "--all", "--allow-empty", "--message", "x"]),
            12 => self.git(&["reset", "--quiet"]),
            13 => {
                let version = self.random.pick(&["2", "3", "4"]);
                self.git(&["update-index", "--index-version", version]);
            }
            14 => {
                let stage = 1 + self.random.below(3);
                let none = "0".repeat(40);
                self.feed(&format!("0 {none}\\t{new}\\n100644 {id} {stage}\\t{new}\\n"));
            }
            15 => {
                let mode = self.random.pick(&["100644", "100755", "120000", "160000"]);
                self.feed(&format!("{mode} {id} 0\\t{new}\\n"));
            }
            16 => self.git(&["update-index", "-q", "--refresh"]),
            17 => self.git(&["checkout", "--quiet", "--force", "HEAD", "--", &known]),
            _ => self.age(),
        }
    }

    /// Moves the time of the index, which decides what is racy.
    fn age(&mut self) {
        let time = if self.random.below(2) == 0 { Duration::from_secs(50) } else { Duration::ZERO };
        self.log.push(format!("the index is written {time:?} from now"));
        let index = fs::File::options().append(true).open(self.top.join(".git/index"));
        index.and_then(|index| index.set_modified(SystemTime::now() + time)).ok();
    }

    fn edit_rules(&mut self) {
        let folder = self.known();
        let folder = if self.top.join(&folder).is_dir() { format!("{folder}/") } else { String::new() };
        let mut lines = |list: &[&str]| (0..self.random.below(4)).map(|_| self.random.pick(list)).collect::<Vec<_>>().join("\n");
        let (ignored, attributes) = (lines(&PATTERNS), lines(&ATTRIBUTES));
        match self.random.below(8) {
            0..=2 => self.write(&format!("{folder}.gitignore"), &ignored),
            3 => self.write(".git/info/exclude", &ignored),
            4 => self.write(".git/more", &ignored),
            5 => self.write(&format!("{folder}.gitattributes"), &attributes),
            6 => self.write(".git/info/attributes", &attributes),
            _ => self.remove(&format!("{folder}.gitignore")),
        }
    }

    fn edit_settings(&mut self) {
        let setting = self.random.pick(&SETTINGS);
        if let Some((key, value)) = setting.split_once('=') {
            self.git(&["config", "--replace-all", key, value]);
        }
    }

    fn edit(&mut self) {
        match self.random.below(20) {
            0..=9 => self.edit_tree(),
            10..=15 => self.edit_index(),
            16..=18 => self.edit_rules(),
            _ => self.edit_settings(),
        }
    }
}

/// The status of the server, as `git status --short -z` prints it.
fn ours(status: &git::Status) -> Vec<u8> {
    let mut text = Vec::new();
    for entry in &status.entries {
        text.extend([entry.index, entry.worktree, b' ']);
        text.extend_from_slice(&entry.path);
        text.push(0);
        text.extend(entry.from.iter().flat_map(|from| [from.as_slice(), b"\0"].concat()));
    }
    text
}

/// git's short status. Where a submodule replaces something else, it has the letter of the long format: the short one
/// has `M` for any change of a submodule.
fn gits(top: &Path) -> Option<Vec<u8>> {
    let run = |format: &str| {
        let output = odd_repositories::git(top, &["--no-optional-locks", "status", format, "-z"]);
        output.status.success().then_some(output.stdout)
    };
    let (mut short, long) = (run("--short")?, run("--porcelain=v2")?);
    for line in long.split(|&byte| byte == 0) {
        let [b'1', b' ', index, worktree @ (b'T' | b'A'), b' ', b'S', ..] = *line else { continue };
        let index = if index == b'.' { b' ' } else { index };
        let path = line.splitn(9, |&byte| byte == b' ').nth(8).unwrap_or_default();
        let printed = [&[index, b'M', b' '][..], path, b"\0"].concat();
        let at = short.windows(printed.len()).position(|window| window == printed);
        if let Some(letter) = at.and_then(|at| short.get_mut(at + 1)) {
            *letter = worktree;
        }
    }
    Some(short)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

#[test]
fn status_equals_gits_after_random_edits() -> Outcome {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let seed = number("MUTATION_SEED").unwrap_or(u64::from(now.subsec_nanos()) << 20 | now.as_secs() & 0xf_ffff);
    let count = number("MUTATIONS").unwrap_or(400);
    eprintln!("MUTATION_SEED={seed}");
    let (mut edits, mut engine) = (0, 0);
    let mut random = Random(seed | 1);
    for round in 0..count.div_ceil(100) {
        let odd = odd_repositories::plain();
        let repositories = Repositories::new(Git::new(None), Roots::new([odd.home.path().to_owned(), odd.path.clone()])?);
        let mut mutator = Mutator { random, top: odd.path.clone(), log: Vec::new() };
        for step in 0..100 {
            for _ in 0..=mutator.random.below(8) {
                mutator.edit();
                edits += 1;
            }
            let Some(gits) = gits(&odd.path) else { continue };
            let what = || format!("MUTATION_SEED={seed}, round {round}, step {step}, after\n{}", mutator.log.join("\n"));
            let (status, route) = match repositories.open(&odd.path).and_then(|repo| repo.status(&Cancel::never())) {
                Ok(status) => status,
                Err(err) => panic!("{err}: {}", what()),
            };
            engine += usize::from(route == Route::Engine);
            let ours = ours(&status);
            if ours != gits {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\0', "\n");
                let kept = odd.home.keep();
                panic!("{route:?} in {}\n--- git\n{}--- ours\n{}{}", kept.display(), text(&gits), text(&ours), what());
            }
        }
        random = mutator.random;
    }
    eprintln!("{edits} edits, {count} comparisons, {engine} in process");
    assert!(engine * 4 >= usize::try_from(count)?, "only {engine} of {count} were answered in process");
    Ok(())
}
