//! `serve`: MCP over HTTP and WebSocket.

use super::{
    cannot_run,
    listen::{Place, inherited, listen},
    say,
};
use crate::{
    admin,
    app::{self, App},
    caller::{Caller, Right},
    config::Config,
    dashboard,
    lifecycle::{grace, notify, settings, signals},
    pipeline::{ResourceKind, effect},
    server::{Server, reload, restart},
    socket,
    wire::{Handler, Shared},
};
use mcp::http::{self, Authority, Jwt, KeySource, Options, Site, Tokens};
use std::{io, num::NonZeroU32, path::PathBuf, process::ExitCode, sync::Arc};

pub(super) fn run(app: &App, config: &Config) -> ExitCode {
    if let Err(why) = preflight(app, config) {
        return cannot_run(&why);
    }
    // Set before a signal can reload the tokens.
    let authority = app.server.authority.get_or_init(|| authority(config)).clone();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(app::blocking_threads(config))
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(err) => return cannot_run(&err),
    };
    let result = runtime.block_on(async {
        // Installed before the server is reachable, so that no signal is missed.
        let reloaded = Arc::clone(&app.server);
        signals::watch(app.stop.clone(), move || reload::reload(&reloaded))?;
        app.server.persistence.start().await.map_err(|why| io::Error::other(format!("the store cannot be used: {why}")))?;
        let (listeners, place) = match inherited()? {
            Some(passed) => passed,
            None => listen(config).await?,
        };
        let supervisor = restart::connect(&app.server)?;
        if let Place::Address(address) = &place {
            app.server.address.set(format!("http://{address}")).ok();
        }
        app.server.begin().await;
        let admin = admin::open(&app.server, config.admin.socket.as_deref(), supervisor.is_some())?;
        if let Some(supervisor) = supervisor {
            supervisor.ready(&app.server).await;
        } else {
            announce(app, &place, config.auth.wants_tokens());
            notify::ready();
        }
        if let Some(endpoint) = &config.collectors.metrics {
            admin::metrics::export(&app.server, endpoint);
        }
        let shared =
            Shared::new(Arc::clone(&app.pipeline), Arc::clone(&app.server.sessions), app.server.intake.clone(), config.validation.mode);
        let options = options(config, &app.server, authority);
        let (drained, stop, pipeline) = (options.drained.clone(), app.stop.clone(), Arc::clone(&app.pipeline));
        tokio::spawn(async move {
            stop.cancelled().await;
            notify::stopping();
            pipeline.services().idle(grace::SERVER).await;
            drained.cancel();
        });
        let served = http::serve(listeners, move |identity| Handler::new(Arc::clone(&shared), identity), options, app.stop.clone()).await;
        app.stop.cancel();
        app.services.idle(grace::SERVER).await;
        app.server.end_telemetry().await;
        app.server.flush_to_store().await;
        app.server.persistence.close().await;
        admin.remove();
        if let Place::Socket(path, made) = &place {
            socket::remove(path, *made);
        }
        served
    });
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => cannot_run(&err),
    }
}

/// Checks the requirements of every call at startup, where the operator sees what is missing.
pub(super) fn preflight(app: &App, config: &Config) -> Result<(), String> {
    match app.services.repositories.git().version() {
        Ok(_) => {}
        // git may still respond, for example if its file system is slow.
        Err(git::Error::GitSilent(why)) => tracing::warn!(why, "git does not respond"),
        Err(err) => return Err(format!("{err}. `--git PROGRAM` names another")),
    }
    match app.server.state.ready() {
        // A read-only server needs no state directory.
        Err(err) if config.selection.read_only => tracing::warn!(%err, "state directory unavailable"),
        Err(err) => return Err(err.message),
        Ok(_) => {}
    }
    Ok(())
}

/// Authenticates callers; `None` if no tokens are required.
fn authority(config: &Config) -> Option<Arc<Authority>> {
    let auth = &config.auth;
    if !auth.wants_tokens() {
        return None;
    }
    let tokens = Tokens::new(settings::tokens(&auth.tokens));
    let jwt = auth.jwt.as_ref().map(|jwt| {
        let is_url = jwt.jwks.starts_with("https://") || jwt.jwks.starts_with("http://");
        let source = if is_url { KeySource::Url(jwt.jwks.clone()) } else { KeySource::File(PathBuf::from(&jwt.jwks)) };
        Jwt::new(jwt.issuer.clone(), jwt.audience.clone(), source)
    });
    let (servers, resource) = (auth.authorization_servers.clone(), auth.resource.clone());
    Some(Arc::new(Authority::new(tokens, jwt, servers, resource, NonZeroU32::new(config.http.rate))))
}

fn options(config: &Config, server: &Arc<Server>, authority: Option<Arc<Authority>>) -> Options {
    let http = &config.http;
    let pipeline = Arc::clone(&server.pipeline);
    // The URL that the server prints must be an allowed host.
    let own = http.host.filter(|host| !host.is_unspecified());
    let own = own.map(|host| if host.is_ipv6() { format!("[{host}]") } else { host.to_string() });
    Options {
        allowed_hosts: http.allowed_hosts.iter().cloned().chain(own).collect(),
        allowed_origins: http.allowed_origins.clone(),
        authority,
        needs: Arc::new(move |tool, args| {
            let Some(entry) = pipeline.services().find(tool) else { return Vec::new() };
            Caller::needed(effect(entry, args), entry.scope).map(Right::name).collect()
        }),
        sessions: Arc::clone(&server.sessions),
        intake: server.intake.clone(),
        connections: server.connections.clone(),
        list: {
            let resources = server.resources.clone();
            Arc::new(move |from| Box::new(resources.acquire(ResourceKind::Connection.name(), from, None).ok()))
        },
        limits: config.validation.mode.into(),
        health: {
            let (server, is_open) = (Arc::clone(server), !config.auth.wants_tokens());
            Arc::new(move |probe| admin::health(&server, probe, is_open))
        },
        site: Some(Site {
            front: Arc::new(dashboard::front),
            pages: dashboard::pages(),
            api: admin::over_http(server, config.admin.http),
            tickets: {
                let server = Arc::clone(server);
                Arc::new(move |ticket| server.tickets.identify(ticket))
            },
        }),
        metrics: config.metrics.enabled.then(|| {
            let server = Arc::clone(server);
            Arc::new(move || admin::metrics::render(&server)) as http::Metrics
        }),
        ..Options::default()
    }
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
