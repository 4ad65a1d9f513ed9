//! Programs that the checks need, all under `target/tools`: from the registries, or unpacked from Debian.

use crate::{
    debian,
    run::{self, folder},
};
use anyhow::{Context, Result, bail};
use std::{fs, path::PathBuf};

/// Python packages: the spelling check, the schemas of Kubernetes, and the client SDK. The previous SDK has the same name, so it gets its own environment.
const PACKAGES: [&str; 3] = ["typos==1.48.0", "kubernetes-validate==1.37.0", "mcp>=2,<3"];
const PACKAGES_1: [&str; 1] = ["mcp[ws]>=1.30,<2"];
/// The Python environments.
pub(crate) const PYTHON: &str = "python";
pub(crate) const PYTHON_1: &str = "python1";
/// Node packages: Node 22 itself, the current and previous client SDKs, the inspector, and the conformance suite, which is
/// pinned because `latest` is an old line of it; and what drives and checks pages in a browser.
const NODE: [&str; 9] = [
    "node@22",
    "@modelcontextprotocol/client@2",
    "@modelcontextprotocol/sdk@1",
    "@modelcontextprotocol/inspector@latest",
    "@modelcontextprotocol/conformance@0.2.0-alpha.12",
    "@modelcontextprotocol/ext-apps@2",
    "esbuild@0.28",
    "playwright-core@1",
    "axe-core@4",
];

/// An ssh server for a test. Its optional parts would have to be compiled.
const SSH: [&str; 3] = ["--ignore-scripts", "--omit=optional", "ssh2@1"];

/// The path of a program in a Python environment.
pub(crate) fn python(environment: &str, program: &str) -> String {
    folder().join(environment).join("bin").join(program).display().to_string()
}

/// The folder with `node_modules`.
pub(crate) fn node() -> PathBuf {
    folder().join("node")
}

/// Installs what is missing, without checking for updates.
pub(crate) fn prepare() -> Result<()> {
    for program in ["python3", "npm"] {
        if !run::exists(program) {
            bail!("{program} is needed for the client tests: install Python 3.10 or newer with venv, and Node 20 or newer");
        }
    }
    debian::prepare();
    for (environment, packages) in [(PYTHON, &PACKAGES[..]), (PYTHON_1, &PACKAGES_1[..])] {
        installed(environment, packages, || {
            let place = folder().join(environment).display().to_string();
            run::program("python3", &["-m", "venv", &place], &[])?;
            let args = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
            run::program(&python(environment, "python"), &[&args[..], packages].concat(), &[])
        })?;
    }
    for (name, packages) in [("node", &NODE[..]), ("ssh", &SSH[..])] {
        installed(name, packages, || {
            let place = folder().join(name);
            fs::create_dir_all(&place)?;
            fs::write(place.join("package.json"), "{\"private\": true, \"type\": \"module\"}\n")?;
            let prefix = place.display().to_string();
            run::program("npm", &[&["install", "--prefix", &prefix, "--no-audit", "--no-fund", "--silent"][..], packages].concat(), &[])
        })?;
    }
    Ok(())
}

/// Runs `install` unless a stamp records exactly these packages.
fn installed(name: &str, packages: &[&str], install: impl FnOnce() -> Result<()>) -> Result<()> {
    fs::create_dir_all(folder())?;
    let stamp = folder().join(format!("{name}.stamp"));
    let wanted = packages.join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(());
    }
    let named: Vec<&str> = packages.iter().copied().filter(|package| !package.starts_with("--")).collect();
    println!("installing {} under {}", named.join(", "), folder().display());
    install().with_context(|| format!("installing {}", packages.join(", ")))?;
    Ok(fs::write(stamp, wanted)?)
}

pub(crate) fn typos() -> Result<()> {
    run::program(&python(PYTHON, "typos"), &["--config", "typos.toml"], &[])
}

/// Compares the manifests with the schemas of the newest Kubernetes and of the first with `ReadWriteOncePod`.
pub(crate) fn manifests() -> Result<()> {
    let validate = python(PYTHON, "kubernetes-validate");
    ["1.29", "1.37"]
        .into_iter()
        .try_for_each(|version| run::program(&validate, &["--strict", "--quiet", "-k", version, "docs/kubernetes.yaml"], &[]))
}
