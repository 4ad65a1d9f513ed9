//! The `mcp-server-git` program.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: guard::heap::Allocator = guard::heap::Allocator;

#[expect(unsafe_code, reason = "the environment is cleaned before there are threads")]
fn main() -> ExitCode {
    // In a sandbox git starts this very program to edit the steps of a rebase, where it would otherwise need a shell.
    match git::edit_sequence() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            // SAFETY: this is the only thread.
            unsafe { git::adopt_environment() };
            mcp_server_git::cli::run()
        }
        Err(_) => ExitCode::FAILURE,
    }
}
