//! Graceful restart, on the side of the replaced server: it requests a successor from its supervisor and, once that is
//! ready, accepts no new calls, finishes running ones and exits.
//!
//! The two exchange lines over a socket, the server's standard input. The server sends `ready` and `restart SECONDS`; the
//! supervisor sends `replaced PID SECONDS`, `failed WHY` and `reload`. If the supervisor exits, so does the server.

use super::Server;
use crate::lifecycle::control::{Request, VARIABLE};
use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
};

/// The connection to a supervisor.
pub(crate) struct Supervisor {
    lines: OwnedWriteHalf,
    control: tokio::task::JoinHandle<()>,
    ready: mpsc::Sender<OwnedWriteHalf>,
}

/// Connects to the supervisor, if there is one.
pub(crate) fn connect(server: &Arc<Server>) -> io::Result<Option<Supervisor>> {
    if std::env::var_os(VARIABLE).is_none() {
        return Ok(None);
    }
    let stream = std::os::unix::net::UnixStream::from(rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?);
    stream.set_nonblocking(true)?;
    let (reader, lines) = UnixStream::from_std(stream)?.into_split();
    let (ask, asked) = mpsc::channel(1);
    *server.control.ask.lock() = Some(ask);
    let (ready, writer) = mpsc::channel(1);
    let control = tokio::spawn(converse(Arc::clone(server), reader, writer, asked));
    Ok(Some(Supervisor { lines, control, ready }))
}

impl Supervisor {
    /// Reports that the server accepts calls.
    pub(crate) async fn ready(mut self, server: &Server) {
        if self.lines.write_all(b"ready\n").await.is_err() || self.ready.send(self.lines).await.is_err() {
            self.control.abort();
            tracing::warn!("the supervisor is gone: shutting down");
            server.stop.cancel();
        }
    }
}

async fn converse(
    server: Arc<Server>,
    reader: OwnedReadHalf,
    mut writer: mpsc::Receiver<OwnedWriteHalf>,
    mut asked: mpsc::Receiver<Request>,
) {
    let mut lines = BufReader::new(reader).lines();
    let Some(mut writer) = writer.recv().await else { return };
    let mut pending: Option<Request> = None;
    loop {
        tokio::select! {
            request = asked.recv(), if pending.is_none() => {
                let Some(request) = request else { return };
                if writer.write_all(format!("restart {}\n", request.drain.as_secs()).as_bytes()).await.is_err() {
                    server.control.is_asked.store(false, Ordering::Relaxed);
                    request.answer.send(Err("the supervisor is gone".to_owned())).ok();
                    continue;
                }
                pending = Some(request);
            }
            line = lines.next_line() => {
                let Ok(Some(line)) = line else {
                    tracing::warn!("the supervisor is gone: shutting down");
                    server.stop.cancel();
                    return;
                };
                let mut words = line.splitn(3, ' ');
                match (words.next(), words.next()) {
                    (Some("replaced"), Some(pid)) => {
                        let drain = words.next().and_then(|seconds| seconds.parse().ok()).unwrap_or_default();
                        if let Some(request) = pending.take() {
                            request.answer.send(Ok(pid.parse().unwrap_or_default())).ok();
                        }
                        tokio::spawn(leave(Arc::clone(&server), Duration::from_secs(drain)));
                    }
                    (Some("failed"), _) => {
                        let why = line.trim_start_matches("failed ").to_owned();
                        server.control.is_asked.store(false, Ordering::Relaxed);
                        if let Some(request) = pending.take() {
                            request.answer.send(Err(why)).ok();
                        }
                    }
                    (Some("reload"), _) => super::reload::reload(&server),
                    _ => tracing::warn!("unknown message from the supervisor"),
                }
            }
        }
    }
}

/// Drains the server, then stops it.
async fn leave(server: Arc<Server>, drain: Duration) {
    tracing::info!(seconds = drain.as_secs(), "another process has taken over");
    let left = server.leave(drain).await;
    if left > 0 {
        tracing::warn!(left, "calls were still running when the drain timed out");
    }
    server.stop.cancel();
}
