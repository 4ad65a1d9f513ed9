//! MCP over HTTP and WebSocket: access control, message checks and limits.
//!
//! Layers, outermost first: connections, host and origin, tokens, the body, the session, and then `rmcp`.

mod accept;
mod bodies;
mod connections;
mod cors;
mod front;
mod jwt;
mod origin;
mod replay;
mod sessions;
mod shares;
mod site;
mod socket;
mod stream;
mod tokens;
mod transport;

pub use accept::{CONNECTIONS_END, Listener, QUIET};
pub use jwt::{Jwt, KeySource};
pub use site::{Identify, Site, Ticketed};
pub use tokens::{Authority, Token, Tokens};

use crate::{
    connection::Limits,
    frame::MAX_FRAME,
    identity::Identity,
    intake::Intake,
    sessions::{SessionLimits, Sessions},
};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, Uri},
    middleware,
    response::{IntoResponse, Response},
    routing::{any, get},
};
use bodies::Bodies;
use connections::Connections;
use front::Front;
use rmcp::{
    ServerHandler,
    transport::{StreamableHttpServerConfig, StreamableHttpService},
};
use serde_json::{Map, Value, json};
use sessions::HttpSessions;
use std::{io, sync::Arc, time::Duration};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long calls may continue during shutdown.
pub const DRAIN: Duration = Duration::from_secs(7);
/// Interval for removing data kept for clients that did not reconnect.
const TIDY: Duration = Duration::from_secs(15);
/// Interval for closing idle listening streams while no new work is accepted.
const HANG_UP: Duration = Duration::from_millis(100);
/// Error returned while draining.
const DRAINING: &str = "the server is draining and accepts no new work";
/// Grace period for sending the last answers.
pub const LAST_WORDS: Duration = Duration::from_millis(300);

/// Returns the scopes that a tool call needs, so that a client can be asked for missing ones.
pub type Needs = Arc<dyn Fn(&str, &Map<String, Value>) -> Vec<&'static str> + Send + Sync>;

/// Options of the HTTP server.
#[derive(Clone)]
pub struct Options {
    /// Allowed host names besides loopback.
    pub allowed_hosts: Vec<String>,
    /// Allowed origins besides loopback.
    pub allowed_origins: Vec<String>,
    /// Validates tokens. Access is open if `None`.
    pub authority: Option<Arc<Authority>>,
    /// Returns the scopes that a call needs.
    pub needs: Needs,
    /// Sessions of older revisions and of WebSockets.
    pub sessions: Arc<Sessions>,
    /// Limits of one connection or session.
    pub limits: Limits,
    /// Cancelled once all calls have ended during shutdown: streams are closed then.
    pub drained: CancellationToken,
    /// Whether new work is accepted.
    pub intake: Intake,
    /// The open connections. Once no new ones are accepted, each closes with its next answer or shortly after.
    pub connections: TaskTracker,
    /// Lists a connection until the returned guard is dropped.
    pub list: List,
    /// Reports readiness, with reasons; for `/health` and similar routes.
    pub health: Health,
    /// Renders `/metrics`; the route is not served if `None`.
    pub metrics: Option<Metrics>,
    /// Pages for people, and the API that they use.
    pub site: Option<Site>,
}

/// Renders the metrics in the Prometheus text format, on a thread that may block.
pub type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Answers a health probe.
pub type Health = Arc<dyn Fn(Probe) -> (bool, Value) + Send + Sync>;

/// Lists a connection by its origin, until the returned guard is dropped.
pub type List = Arc<dyn Fn(String) -> Box<dyn Send + Sync> + Send + Sync>;

/// A health probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Whether the server accepts calls.
    Ready {
        /// Includes every check.
        verbose: bool,
    },
    /// Whether the process is alive.
    Live,
    /// Whether startup is complete.
    Started,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            authority: None,
            needs: Arc::new(|_, _| Vec::new()),
            sessions: Sessions::new(SessionLimits::default(), None, None),
            limits: Limits::default(),
            drained: CancellationToken::new(),
            intake: Intake::default(),
            connections: TaskTracker::new(),
            list: Arc::new(|_| Box::new(())),
            health: Arc::new(|_| (true, json!({"status": "ok"}))),
            metrics: None,
            site: None,
        }
    }
}

