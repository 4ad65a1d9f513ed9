//! `--url`: each step of a connection to a remote server, up to the one that fails.

use super::{
    Finding, STEP, proxy,
    web::{Answer, Endpoint, Place, Refused, Session},
};
use crate::admin::answers::health::Health;
use hyper::Uri;
use rustls::{CertificateError, ClientConfig, crypto::ring, pki_types::ServerName};
use rustls_platform_verifier::BuilderVerifierExt;
use std::{
    error::Error,
    io,
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    sync::{Arc, mpsc},
    thread,
};
use tungstenite::{client::IntoClientRequest, http::HeaderValue};

/// The parts of a URL.
struct Goal {
    host: String,
    port: u16,
    is_tls: bool,
    path: String,
}

type Step = (&'static str, Vec<Finding>);

/// Takes the steps, up to the first failure that prevents the next ones.
pub(super) fn walk(url: &str, token: Option<&str>) -> Vec<Step> {
    let goal = match parse(url) {
        Ok(goal) => goal,
        Err(why) => {
            let fix = "Give a URL such as `https://host/mcp`, `http://127.0.0.1:8080/mcp` or `wss://host/ws`.";
            return vec![("url", vec![Finding::problem(why, fix)])];
        }
    };
    let mut steps = Vec::new();
    steps.extend(warning(&goal, token).map(|finding| ("url", vec![finding])));
    steps.extend(beside_a_proxy(&goal).map(|finding| ("proxy", vec![finding])));
    let addresses = match look_up(&goal) {
        Ok(addresses) => addresses,
        Err(finding) => {
            steps.push(("dns", vec![finding]));
            return steps;
        }
    };
    let shown: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    steps.push(("dns", vec![Finding::fine(format!("{} is at {}", goal.host, shown.join(", ")))]));
    let address = match connect(&goal, &addresses) {
        Ok(address) => address,
        Err(finding) => {
            steps.push(("tcp", vec![finding]));
            return steps;
        }
    };
    steps.push(("tcp", vec![Finding::fine(format!("{address} accepts connections"))]));
    let place = if goal.is_tls {
        match tls(&goal, address) {
            Ok(place) => {
                steps.push(("tls", vec![Finding::fine(format!("the certificate is valid for {}", goal.host))]));
                place
            }
            Err(finding) => {
                steps.push(("tls", vec![finding]));
                return steps;
            }
        }
    } else {
        Place::Plain(address)
    };
    let host = match (goal.port, goal.is_tls) {
        (443, true) | (80, false) => goal.host.clone(),
        (port, _) => format!("{}:{port}", goal.host),
    };
    let base = goal.path.trim_end_matches('/');
    let base = base.strip_suffix("/mcp").or_else(|| base.strip_suffix("/ws")).unwrap_or(base).to_owned();
    let path = if matches!(goal.path.as_str(), "" | "/") || goal.path.ends_with("/ws") { format!("{base}/mcp") } else { goal.path.clone() };
    let endpoint = Endpoint { place, host, path, token: token.map(str::to_owned) };
    let (finding, proceed) = health(&goal, &endpoint, &base);
    steps.push(("http", vec![finding]));
    if proceed {
        steps.push(("websocket", vec![websocket(&goal, &endpoint, &base)]));
        steps.push(("mcp", vec![initialize(&goal, &endpoint)]));
    }
    steps
}

fn parse(url: &str) -> Result<Goal, String> {
    let uri: Uri = url.parse().map_err(|err| format!("it is not a URL: {err}"))?;
    let is_tls = match uri.scheme_str() {
        Some("http" | "ws") => false,
        Some("https" | "wss") => true,
        Some(other) => return Err(format!("the scheme `{other}` is not http, https, ws or wss")),
        None => return Err("the URL has no scheme".to_owned()),
    };
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("the URL contains a user or a password: put the token into MCP_GIT_DOCTOR_TOKEN".to_owned());
    }
    let has_port = uri.authority().is_some_and(|authority| authority.as_str().rsplit(']').next().unwrap_or_default().contains(':'));
    if has_port && uri.port_u16().is_none() {
        return Err("the port of the URL is not a number up to 65535".to_owned());
    }
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| "the URL has no host".to_owned())?;
    Ok(Goal { host: host.to_owned(), port: uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 }), is_tls, path: uri.path().to_owned() })
}

