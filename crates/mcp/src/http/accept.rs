//! Accepts connections: limits their number and the time they may stay silent.

use super::{
    List,
    connections::{Answer, Connections, Slot, Turn},
    stream::{Bounded, Received},
};
use crate::intake::Intake;
use axum::{
    Router,
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use futures_util::future::Either;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{io, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_service::Service;

/// Time limit for receiving a request's headers.
const HEADERS: Duration = Duration::from_secs(10);
/// Time limit for connections to close on shutdown.
pub const CONNECTIONS_END: Duration = Duration::from_secs(8);
/// How long an idle connection stays open once no new connections are accepted.
pub const QUIET: Duration = Duration::from_secs(3);
/// Delay before accepting again when descriptors run out.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Source of connections.
pub enum Listener {
    /// A TCP port.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

/// Accepts connections until `stop`, then waits for busy ones.
pub(super) async fn run(
    listener: Listener,
    app: Router,
    connections: Arc<Connections>,
    (tracker, list): (TaskTracker, List),
    intake: Intake,
    stop: CancellationToken,
) -> io::Result<()> {
    loop {
        tokio::select! {
            () = intake.left() => break,
            () = stop.cancelled() => break,
            accepted = async {
                connections.room().await;
                match &listener {
                    Listener::Tcp(listener) => listener.accept().await.map(|(stream, from)| {
                        stream.set_nodelay(true).ok();
                        let slot = connections.enter(Some(from.ip()), list(format!("from {from}")));
                        tracker.spawn(connection(stream, app.clone(), (intake.clone(), stop.clone()), slot));
                    }),
                    Listener::Unix(listener) => listener.accept().await.map(|(stream, _)| {
                        let slot = connections.enter(None, list("on the Unix socket".to_owned()));
                        tracker.spawn(connection(stream, app.clone(), (intake.clone(), stop.clone()), slot));
                    }),
                }
            } => {
                if let Err(err) = accepted {
                    // This connection failed, or descriptors ran out: others may still be accepted.
                    tracing::warn!(%err, "could not accept a connection");
                    tokio::time::sleep(EXHAUSTED).await;
                }
            }
        }
    }
    drop(listener);
    tracker.close();
    // A replaced server serves its open connections until it is stopped; the shutdown gives them little time.
    stop.cancelled().await;
    tokio::time::timeout(CONNECTIONS_END, tracker.wait()).await.ok();
    Ok(())
}

async fn connection<I>(stream: I, app: Router, (intake, stop): (Intake, CancellationToken), slot: Slot)
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (evicted, meter) = (slot.evicted(), slot.meter());
    let slot = Arc::new(slot);
    let counted = Arc::clone(&meter);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(|body| Received::new(body, Arc::clone(&counted)));
        let turn = Arc::new(Turn::new(Arc::clone(&slot)));
        request.extensions_mut().insert(Arc::clone(&turn));
        let is_deletion = request.method() == Method::DELETE;
        let answer = app.clone().call(request);
        let answer = if is_deletion { Either::Left(finished(answer)) } else { Either::Right(answer) };
        async move { answer.await.map(|answer| answer.map(|body| Answer::new(body, turn))) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .serve_connection(TokioIo::new(Bounded::new(stream, meter)), service)
        .with_upgrades();
    let mut served = pin!(served);
    tokio::select! {
        ended = &mut served => log(ended),
        () = evicted.notified() => tracing::debug!("a connection without a request made room for another"),
        () = async {
            tokio::select! {
                () = stop.cancelled() => return,
                () = intake.closed() => {}
            }
            // A client about to send would find the connection closed; it is notified with the next answer instead.
            tokio::select! { () = stop.cancelled() => {}, () = tokio::time::sleep(QUIET) => {} }
        } => {
            served.as_mut().graceful_shutdown();
            log(served.await);
        }
    }
}

/// Answers a request that is finished although its client hangs up: hyper drops the others, even before it begins them.
fn finished<E: Send + 'static>(
    answer: impl Future<Output = Result<Response, E>> + Send + 'static,
) -> impl Future<Output = Result<Response, E>> {
    let answer = tokio::spawn(answer);
    async move { answer.await.unwrap_or_else(|_| Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response())) }
}

fn log(ended: hyper::Result<()>) {
    if let Err(err) = ended {
        tracing::debug!(%err, "a connection ended early");
    }
}
