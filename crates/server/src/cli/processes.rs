//! Processes of this machine, where the system lists them below `/proc`: which one listens on a port, or holds a file open.

use std::{
    fmt, fs,
    net::IpAddr,
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
    let inode = listening(host).into_iter().find(|(found, _)| *found == port)?.1;
    let wanted = format!("socket:[{inode}]");
    find(|target| target.as_os_str() == wanted.as_str())
}

/// The ports of the first loopback address on which the process with this number listens.
pub(super) fn ports_of(pid: u32) -> Vec<u16> {
    let open = descriptors(&PathBuf::from(format!("/proc/{pid}/fd")));
    let is_open = |inode: &str| open.iter().any(|target| target.as_os_str() == format!("socket:[{inode}]").as_str());
    listening(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)).into_iter().filter(|(_, inode)| is_open(inode)).map(|(port, _)| port).collect()
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

/// The ports that something listens on, each with the inode of its socket.
fn listening(host: IpAddr) -> Vec<(u16, String)> {
    // A socket of IPv6 may take the port of IPv4, too; not the other way round.
    let tables = if host.is_ipv6() { &["/proc/net/tcp6"][..] } else { &["/proc/net/tcp", "/proc/net/tcp6"] };
    let mut found = Vec::new();
    for table in tables.iter().filter_map(|table| fs::read_to_string(table).ok()) {
        for line in table.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, local, _, state, ..] = fields.as_slice() else { continue };
            let port = local.rsplit(':').next().and_then(|port| u16::from_str_radix(port, 16).ok());
            // State 0A is LISTEN.
            if let (Some(port), "0A", Some(inode)) = (port, *state, fields.get(9)) {
                found.push((port, (*inode).to_owned()));
            }
        }
    }
    found
}
