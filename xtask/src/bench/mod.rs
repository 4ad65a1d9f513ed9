//! Benchmarks: those beside the code, growth with the size of a repository, and the page that publishes results.

mod campaign;
mod chart;
mod client;
mod growth;
mod metric;
mod page;
mod publish;
mod repository;
mod results;
mod scale;
mod svg;
mod text;

use crate::run;
use anyhow::Result;
use std::path::Path;

/// Runs all benchmarks of the parts, and the harness in `MCP_BENCH` if there is one.
pub(crate) fn parts() -> Result<()> {
    run::cargo(&["bench", "--package", "mcpgit-git", "--bench", "reads"], &[])?;
    run::cargo(&["bench", "--package", "mcpgit-mcp", "--bench", "transports"], &[])?;
    run::cargo(&["bench", "--package", "mcp-server-git", "--bench", "fairness"], &[])?;
    let Ok(harness) = std::env::var("MCP_BENCH") else {
        println!("skipped the comparison with the git command line: MCP_BENCH is not set");
        return Ok(());
    };
    let server = run::release()?;
    run::program(&harness, &["run", "--servers", "cli,ours"], &[("MCP_SERVER_GIT", &server)])
}

/// Adds result files to the committed results, and writes the page and its plots. Without files it only writes these.
pub(crate) fn publish(files: &[&str]) -> Result<()> {
    publish::publish(&run::root(), files)
}

/// Measures `server` on repositories of growing size.
pub(crate) fn growth(server: &str, out: &str) -> Result<()> {
    campaign::measure(Path::new(server), Path::new(out))
}
