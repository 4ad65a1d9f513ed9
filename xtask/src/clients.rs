//! Real clients against the built server.

use crate::{run, tools};
use anyhow::Result;

pub(crate) fn run() -> Result<()> {
    run::cargo(&["build", "--package", "mcp-server-git"], &[])?;
    let server = run::root().join("target/debug/mcp-server-git").display().to_string();
    let scripts = run::root().join("tests/clients");
    let script = |name: &str| scripts.join(name).display().to_string();
    let modules = tools::node().display().to_string();
    run::program(&tools::python("python"), &[&script("python.py"), &server], &[])?;
    let node = tools::node().join("node_modules/node/bin/node").display().to_string();
    run::program(&node, &[&script("typescript.mjs"), &server, &modules], &[])?;
    run::program(&tools::python("python"), &[&script("inspector.py"), &server, &modules], &[])
}
