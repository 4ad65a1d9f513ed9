//! Remotes: configuration, addresses and transfers.

mod address;
mod clone;
mod configure;
mod destination;
mod gate;
mod listing;
mod missing;
mod push;
mod recursion;
mod refspec;
mod transfer;

pub(crate) use address::{Local, Route};
pub use clone::{CloneRequest, Cloned, Unfinished};
pub use configure::Remote;
pub use destination::{Destination, PullRebase, PushOptions};
pub use listing::RemoteRef;
pub use push::{PushRequest, Pushed, Ref};
pub use transfer::{FetchRequest, Fetched, Update};

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::{Place, RemoteName},
    process::{
        Mode, Process,
        progress::{Listener, OnProgress},
        stderr::Ended,
    },
    repo::{
        Repo,
        reachable::{Direction, Outcome, Target},
    },
};
use backon::BackoffBuilder;
use gate::Attempt;
use gix::bstr::ByteSlice;
use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

/// Maximum size of a listing.
const MAX_OUTPUT: usize = 64 << 20;

impl Repo {
    /// The URLs of `remote`, as git will use them.
    fn urls(&self, remote: &RemoteName, direction: Direction, cancel: &Cancel) -> Result<Vec<String>> {
        let mut process = self.read(&["remote", "get-url", "--all"]);
        if direction == Direction::Push {
            process = process.arg("--push");
        }
        let (ended, output) = process.arg("--").arg(remote.as_str()).output(cancel, MAX_OUTPUT)?;
        if ended.code != Some(0) {
            return Err(Error::NoRemote(remote.as_str().to_owned()));
        }
        Ok(String::from_utf8_lossy(&output).lines().map(str::to_owned).collect())
    }

    /// The target of a remote, or of the default one, resolved in-process: a hint, since only git's own answer is
    /// certain. The default of a push is that of `branch`.
    pub fn target(&self, remote: Option<&str>, branch: Option<&str>, direction: Direction) -> Option<Target> {
        let towards = match direction {
            Direction::Fetch => gix::remote::Direction::Fetch,
            Direction::Push => gix::remote::Direction::Push,
        };
        let find = |repo: &gix::Repository| {
            let usual = || {
                let own = || repo.head_name().ok()?.map(|head| head.shorten().to_owned());
                let branch = branch.filter(|_| direction == Direction::Push).map_or_else(own, |name| Some(name.into()))?;
                let configured = repo.branch_remote_name(branch.as_bstr(), towards)?.as_symbol().map(str::to_owned);
                configured.filter(|name| name != ".")
            };
            let name = remote.map(str::to_owned).or_else(usual).unwrap_or_else(|| "origin".to_owned());
            let config = repo.config_snapshot();
            let configured = |key: &str| config.string(format!("remote.{name}.{key}").as_str()).map(|url| url.to_string());
            let own = (direction == Direction::Push).then(|| configured("pushurl")).flatten();
            let url = own.or_else(|| configured("url")).unwrap_or_else(|| name.clone());
            Target::parse(&rewritten(&url, config.plumbing(), direction))
        };
        self.with_engine(Mode::Read, find).ok()??
    }

    /// The route to `remote`, if allowed.
    fn route_to(&self, remote: &RemoteName, direction: Direction, cancel: &Cancel) -> Result<Route> {
        self.check_transport()?;
        if self.config_value(&format!("remotes.{}", remote.as_str()), cancel)?.is_some() {
            return Err(Error::bad_name(remote.as_str(), "a remote", "it names a group of remotes (`remotes.NAME`)"));
        }
        let mut route = self.allowed.policy.route(direction);
        // A path configured by the operator may be outside the roots.
        let local = self.configured();
        for url in self.urls(remote, direction, cancel)? {
            self.allowed.policy.network.admit(&url, local, &mut route, cancel)?;
        }
        self.admit_unasked(&mut route, cancel)?;
        Ok(route)
    }

    /// Also checks the promisor remotes, if git cannot be prevented from fetching from them.
    fn admit_unasked(&self, route: &mut Route, cancel: &Cancel) -> Result<()> {
        if self.fetches_unasked() { self.admit_promisors(route, cancel) } else { Ok(()) }
    }

    /// Checks the promisor remotes of this partial clone.
    fn admit_promisors(&self, route: &mut Route, cancel: &Cancel) -> Result<()> {
        for promisor in &self.settings.promisors {
            for url in self.urls(&RemoteName::new(promisor.as_str())?, Direction::Fetch, cancel)? {
                self.allowed.policy.network.admit(&url, self.configured(), route, cancel)?;
            }
        }
        Ok(())
    }

