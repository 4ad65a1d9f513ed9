//! Non-blocking standard input and output of any kind: pipes, FIFOs, socket pairs, files, terminals.

use crate::{
    connection::{Connection, Limits},
    sessions::{Kind, Sessions, random_id},
};
use rmcp::{RoleServer, Service, ServiceExt};
use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{UnixStream, unix::pipe},
};
use tokio_util::sync::CancellationToken;

/// Interval of checks for the parent. Its death closes the pipe, unless another process holds it open.
const PARENT_CHECK: Duration = Duration::from_secs(2);

type Reader = Box<dyn AsyncRead + Send + Unpin>;
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// Serves `service` on standard input and output until the input ends, the parent dies or `stop` is cancelled.
///
/// `stop` is cancelled when the input ends, so that running calls are notified.
///
/// # Errors
///
/// If the streams cannot be used.
pub async fn serve<S>(service: S, sessions: &Arc<Sessions>, limits: Limits, stop: CancellationToken) -> io::Result<()>
where
    S: Service<RoleServer>,
{
    let (reader, writer) = (reader()?, writer()?);
    let ends = stop.clone();
    let session = sessions.add(random_id("stdio-"), Kind::Stdio, None, move |_| ends.cancel());
    let connection = Connection::new(reader, writer, limits, stop.clone()).of(sessions, &session);
    let parent = rustix::process::getppid();
    let watched = stop.clone();
    let watch = tokio::spawn(async move {
        let mut clock = tokio::time::interval(PARENT_CHECK);
        while parent.is_some() && rustix::process::getppid() == parent {
            clock.tick().await;
        }
        tracing::info!("the parent process exited");
        watched.cancel();
    });
    match service.serve(connection).await {
        Ok(running) => drop(running.waiting().await),
        Err(err) => tracing::debug!(%err, "the connection ended before it was initialized"),
    }
    watch.abort();
    sessions.gone(&session.id);
    Ok(())
}

enum Stream {
    Pipe,
    Socket,
    Other,
}

fn kind(fd: impl AsFd) -> io::Result<Stream> {
    use rustix::fs::{FileType, fstat};
    Ok(match FileType::from_raw_mode(fstat(fd)?.st_mode) {
        FileType::Fifo => Stream::Pipe,
        FileType::Socket => Stream::Socket,
        _ => Stream::Other,
    })
}

fn reader() -> io::Result<Reader> {
    let stdin = io::stdin();
    Ok(match kind(&stdin)? {
        Stream::Pipe => Box::new(pipe::Receiver::from_owned_fd(reopened(&stdin, "/proc/self/fd/0", true)?)?),
        Stream::Socket => Box::new(socket(&stdin)?),
        Stream::Other => Box::new(tokio::io::stdin()),
    })
}

fn writer() -> io::Result<Writer> {
    let stdout = io::stdout();
    Ok(match kind(&stdout)? {
        Stream::Pipe => Box::new(pipe::Sender::from_owned_fd(reopened(&stdout, "/proc/self/fd/1", false)?)?),
        Stream::Socket => Box::new(socket(&stdout)?),
        Stream::Other => Box::new(tokio::io::stdout()),
    })
}

/// Reopens the pipe with its own flags: processes that share it do not become non-blocking.
fn reopened(fd: impl AsFd, path: &str, read: bool) -> io::Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags, open};
    let access = if read { OFlags::RDONLY } else { OFlags::WRONLY };
    match open(path, access | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()) {
        Ok(fd) => Ok(fd),
        // Without /proc, the flags are shared with the other holders of the pipe.
        Err(_) => duplicate(fd),
    }
}

fn socket(fd: impl AsFd) -> io::Result<UnixStream> {
    let stream = std::os::unix::net::UnixStream::from(duplicate(fd)?);
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

fn duplicate(fd: impl AsFd) -> io::Result<OwnedFd> {
    let fd = rustix::io::fcntl_dupfd_cloexec(fd, 3)?;
    rustix::io::ioctl_fionbio(&fd, true)?;
    Ok(fd)
}
