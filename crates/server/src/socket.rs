//! Unix sockets that only their owner can use.

use socket2::{Domain, SockAddr, Socket, Type};
use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
    thread,
    time::{Duration, Instant},
};
use tokio::net::UnixListener;

/// Delay between attempts while the queue of a listener is full.
const RETRY: Duration = Duration::from_millis(50);

/// Device and inode number of the file at a path.
pub(crate) fn inode(path: &Path) -> Option<(u64, u64)> {
    let meta = path.symlink_metadata().ok()?;
    Some((std::os::unix::fs::MetadataExt::dev(&meta), std::os::unix::fs::MetadataExt::ino(&meta)))
}

/// Removes a socket, unless another server has replaced it.
pub(crate) fn remove(path: &Path, made: Option<(u64, u64)>) {
    if made.is_some() && inode(path) == made {
        std::fs::remove_file(path).ok();
    }
}

/// Connects without waiting. A blocking socket would wait while the queue of the listener is full.
fn try_connect(path: &Path) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)?;
    socket.set_nonblocking(false)?;
    Ok(OwnedFd::from(socket).into())
}

/// Connects within `patience`.
pub(crate) fn connect(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let began = Instant::now();
    loop {
        match try_connect(path) {
            Err(err) if err.kind() != io::ErrorKind::WouldBlock => return Err(err),
            Err(_) if began.elapsed() >= patience => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "its connection queue is full"));
            }
            Err(_) => thread::park_timeout(RETRY),
            Ok(stream) => return Ok(stream),
        }
    }
}

/// Whether a program listens on the socket, even if it is busy.
pub(crate) fn has_listener(path: &Path) -> bool {
    try_connect(path).map_or_else(|err| err.kind() == io::ErrorKind::WouldBlock, |_| true)
}

/// Creates a socket that only the owner can use. Replaces a stale socket, or any socket if it takes over.
pub(crate) fn own_socket(path: &Path, takes_over: bool) -> io::Result<UnixListener> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    let context = |err: io::Error| io::Error::new(err.kind(), format!("{}: {err}", path.display()));
    if let Ok(meta) = path.symlink_metadata() {
        if !meta.file_type().is_socket() {
            return Err(context(io::Error::other("the file there is not a socket")));
        }
        if !takes_over && has_listener(path) {
            return Err(context(io::Error::other("another server listens on it")));
        }
    }
    // Renamed into place once only the owner can use it.
    let partial = path.with_extension(format!("{}.new", std::process::id()));
    let listener = UnixListener::bind(&partial).map_err(context)?;
    let ready = std::fs::set_permissions(&partial, std::fs::Permissions::from_mode(0o600)).and_then(|()| std::fs::rename(&partial, path));
    if let Err(err) = ready {
        std::fs::remove_file(&partial).ok();
        return Err(context(err));
    }
    Ok(listener)
}