    /// The route to a place named by a call or the configuration, if allowed.
    fn route(&self, place: &Place, direction: Direction, cancel: &Cancel) -> Result<Route> {
        let url = match place {
            Place::Remote(remote) => return self.route_to(remote, direction, cancel),
            Place::Url(url) => url,
        };
        if direction == Direction::Push && self.rewrites_pushes_to(url, cancel)? {
            return Err(Error::bad_name(url, "the URL of a push", "`url.*.pushInsteadOf` rewrites it: configure a remote with that URL"));
        }
        // A path configured by the operator may be outside the roots.
        let local = self.configured();
        self.route_by(url, local, direction, cancel)
    }

    /// True if git rewrites a push to `url`.
    fn rewrites_pushes_to(&self, url: &str, cancel: &Cancel) -> Result<bool> {
        let process = self.read(&["config", "--null", "--get-regexp", r"^url\..*\.pushinsteadof$"]);
        let (_, output) = process.output(cancel, MAX_OUTPUT)?;
        let starts = output
            .split(|&byte| byte == 0)
            .filter_map(|entry| String::from_utf8_lossy(entry).split_once('\n').map(|(_, start)| start.to_owned()));
        Ok(starts.filter(|start| !start.is_empty()).any(|start| url.starts_with(&start)))
    }

    /// The route to a URL given as an argument, if allowed.
    fn route_to_url(&self, url: &str, cancel: &Cancel) -> Result<Route> {
        self.route_by(url, self.local(), Direction::Fetch, cancel)
    }

    fn route_by(&self, url: &str, local: Local<'_>, direction: Direction, cancel: &Cancel) -> Result<Route> {
        self.check_transport()?;
        let mut route = self.allowed.policy.route(direction);
        self.allowed.policy.network.admit(url, local, &mut route, cancel)?;
        // The URL after `insteadOf`.
        let rewritten = self.read(&["ls-remote", "--get-url", "--"]).arg(url).success(cancel, MAX_OUTPUT)?;
        let rewritten = String::from_utf8_lossy(rewritten.trim_ascii_end()).into_owned();
        if rewritten != url {
            self.allowed.policy.network.admit(&rewritten, local, &mut route, cancel)?;
        }
        self.admit_unasked(&mut route, cancel)?;
        Ok(route)
    }

    /// [`Repo::route_to_url`] for several URLs.
    pub(crate) fn route_to_urls(&self, urls: impl Iterator<Item = String>, cancel: &Cancel) -> Result<Route> {
        let mut all = self.allowed.policy.route(Direction::Fetch);
        for url in urls {
            let route = self.route_to_url(&url, cancel)?;
            all.protocols = route.protocols;
            all.pins.extend(route.pins);
            all.ssh |= route.ssh;
            all.targets.extend(route.targets);
        }
        Ok(all)
    }

    /// Runs a process over `route`.
    pub(crate) fn transferred(&self, process: Process<'_>, route: &Route, on_progress: OnProgress<'_>, cancel: &Cancel) -> Result<Ended> {
        transfer(self.online(process, route, cancel)?, route, on_progress, cancel).map(|(ended, _)| ended)
    }

    /// Refuses a transfer if an untrusted repository configures the transport.
    fn check_transport(&self) -> Result<()> {
        match self.settings.local_transport.first().filter(|_| !self.location.trusted) {
            Some(key) => Err(Error::Untrusted { path: self.top().to_owned(), program: format!("setting `{key}`") }),
            None if self.settings.conditional && !self.location.trusted => {
                Err(Error::Untrusted { path: self.top().to_owned(), program: "included configuration".to_owned() })
            }
            None => Ok(()),
        }
    }

