//! `serve`: MCP over HTTP and WebSocket.

use super::{cannot_run, say};
use crate::{
    app::{self, App, StartError},
    config::Config,
    lifecycle::{notify, signals},
    server::{reload, restart},
    serving::{
        Serving,
        listen::{Place, inherited, refuse_exposed},
        prepare,
    },
};
use std::{process::ExitCode, sync::Arc};

pub(super) fn run(app: &App, config: &Config) -> ExitCode {
    if let Err(why) = prepare(app, config) {
        return cannot_run(&why);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(app::blocking_threads(config))
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(err) => return cannot_run(&err),
    };
    let result = runtime.block_on(serve(app, config));
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => cannot_run(&err),
    }
}

async fn serve(app: &App, config: &Config) -> Result<(), StartError> {
    // Installed before the server is reachable, so that no signal is missed.
    let reloaded = Arc::clone(&app.server);
    signals::watch(app.stop.clone(), move || reload::reload(&reloaded))?;
    let passed = inherited()?;
    if let Some((listeners, _)) = passed.as_ref().filter(|_| !config.auth.wants_tokens()) {
        refuse_exposed(listeners)?;
    }
    let supervisor = restart::connect(&app.server)?;
    let serving = Serving::open(app, config, passed, supervisor.is_some()).await?;
    if let Some(supervisor) = supervisor {
        supervisor.ready(&app.server).await;
    } else {
        announce(app, serving.place(), config.auth.wants_tokens());
        notify::ready();
    }
    serving.run(notify::stopping).await?;
    Ok(())
}

pub(super) fn announce(app: &App, place: &Place, wants_token: bool) {
    let roots = app.services.repositories.roots().named();
    let served: Vec<String> = roots.iter().map(|root| root.display().to_string()).collect();
    let served = if served.is_empty() { "no repository: start it inside one, or with -r PATH".to_owned() } else { served.join(", ") };
    let at = match place {
        Place::Address(address) => format!("http://{address}"),
        Place::Socket(path, _) => {
            say(&format!(
                "mcp-server-git listens on {}\n  serves   {served}\nMCP is at /mcp, WebSocket at /ws. Ctrl-C ends it.",
                path.display()
            ));
            return;
        }
    };
    let (header, token) = if wants_token {
        (" --header 'Authorization: Bearer TOKEN'", "\n  tokens   see `[[auth.tokens]]` in the configuration")
    } else {
        ("", "")
    };
    say(&format!(
        "mcp-server-git listens on {at}\n  \
         MCP      {at}/mcp\n  \
         WebSocket {}/ws\n  \
         health   {at}/health\n  \
         serves   {served}{token}\n  \
         page     `mcp-server-git dashboard` prints its address\n\
         Point a client at it:\n  \
         Claude Code   claude mcp add --transport http git {at}/mcp{header}\n  \
         VS Code       code --add-mcp '{{\"name\":\"git\",\"type\":\"http\",\"url\":\"{at}/mcp\"}}'\n  \
         Cursor        ~/.cursor/mcp.json: {{\"mcpServers\":{{\"git\":{{\"url\":\"{at}/mcp\"}}}}}}\n\
         Or let clients start it over stdio: mcp-server-git setup CLIENT. Ctrl-C ends it.",
        at.replacen("http", "ws", 1)
    ));
}