fn warning(goal: &Goal, token: Option<&str>) -> Option<Finding> {
    let is_local = matches!(goal.host.as_str(), "localhost" | "[::1]") || goal.host.starts_with("127.");
    let is_open = token.is_some() && !goal.is_tls && !is_local;
    is_open.then(|| Finding::note("the token is sent over the network without TLS", "Use the server's https URL, or a tunnel."))
}

/// A note if clients may reach the server through a proxy.
fn beside_a_proxy(goal: &Goal) -> Option<Finding> {
    let proxy = proxy::of_environment(if goal.is_tls { "https" } else { "http" }, &goal.host)?;
    let detail = format!("clients may use {}, which was not tried: the next steps connect directly", proxy.shown());
    Some(Finding::note(detail, format!("Add {} to NO_PROXY if clients connect directly; otherwise try one of them.", goal.host)))
}

fn look_up(goal: &Goal) -> Result<Vec<SocketAddr>, Finding> {
    let (sender, found) = mpsc::channel();
    let place = (goal.host.trim_start_matches('[').trim_end_matches(']').to_owned(), goal.port);
    // A lookup cannot be interrupted. One that takes too long is left running.
    thread::spawn(move || sender.send(place.to_socket_addrs().map(Iterator::collect::<Vec<_>>)).unwrap_or_default());
    let fix = format!("Correct the name {} in the URL, or the machine's DNS (/etc/resolv.conf, /etc/hosts).", goal.host);
    match found.recv_timeout(STEP) {
        Ok(Ok(addresses)) if !addresses.is_empty() => Ok(addresses),
        Ok(Ok(_)) => Err(Finding::problem(format!("the name {} has no address", goal.host), fix)),
        Ok(Err(err)) => Err(Finding::problem(format!("the name {} does not resolve: {err}", goal.host), fix).caused_by(&err)),
        Err(_) => Err(Finding::problem(format!("the name {} did not resolve within {} s", goal.host, STEP.as_secs()), fix)),
    }
}

fn connect(goal: &Goal, addresses: &[SocketAddr]) -> Result<SocketAddr, Finding> {
    let mut errors = Vec::new();
    for address in addresses {
        match TcpStream::connect_timeout(address, STEP) {
            Ok(_) => return Ok(*address),
            Err(err) => errors.push((address, err)),
        }
    }
    let refused = errors.iter().any(|(_, err)| err.kind() == io::ErrorKind::ConnectionRefused);
    let fix = if refused {
        format!("Start the server there: nothing listens on port {} (`mcp-server-git serve --port {}`).", goal.port, goal.port)
    } else {
        format!("Open port {} of {} in the firewalls on the way, or use another network.", goal.port, goal.host)
    };
    let why = errors.last().map(|(_, err)| err.to_string()).unwrap_or_default();
    let finding = Finding::problem(format!("{}, port {}, accepts no connection: {why}", goal.host, goal.port), fix);
    Err(errors.iter().fold(finding, |finding, (address, err)| finding.because(format!("{address}: {err}"))))
}

fn tls(goal: &Goal, address: SocketAddr) -> Result<Place, Finding> {
    let unusable = |err: &(dyn Error + 'static)| {
        Finding::problem(format!("TLS cannot be used on this machine: {err}"), "Install the system's CA certificates (`ca-certificates`).")
            .caused_by(err)
    };
    let name = goal.host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(name).map_err(|err| unusable(&err))?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier)
        .map_err(|err| unusable(&err))?
        .with_no_client_auth();
    let place = Place::Tls(address, name, Arc::new(config));
    let endpoint = Endpoint { place, host: String::new(), path: String::new(), token: None };
    match endpoint.connect() {
        Ok(_) => Ok(endpoint.place),
        Err(err) => Err(refused_tls(goal, &err)),
    }
}

