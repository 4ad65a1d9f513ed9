//! The admin sockets of this user's servers.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// The folder of runtime files: `$XDG_RUNTIME_DIR/mcp-server-git`, or one below the state folder.
pub(crate) fn folder(state_dir: &Path) -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute()) {
        Some(runtime) => runtime.join("mcp-server-git"),
        None => state_dir.join("run"),
    }
}

/// The socket of the server with this pid.
pub(crate) fn socket(folder: &Path, pid: u32) -> PathBuf {
    folder.join(format!("{pid}.sock"))
}

/// Creates the folder, accessible only to its owner.
pub(crate) fn prepare(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The running servers that have a socket in the folder. Stale sockets are removed.
pub(crate) fn servers(folder: &Path) -> Vec<(u32, PathBuf)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let pid = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u32>().ok());
        let Some(pid) = pid.filter(|_| path.extension().is_some_and(|extension| extension == "sock")) else { continue };
        if crate::socket::has_listener(&path) {
            found.push((pid, path));
        } else if !Path::new("/proc").join(pid.to_string()).exists() && Path::new("/proc/self").exists() {
            fs::remove_file(&path).ok();
        }
    }
    found.sort();
    found
}
