//! The listener and its shutdown; the only place that uses the product's transport.

use crate::fixture::{Fixture, Shared};
use mcp::http::{self, Listener, Options};
use std::{
    io::{self, Write},
    net::Ipv4Addr,
    sync::Arc,
    thread,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

/// Serves on `port` of the loopback address until SIGTERM or the end of standard input.
///
/// # Errors
///
/// If the port is in use or serving fails.
pub(crate) async fn run(port: u16) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let address = listener.local_addr()?;
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let terminated = stop.clone();
    tokio::spawn(async move {
        terminate.recv().await;
        terminated.cancel();
    });
    let ended = stop.clone();
    // A separate thread: a blocked read on a runtime thread would delay the exit after a SIGTERM.
    thread::spawn(move || {
        io::copy(&mut io::stdin(), &mut io::sink()).ok();
        ended.cancel();
    });
    writeln!(io::stdout(), "http://{address}/mcp")?;
    io::stdout().flush()?;
    // Without a session, each request gets its own handler, so state that must outlive it is shared.
    let shared = Arc::new(Shared::new()?);
    http::serve(vec![Listener::Tcp(listener)], move |_| Fixture::new(Arc::clone(&shared)), Options::default(), stop).await
}
