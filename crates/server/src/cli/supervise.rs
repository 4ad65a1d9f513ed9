//! `serve --supervised`: owns the listening sockets, and restarts the server when it exits.

use super::{cannot_run, serve::announce};
use crate::{
    app::App,
    config::Config,
    lifecycle::{
        control::{READY, VARIABLE},
        grace, notify, signals,
    },
    serving::{listen::listen, preflight},
};
use command_fds::{CommandFdExt, FdMapping};
use mcp::http::Listener;
use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Notify,
    time::{Instant, sleep, timeout},
};

/// First passed descriptor, by the `LISTEN_FDS` convention.
const FIRST: i32 = 3;
/// Initial and maximum delay before restarting a server that exited unexpectedly.
const PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// Uptime that resets the restart delay.
const STABLE: Duration = Duration::from_secs(30);
/// Interval between checks whether a server has exited.
const POLL: Duration = Duration::from_millis(50);

/// A server process and its control connection.
struct Worker {
    child: Process,
    lines: Lines<BufReader<OwnedReadHalf>>,
    /// Closing it asks the server to exit. A signal might be its second, if the process group received one.
    writer: Option<OwnedWriteHalf>,
    began: Instant,
}

impl Worker {
    async fn send(&mut self, line: &str) {
        if let Some(writer) = &mut self.writer {
            writer.write_all(line.as_bytes()).await.ok();
        }
    }
}

/// A server process, killed on drop.
struct Process(Child);

impl Process {
    fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.has_ended() {
            self.0.kill().ok();
            self.0.wait().ok();
        }
    }
}

pub(super) fn run(app: &App, config: &Config) -> ExitCode {
    // Fail early: a server that cannot run would be restarted forever.
    if let Err(why) = preflight(app, config) {
        return cannot_run(&why);
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(err) => return cannot_run(&err),
    };
    match runtime.block_on(supervise(app, config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => cannot_run(&err),
    }
}

async fn supervise(app: &App, config: &Config) -> io::Result<()> {
    let reload = Arc::new(Notify::new());
    let asked = Arc::clone(&reload);
    signals::watch(app.stop.clone(), move || asked.notify_one())?;
    let (listeners, place) = listen(config).await?;
    let mut worker = start(&listeners).await?;
    announce(app, &place, config.auth.wants_tokens());
    notify::ready();
    let mut retiring: Vec<Worker> = Vec::new();
    let mut pause = PAUSE;
    loop {
        retiring.retain_mut(|worker| !worker.child.has_ended());
        tokio::select! {
            () = app.stop.cancelled() => break,
            // Reaps replaced servers that have exited.
            () = sleep(POLL * 10), if !retiring.is_empty() => {}
            () = reload.notified() => worker.send("reload\n").await,
            line = worker.lines.next_line() => match line {
                Ok(Some(line)) if line.starts_with("restart ") => {
                    let drain = line.trim_start_matches("restart ").to_owned();
                    let started = tokio::select! { () = app.stop.cancelled() => break, started = start(&listeners) => started };
                    match started {
                        Ok(next) => {
                            let mut old = std::mem::replace(&mut worker, next);
                            old.send(&format!("replaced {} {drain}\n", worker.child.0.id())).await;
                            retiring.push(old);
                        }
                        Err(err) => {
                            tracing::error!(%err, "the successor did not become ready; keeping the current server");
                            worker.send(&format!("failed {err}\n")).await;
                        }
                    }
                }
                Ok(Some(_)) => tracing::warn!("unknown message from the server"),
                _ => {
                    let status = ended(&mut worker.child).await?;
                    pause = if worker.began.elapsed() >= STABLE { PAUSE } else { (pause * 2).min(MAX_PAUSE) };
                    tracing::error!(%status, ?pause, "the server exited unexpectedly; restarting");
                    let started = async {
                        sleep(pause).await;
                        start(&listeners).await
                    };
                    match tokio::select! { () = app.stop.cancelled() => break, started = started => started } {
                        Ok(next) => worker = next,
                        Err(err) => {
                            tracing::error!(%err, "could not start the server");
                            // The next iteration finds its connection closed and retries.
                            worker.began = Instant::now();
                        }
                    }
                }
            },
        }
    }
    notify::stopping();
    retiring.push(worker);
    for worker in &mut retiring {
        worker.writer = None;
    }
    let all_ended = async {
        while retiring.iter_mut().any(|worker| !worker.child.has_ended()) {
            sleep(POLL).await;
        }
    };
    if timeout(grace::SUPERVISOR, all_ended).await.is_err() {
        tracing::error!("the server did not exit in time and was killed");
    }
    drop(retiring);
    place.remove();
    Ok(())
}

/// The exit status of a process that closed its connection; killed after [`grace::SUPERVISOR`].
async fn ended(child: &mut Process) -> io::Result<ExitStatus> {
    let began = Instant::now();
    while !child.has_ended() && began.elapsed() < grace::SUPERVISOR {
        sleep(POLL).await;
    }
    child.0.kill().ok();
    child.0.wait()
}

fn descriptor(listener: &Listener) -> BorrowedFd<'_> {
    match listener {
        Listener::Tcp(listener) => listener.as_fd(),
        Listener::Unix(listener) => listener.as_fd(),
    }
}

/// Starts a server on the sockets and waits until it is ready.
#[expect(clippy::disallowed_methods, reason = "starts only this program")]
async fn start(listeners: &[Listener]) -> io::Result<Worker> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let duplicate = |(at, child_fd)| {
        let parent_fd = descriptor(at).try_clone_to_owned()?;
        Ok(FdMapping { parent_fd, child_fd })
    };
    let handed: io::Result<Vec<FdMapping>> = listeners.iter().zip(FIRST..).map(duplicate).collect();
    let mut command = Command::new(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1).filter(|arg| arg != "--supervised"));
    // Only the supervisor notifies the service manager: servers are replaced.
    command.env_remove(notify::VARIABLE);
    command.env(VARIABLE, "1").env("LISTEN_FDS", listeners.len().to_string()).env_remove("LISTEN_PID");
    command.stdin(Stdio::from(OwnedFd::from(theirs)));
    command.fd_mappings(handed?).map_err(io::Error::other)?;
    let child = Process(command.spawn()?);
    // The command holds a copy of the other end, which would hide the server's exit.
    drop(command);
    let (reader, writer) = UnixStream::from_std(ours)?.into_split();
    let mut lines = BufReader::new(reader).lines();
    match timeout(READY, lines.next_line()).await {
        Ok(Ok(Some(line))) if line == "ready" => Ok(Worker { child, lines, writer: Some(writer), began: Instant::now() }),
        _ => Err(io::Error::other(
            "the new process did not become ready: see the server's standard error; `mcp-server-git config check` checks the configuration",
        )),
    }
}
