//! Signals: SIGTERM and SIGINT end the server, SIGHUP makes it read its configuration again.

use std::io;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Fires `stop` on SIGTERM and SIGINT; a second one ends the program at once. Calls `on_hangup` on each SIGHUP. From the return on
/// no signal is missed.
///
/// # Errors
///
/// When signals cannot be watched.
pub(crate) fn watch(stop: CancellationToken, on_hangup: impl Fn() + Send + 'static) -> io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hung = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        // Counted, not seen by `stop`: a supervisor may have asked before the signal that went to the whole group arrives.
        let mut has_asked = false;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hung.recv() => {
                    on_hangup();
                    continue;
                }
            }
            if std::mem::replace(&mut has_asked, true) {
                std::process::exit(130);
            }
            tracing::info!("a signal asks to stop");
            stop.cancel();
        }
    });
    Ok(())
}
