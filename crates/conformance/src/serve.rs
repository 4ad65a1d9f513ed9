//! The listener, and what ends it; the one place that uses the transport of the product.

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
/// When the port is taken or serving fails.
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
    // A thread of its own: a blocked read on one of the runtime's threads would hold the exit after a SIGTERM.
    thread::spawn(move || {
        io::copy(&mut io::stdin(), &mut io::sink()).ok();
        ended.cancel();
    });
    writeln!(io::stdout(), "http://{address}/mcp")?;
    io::stdout().flush()?;
    // Requests without a session each get a handler of their own; what must outlast them is shared.
    let shared = Arc::new(Shared::new()?);
    http::serve(vec![Listener::Tcp(listener)], move |_| Fixture::new(Arc::clone(&shared)), Options::default(), stop).await
}
