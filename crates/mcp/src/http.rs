//! Streamable HTTP behind Host and Origin checks.

use crate::frame::MAX_FRAME;
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use rmcp::{
    ServerHandler,
    transport::{StreamableHttpServerConfig, StreamableHttpService, streamable_http_server::session::local::LocalSessionManager},
};
use std::{io, sync::Arc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Serves `service` on `listeners` at `/mcp`, with `/health`, until `stop` is cancelled.
///
/// Only requests addressed to a loopback name are answered, and only those of a page from there.
///
/// # Errors
///
/// When accepting connections fails for good.
pub async fn serve<S>(
    listeners: Vec<TcpListener>,
    service: impl Fn() -> S + Clone + Send + Sync + 'static,
    stop: CancellationToken,
) -> io::Result<()>
where
    S: ServerHandler + Send + 'static,
{
    let ended = CancellationToken::new();
    let mut config = StreamableHttpServerConfig::default()
        .with_allowed_hosts(["localhost", "127.0.0.1", "::1"])
        .with_allowed_origins(["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"])
        .with_cancellation_token(ended.clone())
        .with_max_request_body_bytes(MAX_FRAME);
    config = config.enforce_origin_validation();
    let sessions = Arc::new(LocalSessionManager::default());
    let mcp = StreamableHttpService::new(move || Ok(service()), sessions, config);
    let app = Router::new()
        .route("/health", get(health))
        .nest_service("/mcp", mcp)
        .layer(middleware::from_fn_with_state(stop.clone(), refuse_strangers));
    let mut serving = tokio::task::JoinSet::new();
    for listener in listeners {
        let stop = stop.clone();
        serving.spawn(axum::serve(listener, app.clone()).with_graceful_shutdown(async move { stop.cancelled().await }).into_future());
    }
    let streams = ended.clone();
    tokio::spawn(async move {
        stop.cancelled().await;
        // Streams that stay open would hold the exit; the calls on them have been told to end by now.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        streams.cancel();
    });
    while let Some(ended) = serving.join_next().await {
        ended.map_err(io::Error::other)??;
    }
    ended.cancel();
    Ok(())
}

async fn health() -> impl IntoResponse {
    axum::Json(serde_json::json!({"status": "ok"}))
}

/// Turns away requests that a page elsewhere sends, or that reach us under a foreign name.
async fn refuse_strangers(State(stop): State<CancellationToken>, request: Request, next: Next) -> Response {
    if stop.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], "the server is shutting down\n").into_response();
    }
    if !has_local_host(request.headers()) {
        return (StatusCode::FORBIDDEN, "the Host header does not name this machine's loopback\n").into_response();
    }
    if !has_local_origin(request.headers()) {
        return (StatusCode::FORBIDDEN, "the Origin is not allowed\n").into_response();
    }
    next.run(request).await
}

fn has_local_host(headers: &HeaderMap) -> bool {
    headers.get(header::HOST).and_then(|host| host.to_str().ok()).is_some_and(is_loopback)
}

fn has_local_origin(headers: &HeaderMap) -> bool {
    headers.get_all(header::ORIGIN).iter().all(|origin| {
        let origin = origin.to_str().ok();
        origin.and_then(|origin| origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))).is_some_and(is_loopback)
    })
}

/// True for `localhost`, `127.0.0.1` and `[::1]`, with or without a port.
fn is_loopback(authority: &str) -> bool {
    let name = match authority.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => authority,
    };
    matches!(name, "127.0.0.1" | "[::1]") || name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_ours() {
        for ours in ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:80", "[::1]"] {
            assert!(is_loopback(ours), "{ours}");
        }
        for foreign in ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "0.0.0.0", "localhost:x", "null"] {
            assert!(!is_loopback(foreign), "{foreign}");
        }
    }
}
