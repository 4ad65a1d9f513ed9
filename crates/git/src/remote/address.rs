//! Which remotes may be reached: protocols, addresses, and host names pinned to the checked addresses.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    repo::{
        policy::{Allowed, Policy, Trust},
        reachable::{Direction, Network, Target, TransferGate},
    },
};
use gix::url::Scheme;
use std::{
    env, fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs},
    path::{Component, Path, PathBuf},
    sync::{Arc, mpsc},
    time::Duration,
};

/// Maximum length of a URL.
const MAX_URL: usize = 4096;
/// Interval at which a name lookup checks for cancellation.
const POLL: Duration = Duration::from_millis(20);

/// How checked remotes are reached.
#[derive(Clone, Debug, Default)]
pub(crate) struct Route {
    /// For `GIT_ALLOW_PROTOCOL`.
    pub(crate) protocols: String,
    /// For `http.curloptResolve`.
    pub(crate) pins: Vec<String>,
    /// Whether ssh is used.
    pub(crate) ssh: bool,
    /// The targets.
    pub(super) targets: Vec<Target>,
    pub(super) direction: Direction,
    /// The gate of each transfer.
    pub(super) gate: Option<Arc<dyn TransferGate>>,
    pub(super) network: Network,
    /// Whether a retry is safe.
    pub(super) repeatable: bool,
}

impl Policy {
    /// A route without targets.
    pub(super) fn route(&self, direction: Direction) -> Route {
        Route { direction, gate: self.gate.clone(), network: self.network.clone(), ..Route::default() }
    }
}

/// True for protocols that git speaks through curl.
pub(super) fn is_http(protocol: &str) -> bool {
    matches!(protocol, "http" | "https")
}

impl Network {
    /// Checks `url`, as git will use it, and adds its target to `route`. `local` decides which paths are allowed.
    pub(crate) fn admit(&self, url: &str, local: Local<'_>, route: &mut Route, cancel: &Cancel) -> Result<()> {
        let bad = |why| Err(Error::bad_name(url, "a URL", why));
        if url.is_empty() || url.len() > MAX_URL || url.starts_with('-') || url.chars().any(char::is_control) {
            return bad("it is empty, too long, begins with `-` or has a control character");
        }
        let helper = url.split_once("::").map(|(name, _)| name);
        if let Some(helper) = helper.filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-+.".contains(&byte))) {
            return Err(Error::ProtocolOff(helper.to_owned()));
        }
        let Ok(parsed) = gix::url::parse(url) else { return bad("git cannot parse it") };
        if !self.protocols.contains(&parsed.scheme) {
            return Err(Error::ProtocolOff(parsed.scheme.as_str().to_owned()));
        }
        route.protocols = self.names().join(":");
        let path = parsed.path.to_string();
        if parsed.scheme == Scheme::File {
            return local.admit(Path::new(&path), route.direction);
        }
        let Some(host) = parsed.host().filter(|host| !host.is_empty()) else { return bad("it names no host") };
        if host.starts_with('-') || path.starts_with('-') || parsed.user().is_some_and(|user| user.starts_with('-')) {
            return bad("a part of it would be parsed as an option");
        }
        route.ssh |= parsed.scheme == Scheme::Ssh;
        route.targets.extend(Target::of(&parsed));
        self.admit_host(host, parsed.port_or_default(), &parsed.scheme, route, |name| resolve(name, cancel))
    }

    /// The allowed addresses of the host.
    pub(super) fn addresses(&self, host: &str, cancel: &Cancel) -> Result<Vec<IpAddr>> {
        let addresses = resolve(host, cancel)?;
        let is_allowed = self.allow_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host));
        match addresses.iter().find(|address| !is_allowed && !is_public(**address)) {
            Some(private) => Err(Error::PrivateAddress { host: host.to_owned(), address: *private }),
            None => Ok(addresses),
        }
    }

    fn admit_host(
        &self,
        host: &str,
        port: Option<u16>,
        scheme: &Scheme,
        route: &mut Route,
        look_up: impl FnOnce(&str) -> Result<Vec<IpAddr>>,
    ) -> Result<()> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        if !host.bytes().all(plain) {
            // Some programs would decode such a name and reach another host.
            return Err(Error::bad_name(host, "a host", "it has characters that are invalid in host names"));
        }
        let bare = host.trim_start_matches('[').trim_end_matches([']', '.']);
        if self.allow_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(bare)) {
            return Ok(());
        }
        let addresses = look_up(bare)?;
        if let Some(private) = addresses.iter().find(|address| !is_public(**address)) {
            return Err(Error::PrivateAddress { host: bare.to_owned(), address: *private });
        }
        let over_http = matches!(scheme, Scheme::Http | Scheme::Https);
        if addresses.is_empty() {
            // A proxy resolves the name itself, and ssh may map it to another host.
            return if *scheme == Scheme::Ssh || over_http && has_proxy() { Ok(()) } else { Err(Error::UnknownHost(bare.to_owned())) };
        }
        let literal = bare.parse::<IpAddr>().is_ok();
        if let (true, false, Some(port)) = (over_http, literal, port) {
            let list: Vec<String> = addresses.iter().map(|address| bracketed(*address)).collect();
            route.pins.push(format!("{bare}:{port}:{}", list.join(",")));
        }
        Ok(())
    }
}

fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

fn has_proxy() -> bool {
    ["https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy", "ALL_PROXY"]
        .iter()
        .any(|name| env::var_os(name).is_some_and(|v| !v.is_empty()))
}

/// The addresses of `host`, in any form that the C library accepts: `127.1` and `2130706433` are addresses, too.
fn resolve(host: &str, cancel: &Cancel) -> Result<Vec<IpAddr>> {
    let (send, found) = mpsc::channel();
    let name = host.to_owned();
    // A lookup cannot be interrupted. An abandoned one ends by itself.
    std::thread::spawn(move || {
        let addresses = (name.as_str(), 0).to_socket_addrs();
        send.send(addresses.map(|all| all.map(|address| address.ip()).collect()).unwrap_or_default()).ok();
    });
    loop {
        match found.recv_timeout(POLL) {
            Ok(addresses) => return Ok(addresses),
            Err(mpsc::RecvTimeoutError::Timeout) => cancel.check()?,
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(Vec::new()),
        }
    }
}

/// True for addresses of the public internet.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(inner) => is_public_v4(inner),
            // Allocated unicast: neither loopback, local, link-local, multicast nor reserved.
            None => address.segments()[0] & 0xe000 == 0x2000 && address.segments()[..2] != [0x2001, 0x0db8],
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!((a, b, c), (0 | 10 | 127 | 224.., ..) | (100, 64..=127, _) | (192, 0, 0) | (198, 18..=19, _));
    !(special || address.is_private() || address.is_link_local() || address.is_documentation())
}

/// The IPv4 address embedded in an IPv6 address.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let bytes = address.octets();
    let at = |start: usize| Ipv4Addr::new(bytes[start], bytes[start + 1], bytes[start + 2], bytes[start + 3]);
    let segments = address.segments();
    match segments {
        [0, 0, 0, 0, 0, 0xffff | 0, ..] | [0x64, 0xff9b, ..] => Some(at(12)),
        [0x2002, ..] => Some(at(2)),
        _ => None,
    }
}

/// Which repositories on this machine may be reached by path.
#[derive(Clone, Copy)]
pub(crate) struct Local<'a> {
    /// The roots and policy of the operator.
    pub(crate) allowed: &'a Allowed,
    /// The base of relative paths.
    pub(crate) directory: &'a Path,
    /// Whether paths outside the roots are allowed, because the operator configured the path.
    pub(crate) anywhere: bool,
    /// The repository, if git runs sandboxed in it and has to reach the path.
    pub(crate) sandboxed: Option<&'a Path>,
}

