//! Running programs.

use anyhow::{Context, Result, bail};
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// The workspace root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// The folder of the installed test tools.
pub(crate) fn folder() -> PathBuf {
    root().join("target/tools")
}

pub(crate) fn cargo(args: &[&str], variables: &[(&str, &str)]) -> Result<()> {
    program(&env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()), args, variables)
}

pub(crate) fn program(program: &str, args: &[&str], variables: &[(&str, &str)]) -> Result<()> {
    let status = command(program).args(args).envs(variables.iter().copied()).status();
    let status = status.with_context(|| format!("{program} could not be started"))?;
    if !status.success() {
        bail!("{program} {}: {status}", args.join(" "));
    }
    Ok(())
}

/// Whether `program` is on `PATH`.
pub(crate) fn exists(program: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

#[expect(clippy::disallowed_methods, reason = "tasks start programs")]
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// Builds a release server and returns its path.
pub(crate) fn release() -> Result<String> {
    cargo(&["build", "--release"], &[])?;
    Ok(root().join("target/release/mcp-server-git").display().to_string())
}

/// The files that git tracks, by path from the root.
pub(crate) fn tracked() -> Result<Vec<String>> {
    let output = command("git").args(["ls-files", "-z"]).output().context("git could not be started")?;
    if !output.status.success() {
        bail!("git ls-files: {}", output.status);
    }
    let files = String::from_utf8(output.stdout)?;
    Ok(files.split('\0').filter(|file| !file.is_empty()).map(str::to_owned).collect())
}
