//! Programs that may not be installed.

use super::root;
use std::{env, io::Write, path::PathBuf, process::Child};

/// Program folders that may not be on a user's `PATH`.
const PLACES: [&str; 3] = ["/usr/sbin", "/usr/local/bin", "/opt/homebrew/bin"];
/// Where `cargo xtask test` installs missing programs.
const TOOLS: &str = "target/tools";

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
    let found = look_for(name);
    if found.is_none() {
        absent(name);
    }
    found
}

/// Reports that a test skips what needs this program. Panics if `cargo xtask test` should have installed it.
#[track_caller]
pub(crate) fn absent(name: &str) {
    let is_prepared = look_for("dpkg-deb").is_some() && root().join(TOOLS).join("node").is_dir();
    assert!(!is_prepared, "{name} is not installed, although `cargo xtask test` has prepared this machine");
    not_tried(&format!("{name} is not installed"));
}

/// Reports what a test skips, bypassing the output capture of passing tests.
pub(crate) fn not_tried(why: &str) {
    writeln!(std::io::stderr(), "not tried: {why}").ok();
}

fn look_for(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let own = root().join(TOOLS).join("bin");
    env::split_paths(&path).chain(PLACES.map(PathBuf::from)).chain([own]).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Node 22, and the folder containing `node_modules`, of a package set of `cargo xtask test`.
pub(crate) fn node(set: &str) -> Option<(PathBuf, PathBuf)> {
    let tools = root().join(TOOLS);
    let (node, modules) = (tools.join("node/node_modules/node/bin/node"), tools.join(set));
    let is_there = node.is_file() && modules.join("node_modules").is_dir();
    if !is_there {
        not_tried(&format!("the Node packages of `{set}` are not installed: `cargo xtask test` installs them"));
    }
    is_there.then_some((node, modules))
}
