//! Signals: SIGTERM and SIGINT stop the server, SIGHUP reloads its configuration.

use std::io;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Fires `stop` on SIGTERM and SIGINT; a second one exits at once. Calls `on_hangup` on each SIGHUP. No signal is missed once
/// this returns.
///
/// # Errors
///
/// If signal handlers cannot be installed.
pub(crate) fn watch(stop: CancellationToken, on_hangup: impl Fn() + Send + 'static) -> io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hung = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        // Counted, not read from `stop`: a supervisor may have cancelled it before the signal to the whole group arrives.
        let mut is_stopping = false;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hung.recv() => {
                    on_hangup();
                    continue;
                }
            }
            if std::mem::replace(&mut is_stopping, true) {
                std::process::exit(130);
            }
            tracing::info!("shutting down on a signal");
            stop.cancel();
        }
    });
    Ok(())
}