impl Local<'_> {
    fn admit(self, path: &Path, direction: Direction) -> Result<()> {
        let full = self.directory.join(path);
        let outside = |path: PathBuf| Err(Error::OutsideRoots { path, what: "the remote" });
        // git also tries the path with `.git` appended.
        let with_ending = PathBuf::from(format!("{}.git", full.display()));
        let target = fs::canonicalize(&full).or_else(|_| fs::canonicalize(with_ending));
        let roots = &self.allowed.roots;
        let target = match target {
            Ok(target) if roots.contains(&target) => target,
            Ok(_) if self.anywhere => return Ok(()),
            Ok(target) => return outside(target),
            Err(_) if self.anywhere => return Err(Error::NotARepository { path: full }),
            Err(_) if roots.contains(&full) && full.components().all(|part| part != Component::ParentDir) => {
                return Err(Error::NotARepository { path: full });
            }
            Err(_) => return outside(full),
        };
        if self.anywhere && direction == Direction::Fetch {
            return self.check_shell();
        }
        // Its git directory and other parts must be inside the roots, too.
        let location = roots.locate(&target)?;
        if location.top() != target && location.git_dir != target {
            return Err(Error::NotARepository { path: target });
        }
        if direction == Direction::Push && !(location.trusted && self.allowed.policy.trust == Trust::Owner) {
            // git would run receive-pack in that repository, with its hooks and configuration.
            return Err(Error::Untrusted { path: target, program: "hooks".to_owned() });
        }
        roots.check_alternates(&location, &[])?;
        self.check_shell()
    }

    /// Refuses a transfer that the sandbox would block.
    fn check_shell(self) -> Result<()> {
        let why = "git reaches a remote at a local path through a shell, which the sandbox does not run";
        self.sandboxed.map_or(Ok(()), |path| Err(Error::NoSandbox { path: path.to_owned(), why }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(url: &str, protocols: &[&str], allow: &[&str]) -> Result<Route> {
        let network = Network {
            protocols: protocols.iter().map(|name| Scheme::from(*name)).collect(),
            allow_hosts: allow.iter().map(ToString::to_string).collect(),
        };
        let mut route = Route::default();
        let allowed = Allowed { roots: crate::repo::roots::Roots::default(), policy: Policy::default() };
        let local = Local { allowed: &allowed, directory: Path::new("/"), anywhere: false, sandboxed: None };
        network.admit(url, local, &mut route, &Cancel::never())?;
        Ok(route)
    }

    #[test]
    fn only_enabled_protocols_are_allowed() {
        for (url, protocol) in [
            ("file:///x", "file"),
            ("/x", "file"),
            ("../x", "file"),
            ("FILE:///x", "FILE"),
            ("git://example.com/x", "git"),
            ("http://example.com/x", "http"),
            ("ext::sh -c x", "ext"),
            ("EXT::sh -c x", "EXT"),
            ("fd::17", "fd"),
            ("ftp://example.com/x", "ftp"),
            ("persistent-https::x", "persistent-https"),
        ] {
            let refused = admit(url, &["https", "ssh"], &[]);
            assert!(matches!(&refused, Err(Error::ProtocolOff(name)) if name == protocol), "{url}: {refused:?}");
        }
    }

    #[test]
    fn options_in_disguise_are_refused() {
        for url in ["http://127%2e0%2e0%2e1/x", "https://local%68ost/x", "https://h\u{f6}st/x"] {
            assert!(admit(url, &["https", "http"], &[]).is_err(), "{url}");
        }
        for url in ["ssh://-oProxyCommand=x/y", "-oProxyCommand=x:y", "ssh://host/-x\n", "--upload-pack=x", "ssh://-x@host/y", "host:-x"] {
            assert!(matches!(admit(url, &["https", "ssh"], &["host"]), Err(Error::BadName { .. })), "{url}");
        }
    }

    #[test]
    fn private_addresses_are_refused_in_every_form() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "localhost",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[fe80::1]",
            "[fd00::1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
        ] {
            for url in [format!("https://{host}/x"), format!("ssh://git@{host}/x")] {
                let refused = admit(&url, &["https", "ssh"], &[]);
                assert!(matches!(refused, Err(Error::PrivateAddress { .. })), "{url}: {refused:?}");
            }
        }
        assert!(admit("https://127.0.0.1/x", &["https"], &["127.0.0.1"]).is_ok());
        assert!(admit("https://1.1.1.1/x", &["https"], &[]).is_ok_and(|route| route.pins.is_empty()));
        assert!(matches!(admit("git@10.0.0.1:x", &["ssh"], &[]), Err(Error::PrivateAddress { .. })));
    }

    #[test]
    fn host_names_stay_pinned_to_checked_addresses_44() {
        let network = Network::default();
        let answers = std::cell::RefCell::new(vec![[127, 0, 0, 1], [140, 82, 121, 3]]);
        let flip = |_: &str| Ok(answers.borrow_mut().pop().map(IpAddr::from).into_iter().collect());
        let mut route = Route::default();
        assert!(network.admit_host("flip.example", Some(443), &Scheme::Https, &mut route, flip).is_ok());
        assert_eq!(route.pins, ["flip.example:443:140.82.121.3"]);
        let again = network.admit_host("flip.example", Some(443), &Scheme::Https, &mut route, flip);
        assert!(matches!(again, Err(Error::PrivateAddress { .. })), "{again:?}");
    }

    #[test]
    fn allocated_addresses_are_public() {
        for public in ["1.1.1.1", "140.82.121.3", "2606:4700::1111", "2a00::1"] {
            assert!(public.parse().is_ok_and(is_public), "{public}");
        }
    }
}