fn refused_tls(goal: &Goal, err: &io::Error) -> Finding {
    let inner = err.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let (what, fix) = match inner {
        Some(rustls::Error::InvalidCertificate(why)) => match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                ("the certificate has expired", "Renew the certificate of the server, or correct this machine's clock.".to_owned())
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                ("the certificate is not valid yet", "Correct this machine's clock: `sudo timedatectl set-ntp true`.".to_owned())
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                ("the certificate is for another name", format!("Use a name that the certificate is for, or get one for {}.", goal.host))
            }
            CertificateError::UnknownIssuer => (
                "the certificate is from an authority that this machine does not trust",
                "Add the authority's certificate to the system's, and make the server send its intermediate certificates.".to_owned(),
            ),
            _ => ("the certificate is not valid", "Give the server a certificate from an authority that this machine trusts.".to_owned()),
        },
        Some(rustls::Error::InvalidMessage(_)) => (
            "the server there does not speak TLS",
            format!("Use http:// in the URL, or put a proxy with TLS in front of port {}.", goal.port),
        ),
        _ => (
            "the handshake failed",
            format!("Use http:// in the URL if port {} has no TLS, or look at the log of the proxy there.", goal.port),
        ),
    };
    Finding::problem(format!("{}, port {}: {what} ({err})", goal.host, goal.port), fix).caused_by(err)
}

/// The health of the server, and whether the next steps make sense.
fn health(goal: &Goal, endpoint: &Endpoint, base: &str) -> (Finding, bool) {
    let path = format!("{base}/health");
    let answer = match endpoint.request("GET", &path, &[], b"") {
        Ok(answer) => answer,
        Err(err) => {
            let fix = if goal.is_tls {
                "Look at the log of the proxy: it accepts connections, but does not forward them."
            } else {
                "Use https:// in the URL if the port has TLS, or use the port of `mcp-server-git serve`."
            };
            return (Finding::problem(format!("no answer over HTTP: {err}"), fix).caused_by(&err), false);
        }
    };
    match answer.status {
        200 if serde_json::from_slice::<Health>(&answer.body).is_ok() => {
            (Finding::fine(format!("{path} answers {}", answer.summary())), true)
        }
        200 => (
            Finding::note(
                format!("{path} does not answer as mcp-server-git does ({})", answer.summary()),
                "Make sure that the URL is the server's, and that the proxy forwards /health.",
            ),
            true,
        ),
        401 | 403 | 407 => (refused(goal, &answer), answer.status != 407),
        404 | 405 => (
            Finding::note(
                format!("there is no {path} ({})", answer.summary()),
                "Make the proxy forward /health as well, if the server is mcp-server-git.",
            ),
            true,
        ),
        300..=399 => {
            let to = answer.header("location").unwrap_or("another address");
            (Finding::problem(format!("the server redirects to {to}"), format!("Use that URL: {to}")), false)
        }
        502 | 504 => (
            Finding::problem(
                format!("the proxy reaches no server behind it ({})", answer.summary()),
                "Start `mcp-server-git serve` behind the proxy, or correct its address there.",
            ),
            false,
        ),
        503 => (
            Finding::problem(
                format!("the server accepts no calls ({})", answer.summary()),
                "Run `mcp-server-git status` on its machine; `mcp-server-git resume` ends a drain.",
            ),
            false,
        ),
        _ => (Finding::problem(format!("{path} answers {}", answer.summary()), "Look at the server's log at that moment."), true),
    }
}

