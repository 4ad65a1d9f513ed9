//! MCP over HTTP and WebSocket: who may come in, what may come in, and for how long.
//!
//! From the outside in: accepting connections, strangers, tokens, the body, the session, and then `rmcp`.

mod accept;
mod front;
mod jwt;
mod origin;
mod patience;
mod replay;
mod sessions;
mod socket;
mod tokens;

pub use accept::Listener;
pub use jwt::{Jwt, KeySource};
pub use sessions::SessionLimits;
pub use tokens::{Authority, Token, Tokens};

use crate::{connection::Limits, frame::MAX_FRAME, identity::Identity};
use axum::{
    Router, middleware,
    response::IntoResponse,
    routing::{any, get},
};
use front::Front;
use rmcp::{
    ServerHandler,
    transport::{StreamableHttpServerConfig, StreamableHttpService},
};
use serde_json::{Map, Value};
use sessions::Sessions;
use std::{io, sync::Arc, time::Duration};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long calls may go on once the server is to end.
const DRAIN: Duration = Duration::from_secs(7);
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
    /// Bounds of the sessions of older revisions.
    pub sessions: SessionLimits,
    /// What one connection may hold, or one session.
    pub limits: Limits,
    /// Cancelled once no call runs any more, after the end has begun: streams are closed then.
    pub drained: CancellationToken,
    /// How often a silent WebSocket is asked whether it lives, and how often it may miss to answer.
    pub heartbeat: (Duration, u32),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            authority: None,
            needs: Arc::new(|_, _| Vec::new()),
            sessions: SessionLimits::default(),
            limits: Limits::default(),
            drained: CancellationToken::new(),
            heartbeat: (Duration::from_secs(30), 3),
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
    let sessions = Arc::new(Sessions::new(options.sessions, options.limits));
    let mut config = StreamableHttpServerConfig::default()
        // Both are checked in front, for every route.
        .disable_allowed_hosts()
        .disable_allowed_origins()
        .with_json_response(true)
        .with_cancellation_token(ended.clone())
        .with_max_request_body_bytes(MAX_FRAME);
    config.legacy_session_mode = true;
    let made = service.clone();
    let mcp = StreamableHttpService::new(move || Ok(made(None)), Arc::clone(&sessions), config);
    let front = Arc::new(Front::new(options.clone(), Arc::clone(&sessions), stop.clone()));
    let open = TaskTracker::new();
    let sockets = socket::Sockets::new(service, &options, open.clone(), stop.clone());
    let mcp = Router::new().nest_service("/mcp", mcp).layer(middleware::from_fn_with_state(Arc::clone(&front), front::screen));
    let app = Router::new()
        .route("/health", get(health))
        .route("/.well-known/oauth-protected-resource", get(front::metadata))
        .route("/.well-known/oauth-protected-resource/mcp", get(front::metadata))
        .with_state(Arc::clone(&front))
        .route("/", any(socket::upgrade::<S>))
        .route("/ws", any(socket::upgrade::<S>))
        .with_state(sockets)
        .merge(mcp)
        .layer(middleware::from_fn_with_state(front, front::admit));
    let reaper = tokio::spawn(Arc::clone(&sessions).reap());
    let mut serving = tokio::task::JoinSet::new();
    for listener in listeners {
        serving.spawn(accept::run(listener, app.clone(), stop.clone()));
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
    reaper.abort();
    ended.cancel();
    Ok(())
}

async fn health() -> impl IntoResponse {
    axum::Json(serde_json::json!({"status": "ok"}))
}
