//! Where `serve` listens: whether it can, and who reaches it.

use super::{Finding, Patient, finding, machine::on_path};
use crate::{
    cli::processes::{Owner, owner_of},
    socket,
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener},
    os::unix::net::UnixStream,
    path::Path,
};

/// The name of this program, as the system shows it of a process.
const OWN: &str = "mcp-server-git";
/// Where programs of the administrator are that are on nobody's `PATH`.
const ADMIN: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

pub(super) fn port(patient: &Patient<'_>) -> Vec<Finding> {
    let serving = &patient.config.serving;
    if let Some(path) = &serving.socket {
        return vec![socket_at(path)];
    }
    if serving.port == 0 {
        return vec![Finding::fine("any free port is taken")];
    }
    let hosts = match serving.host {
        Some(host) => vec![host],
        None => vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
    };
    let findings = hosts.into_iter().filter_map(|host| taken(host, serving.port, serving.host.is_some()));
    finding::or_fine(findings.collect(), || Finding::fine(format!("port {} is free", serving.port)))
}

/// Why `serve` could not listen there.
fn taken(host: IpAddr, port: u16, is_named: bool) -> Option<Finding> {
    let err = TcpListener::bind((host, port)).err()?;
    let place = if host.is_ipv6() { format!("port {port} of [{host}]") } else { format!("port {port} of {host}") };
    let finding = match err.kind() {
        io::ErrorKind::AddrInUse => {
            let owner = owner_of(host, port);
            if owner.as_ref().is_some_and(|owner| owner.name == OWN) {
                return Some(running(&place, owner.as_ref()?));
            }
            let by = owner.map(|owner| format!(" by {owner}")).unwrap_or_default();
            let free =
                free_port().map_or_else(|| "Choose another port with `--port N`.".to_owned(), |free| format!("export MCP_GIT_PORT={free}"));
            Finding::problem(format!("{place} is in use{by}"), free)
        }
        io::ErrorKind::PermissionDenied => Finding::problem(format!("{place} needs privileges"), "export MCP_GIT_PORT=8080"),
        // Not every machine has the second loopback address, and `serve` does without it.
        _ if !is_named => return None,
        io::ErrorKind::AddrNotAvailable => Finding::problem(
            format!("{host} is no address of this machine"),
            "Set `--host`, MCP_GIT_HOST or `http.host` to an address that `ip address` lists.",
        ),
        _ => Finding::problem(format!("{place} cannot be bound: {err}"), "Choose another address with `--host`."),
    };
    Some(finding.caused_by(&err))
}

fn running(place: &str, owner: &Owner) -> Finding {
    let fix = format!("A second server needs a port of its own: `--port N`. `mcp-server-git status --pid {}` shows the first.", owner.pid);
    Finding::note(format!("{place} is in use by a running server, {owner}"), fix)
}

/// A port that is free now on both loopback addresses.
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
                format!("the folder of the socket {shown} does not exist"),
                finding::command_on(parent, |parent| format!("mkdir -p {parent}")),
            ),
            None => Finding::fine(format!("the socket {shown} can be made")),
        };
    };
    if !std::os::unix::fs::FileTypeExt::is_socket(&meta.file_type()) {
        return Finding::problem(format!("{shown} is no socket, and `serve` is to make one there"), finding::out_of_the_way(path));
    }
    match UnixStream::connect(path) {
        Ok(_) => Finding::note(format!("a server listens on {shown}"), "A second server needs a socket of its own: `--socket PATH`."),
        Err(_) => Finding::fine(format!("the socket {shown} is stale and will be replaced")),
    }
    .because(format!("inode {:?}", socket::inode(path)))
}

/// Who reaches the server, and what lets them in or keeps them out.
pub(super) fn scope(patient: &Patient<'_>) -> Vec<Finding> {
    let serving = &patient.config.serving;
    if let Some(path) = &serving.socket {
        return vec![Finding::fine(format!("only the owner of {} reaches `serve`", path.display()))];
    }
    let Some(host) = serving.host.filter(|host| !host.is_loopback()) else {
        return vec![Finding::fine("only programs of this machine reach `serve`")];
    };
    let (open, close) = firewall(serving.port);
    // Without tokens the configuration is refused.
    let detail = format!(
        "other machines can reach `serve` at {host}, port {}, with a token, over HTTP without TLS unless a proxy adds it; to open the firewall: {open}",
        serving.port
    );
    vec![Finding::note(detail, close)]
}

/// What opens and closes a port in the firewall of this machine. Nothing of it is run.
fn firewall(port: u16) -> (String, String) {
    let is_there =
        |program: &str| on_path(program).is_some() || ADMIN.iter().any(|dir| super::machine::is_executable(&Path::new(dir).join(program)));
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
