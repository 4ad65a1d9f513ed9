//! `serve`: MCP over HTTP on this machine.

use super::{cannot_run, say, watch_signals};
use crate::{
    app::App,
    config::Config,
    wire::{Handler, Shared},
};
use mcp::http;
use std::{io, process::ExitCode, sync::Arc, time::Duration};
use tokio::net::TcpListener;

/// How long running calls may take to end.
const END: Duration = Duration::from_secs(9);

pub(super) fn run(app: &App, config: &Config) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).max_blocking_threads(64).enable_all().build() {
        Ok(runtime) => runtime,
        Err(err) => return cannot_run(&err),
    };
    let result = runtime.block_on(async {
        let listeners = listen(config.port).await?;
        let port = listeners.first().and_then(|listener| listener.local_addr().ok()).map_or(config.port, |address| address.port());
        announce(app, port);
        tokio::spawn(watch_signals(app.stop.clone()));
        let shared = Shared::new(Arc::clone(&app.pipeline));
        let served = http::serve(listeners, move || Handler::new(Arc::clone(&shared), None), app.stop.clone()).await;
        app.stop.cancel();
        app.pipeline.idle(END).await;
        served
    });
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => cannot_run(&err),
    }
}

/// Listens on both loopback addresses; the second is optional, as not every machine has it.
async fn listen(port: u16) -> io::Result<Vec<TcpListener>> {
    let first = TcpListener::bind(("127.0.0.1", port)).await.map_err(|err| explain(err, port))?;
    let port = first.local_addr()?.port();
    let mut listeners = vec![first];
    listeners.extend(TcpListener::bind(("::1", port)).await.ok());
    Ok(listeners)
}

fn explain(err: io::Error, port: u16) -> io::Error {
    match err.kind() {
        io::ErrorKind::AddrInUse => {
            let owner = owner_of(port).map(|owner| format!(" by {owner}")).unwrap_or_default();
            let hint = "Choose another with `--port N` or MCP_GIT_PORT=N; 0 takes any free one.";
            io::Error::new(err.kind(), format!("port {port} is in use{owner}. {hint}"))
        }
        io::ErrorKind::PermissionDenied => {
            io::Error::new(err.kind(), format!("port {port} needs privileges. Choose one above 1023 with `--port N`."))
        }
        _ => err,
    }
}

/// The process that listens on `port`, where the system tells: its name and pid.
fn owner_of(port: u16) -> Option<String> {
    let inode = listening_inode(port)?;
    let wanted = format!("socket:[{inode}]");
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        let pid = process.file_name().to_string_lossy().into_owned();
        let Ok(descriptors) = std::fs::read_dir(process.path().join("fd")) else { continue };
        let owns = descriptors.flatten().any(|fd| std::fs::read_link(fd.path()).is_ok_and(|target| target.as_os_str() == wanted.as_str()));
        if owns {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (pid {pid})", name.trim()));
        }
    }
    None
}

fn listening_inode(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].iter().filter_map(|table| std::fs::read_to_string(table).ok());
    tables.into_iter().find_map(|table| {
        table.lines().skip(1).find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // State 0A is LISTEN.
            let listens = fields.get(1)?.ends_with(&format!(":{port:04X}")) && *fields.get(3)? == "0A";
            listens.then(|| fields.get(9).map(ToString::to_string))?
        })
    })
}

fn announce(app: &App, port: u16) {
    let roots = app.pipeline.repositories.roots().named();
    let served: Vec<String> = roots.iter().map(|root| root.display().to_string()).collect();
    let served = if served.is_empty() { "no repository: start it inside one, or with -r PATH".to_owned() } else { served.join(", ") };
    say(&format!(
        "mcp-server-git listens on http://127.0.0.1:{port}\n  \
         MCP      http://127.0.0.1:{port}/mcp\n  \
         health   http://127.0.0.1:{port}/health\n  \
         serves   {served}\n\
         Point a client at it:\n  \
         Claude Code   claude mcp add --transport http git http://127.0.0.1:{port}/mcp\n  \
         VS Code       code --add-mcp '{{\"name\":\"git\",\"type\":\"http\",\"url\":\"http://127.0.0.1:{port}/mcp\"}}'\n  \
         Cursor        ~/.cursor/mcp.json: {{\"mcpServers\":{{\"git\":{{\"url\":\"http://127.0.0.1:{port}/mcp\"}}}}}}\n\
         Or let clients start it over stdio: mcp-server-git setup CLIENT. Ctrl-C ends it."
    ));
}
