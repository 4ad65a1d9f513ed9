//! A server on its sockets: what `serve` and an embedded server share. Signals, the supervisor and the service manager are
//! matters of the program.

pub(crate) mod listen;
pub(crate) mod processes;

use crate::{
    admin::{self, Channel},
    app::{App, StartError},
    caller::{Caller, Right},
    config::{Config, OtlpEndpoint},
    dashboard,
    lifecycle::{grace, settings},
    pipeline::{ResourceKind, effect},
    server::Server,
    wire::{Handler, Shared},
};
use listen::{Place, listen};
use mcp::{
    Mode,
    http::{self, Authority, Jwt, KeySource, Listener, Options, Site, Tokens},
};
use std::{io, num::NonZeroU32, path::PathBuf, pin::Pin, sync::Arc};

/// The transport, until it ends.
type Transport = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// A server with its open sockets, ready to accept connections.
pub(crate) struct Serving {
    server: Arc<Server>,
    listeners: Vec<Listener>,
    place: Place,
    channel: Channel,
    options: Options,
    mode: Mode,
    /// Receives the metrics.
    collector: Option<OtlpEndpoint>,
}

/// Checks the requirements of every call at startup, where the operator sees what is missing.
///
/// # Errors
///
/// [`StartError::Requirement`].
pub(crate) fn preflight(app: &App, config: &Config) -> Result<(), StartError> {
    match app.services.repositories.git().version() {
        Ok(_) => {}
        // git may still respond, for example if its file system is slow.
        Err(git::Error::GitSilent(why)) => tracing::warn!(why, "git does not respond"),
        Err(err) => return Err(StartError::Requirement(format!("{err}. `--git PROGRAM` names another"))),
    }
    git::opening_support().map_err(|why| StartError::Requirement(format!("no repository can be opened: {why}")))?;
    match app.server.state.ready() {
        // A read-only server needs no state directory.
        Err(err) if config.selection.read_only => tracing::warn!(%err, "state directory unavailable"),
        Err(err) => return Err(StartError::Requirement(err.message)),
        Ok(_) => {}
    }
    Ok(())
}

/// Checks the requirements, and prepares authentication: before a signal can reload the tokens.
///
/// # Errors
///
/// [`StartError::Requirement`].
pub(crate) fn prepare(app: &App, config: &Config) -> Result<(), StartError> {
    preflight(app, config)?;
    app.server.authority.get_or_init(|| authority(config));
    Ok(())
}

impl Serving {
    /// Opens the store, the sockets unless they are `inherited`, and the admin channel, and starts the periodic tasks. A
    /// successor `takes_over` the channel of its predecessor. [`prepare`] comes first.
    ///
    /// # Errors
    ///
    /// [`StartError::Store`], [`StartError::Io`].
    pub(crate) async fn open(
        app: &App,
        config: &Config,
        inherited: Option<(Vec<Listener>, Place)>,
        takes_over: bool,
    ) -> Result<Self, StartError> {
        let server = Arc::clone(&app.server);
        server.persistence.start().await.map_err(|why| StartError::Store(why.to_string()))?;
        let (listeners, place) = match inherited {
            Some(passed) => passed,
            None => listen(config).await?,
        };
        let at = match &place {
            Place::Address(address) => format!("http://{address}"),
            Place::Socket(path, _) => path.display().to_string(),
        };
        server.tickets.keep_in(&server.state_dir, &at);
        if matches!(place, Place::Address(_)) {
            server.address.set(at).ok();
        }
        server.begin().await;
        let channel = match admin::open(&server, config.admin.socket.as_deref(), takes_over) {
            Ok(channel) => channel,
            Err(err) => {
                place.remove();
                server.persistence.close().await;
                return Err(err.into());
            }
        };
        let options = options(config, &server);
        let (mode, collector) = (config.validation.mode, config.collectors.metrics.clone());
        Ok(Self { server, listeners, place, channel, options, mode, collector })
    }

    /// Where the server listens.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Accepts connections until the server stops, then ends its calls, its telemetry and its store. `on_stop` is called
    /// as the stop begins.
    ///
    /// # Errors
    ///
    /// If accepting connections fails permanently.
    pub(crate) async fn run(self, on_stop: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let Self { server, listeners, place, channel, options, mode, collector } = self;
        if let Some(endpoint) = &collector {
            admin::metrics::export(&server, endpoint);
        }
        let shared = Shared::new(Arc::clone(&server.pipeline), Arc::clone(&server.sessions), server.intake.clone(), mode);
        let (drained, stop, services) = (options.drained.clone(), server.stop.clone(), Arc::clone(&server.services));
        tokio::spawn(async move {
            stop.cancelled().await;
            on_stop();
            services.idle(grace::SERVER).await;
            drained.cancel();
        });
        let transport: Transport =
            Box::pin(http::serve(listeners, move |identity| Handler::new(Arc::clone(&shared), identity), options, server.stop.clone()));
        let served = transport.await;
        server.stop.cancel();
        server.services.idle(grace::SERVER).await;
        server.end_telemetry().await;
        server.flush_to_store().await;
        server.persistence.close().await;
        channel.remove();
        place.remove();
        served
    }
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

fn options(config: &Config, server: &Arc<Server>) -> Options {
    let http = &config.http;
    let pipeline = Arc::clone(&server.pipeline);
    // The URL that the server prints must be an allowed host.
    let own = http.host.filter(|host| !host.is_unspecified());
    let own = own.map(|host| if host.is_ipv6() { format!("[{host}]") } else { host.to_string() });
    Options {
        allowed_hosts: http.allowed_hosts.iter().cloned().chain(own).collect(),
        allowed_origins: http.allowed_origins.clone(),
        authority: server.authority.get().cloned().flatten(),
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
            api: admin::over_http(server, config.admin.http, &http.allowed_origins),
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
