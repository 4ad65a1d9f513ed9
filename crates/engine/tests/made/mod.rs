//! A repository that git made.

#![allow(dead_code, reason = "each test program uses its own part")]

use engine::{Error, Never, beneath::Folder, index::Index};
use gix::hash::Kind;
use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

pub(crate) type Outcome = Result<(), Box<dyn std::error::Error>>;

pub(crate) struct Repo {
    pub(crate) path: PathBuf,
    pub(crate) kind: Kind,
    _home: tempfile::TempDir,
}

impl Repo {
    pub(crate) fn new(format: &str) -> Self {
        let home = tempfile::tempdir().unwrap_or_else(|err| panic!("{err}"));
        let path = fs::canonicalize(home.path()).unwrap_or_default().join("repo");
        fs::create_dir(&path).unwrap_or_else(|err| panic!("{err}"));
        let kind = if format == "sha256" { Kind::Sha256 } else { Kind::Sha1 };
        let repo = Self { path, kind, _home: home };
        repo.git(&["init", "-q", "-b", "main", &format!("--object-format={format}")], "");
        repo
    }

    /// git's output; it must succeed.
    pub(crate) fn git(&self, args: &[&str], input: &str) -> String {
        let mut child = Command::new("git")
            .args(args)
            .current_dir(&self.path)
            .envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1"), ("LC_ALL", "C")])
            .envs([("GIT_AUTHOR_NAME", "A"), ("GIT_AUTHOR_EMAIL", "a@b"), ("GIT_COMMITTER_NAME", "C"), ("GIT_COMMITTER_EMAIL", "c@d")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|err| panic!("git {args:?}: {err}"));
        child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
        let output = child.wait_with_output().unwrap_or_else(|err| panic!("git {args:?}: {err}"));
        assert!(output.status.success(), "git {args:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn shell(&self, script: &str) {
        let status = Command::new("sh").args(["-ec", script]).current_dir(&self.path).env("GIT_CONFIG_GLOBAL", "/dev/null").status();
        assert!(status.is_ok_and(|status| status.success()), "{script}");
    }

    pub(crate) fn git_dir(&self) -> Folder {
        Folder::open(&self.path.join(".git")).unwrap_or_else(|err| panic!("{err}"))
    }

    pub(crate) fn read(&self) -> Result<Option<Index>, Error> {
        Index::read(&self.git_dir(), self.kind, &Never).map(|read| read.map(|(index, _)| index))
    }
}
