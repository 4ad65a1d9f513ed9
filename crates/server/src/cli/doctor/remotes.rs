//! Remotes: whether git can log in to them, and whether they can be reached.

use super::{
    Finding, Patient, STEP,
    files::text_of,
    finding::{self, word},
    machine::on_path,
    patience, proxy,
};
use git::{Cancel, Direction, Error, Remote, Repo, Target};
use std::{
    collections::BTreeSet,
    env, fs,
    net::{SocketAddr, TcpStream},
    os::unix::fs::FileTypeExt,
    path::Path,
    sync::Arc,
    thread,
    time::Instant,
};

/// Maximum number of remotes checked.
const MAX_REMOTES: usize = 64;
/// Maximum number of addresses tried per host.
const MAX_ADDRESSES: usize = 3;
/// Keys that ssh tries by default.
const KEYS: [&str; 6] = ["id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk", "id_dsa"];
/// Keywords of ssh's configuration that name a key or a program that provides keys.
const NAME_KEYS: [&str; 4] = ["identityfile", "identityagent", "pkcs11provider", "certificatefile"];
/// Keywords that include more configuration.
const NAME_MORE: [&str; 2] = ["include", "match"];
/// Maximum size read of an ssh configuration, in bytes.
const MAX_CONFIG: u64 = 1 << 20;
/// Maximum number of the system's ssh configuration files read.
const MAX_FILES: usize = 100;

/// A remote and its repository.
struct Found<'a> {
    repo: &'a Arc<Repo>,
    name: String,
    target: Target,
}

impl Found<'_> {
    fn shown(&self) -> String {
        format!("the remote {} of {}", self.name, self.repo.top().display())
    }
}

/// The remotes reached over a network.
fn all<'a>(patient: &'a Patient<'_>) -> Vec<Found<'a>> {
    let mut found = Vec::new();
    for repo in patient.usable() {
        for Remote { name, .. } in repo.remotes(&patience()).unwrap_or_default() {
            for direction in [Direction::Fetch, Direction::Push] {
                let target = repo.target(Some(&name), None, direction);
                if let Some(target) = target.filter(|target| {
                    found.iter().all(|one: &Found<'_>| one.name != name || one.target != *target || one.repo.top() != repo.top())
                }) {
                    found.push(Found { repo, name: name.clone(), target });
                }
            }
        }
    }
    found.truncate(MAX_REMOTES);
    found
}

pub(super) fn credentials(patient: &Patient<'_>) -> Vec<Finding> {
    let remotes = all(patient);
    let mut findings = Vec::new();
    let mut hosts = BTreeSet::new();
    for found in &remotes {
        if !hosts.insert((found.target.protocol.clone(), found.target.host.clone())) {
            continue;
        }
        match found.target.protocol.as_str() {
            "https" => findings.extend(without_helper(found)),
            "ssh" => findings.extend(without_key(found)),
            _ => {}
        }
    }
    finding::or_fine(findings, || {
        Finding::fine(format!("git has what it needs to log in ({} checked)", finding::count(remotes.len(), "URL")))
    })
}

fn without_helper(found: &Found<'_>) -> Option<Finding> {
    let host = &found.target.host;
    let has_netrc = env::home_dir().is_some_and(|home| home.join(".netrc").is_file());
    if has_netrc || found.repo.has_credentials_for(host, &patience()).unwrap_or(true) {
        return None;
    }
    let fix = if host == "github.com" && on_path("gh").is_some() {
        "gh auth setup-git"
    } else if cfg!(target_os = "macos") {
        "git config --global credential.helper osxkeychain"
    } else {
        "git config --global credential.helper 'cache --timeout=86400'"
    };
    let detail = format!("{} is at https://{host}, and git has no credential helper: only public repositories work", found.shown());
    Some(Finding::note(detail, fix))
}

fn without_key(found: &Found<'_>) -> Option<Finding> {
    let has_agent = env::var_os("SSH_AUTH_SOCK").is_some_and(|path| fs::metadata(path).is_ok_and(|meta| meta.file_type().is_socket()));
    let folder = env::home_dir().map(|home| home.join(".ssh"))?;
    let has_key = KEYS.iter().any(|key| folder.join(key).is_file());
    if has_agent || has_key || has_own_command(found.repo) || names_key(&folder) {
        return None;
    }
    let key = folder.join("id_ed25519");
    let detail = format!("{} is at {} over ssh, and there is neither an agent (SSH_AUTH_SOCK) nor a key", found.shown(), found.target.host);
    let fix = format!("mkdir -p -m 700 {} && ssh-keygen -q -t ed25519 -N '' -f {}", word(&folder), word(&key));
    Some(Finding::problem(detail, fix).because(format!("looked for {} in {}", KEYS.join(", "), folder.display())))
}

/// Whether an ssh command is configured, which may name a key. Only trusted repositories may configure one.
fn has_own_command(repo: &Repo) -> bool {
    let by_variable = ["GIT_SSH_COMMAND", "GIT_SSH"].iter().any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()));
    by_variable || repo.location().trusted && repo.config(Some("core.sshCommand"), &patience()).is_ok_and(|settings| !settings.is_empty())
}

