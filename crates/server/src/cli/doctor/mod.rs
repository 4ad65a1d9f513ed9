//! `doctor`: finds problems of this machine, its repositories or a remote server, and names a fix for each.
//!
//! It changes nothing, and runs nothing that a repository names. The only server it starts is temporary, in its own
//! directory.

mod child;
mod clients;
mod damage;
mod environment;
mod exposure;
mod files;
mod finding;
mod kept;
mod latency;
mod leftovers;
mod machine;
mod proxy;
mod remotes;
mod roots;
mod trial;
mod walk;
mod web;

use super::{CANNOT_RUN, FOUND, say, tell};
use crate::{
    app,
    config::{Config, ConfigError, Flags},
    telemetry::log::init_log,
};
use clap::Args;
use finding::{Finding, State, count};
use git::{Cancel, Git, Repo, Repositories, Roots};
use serde_json::json;
use std::{
    net::IpAddr,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

/// Timeout for a network step.
const STEP: Duration = Duration::from_secs(5);
/// Maximum number of repositories below the roots checked.
const MAX_REPOSITORIES: usize = 64;
/// Time limit for git per repository.
const PATIENCE: Duration = Duration::from_secs(20);

/// Options of `doctor`.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(super) struct Options {
    /// Also prints what each check examined, and the causes of each finding.
    #[arg(long)]
    verbose: bool,

    /// Prints JSON.
    #[arg(long)]
    json: bool,

    /// Also connects to the remotes of the repositories.
    #[arg(long)]
    online: bool,

    /// Also measures the latency of 20 messages through a running server, or through a temporary one.
    #[arg(long)]
    latency: bool,

    /// Checks only the server at this URL, step by step: DNS, TCP, TLS, HTTP, WebSocket, MCP.
    #[arg(long, value_name = "URL", conflicts_with_all = ["online", "latency"])]
    url: Option<String>,

    /// The bearer token for --url and --latency. Other users can see it in the list of processes; `MCP_GIT_DOCTOR_TOKEN` is private.
    #[arg(long)]
    token: Option<String>,

    /// The running server for --latency, if there are several.
    #[arg(long, value_name = "N")]
    pid: Option<u32>,

    /// The port for `serve`.
    #[arg(short, long)]
    pub(super) port: Option<u16>,

    /// The address for `serve`.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) host: Option<IpAddr>,
}

impl Options {
    fn token(&self) -> Option<String> {
        self.token.clone().or_else(|| std::env::var("MCP_GIT_DOCTOR_TOKEN").ok()).filter(|token| !token.is_empty())
    }
}

/// The subject of the checks.
struct Patient<'a> {
    options: &'a Options,
    config: &'a Config,
    /// The existing roots.
    repositories: Repositories,
    opened: OnceLock<Vec<(PathBuf, git::Result<Arc<Repo>>)>>,
}

/// A check with its name.
type General = (&'static str, fn() -> Vec<Finding>);
/// A check of a patient, with its name.
type Configured = (&'static str, fn(&Patient<'_>) -> Vec<Finding>);

/// Checks that need no configuration.
const GENERAL: [General; 4] = [
    ("environment", environment::variables),
    ("executable", machine::executable),
    ("descriptors", machine::descriptors),
    ("clients", clients::check),
];

/// Checks that need a configuration.
const CONFIGURED: [Configured; 16] = [
    ("overrides", environment::overrides),
    ("git", machine::git),
    ("start-up", trial::check),
    ("state", kept::state),
    ("database", kept::database),
    ("roots", roots::check),
    ("trust", roots::trust),
    ("locks", leftovers::locks),
    ("operations", leftovers::operations),
    ("clock", machine::clock),
    ("credentials", remotes::credentials),
    ("remotes", remotes::reach),
    ("port", exposure::port),
    ("scope", exposure::scope),
    ("sandbox", machine::sandbox),
    ("latency", latency::check),
];

