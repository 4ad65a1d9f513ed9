//! Programs that may not be installed. The tests of other crates include this file by path.

use std::{
    env,
    ffi::OsString,
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Child,
};

/// Program folders that may not be on a user's `PATH`.
const PLACES: [&str; 3] = ["/usr/sbin", "/usr/local/bin", "/opt/homebrew/bin"];

/// A child process, killed when the test ends.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The path of a program. Reports it if it is not installed.
#[track_caller]
pub(crate) fn found(name: &str) -> Option<PathBuf> {
    let path = path();
    let places = env::split_paths(&path).chain(PLACES.map(PathBuf::from)).chain(postgres());
    let runs = |program: &PathBuf| fs::metadata(program).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0);
    let found = places.map(|folder| folder.join(name)).find(runs);
    if found.is_none() {
        missing(name, "is not installed");
    }
    found
}

/// Reports a component that a test has to do without. Fails where `CI` is set, because CI installs all of them.
#[track_caller]
pub(crate) fn missing(what: &str, why: &str) {
    let is_ci = env::var_os("CI").is_some_and(|value| !value.is_empty());
    assert!(!is_ci, "{what} {why}, and with `CI` set no component may be missing: `cargo xtask test` installs them");
    not_tried(&format!("{what} {why}"));
}

/// Reports what a test skips for the user or the machine that it runs on, bypassing the output capture of passing tests.
pub(crate) fn not_tried(why: &str) {
    writeln!(std::io::stderr(), "not tried: {why}").ok();
}

/// `PATH`, with the programs that `cargo xtask test` has unpacked.
pub(crate) fn path() -> OsString {
    let given = env::var_os("PATH").unwrap_or_default();
    env::join_paths(env::split_paths(&given).chain([tools().join("bin")])).unwrap_or(given)
}

/// Where `cargo xtask test` installs missing programs.
fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools")
}

/// Debian's folders of `PostgreSQL`, the newest first.
fn postgres() -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    found.sort_by_key(|folder| folder.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()));
    found.into_iter().rev().map(|folder| folder.join("bin")).collect()
}

/// Node 22, and the folder containing `node_modules`, of a package set of `cargo xtask test`.
pub(crate) fn node(set: &str) -> Option<(PathBuf, PathBuf)> {
    let (node, modules) = (tools().join("node/node_modules/node/bin/node"), tools().join(set));
    let is_there = node.is_file() && modules.join("node_modules").is_dir();
    if !is_there {
        missing(&format!("the set of Node packages `{set}`"), "is not installed");
    }
    is_there.then_some((node, modules))
}
