//! The listening sockets of a server: created, or inherited from the parent process.

use super::processes::owner_of;
use crate::{
    app::StartError,
    config::Config,
    socket::{self, inode, own_socket},
};
use mcp::http::Listener;
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};
use tokio::net::{TcpListener, UnixListener};

/// Where the server listens.
pub(crate) enum Place {
    Address(SocketAddr),
    Socket(PathBuf, Option<(u64, u64)>),
}

impl Place {
    /// Removes a Unix socket, unless another server has replaced it.
    pub(crate) fn remove(&self) {
        if let Self::Socket(path, made) = self {
            socket::remove(path, *made);
        }
    }
}

/// Attempts to find a port that is free on both loopback addresses.
const TRIES: usize = 16;

/// Listens as configured; by default on both loopback addresses, or on 127.0.0.1 if the machine has no IPv6. Fails if
/// another program uses the port on one of them: `localhost` could lead there.
pub(crate) async fn listen(config: &Config) -> io::Result<(Vec<Listener>, Place)> {
    if let Some(path) = &config.http.socket {
        let listener = own_socket(path, false)?;
        return Ok((vec![Listener::Unix(listener)], Place::Socket(path.clone(), inode(path))));
    }
    let host = config.http.host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let mut tries = if config.port == 0 { TRIES } else { 1 };
    loop {
        tries -= 1;
        let first = TcpListener::bind((host, config.port)).await.map_err(|err| explain(err, host, config.port))?;
        let address = first.local_addr()?;
        if config.http.host.is_some() {
            return Ok((vec![Listener::Tcp(first)], Place::Address(address)));
        }
        let second = IpAddr::V6(Ipv6Addr::LOCALHOST);
        match TcpListener::bind((second, address.port())).await {
            Ok(second) => return Ok((vec![Listener::Tcp(first), Listener::Tcp(second)], Place::Address(address))),
            Err(err) if err.kind() == io::ErrorKind::AddrInUse && tries == 0 => return Err(explain(err, second, address.port())),
            Err(err) if err.kind() == io::ErrorKind::AddrInUse => {}
            Err(err) => {
                tracing::info!(%err, "listening on 127.0.0.1 only");
                return Ok((vec![Listener::Tcp(first)], Place::Address(address)));
            }
        }
    }
}

fn explain(err: io::Error, host: IpAddr, port: u16) -> io::Error {
    match err.kind() {
        io::ErrorKind::AddrInUse => {
            let owner = owner_of(host, port).map(|owner| format!(" by {owner}")).unwrap_or_default();
            let hint = "Choose another with `--port N` or MCP_GIT_PORT=N; 0 takes any free one.";
            let of = if host.is_ipv6() { format!(" of [{host}]") } else { String::new() };
            io::Error::new(err.kind(), format!("port {port}{of} is in use{owner}. {hint}"))
        }
        io::ErrorKind::PermissionDenied => {
            io::Error::new(err.kind(), format!("port {port} needs privileges. Choose one above 1023 with `--port N`."))
        }
        _ => err,
    }
}

/// Refuses inherited sockets that others can reach, for a server that needs no tokens: `http.host` has the same rule.
///
/// # Errors
///
/// [`StartError::Requirement`], if one is not private.
pub(crate) fn refuse_exposed(listeners: &[Listener]) -> Result<(), StartError> {
    for listener in listeners {
        let exposed = match listener {
            Listener::Tcp(listener) => listener.local_addr().ok().filter(|at| !at.ip().is_loopback()).map(|at| at.to_string()),
            Listener::Unix(listener) => {
                let path = listener.local_addr().ok().and_then(|at| at.as_pathname().map(Path::to_owned)).unwrap_or_default();
                is_open_to_others(&path).then(|| path.display().to_string())
            }
        };
        if let Some(at) = exposed {
            let why = format!(
                "others can reach the inherited socket {at}, and no token is required: add `[[auth.tokens]]`, or let the service manager \
                 listen on a loopback address or a socket with mode 0600"
            );
            return Err(StartError::Requirement(why));
        }
    }
    Ok(())
}

/// Whether other users can connect to a Unix socket. One without a path has no owner.
fn is_open_to_others(path: &Path) -> bool {
    let mode = |path: &Path| path.symlink_metadata().map(|meta| meta.mode());
    let can_enter = path.parent().is_none_or(|folder| mode(folder).is_ok_and(|mode| mode & 0o001 != 0));
    path.as_os_str().is_empty() || can_enter && mode(path).is_ok_and(|mode| mode & 0o002 != 0)
}

/// The sockets passed by the service manager or a supervisor in `LISTEN_FDS` and `LISTEN_PID`.
pub(crate) fn inherited() -> io::Result<Option<(Vec<Listener>, Place)>> {
    let mut passed = listenfd::ListenFd::from_env();
    let mut listeners = Vec::new();
    let mut place = None;
    for at in 0..passed.len() {
        if let Ok(Some(listener)) = passed.take_unix_listener(at) {
            listener.set_nonblocking(true)?;
            let path = listener.local_addr()?.as_pathname().map(std::path::Path::to_owned).unwrap_or_default();
            // The creator of the socket removes it.
            place.get_or_insert(Place::Socket(path, None));
            listeners.push(Listener::Unix(UnixListener::from_std(listener)?));
        } else if let Some(listener) = passed.take_tcp_listener(at)? {
            listener.set_nonblocking(true)?;
            place.get_or_insert(Place::Address(listener.local_addr()?));
            listeners.push(Listener::Tcp(TcpListener::from_std(listener)?));
        }
    }
    Ok(place.map(|place| (listeners, place)))
}
