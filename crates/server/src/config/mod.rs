//! Merges flags over environment over file, into one validated configuration.

mod breakpoint;
mod file;
mod observing;
mod policy;
mod reference;
mod resilience;
mod serving;
mod shown;
mod trust;

pub use breakpoint::Breakpoint;
pub use observing::{Debug, HeapProfile, Log, LogFormat, Observing, OtlpEndpoint, Watch};
pub use reference::{REFERENCE, RELOADABLE};
pub use resilience::{Mode, Resilience};
pub use serving::{JwtIssuer, NamedToken, Serving};
pub(crate) use serving::{PRINCIPALS, is_principal};
pub(crate) use shown::{Shown, known_variables, own_variables, schema, unknown_variables, unread};
pub use trust::{Hooks, Sandbox, Signing, Trust};

use crate::{
    config_path,
    policy::Policy,
    selection::{Selection, is_tool},
    tool::toolset::Toolset,
};
use file::{File, MaxConcurrent, Seconds, network, parsed_file, read_file, state_dir};
use git::Roots;
use serving::Parts;
use std::{env, net::IpAddr, path::PathBuf, time::Duration};

/// The server's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Allowed directories; empty for the repository of the current directory.
    pub repositories: Vec<PathBuf>,
    /// Settings of `serve`.
    pub serving: Serving,
    /// Resilience settings.
    pub resilience: Resilience,
    /// The enabled tools.
    pub selection: Selection,
    /// Whose hooks and filters may run.
    pub trust: Trust,
    /// Which repositories' git processes are sandboxed.
    pub sandbox: Sandbox,
    /// Whether hooks run at all.
    pub hooks: Hooks,
    /// Whether commits are signed.
    pub signing: Signing,
    /// The policy for changes.
    pub policy: Policy,
    /// Which remotes may be reached.
    pub network: git::Network,
    /// The git program; the one on `PATH` if absent.
    pub git: Option<PathBuf>,
    /// Directory for locks and the change journal.
    pub state_dir: PathBuf,
    /// Observability settings.
    pub observing: Observing,
    /// Limits of calls and results.
    pub limits: Limits,
    /// Its sources.
    pub origin: Source,
}

/// The sources of a configuration, besides the environment.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The command line.
    pub flags: Flags,
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// The content of the file.
    pub table: toml::Table,
}

/// Limits of calls and results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum tokens per result, counted as four bytes each; 0 is no limit.
    pub max_output_tokens: usize,
    /// Time limit of a read.
    pub read_timeout: Duration,
    /// Time limit of a change.
    pub change_timeout: Duration,
    /// Time limit of a call to a remote.
    pub network_timeout: Duration,
    /// Maximum number of concurrent calls per class.
    pub max_concurrent: usize,
}

/// Values given on the command line.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--repository`
    pub repositories: Vec<PathBuf>,
    /// `--port`
    pub port: Option<u16>,
    /// `--host`
    pub host: Option<IpAddr>,
    /// `--socket`
    pub socket: Option<PathBuf>,
    /// `--admin-socket`
    pub admin_socket: Option<PathBuf>,
    /// `--toolsets`
    pub toolsets: Vec<Toolset>,
    /// `--tools`
    pub tools: Vec<String>,
    /// `--exclude-tools`
    pub exclude_tools: Vec<String>,
    /// `--read-only`
    pub read_only: bool,
    /// `--trust`
    pub trust: Option<Trust>,
    /// `--sandbox`
    pub sandbox: Option<Sandbox>,
    /// `--git`
    pub git: Option<PathBuf>,
    /// `--state-dir`
    pub state_dir: Option<PathBuf>,
    /// `--log-level`
    pub log_level: Option<String>,
    /// `--log-format`
    pub log_format: Option<LogFormat>,
    /// `--max-output-tokens`
    pub max_output_tokens: Option<usize>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is invalid; the message points at the line.
    #[error("the configuration {} cannot be used:\n{message}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        message: String,
    },
    /// An unknown tool is named.
    #[error("there is no tool called `{0}` to be selected or excluded")]
    UnknownTool(String),
    /// The settings of `serve` are invalid.
    #[error("{0}")]
    Serving(String),
    /// A log level is invalid.
    #[error("{from} cannot be used: `{level}`: {why}. Use a level, or a list such as `warn,session=debug,git=trace`")]
    Level {
        /// The flag, the variable or the key.
        from: &'static str,
        /// Its value.
        level: String,
        /// What is wrong.
        why: String,
    },
    /// A key of the file has an invalid value.
    #[error("the key `{name}` of the configuration cannot be used: {why}")]
    Key {
        /// The key.
        name: &'static str,
        /// What is wrong.
        why: String,
    },
    /// An error with the path of the file.
    #[error("{source} (the configuration is {})", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<ConfigError>,
    },
    /// A variable has an invalid value.
    #[error("the environment variable {name} cannot be used: {why}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// What is wrong.
        why: String,
    },
}