/// Whether ssh's configuration may name a key.
fn names_key(folder: &Path) -> bool {
    let system = Path::new("/etc/ssh");
    let parts = fs::read_dir(system.join("ssh_config.d")).into_iter().flatten().flatten().take(MAX_FILES).map(|entry| entry.path());
    let mut files = parts.chain([system.join("ssh_config")]);
    let own = folder.join("config");
    // The system's configuration includes its own folder on most machines.
    has_keyword(&own, &NAME_MORE) || has_keyword(&own, &NAME_KEYS) || files.any(|file| has_keyword(&file, &NAME_KEYS))
}

/// Whether a line of the file begins with one of these words.
fn has_keyword(file: &Path, words: &[&str]) -> bool {
    let text = text_of(file, MAX_CONFIG).unwrap_or_default();
    text.lines().any(|line| {
        line.split([' ', '\t', '=']).find(|word| !word.is_empty()).is_some_and(|first| words.contains(&first.to_ascii_lowercase().as_str()))
    })
}

pub(super) fn reach(patient: &Patient<'_>) -> Vec<Finding> {
    if !patient.options.online {
        return vec![Finding::skipped("`--online` connects to them")];
    }
    let remotes = all(patient);
    let mut places = BTreeSet::new();
    let asked: Vec<&Found<'_>> = remotes.iter().filter(|found| places.insert((found.target.host.clone(), found.target.port))).collect();
    let answers: Vec<Result<Reached, Finding>> = thread::scope(|scope| {
        let all: Vec<_> = asked.iter().map(|found| scope.spawn(|| answer(patient, found))).collect();
        all.into_iter().filter_map(|one| one.join().ok()).collect()
    });
    let (mut reached, mut findings) = (Vec::new(), Vec::new());
    for answer in answers {
        match answer {
            Ok(one) => reached.push(one),
            Err(finding) => findings.push(finding),
        }
    }
    finding::or_fine(findings, || fine(&reached))
}

/// What is known of a remote that was reached.
struct Reached {
    place: String,
    /// The status of its answer over HTTP. A connection is all that is tried for other protocols.
    status: Option<u16>,
}

fn fine(reached: &[Reached]) -> Finding {
    let answering = reached.iter().filter(|one| one.status.is_some()).count();
    let shown = |number: usize, one: &str, many: &str| {
        (number > 0).then(|| format!("{} {}", finding::count(number, "remote host"), if number == 1 { one } else { many }))
    };
    let parts: Vec<String> =
        [shown(answering, "answers", "answer"), shown(reached.len() - answering, "accepts connections", "accept connections")]
            .into_iter()
            .flatten()
            .collect();
    let fine = Finding::fine(if parts.is_empty() { "there is no remote host".to_owned() } else { parts.join(", ") });
    reached.iter().fold(fine, |fine, one| {
        let status = one.status.map(|status| format!(": status {status}")).unwrap_or_default();
        fine.because(format!("{}{status}", one.place))
    })
}

