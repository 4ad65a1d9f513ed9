//! Programs that the checks need, installed from the registries under `target/`.

use crate::run;
use anyhow::{Context, Result, bail};
use std::{fs, path::PathBuf};

/// Python packages: the spelling check and the client SDK.
const PYTHON: [&str; 2] = ["typos==1.48.0", "mcp>=2,<3"];
/// Node packages: Node 22 itself, the client SDK, the inspector.
const NODE: [&str; 3] = ["node@22", "@modelcontextprotocol/client@2", "@modelcontextprotocol/inspector@latest"];

pub(crate) fn folder() -> PathBuf {
    run::root().join("target/tools")
}

/// A program of the Python environment.
pub(crate) fn python(program: &str) -> String {
    folder().join("python/bin").join(program).display().to_string()
}

/// The folder with `node_modules`.
pub(crate) fn node() -> PathBuf {
    folder().join("node")
}

/// Installs what is not there yet. What is, is not asked for again.
pub(crate) fn prepare() -> Result<()> {
    for program in ["python3", "npm"] {
        if !run::exists(program) {
            bail!("{program} is needed for the client tests: install Python 3.10 or newer with venv, and Node 20 or newer");
        }
    }
    fs::create_dir_all(node())?;
    installed("python", &PYTHON, || {
        let environment = folder().join("python").display().to_string();
        run::program("python3", &["-m", "venv", &environment], &[])?;
        let args = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        run::program(&python("python"), &[&args[..], &PYTHON].concat(), &[])
    })?;
    installed("node", &NODE, || {
        let prefix = node().display().to_string();
        fs::write(node().join("package.json"), "{\"private\": true, \"type\": \"module\"}\n")?;
        run::program("npm", &[&["install", "--prefix", &prefix, "--no-audit", "--no-fund", "--silent"][..], &NODE].concat(), &[])
    })
}

/// Runs `install` unless a stamp says that exactly these packages are there.
fn installed(name: &str, packages: &[&str], install: impl FnOnce() -> Result<()>) -> Result<()> {
    let stamp = folder().join(format!("{name}.stamp"));
    let wanted = packages.join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(());
    }
    install().with_context(|| format!("installing {}", packages.join(", ")))?;
    Ok(fs::write(stamp, wanted)?)
}

pub(crate) fn typos() -> Result<()> {
    run::program(&python("typos"), &["--config", "typos.toml"], &[])
}
