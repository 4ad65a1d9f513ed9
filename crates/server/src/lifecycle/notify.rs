//! What the service manager is told, where one has asked for it: the protocol of `sd_notify(3)`.

use std::{
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

/// The variable that names the socket.
pub(crate) const VARIABLE: &str = "NOTIFY_SOCKET";

/// Says that the server takes calls.
pub(crate) fn ready() {
    tell("READY=1");
}

/// Says that the server begins to end.
pub(crate) fn stopping() {
    tell("STOPPING=1");
}

/// Says that the server reads its configuration again; [`ready`] says that it has.
pub(crate) fn reloading() {
    // `Type=notify-reload` wants to know when, by the clock that the manager has, too.
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let micros = u64::try_from(now.tv_sec).unwrap_or_default() * 1_000_000 + u64::try_from(now.tv_nsec).unwrap_or_default() / 1_000;
    tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
}

fn tell(state: &str) {
    let Some(name) = std::env::var_os(VARIABLE).filter(|name| !name.is_empty()) else { return };
    let sent = || -> io::Result<()> {
        let address = match name.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(&name)?,
        };
        let socket = UnixDatagram::unbound()?;
        // A manager that does not read does not hold the server up.
        socket.set_nonblocking(true)?;
        socket.send_to_addr(state.as_bytes(), &address)?;
        Ok(())
    };
    if let Err(err) = sent() {
        tracing::warn!(%err, "the service manager was not told: {VARIABLE} cannot be used");
    }
}
