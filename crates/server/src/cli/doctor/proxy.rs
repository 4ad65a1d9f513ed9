//! The proxy between git and a remote: which variable or key names it, and whether it answers.

use super::{
    Finding, STEP,
    finding::word,
    patience,
    web::{Endpoint, Place},
};
use git::{Direction, Repo, Target};
use std::{
    env,
    net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs},
    sync::mpsc,
    thread,
};

/// curl's default port of a proxy.
const PORT: u16 = 1080;

/// A proxy as git reads it, without the login in its URL.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Proxy {
    /// The variable or key that names it.
    from: String,
    /// Whether that is a variable.
    pub(super) is_variable: bool,
    scheme: String,
    host: String,
    /// `None` if it is invalid.
    port: Option<u16>,
    /// Whether its URL has a user.
    has_login: bool,
}

impl Proxy {
    fn parse(from: &str, is_variable: bool, url: &str) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let authority = rest.split('/').next().unwrap_or_default();
        let (has_login, place) = authority.rsplit_once('@').map_or((false, authority), |(_, place)| (true, place));
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
            _ => (place, Some(if scheme.eq_ignore_ascii_case("https") { 443 } else { PORT })),
        };
        Self {
            from: from.to_owned(),
            is_variable,
            scheme: scheme.to_ascii_lowercase(),
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            has_login,
        }
    }

    /// The proxy with the variable or key that names it.
    pub(super) fn shown(&self) -> String {
        let port = self.port.map_or_else(|| "?".to_owned(), |port| port.to_string());
        format!("the proxy {}:{port} ({})", self.host, self.from)
    }

    /// How to correct it.
    fn fix(&self, target: &str) -> String {
        let from = &self.from;
        if self.is_variable {
            return format!("Correct {from}, or start the proxy that it names; NO_PROXY={target} reaches the remote without one.");
        }
        format!("Correct `{from}`, which `git config --show-origin --get-all {}` shows, or start the proxy that it names.", word(from))
    }

    /// The status of the proxy's answer to git's first request: for https, to `CONNECT`. Without a login.
    ///
    /// # Errors
    ///
    /// What is wrong with the proxy.
    fn ask(&self, target: &Target) -> Result<u16, String> {
        let port = self.port.ok_or("has no valid port")?;
        let addresses = look_up(&self.host, port).map_err(|why| format!("does not resolve (DNS): {why}"))?;
        let mut last = String::new();
        let connected = addresses.iter().find(|address| match TcpStream::connect_timeout(address, STEP) {
            Ok(_) => true,
            Err(err) => {
                last = err.to_string();
                false
            }
        });
        let address = connected.ok_or_else(|| format!("accepts no connection (TCP): {last}"))?;
        let host = if target.host.contains(':') { format!("[{}]", target.host) } else { target.host.clone() };
        let authority = format!("{host}:{}", target.port);
        let url = if target.protocol == "https" { authority.clone() } else { target.url(Direction::Fetch) };
        let method = if target.protocol == "https" { "CONNECT" } else { "GET" };
        let endpoint = Endpoint { place: Place::Plain(*address), host: authority, path: String::new(), token: None };
        let answer = endpoint.request(method, &url, &[], b"").map_err(|err| format!("gives no answer over HTTP: {err}"))?;
        Ok(answer.status)
    }

    /// Asks a remote through the proxy: the status of its answer, or `None` for https, of which only the connection is tried.
    /// `of` describes the remote, and `retry` is a command of git that reaches it.
    pub(super) fn reach(&self, target: &Target, of: &str, retry: &str) -> Result<Option<u16>, Finding> {
        let by_hand = format!("Try `{retry}`.");
        if self.scheme != "http" {
            let detail = format!("{of} is reached through {}, which was not tried: it is {}", self.shown(), self.scheme);
            return Err(Finding::note(detail, by_hand));
        }
        let problem = |what: &str| Finding::problem(format!("{of}: {} {what}", self.shown()), self.fix(&target.host));
        match self.ask(target).map_err(|why| problem(&why))? {
            407 if self.has_login => {
                let detail = format!("{of} is reached through {}, which requires a login; the one in its URL was not tried", self.shown());
                Err(Finding::note(detail, by_hand))
            }
            407 => Err(problem("requires a login (status 407)")),
            status @ 502..=504 => Err(problem(&format!("does not reach {}, port {} (status {status})", target.host, target.port))),
            status if target.protocol != "https" => Ok(Some(status)),
            200..=299 => Ok(None),
            status => Err(problem(&format!("does not connect to {}, port {} (status {status})", target.host, target.port))),
        }
    }
}

