//! MCP over HTTP and WebSocket: who may come in, what may come in, and for how long.
//!
//! From the outside in: accepting connections, strangers, tokens, the body, the session, and then `rmcp`.

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
mod socket;
mod stream;
mod tokens;
mod transport;

pub use accept::{Listener, QUIET};
pub use jwt::{Jwt, KeySource};
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

/// How long calls may go on once the server is to end.
const DRAIN: Duration = Duration::from_secs(7);
/// How often what was kept for clients that did not come back is forgotten.
const TIDY: Duration = Duration::from_secs(15);
/// How often streams to listen on are looked for while no new work is taken.
const HANG_UP: Duration = Duration::from_millis(100);
/// What clients are told while no new work is taken.
const DRAINING: &str = "the server is draining and takes no new work";
/// How long their answers may take to leave after that.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// The scopes that a call of a tool needs, so that a token without them can be told which.
pub type Needs = Arc<dyn Fn(&str, &Map<String, Value>) -> Vec<&'static str> + Send + Sync>;

/// How MCP is served.
#[derive(Clone)]
pub struct Options {
    /// Names, besides those of the loopback, under which the server may be asked for.
    pub allowed_hosts: Vec<String>,
    /// Origins of pages, besides those from the loopback, that may ask.
    pub allowed_origins: Vec<String>,
    /// Who may come in; everybody when absent.
    pub authority: Option<Arc<Authority>>,
    /// The scopes that a call needs.
    pub needs: Needs,
    /// The sessions of older revisions, and those of `WebSocket`s.
    pub sessions: Arc<Sessions>,
    /// What one connection may hold, or one session.
    pub limits: Limits,
    /// Cancelled once no call runs any more, after the end has begun: streams are closed then.
    pub drained: CancellationToken,
    /// Whether new work is taken.
    pub intake: Intake,
    /// The connections that are open. Once no new ones are wanted each of them ends with its next answer, or soon.
    pub connections: TaskTracker,
    /// Lists a connection, by where it comes from, until what it gives is dropped.
    pub list: List,
    /// Says whether the server is ready, and why not; for `/health` and its kin.
    pub health: Health,
    /// What `/metrics` answers; nothing is served there where it is absent.
    pub metrics: Option<Metrics>,
}

/// The figures of a server in the text format of Prometheus, made on a thread that may block.
pub type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Says how the server is, for one of the questions that a balancer asks.
pub type Health = Arc<dyn Fn(Probe) -> (bool, Value) + Send + Sync>;

/// Lists a connection.
pub type List = Arc<dyn Fn(String) -> Box<dyn Send + Sync> + Send + Sync>;

/// What is asked of a server's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Whether it can be sent calls; with everything that is looked at when asked to be verbose.
    Ready {
        /// Asks for each part.
        verbose: bool,
    },
    /// Whether it lives.
    Live,
    /// Whether it has started.
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
        }
    }
}

/// Serves what `service` makes on `listeners`: Streamable HTTP at `/mcp`, WebSocket at `/` and `/ws`, and `/health`,
/// until `stop` is cancelled.
///
/// # Errors
///
/// When accepting connections fails for good.
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
        // Both are checked in front, for every route.
        .disable_allowed_hosts()
        .disable_allowed_origins()
        .with_json_response(true)
        .with_cancellation_token(ended.clone())
        .with_max_request_body_bytes(MAX_FRAME);
    config.legacy_session_mode = true;
    // The streams say themselves when to ask again.
    config.sse_retry = None;
    config.session_store = sessions.store();
    let made = service.clone();
    let mcp = StreamableHttpService::new(move || Ok(made(None)), Arc::clone(&sessions), config);
    let connections = Connections::new();
    // Half: stalled bodies leave their client connections for streams and WebSockets.
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
        // What runs is answered first. Streams that stay open would then hold the exit.
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
    let (is_well, body) = front.health(probe);
    let status = if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(body)).into_response()
}