    fn local(&self) -> Local<'_> {
        Local { allowed: &self.allowed, directory: self.top(), anywhere: false, sandboxed: None }
    }

    /// The allowed paths of a configured remote: anywhere if the operator has named the repository.
    fn configured(&self) -> Local<'_> {
        Local { anywhere: self.location.trusted, sandboxed: self.is_sandboxed().then(|| self.top()), ..self.local() }
    }

    /// Restricts a process to `route`.
    fn online<'a>(&self, process: Process<'a>, route: &Route, cancel: &Cancel) -> Result<Process<'a>> {
        let ports: Vec<u16> = route.targets.iter().map(|target| target.port).collect();
        if self.location.trusted {
            // The configured ssh command may have arguments; the domain includes system programs.
            let ssh = route.ssh.then_some(Path::new("/usr/bin/ssh"));
            let domain = self.domain_online(&ports, ssh)?;
            return Ok(online(process, route, self.ssh_for(route, cancel)?).inside(domain));
        }
        if !self.is_sandboxed() {
            return Ok(online(process, route, self.ssh_for(route, cancel)?));
        }
        let ssh = if route.ssh { Some(self.sandboxed_ssh()?) } else { None };
        let domain = self.domain_online(&ports, ssh.as_deref())?;
        // There is no terminal for a prompt.
        let process = online(process, route, ssh.map(|program| program.display().to_string())).env("SSH_ASKPASS_REQUIRE", "never");
        Ok(process.inside(domain))
    }

    /// The ssh program, without arguments because git starts it without a shell.
    fn sandboxed_ssh(&self) -> Result<PathBuf> {
        let named = ["GIT_SSH_COMMAND", "GIT_SSH"].iter().find_map(|name| env::var(name).ok()).filter(|text| !text.is_empty());
        let named = named.unwrap_or_else(|| "ssh".to_owned());
        let refused = |why| Error::NoSandbox { path: self.top().to_owned(), why };
        if !named.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._+-".contains(&byte)) {
            return Err(refused("the operator's ssh command has arguments, which need a shell"));
        }
        crate::process::program::on_path(&env::var_os("PATH").unwrap_or_default(), Path::new(&named))
            .and_then(|program| std::fs::canonicalize(program).ok())
            .ok_or_else(|| refused("there is no ssh program on PATH"))
    }

    fn ssh_for(&self, route: &Route, cancel: &Cancel) -> Result<Option<String>> {
        if route.ssh { self.ssh(cancel).map(Some) } else { Ok(None) }
    }

    /// The configured ssh command, in a form that never prompts.
    fn ssh(&self, cancel: &Cancel) -> Result<String> {
        let configured = self.read(&["config", "--get", "core.sshCommand"]).output(cancel, 64 << 10)?;
        let configured = Some(configured).filter(|(ended, _)| ended.code == Some(0) && self.location.trusted);
        Ok(quiet_ssh(configured.map(|(_, text)| String::from_utf8_lossy(text.trim_ascii_end()).into_owned())))
    }
}

/// A URL rewritten by `insteadOf`: the longest matching prefix wins, and `pushInsteadOf` takes precedence for a push.
fn rewritten(url: &str, config: &gix::config::File, direction: Direction) -> String {
    let longest = |key: &str| {
        let sections = config.sections_by_name("url").into_iter().flatten();
        let matching = sections.flat_map(|section| {
            let to = section.header().subsection_name().map(ToString::to_string).unwrap_or_default();
            let from = section.body().values(key).into_iter().map(|from| from.to_string());
            from.filter(|from| url.starts_with(from)).map(|from| (from.len(), to.clone())).collect::<Vec<_>>()
        });
        matching.max_by_key(|(length, _)| *length)
    };
    let own = (direction == Direction::Push).then(|| longest("pushInsteadOf")).flatten();
    match own.or_else(|| longest("insteadOf")) {
        Some((length, to)) => to + &url[length..],
        None => url.to_owned(),
    }
}

/// The operator's ssh command, in a form that fails instead of prompting.
fn quiet_ssh(configured: Option<String>) -> String {
    let inherited = || env::var("GIT_SSH_COMMAND").or_else(|_| env::var("GIT_SSH")).ok();
    let command = env::var("GIT_SSH_COMMAND").ok().or(configured).or_else(inherited).filter(|text| !text.is_empty());
    let command = command.unwrap_or_else(|| "ssh".to_owned());
    let program = command.split_ascii_whitespace().next().unwrap_or_default();
    let is_ssh = Path::new(program).file_name().is_some_and(|name| name.to_string_lossy().contains("ssh"));
    if is_ssh { format!("{command} -o BatchMode=yes -o ConnectTimeout=20") } else { command }
}

fn online<'a>(process: Process<'a>, route: &Route, ssh: Option<String>) -> Process<'a> {
    let mut process = process
        .online(&route.protocols)
        .config("http.followRedirects", "false")
        .config("http.lowSpeedLimit", "1")
        .config("http.lowSpeedTime", "60")
        // The HTTP trace, which shows the status of a refusal; without the data sent and received.
        .env("GIT_TRACE_CURL", "2")
        .env("GIT_TRACE_CURL_NO_DATA", "1");
    for pin in &route.pins {
        process = process.config("http.curloptResolve", pin.clone());
    }
    match ssh {
        Some(command) => process.env("GIT_SSH_COMMAND", command),
        None => process,
    }
}

