//! Where `serve` listens: whether it can, and who can reach it.

use super::{Finding, Patient, STEP, finding, machine::on_path};
use crate::{config::Config, serving::processes::owner_of, socket};
use git::holders::Owner;
use std::{
    env, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener},
    path::Path,
};

/// This program's process name.
const OWN: &str = "mcp-server-git";
/// Directories of system programs that an ordinary user's `PATH` may lack.
const ADMIN: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

pub(super) fn port(patient: &Patient<'_>) -> Vec<Finding> {
    let config = patient.config;
    if let Some(path) = &config.http.socket {
        return vec![socket_at(path)];
    }
    if config.port == 0 {
        return vec![Finding::fine("the system chooses a free port")];
    }
    let hosts = match config.http.host {
        Some(host) => vec![host],
        None => vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
    };
    // One process often takes both loopback addresses.
    let finding = hosts.into_iter().find_map(|host| taken(patient.config, host));
    vec![finding.unwrap_or_else(|| Finding::fine(format!("port {} is free", config.port)))]
}

/// Why `serve` cannot listen there.
fn taken(config: &Config, host: IpAddr) -> Option<Finding> {
    let port = config.port;
    let err = TcpListener::bind((host, port)).err()?;
    let place = if host.is_ipv6() { format!("port {port} of [{host}]") } else { format!("port {port} of {host}") };
    let finding = match err.kind() {
        io::ErrorKind::AddrInUse => match owner_of(host, port) {
            Some(owner) if owner.name == OWN => return Some(running(&place, &owner)),
            owner => in_use(config, &place, owner.as_ref()),
        },
        io::ErrorKind::PermissionDenied => {
            Finding::problem(format!("{place} requires root (ports below 1024)"), another(config, Some(8080)))
        }
        // Not every machine has the second loopback address; `serve` does not need it.
        _ if config.http.host.is_none() => return None,
        io::ErrorKind::AddrNotAvailable => Finding::problem(
            format!("{host} is not an address of this machine"),
            "Set `--host`, MCP_GIT_HOST or `http.host` to an address that `ip address` lists.",
        ),
        _ => Finding::problem(format!("{place} cannot be bound: {err}"), "Choose another address with `--host`."),
    };
    Some(finding.caused_by(&err))
}

/// A port used by another program. Only a note if no port is configured: `serve` may never run.
fn in_use(config: &Config, place: &str, owner: Option<&Owner>) -> Finding {
    let by = owner.map(|owner| format!(" by {owner}")).unwrap_or_default();
    let fix = another(config, free_port());
    if is_configured(config) {
        Finding::problem(format!("{place} is in use{by}"), fix)
    } else {
        Finding::note(format!("{place}, the default of `serve`, is in use{by}"), fix)
    }
}

/// Whether the operator configured the port or the address.
fn is_configured(config: &Config) -> bool {
    let by_variable = env::var("MCP_GIT_PORT").is_ok_and(|port| !port.trim().is_empty());
    let origin = &config.origin;
    by_variable || origin.flags.port.is_some() || origin.table.contains_key("port") || config.http.host.is_some()
}

/// The fix that chooses another port. A flag overrides the variable.
fn another(config: &Config, port: Option<u16>) -> String {
    match port {
        Some(port) if config.origin.flags.port.is_some() => format!("Choose another port, such as `--port {port}`."),
        Some(port) => format!("export MCP_GIT_PORT={port}"),
        None => "Choose another port with `--port N`.".to_owned(),
    }
}

fn running(place: &str, owner: &Owner) -> Finding {
    let fix = format!("A second server needs a port of its own: `--port N`. `mcp-server-git status --pid {}` shows the first.", owner.pid);
    Finding::note(format!("{place} is in use by a running server, {owner}"), fix)
}

/// A port that is free now at both loopback addresses.
fn free_port() -> Option<u16> {
    (0..16).find_map(|_| {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).ok()?.port();
        let second = TcpListener::bind((Ipv6Addr::LOCALHOST, port));
        (!second.is_err_and(|err| err.kind() == io::ErrorKind::AddrInUse)).then_some(port)
    })
}

