//! The `mcp-server-git` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    mcp_server_git::cli::run()
}
