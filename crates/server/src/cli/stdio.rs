//! No sub-command: MCP on standard input and output.

use super::{cannot_run, tell};
use crate::{
    admin::{self, Channel},
    app::{self, App},
    config::Config,
    lifecycle::{grace, signals},
    server::{Server, reload},
    wire::{Handler, Shared},
};
use mcp::stdio;
use std::{io::IsTerminal, path::PathBuf, process::ExitCode, sync::Arc};

pub(super) fn run(app: &App, config: &Config) -> ExitCode {
    if std::io::stdin().is_terminal() {
        tell(
            "mcp-server-git speaks MCP on standard input and output: it waits for JSON-RPC messages from a client, one per line.\n\
             To point a client at it:  mcp-server-git setup claude-code (or vscode, cursor, zed, codex, gemini, claude-desktop)\n\
             To try a tool here:       mcp-server-git call git_status\n\
             To serve HTTP instead:    mcp-server-git serve\n\
             Ctrl-D or Ctrl-C ends it.",
        );
    }
    if std::env::var_os("MCP_GIT_PORT").is_some() {
        tell("mcp-server-git: MCP_GIT_PORT has no effect here; `mcp-server-git serve` listens on a port");
    }
    // Calls run on blocking threads, so one message thread is enough to answer pings at once.
    let runtime =
        match tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(app::blocking_threads(config)).build() {
            Ok(runtime) => runtime,
            Err(err) => return cannot_run(&err),
        };
    let result = runtime.block_on(async {
        let reloaded = Arc::clone(&app.server);
        signals::watch(app.stop.clone(), move || reload::reload(&reloaded))?;
        if let Some(endpoint) = &config.collectors.metrics {
            admin::metrics::export(&app.server, endpoint);
        }
        let late = async {
            app.stop.cancelled().await;
            tokio::time::sleep(grace::SERVER).await;
        };
        // Bounds the wait for calls that hang, such as a read from a lost file system.
        let mode = config.validation.mode;
        let handler =
            Handler::new(Shared::new(Arc::clone(&app.pipeline), Arc::clone(&app.server.sessions), app.server.intake.clone(), mode), None);
        let registered = tokio::spawn(register(Arc::clone(&app.server), config.admin.socket.clone()));
        let served = tokio::select! {
            served = stdio::serve(handler, &app.server.sessions, mode.into(), app.stop.clone()) => served,
            () = late => return Ok(()),
        };
        app.stop.cancel();
        app.services.idle(grace::SERVER).await;
        app.server.end_telemetry().await;
        if let Ok(Some(channel)) = registered.await {
            channel.remove();
        }
        app.server.persistence.close().await;
        served
    });
    // A blocked read from a terminal would delay the exit.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => cannot_run(&err),
    }
}

/// Starts maintenance and the admin channel once the server first needs its store.
async fn register(server: Arc<Server>, socket: Option<PathBuf>) -> Option<Channel> {
    tokio::select! { () = server.persistence.needed() => {}, () = server.stop.cancelled() => return None }
    server.begin().await;
    match admin::open(&server, socket.as_deref(), false) {
        Ok(channel) => Some(channel),
        Err(err) => {
            tracing::warn!(%err, "admin channel unavailable");
            None
        }
    }
}
