//! Connections: accepted, bounded in number, and given little time to say what they want.

use super::{List, patience::Patient};
use axum::{Router, body::Body};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{
    convert::Infallible,
    io,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_service::Service;

/// How long the headers of a request may take.
const HEADERS: Duration = Duration::from_secs(10);
/// The most connections on a listener.
const MAX_CONNECTIONS: usize = 8192;
/// How long connections may take to end when the server does.
const ENDING: Duration = Duration::from_secs(8);
/// How long a connection may be quiet once no new ones are wanted.
pub const QUIET: Duration = Duration::from_secs(3);
/// How long to wait when the system has no descriptor to give.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Where connections come from.
pub enum Listener {
    /// A TCP port.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

/// Accepts connections until `stop`, and then waits for those that are still busy.
pub(super) async fn run(
    listener: Listener,
    app: Router,
    (tracker, list): (TaskTracker, List),
    draining: CancellationToken,
    stop: CancellationToken,
) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place.map_err(io::Error::other)?,
            () = draining.cancelled() => break,
            () = stop.cancelled() => break,
        };
        tokio::select! {
            () = draining.cancelled() => break,
            () = stop.cancelled() => break,
            accepted = async {
                match &listener {
                    Listener::Tcp(listener) => listener.accept().await.map(|(stream, from)| {
                        stream.set_nodelay(true).ok();
                        let place = (place, list(format!("from {from}")));
                        tracker.spawn(connection(stream, app.clone(), (draining.clone(), stop.clone()), place));
                    }),
                    Listener::Unix(listener) => listener.accept().await.map(|(stream, _)| {
                        let place = (place, list("on the Unix socket".to_owned()));
                        tracker.spawn(connection(stream, app.clone(), (draining.clone(), stop.clone()), place));
                    }),
                }
            } => {
                if let Err(err) = accepted {
                    // Of this connection, or for want of descriptors: others may still come.
                    tracing::warn!(%err, "a connection could not be accepted");
                    tokio::time::sleep(EXHAUSTED).await;
                }
            }
        }
    }
    drop(listener);
    tracker.close();
    // A server that is drained serves the connections that it has until it is ended; the end gives them little time.
    stop.cancelled().await;
    tokio::time::timeout(ENDING, tracker.wait()).await.ok();
    Ok(())
}

async fn connection<I>(stream: I, app: Router, (draining, stop): (CancellationToken, CancellationToken), place: Held)
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let place = Arc::new(place);
    let app = WithPlace { app, place: Arc::clone(&place) };
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .serve_connection(TokioIo::new(Patient::new(stream)), TowerToHyperService::new(app))
        .with_upgrades();
    let mut served = pin!(served);
    tokio::select! {
        ended = &mut served => log(ended),
        () = async {
            tokio::select! {
                () = stop.cancelled() => return,
                () = draining.cancelled() => {}
            }
            // A client that is about to send would find the connection closed: it is told with the next answer.
            tokio::select! { () = stop.cancelled() => {}, () = tokio::time::sleep(QUIET) => {} }
        } => {
            served.as_mut().graceful_shutdown();
            log(served.await);
        }
    }
    drop(place);
}

fn log(ended: hyper::Result<()>) {
    if let Err(err) = ended {
        tracing::debug!(%err, "a connection ended early");
    }
}

/// The place of a connection, which a WebSocket keeps when the connection has become one.
pub(super) type Place = Arc<Held>;

/// The permit of a connection, and its line in the list.
type Held = (OwnedSemaphorePermit, Box<dyn Send + Sync>);

/// The router, with the place of the connection in each request.
#[derive(Clone)]
struct WithPlace {
    app: Router,
    place: Place,
}

impl Service<hyper::Request<Incoming>> for WithPlace {
    type Response = hyper::Response<Body>;
    type Error = Infallible;
    type Future = <Router as Service<hyper::Request<Incoming>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        <Router as Service<hyper::Request<Incoming>>>::poll_ready(&mut self.app, cx)
    }

    fn call(&mut self, mut request: hyper::Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(Arc::clone(&self.place));
        self.app.call(request)
    }
}
