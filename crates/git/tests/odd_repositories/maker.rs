//! What makes a repository, and runs git in it.

use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// A repository in its own folder.
pub(crate) struct Odd {
    /// What is unusual about it.
    pub(crate) name: &'static str,
    /// The working tree, or the bare repository.
    pub(crate) path: PathBuf,
    /// The folder that contains it and its companions.
    pub(crate) home: tempfile::TempDir,
}

/// Runs git without the user's configuration and with a fixed identity.
pub(crate) fn git(directory: &Path, args: &[&str]) -> Output {
    let output = Command::new("git")
        .args(args)
        .current_dir(directory)
        .envs([
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_AUTHOR_NAME", "A U Thor"),
            ("GIT_AUTHOR_EMAIL", "author@example.com"),
            ("GIT_COMMITTER_NAME", "C O Mitter"),
            ("GIT_COMMITTER_EMAIL", "committer@example.com"),
            ("GIT_ALLOW_PROTOCOL", "file"),
            ("LC_ALL", "C"),
        ])
        .env_remove("GIT_DIR")
        .output();
    output.unwrap_or_else(|err| panic!("git {args:?}: {err}"))
}

impl Odd {
    pub(crate) fn new(name: &'static str, make: impl FnOnce(&Maker)) -> Self {
        let home = tempfile::tempdir().unwrap_or_else(|err| panic!("{err}"));
        let path = fs::canonicalize(home.path()).unwrap_or_default().join("repo");
        let maker = Maker { path: path.clone(), clock: std::cell::Cell::new(1_700_000_000) };
        make(&maker);
        Self { name, path, home }
    }

    /// Runs a script in the repository; it must succeed.
    pub(crate) fn shell(&self, script: &str) {
        let output = Command::new("sh").args(["-ec", script]).current_dir(&self.path).env("GIT_CONFIG_GLOBAL", "/dev/null").output();
        let output = output.unwrap_or_else(|err| panic!("{script}: {err}"));
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// git's standard output; it must succeed.
    pub(crate) fn git(&self, args: &[&str]) -> Vec<u8> {
        let output = git(&self.path, args);
        assert!(output.status.success(), "{}: git {args:?}: {}", self.name, String::from_utf8_lossy(&output.stderr));
        output.stdout
    }
}

pub(crate) struct Maker {
    pub(crate) path: PathBuf,
    pub(crate) clock: std::cell::Cell<i64>,
}

impl Maker {
    pub(crate) fn init(&self, args: &[&str]) -> &Self {
        fs::create_dir_all(&self.path).unwrap_or_else(|err| panic!("{err}"));
        self.run(&[&["init", "--quiet", "--initial-branch=main"], args].concat())
    }

    pub(crate) fn run(&self, args: &[&str]) -> &Self {
        self.run_in(&self.path, args)
    }

    pub(crate) fn run_in(&self, path: &Path, args: &[&str]) -> &Self {
        self.clock.set(self.clock.get() + 60);
        let date = format!("@{} +0200", self.clock.get());
        let status = Command::new("git")
            .args(args)
            .current_dir(path)
            .envs([
                ("GIT_CONFIG_GLOBAL", "/dev/null"),
                ("GIT_CONFIG_NOSYSTEM", "1"),
                ("GIT_AUTHOR_NAME", "A U Thor"),
                ("GIT_AUTHOR_EMAIL", "author@example.com"),
                ("GIT_COMMITTER_NAME", "C O Mitter"),
                ("GIT_COMMITTER_EMAIL", "committer@example.com"),
                ("GIT_AUTHOR_DATE", &date),
                ("GIT_COMMITTER_DATE", &date),
                ("GIT_ALLOW_PROTOCOL", "file"),
                ("GIT_EDITOR", ":"),
            ])
            .output();
        // Ignored: some repositories need a merge that conflicts.
        drop(status);
        self
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        self.write_bytes(path.as_bytes(), content)
    }

    pub(crate) fn write_bytes(&self, path: &[u8], content: impl AsRef<[u8]>) -> &Self {
        let full = self.path.join(OsStr::from_bytes(path));
        if let Some(parent) = full.parent() {
            fs::create_dir_all(parent).unwrap_or_else(|err| panic!("{err}"));
        }
        fs::write(&full, content).unwrap_or_else(|err| panic!("{}: {err}", full.display()));
        self
    }

    pub(crate) fn remove(&self, path: &str) -> &Self {
        let full = self.path.join(path);
        if full.is_dir() { fs::remove_dir_all(full) } else { fs::remove_file(full) }.unwrap_or_default();
        self
    }

    pub(crate) fn link(&self, target: &str, path: &str) -> &Self {
        self.remove(path);
        std::os::unix::fs::symlink(target, self.path.join(path)).unwrap_or_else(|err| panic!("{err}"));
        self
    }

    pub(crate) fn mode(&self, path: &str, mode: u32) -> &Self {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(self.path.join(path), fs::Permissions::from_mode(mode)).unwrap_or_else(|err| panic!("{err}"));
        self
    }

    pub(crate) fn commit(&self, message: &str) -> &Self {
        self.run(&["add", "--all"]).run(&["commit", "--quiet", "--allow-empty", "-m", message])
    }

    /// The commits that most repositories start from.
    pub(crate) fn history(&self) -> &Self {
        let many: String = (0..60).map(|n| format!("fn f{n}() {{\n    body({n});\n}}\n\n")).collect();
        self.init(&[])
            .write("a.rs", &many)
            .write("dir/b.txt", "one\ntwo\nthree\n")
            .write("empty", "")
            .commit("first")
            .write("a.rs", many.replace("body(3)", "changed(3)").replace("fn f40", "fn renamed40"))
            .write("dir/new.txt", "new\n")
            .commit("second: changes\n\nWith a body,\nover lines.\n\n\nAnd more.  \n")
            .write("dir/b.txt", "one\n2\nthree\nfour\n")
            .commit("third")
    }
}
