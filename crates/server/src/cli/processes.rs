//! Processes of this machine, where the system lists them below `/proc`: which one listens on a port, or holds a file open.

use std::{
    fmt, fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    /// The name of its program, of which the system keeps 15 bytes.
    pub(super) name: String,
    /// Its number.
    pub(super) pid: u32,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid)
    }
}

/// True where the system lists its processes.
pub(super) fn are_listed() -> bool {
    Path::new("/proc/self/fd").exists()
}

/// The process that listens on `port`. Those of other users have no owner here, unless root asks.
pub(super) fn owner_of(host: IpAddr, port: u16) -> Option<Owner> {
    // A socket of IPv6 may take the port of IPv4, too; not the other way round.
    let tables = if host.is_ipv6() { &["/proc/net/tcp6"][..] } else { &["/proc/net/tcp", "/proc/net/tcp6"] };
    let inode = listening(tables).into_iter().find(|(found, _)| found.port() == port)?.1;
    let wanted = format!("socket:[{inode}]");
    find(|target| target.as_os_str() == wanted.as_str())
}

/// Where the process with this number listens, as this machine reaches it.
pub(super) fn addresses_of(pid: u32) -> Vec<SocketAddr> {
    let open = descriptors(&PathBuf::from(format!("/proc/{pid}/fd")));
    let is_open = |inode: &str| open.iter().any(|target| target.as_os_str() == format!("socket:[{inode}]").as_str());
    listening(&["/proc/net/tcp", "/proc/net/tcp6"]).into_iter().filter(|(_, inode)| is_open(inode)).map(|(address, _)| address).collect()
}

/// The process that holds the file at `path` open.
pub(super) fn holder_of(path: &Path) -> Option<Owner> {
    find(|target| target == path)
}

/// A process whose program's name begins with `name` and whose current directory is one of `folders`, or below one.
pub(super) fn at_work_in(name: &str, folders: &[&Path]) -> Option<Owner> {
    all()
        .find(|(process, owner)| {
            let is_inside = |cwd: PathBuf| folders.iter().any(|folder| cwd.starts_with(folder));
            owner.name.starts_with(name) && fs::read_link(process.join("cwd")).is_ok_and(is_inside)
        })
        .map(|(_, owner)| owner)
}

/// The first process with an open descriptor that leads where it should.
fn find(mut leads: impl FnMut(&Path) -> bool) -> Option<Owner> {
    all().find(|(process, _)| descriptors(&process.join("fd")).iter().any(|target| leads(target))).map(|(_, owner)| owner)
}

fn all() -> impl Iterator<Item = (PathBuf, Owner)> {
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        Some((process.path(), Owner { name: name.trim().to_owned(), pid }))
    })
}

fn descriptors(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().filter_map(|fd| fs::read_link(fd.path()).ok()).collect()
}

/// What these tables list as listening: addresses, where all addresses of the machine become its loopback, and inodes of sockets.
fn listening(tables: &[&str]) -> Vec<(SocketAddr, String)> {
    let mut found = Vec::new();
    for table in tables.iter().filter_map(|table| fs::read_to_string(table).ok()) {
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

/// The address `0100007F:1F90`: words of four bytes in the order of this machine, and a port.
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
    let reached = match address {
        IpAddr::V4(address) if address.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(address) if address.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        address => address,
    };
    Some(SocketAddr::new(reached, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn addresses_are_read_as_the_system_writes_them() {
        for (text, expect) in [
            ("0100007F:1F90", "127.0.0.1:8080"),
            ("00000000:0050", "127.0.0.1:80"),
            ("0201A8C0:0050", "192.168.1.2:80"),
            ("00000000000000000000000001000000:1F90", "[::1]:8080"),
            ("00000000000000000000000000000000:1F90", "[::1]:8080"),
        ] {
            assert_eq!(address(text), expect.parse().ok(), "{text}");
        }
        assert_eq!(address("0100007F"), None);
    }
}
