//! `serve --supervised`: holds the sockets, and keeps one server on them, whatever becomes of it.

use super::{
    cannot_run,
    listen::{Place, listen},
    serve::{announce, prepared},
};
use crate::{
    app::App,
    config::Config,
    lifecycle::{
        control::{READY, VARIABLE},
        notify, signals,
    },
    socket,
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

/// The first descriptor that is handed over, by the convention of `LISTEN_FDS`.
const FIRST: i32 = 3;
/// How long to wait before a server is started again that ended by itself, and at most after it has done so again and again.
const PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// A server that has lived for so long has not failed at its start.
const SOUND: Duration = Duration::from_secs(30);
/// How long servers may take to end.
const END: Duration = Duration::from_secs(12);
/// How often it is looked whether they have.
const POLL: Duration = Duration::from_millis(50);

/// A server, and the line to it.
struct Worker {
    child: Process,
    lines: Lines<BufReader<OwnedReadHalf>>,
    /// Closed, it asks the server to end. A signal would be its second where one has gone to the whole group.
    writer: Option<OwnedWriteHalf>,
    began: Instant,
}

impl Worker {
    async fn say(&mut self, line: &str) {
        if let Some(writer) = &mut self.writer {
            writer.write_all(line.as_bytes()).await.ok();
        }
    }
}

/// The process of a server, which does not outlive its holder.
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
    // A server that cannot run would be started again and again.
    if let Err(why) = prepared(app, config) {
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
    let (listeners, place) = listen(&config.serving).await?;
    let mut worker = start(&listeners).await?;
    announce(app, &place, config.serving.wants_tokens());
    notify::ready();
    let mut retiring: Vec<Worker> = Vec::new();
    let mut pause = PAUSE;
    loop {
        retiring.retain_mut(|worker| !worker.child.has_ended());
        tokio::select! {
            () = app.stop.cancelled() => break,
            // Those that have handed over are waited for when they end.
            () = sleep(POLL * 10), if !retiring.is_empty() => {}
            () = reload.notified() => worker.say("reload\n").await,
            line = worker.lines.next_line() => match line {
                Ok(Some(line)) if line.starts_with("restart ") => {
                    let drain = line.trim_start_matches("restart ").to_owned();
                    let started = tokio::select! { () = app.stop.cancelled() => break, started = start(&listeners) => started };
                    match started {
                        Ok(next) => {
                            let mut old = std::mem::replace(&mut worker, next);
                            old.say(&format!("replaced {} {drain}\n", worker.child.0.id())).await;
                            retiring.push(old);
                        }
                        Err(err) => {
                            tracing::error!(%err, "the successor did not become ready: the server stays");
                            worker.say(&format!("failed {err}\n")).await;
                        }
                    }
                }
                Ok(Some(_)) => tracing::warn!("the server says something that is not understood"),
                _ => {
                    let status = ended(&mut worker.child).await?;
                    pause = if worker.began.elapsed() >= SOUND { PAUSE } else { (pause * 2).min(MAX_PAUSE) };
                    tracing::error!(%status, ?pause, "the server exited unexpectedly; restarting");
                    let started = async {
                        sleep(pause).await;
                        start(&listeners).await
                    };
                    match tokio::select! { () = app.stop.cancelled() => break, started = started => started } {
                        Ok(next) => worker = next,
                        Err(err) => {
                            tracing::error!(%err, "the server cannot be started");
                            // The next round finds its line closed, and tries again.
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
    if timeout(END, all_ended).await.is_err() {
        tracing::error!("the server does not end, and is killed");
    }
    drop(retiring);
    if let Place::Socket(path, made) = &place {
        socket::remove(path, *made);
    }
    Ok(())
}

/// How a process has ended that has closed its line, or is to end for having done so.
async fn ended(child: &mut Process) -> io::Result<ExitStatus> {
    let began = Instant::now();
    while !child.has_ended() && began.elapsed() < END {
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

/// Starts a server on the sockets, and waits until it is ready.
#[expect(clippy::disallowed_methods, reason = "the server itself is started here, and nothing else")]
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
    // The service manager hears of the supervisor: the server that it has now is not the one that it will have.
    command.env_remove(notify::VARIABLE);
    command.env(VARIABLE, "1").env("LISTEN_FDS", listeners.len().to_string()).env_remove("LISTEN_PID");
    command.stdin(Stdio::from(OwnedFd::from(theirs)));
    command.fd_mappings(handed?).map_err(io::Error::other)?;
    let child = Process(command.spawn()?);
    // The command holds the other end; without it the end of the server is seen.
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
