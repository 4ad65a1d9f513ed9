//! Unix sockets that only their owner can use.

use std::{io, path::Path};
use tokio::net::{UnixListener, UnixStream};

/// What is at a path, as the system counts it.
pub(crate) fn inode(path: &Path) -> Option<(u64, u64)> {
    let meta = path.symlink_metadata().ok()?;
    Some((std::os::unix::fs::MetadataExt::dev(&meta), std::os::unix::fs::MetadataExt::ino(&meta)))
}

/// Removes a socket, unless another server has put its own there.
pub(crate) fn remove(path: &Path, made: Option<(u64, u64)>) {
    if made.is_some() && inode(path) == made {
        std::fs::remove_file(path).ok();
    }
}

/// A socket that only the owner can use, in place of one that nobody listens on any more, or of any where it takes over.
pub(crate) async fn own_socket(path: &Path, takes_over: bool) -> io::Result<UnixListener> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    let told = |err: io::Error| io::Error::new(err.kind(), format!("{}: {err}", path.display()));
    if let Ok(meta) = path.symlink_metadata() {
        if !meta.file_type().is_socket() {
            return Err(told(io::Error::other("there is something that is no socket")));
        }
        if !takes_over && UnixStream::connect(path).await.is_ok() {
            return Err(told(io::Error::other("another server listens on it")));
        }
    }
    // It appears under its name once nobody else can use it.
    let partial = path.with_extension(format!("{}.new", std::process::id()));
    let listener = UnixListener::bind(&partial).map_err(told)?;
    let ready = std::fs::set_permissions(&partial, std::fs::Permissions::from_mode(0o600)).and_then(|()| std::fs::rename(&partial, path));
    if let Err(err) = ready {
        std::fs::remove_file(&partial).ok();
        return Err(told(err));
    }
    Ok(listener)
}
