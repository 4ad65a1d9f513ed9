//! Real clients against the built server.

use crate::{debian, run, tools};
use anyhow::Result;

pub(crate) fn run() -> Result<()> {
    let server = run::root().join("target/debug/mcp-server-git").display().to_string();
    let scripts = run::root().join("tests/clients");
    let script = |name: &str| scripts.join(name).display().to_string();
    let modules = tools::node().display().to_string();
    let node = tools::node().join("node_modules/node/bin/node").display().to_string();
    // -B: the scripts share modules, whose compiled files must not end up beside them.
    for (python, name) in [(tools::PYTHON, "python.py"), (tools::PYTHON_1, "python1.py")] {
        run::program(&tools::python(python, "python"), &["-B", &script(name), &server], &[])?;
    }
    for name in ["typescript.mjs", "typescript1.mjs"] {
        run::program(&node, &[&script(name), &server, &modules], &[])?;
    }
    run::program(&tools::python(tools::PYTHON, "python"), &["-B", &script("inspector.py"), &server, &modules], &[])?;
    let Some(browser) = debian::found("chromium") else {
        anyhow::ensure!(std::env::var_os("CI").is_none(), "chromium is missing: the dashboard and the views of MCP Apps were not tried");
        println!("skipped the dashboard and the views of MCP Apps: chromium is missing");
        return Ok(());
    };
    for name in ["dashboard_stage.mjs", "apps.mjs"] {
        run::program(&node, &[&script(name), &server, &modules, &browser], &[])?;
    }
    Ok(())
}