/// Serves the handlers made by `service` on `listeners`: Streamable HTTP at `/mcp`, WebSocket at `/` and `/ws`, and
/// `/health`, until `stop` is cancelled.
///
/// # Errors
///
/// If accepting connections fails permanently.
pub async fn serve<S>(
    listeners: Vec<Listener>,
    service: impl Fn(Option<&Identity>) -> S + Clone + Send + Sync + 'static,
    options: Options,
    stop: CancellationToken,
) -> io::Result<()>
where
    S: ServerHandler + Send + 'static,
{
    let ended = CancellationToken::new();
    let sessions = Arc::new(HttpSessions::new(Arc::clone(&options.sessions), options.limits));
    let mut config = StreamableHttpServerConfig::default()
        // The front checks host and origin for every route.
        .disable_allowed_hosts()
        .disable_allowed_origins()
        .with_json_response(true)
        .with_cancellation_token(ended.clone())
        .with_max_request_body_bytes(MAX_FRAME);
    config.legacy_session_mode = true;
    // The streams send their own retry interval.
    config.sse_retry = None;
    config.session_store = sessions.store();
    let made = service.clone();
    let mcp = StreamableHttpService::new(move || Ok(made(None)), Arc::clone(&sessions), config);
    let connections = Connections::new();
    // Half of the connections: stalled bodies leave their client the rest for streams and WebSockets.
    let bodies = Bodies::new(connections.limit() / 2);
    let bytes = bodies.bytes();
    let front = Arc::new(Front::new(options.clone(), Arc::clone(&sessions), bodies, stop.clone()));
    let open = TaskTracker::new();
    let sockets = socket::Sockets::new(service, &options, bytes, open.clone(), stop.clone());
    let mcp = Router::new().nest_service("/mcp", mcp).layer(middleware::from_fn_with_state(Arc::clone(&front), front::screen));
    let app = Router::new()
        .route("/health", get(ready))
        .route("/readyz", get(ready))
        .route("/livez", get(|State(front): State<Arc<Front>>| async move { answer(&front, Probe::Live) }))
        .route("/startupz", get(|State(front): State<Arc<Front>>| async move { answer(&front, Probe::Started) }))
        .route("/metrics", get(front::metrics))
        .route("/.well-known/oauth-protected-resource", get(front::metadata))
        .route("/.well-known/oauth-protected-resource/mcp", get(front::metadata))
        .with_state(Arc::clone(&front))
        .route("/", any(socket::upgrade::<S>))
        .route("/ws", any(socket::upgrade::<S>))
        .with_state(sockets)
        .merge(mcp)
        .merge(options.site.clone().map(Site::routes).unwrap_or_default())
        .layer(middleware::from_fn_with_state(front, front::admit));
    let intake = options.intake.clone();
    let tidying = tokio::spawn(async move {
        let every = |period| {
            let mut every = tokio::time::interval(period);
            every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            every
        };
        let (mut tidy, mut hang_up) = (every(TIDY), every(HANG_UP));
        loop {
            let closed = async {
                hang_up.tick().await;
                intake.closed().await;
            };
            tokio::select! {
                _ = tidy.tick() => sessions.tidy(),
                () = closed => sessions.hang_up(),
            }
        }
    });
    let mut serving = tokio::task::JoinSet::new();
    for listener in listeners {
        serving.spawn(accept::run(
            listener,
            app.clone(),
            Arc::clone(&connections),
            (options.connections.clone(), Arc::clone(&options.list)),
            options.intake.clone(),
            stop.clone(),
        ));
    }
    let streams = ended.clone();
    let drained = options.drained.clone();
    tokio::spawn(async move {
        stop.cancelled().await;
        // Running calls are answered first. Streams left open would then delay the exit.
        tokio::time::timeout(DRAIN, drained.cancelled()).await.ok();
        tokio::time::sleep(LAST_WORDS).await;
        streams.cancel();
    });
    while let Some(done) = serving.join_next().await {
        done.map_err(io::Error::other)??;
    }
    open.close();
    tokio::time::timeout(DRAIN, open.wait()).await.ok();
    tidying.abort();
    ended.cancel();
    Ok(())
}

async fn ready(State(front): State<Arc<Front>>, uri: Uri) -> Response {
    answer(&front, Probe::Ready { verbose: uri.query().is_some_and(|query| query.split('&').any(|part| part == "verbose")) })
}

fn answer(front: &Front, probe: Probe) -> Response {
    let (is_healthy, body) = front.health(probe);
    let status = if is_healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(body)).into_response()
}