/// Connects to a remote and, over HTTP, sends git's first request without credentials. Only where the server itself may.
fn answer(patient: &Patient<'_>, found: &Found<'_>) -> Result<Reached, Finding> {
    let (target, network) = (&found.target, &patient.config.network);
    let place = format!("{}, port {}", target.host, target.port);
    if let Some(proxy) = proxy::of_remote(found.repo, &found.name, target) {
        match addresses(patient, found) {
            // The proxy resolves the name.
            Err(Unresolved { is_unknown: true, .. }) if proxy.is_variable => {}
            found => drop(found.map_err(|err| err.finding)?),
        }
        let retry = format!("git -C {} ls-remote {}", word(found.repo.top()), word(&found.name));
        let status = proxy.reach(target, &found.shown(), &retry)?;
        let place = format!("{place}, through {}", proxy.shown());
        return status.map_or_else(|| Ok(Reached { place: place.clone(), status: None }), |status| judged(found, &place, status));
    }
    connect(patient, found, &place)?;
    if !target.is_http() {
        return Ok(Reached { place, status: None });
    }
    let status = target.status(Direction::Fetch, network, &Cancel::new(Some(Instant::now() + STEP))).map_err(|err| {
        let detail = format!("{}: {place} accepts connections, but gives no answer over HTTP: {err}", found.shown());
        if target.protocol == "https" {
            let fix = "Renew the certificate, or the system's CA certificates, unless git trusts another authority (`http.sslCAInfo`).";
            Finding::note(detail, fix)
        } else {
            Finding::problem(detail, "Make sure that the URL has the right scheme and port.")
        }
        .caused_by(&err)
    })?;
    judged(found, &place, status)
}

/// The judgement on the status of a remote's answer.
fn judged(found: &Found<'_>, place: &str, status: u16) -> Result<Reached, Finding> {
    let detail = format!("{}: {place} answers status {status}", found.shown());
    match status {
        200..=299 | 401 | 403 | 404 => Ok(Reached { place: place.to_owned(), status: Some(status) }),
        500.. => Err(Finding::problem(detail, "Repair the remote host, or wait until it works: fetches and pushes fail meanwhile.")),
        429 => Err(Finding::note(detail, "Wait: the remote host limits requests.")),
        _ => Err(Finding::note(detail, "Make sure that the URL is the repository's own: redirects are not followed.")),
    }
}

/// Why a remote has no address that may be used.
struct Unresolved {
    /// Whether its name is not in DNS.
    is_unknown: bool,
    finding: Finding,
}

/// The addresses of a remote, if the server may use them.
fn addresses(patient: &Patient<'_>, found: &Found<'_>) -> Result<Vec<SocketAddr>, Unresolved> {
    let (target, network) = (&found.target, &patient.config.network);
    let known = |finding| Unresolved { is_unknown: false, finding };
    if !network.names().contains(&target.protocol.as_str()) {
        let fix = format!("export MCP_GIT_PROTOCOLS={},{}", network.names().join(","), target.protocol);
        let detail = format!("{} uses the protocol `{}`, which is not allowed", found.shown(), target.protocol);
        return Err(known(Finding::problem(detail, fix)));
    }
    target.addresses(network, &Cancel::new(Some(Instant::now() + STEP))).map_err(|err| match err {
        Error::PrivateAddress { .. } => {
            let list: Vec<&str> = network.allow_hosts.iter().map(String::as_str).chain([target.host.as_str()]).collect();
            let fix = format!("export MCP_GIT_ALLOW_HOSTS={}", word(list.join(",")));
            known(Finding::problem(format!("{}: {err}", found.shown()), fix).caused_by(&err))
        }
        _ if target.protocol == "ssh" && env::home_dir().is_some_and(|home| home.join(".ssh/config").is_file()) => {
            let fix = "Try `ssh -T` with that name: ~/.ssh/config may give it another host name.";
            known(Finding::note(format!("{}: the name {} is not in DNS", found.shown(), target.host), fix).caused_by(&err))
        }
        _ => {
            let fix = format!(
                "Correct the URL with `git -C {} remote set-url {} URL`, or the machine's DNS.",
                word(found.repo.top()),
                word(&found.name)
            );
            let detail = format!("{}: the name {} does not resolve (DNS)", found.shown(), target.host);
            Unresolved { is_unknown: true, finding: Finding::problem(detail, fix).caused_by(&err) }
        }
    })
}

/// Connects to a remote.
fn connect(patient: &Patient<'_>, found: &Found<'_>, place: &str) -> Result<(), Finding> {
    let addresses = addresses(patient, found).map_err(|err| err.finding)?;
    let mut last = None;
    for address in addresses.iter().take(MAX_ADDRESSES) {
        match TcpStream::connect_timeout(address, STEP) {
            Ok(_) => return Ok(()),
            Err(err) => last = Some((address, err)),
        }
    }
    let Some((address, err)) = last else { return Ok(()) };
    let fix = format!("Make sure that {place} is open to this machine (firewall, VPN, proxy), and that the URL names the right port.");
    Err(Finding::problem(format!("{}: {place} accepts no connection (TCP): {err}", found.shown()), fix)
        .because(format!("tried {address} last"))
        .caused_by(&err))
}
