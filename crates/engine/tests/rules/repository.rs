//! A repository whose rule files change from case to case, and git's answers in it.

use proptest::{prelude::ProptestConfig, test_runner::TestRunner};
use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

/// Folders in which rule files are written.
pub(crate) const FOLDERS: [&str; 4] = ["", "a/", "a/b/", "foo/"];

/// Further folders.
const MORE: &[&str] = &["a/b/c/", "b/", "foo/bar/", "foo/bar/a/", "A/", "A/b/", "dir/", "dir.o/", "foox/y/"];

/// What each folder contains.
const NAMES: &[&str] =
    &["x", "b.o", "ab", "aXb", "baro", "B.O", "a ", "[a]", "a\\b", "#a", "!a", "\u{e4}", "a-b", "ba*", "abcabc", "\"q\"", "a=b"];

pub(crate) struct Repository {
    home: tempfile::TempDir,
}

impl Repository {
    pub(crate) fn empty() -> Self {
        let made = Self { home: tempfile::tempdir().unwrap() };
        fs::create_dir(made.top()).unwrap();
        made.git(&["init", "--quiet"], b"");
        made
    }

    /// A repository with the files of [`paths`].
    pub(crate) fn new() -> Self {
        let made = Self::empty();
        for folder in FOLDERS.iter().chain(MORE) {
            fs::create_dir_all(made.top().join(folder)).unwrap();
            for name in NAMES {
                fs::write(made.top().join(folder).join(name), "").unwrap();
            }
        }
        std::os::unix::fs::symlink("dir", made.top().join("link")).unwrap();
        made
    }

    pub(crate) fn top(&self) -> PathBuf {
        self.home.path().join("top")
    }

    pub(crate) fn write(&self, path: &str, content: &[u8]) {
        fs::write(self.top().join(path), content).unwrap();
    }

    /// Whether this git, before 2.52, reads ambiguous patterns as the engine does.
    pub(crate) fn reads_ambiguous_patterns(&self) -> bool {
        let text = String::from_utf8(self.git(&["version"], b"")).unwrap();
        let mut numbers = text.split([' ', '.']).filter_map(|part| part.parse::<u32>().ok());
        (numbers.next().unwrap(), numbers.next().unwrap()) < (2, 52)
    }

    /// Adds entries to the index, with their content as it is.
    pub(crate) fn stage(&self, entries: &[(String, &[u8])]) {
        let mut files = String::new();
        for (at, (_, content)) in entries.iter().enumerate() {
            let file = format!("../blob{at}");
            self.write(&file, content);
            writeln!(files, "{file}").unwrap();
        }
        let ids = self.git(&["hash-object", "-w", "--no-filters", "--stdin-paths"], files.as_bytes());
        let ids = String::from_utf8(ids).unwrap();
        let entries = ids.lines().zip(entries).fold(String::new(), |all, (id, (path, _))| all + &format!("100644 {id}\t{path}\n"));
        self.git(&["update-index", "--add", "--index-info"], entries.as_bytes());
    }

    /// The output of git, which has to succeed, or to exit with 1.
    pub(crate) fn git(&self, args: &[&str], input: &[u8]) -> Vec<u8> {
        let mut git = Command::new("git");
        git.current_dir(self.top()).args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        git.env("HOME", self.home.path()).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_ATTR_NOSYSTEM", "1");
        let mut child = git.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            scope.spawn(move || stdin.write_all(input));
            child.wait_with_output().unwrap()
        });
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{args:?}: {text}");
        output.stdout
    }
}

/// Runs a share of the configured number of cases, of which each starts processes. A failure prints its smallest input.
pub(crate) fn runner(share: u32) -> TestRunner {
    let default = ProptestConfig::default();
    TestRunner::new(ProptestConfig { cases: default.cases / share, failure_persistence: None, ..default })
}

/// Each path below the top, with whether it is a folder. Rule files are left out.
pub(crate) fn paths() -> Vec<(String, bool)> {
    let mut paths = vec![("link".to_owned(), false)];
    for folder in FOLDERS.iter().chain(MORE) {
        paths.extend(NAMES.iter().map(|name| (format!("{folder}{name}"), false)));
        if !folder.is_empty() {
            paths.push((folder.trim_end_matches('/').to_owned(), true));
        }
    }
    paths
}
