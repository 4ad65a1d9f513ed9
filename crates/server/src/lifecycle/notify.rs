//! Notifications to the service manager, if it asks for them: the `sd_notify(3)` protocol.

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

/// Reports that the server accepts calls.
pub(crate) fn ready() {
    send("READY=1");
}

/// Reports that shutdown has begun.
pub(crate) fn stopping() {
    send("STOPPING=1");
}

/// Reports the start of a configuration reload; [`ready`] reports its end.
pub(crate) fn reloading() {
    // `Type=notify-reload` also requires the time, on the monotonic clock.
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let micros = u64::try_from(now.tv_sec).unwrap_or_default() * 1_000_000 + u64::try_from(now.tv_nsec).unwrap_or_default() / 1_000;
    send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
}

fn send(state: &str) {
    let Some(name) = std::env::var_os(VARIABLE).filter(|name| !name.is_empty()) else { return };
    let sent = || -> io::Result<()> {
        let address = match name.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(&name)?,
        };
        let socket = UnixDatagram::unbound()?;
        // A manager that does not read must not block the server.
        socket.set_nonblocking(true)?;
        socket.send_to_addr(state.as_bytes(), &address)?;
        Ok(())
    };
    if let Err(err) = sent() {
        tracing::warn!(%err, "could not notify the service manager: {VARIABLE} is unusable");
    }
}
