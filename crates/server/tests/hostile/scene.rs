//! An untrusted repository, and what it must not reach.

use crate::support::{Client, Fixture, parameters::string_parameters};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Maximum memory of the server during one call, in KiB.
pub(crate) const MEMORY: u64 = 150 << 10;
pub(crate) const SECRET: &str = "TOP-SECRET";

/// An untrusted repository, a secret outside the roots, and a program that creates a marker.
pub(crate) struct Scene {
    pub(crate) fixture: Fixture,
    pub(crate) outside: tempfile::TempDir,
    pub(crate) marker: PathBuf,
    pub(crate) trap: String,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let (fixture, outside) = (Fixture::new(), tempfile::tempdir().expect("a folder"));
        let (marker, trap) = (outside.path().join("marker"), outside.path().join("trap"));
        program(&trap, &format!("touch '{}'\ncat", marker.display()));
        // git would show both as a reference and as a path.
        let id = "0123456789abcdef0123456789abcdef01234567";
        fs::write(outside.path().join("secret"), format!("{id} {SECRET}\n{SECRET}\n")).expect("a file");
        fixture.git(&["branch", "side", "HEAD~1"]);
        Self { fixture, outside, marker, trap: trap.display().to_string() }
    }

    pub(crate) fn secret(&self) -> PathBuf {
        self.outside.path().join("secret")
    }

    pub(crate) fn above(&self) -> String {
        self.fixture.path.parent().expect("a folder").display().to_string()
    }

    pub(crate) fn serve(&self) -> Client {
        self.serve_with(&[], &[])
    }

    pub(crate) fn serve_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Client {
        let mut client = Client::start(&[&["-r", &self.above()], args].concat(), variables);
        client.initialize();
        client
    }

    /// The arguments of a call in this repository.
    pub(crate) fn here(&self, mut args: Value) -> Value {
        args["repo_path"] = json!(self.fixture.path);
        args
    }

    #[track_caller]
    pub(crate) fn unharmed(&self, what: &str) {
        assert!(!self.marker.exists(), "{what}: a program ran");
    }
}

pub(crate) fn program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}\n")).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("its mode");
}

/// One valid call of each tool.
pub(crate) fn every_tool() -> Vec<(&'static str, Value)> {
    let mut all: Vec<(&str, Value)> = string_parameters().into_iter().map(|(tool, _, valid)| (tool, valid)).collect();
    all.dedup();
    all.retain(|(tool, _)| *tool != "git_clone" && *tool != "git_init");
    all
}