/// Runs the checks and prints what they found.
pub(super) fn run(options: &Options, flags: &Flags) -> ExitCode {
    let mut report = Report { options, problems: 0, notes: 0, values: Vec::new() };
    if let Some(url) = &options.url {
        for (step, findings) in walk::walk(url, options.token().as_deref()) {
            report.add(step, &findings);
        }
        return report.end();
    }
    let loaded = Config::load(flags);
    match &loaded {
        Ok(config) => {
            // Only servers write the log file.
            let mut own = config.clone();
            own.log.file = None;
            init_log(&own);
            report.add("configuration", &[environment::loaded(config)]);
        }
        Err(err) => report.add("configuration", &[environment::refused(err, options)]),
    }
    for (name, check) in GENERAL {
        report.add(name, &check());
    }
    let patient = match loaded.as_ref().ok().map(|config| Patient::new(options, config)).transpose() {
        Ok(patient) => patient,
        Err(err) => {
            tell(&format!("mcp-server-git: {}", crate::output::message(&err.to_string())));
            return ExitCode::from(CANNOT_RUN);
        }
    };
    for (name, check) in CONFIGURED {
        let skipped = || vec![Finding::skipped("it needs a valid configuration")];
        report.add(name, &patient.as_ref().map_or_else(skipped, check));
    }
    report.end()
}

/// The steps of a connection to the server at `url` as lines of text, and whether none of them found a problem.
pub(super) fn connection(url: &str, token: Option<&str>) -> (String, bool) {
    let steps = walk::walk(url, token);
    let lines = steps.iter().flat_map(|(step, findings)| findings.iter().map(move |finding| finding.lines(step, false)));
    let is_fine = steps.iter().flat_map(|(_, findings)| findings).all(|finding| finding.state != State::Problem);
    (lines.collect::<Vec<_>>().join("\n"), is_fine)
}

/// The findings so far.
struct Report<'a> {
    options: &'a Options,
    problems: usize,
    notes: usize,
    values: Vec<serde_json::Value>,
}

impl Report<'_> {
    fn add(&mut self, check: &str, findings: &[Finding]) {
        for finding in findings {
            self.problems += usize::from(finding.state == State::Problem);
            self.notes += usize::from(finding.state == State::Note);
            if self.options.json {
                self.values.push(finding.value(check));
            } else {
                say(&finding.lines(check, self.options.verbose));
            }
        }
    }

    fn end(self) -> ExitCode {
        if self.options.json {
            say(&format!("{:#}", json!({"ok": self.problems == 0, "checks": self.values})));
        } else {
            say(&format!("{}, {}", count(self.problems, "problem"), count(self.notes, "note")));
        }
        if self.problems == 0 { ExitCode::SUCCESS } else { ExitCode::from(FOUND) }
    }
}

impl<'a> Patient<'a> {
    fn new(options: &'a Options, config: &'a Config) -> git::Result<Self> {
        let roots = if config.repositories.is_empty() {
            Roots::around(&std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")))
        } else {
            Roots::new(config.repositories.iter().filter(|root| root.exists()).cloned())?
        };
        let repositories = Repositories::with_policy(Git::new(config.git.clone()), roots, app::policy(config, None));
        Ok(Self { options, config, repositories, opened: OnceLock::new() })
    }

    /// The repositories below the roots, each opened or with the error.
    fn opened(&self) -> &[(PathBuf, git::Result<Arc<Repo>>)] {
        self.opened.get_or_init(|| {
            let found = self.repositories.roots().repositories(MAX_REPOSITORIES);
            found.into_iter().map(|path| (path.clone(), self.repositories.open(&path))).collect()
        })
    }

    /// The repositories that could be opened.
    fn usable(&self) -> impl Iterator<Item = &Arc<Repo>> {
        self.opened().iter().filter_map(|(_, repo)| repo.as_ref().ok())
    }

    fn has_git(&self) -> bool {
        self.repositories.git().version().is_ok()
    }
}

/// The deadline for git on one repository.
fn patience() -> Cancel {
    Cancel::new(Some(Instant::now() + PATIENCE))
}

/// The message of a configuration error, which may have several lines.
fn shown(err: &ConfigError) -> String {
    err.to_string().trim_end().to_owned()
}
