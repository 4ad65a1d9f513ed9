//! Looks at the sessions, circuits and errors of a running server: `cargo run --example diagnose -- REPOSITORY`.
#![allow(clippy::print_stdout, reason = "an example prints what it has seen")]

use mcp_server_git::{ErrorClass, McpGitServer, diagnose};
use std::{
    error::Error,
    path::{Path, PathBuf},
    time::Duration,
};

fn main() -> Result<(), Box<dyn Error>> {
    // git in a sandbox starts this program again, to edit the steps of a rebase.
    if mcp_server_git::edit_sequence()? {
        return Ok(());
    }
    let repository = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("."), PathBuf::from);
    println!("{}", tokio::runtime::Runtime::new()?.block_on(run(&repository))?);
    Ok(())
}

/// Starts a server, and returns what it reports.
pub(crate) async fn run(repository: &Path) -> Result<String, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let server = McpGitServer::builder()
        .repository(repository)
        .port(0)
        .state_dir(folder.path().join("state"))
        .admin_socket(folder.path().join("admin.sock"))
        .start()
        .await?;
    let minute = Duration::from_mins(1);
    // The server counts the errors of its calls. A program may add its own.
    for _ in 0..20 {
        server.errors().record(ErrorClass::NetworkTimeout);
    }
    let mut seen = vec![format!("{} sessions", server.sessions().list().len())];
    seen.extend(server.circuits().list().iter().map(|circuit| format!("circuit {}: {}", circuit.name, circuit.state)));
    seen.extend(server.errors().spikes(5.0, minute).iter().map(|(class, rate)| format!("{}: {rate:.0} per minute", class.name())));
    for diagnosis in [
        diagnose::sessions(&server, minute).await,
        diagnose::heartbeats(&server),
        diagnose::circuits(&server),
        diagnose::errors(&server, minute).await,
        diagnose::memory(&server),
    ] {
        seen.push(format!("{}{diagnosis}", if diagnosis.is_fine { "" } else { "PROBLEM\n" }));
    }
    server.shutdown().await?;
    Ok(seen.join("\n"))
}
