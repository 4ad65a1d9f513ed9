//! Finds the process that listens on a port, on systems with `/proc`.

use git::holders::{Owner, descriptors, holder};
use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

/// The kernel's tables of TCP sockets.
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

/// The process whose socket occupies `port` on `host`. Only root sees other users' processes.
pub(crate) fn owner_of(host: IpAddr, port: u16) -> Option<Owner> {
    let listeners = listening();
    let wanted = format!("socket:[{}]", taker(&listeners, host, port)?);
    holder(|target| target.as_os_str() == wanted.as_str())
}

/// The inode of the socket that occupies `port` on `host`: at exactly that address, or else at an overlapping one.
fn taker(listeners: &[(SocketAddr, String)], host: IpAddr, port: u16) -> Option<&str> {
    let at_port = || listeners.iter().filter(move |(address, _)| address.port() == port);
    let exact = at_port().find(|(address, _)| address.ip().to_canonical() == host);
    let found = exact.or_else(|| at_port().find(|(address, _)| overlap(address.ip().to_canonical(), host)));
    found.map(|(_, inode)| inode.as_str())
}

/// Whether sockets at these addresses cannot share a port because one is a wildcard. The IPv6 wildcard includes IPv4.
fn overlap(one: IpAddr, other: IpAddr) -> bool {
    let includes = |all: IpAddr, address: IpAddr| all.is_unspecified() && (all.is_ipv6() || address.is_ipv4());
    includes(one, other) || includes(other, one)
}

/// The addresses at which this machine can reach the process `pid`.
pub(crate) fn addresses_of(pid: u32) -> Vec<SocketAddr> {
    let open = descriptors(&PathBuf::from(format!("/proc/{pid}/fd")));
    let is_open = |inode: &str| open.iter().any(|target| target.as_os_str() == format!("socket:[{inode}]").as_str());
    listening().into_iter().filter(|(_, inode)| is_open(inode)).map(|(address, _)| reached(address)).collect()
}

/// The address at which this machine can reach a listener: loopback for a wildcard.
fn reached(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The address and inode of each listening socket.
fn listening() -> Vec<(SocketAddr, String)> {
    let mut found = Vec::new();
    for table in TABLES.iter().filter_map(|table| fs::read_to_string(table).ok()) {
        for line in table.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, local, _, state, ..] = fields.as_slice() else { continue };
            // State 0A is LISTEN.
            if let (Some(address), "0A", Some(inode)) = (address(local), *state, fields.get(9)) {
                found.push((address, (*inode).to_owned()));
            }
        }
    }
    found
}

/// Parses an address such as `0100007F:1F90`: 4-byte words in native byte order, and a port.
fn address(text: &str) -> Option<SocketAddr> {
    let (words, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(words.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    let address = match words.len() {
        8 => IpAddr::V4(word(0)?.into()),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            IpAddr::V6(<[u8; 16]>::try_from(words.concat()).ok()?.into())
        }
        _ => return None,
    };
    Some(SocketAddr::new(address, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn kernel_addresses_are_parsed() {
        for (text, expect, at) in [
            ("0100007F:1F90", "127.0.0.1:8080", "127.0.0.1:8080"),
            ("00000000:0050", "0.0.0.0:80", "127.0.0.1:80"),
            ("0201A8C0:0050", "192.168.1.2:80", "192.168.1.2:80"),
            ("00000000000000000000000001000000:1F90", "[::1]:8080", "[::1]:8080"),
            ("00000000000000000000000000000000:1F90", "[::]:8080", "[::1]:8080"),
        ] {
            assert_eq!(address(text), expect.parse().ok(), "{text}");
            assert_eq!(address(text).map(reached), at.parse().ok(), "{text}");
        }
        assert_eq!(address("0100007F"), None);
    }

    #[test]
    fn a_port_is_taken_by_the_socket_at_its_address() {
        for (listeners, host, expect) in [
            (&["127.0.0.2:80"][..], "127.0.0.1", None),
            (&["127.0.0.1:81"], "127.0.0.1", None),
            (&["[::1]:80"], "127.0.0.1", None),
            (&["0.0.0.0:80"], "::1", None),
            (&["[::1]:80"], "0.0.0.0", None),
            (&["127.0.0.2:80", "0.0.0.0:80", "127.0.0.1:80"], "127.0.0.1", Some("2")),
            (&["127.0.0.2:80", "0.0.0.0:80"], "127.0.0.1", Some("1")),
            (&["[::1]:80", "[::]:80"], "127.0.0.1", Some("1")),
            (&["[::ffff:127.0.0.1]:80"], "127.0.0.1", Some("0")),
            (&["[::1]:80", "127.0.0.2:80"], "0.0.0.0", Some("1")),
            (&["127.0.0.2:80"], "::", Some("0")),
        ] {
            let named: Option<Vec<(SocketAddr, String)>> =
                listeners.iter().enumerate().map(|(at, address)| Some((address.parse().ok()?, at.to_string()))).collect();
            let host = host.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
            assert_eq!(taker(&named.unwrap_or_default(), host, 80), expect, "{listeners:?} {host}");
        }
    }
}
