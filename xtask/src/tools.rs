//! Programs that the checks need, installed from the registries under `target/`.

use crate::run;
use anyhow::{Context, Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Python packages: the spelling check and the client SDK; and, in an environment of its own, the SDK before it, which is
/// called the same.
const PACKAGES: [&str; 2] = ["typos==1.48.0", "mcp>=2,<3"];
const PACKAGES_1: [&str; 1] = ["mcp[ws]>=1.30,<2"];
/// The two environments.
pub(crate) const PYTHON: &str = "python";
pub(crate) const PYTHON_1: &str = "python1";
/// Node packages: Node 22 itself, the client SDK and the one before it, the inspector, and the conformance suite, which is pinned: `latest` is an
/// old line of it.
const NODE: [&str; 5] = [
    "node@22",
    "@modelcontextprotocol/client@2",
    "@modelcontextprotocol/sdk@1",
    "@modelcontextprotocol/inspector@latest",
    "@modelcontextprotocol/conformance@0.2.0-alpha.12",
];

/// Programs that a few tests need, and Debian's packages with them.
const PROGRAMS: [(&str, &str); 8] = [
    ("/usr/lib/postgresql", "postgresql"),
    ("/usr/sbin/sshd", "openssh-server"),
    ("/usr/bin/git-lfs", "git-lfs"),
    ("/usr/sbin/nginx", "nginx"),
    ("/usr/bin/curl", "curl"),
    ("/usr/bin/openssl", "openssl"),
    ("/usr/bin/strace", "strace"),
    ("/usr/bin/promtool", "prometheus"),
];
const QUIET: &[(&str, &str)] = &[("DEBIAN_FRONTEND", "noninteractive")];

pub(crate) fn folder() -> PathBuf {
    run::root().join("target/tools")
}

/// A program of a Python environment.
pub(crate) fn python(environment: &str, program: &str) -> String {
    folder().join(environment).join("bin").join(program).display().to_string()
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
    programs();
    fs::create_dir_all(node())?;
    for (environment, packages) in [(PYTHON, &PACKAGES[..]), (PYTHON_1, &PACKAGES_1[..])] {
        installed(environment, packages, || {
            let place = folder().join(environment).display().to_string();
            run::program("python3", &["-m", "venv", &place], &[])?;
            let args = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
            run::program(&python(environment, "python"), &[&args[..], packages].concat(), &[])
        })?;
    }
    installed("node", &NODE, || {
        let prefix = node().display().to_string();
        fs::write(node().join("package.json"), "{\"private\": true, \"type\": \"module\"}\n")?;
        run::program("npm", &[&["install", "--prefix", &prefix, "--no-audit", "--no-fund", "--silent"][..], &NODE].concat(), &[])
    })
}

/// Installs the programs that a few tests need, where this may be done without a question. Elsewhere those tests say what
/// they left out.
fn programs() {
    let missing: Vec<&str> = PROGRAMS.iter().filter(|(path, _)| !Path::new(path).exists()).map(|(_, package)| *package).collect();
    let is_root = fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0);
    if missing.is_empty() || !is_root || !run::exists("apt-get") {
        return;
    }
    let install = |packages: &[&str]| run::program("apt-get", &[&["install", "--yes", "--quiet=2"], packages].concat(), QUIET);
    let done = install(&missing).or_else(|_| run::program("apt-get", &["update", "--quiet=2"], QUIET).and_then(|()| install(&missing)));
    if let Err(err) = done {
        println!("not installed: {}: {err:#}", missing.join(", "));
    }
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
    run::program(&python(PYTHON, "typos"), &["--config", "typos.toml"], &[])
}