impl Config {
    /// Loads and validates the configuration.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which points at the line or names the variable.
    pub fn load(flags: Flags) -> Result<Self, ConfigError> {
        Self::from_parts(flags, &|name| env::var(name).ok()).map_err(|err| match (err, config_path::read()) {
            (err @ (ConfigError::Key { .. } | ConfigError::UnknownTool(_) | ConfigError::Serving(_)), Some(path)) if path.exists() => {
                ConfigError::InFile { path: path.to_owned(), source: Box::new(err) }
            }
            (err, _) => err,
        })
    }

    /// The allowed directories; empty for those around the current one.
    ///
    /// # Errors
    ///
    /// [`git::Error::Io`] if one does not exist, with the file that names it.
    pub(crate) fn roots(&self) -> git::Result<Roots> {
        let file = self.origin.file.as_ref().filter(|_| self.origin.flags.repositories.is_empty());
        match (Roots::new(self.repositories.iter().cloned()), file) {
            (Err(git::Error::Io { doing, source }), Some(file)) => {
                Err(git::Error::Io { doing: format!("{doing}, which {} names", file.display()), source })
            }
            (roots, _) => roots,
        }
    }

    fn from_parts(flags: Flags, variable: &dyn Fn(&'static str) -> Option<String>) -> Result<Self, ConfigError> {
        let (file, origin) = match read_file(flags.config.as_deref(), variable)? {
            Some((path, text)) => parsed_file(&flags, path, &text)?,
            None => (File::default(), Source { flags: flags.clone(), ..Source::default() }),
        };
        let number = |name: &'static str| -> Result<Option<usize>, ConfigError> {
            let Some(text) = variable(name).filter(|text| !text.is_empty()) else { return Ok(None) };
            text.trim().parse().map(Some).map_err(|_| ConfigError::Variable { name, why: format!("`{text}` is not a whole number") })
        };
        let seconds = |name: &'static str, file: Option<Seconds>, default: u64| -> Result<Duration, ConfigError> {
            let given = number(name)?
                .map(|value| Seconds::try_from(value as u64))
                .transpose()
                .map_err(|why| ConfigError::Variable { name, why })?;
            Ok(Duration::from_secs(given.or(file).map_or(default, |seconds| seconds.0)))
        };
        let state_dir =
            state_dir(flags.state_dir.clone().or_else(|| variable("MCP_GIT_STATE_DIR").map(PathBuf::from)).or(file.state_dir), variable);
        let parts = resilience::Parts {
            store: file.store,
            circuits: file.circuits,
            errors: file.errors,
            validation: file.validation,
            admin: file.admin,
            restart: file.restart,
            sessions: file.sessions.clone(),
            per_host: file.limits.per_host,
        };
        let resilience = Resilience::from_parts(&flags, parts, &state_dir, variable)?;
        let parts = Parts { port: file.port, http: file.http, auth: file.auth, sessions: file.sessions, heartbeat: file.heartbeat };
        let serving = Serving::from_parts(&flags, parts, variable)?;
        let places = number("MCP_GIT_MAX_CONCURRENT")?.map(MaxConcurrent::try_from).transpose();
        let places = places.map_err(|why| ConfigError::Variable { name: "MCP_GIT_MAX_CONCURRENT", why })?;
        let parts = observing::Parts {
            log: file.log,
            perf: file.perf,
            debug: file.debug,
            memory: file.memory,
            cpu: file.cpu,
            profile: file.profile,
            cache: file.cache,
            metrics: file.metrics,
            telemetry: file.telemetry,
        };
        let observing = Observing::from_parts(&flags, parts, variable)?;
        let selection = Selection {
            toolsets: first([flags.toolsets, choices("MCP_GIT_TOOLSETS", variable)?, file.toolsets]),
            tools: first([flags.tools, words("MCP_GIT_TOOLS", variable), file.tools]),
            exclude: first([flags.exclude_tools, words("MCP_GIT_EXCLUDE_TOOLS", variable), file.exclude_tools]),
            // Any source can enable it.
            read_only: flags.read_only || switch("MCP_GIT_READ_ONLY", variable)? || file.read_only,
        };
        if let Some(name) = selection.unknown() {
            return Err(ConfigError::UnknownTool(name.to_owned()));
        }
        if let Breakpoint::Tools(names) = &observing.debug.breakpoint
            && let Some(name) = names.iter().find(|name| !is_tool(name))
        {
            return Err(ConfigError::Variable { name: "MCP_DEBUG_BREAKPOINT", why: format!("unknown tool `{name}`") });
        }
        Ok(Self {
            repositories: if flags.repositories.is_empty() { file.repositories } else { flags.repositories },
            serving,
            resilience,
            selection,
            trust: flags.trust.or(choice("MCP_GIT_TRUST", variable)?).or(file.trust).unwrap_or_default(),
            sandbox: flags.sandbox.or(choice("MCP_GIT_SANDBOX", variable)?).or(file.sandbox).unwrap_or_default(),
            hooks: choice("MCP_GIT_HOOKS", variable)?.or(file.policy.hooks).unwrap_or_default(),
            signing: choice("MCP_GIT_SIGNING", variable)?.or(file.policy.signing).unwrap_or_default(),
            policy: policy::from_parts(file.policy, variable)?,
            network: network(file.network, variable)?,
            git: flags.git.or(file.git),
            state_dir,
            observing,
            limits: Limits {
                max_output_tokens: flags
                    .max_output_tokens
                    .or(number("MCP_GIT_MAX_OUTPUT_TOKENS")?)
                    .or(file.limits.max_output_tokens)
                    .unwrap_or(8000),
                read_timeout: seconds("MCP_GIT_READ_TIMEOUT", file.limits.read_timeout, 60)?,
                change_timeout: seconds("MCP_GIT_CHANGE_TIMEOUT", file.limits.change_timeout, 300)?,
                network_timeout: seconds("MCP_GIT_NETWORK_TIMEOUT", file.limits.network_timeout, 600)?,
                max_concurrent: places.or(file.limits.max_concurrent).map_or(10, |places| places.0),
            },
            origin,
        })
    }
}