/// Maximum attempts of a read-only transfer.
const ATTEMPTS: usize = 3;
/// Maximum `Retry-After` after which a transfer is retried.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Runs a process that reaches a remote, with retries if the remote failed and a retry is safe.
#[expect(clippy::needless_pass_by_value, reason = "it is consumed by the attempts")]
fn transfer(process: Process<'_>, route: &Route, on_progress: OnProgress<'_>, cancel: &Cancel) -> Result<(Ended, Vec<u8>)> {
    let pauses = backon::ExponentialBuilder::default().with_min_delay(Duration::from_millis(250)).with_jitter();
    let mut pauses = pauses.with_max_times(if route.repeatable { ATTEMPTS - 1 } else { 0 }).build();
    loop {
        let permits = route.enter()?;
        let (result, outcome) = attempt(process.clone(), route, on_progress, cancel);
        for permit in permits {
            permit.end(outcome);
        }
        let pause = match outcome {
            Outcome::Down if !matches!(result, Err(Error::TimedOut | Error::CutOff { .. })) => pauses.next(),
            Outcome::Busy(wait) if wait <= MAX_WAIT => pauses.next().map(|least| wait.max(least)),
            _ => None,
        };
        let Some(pause) = pause else {
            return match result {
                Ok((ended, output)) if outcome == Outcome::Down => {
                    let command = process.name();
                    let said = ended.stderr.trim().to_owned() + &moved_by(&command, &output);
                    Err(Error::Unreachable { command, said })
                }
                Err(Error::Http { command, status, location, said, retry_after }) => {
                    // The pause of the remote's circuit.
                    let retry_after = if let Outcome::Busy(wait) = outcome { Some(wait) } else { retry_after };
                    Err(Error::Http { command, status, location, said, retry_after })
                }
                result => result,
            };
        };
        tracing::debug!(command = process.name(), ?pause, "remote failed, retrying");
        process.pause(pause, cancel)?;
    }
}

/// The references that a failed command updated.
fn moved_by(command: &str, output: &[u8]) -> String {
    if command == "push" { push::moved(output) } else { String::new() }
}

/// Runs the process once, and judges the remote by the result.
fn attempt(process: Process<'_>, route: &Route, on_progress: OnProgress<'_>, cancel: &Cancel) -> (Result<(Ended, Vec<u8>)>, Outcome) {
    let name = process.name();
    let mut listener = Listener::new(on_progress);
    let result = process.output_with_listener(cancel, MAX_OUTPUT, &mut |bytes| listener.feed(bytes)).and_then(|(mut ended, output)| {
        ended.stderr.push_str(&String::from_utf8_lossy(&listener.rest()));
        match listener.exchange.status {
            Some(status) if status >= 300 && ended.code != Some(0) => {
                let said = ended.stderr.trim().to_owned() + &moved_by(&name, &output);
                let location = listener.exchange.location.clone().unwrap_or_default();
                Err(Error::Http { command: name, status, location, said, retry_after: listener.exchange.retry_after })
            }
            _ => Ok((ended, output)),
        }
    });
    let exchange = &listener.exchange;
    let attempt = match &result {
        Ok((ended, _)) if ended.code == Some(0) => Attempt::Done,
        Ok((ended, _)) => Attempt::Failed { code: ended.code, exchange },
        Err(err) => Attempt::Error(err),
    };
    let outcome = route.judge(&attempt, cancel);
    (result, outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{Mode, program::Git};
    use std::{
        io::{BufRead, BufReader},
        net::TcpListener,
    };

    #[test]
    fn git_connects_to_the_pinned_address_44() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let asked = std::thread::spawn(move || {
            let (stream, _) = listener.accept()?;
            BufReader::new(stream).lines().take(2).collect::<std::io::Result<Vec<String>>>()
        });
        // The name does not resolve.
        let pins = vec![format!("pinned.invalid:{port}:127.0.0.1")];
        let route = Route { protocols: "http".to_owned(), pins, ..Route::default() };
        let git = Git::new(None);
        let url = format!("http://pinned.invalid:{port}/x");
        let process = git.process(Mode::Read, Path::new("/"), &["ls-remote", &url]);
        let outcome = transfer(online(process, &route, None), &route, &|_| (), &Cancel::never());
        assert!(outcome.map_or(true, |(ended, _)| ended.code != Some(0)));
        let asked = asked.join().map_err(|_| "the listener failed")??;
        assert_eq!(asked, ["GET /x/info/refs?service=git-upload-pack HTTP/1.1".to_owned(), format!("Host: pinned.invalid:{port}")]);
        Ok(())
    }
}