/// The proxy by which git reaches a remote over HTTP.
pub(super) fn of_remote(repo: &Repo, name: &str, target: &Target) -> Option<Proxy> {
    if !target.is_http() {
        return None;
    }
    let own = repo.proxy_for(name, &target.url(Direction::Fetch), &patience()).ok().flatten();
    let proxy = match own {
        Some((_, url)) if url.is_empty() => return None,
        Some((key, url)) => Proxy::parse(&key, false, &url),
        None => return of_environment(&target.protocol, &target.host),
    };
    (!is_direct(&target.host)).then_some(proxy)
}

/// The proxy that variables name for a host.
pub(super) fn of_environment(protocol: &str, host: &str) -> Option<Proxy> {
    // As in git and curl: the variable for http has lower-case letters only.
    let own: &[&str] = if protocol == "https" { &["https_proxy", "HTTPS_PROXY"] } else { &["http_proxy"] };
    let (name, url) = first(own).or_else(|| first(&["all_proxy", "ALL_PROXY"])).filter(|(_, url)| !url.is_empty())?;
    (!is_direct(host)).then(|| Proxy::parse(name, true, &url))
}

/// The first of these variables that is set.
fn first<'a>(names: &[&'a str]) -> Option<(&'a str, String)> {
    names.iter().find_map(|name| env::var(name).ok().map(|value| (*name, value)))
}

/// Whether a variable exempts the host from proxies.
fn is_direct(host: &str) -> bool {
    first(&["no_proxy", "NO_PROXY"]).is_some_and(|(_, list)| is_listed(&list, host))
}

/// Whether a list of names, addresses and networks has the host, as curl reads it.
fn is_listed(list: &str, host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches([']', '.']);
    let mut entries = list.split([',', ' ', '\t']).filter(|entry| !entry.is_empty());
    if list.trim() == "*" {
        return true;
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return entries.any(|entry| is_in_network(entry, address));
    }
    let host = host.to_ascii_lowercase();
    entries.any(|entry| {
        let entry = entry.trim_start_matches('.').trim_end_matches('.').to_ascii_lowercase();
        !entry.is_empty() && host.strip_suffix(entry.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

/// Whether an entry is the address, or a network such as `10.0.0.0/8` that contains it.
fn is_in_network(entry: &str, address: IpAddr) -> bool {
    let (network, bits) = entry.split_once('/').map_or((entry, None), |(network, bits)| (network, Some(bits)));
    let Ok(network) = network.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() else { return false };
    let Some(bits) = bits else { return network == address };
    let Ok(bits) = bits.parse::<u32>() else { return false };
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => (network.to_bits() ^ address.to_bits()).leading_zeros() >= bits,
        (IpAddr::V6(network), IpAddr::V6(address)) => (network.to_bits() ^ address.to_bits()).leading_zeros() >= bits,
        _ => false,
    }
}

fn look_up(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let (sender, found) = mpsc::channel();
    let place = (host.to_owned(), port);
    // A lookup cannot be interrupted. One that takes too long is left running.
    thread::spawn(move || sender.send(place.to_socket_addrs().map(Iterator::collect::<Vec<_>>)).unwrap_or_default());
    match found.recv_timeout(STEP) {
        Ok(Ok(addresses)) if !addresses.is_empty() => Ok(addresses),
        Ok(Ok(_)) => Err("it has no address".to_owned()),
        Ok(Err(err)) => Err(err.to_string()),
        Err(_) => Err(format!("no answer within {} s", STEP.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_parsed_as_curl_does() {
        for (url, scheme, host, port, has_login) in [
            ("http://u:p@proxy:3128/", "http", "proxy", Some(3128), true),
            ("proxy", "http", "proxy", Some(1080), false),
            ("https://proxy", "https", "proxy", Some(443), false),
            ("socks5h://[::1]:9050", "socks5h", "::1", Some(9050), false),
            ("http://[::1]", "http", "::1", Some(1080), false),
            ("http://proxy:x", "http", "proxy", None, false),
        ] {
            let proxy = Proxy::parse("all_proxy", true, url);
            assert_eq!((proxy.scheme.as_str(), proxy.host.as_str(), proxy.port, proxy.has_login), (scheme, host, port, has_login), "{url}");
            assert!(!proxy.shown().contains('@') && proxy.shown().ends_with(" (all_proxy)"), "{}", proxy.shown());
        }
    }

    #[test]
    fn exempt_hosts_are_listed_as_curl_reads_them() {
        for (list, host, is) in [
            ("*", "any.example", true),
            ("", "any.example", false),
            ("example, other.test", "git.example", true),
            (".example", "EXAMPLE", true),
            ("ample", "example", false),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8 127.0.0.1", "127.0.0.1", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("[::1]", "[::1]", true),
            ("fd00::/16", "fd00::1", true),
        ] {
            assert_eq!(is_listed(list, host), is, "{list} {host}");
        }
    }
}