/// The first list that is not empty.
fn first<T>(lists: [Vec<T>; 3]) -> Vec<T> {
    lists.into_iter().find(|list| !list.is_empty()).unwrap_or_default()
}

fn words(name: &'static str, variable: &dyn Fn(&'static str) -> Option<String>) -> Vec<String> {
    let text = variable(name).unwrap_or_default();
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn choices<T: clap::ValueEnum>(name: &'static str, variable: &dyn Fn(&'static str) -> Option<String>) -> Result<Vec<T>, ConfigError> {
    let parse = |word: String| T::from_str(&word, true).map_err(|why| ConfigError::Variable { name, why });
    words(name, variable).into_iter().map(parse).collect()
}

fn switch(name: &'static str, variable: &dyn Fn(&'static str) -> Option<String>) -> Result<bool, ConfigError> {
    match variable(name).unwrap_or_default().to_ascii_lowercase().as_str() {
        "" | "0" | "false" | "no" | "off" => Ok(false),
        "1" | "true" | "yes" | "on" => Ok(true),
        other => Err(ConfigError::Variable { name, why: format!("`{other}` is neither true nor false") }),
    }
}

fn choice<T: clap::ValueEnum>(name: &'static str, variable: &dyn Fn(&'static str) -> Option<String>) -> Result<Option<T>, ConfigError> {
    let Some(text) = variable(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    T::from_str(&text, true).map(Some).map_err(|why| ConfigError::Variable { name, why })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn load(text: &str, flags: Flags, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().map_err(|source| ConfigError::Unreadable { path: PathBuf::new(), source })?;
        let path = dir.path().join("config.toml");
        fs::write(&path, text).map_err(|source| ConfigError::Unreadable { path: path.clone(), source })?;
        let flags = Flags { config: Some(path), ..flags };
        Config::from_parts(flags, &|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn flags_win_over_environment_over_file() -> Result<(), ConfigError> {
        let file = "port = 1\n[limits]\nmax_output_tokens = 1\nread_timeout = 5\n[log]\nlevel = \"info\"\n";
        let flags = Flags { max_output_tokens: Some(3), ..Flags::default() };
        let config = load(file, flags, &[("MCP_GIT_MAX_OUTPUT_TOKENS", "2"), ("MCP_GIT_PORT", "2")])?;
        assert_eq!((config.limits.max_output_tokens, config.serving.port), (3, 2));
        assert_eq!((config.limits.read_timeout, config.observing.log.level.as_str()), (Duration::from_secs(5), "info"));
        Ok(())
    }

    #[test]
    fn a_mistake_is_pointed_at() {
        for (text, variables, expect) in [
            ("\n\nprot = 1\n", &[][..], "line 3"),
            ("[limits]\nread_timeout = 0\n", &[], "between 1 and 3600"),
            ("port = 70000\n", &[], "line 1"),
            ("", &[("MCP_GIT_PORT", "x")], "MCP_GIT_PORT"),
            ("", &[("MCP_GIT_LOG_FORMAT", "xml")], "MCP_GIT_LOG_FORMAT"),
        ] {
            let message = load(text, Flags::default(), variables).err().map(|err| err.to_string()).unwrap_or_default();
            assert!(message.contains(expect), "{text:?}: {message}");
        }
    }
}