fn socket_at(path: &Path) -> Finding {
    let shown = path.display();
    let Ok(meta) = path.symlink_metadata() else {
        return match path.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.is_dir()) {
            Some(parent) => Finding::problem(
                format!("the directory of the socket {shown} does not exist"),
                finding::command_on(parent, |parent| format!("mkdir -p {parent}")),
            ),
            None => Finding::fine(format!("the socket {shown} can be created")),
        };
    };
    if !std::os::unix::fs::FileTypeExt::is_socket(&meta.file_type()) {
        return Finding::problem(format!("{shown} is not a socket, and `serve` creates one there"), finding::out_of_the_way(path));
    }
    let other = "A second server needs a socket of its own: `--socket PATH`.";
    match socket::connect(path, STEP) {
        Ok(_) => Finding::note(format!("a server listens on {shown}"), other),
        Err(err) if err.kind() == io::ErrorKind::TimedOut => {
            Finding::problem(format!("a server listens on {shown}, and accepts no connection"), other).caused_by(&err)
        }
        Err(err) if matches!(err.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => {
            Finding::fine(format!("the socket {shown} is stale and will be replaced"))
        }
        Err(err) => Finding::problem(format!("cannot connect to the socket {shown}: {err}"), other).caused_by(&err),
    }
    .because(format!("inode {:?}", socket::inode(path)))
}

/// Who can reach the server, and how to open and close its port in the firewall.
pub(super) fn scope(patient: &Patient<'_>) -> Vec<Finding> {
    let config = patient.config;
    if let Some(path) = &config.http.socket {
        return vec![Finding::fine(format!("only the owner of {} can reach `serve`", path.display()))];
    }
    let Some(host) = config.http.host.filter(|host| !host.is_loopback()) else {
        return vec![Finding::fine("only programs on this machine can reach `serve`")];
    };
    let (open, close) = firewall(config.port);
    // Without tokens the configuration is invalid.
    let detail = format!(
        "other machines can reach `serve` at {host}, port {}, with a token; TLS needs a proxy in front of it; to open the firewall: {open}",
        config.port
    );
    vec![Finding::note(detail, close)]
}

/// The commands that open and close a port in this machine's firewall. They are only shown.
fn firewall(port: u16) -> (String, String) {
    let is_there = |program: &str| on_path(program).is_some() || ADMIN.iter().any(|dir| git::is_executable(&Path::new(dir).join(program)));
    let known = [
        ("ufw", format!("sudo ufw allow {port}/tcp"), format!("sudo ufw deny {port}/tcp")),
        (
            "firewall-cmd",
            format!("sudo firewall-cmd --permanent --add-port={port}/tcp && sudo firewall-cmd --reload"),
            format!("sudo firewall-cmd --permanent --remove-port={port}/tcp && sudo firewall-cmd --reload"),
        ),
        (
            "nft",
            format!("sudo nft insert rule inet filter input tcp dport {port} accept"),
            format!("sudo nft insert rule inet filter input tcp dport {port} drop"),
        ),
        (
            "iptables",
            format!("sudo iptables -I INPUT -p tcp --dport {port} -j ACCEPT"),
            format!("sudo iptables -I INPUT -p tcp --dport {port} -j DROP"),
        ),
        (
            "pfctl",
            format!("echo 'pass in proto tcp to any port {port}' | sudo pfctl -a mcp-server-git -f -"),
            format!("echo 'block in proto tcp to any port {port}' | sudo pfctl -a mcp-server-git -f -"),
        ),
    ];
    let found = known.into_iter().find(|(program, ..)| is_there(program));
    found.map_or_else(
        || ("no firewall was found".to_owned(), "Remove `http.host` (MCP_GIT_HOST, --host) to serve this machine alone.".to_owned()),
        |(_, open, close)| (open, close),
    )
}