/// A refusal of this client.
fn refused(goal: &Goal, answer: &Answer) -> Finding {
    let (detail, fix) = match answer.status {
        401 if answer.header("www-authenticate").is_some_and(|challenge| challenge.contains("invalid_token")) => (
            "the server does not know the token, or it has expired",
            "Create a new one with `mcp-server-git token NAME` on its machine, and set MCP_GIT_DOCTOR_TOKEN to it.".to_owned(),
        ),
        401 => ("the server requires a token", "Set the environment variable MCP_GIT_DOCTOR_TOKEN to a token of the server.".to_owned()),
        403 => (
            "the server refuses this Host, Origin or token",
            format!(
                "Add {} to `http.allowed_hosts` (MCP_GIT_ALLOWED_HOSTS) of the server, or give the token the missing scope.",
                goal.host
            ),
        ),
        _ => ("a proxy on the way requires a login", "Configure this machine's proxy, or use another network.".to_owned()),
    };
    Finding::problem(format!("{detail} ({})", answer.summary()), fix)
}

fn websocket(goal: &Goal, endpoint: &Endpoint, base: &str) -> Finding {
    let path = format!("{base}/ws");
    let fix = "Make the proxy forward `Upgrade` and `Connection` for /ws (docs/nginx.conf), or use /mcp over HTTP instead.";
    let scheme = if goal.is_tls { "wss" } else { "ws" };
    let request = format!("{scheme}://{}{path}", endpoint.host).into_client_request().map(|mut request| {
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("mcp"));
        if let Some(value) = endpoint.token.as_ref().and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok()) {
            request.headers_mut().insert("authorization", value);
        }
        request
    });
    let request = match request {
        Ok(request) => request,
        Err(err) => return Finding::problem(format!("{path} cannot be requested: {err}"), fix).caused_by(&err),
    };
    let stream = match endpoint.connect() {
        Ok(stream) => stream,
        Err(err) => {
            return Finding::problem(format!("the second connection failed: {err}"), "Raise the connection limit of the server or proxy.")
                .caused_by(&err);
        }
    };
    match tungstenite::client(request, stream) {
        Ok((mut socket, _)) => {
            socket.close(None).ok();
            Finding::fine(format!("{path} opens a WebSocket"))
        }
        Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer))) => match answer.status().as_u16() {
            status @ (401 | 403) => Finding::problem(format!("{path} answers status {status}"), "Set MCP_GIT_DOCTOR_TOKEN, as for HTTP."),
            status @ (404 | 405) => Finding::note(format!("there is no WebSocket at {path} (status {status})"), fix),
            status => Finding::problem(format!("{path} opens no WebSocket (status {status})"), fix),
        },
        Err(tungstenite::HandshakeError::Failure(err)) => {
            Finding::problem(format!("{path} opens no WebSocket: {err}"), fix).caused_by(&err)
        }
        Err(tungstenite::HandshakeError::Interrupted(_)) => Finding::problem(format!("{path} does not answer in time"), fix),
    }
}

fn initialize(goal: &Goal, endpoint: &Endpoint) -> Finding {
    match Session::open(endpoint) {
        Ok(session) => {
            let detail = format!("{} speaks MCP {} at {}", session.server, session.revision, endpoint.path);
            session.close();
            Finding::fine(detail)
        }
        Err(Refused::Status(answer)) if matches!(answer.status, 401 | 403 | 407) => refused(goal, &answer),
        Err(Refused::Status(answer)) if matches!(answer.status, 404 | 405) => Finding::problem(
            format!("there is no MCP endpoint at {} ({})", endpoint.path, answer.summary()),
            "Give the full URL of MCP, which ends in `/mcp`; a proxy has to forward it.",
        ),
        Err(err) => {
            let fix = "Look at the server's log at that moment, or check the message with `mcp-server-git validate`.";
            Finding::problem(format!("initialize fails at {}: {err}", endpoint.path), fix).caused_by(&err)
        }
    }
}
